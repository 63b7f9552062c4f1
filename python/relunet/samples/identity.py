"""What tells samples from others: a hash of their size and of some of their rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from relunet._typing import Rows

__all__ = ["places", "rows_hash"]

# Places at which rows are read, and how many rows at each.
PLACES, ROWS_A_PLACE = 16, 4


def places(n_rows: int) -> list[tuple[int, int]]:
    """Return ranges of rows that are spread over all of them."""
    starts = sorted({max(n_rows - ROWS_A_PLACE, 0) * i // (PLACES - 1) for i in range(PLACES)})
    return [(start, min(start + ROWS_A_PLACE, n_rows)) for start in starts]


def rows_hash(facts: tuple[object, ...], rows: Iterable[Rows]) -> bytes:
    """Return a hash of facts about samples and of some of their rows."""
    seen = hashlib.sha256(repr(facts).encode())
    for block in rows:
        for values in block:
            seen.update(b"-" if values is None else values.tobytes())
    return seen.digest()

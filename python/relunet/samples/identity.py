"""Identity of samples: a hash of all of their rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from relunet._typing import Rows

__all__ = ["block_rows", "rows_hash"]

# Numbers in a block that is hashed; a block has at least one row.
BLOCK_NUMBERS = 1 << 19


def block_rows(n_columns: int) -> int:
    """Return the number of rows that are read at a time: the hash depends on it, so that it is the same everywhere."""
    return max(1, BLOCK_NUMBERS // n_columns)


def rows_hash(facts: tuple[object, ...], rows: Iterable[Rows]) -> bytes:
    """Return a hash of facts about samples and of all of their rows, in blocks of `block_rows` rows."""
    seen = hashlib.sha256(repr(facts).encode())
    for block in rows:
        for values in block:
            seen.update(b"-" if values is None else np.ascontiguousarray(values).data.cast("B"))
    return seen.digest()

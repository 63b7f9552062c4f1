"""Batches of rows that a function returns by their number, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from relunet._typing import Rows
from relunet.errors import DataError
from relunet.samples.pieces import N_CACHED, Batch, as_piece, joined

__all__ = ["IndexedBatches"]


class IndexedBatches:
    """Rows of batches that can be had by their number, in any order.

    Parameters
    ----------
    batches : sequence
        Batches ``(X, y)`` or ``(X, y, weight)``.
    origin : str
        Name for messages.
    n_rows : int or None
        Rows in all, where every batch but the last is as long as the first; None to look at every batch.
    """

    def __init__(self, batches: Sequence[Any], origin: str, n_rows: int | None) -> None:
        self._batches, self._origin = batches, origin
        if len(batches) == 0:
            raise DataError(f"{origin}: no batches; expected at least 1")
        first = as_piece(batches[0], f"{origin}, batch 0")
        self.shape = first.shape
        self._batch = lru_cache(maxsize=N_CACHED)(self._load)
        if n_rows is None:
            sizes = [first.n_rows] + [self._load(number).n_rows for number in range(1, len(batches))]
            self._starts = np.concatenate([[0], np.cumsum(sizes)])
        else:
            self._starts = np.minimum(first.n_rows * np.arange(len(batches) + 1), n_rows)
            self._starts[-1] = n_rows
        self.n_rows = int(self._starts[-1])

    def _load(self, number: int) -> Batch:
        return as_piece(self._batches[number], f"{self._origin}, batch {number}", self.shape)

    def __call__(self, start: int, stop: int) -> Rows:
        """Return a range of rows."""
        parts = []
        number = int(np.searchsorted(self._starts, start, side="right")) - 1
        while start < stop:
            first, end = int(self._starts[number]), int(self._starts[number + 1])
            piece = self._batch(number)
            if piece.n_rows != end - first:
                raise DataError(
                    f"{self._origin}, batch {number}: {piece.n_rows} rows where {end - first} were expected"
                )
            if end > start:
                parts.append(piece.read(start - first, min(stop, end) - first))
            start, number = min(stop, end), number + 1
        return joined(parts)

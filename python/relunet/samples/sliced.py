"""Arrays outside memory that are read by slices, such as datasets of h5py and zarr."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from relunet._typing import Rows
from relunet.errors import DataError
from relunet.samples.arrays import as_labels, as_matrix, as_vector
from relunet.samples.pieces import N_CACHED, Batch, Shape, joined

__all__ = ["SlicedArrays", "is_sliced"]


def is_sliced(X: Any) -> bool:
    """Tell whether `X` is an array that is not in memory: one with a shape and a dtype whose rows are read by slices.

    Datasets of h5py, arrays of zarr and their like; arrays in memory say so by a protocol of theirs.
    """
    in_memory = ("__array_interface__", "__array_struct__", "__dlpack__", "to_numpy", "columns", "nnz")
    return all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__")) and not any(
        hasattr(X, name) for name in in_memory
    )


class SlicedArrays:
    """Rows of arrays that are read by slices.

    Parameters
    ----------
    X, y, weight : array-like
        Arrays with a shape and a dtype, whose rows are ``X[start:stop]``; `y` and `weight` may be None.
    """

    def __init__(self, X: Any, y: Any, weight: Any) -> None:
        self._arrays = (("X", X), ("y", y), ("sample_weight", weight))
        self.n_rows = int(X.shape[0]) if len(X.shape) else 0
        for name, array in self._arrays[1:]:
            n_values = self.n_rows if array is None else np.shape(array)[0]
            if n_values != self.n_rows:
                raise DataError(f"{name}: {n_values} values for {self.n_rows} rows of X")
        if self.n_rows == 0:
            raise DataError(f"X: 0 rows (shape {tuple(X.shape)}); at least 1 is needed")
        self.shape = Shape.of(self._slab_of(0, 1))
        # arrays that are stored in chunks give a row no faster than the whole chunk: it is read once
        chunks = getattr(X, "chunks", None) or [0]
        chunk = chunks[0] if isinstance(chunks[0], int) else max(chunks[0])
        self._slab_rows = chunk
        self._slab = lru_cache(maxsize=N_CACHED)(self._load)

    def _slab_of(self, start: int, stop: int) -> Rows:
        X, y, weight = (None if array is None else array[start:stop] for _, array in self._arrays)
        return (
            as_matrix(X, "X"),
            None if y is None else as_labels(y, "y"),
            None if weight is None else as_vector(weight, "sample_weight"),
        )

    def _load(self, number: int) -> Batch:
        start = number * self._slab_rows
        return Batch(self._slab_of(start, min(start + self._slab_rows, self.n_rows)))

    def __call__(self, start: int, stop: int) -> Rows:
        """Return a range of rows."""
        if self._slab_rows <= 1:
            return self._slab_of(start, stop)
        parts = []
        while start < stop:
            number, offset = divmod(start, self._slab_rows)
            end = min(stop - start + offset, self._slab_rows)
            parts.append(self._slab(number).read(offset, end))
            start += end - offset
        return joined(parts)

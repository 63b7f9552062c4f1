"""Array-likes as arrays of real numbers, without a copy where their layout allows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from relunet.errors import DataError, DataTypeError

__all__ = ["as_matrix", "as_real", "as_vector"]


def as_matrix(values: Any, name: str) -> NDArray[Any]:
    """Return `values` as a matrix of at least one column."""
    array = as_real(values, name)
    if array.ndim != 2:
        hint = ". Reshape your data: X[:, None] is one column, X[None, :] one row" if array.ndim == 1 else ""
        raise DataError(f"{name}: shape {array.shape}; expected 2 dimensions, (n_rows, n_columns){hint}")
    if array.shape[1] == 0:
        raise DataError(f"{name}: 0 feature(s) (shape={array.shape}) while a minimum of 1 is required.")
    return array


def as_vector(values: Any, name: str) -> NDArray[Any]:
    """Return `values` as one value a row."""
    array = as_real(values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"{name}: shape {array.shape}; expected (n_rows,): one value a row")
    return array


def as_real(values: Any, name: str) -> NDArray[Any]:
    """Return a view of `values`, or a copy where they are not aligned native ``float32`` or ``float64``."""
    if hasattr(values, "toarray") and hasattr(values, "nnz"):
        raise DataError(f"{name}: sparse {type(values).__name__}; expected a dense array, such as {name}.toarray()")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise DataError(f"{name}: masked array with missing values; drop or fill these rows first")
    if not hasattr(values, "__array__") and hasattr(values, "to_numpy"):
        values = values.to_numpy()
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: no array can be made of this {type(values).__name__}: {error}") from error
    if array.dtype.kind == "c":
        raise DataError(f"{name}: Complex data not supported (dtype {array.dtype}); expected real numbers")
    if array.dtype.kind not in "fiubO":
        raise DataError(f"{name}: dtype {array.dtype}; expected real numbers")
    native = array.dtype.newbyteorder("=")
    if native in (np.float32, np.float64):
        regular = array.flags.aligned and all(stride % array.itemsize == 0 for stride in array.strides)
        # a view of our own: its shape stays as it is whatever the caller does to the array
        return array.view() if regular and array.dtype.isnative else array.astype(native)
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataTypeError(f"{name}: dtype {array.dtype} with values that are not real numbers: {error}") from error

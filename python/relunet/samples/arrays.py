"""Array-likes as arrays of real numbers, without a copy where their layout allows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from relunet._relunet import ArrowStream
from relunet.errors import DataError, DataTypeError
from relunet.samples.names import columns_of

__all__ = ["as_labels", "as_matrix", "as_real", "as_vector", "check_arrow"]


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


def as_labels(values: Any, name: str) -> NDArray[Any]:
    """Return `values` as labels: (n,) for one a row, (n, m) for m > 1."""
    array = as_real(values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2):
        raise DataError(f"{name}: shape {array.shape}; expected (n_rows,) or (n_rows, n_outputs)")
    if array.ndim == 2 and array.shape[1] == 0:
        raise DataError(f"{name}: shape {array.shape}; expected at least one column of labels")
    return array


def as_real(values: Any, name: str) -> NDArray[Any]:
    """Return a view of `values`, or a copy where they are not aligned native ``float32`` or ``float64``."""
    if hasattr(values, "toarray") and hasattr(values, "nnz"):
        raise DataError(f"{name}: sparse {type(values).__name__}; expected a dense array, such as {name}.toarray()")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise DataError(f"{name}: masked array with missing values; drop or fill these rows first")
    original, values = values, _in_memory(values, name)
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError, LookupError) as error:
        raise DataError(f"{name}: no array can be made of this {type(values).__name__}: {error}") from error
    if array.dtype.kind == "c":
        raise DataError(f"{name}: Complex data not supported (dtype {array.dtype}); expected real numbers")
    # the numbers of ml_dtypes, such as bfloat16, are of kind V; raw bytes, of the same kind, are no numbers
    is_number = array.dtype.kind in "fiubO" or (array.dtype.names is None and np.can_cast(array.dtype, np.float64))
    if not is_number:
        raise DataError(f"{name}: dtype {array.dtype}; expected real numbers")
    native = array.dtype.newbyteorder("=")
    if native in (np.float32, np.float64):
        regular = array.flags.aligned and all(stride % array.itemsize == 0 for stride in array.strides)
        # a view of our own: its shape stays as it is whatever the caller does to the array
        return array.view() if regular and array.dtype.isnative else array.astype(native)
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        place = _place_of_no_number(array, columns_of(original))
        raise DataTypeError(f"{name}{place}; expected real numbers: {error}") from error


def check_arrow(values: Any, name: str) -> None:
    """Require that the buffers of a table of pyarrow fit its schema.

    Tables from files of Arrow's IPC format are not checked by pyarrow when they are read, and the interface by which
    they are handed over does not tell the sizes of buffers.

    Raises
    ------
    DataError
        Buffers that are too short, or indices and offsets that lead out of them.
    """
    if type(values).__module__.partition(".")[0] == "pyarrow" and hasattr(values, "validate"):
        try:
            values.validate(full=True)
        except (ValueError, IndexError) as error:
            raise DataError(f"{name}: is damaged: {error}") from error


def _in_memory(values: Any, name: str) -> Any:
    """Return an object of which NumPy can make an array."""
    check_arrow(values, name)
    if hasattr(values, "__array__"):
        if hasattr(values, "detach"):
            values = values.detach().cpu()
            # NumPy has no bfloat16, of which each number is one in single precision
            return values.float() if str(values.dtype) == "torch.bfloat16" else values
        return values
    if hasattr(values, "collect_schema") and hasattr(values, "collect"):
        return values.collect()
    if hasattr(values, "to_numpy"):
        return values.to_numpy()
    if hasattr(values, "__arrow_c_stream__"):
        table = ArrowStream(values.__arrow_c_stream__(), name).table()
        if table.n_rows == 0:
            raise DataError(f"{name}: 0 rows; at least 1 is needed")
        return table.read(0, table.n_rows)[0]
    return values


def _place_of_no_number(array: NDArray[Any], columns: list[Any] | None) -> str:
    """Return the row and column of the first object that is no number, for a message."""
    for place, value in np.ndenumerate(array):
        try:
            float(value)
        except (TypeError, ValueError):
            row, *column = place
            named = [columns[column[0]] if columns and len(columns) == array.shape[1] else column[0]] if column else []
            where = f", column {named[0]!r}" if named else ""
            return f", row {row}{where}: {value!r} of type {type(value).__name__}"
    return f": dtype {array.dtype}"

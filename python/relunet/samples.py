"""Where rows come from: lazy, re-readable tables of inputs, labels and weights, one protocol for all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from relunet._relunet import ArraySource, NpySource
from relunet.errors import ArgumentError, DataError, DataTypeError

__all__ = ["Samples", "scan_array", "scan_npy"]

Source: TypeAlias = ArraySource | NpySource
Rows: TypeAlias = tuple[NDArray[Any], NDArray[np.float64] | None, NDArray[np.float64] | None]


@runtime_checkable
class Samples(Protocol):
    """Rows ``(x, y, weight)`` that can be read again and again, a block at a time.

    Every sweep of a fit reads all rows once, in blocks cut by row number, so that the same data give the same bits
    from whatever source. Nothing is read before it is asked for, and no more than a block is held for each thread.
    """

    @property
    def n_rows(self) -> int:
        """Number of rows, at least 1."""

    @property
    def n_columns(self) -> int:
        """Number of input columns, at least 1."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the input columns."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """``float32`` or ``float64``, as the inputs are stored; integers and booleans count as ``float64``."""

    @property
    def has_labels(self) -> bool:
        """Whether rows carry labels."""

    @property
    def source(self) -> Source:
        """The compiled source that sweeps read."""

    def blocks(self, size: int = 65_536) -> Iterator[Rows]:
        """All rows in order, `size` at a time (the last block may be shorter).

        Parameters
        ----------
        size : int, default 65536
            Rows a block.

        Yields
        ------
        X : array of shape (rows, n_columns) and type `dtype`
        y : array of shape (rows,) and type float64, or None without labels
        weight : array of shape (rows,) and type float64, or None where every row counts once

        Raises
        ------
        DataError
            For NaN, infinity or a negative weight, naming the argument or file, row and column.
        FileError
            For a file that shrank or changed.
        """


@dataclass(frozen=True, repr=False)
class _SourceSamples:
    """Samples behind a compiled source."""

    source: Source
    columns: tuple[str, ...]
    origin: str

    @property
    def n_rows(self) -> int:
        return self.source.n_rows

    @property
    def n_columns(self) -> int:
        return self.source.n_columns

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.source.dtype)

    @property
    def has_labels(self) -> bool:
        return self.source.has_labels

    def blocks(self, size: int = 65_536) -> Iterator[Rows]:
        if size < 1:
            raise ArgumentError(f"size: {size}; expected at least 1")
        return self._blocks(size)

    def _blocks(self, size: int) -> Iterator[Rows]:
        for start in range(0, self.n_rows, size):
            X, y, weight = self.source.read(start, min(start + size, self.n_rows))
            yield X.astype(self.dtype, copy=False), y, weight

    def __repr__(self) -> str:
        labels = "labelled" if self.has_labels else "unlabelled"
        return f"<Samples from {self.origin}: {self.n_rows} {labels} rows, {self.n_columns} columns, {self.dtype}>"


def scan_array(X: Any, y: Any = None, sample_weight: Any = None) -> Samples:
    """Rows of an array or data frame in memory.

    Arrays of ``float32`` and ``float64`` are read where they lie, in any layout: they are not copied, and later changes
    to them show. Integers, booleans, half precision and objects that are numbers are converted once, to ``float64``;
    foreign byte order is turned once.

    Parameters
    ----------
    X : array_like of shape (n_rows, n_columns)
        Inputs: an array, nested lists, or a data frame, whose column names are kept.
    y : array_like of shape (n_rows,) or (n_rows, 1), optional
        Labels.
    sample_weight : array_like of shape (n_rows,), optional
        Weights of at least 0; None gives each row the weight 1.

    Returns
    -------
    Samples

    Raises
    ------
    DataError
        For values that are not real numbers, wrong shapes or lengths, no rows, no columns.

    Examples
    --------
    >>> import numpy as np
    >>> from relunet import scan_array
    >>> samples = scan_array(np.arange(6.0).reshape(3, 2), y=[1, 2, 3])
    >>> samples
    <Samples from arrays: 3 labelled rows, 2 columns, float64>
    >>> [X.shape for X, y, weight in samples.blocks(size=2)]
    [(2, 2), (1, 2)]
    """
    inputs = _as_real(X, "X")
    if inputs.ndim != 2:
        hint = ". Reshape your data: X[:, None] is one column, X[None, :] one row" if inputs.ndim == 1 else ""
        raise DataError(f"X: shape {inputs.shape}; expected 2 dimensions, (n_rows, n_columns){hint}")
    if inputs.shape[1] == 0:
        raise DataError(f"X: 0 feature(s) (shape={inputs.shape}) while a minimum of 1 is required.")
    labels = None if y is None else _as_vector(y, "y")
    weight = None if sample_weight is None else _as_vector(sample_weight, "sample_weight")
    return _SourceSamples(ArraySource(inputs, labels, weight), _column_names(X, inputs.shape[1]), "arrays")


def scan_npy(
    x: str | os.PathLike[str],
    y: str | os.PathLike[str] | None = None,
    *,
    target: int | None = None,
    columns: Sequence[int] | None = None,
    weight: int | str | os.PathLike[str] | None = None,
) -> Samples:
    """Rows of ``.npy`` files, which may be larger than memory.

    The files are read by position, block by block, and never mapped into memory. They hold ``float16``, ``float32``,
    ``float64``, integers or booleans in either byte order; C order is fastest, Fortran order is read column by column.

    Parameters
    ----------
    x : path
        File of shape (n_rows, n_columns).
    y : path, optional
        Labels, a file of shape (n_rows,) or (n_rows, 1).
    target : int, optional
        Column of `x` that holds the labels, instead of `y`; -1 is the last.
    columns : sequence of int, optional
        Columns of `x` that are the inputs, in this order; by default all but `target` and `weight`.
    weight : int or path, optional
        Weights of at least 0: a column of `x`, or a file of shape (n_rows,) or (n_rows, 1).

    Returns
    -------
    Samples
        Columns are named ``x0``, ``x1``, ... by their place in the file.

    Raises
    ------
    FileError
        For a file that is missing, unreadable, truncated or not a ``.npy`` file; while reading, for one that changed.
    DataError
        For values that are not real numbers, wrong shapes or lengths, no rows, no columns.
    ArgumentError
        For columns that do not exist or are used twice.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from relunet import scan_npy
    >>> path = os.path.join(tempfile.mkdtemp(), "samples.npy")
    >>> np.save(path, np.arange(12.0).reshape(4, 3))
    >>> samples = scan_npy(path, target=-1)
    >>> samples.columns
    ('x0', 'x1')
    >>> X, y, weight = next(samples.blocks(size=2))
    >>> y
    array([2., 5.])
    """
    source = NpySource(x, y, target=target, columns=None if columns is None else list(columns), weight=weight)
    names = tuple(f"x{column}" for column in source.columns)
    return _SourceSamples(source, names, os.fspath(x))


def _as_vector(values: Any, name: str) -> NDArray[Any]:
    array = _as_real(values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"{name}: shape {array.shape}; expected (n_rows,): one value a row")
    return array


def _as_real(values: Any, name: str) -> NDArray[Any]:
    """A view of `values`, or a copy where they are not aligned native ``float32`` or ``float64``."""
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


def _column_names(X: Any, n_columns: int) -> tuple[str, ...]:
    names = getattr(X, "columns", None)
    if names is not None and len(names) == n_columns:
        return tuple(str(name) for name in names)
    return tuple(f"x{column}" for column in range(n_columns))

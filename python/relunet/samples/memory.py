"""Samples in memory: `scan_array`, `scan_arrow` and `scan_batches`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, Literal, TypeAlias

import numpy as np

from relunet._relunet import ArraySource, ArrowStream, RowReader, TableSource
from relunet.errors import ArgumentError, DataError
from relunet.samples.arrays import as_labels, as_matrix, as_vector, check_arrow
from relunet.samples.arrow import ArrowTables
from relunet.samples.batches import IndexedBatches
from relunet.samples.files import scan_npy
from relunet.samples.names import columns_of, default_names, string_names
from relunet.samples.paths import Column, PathLike, Target, checked_column, checked_columns, checked_target
from relunet.samples.pieces import OnwardReader, Piece, Shape, pieces_of
from relunet.samples.protocol import Samples, SourceSamples
from relunet.samples.sliced import SlicedArrays, is_sliced
from relunet.samples.spill import spill

__all__ = ["scan_array", "scan_arrow", "scan_batches"]

Spill: TypeAlias = PathLike | bool | None


def scan_array(X: Any, y: Any = None, sample_weight: Any = None) -> Samples:
    """Rows of an array or data frame in memory, or of an array that is read by slices.

    Arrays of ``float32`` and ``float64`` are read where they lie, in any layout: they are not copied, and later changes
    to them show. Integers, booleans, half precision, bfloat16 and objects that are numbers are converted once, to
    ``float64``; foreign byte order is turned once. Queries of polars and duckdb are computed once. Datasets of
    h5py, arrays of zarr and other objects with a shape, a dtype and slices of rows stay where they are: their rows are
    read as they are needed, a chunk or a block at a time.

    Parameters
    ----------
    X : array_like of shape (n_rows, n_columns)
        Inputs: an array, nested lists, a data frame, whose column names are kept, or an array that is read by slices.
    y : array_like of shape (n_rows,) or (n_rows, n_outputs), optional
        Labels; each column is an output. A single column is the same as one dimension.
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
    again = partial(scan_array, X, y, sample_weight)
    if is_sliced(X):
        sliced = SlicedArrays(X, y, sample_weight)
        reader = _row_reader(sliced, type(X).__name__, sliced.n_rows, sliced.shape, sequential=False)
        return SourceSamples(reader, default_names(sliced.shape.n_columns), f"a {type(X).__name__}", again)
    names = string_names(X)
    inputs = as_matrix(X, "X")
    labels = None if y is None else as_labels(y, "y")
    weight = None if sample_weight is None else as_vector(sample_weight, "sample_weight")
    columns = names or _columns(X, inputs.shape[1])
    label_names = string_names(y) if labels is not None and labels.ndim == 2 else None
    source = ArraySource(inputs, labels, weight, names=names, label_names=label_names)
    return SourceSamples(source, columns, "arrays", again, feature_names=names)


def scan_arrow(
    obj: Any,
    *,
    target: Target,
    columns: Sequence[Column] | None = None,
    weight: Column | None = None,
    spill: Spill = None,
) -> Samples:
    """Rows of an object that speaks Arrow's PyCapsule protocol: tables of pandas, polars, pyarrow, duckdb and others.

    Tables whose columns lie in memory as Arrow sees them are read where they lie, by several threads. Of all others,
    such as a query of duckdb, each sweep reads a new stream, batch by batch. Nothing of pyarrow is needed for it. A
    lazy frame of polars is collected first.

    Columns hold what `scan_parquet` reads, which includes decimals and lists that are equally long, or dictionaries of
    numbers. The index of a pandas frame is no input.

    Parameters
    ----------
    obj : object with ``__arrow_c_stream__``
        It has to give the same rows each time: sort a query whose rows come in no certain order.
    target, columns, weight : str, int or sequence of these
        As for `scan_parquet`.
    spill : path or True, optional
        Write the rows to ``.npy`` files first, in this folder, or in a temporary one that goes away with the samples:
        for streams that give their rows only once, and for queries that take long.

    Returns
    -------
    Samples

    Raises
    ------
    DataError, ArgumentError
        As for `scan_parquet`; DataError, while reading, for other rows than before; ArgumentError for objects without
        the protocol, and for one-shot streams without `spill`.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"heat": [1.0, 2.0], "yield": [0.5, 0.25]})
    >>> scan_arrow(frame, target="yield")
    <Samples from a DataFrame: 2 labelled rows, 1 columns, float64>
    """
    kind = type(obj).__name__
    if hasattr(obj, "collect_schema") and hasattr(obj, "collect"):
        obj = obj.collect()
    if not hasattr(obj, "__arrow_c_stream__"):
        raise ArgumentError(f"obj: {kind} has no __arrow_c_stream__; expected a table or data frame that speaks Arrow")
    wanted: dict[str, Any] = {
        "target": checked_target(target),
        "columns": checked_columns("columns", columns),
        "weight": checked_column("weight", weight),
    }
    check_arrow(obj, kind)
    tables = ArrowTables(obj, kind, wanted)
    stream = tables.open()
    if spill is not None and spill is not False:
        first, _ = _first_table(stream, kind)
        rest = ArrowTables.pieces(stream)
        names = tuple(first.columns)
        return _spilled(chain([first], rest), spill, kind, names, names, np.dtype(first.dtype))
    if any(hasattr(obj, name) for name in ("__next__", "read_next_batch", "read_next")):
        raise ArgumentError(_one_shot("obj", kind, "pass the table or query that it comes from"))
    again = partial(scan_arrow, obj, **wanted)
    # one stream after another, for a query may have only one; the first batch stays, and so does its place in memory
    first, address = _first_table(stream, kind)
    n_rows = first.n_rows + sum(table.n_rows for table in ArrowTables.pieces(stream))
    del stream
    other, other_address = _first_table(tables.open(), kind)
    names, origin = tuple(first.columns), f"a {kind}"
    if address == other_address != 0:
        return SourceSamples(tables.open().table(), names, origin, again, feature_names=names)
    n_same = min(first.n_rows, other.n_rows, 64)
    if not np.array_equal(first.read(0, n_same)[0], other.read(0, n_same)[0]):
        raise ArgumentError(_one_shot("obj", kind, "sort the query, or pass a table"))
    shape = Shape(first.n_columns, np.dtype(first.dtype), first.n_outputs, weight is not None)
    reader = _row_reader(OnwardReader(tables, n_rows, kind), kind, n_rows, shape, sequential=True)
    return SourceSamples(reader, names, origin, again, is_sequential=True, feature_names=names)


def scan_batches(factory: Any, *, n_rows: int | None = None, spill: Spill = None) -> Samples:
    """Rows that come in batches of any sizes, from a function, a sequence or any object that can be iterated anew.

    Parameters
    ----------
    factory : callable, sequence or iterable
        A function without parameters that returns an iterator of batches, the same rows each time; every sweep calls
        it once. Or a sequence of batches (``len`` and ``[i]``), which several threads read at several places: make the
        i-th batch from the seed i, and rows that are nowhere stored are generated by every core. Or another iterable,
        but no iterator. A batch is ``X``, ``(X, y)`` or ``(X, y, weight)``, a tuple or a list, with parts as for
        `scan_array`; columns of data frames may come in another order than in the first batch.
    n_rows : int, optional
        Rows in all. By default one pass counts them. For a sequence it says as well that all batches but the last
        have as many rows as the first.
    spill : path or True, optional
        As for `scan_arrow`: for generators and other iterators, which give their rows only once, and for functions that
        take long.

    Returns
    -------
    Samples

    Raises
    ------
    ArgumentError
        For iterators without `spill`.
    DataError
        For batches of different columns or types, no rows; while reading, for NaN, infinity or a negative weight, and
        for other rows than before.

    Examples
    --------
    >>> import numpy as np
    >>> from relunet import scan_batches
    >>> def batches():
    ...     rng = np.random.default_rng(0)
    ...     for size in (1000, 500):
    ...         X = rng.standard_normal((size, 3))
    ...         yield X, np.maximum(X[:, 0], 0)
    >>> scan_batches(batches)
    <Samples from batches: 1500 labelled rows, 3 columns, float64>
    """
    name = getattr(factory, "__name__", type(factory).__name__)
    if not callable(factory) and not hasattr(factory, "__iter__") and not hasattr(factory, "__getitem__"):
        raise ArgumentError(f"factory: {name}; expected a function that returns an iterator of batches, or a sequence")
    if n_rows is not None and n_rows < 1:
        raise ArgumentError(f"n_rows: {n_rows}; expected at least 1")

    def start() -> Iterator[Any]:
        return iter(factory() if callable(factory) else factory)

    if spill is not None and spill is not False:
        pieces = pieces_of(start(), name)
        first = next((piece for piece in pieces if piece.n_rows), None)
        if first is None:
            raise DataError(f"{name}: 0 rows; at least 1 is needed")
        shape = first.shape
        columns = shape.names or default_names(shape.n_columns)
        return _spilled(chain([first], pieces), spill, name, columns, shape.names, shape.dtype)
    if isinstance(factory, Iterator):
        raise ArgumentError(_one_shot("factory", name, "pass a function that returns a new iterator"))
    read: IndexedBatches | OnwardReader
    if not callable(factory) and hasattr(factory, "__len__") and hasattr(factory, "__getitem__"):
        read = IndexedBatches(factory, name, n_rows)
        n_rows, shape = read.n_rows, read.shape
    else:
        batches = start()
        if batches is start():
            raise ArgumentError(_one_shot("factory", name, "return a new iterator from each call"))
        pieces = pieces_of(batches, name)
        first = next(pieces, None)
        if first is None:
            raise DataError(f"{name}: no batches; expected at least 1")
        shape = first.shape
        if n_rows is None:
            n_rows = first.n_rows + sum(piece.n_rows for piece in pieces)
        read = OnwardReader(lambda: pieces_of(start(), name, shape), n_rows, name)
    if n_rows == 0:
        raise DataError(f"{name}: 0 rows; at least 1 is needed")
    sequential = isinstance(read, OnwardReader)
    reader = _row_reader(read, name, n_rows, shape, sequential=sequential)
    again = partial(scan_batches, factory, n_rows=n_rows)
    columns = shape.names or default_names(shape.n_columns)
    return SourceSamples(reader, columns, name, again, is_sequential=sequential, feature_names=shape.names)


def _row_reader(
    read: Callable[[int, int], Any], origin: str, n_rows: int, shape: Shape, *, sequential: bool
) -> RowReader:
    return RowReader(
        read,
        origin,
        n_rows=n_rows,
        n_columns=shape.n_columns,
        single=shape.dtype == np.float32,
        n_outputs=shape.n_outputs,
        sequential=sequential,
        names=shape.names,
    )


def _spilled(
    pieces: Iterator[Piece],
    folder: PathLike | Literal[True],
    origin: str,
    columns: tuple[str, ...],
    names: tuple[str, ...] | None,
    dtype: np.dtype[Any],
) -> Samples:
    """Return the samples of rows that are written to disk first."""
    paths, keeper = spill(pieces, None if folder is True else folder, dtype, origin)
    files = {name: os.path.abspath(path) for name, path in paths.items()}
    samples = _read_spilled(files, f"{origin}, spilled", columns, names)
    return replace(samples, keeper=keeper)


def _read_spilled(
    files: dict[str, str], origin: str, columns: tuple[str, ...], names: tuple[str, ...] | None
) -> SourceSamples:
    samples = scan_npy(files["x"], files.get("y"), weight=files.get("weight"))
    assert isinstance(samples, SourceSamples)
    again = partial(_read_spilled, files, origin, columns, names)
    return SourceSamples(samples.source, columns, origin, again, feature_names=names)


def _one_shot(argument: str, kind: str, instead: str) -> str:
    return (
        f"{argument}: {kind} gives its rows only once or in no certain order, and a fit reads them many times; "
        f"{instead}, or have the rows written to disk: spill=True or a folder"
    )


def _first_table(stream: ArrowStream, origin: str) -> tuple[TableSource, int]:
    """Return the first batch that has rows, and where it lies in memory."""
    while (found := stream.next_table()) is not None:
        if found[0].n_rows:
            return found
    raise DataError(f"{origin}: 0 rows; at least 1 is needed")


def _columns(X: Any, n_columns: int) -> tuple[str, ...]:
    """Return what to call columns that are not named by strings."""
    columns = columns_of(X)
    return tuple(map(str, columns)) if columns and len(columns) == n_columns else default_names(n_columns)

"""Samples in files: `scan_npy`, `scan_parquet` and `scan_csv`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from relunet._relunet import NpySource, TableSource, open_csv, open_parquet
from relunet.errors import ArgumentError
from relunet.samples.paths import (
    Column,
    File,
    PathLike,
    Target,
    absolute,
    checked_column,
    checked_columns,
    checked_target,
    files_of,
    origin_of,
)
from relunet.samples.protocol import Samples, SourceSamples

__all__ = ["scan_csv", "scan_npy", "scan_parquet"]


def scan_npy(
    x: PathLike | Iterable[PathLike],
    y: PathLike | Iterable[PathLike] | None = None,
    *,
    target: int | Sequence[int] | None = None,
    columns: Sequence[int] | None = None,
    weight: int | PathLike | Iterable[PathLike] | None = None,
) -> Samples:
    """Rows of ``.npy`` files, which may be larger than memory.

    The files are read by position, block by block, and never mapped into memory. They hold ``float16``, ``bfloat16``,
    ``float32``, ``float64``, integers or booleans in either byte order; C order is fastest, Fortran order is read
    column by column.

    Parameters
    ----------
    x : path or sequence of paths
        File of shape (n_rows, n_columns), a folder, a pattern with ``*``, ``?``, ``**``, or several of them, whose rows
        follow each other.
    y : path or sequence of paths, optional
        Labels, files of shape (n_rows,) or (n_rows, n_outputs). They need not be cut as those of `x` are.
    target : int or sequence of int, optional
        Column of `x` that holds the labels, instead of `y`, or one column for each output; -1 is the last.
    columns : sequence of int, optional
        Columns of `x` that are the inputs, in this order; by default all but `target` and `weight`.
    weight : int, path or sequence of paths, optional
        Weights of at least 0: a column of `x`, or files of shape (n_rows,) or (n_rows, 1).

    Returns
    -------
    Samples
        Columns are called ``x0``, ``x1``, ... by their place in the file; they have no names of their own.

    Raises
    ------
    FileError
        A file that is missing, unreadable, truncated or not a ``.npy`` file; while reading, one that changed.
    DataError
        Values that are not real numbers, wrong shapes or lengths, no rows, no columns.
    ArgumentError
        Columns that do not exist or are used twice, open files, paths of another machine.

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
    weights: int | list[File] | None
    if weight is None or hasattr(weight, "__index__"):
        weights = _number("weight", weight)
    else:
        weights = files_of(weight, (".npy",), "weight")
    files = files_of(x, (".npy",), "x"), None if y is None else files_of(y, (".npy",), "y"), weights
    wanted = [_number("columns", column) for column in columns] if columns is not None else None
    labels = checked_target(target)
    numbers = (
        [_number("target", column) for column in labels] if isinstance(labels, list) else _number("target", labels)
    )
    return _npy(*files, origin_of(x), numbers, wanted)


def _number(argument: str, column: Any) -> int | None:
    number = checked_column(argument, column)
    if isinstance(number, str):
        raise ArgumentError(f"{argument}: {number!r}; expected a number, because columns of .npy files have no names")
    return number


def _npy(
    x: list[File],
    y: list[File] | None,
    weight: int | list[File] | None,
    origin: str,
    target: Any,
    columns: list[Any] | None,
) -> SourceSamples:
    def paths(files: list[File]) -> list[str]:
        return [path for path, _ in files]

    source = NpySource(
        paths(x),
        None if y is None else paths(y),
        target=target,
        columns=columns,
        weight=paths(weight) if isinstance(weight, list) else weight,
    )
    weight = absolute(weight) if isinstance(weight, list) else weight
    again = partial(_npy, absolute(x), None if y is None else absolute(y), weight, origin, target, columns)
    return SourceSamples(source, tuple(f"x{column}" for column in source.columns), origin, again)


def scan_parquet(
    path: PathLike | Iterable[PathLike],
    *,
    target: Target,
    columns: Sequence[Column] | None = None,
    weight: Column | None = None,
) -> Samples:
    """Rows of Parquet files, which may be larger than memory.

    The files are read in Rust, without pyarrow: pages are decoded as rows are asked for, several row groups at a time,
    and each thread holds a page of each column and its dictionary, if it has one, and no more. Columns hold
    ``float16``, ``float32``, ``float64``, decimals, integers or booleans without nulls, or lists of these that are
    equally long: a list column ``x`` of three numbers is the features ``x[0]``, ``x[1]`` and ``x[2]``. Pages may be
    compressed by snappy, zstd, lz4, gzip or brotli. Encrypted files are refused.

    Parameters
    ----------
    path : path or sequence of paths
        A file, a folder (all ``.parquet`` files in it and below, by name; names that start with a dot or an underscore
        are passed over), or a pattern with ``*``, ``?``, ``**``. All files have the columns of the first, in any order.
        Folders ``key=value`` below the given one, or below the first wildcard, are a column ``key`` of numbers.
    target : str, int, sequence of these, or None
        Column of the labels: its name, or its number, where -1 is the last; a sequence has one column for each output,
        and a column of lists is one output for each of their numbers. None for rows without labels. Numbers count the
        columns that the files store, without an index of pandas after them.
    columns : sequence of str or int, optional
        Columns that are the inputs, in this order; by default all but `target`, `weight` and an index of pandas.
    weight : str or int, optional
        Column of weights of at least 0.

    Returns
    -------
    Samples

    Raises
    ------
    FileError
        Files that are missing, unreadable, truncated or damaged; while reading, one that changed.
    DataError
        Columns that hold other than real numbers, no rows, no columns; while reading, null, NaN or infinity.
    ArgumentError
        Columns that do not exist or are used twice, open files, paths of another machine.

    Examples
    --------
    >>> import os, tempfile
    >>> import pandas as pd
    >>> from relunet import scan_parquet
    >>> folder = tempfile.mkdtemp()
    >>> frame = pd.DataFrame({"heat": [1.0, 3.0], "flow": [2.0, 4.0], "yield": [0.5, 0.25]})
    >>> frame.to_parquet(os.path.join(folder, "monday.parquet"))
    >>> scan_parquet(os.path.join(folder, "*.parquet"), target="yield", columns=["heat"]).columns
    ('heat',)
    """
    return _parquet(files_of(path, (".parquet", ".pq")), origin_of(path), _wanted(target, columns, weight))


def _parquet(files: list[File], origin: str, wanted: dict[str, Any]) -> SourceSamples:
    source = open_parquet(files, **wanted)
    return _of_table(source, origin, partial(_parquet, absolute(files), origin, wanted))


def _wanted(target: Any, columns: Any, weight: Any) -> dict[str, Any]:
    return {
        "target": checked_target(target),
        "columns": checked_columns("columns", columns),
        "weight": checked_column("weight", weight),
    }


def _of_table(source: TableSource, origin: str, again: Callable[[], Samples], has_names: bool = True) -> SourceSamples:
    names = tuple(source.columns)
    return SourceSamples(
        source,
        names,
        origin,
        again,
        is_sequential=source.is_sequential,
        feature_names=names if has_names else None,
    )


def scan_csv(
    path: PathLike | Iterable[PathLike],
    *,
    target: Target,
    columns: Sequence[Column] | None = None,
    weight: Column | None = None,
    names: Sequence[str] | None = None,
    delimiter: str = ",",
    header: bool | None = None,
) -> Samples:
    r"""Rows of CSV files, which may be larger than memory.

    One pass counts the rows and marks places in the files; then rows are parsed each time they are read. Where a fit
    takes long, a file of another kind is faster: text is parsed anew in every sweep. Files that gzip has compressed are
    read as they are, by one thread.

    Parameters
    ----------
    path : path or sequence of paths
        A file, a folder (all ``.csv`` and ``.csv.gz`` files in it and below, by name, and ``.tsv`` where tabs delimit),
        or a pattern, as for `scan_parquet`. All files have the columns of the first, in any order.
    target, columns, weight : str, int or sequence of these
        As for `scan_parquet`.
    names : sequence of str, optional
        Names of all columns, for files without a row of names.
    delimiter : str, default=","
        One character of ASCII.
    header : bool, default=None
        Whether the first row of each file holds names. By default it does unless `names` are given, and a first row
        with numbers in columns that are read by their numbers is refused: it may be a row of samples. With False, and
        without `names`, columns are called ``x0``, ``x1``, ...

    Returns
    -------
    Samples
        Values are ``float64``. Columns that are not used may hold anything. A first column without a name, in which
        programs write the labels of rows, is no input.

    Raises
    ------
    FileError, DataError, ArgumentError
        As for `scan_parquet`; DataError for rows of another number of fields than there are columns and, while reading,
        for fields that are no finite numbers, by row, column and line; ArgumentError for a first row that may be a row
        of samples, and for one that another delimiter seems to divide.

    Examples
    --------
    >>> import os, tempfile
    >>> from relunet import scan_csv
    >>> path = os.path.join(tempfile.mkdtemp(), "samples.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("heat,flow,yield\n1,2,0.5\n3,4,0.25\n")
    >>> samples = scan_csv(path, target="yield")
    >>> samples.columns, samples.n_rows
    (('heat', 'flow'), 2)
    """
    if not isinstance(delimiter, str) or len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
        raise ArgumentError(f"delimiter: {delimiter!r}; expected one character of ASCII, no quote and no line break")
    if isinstance(names, str):
        raise ArgumentError(f"names: the string {names!r}; expected a sequence of names")
    wanted = _wanted(target, columns, weight)
    layout = {"names": None if names is None else [str(name) for name in names], "header": header}
    suffixes = (".csv", ".csv.gz", *((".tsv", ".tsv.gz") if delimiter == "\t" else ()))
    return _csv(files_of(path, suffixes), origin_of(path), ord(delimiter), layout, wanted)


def _csv(
    files: list[File], origin: str, delimiter: int, layout: dict[str, Any], wanted: dict[str, Any]
) -> SourceSamples:
    source = open_csv(files, delimiter, **layout, **wanted)
    again = partial(_csv, absolute(files), origin, delimiter, layout, wanted)
    return _of_table(source, origin, again, has_names=layout["names"] is not None or layout["header"] is not False)

"""Samples in files: .npy, Parquet, CSV."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from relunet._relunet import NpySource, open_csv, open_parquet
from relunet.errors import ArgumentError, FileError
from relunet.samples.protocol import Samples, SourceSamples

__all__ = ["listed", "scan_csv", "scan_npy", "scan_parquet"]

PathLike: TypeAlias = str | os.PathLike[str]
Column: TypeAlias = int | str


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
    again = partial(
        scan_npy,
        os.path.abspath(x),
        None if y is None else os.path.abspath(y),
        target=target,
        columns=columns,
        weight=os.path.abspath(weight) if isinstance(weight, str | os.PathLike) else weight,
    )
    return SourceSamples(source, names, os.fspath(x), again)


def scan_parquet(
    path: PathLike | Sequence[PathLike],
    *,
    target: Column | None,
    columns: Sequence[Column] | None = None,
    weight: Column | None = None,
) -> Samples:
    """Rows of Parquet files, which may be larger than memory.

    The files are read in Rust, without pyarrow: pages are decoded as rows are asked for, several row groups at a time,
    and each thread holds a page of each column and its dictionary, if it has one, and no more. Columns hold
    ``float16``, ``float32``, ``float64``, integers or booleans without nulls. Pages may be compressed by snappy, zstd,
    lz4 or gzip.

    Parameters
    ----------
    path : path or sequence of paths
        A file, a folder (all ``.parquet`` files in it and below, by name; names that start with a dot or an underscore
        are passed over), or a pattern with ``*``, ``?``, ``**``. All files have the columns of the first.
    target : str, int or None
        Column of the labels: its name, or its number, where -1 is the last. None for rows without labels.
    columns : sequence of str or int, optional
        Columns that are the inputs, in this order; by default all but `target` and `weight`.
    weight : str or int, optional
        Column of weights of at least 0.

    Returns
    -------
    Samples

    Raises
    ------
    FileError
        For files that are missing, unreadable, truncated or damaged; while reading, for one that changed.
    DataError
        For columns that hold other than real numbers, no rows, no columns; while reading, for null, NaN or infinity.
    ArgumentError
        For columns that do not exist or are used twice.

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
    paths = _files(path, (".parquet", ".pq"))
    source = open_parquet(paths, target=target, columns=listed(columns), weight=weight)
    again = partial(scan_parquet, _absolute(paths), target=target, columns=columns, weight=weight)
    return SourceSamples(source, tuple(source.columns), _origin(path), again)


def scan_csv(
    path: PathLike | Sequence[PathLike],
    *,
    target: Column | None,
    columns: Sequence[Column] | None = None,
    weight: Column | None = None,
    names: Sequence[str] | None = None,
    delimiter: str = ",",
) -> Samples:
    r"""Rows of CSV files, which may be larger than memory.

    One pass counts the rows and marks places in the files; then rows are parsed each time they are read. Where a fit
    takes long, a file of another kind is faster: text is parsed anew in every sweep.

    Parameters
    ----------
    path : path or sequence of paths
        A file, a folder (all ``.csv`` files in it and below, by name), or a pattern with ``*``, ``?``, ``**``. All
        files have the same columns.
    target, columns, weight : str or int
        As for `scan_parquet`.
    names : sequence of str, optional
        Names of all columns of files that have no header. By default the first row of each file names them.
    delimiter : str, default ","
        One character of ASCII.

    Returns
    -------
    Samples
        Values are ``float64``. Columns that are not used may hold anything.

    Raises
    ------
    FileError, DataError, ArgumentError
        As for `scan_parquet`; DataError for rows of another number of fields than there are columns and, while reading,
        for fields that are no finite numbers, by row, column and line; ArgumentError for a header that is all numbers.

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
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
        raise ArgumentError(f"delimiter: {delimiter!r}; expected one character of ASCII, no quote and no line break")
    paths = _files(path, (".csv",))
    wanted: dict[str, Any] = {"target": target, "columns": listed(columns), "weight": weight}
    source = open_csv(paths, ord(delimiter), listed(names), **wanted)
    again = partial(scan_csv, _absolute(paths), **wanted, names=names, delimiter=delimiter)
    return SourceSamples(source, tuple(source.columns), _origin(path), again)


def _files(path: PathLike | Sequence[PathLike], suffixes: tuple[str, ...]) -> list[str]:
    """Return the files that a path, a folder, a pattern or a sequence of them stands for, in a certain order."""
    if not isinstance(path, str | os.PathLike):
        if len(path) == 0:
            raise ArgumentError("path: no paths; expected at least 1")
        return [file for part in path for file in _files(part, suffixes)]
    text = os.fspath(path)
    if os.path.isdir(text):
        below = (found for found in Path(text).rglob("*") if found.suffix.lower() in suffixes)
        files = sorted(
            str(found)
            for found in below
            if not any(part.startswith((".", "_")) for part in found.relative_to(text).parts)
        )
        if not files:
            raise FileError(f"{text}: no {suffixes[0]} file in this folder")
        return files
    if glob.has_magic(text) and not os.path.exists(text):
        files = sorted(glob.glob(text, recursive=True))
        if not files:
            raise FileError(f"{text}: no file matches")
        return files
    return [text]


def _absolute(paths: Sequence[str]) -> list[str]:
    return [os.path.abspath(path) for path in paths]


def listed(values: Sequence[Any] | None) -> list[Any] | None:
    """Return columns as a list; a string alone is no sequence of them."""
    if isinstance(values, str):
        raise ArgumentError(f"columns: the string {values!r}; expected a sequence of columns")
    return None if values is None else list(values)


def _origin(path: PathLike | Sequence[PathLike]) -> str:
    return os.fspath(path) if isinstance(path, str | os.PathLike) else f"{len(path)} files"

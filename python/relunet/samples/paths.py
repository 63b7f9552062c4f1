"""Resolution of paths, folders, patterns and sequences of them to files, with the columns that folder names define."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any, TypeAlias
from urllib.parse import unquote

from relunet.errors import ArgumentError, FileError

__all__ = [
    "Column",
    "File",
    "PathLike",
    "Target",
    "absolute",
    "checked_column",
    "checked_columns",
    "checked_target",
    "files_of",
    "origin_of",
]

PathLike: TypeAlias = str | os.PathLike[str]
Column: TypeAlias = int | str
Target: TypeAlias = Column | Sequence[Column] | None
"""The column of the labels, or one column for each output."""
File: TypeAlias = tuple[str, list[tuple[str, str]]]
"""A path, and the columns and values that the names of its folders tell."""

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_WILDCARDS = re.compile(r"[*?\[]")


def files_of(path: PathLike | Iterable[PathLike], suffixes: tuple[str, ...], argument: str = "path") -> list[File]:
    """Return the files that a path, a folder, a pattern or a sequence of them stands for, in a certain order.

    Parameters
    ----------
    path : path or sequence of paths
        A leading ``~`` is the home folder. Brackets in a pattern stand for themselves where files are found so.
    suffixes : tuple of str
        Of the files of a folder.
    argument : str, default="path"
        Name for messages.

    Returns
    -------
    list of (str, list of (str, str))
        Each file, and the columns and values that the folders ``column=value`` on the way to it tell, below the folder
        that was given or the first wildcard.

    Raises
    ------
    ArgumentError
        Something that is no path, such as an open file or an address on the network.
    FileError
        A folder without such files, a pattern that matches none.
    """
    if not isinstance(path, str | bytes | os.PathLike):
        if hasattr(path, "read") or not isinstance(path, Iterable):
            raise ArgumentError(
                f"{argument}: {type(path).__name__}; expected a path, a folder, a pattern or a sequence of paths. "
                f"Save an open file under a path first, or pass its rows to scan_array or scan_arrow"
            )
        parts = list(path)
        if not parts:
            raise ArgumentError(f"{argument}: no paths; expected at least 1")
        return [file for part in parts for file in files_of(part, suffixes, argument)]
    text = os.path.expanduser(os.fsdecode(path))
    if _REMOTE.match(text) and not os.path.exists(text):
        raise ArgumentError(
            f"{argument}: {text!r} is not on this machine; expected a local path. Download it first, or let another "
            f"library read it: scan_arrow takes tables and queries of pyarrow, polars and duckdb"
        )
    if os.path.isdir(text):
        files = sorted(str(found) for found in Path(text).rglob("*") if _is_wanted(found.relative_to(text), suffixes))
        if not files:
            raise FileError(f"{text}: no {suffixes[0]} file in this folder")
        return [(file, _keys(file, text)) for file in files]
    if _WILDCARDS.search(text) and not os.path.exists(text):
        files = sorted(glob.glob(text.replace("[", "[[]"), recursive=True) or glob.glob(text, recursive=True))
        if not files:
            raise FileError(f"{text}: no file matches")
        fixed = _WILDCARDS.split(text.replace(os.sep, "/"), maxsplit=1)[0].rpartition("/")[0]
        return [(file, _keys(file, fixed or ("/" if text.startswith("/") else "."))) for file in files]
    return [(text, [])]


def _is_wanted(file: PurePath, suffixes: tuple[str, ...]) -> bool:
    return file.name.lower().endswith(suffixes) and not any(part.startswith((".", "_")) for part in file.parts)


def _keys(file: str, below: str) -> list[tuple[str, str]]:
    """Return the columns and values of the folders ``column=value`` between a folder and a file in it."""
    folders = PurePath(os.path.relpath(file, below)).parts[:-1]
    pairs = (folder.partition("=") for folder in folders)
    return [(unquote(key), unquote(value)) for key, equals, value in pairs if equals and key]


def absolute(files: Sequence[File]) -> list[File]:
    """Return the same files by their absolute paths."""
    return [(os.path.abspath(path), keys) for path, keys in files]


def origin_of(path: Any) -> str:
    """Return a name for messages."""
    return os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else f"{len(list(path))} files"


def checked_column(argument: str, column: Any) -> Column | None:
    """Return the name or number of one column, None where none is meant.

    Raises
    ------
    ArgumentError
        Something else, such as a list of columns.
    """
    if column is None or isinstance(column, str):
        return column
    try:
        if isinstance(column, bool):
            raise TypeError
        return int(column.__index__())
    except (AttributeError, TypeError):
        raise ArgumentError(
            f"{argument}: {column!r} of type {type(column).__name__}; expected one column, by its name or number"
        ) from None


def checked_columns(argument: str, columns: Any) -> list[Column] | None:
    """Return names or numbers of columns as a list, None where none are meant.

    Raises
    ------
    ArgumentError
        A string alone, and members that are no columns.
    """
    if columns is None:
        return None
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        found = f"the string {columns!r}" if isinstance(columns, str) else repr(columns)
        raise ArgumentError(f"{argument}: {found}; expected a sequence of columns")
    checked = [checked_column(argument, column) for column in columns]
    return [column for column in checked if column is not None]


def checked_target(target: Any) -> Column | list[Column] | None:
    """Return the column of the labels, or a list of several such columns; None for rows without labels.

    Raises
    ------
    ArgumentError
        A list of fewer than two columns, and something that is no column.
    """
    if target is None or isinstance(target, str) or hasattr(target, "__index__") or not isinstance(target, Iterable):
        return checked_column("target", target)
    columns = checked_columns("target", target)
    if columns is None or len(columns) < 2 or None in list(target):
        raise ArgumentError(f"target: {target!r}; expected a column, or a sequence of at least two")
    return columns

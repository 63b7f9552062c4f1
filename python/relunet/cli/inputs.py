"""Input files of commands: resolution of file arguments, and samples of these files."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relunet.cli.options import column, column_number
from relunet.errors import ArgumentError
from relunet.samples import Samples, scan_csv, scan_npy, scan_parquet

__all__ = ["FORMATS", "InputFiles"]

FORMATS = {"npy": (".npy",), "parquet": (".parquet", ".pq"), "csv": (".csv", ".tsv")}
"""Suffixes of each format of samples; a CSV file may also end in .gz after its suffix."""


@dataclass(frozen=True, kw_only=True)
class InputFiles:
    """The files that a command reads samples from.

    Attributes
    ----------
    paths : sequence of str
        Files, folders or patterns with inputs, and labels unless `labels` are given.
    labels : sequence of str
        Files with labels, .npy.
    target : sequence of str
        Columns of the labels, by name or number, one for each output.
    weight : str or None
        Column of the weights, by name or number, or a file, .npy.
    columns : sequence of str or int, or None
        Columns of the inputs, by name or number; None means all the others.
    format : {"npy", "parquet", "csv"} or None
        Format of the files; None tells it from their suffix.
    delimiter : str or None
        Delimiter of CSV files; None means a tab for .tsv and a comma otherwise.
    names : sequence of str or None
        Names of all columns of CSV files without a header.
    """

    paths: Sequence[str]
    labels: Sequence[str] = ()
    target: Sequence[str] = ()
    columns: Sequence[str | int] | None = None
    weight: str | None = None
    format: str | None = None
    delimiter: str | None = None
    names: Sequence[str] | None = None

    @property
    def kind(self) -> str:
        """Format of the files: "npy", "parquet" or "csv".

        Raises
        ------
        ArgumentError
            For files of different or unknown formats.
        """
        kinds = {self.format or _format(path) for path in self.paths}
        if len(kinds) != 1:
            raise ArgumentError(
                f"the files are of different formats ({', '.join(sorted(kinds))}), expected one: convert some of them, "
                "or give --format"
            )
        return kinds.pop()

    def scan(self) -> Samples:
        """Return the samples in the files.

        Raises
        ------
        ArgumentError
            For files of different or unknown formats, and for options that their format does not have.
        DataError, FileError
            For files that cannot be used, as the `scan_*` functions raise them.
        """
        kind = self.kind
        if kind != "csv":
            for option, value in (("--delimiter", self.delimiter), ("--names", self.names)):
                if value is not None:
                    raise ArgumentError(f"{option}: only CSV files have it, got .{kind} files: leave it out")
        if kind == "npy":
            return self._scan_npy()
        if self.labels:
            raise ArgumentError(f"--y: labels of a .{kind} file are one of its columns: name it with --target")
        wanted: dict[str, Any] = {
            "target": _one_or_all([column(name) for name in self.target]),
            "weight": None if self.weight is None else column(self.weight),
            "columns": self.columns,
        }
        paths = self.paths[0] if len(self.paths) == 1 else list(self.paths)
        if kind == "parquet":
            return scan_parquet(paths, **wanted)
        delimiter = self.delimiter or ("\t" if Path(self.paths[0].lower()).suffix == ".tsv" else ",")
        return scan_csv(paths, delimiter=delimiter, names=self.names, **wanted)

    def _scan_npy(self) -> Samples:
        weight = self.weight
        wanted: dict[str, Any] = {
            "target": _one_or_all([column_number(name, "--target") for name in self.target]),
            "columns": None
            if self.columns is None
            else [column_number(str(name), "--columns") for name in self.columns],
            "weight": weight if weight is None or not weight.lstrip("-").isdecimal() else int(weight),
        }
        for name, files in (("x", self.paths), ("y", self.labels)):
            found = [path for part in files for path in _matching(part)]
            wanted[name] = found if len(found) > 1 else found[0] if found else None
        return scan_npy(**wanted)

    def contain(self, path: str | os.PathLike[str]) -> bool:
        """Tell whether `path` is an input file, or lies in a folder or matches a pattern that is read.

        Parameters
        ----------
        path : path
            A file, which does not have to exist.
        """
        target = os.path.realpath(path)
        others = [self.weight] if self.weight is not None else []
        for part in (*self.paths, *self.labels, *others):
            part = os.path.expanduser(part)
            if any(os.path.realpath(found) == target for found in _matching(part)):
                return True
            if os.path.isdir(part) and Path(target).is_relative_to(os.path.realpath(part)):
                suffixes = tuple(suffix for group in FORMATS.values() for suffix in group)
                if target.lower().endswith(suffixes):
                    return True
        return False


def _one_or_all(columns: list[Any]) -> Any:
    """Return a single column as itself, several as a list, and None for none."""
    return columns if len(columns) > 1 else columns[0] if columns else None


def _matching(part: str) -> list[str]:
    """Return the files that a pattern matches, or the path itself."""
    if glob.has_magic(part) and not os.path.exists(part):
        return sorted(glob.glob(part, recursive=True)) or [part]
    return [part]


def _format(path: str) -> str:
    """Return the format of a file, of the files of a pattern, or of those in a folder."""
    if os.path.isdir(os.path.expanduser(path)):
        found = {_of_suffix(str(name)) for name in Path(path).expanduser().rglob("*") if not name.name.startswith(".")}
        formats = sorted(found - {None, "npy"}, key=str)
        if len(formats) != 1:
            came = " and ".join(map(str, formats)) or "none"
            raise ArgumentError(
                f"{path}: expected a folder of .parquet or of .csv files, found {came}: name the files, or a "
                "pattern in quotes"
            )
        return str(formats[0])
    kind = _of_suffix(path)
    if kind is None:
        suffix = Path(path).suffix
        known = ", ".join(suffix for group in FORMATS.values() for suffix in group)
        raise ArgumentError(
            f"{path}: {f'the suffix {suffix}' if suffix else 'a name without suffix'} does not tell the format, "
            f"expected the suffix {known}: give --format npy, parquet or csv"
        )
    return kind


def _of_suffix(path: str) -> str | None:
    name = path.lower()
    stem = name.removesuffix(".gz")
    for kind, suffixes in FORMATS.items():
        if (stem if kind == "csv" else name).endswith(suffixes):
            return kind
    return None

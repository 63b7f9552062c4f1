"""Output files of commands: checks in advance, and predictions in the format given by the suffix of the file."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from relunet.atomic import replacing
from relunet.cli.inputs import InputFiles
from relunet.errors import ArgumentError, FileError

__all__ = ["PICTURES", "PREDICTIONS", "check_outputs", "require", "write_header", "write_predictions"]

PREDICTIONS = (".npy", ".csv", ".parquet")
"""Suffixes of files of predictions."""

# Suffixes of pictures, those that matplotlib writes without further packages.
PICTURES = (".png", ".pdf", ".svg", ".svgz", ".ps", ".eps", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")


def check_outputs(
    outputs: Iterable[tuple[str, str | os.PathLike[str] | None, Collection[str]]],
    inputs: InputFiles | None,
    *others: str | os.PathLike[str],
) -> None:
    """Require that files can be written, before the work whose results they will hold.

    Parameters
    ----------
    outputs : iterable of (str, path or None, collection of str)
        The argument that names each file, the file, and the suffixes that it may have.
    inputs : InputFiles or None
        Files that are read, which no output may replace.
    *others : path
        Other files that are read.

    Raises
    ------
    ArgumentError
        For a suffix of another format, for an output that is an input, and for one file as two outputs.
    FileError
        For a folder that does not exist or cannot be written to, and for a path that is not a regular file.
    """
    seen: dict[str, str] = {}
    for option, output, suffixes in outputs:
        if output is None:
            continue
        path, shown = Path(output).expanduser(), os.fspath(output)
        if path.is_dir():
            raise FileError(f"{option}: {shown} is a folder, expected a file: give the name of a file in it")
        if path.suffix.lower() not in suffixes:
            came = path.suffix or "none"
            raise ArgumentError(f"{option}: {shown} has the suffix {came}, expected {' or '.join(suffixes)}: rename it")
        real = os.path.realpath(path)
        if (inputs is not None and inputs.contain(path)) or real in {os.path.realpath(other) for other in others}:
            raise ArgumentError(f"{option}: {shown} is an input, which would be overwritten: choose another file")
        if real in seen:
            raise ArgumentError(f"{option}: {shown} is the file of {seen[real]} too: choose another file")
        seen[real] = option
        if os.path.exists(real) and not os.path.isfile(real):
            raise FileError(f"{option}: {shown} is no regular file: choose another file")
        folder = os.path.dirname(real)
        if not os.path.isdir(folder):
            raise FileError(f"{option}: the folder of {shown} does not exist: make it, or choose another")
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise FileError(f"{option}: {shown} cannot be written ({error.strerror}): choose another folder") from error


def require(package: str, extra: str, reason: str) -> None:
    """Require a package that is not always installed.

    Parameters
    ----------
    package : str
        Name of the package.
    extra : str
        What to install it with.
    reason : str
        The argument that needs it.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    if importlib.util.find_spec(package) is None:
        raise ImportError(f"{reason} needs {package}: pip install {extra}")


def write_header(file: IO[bytes], shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
    """Write the header of a C-ordered .npy file.

    Parameters
    ----------
    file : file object
        Where to write.
    shape : tuple of int
        Shape of the array.
    dtype : data type
        Type of its entries.
    """
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})


def write_predictions(
    path: str | os.PathLike[str], n_rows: int, outputs: tuple[int, ...], blocks: Iterable[npt.NDArray[np.float64]]
) -> None:
    """Write predictions block by block, as .npy, .csv or .parquet; the file appears whole or not at all.

    A column is called ``prediction``; those of a network of several outputs are ``prediction0``, ``prediction1`` and so
    on. An array of .npy has the shape that `ReLUNetwork.predict` gives.

    Parameters
    ----------
    path : path
        File to write.
    n_rows : int
        Number of rows of all blocks.
    outputs : tuple of int
        () for a network of one output, (m,) for one made with m outputs.
    blocks : iterable of ndarray of shape (rows,) or (rows, m)
        Predictions.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    names = [f"prediction{i}" for i in range(outputs[0])] if outputs else ["prediction"]
    with ExitStack() as stack:
        file = stack.enter_context(replacing(path))
        write = _WRITERS[Path(path).suffix.lower()](stack, file, n_rows, outputs, names)
        for block in blocks:
            write(block)


_Writer = Callable[[npt.NDArray[np.float64]], object]


def _npy(stack: ExitStack, file: IO[bytes], n_rows: int, outputs: tuple[int, ...], names: list[str]) -> _Writer:
    write_header(file, (n_rows, *outputs), np.float64)
    return lambda block: file.write(np.ascontiguousarray(block).data)


def _csv(stack: ExitStack, file: IO[bytes], n_rows: int, outputs: tuple[int, ...], names: list[str]) -> _Writer:
    file.write((",".join(names) + "\n").encode())

    def write(block: npt.NDArray[np.float64]) -> None:
        rows = block.reshape(len(block), -1).tolist()
        # The shortest text that reads back as the same number.
        file.write("".join(",".join(map(repr, row)) + "\n" for row in rows).encode())

    return write


def _parquet(stack: ExitStack, file: IO[bytes], n_rows: int, outputs: tuple[int, ...], names: list[str]) -> _Writer:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    schema = pyarrow.schema([(name, pyarrow.float64()) for name in names])
    writer = stack.enter_context(ParquetWriter(file, schema))
    return lambda block: writer.write_table(pyarrow.table(list(block.reshape(len(block), -1).T), schema=schema))


_WRITERS: dict[str, Callable[..., _Writer]] = {".npy": _npy, ".csv": _csv, ".parquet": _parquet}

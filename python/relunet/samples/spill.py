"""Temporary files for the rows of sources that can be read only once (`spill=True`)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from relunet.errors import DataError, FileError
from relunet.samples.pieces import Piece

__all__ = ["spill"]

_HEADER_BYTES = 128
_SPILL_ROWS = 1 << 16


class _NpyWriter:
    """A ``.npy`` file whose number of rows is known when all are written."""

    def __init__(self, file: BinaryIO, dtype: np.dtype[Any], columns: tuple[int, ...]) -> None:
        self._file, self._dtype, self._columns = file, dtype, columns
        self._n_rows = 0
        file.write(bytes(_HEADER_BYTES))

    def write(self, rows: NDArray[Any]) -> None:
        self._n_rows += len(rows)
        self._file.write(np.ascontiguousarray(rows, self._dtype).data)

    def finish(self) -> None:
        shape = (self._n_rows, *self._columns)
        text = f"{{'descr': '{self._dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
        magic = np.lib.format.magic(1, 0)
        room = _HEADER_BYTES - len(magic) - 2
        self._file.seek(0)
        self._file.write(magic + room.to_bytes(2, "little") + text.ljust(room - 1).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def spill(
    pieces: Iterator[Piece], folder: str | os.PathLike[str] | None, dtype: np.dtype[Any], origin: str
) -> tuple[dict[str, Path], object]:
    """Write rows to ``.npy`` files ``x``, ``y`` and ``weight`` in a folder, whole or not at all.

    Parameters
    ----------
    pieces : iterator
        The rows, in one pass.
    folder : path or None
        Where the files go; None for a folder that goes away with the object that is returned beside the paths.
    dtype : dtype
        Of the inputs.
    origin : str
        Name for messages.
    """
    keeper = tempfile.TemporaryDirectory(prefix="relunet-") if folder is None else None
    place = Path(keeper.name if keeper is not None else os.fspath(folder or ""))
    try:
        place.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        # Python reports a path with a null character as a ValueError.
        raise FileError(f"spill: {str(place)!r} is no folder and cannot be made: {error}") from error
    names = ("x", "y", "weight")
    writers: list[_NpyWriter | None] = []
    with tempfile.TemporaryDirectory(prefix=".relunet-", dir=place) as unfinished, ExitStack() as files:
        for piece in pieces:
            for start in range(0, piece.n_rows, _SPILL_ROWS):
                rows = piece.read(start, min(start + _SPILL_ROWS, piece.n_rows))
                if not writers:
                    for name, values in zip(names, rows, strict=True):
                        if values is None:
                            writers.append(None)
                            continue
                        file = files.enter_context((Path(unfinished) / f"{name}.npy").open("wb"))
                        kind = dtype if name == "x" else np.dtype(np.float64)
                        writers.append(_NpyWriter(file, kind, values.shape[1:]))
                for writer, values in zip(writers, rows, strict=True):
                    if writer is not None and values is not None:
                        writer.write(values)
        if not writers:
            raise DataError(f"{origin}: 0 rows; at least 1 is needed")
        found: dict[str, Path] = {}
        for name, writer in zip(names, writers, strict=True):
            if writer is not None:
                writer.finish()
                found[name] = place / f"{name}.npy"
                os.replace(Path(unfinished) / f"{name}.npy", found[name])
    return found, keeper

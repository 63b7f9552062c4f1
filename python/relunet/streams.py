"""Rows that Python objects hand out piece by piece: sliced arrays, batches, Arrow streams, and their way to disk."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from relunet._relunet import ArrowStream
from relunet.arrays import as_matrix, as_vector
from relunet.errors import DataError

__all__ = [
    "ArrowTables",
    "IndexedBatches",
    "OnwardReader",
    "Piece",
    "Rows",
    "Shape",
    "SlicedArrays",
    "as_piece",
    "is_sliced",
    "pieces_of",
    "spill",
]

Rows: TypeAlias = tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]

_N_CACHED = (os.cpu_count() or 1) + 1
"""Pieces in memory: one for each thread of a sweep, and the one that is left."""


class Piece(Protocol):
    """Some consecutive rows."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""

    def read(self, start: int, stop: int) -> Rows:
        """Inputs, labels or None, weights or None of a range of rows."""


@dataclass(frozen=True)
class Shape:
    """What every piece of a source has in common."""

    n_columns: int
    dtype: np.dtype[Any]
    has_labels: bool
    has_weights: bool

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """Return the shape of rows."""
        X, y, weight = rows
        return cls(X.shape[1], X.dtype, y is not None, weight is not None)

    def __str__(self) -> str:
        parts = [f"{self.n_columns} columns of {self.dtype}"]
        parts += ["labels"] if self.has_labels else []
        parts += ["weights"] if self.has_weights else []
        return ", ".join(parts)


@dataclass(frozen=True)
class _Batch:
    """A piece in memory."""

    rows: Rows

    @property
    def n_rows(self) -> int:
        return len(self.rows[0])

    def read(self, start: int, stop: int) -> Rows:
        X, y, weight = self.rows
        part = slice(start, stop)
        return X[part], None if y is None else y[part], None if weight is None else weight[part]


def as_piece(batch: Any, name: str, shape: Shape | None = None) -> _Batch:
    """Return a batch ``X``, ``(X, y)`` or ``(X, y, weight)`` as a piece, whose shape has to be `shape`."""
    parts = batch if isinstance(batch, tuple) else (batch,)
    if not 1 <= len(parts) <= 3:
        raise DataError(f"{name}: a tuple of {len(parts)}; expected X, (X, y) or (X, y, weight)")
    X = as_matrix(parts[0], f"{name}, X")
    vectors = []
    for part, which in zip(parts[1:], ("y", "sample_weight"), strict=False):
        vector = None if part is None else as_vector(part, f"{name}, {which}")
        if vector is not None and len(vector) != len(X):
            raise DataError(f"{name}, {which}: {len(vector)} values for {len(X)} rows of X")
        vectors.append(vector)
    y, weight = (*vectors, None, None)[:2]
    found = Shape.of((X, y, weight))
    if shape is not None and found != shape:
        raise DataError(f"{name}: {found}; expected {shape}, as in the first batch")
    return _Batch((X, y, weight))


def pieces_of(batches: Iterable[Any], origin: str, shape: Shape | None = None) -> Iterator[_Batch]:
    """Yield batches as pieces of one shape: `shape`, or that of the first."""
    for number, batch in enumerate(batches):
        piece = as_piece(batch, f"{origin}, batch {number}", shape)
        shape = shape or Shape.of(piece.rows)
        yield piece


def _joined(parts: Sequence[Rows]) -> Rows:
    """Return the rows of several ranges as one."""
    if len(parts) == 1:
        return parts[0]
    X, y, weight = (None if column[0] is None else np.concatenate(column) for column in zip(*parts, strict=True))
    assert X is not None
    return X, y, weight


class OnwardReader:
    """Rows of pieces that can be had only one after another, each pass anew.

    Parameters
    ----------
    start : callable
        Starts a pass: returns an iterator of pieces.
    n_rows : int
        Rows of every pass.
    origin : str
        Name for messages.
    """

    def __init__(self, start: Callable[[], Iterator[Piece]], n_rows: int, origin: str) -> None:
        self._start, self._n_rows, self._origin = start, n_rows, origin
        self._lock = threading.Lock()
        self._end_pass()

    def _end_pass(self) -> None:
        self._pieces: Iterator[Piece] = iter(())
        self._piece: Piece = _Batch((np.empty((0, 0)), None, None))
        # the next row, and the one of the piece; no pass has begun where that is behind what any caller can ask for
        self._row, self._used = -1, 0

    def __call__(self, start: int, stop: int) -> Rows:
        """Return a range of rows; ranges in their order need one pass."""
        with self._lock:
            try:
                return self._read(start, stop)
            except BaseException:
                self._end_pass()
                raise

    def _read(self, start: int, stop: int) -> Rows:
        if not 0 <= self._row <= start:
            self._end_pass()
            self._pieces, self._row = _ahead(self._start()), 0
        parts: list[Rows] = []
        while self._row < stop:
            left = self._piece.n_rows - self._used
            if left == 0:
                self._next_piece()
                continue
            end = self._used + min(left, (start if self._row < start else stop) - self._row)
            if self._row >= start:
                parts.append(self._piece.read(self._used, end))
            self._row += end - self._used
            self._used = end
        if self._row == self._n_rows:
            while self._used == self._piece.n_rows and self._next_piece(may_end=True):
                pass
            if self._used < self._piece.n_rows:
                raise DataError(f"{self._origin}: more than the {self._n_rows} rows that were expected")
            self._end_pass()
        return _joined(parts)

    def _next_piece(self, may_end: bool = False) -> bool:
        piece = next(self._pieces, None)
        if piece is None:
            if may_end:
                return False
            raise DataError(
                f"{self._origin}: ends after {self._row} rows where {self._n_rows} were expected; "
                f"every pass must give the same rows"
            )
        self._piece, self._used = piece, 0
        return True


def _ahead(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Yield pieces while the next one is being made on another thread."""
    with ThreadPoolExecutor(1, thread_name_prefix="relunet") as thread:
        coming = thread.submit(next, pieces, None)
        while (piece := coming.result()) is not None:
            coming = thread.submit(next, pieces, None)
            yield piece


class IndexedBatches:
    """Rows of batches that can be had by their number, in any order.

    Parameters
    ----------
    batches : sequence
        Batches ``(X, y)`` or ``(X, y, weight)``.
    origin : str
        Name for messages.
    n_rows : int or None
        Rows in all, where every batch but the last is as long as the first; None to look at every batch.
    """

    def __init__(self, batches: Sequence[Any], origin: str, n_rows: int | None) -> None:
        self._batches, self._origin = batches, origin
        if len(batches) == 0:
            raise DataError(f"{origin}: no batches; expected at least 1")
        first = as_piece(batches[0], f"{origin}, batch 0")
        self.shape = Shape.of(first.rows)
        self._batch = lru_cache(maxsize=_N_CACHED)(self._load)
        if n_rows is None:
            sizes = [first.n_rows] + [self._load(number).n_rows for number in range(1, len(batches))]
            self._starts = np.concatenate([[0], np.cumsum(sizes)])
        else:
            self._starts = np.minimum(first.n_rows * np.arange(len(batches) + 1), n_rows)
            self._starts[-1] = n_rows
        self.n_rows = int(self._starts[-1])

    def _load(self, number: int) -> _Batch:
        return as_piece(self._batches[number], f"{self._origin}, batch {number}", self.shape)

    def __call__(self, start: int, stop: int) -> Rows:
        """Return a range of rows."""
        parts = []
        number = int(np.searchsorted(self._starts, start, side="right")) - 1
        while start < stop:
            first, end = int(self._starts[number]), int(self._starts[number + 1])
            piece = self._batch(number)
            if piece.n_rows != end - first:
                raise DataError(
                    f"{self._origin}, batch {number}: {piece.n_rows} rows where {end - first} were expected"
                )
            if end > start:
                parts.append(piece.read(start - first, min(stop, end) - first))
            start, number = min(stop, end), number + 1
        return _joined(parts)


def is_sliced(X: Any) -> bool:
    """Tell whether `X` is an array that is not in memory: one with a shape and a dtype whose rows are read by slices.

    Datasets of h5py, arrays of zarr and their like; arrays in memory say so by a protocol of theirs.
    """
    in_memory = ("__array_interface__", "__array_struct__", "__dlpack__", "to_numpy", "columns", "nnz")
    return all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__")) and not any(
        hasattr(X, name) for name in in_memory
    )


class SlicedArrays:
    """Rows of arrays that are read by slices.

    Parameters
    ----------
    X, y, weight : array-like
        Arrays with a shape and a dtype, whose rows are ``X[start:stop]``; `y` and `weight` may be None.
    """

    def __init__(self, X: Any, y: Any, weight: Any) -> None:
        self._arrays = (("X", X), ("y", y), ("sample_weight", weight))
        self.n_rows = int(X.shape[0]) if len(X.shape) else 0
        for name, array in self._arrays[1:]:
            n_values = self.n_rows if array is None else np.shape(array)[0]
            if n_values != self.n_rows:
                raise DataError(f"{name}: {n_values} values for {self.n_rows} rows of X")
        if self.n_rows == 0:
            raise DataError(f"X: 0 rows (shape {tuple(X.shape)}); at least 1 is needed")
        self.shape = Shape.of(self._slab_of(0, 1))
        # arrays that are stored in chunks give a row no faster than the whole chunk: it is read once
        chunks = getattr(X, "chunks", None) or [0]
        chunk = chunks[0] if isinstance(chunks[0], int) else max(chunks[0])
        self._slab_rows = chunk
        self._slab = lru_cache(maxsize=_N_CACHED)(self._load)

    def _slab_of(self, start: int, stop: int) -> Rows:
        X, y, weight = (None if array is None else array[start:stop] for _, array in self._arrays)
        return (
            as_matrix(X, "X"),
            None if y is None else as_vector(y, "y"),
            None if weight is None else as_vector(weight, "sample_weight"),
        )

    def _load(self, number: int) -> _Batch:
        start = number * self._slab_rows
        return _Batch(self._slab_of(start, min(start + self._slab_rows, self.n_rows)))

    def __call__(self, start: int, stop: int) -> Rows:
        """Return a range of rows."""
        if self._slab_rows <= 1:
            return self._slab_of(start, stop)
        parts = []
        while start < stop:
            number, offset = divmod(start, self._slab_rows)
            end = min(stop - start + offset, self._slab_rows)
            parts.append(self._slab(number).read(offset, end))
            start += end - offset
        return _joined(parts)


@dataclass(frozen=True)
class ArrowTables:
    """The record batches of an object with ``__arrow_c_stream__``, each pass a new stream."""

    obj: Any
    origin: str
    wanted: dict[str, Any]

    def open(self) -> ArrowStream:
        """Start a stream."""
        return ArrowStream(self.obj.__arrow_c_stream__(), self.origin, **self.wanted)

    def __call__(self) -> Iterator[Piece]:
        """Start a pass."""
        return self.pieces(self.open())

    @staticmethod
    def pieces(stream: ArrowStream) -> Iterator[Piece]:
        """Yield the batches of a stream."""
        while (found := stream.next_table()) is not None:
            yield found[0]


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
    place.mkdir(parents=True, exist_ok=True)
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

"""Sources of rows in Python that return rows in pieces, and a sequential reader of such pieces."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from relunet._typing import Rows
from relunet.errors import DataError
from relunet.samples.arrays import as_labels, as_matrix, as_vector
from relunet.samples.names import order_of, string_names

__all__ = ["N_CACHED", "Batch", "OnwardReader", "Piece", "Shape", "as_piece", "joined", "pieces_of", "width_of"]

N_CACHED = (os.cpu_count() or 1) + 1
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
    n_outputs: int
    has_weights: bool
    names: tuple[str, ...] | None = None
    """Names of the columns where they have names of their own."""

    @classmethod
    def of(cls, rows: Rows, names: tuple[str, ...] | None = None) -> Self:
        """Return the shape of rows."""
        X, y, weight = rows
        return cls(X.shape[1], X.dtype, width_of(y), weight is not None, names)

    def __str__(self) -> str:
        parts = [f"{self.n_columns} columns of {self.dtype}{'' if self.names is None else ' with names'}"]
        parts += ["labels" if self.n_outputs == 1 else f"{self.n_outputs} labels a row"] if self.n_outputs else []
        parts += ["weights"] if self.has_weights else []
        return ", ".join(parts)


def width_of(y: NDArray[Any] | None) -> int:
    """Return the number of labels a row."""
    return 0 if y is None else 1 if y.ndim == 1 else y.shape[1]


@dataclass(frozen=True)
class Batch:
    """A piece in memory."""

    rows: Rows
    names: tuple[str, ...] | None = None

    @property
    def shape(self) -> Shape:
        """What the rows have in common with those of other pieces."""
        return Shape.of(self.rows, self.names)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.rows[0])

    def read(self, start: int, stop: int) -> Rows:
        """Return a range of rows."""
        X, y, weight = self.rows
        part = slice(start, stop)
        return X[part], None if y is None else y[part], None if weight is None else weight[part]


def as_piece(batch: Any, name: str, shape: Shape | None = None) -> Batch:
    """Return a batch ``X``, ``(X, y)`` or ``(X, y, weight)`` as a piece, whose shape has to be `shape`.

    Columns with names follow the order of the names in `shape`.
    """
    parts = _parts(batch, name)
    X = as_matrix(parts[0], f"{name}, X")
    vectors = []
    for part, which in zip(parts[1:], ("y", "sample_weight"), strict=False):
        as_values = as_labels if which == "y" else as_vector
        vector = None if part is None else as_values(part, f"{name}, {which}")
        if vector is not None and len(vector) != len(X):
            raise DataError(f"{name}, {which}: {len(vector)} values for {len(X)} rows of X")
        vectors.append(vector)
    y, weight = (*vectors, None, None)[:2]
    names = string_names(parts[0])
    if names is not None and shape is not None and shape.names is not None and names != shape.names:
        X, names = X[:, order_of(names, shape.names, f"{name}, X")], shape.names
    piece = Batch((X, y, weight), names)
    if shape is not None and piece.shape != shape:
        raise DataError(f"{name}: {piece.shape}; expected {shape}, as in the first batch")
    return piece


def _parts(batch: Any, name: str) -> Sequence[Any]:
    """Return inputs, and labels and weights where a batch has them."""
    if isinstance(batch, Mapping):
        raise DataError(f"{name}: a {type(batch).__name__}; expected X, (X, y) or (X, y, weight), such as batch['x']")
    # lists are either parts, as loaders give them, or rows
    if not isinstance(batch, tuple) and not (isinstance(batch, list) and batch and _n_dimensions(batch[0]) == 2):
        return (batch,)
    if not 1 <= len(batch) <= 3:
        raise DataError(f"{name}: a {type(batch).__name__} of {len(batch)}; expected X, (X, y) or (X, y, weight)")
    return batch


def _n_dimensions(values: Any) -> int:
    shape = getattr(values, "shape", None)
    return np.ndim(values) if shape is None else len(shape)


def pieces_of(batches: Iterable[Any], origin: str, shape: Shape | None = None) -> Iterator[Batch]:
    """Yield batches as pieces of one shape: `shape`, or that of the first."""
    for number, batch in enumerate(batches):
        piece = as_piece(batch, f"{origin}, batch {number}", shape)
        shape = shape or piece.shape
        yield piece


def joined(parts: Sequence[Rows]) -> Rows:
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
        self._piece: Piece = Batch((np.empty((0, 0)), None, None))
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
        return joined(parts)

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

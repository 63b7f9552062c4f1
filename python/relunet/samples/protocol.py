"""What samples are: lazy, re-readable tables of inputs, labels and weights, one protocol for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from relunet._relunet import ArraySource, NpySource, RowReader, TableSource
from relunet.errors import ArgumentError

__all__ = ["Rows", "Samples", "SourceSamples", "check_samples"]

Source: TypeAlias = ArraySource | NpySource | TableSource | RowReader
Rows: TypeAlias = tuple[NDArray[Any], NDArray[np.float64] | None, NDArray[np.float64] | None]


@runtime_checkable
class Samples(Protocol):
    """Rows ``(x, y, weight)`` that can be read again and again, a block at a time.

    Every sweep of a fit reads all rows once, in blocks cut by row number, so that the same data give the same bits
    from whatever source. Nothing is read before it is asked for, and no more than a block is held for each thread.

    Samples are made by the `scan_*` functions. They can be pickled, for other processes, where what they read can be:
    files go by their absolute path, arrays with their values, functions by their name.
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
class SourceSamples:
    """Samples behind a compiled source."""

    source: Source
    columns: tuple[str, ...]
    origin: str
    again: partial[Samples]
    """The call that makes the same samples in another process."""
    keeper: object = None
    """Whatever has to live as long as the samples."""

    def __reduce__(self) -> tuple[Callable[[], Samples], tuple[()]]:
        return self.again, ()

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.source.n_rows

    @property
    def n_columns(self) -> int:
        """Number of input columns."""
        return self.source.n_columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """How the inputs are stored."""
        return np.dtype(self.source.dtype)

    @property
    def has_labels(self) -> bool:
        """Whether rows carry labels."""
        return self.source.has_labels

    def blocks(self, size: int = 65_536) -> Iterator[Rows]:
        """All rows in order, `size` at a time."""
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


def check_samples(samples: object) -> None:
    """Require samples, if only of those parts of the protocol that sums over them need.

    Raises
    ------
    ArgumentError
        Something else, such as an array.

    Examples
    --------
    >>> import numpy as np
    >>> from relunet import scan_array
    >>> from relunet.samples.protocol import check_samples
    >>> check_samples(scan_array(np.zeros((3, 2))))
    """
    if not all(hasattr(samples, name) for name in ("n_rows", "n_columns", "has_labels")):
        raise ArgumentError(f"samples: {type(samples).__name__}, expected Samples, as scan_array(X, y) gives")

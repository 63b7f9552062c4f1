"""The protocol `Samples`: lazy, re-readable tables of inputs, labels and weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeGuard, runtime_checkable

import numpy as np

from relunet import _relunet
from relunet._relunet import Accumulator, ArraySource, NpySource, RowReader, TableSource
from relunet._typing import Rows
from relunet.errors import ArgumentError
from relunet.samples.identity import block_rows, rows_hash

__all__ = ["Samples", "SourceSamples", "SweepFile", "check_samples", "is_samples", "n_outputs"]

Source: TypeAlias = ArraySource | NpySource | TableSource | RowReader


class SweepFile(NamedTuple):
    """Where a sweep in progress is kept.

    Attributes
    ----------
    path : path
        The file, which is always whole.
    identity : bytes
        What tells the samples from others; a file of other samples is refused.
    every : float
        Seconds between two writes.
    """

    path: str | os.PathLike[str]
    identity: bytes
    every: float = 60.0


@runtime_checkable
class Samples(Protocol):
    """Rows ``(x, y, weight)`` that can be read again and again, a block at a time, and that sum themselves.

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
        """Names of the input columns; ``x0``, ``x1``, ... where they have none.

        Samples whose columns have names of their own have these in a further attribute, ``feature_names``.
        """

    @property
    def dtype(self) -> np.dtype[Any]:
        """``float32`` or ``float64``, as the inputs are stored; integers and booleans count as ``float64``."""

    @property
    def has_labels(self) -> bool:
        """Whether rows carry labels.

        Samples with several labels a row have their number in a further attribute, ``n_outputs``.
        """

    @property
    def can_resume(self) -> bool:
        """Whether `sweep` takes a checkpoint."""

    def blocks(self, size: int = 65_536) -> Iterator[Rows]:
        """All rows in order, `size` at a time (the last block may be shorter).

        Parameters
        ----------
        size : int, default 65536
            Rows a block.

        Yields
        ------
        X : array of shape (rows, n_columns) and type `dtype`
        y : array of shape (rows,) or (rows, n_outputs) and type float64, or None without labels
        weight : array of shape (rows,) and type float64, or None where every row counts once

        Raises
        ------
        DataError
            For NaN, infinity or a negative weight, naming the argument or file, row and column.
        FileError
            For a file that shrank or changed.
        """

    def identity(self) -> bytes:
        """Return what tells these samples from others: a hash of all of their rows, for which they are read once.

        Copies of a file are the same samples; samples of which any number differs are others.
        """

    def sweep(
        self,
        accumulators: Sequence[Accumulator],
        *,
        n_jobs: int | None = None,
        progress: Callable[[int], None] | None = None,
        checkpoint: SweepFile | None = None,
    ) -> int:
        """Read all rows once and add them to accumulators, which are left as they were if that fails.

        Parameters
        ----------
        accumulators : sequence of Accumulator
            What to sum.
        n_jobs : int, default=None
            Threads; None means one for each core.
        progress : callable, default=None
            Called about ten times a second with the number of rows done.
        checkpoint : SweepFile, default=None
            Where the sweep in progress is kept, if `can_resume`.

        Returns
        -------
        int
            Number of rows that were read: fewer than all where a checkpoint had some of the sums.

        Raises
        ------
        ArgumentError
            An accumulator for another number of features, or of labels where there are none.
        DataError, FileError
            Rows that cannot be used or read.
        """


@dataclass(frozen=True, repr=False)
class SourceSamples:
    """Samples behind a compiled source."""

    source: Source
    columns: tuple[str, ...]
    origin: str
    again: Callable[[], Samples]
    """The call that makes the same samples in another process."""
    keeper: object = None
    """Whatever has to live as long as the samples."""
    is_sequential: bool = False
    """Whether rows can only be read in order."""
    feature_names: tuple[str, ...] | None = None
    """Names of the input columns where they have names of their own, by which rows of other samples are matched."""

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

    @property
    def n_outputs(self) -> int:
        """Number of labels of each row; 0 if rows have none."""
        return self.source.n_outputs

    def identity(self) -> bytes:
        """Return a hash of all rows, for which they are read once.

        Examples
        --------
        >>> import numpy as np
        >>> from relunet import scan_array
        >>> x = np.arange(6.0).reshape(3, 2)
        >>> scan_array(x).identity() == scan_array(x.copy()).identity()
        True
        >>> scan_array(x).identity() == scan_array(x + 1).identity()
        False
        """
        # True for one label, so that the hash is that of samples of one label in earlier versions.
        labels = self.n_outputs if self.n_outputs > 1 else self.has_labels
        facts = self.n_rows, self.n_columns, str(self.dtype), labels
        return rows_hash(facts, self.blocks(block_rows(self.n_columns)))

    @property
    def can_resume(self) -> bool:
        """True: a compiled sweep goes on where a checkpoint ends."""
        return True

    def sweep(
        self,
        accumulators: Sequence[Accumulator],
        *,
        n_jobs: int | None = None,
        progress: Callable[[int], None] | None = None,
        checkpoint: SweepFile | None = None,
    ) -> int:
        """Read all rows once and add them to accumulators; see `Samples.sweep`."""
        path, identity, every = (None, b"", 60.0) if checkpoint is None else checkpoint
        return _relunet.sweep(
            self.source,
            list(accumulators),
            n_threads=n_jobs,
            progress=progress,
            checkpoint=path,
            identity=identity,
            every=every,
        )

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
        shape = f"{self.n_columns} columns" + (f", {self.n_outputs} outputs" if self.n_outputs > 1 else "")
        return f"<Samples from {self.origin}: {self.n_rows} {labels} rows, {shape}, {self.dtype}>"


def is_samples(X: object) -> TypeGuard[Samples]:
    """Tell whether an object is Samples, without evaluating its properties if it is not.

    Before Python 3.12, ``isinstance`` with a protocol evaluates every property of the object that the protocol names,
    which is slow or warns for other objects, such as the columns of a polars LazyFrame.

    Examples
    --------
    >>> import numpy as np
    >>> from relunet import scan_array
    >>> from relunet.samples.protocol import is_samples
    >>> is_samples(scan_array(np.zeros((3, 2)))), is_samples(np.zeros((3, 2)))
    (True, False)
    """
    return hasattr(type(X), "sweep") and isinstance(X, Samples)


def check_samples(samples: object) -> None:
    """Require samples.

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
    if not is_samples(samples):
        raise ArgumentError(f"samples: {type(samples).__name__}, expected Samples, as scan_array(X, y) gives")


def n_outputs(samples: Samples) -> int:
    """Return the number of labels of each row of samples: their `n_outputs`, else 1 where they have labels.

    Examples
    --------
    >>> import numpy as np
    >>> from relunet import scan_array
    >>> from relunet.samples.protocol import n_outputs
    >>> n_outputs(scan_array(np.zeros((3, 2)), np.zeros((3, 4)))), n_outputs(scan_array(np.zeros((3, 2))))
    (4, 0)
    """
    return int(getattr(samples, "n_outputs", samples.has_labels))

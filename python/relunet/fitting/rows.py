"""The rows that a polish fits: rows held in memory, or all rows streamed from the samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from relunet._typing import Array
from relunet.errors import DataError
from relunet.linalg import matmul
from relunet.moments import Accumulator, RiskMoments, RowSample
from relunet.network import ReLUNetwork
from relunet.samples import scan_array

__all__ = [
    "FittedRows",
    "HeldRows",
    "SampledRows",
    "SketchedRows",
    "StreamedRows",
    "effective_rows",
    "hash_threshold",
    "sampled",
]


class FittedRows(Protocol):
    """What a polish asks of rows."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""

    def sweep(self, accumulators: Sequence[Accumulator]) -> None:
        """Add all rows to accumulators."""

    def project(self, vectors: Array, shift: Array) -> tuple[Array, Array]:
        """Return (x - shift)·v (n, q) for the vectors v (q, d) and a sample of the rows x, and weights (n,)."""


@dataclass(frozen=True)
class HeldRows:
    """Rows in memory.

    Attributes
    ----------
    x : ndarray of shape (n, d)
        Inputs, or projections of them.
    y : ndarray of shape (n,)
        Labels.
    weight : ndarray of shape (n,)
        Row weights, all positive.
    n_jobs : int or None
        Threads of a sweep; None means one for each core.
    swept : callable or None
        Called after each sweep, to report progress.
    """

    x: Array
    y: Array
    weight: Array
    n_jobs: int | None = None
    swept: Callable[[], None] | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.y)

    def sweep(self, accumulators: Sequence[Accumulator]) -> None:
        """Add all rows to accumulators."""
        scan_array(self.x, self.y, self.weight).sweep(accumulators, n_jobs=self.n_jobs)
        if self.swept is not None:
            self.swept()

    def project(self, vectors: Array, shift: Array) -> tuple[Array, Array]:
        """Return (x - shift)·v for the rows x and `vectors` v (q, d), and the weights."""
        return matmul(self.x - shift, vectors.T), self.weight

    def first(self, n_rows: int) -> HeldRows:
        """Return the first rows."""
        return HeldRows(self.x[:n_rows], self.y[:n_rows], self.weight[:n_rows], self.n_jobs)

    def rms(self, network: ReLUNetwork) -> float:
        """Return the RMS residual of a network on these rows."""
        risk = RiskMoments(network)
        self.sweep([risk])
        return float(np.sqrt(risk.risk))


@dataclass(frozen=True)
class SampledRows:
    """Rows chosen by the hash of their content, so that neither their order nor their source matters.

    Attributes
    ----------
    x : ndarray of shape (n, d)
        Inputs, or projections of them.
    y : ndarray of shape (n,)
        Labels.
    weight : ndarray of shape (n,)
        Row weights, all positive.
    n_fitted : int
        The first so many rows are fitted; the others are held out.
    n_rows : float
        Rows of equal weight that would tell as much as all those of which these are a sample.
    n_jobs : int or None
        Threads of a sweep over them; None means one for each core.
    """

    x: Array
    y: Array
    weight: Array
    n_fitted: int
    n_rows: float
    n_jobs: int | None

    def all(self) -> HeldRows:
        """Return all rows of the sample."""
        return HeldRows(self.x, self.y, self.weight, self.n_jobs)

    def fitted(self) -> HeldRows:
        """Return the rows that are fitted."""
        return self.all().first(self.n_fitted)

    def held_out(self) -> HeldRows:
        """Return the rows that are held out."""
        n = self.n_fitted
        return HeldRows(self.x[n:], self.y[n:], self.weight[n:], self.n_jobs)


@dataclass(frozen=True)
class SketchedRows:
    """Rows of which only projections are kept: each projection is a sweep over all rows.

    Attributes
    ----------
    sweep : callable
        Adds all rows of the samples to accumulators.
    n_features : int
        Number of features.
    threshold, seed : int
        Parameters of the `RowSample` that chooses rows by the hash of their content, the same rows each time.
    held_out_every : int
        One row in so many comes last, as held out.
    n_jobs : int or None
        Threads; None means one for each core.
    """

    sweep: Callable[[Sequence[Accumulator]], None]
    n_features: int
    threshold: int
    seed: int
    held_out_every: int
    n_jobs: int | None

    def along(self, vectors: Array) -> HeldRows:
        """Return the sampled rows with x·v, for the vectors v (q, d), in place of their inputs x."""
        sample = RowSample(self.n_features, self.threshold, self.seed, vectors)
        self.sweep([sample])
        return sampled(sample, self.held_out_every, self.n_jobs).all()

    def project(self, vectors: Array, shift: Array) -> tuple[Array, Array]:
        """Return (x - shift)·v for the sampled rows x and `vectors` v (q, d), and their weights."""
        rows = self.along(vectors)
        return rows.x - matmul(shift, vectors.T), rows.weight


@dataclass(frozen=True)
class StreamedRows:
    """All rows of the samples, read anew by each sweep.

    Attributes
    ----------
    sweep : callable
        Adds all rows to accumulators.
    n_rows : int
        Number of rows.
    sample : HeldRows or SketchedRows
        The sample of them that is projected.
    """

    sweep: Callable[[Sequence[Accumulator]], None]
    n_rows: int
    sample: HeldRows | SketchedRows

    def project(self, vectors: Array, shift: Array) -> tuple[Array, Array]:
        """Return (x - shift)·v for sampled rows x and `vectors` v (q, d), and their weights."""
        return self.sample.project(vectors, shift)


def hash_threshold(sample_size: int, n_rows: int) -> int:
    """Return the hash up to which about `sample_size` of `n_rows` rows are: a fraction q of them lies below q 2⁶⁴."""
    return min(2**64 - 1, int(2**64 * sample_size / n_rows)) if n_rows > sample_size else 2**64 - 1


def sampled(sample: RowSample, held_out_every: int, n_jobs: int | None) -> SampledRows:
    """Return the rows of a sample that have a weight, those held out last.

    Raises
    ------
    DataError
        Fewer rows of positive weight than an affine function takes.
    """
    hashes, x, y, weight = sample.rows(held_out=held_out_every)
    used = weight > 0
    n_used, needed = int(np.sum(used)), sample.n_features + 2
    if n_used * sample.n_rows < needed * len(weight) or n_used == 0:
        # As large a part of all rows as of those sampled.
        n_weighted = round(n_used * sample.n_rows / max(len(weight), 1))
        counts = f"{n_weighted} of {sample.n_rows} rows have a weight above zero"
        raise DataError(f"sample_weight: {counts}, at least {needed} are needed, many more for neurons")
    n_rows = sample.n_rows / len(weight) * effective_rows(weight)
    if n_used < len(weight):
        hashes, x, y, weight = hashes[used], x[used], y[used], weight[used]
    n_held_out = int(np.sum((hashes >> np.uint64(3)) % np.uint64(held_out_every) == 0))
    return SampledRows(x, y, weight, n_used - (n_held_out if 0 < n_held_out < n_used else 1), n_rows, n_jobs)


def effective_rows(weight: Array) -> float:
    """Return how many rows of equal weight have means as certain as those of rows with these weights."""
    share = weight / np.max(weight)
    return float(np.sum(share) ** 2 / np.sum(share**2))

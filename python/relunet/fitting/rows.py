"""Rows for a polish: rows held in memory, or all rows streamed from the samples."""

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
    "counts_repetitions",
    "effective_rows",
    "few_distinct",
    "hash_threshold",
    "own_weight",
    "sampled",
]

# Samples with fewer than FEW_DISTINCT distinct rows, each repeated more than COPIES times on average, are replaced by
# few repeated rows.
FEW_DISTINCT, COPIES = 512, 8
# Number of rows that replace few distinct rows.
REPEATED_ROWS = 8192


class FittedRows(Protocol):
    """Rows that a polish can fit."""

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
    y : ndarray of shape (n,) or (n, m)
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
    y : ndarray of shape (n,) or (n, m)
        Labels.
    weight : ndarray of shape (n,)
        Row weights, all positive.
    n_fitted : int
        Number of rows that are fitted, which come first; the others are held out.
    n_rows : float
        Effective number of all rows, of which these are a sample.
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
    """Rows of which only projections are kept; each projection takes a sweep over all rows.

    Attributes
    ----------
    sweep : callable
        Adds all rows of the samples to accumulators.
    n_features : int
        Number of features.
    threshold, seed : int
        Parameters of the `RowSample` that chooses rows by the hash of their content, the same rows each time.
    held_out_every : int
        One in `held_out_every` rows is held out and comes last.
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
    """Return the hash below which about `sample_size` of `n_rows` rows lie: a fraction q of them lies below q 2⁶⁴."""
    return min(2**64 - 1, int(2**64 * sample_size / n_rows)) if n_rows > sample_size else 2**64 - 1


def sampled(sample: RowSample, held_out_every: int, n_jobs: int | None, total: float | None = None) -> SampledRows:
    """Return the rows of a sample with positive weight, those held out last. Equal rows are combined into one.

    `total` is the sum of the weights of all rows, if the sample is a part of them.

    Raises
    ------
    DataError
        Fewer than two rows of positive weight.
    """
    hashes, x, y, weight = sample.rows(held_out=held_out_every)
    used = weight > 0
    if not np.all(used):
        hashes, x, y, weight = hashes[used], x[used], y[used], weight[used]
    if len(y) == 0 or (len(y) == 1 and effective_rows(weight) < 2):
        counts = f"{len(y)} of {sample.n_rows} rows have a weight above zero"
        raise DataError(f"sample_weight: {counts}, at least 2 are needed, many more for neurons")
    n_sampled = effective_rows(weight)
    n_rows = n_sampled if total is None else n_sampled * total / float(np.sum(weight))
    # Equal rows have equal hashes, and are next to each other.
    labels = y.reshape(len(y), -1)
    differ = np.any(x[1:] != x[:-1], axis=1) | np.any(labels[1:] != labels[:-1], axis=1)
    first = np.append(True, (hashes[1:] != hashes[:-1]) | differ)
    if not np.all(first):
        starts = np.flatnonzero(first)
        weight = np.add.reduceat(weight, starts)
        hashes, x, y = hashes[starts], x[starts], y[starts]
    if len(y) < FEW_DISTINCT and COPIES * len(y) < n_sampled:
        weight = weight * (n_sampled / np.sum(weight))
        return _repeated(HeldRows(x, y, weight, n_jobs), held_out_every, n_rows)
    n_held_out = int(np.sum((hashes >> np.uint64(3)) % np.uint64(held_out_every) == 0))
    n_fitted = len(y) - (n_held_out if 0 < n_held_out < len(y) else 1)
    return SampledRows(x, y, weight, max(n_fitted, 1), n_rows, n_jobs)


def few_distinct(sample: RowSample) -> bool:
    """Return whether a sample holds so few distinct rows that they may be all distinct rows."""
    return len(np.unique(sample.rows()[0])) < FEW_DISTINCT


def _repeated(rows: HeldRows, held_out_every: int, n_rows: float) -> SampledRows:
    """Return few distinct rows repeated in proportion to their weights, with some copies of each held out."""
    copies = np.rint(rows.weight / np.sum(rows.weight) * REPEATED_ROWS)
    copies = np.maximum(copies, 2 * held_out_every).astype(int)
    at = np.repeat(np.arange(rows.n_rows), copies)
    # Copies of a row are spread evenly.
    rank = np.concatenate([(np.arange(c) + 0.5) / c for c in copies])
    held_out = np.concatenate([np.arange(c) % held_out_every == 0 for c in copies])
    order = np.lexsort((at, rank, held_out))
    at = at[order]
    weight = (rows.weight / copies)[at]
    return SampledRows(rows.x[at], rows.y[at], weight, int(np.sum(~held_out)), n_rows, rows.n_jobs)


def counts_repetitions(weight: Array) -> bool:
    """Return whether weights are integers, in which case they count repetitions of rows."""
    return bool(np.sum(weight) < 2.0**53 and np.all(weight == np.rint(weight)))


def effective_rows(weight: Array) -> float:
    """Return the effective number of rows: Σ w if weights count repetitions, and (Σ w)² / Σ w² otherwise."""
    if counts_repetitions(weight):
        return float(np.sum(weight))
    share = weight / np.max(weight)
    return float(np.sum(share) ** 2 / np.sum(share**2))


def own_weight(weight: Array) -> Array:
    """Return the weight of a single copy of each row: 1 if weights count repetitions."""
    return np.ones_like(weight) if counts_repetitions(weight) else weight

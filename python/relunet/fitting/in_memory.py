"""A fit whose subspace comes from all rows, and whose search and first polish work on rows kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from relunet import _relunet
from relunet.fitting.fit import Fit, KnownErrors, Rows
from relunet.fitting.stages.inputs import Inputs, SampledRows, effective_rows, read_inputs
from relunet.fitting.stages.polish import Free
from relunet.fitting.stages.scales import blurred
from relunet.fitting.stages.subspace import Subspace, find_subspace, slice_edges
from relunet.fitting.stages.validation import Risk, risk_on
from relunet.moments import Accumulator, RiskMoments, SliceMoments
from relunet.network import ReLUNetwork
from relunet.samples import scan_array

__all__ = ["InMemoryFit", "rows_in_memory"]

Array = NDArray[np.float64]

# Rows kept in memory.
SAMPLE_BYTES = 2**25
# Rows that are searched and first polished: so many a parameter, and no fewer than this.
ROWS_PER_PARAMETER, FEWEST_ROWS = 12, 20_000


class InMemoryFit(Fit):
    """The stages of a fit with rows in memory, which see the covariance of the inputs."""

    rows: SampledRows

    def read(self, n_neurons: int, fit_bias: bool, seed: int) -> tuple[Inputs, SampledRows]:
        """Read the law of the inputs, and rows enough for so many neurons."""
        n_rows, d = self.samples.n_rows, self.samples.n_columns
        size = rows_in_memory(n_rows, d, n_neurons)
        inputs, self.rows = read_inputs(self.trace.sweep, n_rows, d, fit_bias=fit_bias, sample_size=size, seed=seed)
        self.rms = KnownErrors(partial(self._rms_on, self.rows.fitted()))
        return inputs, self.rows

    @property
    def n_fitted(self) -> float:
        """Rows that `polished` fits, in rows of equal weight: those in memory that are not held out."""
        return effective_rows(self.rows.fitted()[2])

    def first_rows(self, n_neurons: int) -> Rows:
        """Return as many rows to fit as so many neurons need."""
        return self.rows.fitted(max(FEWEST_ROWS, ROWS_PER_PARAMETER * (self.inputs.rank + 1) * (n_neurons + 1)))

    def projections(self, vectors: Array, shift: Array) -> tuple[Array, Array]:
        """Return (x - shift)·v for the rows x to fit and `vectors` v (q, d), and the rows' weights."""
        return _projections_of(self.rows.fitted(), vectors, shift)

    def is_exact(self, network: ReLUNetwork) -> bool:
        """Tell whether the rows in memory, fitted and held out, are this network up to rounding."""
        return super().is_exact(network) and self._rms_on(self.rows.held_out(), network) <= self.rounding

    def certified(self, network: ReLUNetwork) -> Risk:
        """Return the risk on the rows held out."""
        return risk_on(network, *self.rows.held_out())

    def _sweep_rows(self, rows: Rows, accumulators: Sequence[Accumulator]) -> None:
        """Sweep rows in memory through accumulators."""
        _relunet.sweep(scan_array(*rows).source, list(accumulators), n_threads=self.trace.n_jobs)

    def _rms_on(self, rows: Rows, network: ReLUNetwork) -> float:
        risk = RiskMoments(network)
        self._sweep_rows(rows, [risk])
        return float(np.sqrt(risk.risk))

    def residual_subspace(self, network: ReLUNetwork) -> Subspace:
        """Return the directions in which slices of y - f(x) differ."""
        residual = self.rows.y - network.predict(self.rows.x)
        edges = slice_edges(residual, self.inputs.n_rows, self.inputs.rank)
        slices = SliceMoments(self.samples.n_columns, edges, network)
        self.trace.sweep([slices])
        return find_subspace(slices, self.inputs, self.inputs.n_rows)

    def blurred(self, network: ReLUNetwork) -> Array:
        """Return the directions in which kinks of the network are blurred, on the rows to fit."""
        x, y, weight = self.rows.fitted()
        z = self.inputs.against(x - self.inputs.mean)
        residual = (y - network.predict(x)) * np.sqrt(weight)
        return blurred(network, z, residual, self.inputs)

    def projected_rows(self, directions: Array, beyond: ReLUNetwork, n_neurons: int | None) -> Rows:
        """Return rows projected on `directions`, labels less a linear part, weights: as many as so many neurons need.

        Without biases, x itself is projected: no neuron can use a constant.
        """
        x, y, weight = self.rows.fitted() if n_neurons is None else self.first_rows(n_neurons)
        centred = x - self.inputs.mean if self.inputs.fit_bias else x
        return _relunet.matmul(centred, self.inputs.raw(directions.T).T.copy()), y - beyond.predict(x), weight

    def polished(self, network: ReLUNetwork, *, linear: bool) -> ReLUNetwork:
        """Return the least-squares optimum on the rows to fit: on the first, and on all where that is not exact.

        Both begin at `network`: noise in the first rows leads close neurons into optima that more rows do not have.
        """
        if network.n_neurons == 0:
            return self.inputs.affine_network()
        free = Free(self.inputs.fit_bias, linear)
        optimum = network
        for rows in (self.first_rows(network.n_neurons), self.rows.fitted()):
            sweep, project = partial(self._sweep_rows, rows), partial(_projections_of, rows)
            polished = self.descended(network, sweep, project, free, len(rows[1]))
            self.trace.errors_on_sample.extend(polished.history)
            optimum = polished.network
            if len(rows[1]) == self.rows.n_fitted:
                self.rms.learn(optimum, float(np.sqrt(polished.risk)))
            if len(rows[1]) == self.rows.n_fitted or self.is_exact(optimum):
                break
        return optimum


def rows_in_memory(n_rows: int, n_features: int, n_neurons: int) -> int:
    """Return how many of `n_rows` rows a fit keeps: those of `SAMPLE_BYTES`, or more where some neurons need them."""
    enough = ROWS_PER_PARAMETER * (n_features + 1) * (min(n_neurons, 4) + 1)
    return min(n_rows, max(SAMPLE_BYTES // (8 * n_features), enough))


def _projections_of(rows: Rows, vectors: Array, shift: Array) -> tuple[Array, Array]:
    """Return (x - shift)·v for rows x and `vectors` v, and the rows' weights."""
    x, _, weight = rows
    return _relunet.matmul(x - shift, vectors.T.copy()), weight

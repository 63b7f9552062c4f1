"""A fit whose subspace comes from all rows, and whose search and first polish use rows held in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Literal

import numpy as np

from relunet._typing import Array
from relunet.fitting.fit import CachedErrors, Fit
from relunet.fitting.rows import HeldRows, StreamedRows, effective_rows, hash_threshold, sampled
from relunet.fitting.settings import DEFAULTS, Settings
from relunet.fitting.stages.inputs import inputs_of
from relunet.fitting.stages.polish import Free
from relunet.fitting.stages.scales import blurred
from relunet.fitting.stages.subspace import Subspace, find_subspace, slice_edges
from relunet.fitting.stages.validation import Risk, risk_on
from relunet.fitting.trace import Trace
from relunet.linalg import matmul
from relunet.moments import InputMoments, RowSample, SliceMoments
from relunet.network import ReLUNetwork

__all__ = ["InMemoryFit", "rows_in_memory"]


class InMemoryFit(Fit):
    """The stages of a fit with rows in memory, which see the covariance of the inputs.

    One sweep reads mean and covariance, and rows enough for the number of neurons.

    Parameters
    ----------
    trace : Trace
        The samples, whose sweeps are counted.
    n_neurons : int
        Most neurons.
    fit_bias : bool
        Whether neurons have biases.
    fit_linear : {"auto", True, False}
        Whether the network has a linear part.
    seed : int
        Seed of the sample of rows, and of the directions that searches try.
    settings : Settings, default=DEFAULTS
        Constants of the method.
    """

    def __init__(
        self,
        trace: Trace,
        n_neurons: int,
        *,
        fit_bias: bool,
        fit_linear: bool | Literal["auto"],
        seed: int,
        settings: Settings = DEFAULTS,
    ) -> None:
        n_rows, d = trace.samples.n_rows, trace.samples.n_columns
        threshold = hash_threshold(rows_in_memory(n_rows, d, n_neurons, settings), n_rows)
        moments, sample = InputMoments(d), RowSample(d, threshold, seed)
        trace.sweep([moments, sample])
        rows = sampled(sample, settings.held_out_every, trace.n_jobs)
        self.fitted, self.held_out = rows.fitted(), rows.held_out()
        super().__init__(
            trace,
            inputs_of(moments, rows.n_rows, fit_bias=fit_bias),
            rows,
            StreamedRows(trace.sweep, n_rows, self.fitted),
            fit_linear=fit_linear,
            seed=seed,
            steps=settings.polish_steps,
            settings=settings,
        )
        self.rms = CachedErrors(self.fitted.rms)

    @property
    def n_fitted(self) -> float:
        """Rows that `polished` fits, in rows of equal weight: those in memory that are not held out."""
        return effective_rows(self.fitted.weight)

    def first_rows(self, n_neurons: int) -> HeldRows:
        """Return as many rows to fit as so many neurons need."""
        enough = self.settings.rows_per_parameter * (self.inputs.rank + 1) * (n_neurons + 1)
        return self.fitted.first(max(self.settings.fewest_rows, enough))

    def is_exact(self, network: ReLUNetwork) -> bool:
        """Return whether the labels in memory, fitted and held out, are this network up to rounding."""
        return super().is_exact(network) and self.held_out.rms(network) <= self.rounding

    def certified(self, network: ReLUNetwork) -> Risk:
        """Return the risk on the rows held out."""
        return risk_on(network, self.held_out.x, self.held_out.y, self.held_out.weight)

    def residual_subspace(self, network: ReLUNetwork) -> Subspace:
        """Return the directions in which slices of y - f(x) differ."""
        residual = self.rows.y - network.predict(self.rows.x)
        edges = slice_edges(residual, self.inputs.n_rows, self.inputs.rank, self.settings)
        slices = SliceMoments(self.samples.n_columns, edges, network)
        self.trace.sweep([slices])
        return find_subspace(slices, self.inputs, self.inputs.n_rows, self.settings)

    def blurred(self, network: ReLUNetwork) -> Array:
        """Return the directions in which kinks of the network are blurred, on the rows to fit."""
        rows = self.fitted
        z = self.inputs.against(rows.x - self.inputs.mean)
        residual = (rows.y - network.predict(rows.x)) * np.sqrt(rows.weight)
        return blurred(network, z, residual, self.inputs, self.settings)

    def projected_rows(self, directions: Array, beyond: ReLUNetwork, n_neurons: int | None) -> HeldRows:
        """Return rows projected on `directions`, their labels less a linear part: as many as `n_neurons` need."""
        rows = self.fitted if n_neurons is None else self.first_rows(n_neurons)
        centred = rows.x - self.inputs.mean if self.inputs.fit_bias else rows.x
        z = matmul(centred, self.inputs.raw(directions.T).T)
        return HeldRows(z, rows.y - beyond.predict(rows.x), rows.weight, rows.n_jobs)

    def polished(self, network: ReLUNetwork, *, linear: bool) -> ReLUNetwork:
        """Return the least-squares optimum on the rows to fit: on the first, and on all where that is not exact.

        Both polishes begin at `network`: noise in the first rows leads close neurons into optima that more rows do not
        have.
        """
        if network.n_neurons == 0:
            return self.inputs.affine_network()
        if not self.settings.polish:
            return network
        free = Free(self.inputs.fit_bias, linear)
        optimum = network
        for rows in (self.first_rows(network.n_neurons), self.fitted):
            polished = self.polish_on(replace(rows, swept=self._counted_sweeps()), network, free)
            self.trace.errors_on_sample.extend(polished.history)
            optimum = polished.network
            if rows.n_rows == self.fitted.n_rows:
                self.rms.store(optimum, float(np.sqrt(polished.risk)))
            if rows.n_rows == self.fitted.n_rows or self.is_exact(optimum):
                break
        return optimum

    def _counted_sweeps(self) -> Callable[[], None] | None:
        """Return what reports the sweeps of a polish in memory, None if nobody asks for it."""
        report, numbers = self.trace.counted("first polish", self.steps), count(1)
        return None if report is None else lambda: report(next(numbers))


def rows_in_memory(n_rows: int, n_features: int, n_neurons: int, settings: Settings = DEFAULTS) -> int:
    """Return how many of `n_rows` rows a dense fit keeps: `sample_bytes`, or more where some neurons need them."""
    enough = settings.rows_per_parameter * (n_features + 1) * (min(n_neurons, 4) + 1)
    return min(n_rows, max(settings.sample_bytes // (8 * n_features), enough))

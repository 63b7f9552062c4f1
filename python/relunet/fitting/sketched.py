"""A fit for many features whose memory is linear in their number: rows are kept as projections on a few directions."""

from __future__ import annotations

from typing import Literal

import numpy as np

from relunet._typing import Array
from relunet.fitting.fit import Fit
from relunet.fitting.report import Status
from relunet.fitting.rows import HeldRows, SketchedRows, StreamedRows, hash_threshold, sampled
from relunet.fitting.settings import DEFAULTS, Settings
from relunet.fitting.stages.inputs import scaled_inputs_of
from relunet.fitting.stages.polish import Free
from relunet.fitting.stages.subspace import Subspace, sketch_subspace
from relunet.fitting.stages.validation import Risk
from relunet.fitting.trace import Trace
from relunet.linalg import matmul
from relunet.moments import GradientMoments, RowSample, SketchMoments
from relunet.network import ReLUNetwork

__all__ = ["SketchedFit"]


class SketchedFit(Fit):
    """The stages of a fit without the covariance matrix of the inputs, for many features.

    Inputs are scaled but not whitened: correlations between them slow the polish, and strong correlations bias the
    directions that are found. Each projection of rows and each risk of a network takes a sweep. The first sweep reads
    means, scales and a sample of the labels.

    The parameters are those of `InMemoryFit`.
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
        threshold, no_vectors = hash_threshold(settings.sketch_rows, n_rows), np.zeros((0, d))
        sums, gradient = SketchMoments(d, no_vectors, [], [[1.0]]), GradientMoments(ReLUNetwork(no_vectors, []))
        sample = RowSample(d, threshold, seed, no_vectors)
        trace.sweep([sums, gradient, sample])
        rows = sampled(sample, settings.held_out_every, trace.n_jobs, float(sums.weights[0]))
        self.sketched = SketchedRows(trace.sweep, d, threshold, seed, settings.held_out_every, trace.n_jobs)
        self.n_directions = min(n_neurons, settings.most_columns) + settings.spare_columns
        super().__init__(
            trace,
            scaled_inputs_of(sums, gradient, rows.n_rows, fit_bias=fit_bias),
            rows,
            StreamedRows(trace.sweep, n_rows, self.sketched),
            fit_linear=fit_linear,
            seed=seed,
            steps=settings.sketch_steps,
            settings=settings,
        )
        self.rms = self.rms_on_all

    @property
    def n_fitted(self) -> float:
        """Effective number of rows that `polished` fits, which are all rows."""
        return self.inputs.n_rows

    def projected_rows(self, directions: Array, beyond: ReLUNetwork, n_neurons: int | None) -> HeldRows:
        """Return sampled rows projected on `directions`, their labels less the linear function `beyond`."""
        vectors = self.inputs.x_weights(directions.T)
        rows = self.sketched.along(np.concatenate([vectors, beyond.linear[None, :]]))
        shift = matmul(self.inputs.mean, vectors.T) if self.inputs.fit_bias else 0.0
        y = rows.y - rows.x[:, -1] - float(beyond.intercept)
        return HeldRows(rows.x[:, :-1] - shift, y, rows.weight, rows.n_jobs)

    def rounding(self, network: ReLUNetwork) -> float:
        """Return the RMS residual below which the labels equal this network up to rounding."""
        y = self.rows.y
        with np.errstate(over="ignore", under="ignore"):
            single = self.samples.dtype == np.float32 or bool(np.all(y == y.astype(np.float32)))
        part = self.settings.exact_single if single else self.settings.exact_double
        return part * float(np.sqrt(self.inputs.label_var + self.inputs.label_mean**2))

    def certified(self, network: ReLUNetwork) -> Risk:
        """Return the risk on all rows, which were also fitted."""
        return Risk(self.rms(network) ** 2, "the network fitted to all rows")

    def residual_subspace(self, network: ReLUNetwork) -> Subspace:
        """Return the directions that contractions with y - f(x) show, by block iteration."""
        rows = self.sketched.along(np.concatenate([network.weights, network.linear[None, :]]))
        heights = np.maximum(rows.x[:, :-1] + network.biases, 0.0)
        values = matmul(heights, network.output_weights) + rows.x[:, -1]
        residual = rows.y - values - float(network.intercept)
        n_rows, seed = self.inputs.n_rows, next(self.seeds)
        return sketch_subspace(
            self.trace.sweep, self.inputs, n_rows, network, residual, self.n_directions, seed, self.settings
        )

    def blurred(self, network: ReLUNetwork) -> Array:
        """Return no directions, since the second moment near a kink would take a matrix over all features."""
        return np.zeros((self.inputs.rank, 0))

    def polished(self, network: ReLUNetwork, *, linear: bool) -> ReLUNetwork:
        """Return the least-squares optimum on all rows."""
        if not self.settings.polish:
            return network
        return self.descended_on_all(network, Free(self.inputs.fit_bias, linear))

    def status(self, network: ReLUNetwork, limit: int, first_look: Subspace | None, *, told: bool = True) -> Status:
        """Return how the fit ended, and warn if the user can improve it."""
        status = super().status(network, limit, first_look, told=told)
        if status == "budget":
            d = self.samples.n_columns
            self.trace.warn(f"correlations between {d} features are not used: if there are any, try max_dense={d}")
        return status

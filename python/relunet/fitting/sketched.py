"""A fit with nothing that is quadratic in the features: rows are seen along few directions, and all are polished."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relunet import _relunet
from relunet.fitting.fit import Fit, Rows
from relunet.fitting.report import Status
from relunet.fitting.stages.inputs import Inputs, SampledRows, hash_threshold, read_scales, sampled
from relunet.fitting.stages.polish import Free
from relunet.fitting.stages.subspace import Subspace, sketch_subspace
from relunet.fitting.stages.validation import Risk
from relunet.moments import RowSample
from relunet.network import ReLUNetwork

__all__ = ["MAX_DENSE", "SAMPLED_ROWS", "SPARE", "SketchedFit"]

Array = NDArray[np.float64]

# Beyond so many features nothing is kept that is quadratic in them.
MAX_DENSE = 1000
# Rows whose projections are kept in memory.
SAMPLED_ROWS = 2**16
# Columns of the block iteration beside the neurons that may show, and the most of these at once.
SPARE, AT_ONCE = 8, 16


class SketchedFit(Fit):
    """The stages of a fit for more features than a covariance matrix is kept for.

    Inputs are scaled, not whitened: correlations between them slow the polish down, and strong ones turn the directions
    that are found. Each projection of rows is a sweep, and so is the risk of a network.
    """

    # Many are needed where inputs are correlated.
    steps = 60

    def read(self, n_neurons: int, fit_bias: bool, seed: int) -> tuple[Inputs, SampledRows]:
        """Read means and scales of the inputs, and a sample of the labels."""
        n_rows, d = self.samples.n_rows, self.samples.n_columns
        self._n_columns = min(n_neurons, AT_ONCE) + SPARE
        self._seed = seed
        self._threshold = hash_threshold(SAMPLED_ROWS, n_rows)
        self.rms = self.rms_on_all
        return read_scales(self.trace.sweep, n_rows, d, fit_bias=fit_bias, sample_size=SAMPLED_ROWS, seed=seed)

    @property
    def n_fitted(self) -> float:
        """Rows that `polished` fits, in rows of equal weight: all."""
        return self.inputs.n_rows

    def _along(self, vectors: Array) -> SampledRows:
        """Return projections x·v of sampled rows x, always the same, on `vectors` v (q, d)."""
        sample = RowSample(self.samples.n_columns, self._threshold, self._seed, vectors)
        self.trace.sweep([sample])
        return sampled(sample)

    def projections(self, vectors: Array, shift: Array) -> tuple[Array, Array]:
        """Return (x - shift)·v for sampled rows x and `vectors` v (q, d), and the rows' weights."""
        rows = self._along(vectors)
        return rows.x - _relunet.matmul(shift[None, :], vectors.T.copy()), rows.weight

    def projected_rows(self, directions: Array, beyond: ReLUNetwork, n_neurons: int | None) -> Rows:
        """Return sampled rows projected on `directions`, labels less the linear function `beyond`, weights."""
        vectors = self.inputs.raw(directions.T)
        rows = self._along(np.concatenate([vectors, beyond.linear[None, :]]))
        shift = _relunet.matmul(self.inputs.mean[None, :], vectors.T.copy()) if self.inputs.fit_bias else 0.0
        return rows.x[:, :-1] - shift, rows.y - rows.x[:, -1] - float(beyond.intercept), rows.weight

    def certified(self, network: ReLUNetwork) -> Risk:
        """Return the risk on all rows, which had a part in the fit."""
        return Risk(self.rms(network) ** 2, "the network fitted to all rows")

    def residual_subspace(self, network: ReLUNetwork) -> Subspace:
        """Return the directions that contractions with y - f(x) show, by block iteration."""
        rows = self._along(np.concatenate([network.weights, network.linear[None, :]]))
        heights = np.maximum(rows.x[:, :-1] + network.biases, 0.0)
        values = _relunet.matmul(heights, network.output_weights[:, None])[:, 0] + rows.x[:, -1]
        residual = rows.y - values - float(network.intercept)
        n_rows, seed = self.inputs.n_rows, next(self.seeds)
        return sketch_subspace(self.trace.sweep, self.inputs, n_rows, network, residual, self._n_columns, seed)

    def blurred(self, network: ReLUNetwork) -> Array:
        """Return no direction: the second moment beside a kink would be one of all features."""
        return np.zeros((self.inputs.rank, 0))

    def polished(self, network: ReLUNetwork, *, linear: bool) -> ReLUNetwork:
        """Return the least-squares optimum on all rows."""
        return self.descended_on_all(network, Free(self.inputs.fit_bias, linear))

    def ending(self, network: ReLUNetwork, limit: int, first_look: Subspace | None) -> Status:
        """Tell how the fit ended, and the user what could be done about it."""
        status = super().ending(network, limit, first_look)
        if status == "budget":
            d = self.samples.n_columns
            self.trace.warn(f"so many features count as uncorrelated: where they are not, max_dense={d} may find more")
        return status

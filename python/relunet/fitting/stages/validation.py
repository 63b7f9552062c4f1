"""Validation: the risk of a fitted network and the covariance of its parameters, from leave-one-out residuals.

The leave-one-out residual of a row with leverage h in a least-squares fit is e / (1 - h), where e is its residual in
the fit to all rows. For a network this holds while no kink moves across a row. Leave-one-out residuals give the risk of
a fit, its standard error, and the difference between two fits, for residuals of any size and distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from relunet._typing import Array
from relunet.fitting.leaving_out import lowered
from relunet.fitting.report import StandardErrors
from relunet.fitting.rows import HeldRows, effective_rows, own_weight
from relunet.fitting.stages.whitening import Whitening
from relunet.linalg import eigh, matmul
from relunet.moments import CurvatureMoments
from relunet.network import ReLUNetwork

__all__ = ["Linearised", "Risk", "Uncertainty", "risk_of", "undetermined_pair"]

# Number of rows whose leverages are computed, and largest number of parameters for which they are.
LEVERED_ROWS, LEVERED_PARAMETERS = 4096, 1600
# Rows per parameter, and products in the normal matrix, above which leverages are taken to be equal.
MANY_ROWS, LEVERED_PRODUCTS = 20, 500_000_000
# Eigenvalues of the normal matrix, scaled to unit diagonal, below this share of the largest count as zero.
UNDETERMINED = 1e-11
# Output weights are parallel if their cosine is this close to 1 or -1.
PARALLEL = 1e-9
# Step of differences along a column of the root of the covariance, in its length.
STEP = 1e-2


@dataclass(frozen=True)
class Risk:
    """Mean squared residual of a network on fresh rows.

    Attributes
    ----------
    mean : float
        The estimate.
    network : str
        The network to which the risk refers.
    interval : tuple of float or None
        Normal confidence interval at level `level`, or None.
    level : float
        Confidence level.
    """

    mean: float
    network: str
    interval: tuple[float, float] | None = None
    level: float = 0.95


@dataclass(frozen=True)
class Linearised:
    """A network as a linear function of its parameters for fixed gates.

    The parameters are those with respect to whitened inputs: neurons by row, then the affine part.

    Attributes
    ----------
    network : ReLUNetwork
        The network.
    whitening : Whitening
        Mean and covariance of the inputs.
    biases, linear : bool
        Whether neurons have biases and the network an intercept, and whether it has a linear part.
    """

    network: ReLUNetwork
    whitening: Whitening
    biases: bool
    linear: bool

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        k = self.network.n_neurons
        return (k + self.linear) * self.whitening.rank + self.biases * (k + 1)

    def rows(self, x: Array) -> Array:
        """Return whitened rows, which are not centred if there are no biases."""
        return self.whitening.transform(x - self.whitening.mean if self.biases else x)

    def jacobian(self, x: Array) -> Array:
        """Return the derivatives (n, p) of predictions at rows x with respect to the parameters."""
        z = self.rows(x)
        if self.biases:
            z = np.concatenate([z, np.ones((len(z), 1))], axis=1)
        on = matmul(x, self.network.weights.T) + self.network.biases > 0
        parts = [z * gate[:, None] for gate in on.T]
        affine = z if self.linear else z[:, z.shape[1] - self.biases :]
        return np.concatenate([*parts, affine], axis=1)

    def normal_matrix(self, x: Array, weight: Array, n_jobs: int | None = None) -> Array:
        """Return the weighted mean (p, p) of outer products of the derivatives at rows."""
        if self.whitening.rank == 0:
            # Constant inputs leave the intercept as the only parameter.
            return np.ones((self.n_parameters, self.n_parameters))
        biases = self.network.biases
        if self.biases:
            biases = biases + matmul(self.network.weights, self.whitening.mean)
        gates = ReLUNetwork(self.whitening.z_weights(self.network.weights), self.network.output_weights, biases)
        curvature = CurvatureMoments(gates)
        HeldRows(self.rows(x), np.zeros(len(x)), weight, n_jobs).sweep([curvature])
        free = np.ones((self.network.n_neurons + 1, self.whitening.rank + 1), dtype=bool)
        free[:, -1] = self.biases
        free[-1, :-1] = self.linear
        at = np.flatnonzero(free)
        return curvature.normal_matrix[at[:, None], at]

    def leverages(self, x: Array, weight: Array, times: float = 1.0, n_jobs: int | None = None) -> Array:
        """Return the leverages of the first rows in a fit to `times` as many rows, of which these are a sample.

        The result is empty if there are too many parameters.
        """
        if not 0 < self.n_parameters <= LEVERED_PARAMETERS:
            return np.zeros(0 if self.n_parameters else min(len(x), LEVERED_ROWS))
        if len(x) > MANY_ROWS * self.n_parameters and len(x) * self.n_parameters**2 > LEVERED_PRODUCTS:
            # The normal matrix would cost more than the fit. Leverages are small and replaced by their mean.
            return np.full(min(len(x), LEVERED_ROWS), self.n_parameters / (effective_rows(weight) * times))
        root = inverse_root(self.normal_matrix(x, weight, n_jobs))
        spread = np.sum(matmul(self.jacobian(x[:LEVERED_ROWS]), root) ** 2, axis=1)
        return np.asarray(spread * own_weight(weight)[: len(spread)] / (np.sum(weight) * times))

    def covariance_root(
        self, x: Array, squares: Array, weight: Array, times: float, n_jobs: int | None = None
    ) -> Array:
        """Return F (p, q) such that F Fᵀ is the sandwich covariance of the parameters, from squared residuals."""
        root = inverse_root(self.normal_matrix(x, weight, n_jobs))
        spread = weight * own_weight(weight) * squares
        total = float(np.sum(spread))
        if total == 0:
            return root * 0.0
        middle = matmul(matmul(root.T, self.normal_matrix(x, spread / total, n_jobs)), root) * total
        values, vectors = eigh(middle)
        spreads = vectors * np.sqrt(np.maximum(values, 0.0))
        scaled: Array = matmul(root, spreads) / (float(np.sum(weight)) * np.sqrt(times))
        return scaled


@dataclass(frozen=True)
class Uncertainty:
    """Sandwich covariance N⁻¹ G N⁻¹ of the parameters of a network, which is valid for heteroscedastic noise.

    N is the sum over rows of outer products of the derivatives of the prediction, and G the same sum with squared
    leave-one-out residuals as weights (HC3).

    Attributes
    ----------
    linearised : Linearised
        The network as a function of its parameters.
    root : ndarray of shape (p, q)
        F such that F Fᵀ is the covariance.
    """

    linearised: Linearised
    root: Array

    def deviations(self, x: Array) -> Array:
        """Return the standard errors (n,) of predictions at rows x."""
        spread: Array = np.sqrt(np.sum(matmul(self.linearised.jacobian(x), self.root) ** 2, axis=1))
        return spread

    def shifted(self, step: float) -> Iterator[ReLUNetwork]:
        """Yield the network with its parameters shifted by `step` times each column of the root."""
        whitening, network = self.linearised.whitening, self.linearised.network
        r, k, biases = whitening.rank, network.n_neurons, int(self.linearised.biases)
        for column in step * self.root.T:
            weights, constants, at = np.zeros((k + 1, len(whitening.mean))), np.zeros(k + 1), 0
            for i in range(k + 1):
                slopes = r if i < k or self.linearised.linear else 0
                if slopes:
                    weights[i] = whitening.x_weights(column[None, at : at + slopes])[0]
                if biases:
                    constants[i] = column[at + slopes] - np.sum(weights[i] * whitening.mean)
                at += slopes + biases
            yield ReLUNetwork(
                network.weights + weights[:k] / network.output_weights[:, None],
                network.output_weights,
                network.biases + constants[:k] / network.output_weights,
                network.linear + weights[k],
                network.intercept + constants[k],
            )

    def delta_errors(self, function: Callable[[ReLUNetwork], Array]) -> Array:
        """Return the standard errors of smooth functions (q,) of the network by the delta method.

        The derivatives along the columns of the root are central differences.
        """
        ups, downs = (np.stack([function(each) for each in self.shifted(step)]) for step in (STEP, -STEP))
        errors: Array = np.sqrt(np.sum(((ups - downs) / (2 * STEP)) ** 2, axis=0))
        return errors

    def standard_errors(self) -> StandardErrors:
        """Return the standard errors of the parameters, which are zero for parameters that are not fitted."""
        whitening, k = self.linearised.whitening, self.linearised.network.n_neurons
        r, biases, d = whitening.rank, int(self.linearised.biases), len(whitening.mean)
        weights, constants, at = np.zeros((k + 1, d)), np.zeros(k + 1), 0
        for i in range(k + 1):
            slopes = r if i < k or self.linearised.linear else 0
            raw = whitening.x_weights(self.root[at : at + slopes].T) if slopes else np.zeros((self.root.shape[1], d))
            weights[i] = np.sqrt(np.sum(raw**2, axis=0))
            if biases:
                constants[i] = np.sqrt(np.sum((self.root[at + slopes] - matmul(raw, whitening.mean)) ** 2))
            at += slopes + biases
        return StandardErrors(weights[:k], constants[:k], weights[k], float(constants[k]))


def inverse_root(normal: Array) -> Array:
    """Return R (p, q) such that R Rᵀ is the inverse of a normal matrix on its range."""
    scale = np.sqrt(np.maximum(np.diagonal(normal), 0.0))
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = eigh(normal / scale / scale[:, None])
    kept = values > UNDETERMINED * max(values.max(initial=0.0), 1e-300)
    root: Array = vectors[:, kept] / np.sqrt(values[kept]) / scale[:, None]
    return root


def risk_of(squares: Array, weight: Array, network: str, level: float = 0.95) -> Risk:
    """Return the risk from squared leave-one-out residuals, or from residuals of rows that were not fitted."""
    mean, error = lowered(squares, np.zeros_like(squares), weight)
    width = NormalDist().inv_cdf((1 + level) / 2) * error
    return Risk(mean, network, (max(mean - width, 0.0), mean + width), level)


def undetermined_pair(
    active: NDArray[np.bool_], weight: Array, output_weights: Array, n_parameters: int, *, linear: bool
) -> str | None:
    """Return the message about two neurons with fewer rows between their kinks than one has parameters.

    Such neurons fit these rows exactly in many ways, if their output weights are parallel. Neurons on opposite sides of
    close kinks do as well if there is a linear part. None if there are no such neurons.

    Parameters
    ----------
    active : ndarray of shape (n, k)
        Which neurons are active at rows.
    weight : ndarray of shape (n,)
        How many of the rows to fit each of these rows stands for.
    output_weights : ndarray of shape (m, k)
        Output weights.
    n_parameters : int
        Number of parameters that each neuron has.
    linear : bool
        Whether the network may have a linear part.
    """
    n_rows, k = float(np.sum(weight)), active.shape[1]
    unit = output_weights / np.sqrt(np.sum(output_weights**2, axis=0))
    parallel = np.abs(matmul(unit.T, unit)) > 1 - PARALLEL
    between = np.full((k, k), np.inf)
    for i in range(k):
        apart = np.sum((active[:, i + 1 :] != active[:, i, None]) * weight[:, None], axis=0)
        apart = np.minimum(apart, n_rows - apart) if linear else apart
        between[i, i + 1 :] = np.where(parallel[i, i + 1 :], apart, np.inf)
    i, j = (int(at) for at in np.unravel_index(np.argmin(between), between.shape))
    if between[i, j] >= n_parameters:
        return None
    return (
        f"neurons {i} and {j}: {between[i, j]:.0f} rows lie between their kinks, too few to determine both; the labels "
        "of these rows are the network up to rounding, those of other rows between the kinks need not be"
    )

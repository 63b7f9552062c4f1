"""First stage: mean and covariance of the inputs and labels, and the affine functions that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from relunet._typing import Array
from relunet.errors import DataError
from relunet.fitting.leaving_out import left_out
from relunet.fitting.rows import SampledRows, own_weight
from relunet.fitting.stages.whitening import Whitening
from relunet.linalg import eigh, matmul
from relunet.moments import GradientMoments, InputMoments, SketchMoments
from relunet.network import ReLUNetwork

__all__ = ["Inputs", "check_size", "inputs_of", "scaled_inputs_of", "shrunk"]

# Eigenvalues of the correlation matrix below RANK_TOLERANCE times the largest are rounding errors. A feature is
# constant if its standard deviation is below CONSTANT times its mean.
RANK_TOLERANCE, CONSTANT = 1e-13, 16 * float(np.finfo(np.float64).eps)
# Penalties tried for the slopes of standardised features, in units of the variance of a feature.
PENALTIES = np.concatenate([[0.0], np.logspace(-6, 3, 28)])
# No penalty is used with at least PLENTY rows per parameter, or if it decreases the risk by at most the share
# NEGLIGIBLE.
PLENTY, NEGLIGIBLE = 50, 1e-3
# Range of sizes of inputs and labels whose powers and products do not overflow or underflow.
SMALLEST, LARGEST = 1e-50, 1e50
# Number of rows that are summed sequentially: LEAF_ROWS, or the fraction 1/LEAVES of all rows if that is more.
LEAF_ROWS, LEAVES = 2048, 64


@dataclass(frozen=True, kw_only=True)
class Inputs(Whitening):
    """Mean and covariance of inputs and labels, and changes of coordinates of networks.

    Attributes
    ----------
    n_rows : float
        Effective number of rows.
    fit_bias : bool
        Whether neurons have biases; without biases, a network is homogeneous in the inputs x.
    label_mean, label_var : float
        Mean and variance of the labels.
    label_cov : ndarray of shape (r,)
        Covariance of the labels with z.
    farthest_mean : float
        Largest mean of a feature, in units of its standard deviation.
    spread : ndarray of shape (r,) or float
        Variance of the standardised inputs along each coordinate of z.
    shrinkage : ndarray of shape (r,) or float
        Factors of the slopes of the affine function along z, below 1 if a penalty decreases the risk.
    """

    n_rows: float
    fit_bias: bool
    label_mean: float
    label_var: float
    label_cov: Array
    farthest_mean: float = 0.0
    spread: Array | float = 1.0
    shrinkage: Array | float = 1.0

    def weights(self, parameters: Array, directions: Array) -> tuple[Array, Array]:
        """Return weights (m, d) and biases (m,) of affine functions of rows projected on whitened `directions` (r, q).

        `parameters` has shape (m, q) or, with biases, (m, q + 1) with the constant last.
        """
        q = directions.shape[1]
        slopes = matmul(parameters[:, :q], self.x_weights(directions.T))
        if not self.fit_bias:
            return slopes, np.zeros(len(slopes))
        return slopes, parameters[:, q] - matmul(slopes, self.mean)

    def projected(self, network: ReLUNetwork, directions: Array) -> tuple[Array, Array, Array]:
        """Return a network as a function ``linear·p + Σ signs |vectors·p|`` of projected rows p.

        The rows are p = ((x - mean) @ whiten @ directions, 1) with biases, and p = x @ whiten @ directions without, so
        that no neuron can use a constant. The conversion uses relu(t) = (t + |t|)/2.
        """
        sizes = np.abs(network.output_weights)[:, None]
        linear = network.linear + np.sum(network.weights * network.output_weights[:, None], axis=0) / 2
        constant = float(network.intercept) + float(np.sum(network.biases * network.output_weights)) / 2
        rows = np.concatenate([network.weights * sizes / 2, linear[None, :]])
        columns = [matmul(self.z_weights(rows), directions)]
        if self.fit_bias:
            shifts = np.append(network.biases * sizes[:, 0] / 2, constant)
            columns.append((shifts + matmul(rows, self.mean))[:, None])
        parameters = np.concatenate(columns, axis=1)
        return parameters[-1], parameters[:-1], np.sign(network.output_weights)

    def linear_beyond(self, network: ReLUNetwork, directions: Array) -> ReLUNetwork:
        """Return the linear function off the span of `directions`, which `projected` omits."""
        halves = np.sum(network.weights * network.output_weights[:, None], axis=0) / 2
        slope = self.z_weights((network.linear + halves)[None, :])
        beyond = slope - matmul(matmul(slope, directions), directions.T)
        linear = self.x_weights(beyond)[0]
        constant = -float(np.sum(linear * self.mean)) if self.fit_bias else 0.0
        return ReLUNetwork(np.zeros((0, len(linear))), np.zeros(0), linear=linear, intercept=constant)

    def unprojected(
        self, linear: Array, vectors: Array, signs: Array, directions: Array, beyond: ReLUNetwork
    ) -> ReLUNetwork:
        """Return the network of a function of projected rows, as returned by `projected`, plus the function `beyond`.

        The conversion uses |t| = 2 relu(t) - t.
        """
        weights, biases = self.weights(np.concatenate([vectors, linear[None, :]]), directions)
        slope = weights[-1] - np.sum(weights[:-1] * signs[:, None], axis=0) + beyond.linear
        constant = float(biases[-1] - np.sum(biases[:-1] * signs)) + float(beyond.intercept)
        return ReLUNetwork(2 * weights[:-1], signs, 2 * biases[:-1], slope, constant)

    def affine_network(self) -> ReLUNetwork:
        """Return the best affine function of the inputs, or the best linear function without biases."""
        if self.fit_bias:
            slope, constant = self.label_cov * self.shrinkage, self.label_mean
        else:
            # The inverse of the second moment I + m mᵀ of z + m, by Sherman and Morrison.
            m = self.origin
            cross = self.label_cov + m * self.label_mean
            slope, constant = cross - m * (np.sum(m * cross) / (1 + np.sum(m * m))), 0.0
        linear = self.x_weights(slope[None, :])[0]
        if self.fit_bias:
            constant -= float(np.sum(linear * self.mean))
        return ReLUNetwork(np.zeros((0, len(linear))), np.zeros(0), linear=linear, intercept=constant)

    def constant_network(self) -> ReLUNetwork:
        """Return the best constant, which is zero without biases."""
        d = len(self.mean)
        return ReLUNetwork(np.zeros((0, d)), np.zeros(0), intercept=self.label_mean if self.fit_bias else 0.0)


def inputs_of(moments: InputMoments, n_rows: float, *, fit_bias: bool) -> Inputs:
    """Return mean and covariance of the inputs and labels.

    Parameters
    ----------
    moments : InputMoments
        Sums over all rows.
    n_rows : float
        Rows of equal weight that would tell as much.
    fit_bias : bool
        Whether neurons have biases.

    Raises
    ------
    DataError
        Values too large or too small to compute with.
    """
    check_size("sample_weight", moments.weight / max(n_rows, 1))
    check_size("X", moments.mean, np.diagonal(moments.cov))
    check_size("y", moments.label_mean, moments.label_var)
    scale = np.sqrt(np.maximum(np.diagonal(moments.cov), 0.0))
    varies = scale > CONSTANT * np.abs(moments.mean)
    unit = np.where(varies, scale, 1.0)
    # The rank is that of the correlation matrix up to rounding, so that it does not depend on units.
    correlation = np.where(varies[:, None] & varies, moments.cov / unit / unit[:, None], 0.0)
    values, vectors = eigh(correlation)
    # A mean far from zero reduces the accuracy of the covariance.
    farthest = _farthest(moments.mean, scale)
    lost = (farthest * float(np.finfo(np.float64).eps)) ** 2
    kept = values > max(RANK_TOLERANCE, lost) * max(values[-1], 1.0)
    roots, basis = np.sqrt(values[kept]), vectors[:, kept]
    whiten = basis / roots / unit[:, None]
    return Inputs(
        n_rows=n_rows,
        fit_bias=fit_bias,
        mean=moments.mean,
        whiten=whiten,
        unwhiten=(basis * roots).T * np.where(varies, scale, 0.0),
        label_mean=moments.label_mean,
        label_var=max(moments.label_var, 0.0),
        label_cov=matmul(moments.label_cov, whiten),
        farthest_mean=farthest,
        spread=values[kept],
    )


def shrunk(inputs: Inputs, rows: SampledRows) -> Inputs:
    """Return the inputs with the shrinkage of slopes that minimises the leave-one-out risk.

    The penalty is that of ridge regression on standardised features: the slope along an eigenvector of their
    correlation matrix with eigenvalue v is multiplied by v / (v + penalty).

    Parameters
    ----------
    inputs : Inputs
        Mean and covariance of all rows.
    rows : SampledRows
        A sample of them.
    """
    if not inputs.fit_bias or inputs.n_rows > PLENTY * (inputs.rank + 1) or inputs.rank == 0:
        return inputs
    z = inputs.transform(rows.x - inputs.mean)
    deviation, squared = rows.y - inputs.label_mean, z**2
    own = own_weight(rows.weight) / np.sum(rows.weight)
    tried = []
    for penalty in PENALTIES:
        factors = inputs.spread / (inputs.spread + penalty)
        residual = deviation - matmul(z, inputs.label_cov * factors)
        squares = left_out(residual, own * (1 + matmul(squared, factors)), deviation)
        tried.append((float(np.sum(rows.weight * squares)), factors))
    best = min(tried, key=lambda pair: pair[0])
    return inputs if tried[0][0] <= (1 + NEGLIGIBLE) * best[0] else replace(inputs, shrinkage=best[1])


def scaled_inputs_of(sums: SketchMoments, gradient: GradientMoments, n_rows: float, *, fit_bias: bool) -> Inputs:
    """Return means and scales of many inputs, which are treated as uncorrelated.

    Parameters
    ----------
    sums : SketchMoments
        Sums over all rows, without directions.
    gradient : GradientMoments
        Sums over the same rows at the zero network, that is, products of labels and inputs.
    n_rows : float
        Rows of equal weight that would tell as much.
    fit_bias : bool
        Whether neurons have biases.

    Raises
    ------
    DataError
        Values too large or too small to compute with.
    """
    weight = sums.weights[0]
    check_size("sample_weight", weight / gradient.n_rows)
    mean, squares, against_labels = sums.vectors[0] / weight, sums.squares / weight, gradient.gradient[0]
    check_size("X", mean, squares)
    check_size("y", against_labels[-1], gradient.risk)
    variance = squares - mean**2
    # The variance of constant features due to rounding of the sums.
    rounding = 4 * np.finfo(np.float64).eps * max(LEAF_ROWS, gradient.n_rows / LEAVES)
    scale = np.sqrt(np.where(variance > rounding * squares, variance, 0.0))
    whiten = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    label_mean = float(against_labels[-1])
    return Inputs(
        n_rows=n_rows,
        fit_bias=fit_bias,
        mean=mean,
        whiten=whiten,
        unwhiten=scale,
        label_mean=label_mean,
        label_var=max(gradient.risk - label_mean**2, 0.0),
        label_cov=(against_labels[:-1] - label_mean * mean) * whiten,
        farthest_mean=_farthest(mean, scale),
    )


def check_size(name: str, mean: Array | float, square: Array | float = 0.0) -> None:
    """Refuse values whose mean, or mean square, is too large or too small to compute with."""
    size = np.max(np.maximum(np.abs(mean), np.sqrt(np.maximum(square, 0.0))))
    if not (size == 0 or SMALLEST <= size <= LARGEST):
        # A mean square overflows long before a mean does.
        size = size if np.isfinite(size) else np.max(np.abs(mean))
        expected = f"expected sizes between {SMALLEST:.0e} and {LARGEST:.0e}"
        raise DataError(f"{name}: values of size {size:.3g}; {expected}: choose another unit")


def _farthest(mean: Array, deviation: Array) -> float:
    """Return the largest mean of a feature that is not constant, in units of its standard deviation."""
    varies = deviation > CONSTANT * np.abs(mean)
    return float(np.max(np.abs(mean[varies]) / deviation[varies], initial=0.0))

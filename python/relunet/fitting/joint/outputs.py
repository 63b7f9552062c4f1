"""Whitening of the outputs: coordinates in which the residuals of the best affine function have covariance I."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relunet._typing import Array
from relunet.linalg import eigh, matmul
from relunet.moments import Accumulator, LabelMap
from relunet.network import ReLUNetwork

__all__ = ["Outputs", "combined_outputs", "outputs_of", "single_output"]

# Eigenvalues of the correlation of residuals below this part of the largest are rounding.
RANK_TOLERANCE = 1e-14
# Residuals, and slopes, below this part of the labels' deviation are rounding.
AFFINE = 1e-12
# Least noise of a combination of outputs, relative to the largest, that weights assume.
NOISE_FLOOR = 1e-3


@dataclass(frozen=True)
class Outputs:
    """The map from labels y of m outputs to q coordinates T (y - shift), and back.

    Attributes
    ----------
    shift : ndarray of shape (m,)
        Means of the labels; zero where networks have no intercept.
    whiten : ndarray of shape (q, m)
        T. What the best affine function leaves of the coordinates has covariance I on the rows of the fit. Combinations
        of outputs of which it leaves nothing but rounding have no coordinate.
    unwhiten : ndarray of shape (m, q)
        S, with T S = I.
    rest : ReLUNetwork
        What the combinations without a coordinate are, affine: y = S T (y - shift) + rest(x) up to rounding.
    """

    shift: Array
    whiten: Array
    unwhiten: Array
    rest: ReLUNetwork

    @property
    def rank(self) -> int:
        """Number of coordinates."""
        return len(self.whiten)

    def coordinates(self, y: Array) -> Array:
        """Return labels (n, m) as coordinates (n, q)."""
        return matmul(y - self.shift, self.whiten.T)

    def network(self, of_coordinates: ReLUNetwork) -> ReLUNetwork:
        """Return the network of the labels, from one of the coordinates."""
        of_labels = combined_outputs(of_coordinates, self.unwhiten)
        return ReLUNetwork(
            of_labels.weights,
            of_labels.output_weights,
            of_labels.biases,
            of_labels.linear + self.rest.linear,
            of_labels.intercept + self.rest.intercept,
        )

    def of_network(self, network: ReLUNetwork) -> ReLUNetwork:
        """Return a network of the labels as one of the coordinates."""
        mapped = combined_outputs(network, self.whiten)
        shift = matmul(self.whiten, self.shift)
        return ReLUNetwork(
            mapped.weights, mapped.output_weights, mapped.biases, mapped.linear, mapped.intercept - shift
        )

    def uncentred(self, of_coordinates: ReLUNetwork) -> ReLUNetwork:
        """Return the network of T y, from one of the coordinates T (y - shift)."""
        shift = matmul(self.whiten, self.shift)
        return ReLUNetwork(
            of_coordinates.weights,
            of_coordinates.output_weights,
            of_coordinates.biases,
            of_coordinates.linear,
            of_coordinates.intercept + shift,
        )

    def mapped(self, accumulators: Sequence[Accumulator], combinations: Sequence[Array]) -> list[LabelMap]:
        """Return accumulators that take combinations (p, q) of T y, as ones that take the labels y."""
        pairs = zip(accumulators, combinations, strict=True)
        return [LabelMap(accumulator, matmul(rows, self.whiten)) for accumulator, rows in pairs]

    def reweighted(self, residual: Array, weight: Array) -> Outputs:
        """Return the coordinates in which residuals (n, q) of a fit have covariance I: noise then counts alike."""
        share = weight / np.sum(weight)
        values, vectors = eigh(matmul((residual * share[:, None]).T, residual))
        # Outputs without noise would outweigh all others beyond the accuracy of a fit.
        roots = np.sqrt(np.maximum(values, NOISE_FLOOR**2 * max(float(values[-1]), 1e-300)))
        whiten = matmul(vectors.T, self.whiten) / roots[:, None]
        return Outputs(self.shift, whiten, matmul(self.unwhiten, vectors * roots), self.rest)


def outputs_of(affine: ReLUNetwork, shift: Array, residual: Array, weight: Array, deviation: Array) -> Outputs:
    """Return the coordinates of outputs.

    Parameters
    ----------
    affine : ReLUNetwork
        The best affine function of each output.
    shift : ndarray of shape (m,)
        Means of the labels, or zero.
    residual : ndarray of shape (n, m)
        What the affine function leaves of the labels of some rows.
    weight : ndarray of shape (n,)
        Weights of these rows.
    deviation : ndarray of shape (m,)
        Standard deviation of each label.
    """
    share = weight / np.sum(weight)
    size = np.sqrt(np.sum(share[:, None] * residual**2, axis=0))
    used = np.flatnonzero(size > AFFINE * deviation)
    m = residual.shape[1]
    whiten, unwhiten = np.zeros((0, m)), np.zeros((m, 0))
    if len(used):
        unit = residual[:, used] / size[used]
        values, vectors = eigh(matmul((unit * share[:, None]).T, unit))
        kept = values > RANK_TOLERANCE * values[-1]
        roots, vectors = np.sqrt(values[kept]), vectors[:, kept]
        whiten, unwhiten = np.zeros((len(roots), m)), np.zeros((m, len(roots)))
        whiten[:, used] = (vectors / roots).T / size[used]
        unwhiten[used] = vectors * roots * size[used, None]
    off = np.eye(m) - matmul(unwhiten, whiten) if len(used) else np.eye(m)
    if len(whiten) == m:
        off = np.zeros((m, m))
    slopes = matmul(off, affine.linear)
    # What rounding leaves of the slopes of combinations that are constant.
    slopes = np.where(np.abs(slopes) > 1e3 * AFFINE * np.max(np.abs(affine.linear), initial=0.0), slopes, 0.0)
    intercept = matmul(off, np.asarray(affine.intercept) - shift) + shift
    rest = ReLUNetwork(affine.weights, affine.output_weights, None, slopes, intercept)
    return Outputs(shift, whiten, unwhiten, rest)


def combined_outputs(network: ReLUNetwork, combinations: Array) -> ReLUNetwork:
    """Return the network whose outputs are combinations (p, m) of those of a network, or one, where these are (m,)."""
    rows = np.atleast_2d(combinations)
    p, m = rows.shape

    def product(values: Array) -> Array:
        if m == 0 or values.size == 0:
            return np.zeros((p, *values.shape[1:]))
        return matmul(rows, values)

    outer, linear = product(network.output_weights), product(network.linear)
    intercept = product(np.asarray(network.intercept)[:, None])[:, 0]
    if combinations.ndim == 1:
        return ReLUNetwork(network.weights, outer[0], network.biases, linear[0], float(intercept[0]))
    return ReLUNetwork(network.weights, outer, network.biases, linear, intercept)


def single_output(network: ReLUNetwork, output: int) -> ReLUNetwork:
    """Return one output of a network, without the neurons that it does not use."""
    used = np.flatnonzero(network.output_weights[output])
    return ReLUNetwork(
        network.weights[used],
        network.output_weights[output, used],
        network.biases[used],
        network.linear[output],
        float(np.asarray(network.intercept)[output]),
    )

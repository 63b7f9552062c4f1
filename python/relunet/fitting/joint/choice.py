"""Orientation and removal of neurons for all outputs together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relunet._typing import Array
from relunet.fitting.settings import DEFAULTS, Settings
from relunet.fitting.stages.orientation import nearest_to_zero
from relunet.fitting.stages.whitening import Whitening
from relunet.linalg import matmul, svd
from relunet.network import ReLUNetwork

__all__ = ["coarser_networks", "orient_jointly", "without_neurons"]


def orient_jointly(network: ReLUNetwork, whitening: Whitening, settings: Settings = DEFAULTS) -> ReLUNetwork:
    """Return the same function with the sides chosen that make the linear parts of all outputs smallest together.

    Parameters
    ----------
    network : ReLUNetwork
        A network of several outputs, whose units are alike.
    whitening : Whitening
        Mean and covariance of the inputs: linear parts are measured by the spread of their values.
    settings : Settings, default=DEFAULTS
        Number of neurons up to which all orientations are compared.
    """
    k = network.n_neurons
    if k == 0:
        return network
    slopes = whitening.z_weights(network.weights)
    # Turning neuron i adds c_oi w_i to the linear part of each output o.
    jumps = (network.output_weights.T[:, :, None] * slopes[:, None, :]).reshape(k, -1)
    linear = whitening.z_weights(network.linear).reshape(1, -1)
    u, s, vt = svd(jumps)
    kept = s > 1e-12 * s[0] if s[0] > 0 else s > 0
    turned = nearest_to_zero(
        u[:, kept] * s[kept], matmul(linear, vt[kept].T.copy())[0], settings.exhaustive_orientations
    )
    sign = np.where(turned, -1.0, 1.0)
    moved = network.output_weights[:, turned]
    return ReLUNetwork(
        network.weights * sign[:, None],
        network.output_weights,
        network.biases * sign,
        network.linear + (matmul(moved, network.weights[turned]) if np.any(turned) else 0.0),
        network.intercept + np.sum(moved * network.biases[turned], axis=1),
    )


def without_neurons(network: ReLUNetwork, gone: NDArray[np.bool_], affine: Array) -> ReLUNetwork:
    """Return the network without some neurons, of which parts `affine` (k,) of their linear functions stay."""
    kept = ~gone
    part = network.output_weights[:, gone] * affine[gone]
    return ReLUNetwork(
        network.weights[kept],
        network.output_weights[:, kept],
        network.biases[kept],
        network.linear + (matmul(part, network.weights[gone]) if np.any(gone) else 0.0),
        network.intercept + np.sum(part * network.biases[gone], axis=1),
    )


def coarser_networks(
    network: ReLUNetwork, whitening: Whitening, heights: Array, share: Array
) -> list[tuple[float, ReLUNetwork]]:
    """Return networks with one neuron less, not yet fitted again: the closest lines fused, the least useful left out.

    Parameters
    ----------
    network : ReLUNetwork
        A network of several outputs, with at least one neuron.
    whitening : Whitening
        Mean and covariance of the inputs: angles are those of (w, b) as functions of whitened ones.
    heights : ndarray of shape (n, k)
        w·x + b of each neuron at rows.
    share : ndarray of shape (n,)
        Weights of these rows, of sum 1.

    Returns
    -------
    list of (float, ReLUNetwork)
        The angle that was fused, π/2 for a neuron left out, and the network.
    """
    k = network.n_neurons
    values = np.maximum(heights, 0.0)
    heights = heights - np.sum(share[:, None] * heights, axis=0)
    values = values - np.sum(share[:, None] * values, axis=0)
    variance = np.sum(share[:, None] * heights**2, axis=0)
    slope = np.sum(share[:, None] * heights * values, axis=0) / np.where(variance > 0, variance, 1.0)
    bend = np.sum(share[:, None] * (values - slope * heights) ** 2, axis=0)
    least = int(np.argmin(bend * np.sum(network.output_weights**2, axis=0)))
    gone = np.arange(k) == least
    options = [(float(np.pi / 2), without_neurons(network, gone, slope))]
    if k > 1:
        shifts = network.biases + matmul(network.weights, whitening.mean)
        seen = np.concatenate([whitening.z_weights(network.weights), shifts[:, None]], axis=1)
        size = np.sqrt(np.sum(seen**2, axis=1))
        unit = seen / np.where(size > 0, size, 1.0)[:, None]
        cosine = matmul(unit, unit.T)
        off = np.sqrt(np.sum((unit[:, None, :] - cosine[:, :, None] * unit[None, :, :]) ** 2, axis=2))
        off[np.tril_indices(k)] = np.inf
        i, j = (int(v) for v in np.unravel_index(int(np.argmin(off)), off.shape))
        options.append((float(np.arcsin(min(off[i, j], 1.0))), _fused(network, size, i, j, float(cosine[i, j]))))
    return options


def _fused(network: ReLUNetwork, size: Array, i: int, j: int, cosine: float) -> ReLUNetwork:
    """Return the network with neurons i and j on one line between theirs, of the sum of their output weights."""
    side = 1.0 if cosine >= 0 else -1.0
    outer = network.output_weights.copy()
    strength = size * np.sqrt(np.sum(outer**2, axis=0))
    linear, intercept = network.linear, np.asarray(network.intercept)
    if side < 0:
        # relu(t_j) = relu(-t_j) + t_j turns the second neuron to the side of the first.
        linear = linear + outer[:, j, None] * network.weights[j]
        intercept = intercept + outer[:, j] * network.biases[j]
    weights, biases = network.weights.copy(), network.biases.copy()
    total = max(float(strength[i] + strength[j]), 1e-300)
    a, b = strength[i] / total / size[i], side * strength[j] / total / size[j]
    weights[i], biases[i] = a * weights[i] + b * weights[j], a * biases[i] + b * biases[j]
    outer[:, i] = outer[:, i] * size[i] + outer[:, j] * size[j]
    kept = np.arange(network.n_neurons) != j
    return ReLUNetwork(weights[kept], outer[:, kept], biases[kept], linear, intercept)

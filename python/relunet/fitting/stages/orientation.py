"""Orientation of the neurons, chosen such that the linear part vanishes or else is as small as possible.

By relu(t) = relu(-t) + t, reversing a neuron moves its linear function to the affine part. Data determine |t| and the
affine part only. If some choice of orientations leaves no linear part, the network consists of its neurons alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relunet._typing import Array
from relunet.fitting.settings import DEFAULTS, Settings
from relunet.fitting.stages.whitening import Whitening
from relunet.linalg import lstsq, matmul, svd
from relunet.network import ReLUNetwork

__all__ = ["nearest_to_zero", "orient"]


def orient(network: ReLUNetwork, whitening: Whitening, settings: Settings = DEFAULTS) -> ReLUNetwork:
    """Return the same function with the orientations that make the linear part smallest.

    Parameters
    ----------
    network : ReLUNetwork
        A network with one output.
    whitening : Whitening
        Mean and covariance of the inputs; the size of the linear part is the standard deviation of its values.
    settings : Settings, default=DEFAULTS
        Number of neurons up to which all orientations are compared.
    """
    k = network.n_neurons
    if k == 0:
        return network
    jumps = network.weights * network.output_weights[:, None]
    seen = whitening.z_weights(np.concatenate([jumps, network.linear[None, :]]))
    # Coordinates are those of an orthonormal basis of the span of the neurons; no choice changes the part outside it.
    u, s, vt = svd(seen[:k])
    kept = s > 1e-12 * s[0] if s[0] > 0 else s > 0
    moves = u[:, kept] * s[kept]
    rest = matmul(seen[k:], vt[kept].T)[0]
    turned = nearest_to_zero(moves, rest, settings.exhaustive_orientations)
    sign = np.where(turned, -1.0, 1.0)
    linear = network.linear + np.sum(jumps[turned], axis=0)
    intercept = float(network.intercept) + float(np.sum((network.output_weights * network.biases)[turned]))
    return ReLUNetwork(
        network.weights * sign[:, None], network.output_weights, network.biases * sign, linear, intercept
    )


def nearest_to_zero(moves: Array, rest: Array, exhaustive: int) -> NDArray[np.bool_]:
    """Return the rows of `moves` whose sum with `rest` is closest to zero."""
    k = len(moves)
    if k <= exhaustive:
        sums = rest[None, :]
        for move in moves:
            sums = np.concatenate([sums, sums + move])
        best = int(np.argmin(np.sum(sums**2, axis=1)))
        return np.array([(best >> i) & 1 for i in range(k)], dtype=bool)
    chosen = lstsq(moves.T, -rest) > 0.5 if moves.shape[1] == k else np.zeros(k, dtype=bool)
    # Single and double exchanges until none helps.
    while True:
        left = rest + np.sum(moves[chosen], axis=0)
        change = moves * np.where(chosen, -1.0, 1.0)[:, None]
        single = left + change
        double = single[:, None, :] + change[None, :, :] * (1 - np.eye(k))[:, :, None]
        size = np.sum(double**2, axis=2)
        i, j = np.unravel_index(int(np.argmin(size)), size.shape)
        if size[i, j] >= np.sum(left**2) * (1 - 1e-12):
            return chosen
        chosen = chosen.copy()
        chosen[i] ^= True
        if i != j:
            chosen[j] ^= True

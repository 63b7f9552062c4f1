"""The fourth stage: neurons at every scale, from each on its own to all in one clump ([CDGKM23], section 4).

Two neurons at angle θ differ from one by cθ^{3/2} at their centroid: below some scale data cannot tell them apart, and
should not. Each coarser level fuses the two closest neurons into their centroid, or leaves out the one that says least;
the driver fits every level and takes the one that costs least, errors and parameters together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relunet import _relunet
from relunet.network import ReLUNetwork

__all__ = ["Coarser", "coarser"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Coarser:
    """A network with one neuron less.

    Attributes
    ----------
    network : ReLUNetwork
        The network, not yet fitted again.
    scale : float
        Angle in radians between the neurons that were fused; π/2 where one was left out.
    pair : tuple of int
        Neurons i < j of the finer network that were fused into the i-th, or (i, i): the i-th was left out.
    """

    network: ReLUNetwork
    scale: float
    pair: tuple[int, int]

    def merged(self, clumps: tuple[int, ...]) -> tuple[int, ...]:
        """Return the clump of each neuron of the finest level, from that in the finer network."""
        i, j = self.pair
        return tuple(i if clump == j else clump - (clump > j) for clump in clumps)


def coarser(network: ReLUNetwork, unwhiten: Array, mean: Array) -> list[Coarser]:
    """Return the two least coarsenings of a network: the closest lines fused, the smallest neuron left out.

    Parameters
    ----------
    network : ReLUNetwork
        A network with at least one neuron.
    unwhiten : ndarray of shape (r, d)
        x - mean = z @ unwhiten with z of covariance I: angles are those of (w, b) as functions of z.
    mean : ndarray of shape (d,)
        Mean of the inputs.
    """
    signs = np.sign(network.output_weights)
    a = network.weights * np.abs(network.output_weights)[:, None]
    b = network.biases * np.abs(network.output_weights)
    centred = b + _relunet.matmul(a, mean[:, None])[:, 0]
    seen = np.concatenate([_relunet.matmul(a, unwhiten.T.copy()), centred[:, None]], axis=1)
    size = np.sqrt(np.sum(seen**2, axis=1))
    smallest = int(np.argmin(size))
    levels = [Coarser(_without(network, a, b, signs, smallest), np.pi / 2, (smallest, smallest))]
    if len(a) > 1:
        unit = seen / np.where(size > 0, size, 1.0)[:, None]
        cosine = _relunet.matmul(unit, unit.T.copy())
        # |sin| of the angle between two lines, from the part of one off the other: right for tiny angles.
        off = np.sqrt(np.sum((unit[:, None, :] - cosine[:, :, None] * unit[None, :, :]) ** 2, axis=2))
        off[np.tril_indices(len(a))] = np.inf
        i, j = (int(v) for v in np.unravel_index(int(np.argmin(off)), off.shape))
        levels.append(
            Coarser(_fused(network, a, b, signs, i, j, cosine[i, j]), float(np.arcsin(min(off[i, j], 1.0))), (i, j))
        )
    return levels


def _without(network: ReLUNetwork, a: Array, b: Array, signs: Array, i: int) -> ReLUNetwork:
    """Return the network without neuron i, half its linear function kept: relu(t) = (t + |t|)/2."""
    keep = np.arange(len(a)) != i
    linear = network.linear + signs[i] * a[i] / 2
    intercept = float(network.intercept) + float(signs[i] * b[i]) / 2
    return ReLUNetwork(a[keep], signs[keep], b[keep], linear, intercept)


def _fused(network: ReLUNetwork, a: Array, b: Array, signs: Array, i: int, j: int, cosine: float) -> ReLUNetwork:
    """Return the network with neurons i and j on the line of their centroid Σ s |t| / Σ s."""
    side = 1.0 if cosine >= 0 else -1.0
    # s_i |t_i| + s_j |t_j| ≈ |s_i t_i + side s_j t_j| with the sign of the larger part.
    weights = signs[i] * a[i] + side * signs[j] * a[j]
    bias = signs[i] * b[i] + side * signs[j] * b[j]
    sign = 1.0 if np.sum(weights * a[i]) + bias * b[i] >= 0 else -1.0
    linear, intercept = network.linear, float(network.intercept)
    if side < 0:
        # relu(t_j) = relu(-t_j) + t_j turns the second neuron to the side of the first.
        linear = linear + signs[j] * a[j]
        intercept += float(signs[j] * b[j])
    keep = np.arange(len(a)) != j
    a, b, signs = a.copy(), b.copy(), signs.copy()
    a[i], b[i], signs[i] = weights * sign, bias * sign, sign
    return ReLUNetwork(a[keep], signs[keep], b[keep], linear, intercept)

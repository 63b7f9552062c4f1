"""Clumps of neurons at every scale, from single neurons to one clump of all of them ([CDGKM23], section 4).

Two neurons at angle θ differ from one neuron at their centroid by c θ^{3/2}, so that data cannot distinguish them below
some scale. Each coarser level merges the two closest neurons into their centroid, or removes the least useful neuron.
The driver fits every level and chooses the one with the least risk. Finer levels need the direction in which a clump is
spread, which shows in the residual near its kink.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relunet._typing import Array
from relunet.fitting.settings import DEFAULTS, Settings
from relunet.fitting.stages.whitening import Whitening
from relunet.linalg import eigh, matmul, svd
from relunet.network import ReLUNetwork

__all__ = ["Coarser", "blurred", "coarser", "without_inactive_neurons"]


@dataclass(frozen=True)
class Coarser:
    """A network with one neuron less.

    Attributes
    ----------
    network : ReLUNetwork
        The network before it is fitted again.
    scale : float
        Angle in radians between the neurons that were merged; π/2 if a neuron was removed.
    pair : tuple of int
        Neurons i < j of the finer network that were merged into the i-th, or (i, i) if the i-th was removed.
    """

    network: ReLUNetwork
    scale: float
    pair: tuple[int, int]

    def merged(self, clumps: tuple[int, ...]) -> tuple[int, ...]:
        """Return the clump of each neuron of the finest level, given those in the finer network."""
        i, j = self.pair
        return tuple(i if clump == j else clump - (clump > j) for clump in clumps)


def coarser(network: ReLUNetwork, whitening: Whitening, useless: int | None = None) -> list[Coarser]:
    """Return the smallest coarsenings of a network: the two closest neurons merged, or the smallest neuron removed.

    Parameters
    ----------
    network : ReLUNetwork
        A network with at least one neuron.
    whitening : Whitening
        Mean and covariance of the inputs; angles are those between (w, b) as functions of whitened inputs.
    useless : int, optional
        A neuron that is removed in a further coarsening.
    """
    signs = np.sign(network.output_weights)
    a = network.weights * np.abs(network.output_weights)[:, None]
    b = network.biases * np.abs(network.output_weights)
    centred = b + matmul(a, whitening.mean)
    seen = np.concatenate([whitening.z_weights(a), centred[:, None]], axis=1)
    size = np.sqrt(np.sum(seen**2, axis=1))
    smallest = int(np.argmin(size))
    dispensable = [smallest] if useless is None or useless == smallest else [smallest, useless]
    levels = [Coarser(_without(network, a, b, signs, i), np.pi / 2, (i, i)) for i in dispensable]
    if len(a) > 1:
        unit = seen / np.where(size > 0, size, 1.0)[:, None]
        cosine = matmul(unit, unit.T)
        # |sin| of the angle between two lines, from the orthogonal component of one, which is accurate for small
        # angles.
        off = np.sqrt(np.sum((unit[:, None, :] - cosine[:, :, None] * unit[None, :, :]) ** 2, axis=2))
        off[np.tril_indices(len(a))] = np.inf
        i, j = (int(v) for v in np.unravel_index(int(np.argmin(off)), off.shape))
        levels.append(
            Coarser(_fused(network, a, b, signs, i, j, cosine[i, j]), float(np.arcsin(min(off[i, j], 1.0))), (i, j))
        )
    return levels


def blurred(
    network: ReLUNetwork, z: Array, residual: Array, whitening: Whitening, settings: Settings = DEFAULTS
) -> Array:
    """Return the directions in which kinks are blurred, as orthonormal columns in descending order of strength.

    A clump Σ s_i |t + α_i e·z| that was fitted by its centroid leaves a residual near the kink t = 0 whose mean given
    e·z is proportional to Σ s_i α_i² (e·z)². The direction e is the extreme eigenvector of Σ res P (z zᵀ - I) P over
    the rows near the kink, where P projects off t.

    Parameters
    ----------
    network : ReLUNetwork
        A network fitted to the rows.
    z : ndarray of shape (n, r)
        Whitened rows.
    residual : ndarray of shape (n,)
        Labels minus predictions, times the roots of the rows' weights.
    whitening : Whitening
        Mean and covariance of the inputs.
    settings : Settings, default=DEFAULTS
        Widths within which the blur is measured.
    """
    r = z.shape[1]
    found: list[tuple[float, Array]] = []
    seen = whitening.z_weights(network.weights)
    shifts = network.biases + matmul(network.weights, whitening.mean)
    for u, shift in zip(seen, shifts, strict=True):
        size = float(np.sqrt(np.sum(u**2)))
        if size == 0:
            continue
        u = u / size
        height = matmul(z, u)
        distance = np.abs(height + shift / size)
        for width in settings.blur_widths:
            near = distance < width
            e = residual[near] - residual[near].mean() if np.any(near) else residual[near]
            noise = float(np.sqrt(np.sum(e**2)))
            if np.sum(near) < 4 * r or noise == 0:
                continue
            off = z[near] - height[near, None] * u
            values, vectors = eigh(matmul((off * e[:, None]).T, off) / noise)
            # The eigenvalues of noise fill a semicircle.
            edge = 2 * np.sqrt(r) * (1 + 2 * r ** (-2 / 3))
            found += [(abs(float(v)), w) for v, w in zip(values, vectors.T, strict=True) if abs(v) > edge]
    if not found:
        return np.zeros((r, 0))
    found.sort(key=lambda pair: -pair[0])
    columns = np.stack([vector for _, vector in found[:r]], axis=1)
    u, s, _ = svd(columns)
    return u[:, s > 0.3 * s[0]]


def without_inactive_neurons(
    network: ReLUNetwork, n_active: Array, n_rows: float, at_most: float = 0.0, *, keep_affine: bool
) -> ReLUNetwork:
    """Return the network without neurons whose kinks have few rows on one side, and which are affine on the others.

    Parameters
    ----------
    network : ReLUNetwork
        A network with one output.
    n_active : ndarray of shape (k,)
        On how many rows each neuron is active.
    n_rows : float
        Number of rows.
    at_most : float, default=0.0
        So many rows on one side are few.
    keep_affine : bool
        Whether neurons that are active on all rows but few become part of the affine function; they stay otherwise.

    Returns
    -------
    ReLUNetwork
        The same object where all neurons stay.
    """
    always, never = (n_rows - n_active <= at_most) & keep_affine, n_active <= at_most
    kept = ~(always | never)
    if np.all(kept):
        return network
    slopes = network.weights * (network.output_weights * always)[:, None]
    constant = float(np.sum(network.output_weights * network.biases * always))
    linear, intercept = network.linear + np.sum(slopes, axis=0), float(network.intercept) + constant
    return ReLUNetwork(network.weights[kept], network.output_weights[kept], network.biases[kept], linear, intercept)


def _without(network: ReLUNetwork, a: Array, b: Array, signs: Array, i: int) -> ReLUNetwork:
    """Return the network without |t| of neuron i; by relu(t) = (t + |t|)/2, half of its linear function is kept."""
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
        # relu(t_j) = relu(-t_j) + t_j gives the second neuron the orientation of the first.
        linear = linear + signs[j] * a[j]
        intercept += float(signs[j] * b[j])
    keep = np.arange(len(a)) != j
    a, b, signs = a.copy(), b.copy(), signs.copy()
    a[i], b[i], signs[i] = weights * sign, bias * sign, sign
    return ReLUNetwork(a[keep], signs[keep], b[keep], linear, intercept)

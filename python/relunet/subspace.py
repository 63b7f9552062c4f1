"""The second stage: the directions that labels, or the residuals of a fit, depend on, from slices of the label.

Any function of the label sees span(u_i), also where every moment linear in the label vanishes: with slices h of the
label, K = Σ p_h [m_h m_hᵀ + M_h²/2] for m_h the mean of z and M_h that of z zᵀ - I in slice h, z whitened. That is
every function at once, and the noise of all of them: where little is left to see, single contractions
C_n = E[He_n(c(y)) (z zᵀ - I)] = Σ p_h He_n(c_h) M_h, c_h the normal score of slice h, see more: C_1 weak neurons under
noise, C_2 what cancels in every moment linear in the label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from relunet import _relunet
from relunet.moments import SliceMoments

__all__ = [
    "Subspace",
    "contraction_edges",
    "find_subspace",
    "joint_span",
    "normal_scores",
    "resolved_span",
    "slice_edges",
    "span",
    "standing_out",
]

Array = NDArray[np.float64]

# Rows of a slice for each dimension: fewer drown M_h in noise, more would only blur the label.
ROWS_PER_DIMENSION = 4
MAX_SLICES = 16
# A label with more than this part of all rows, in units of a slice, gets a slice of its own.
ATOM = 0.5


@dataclass(frozen=True)
class Subspace:
    """Directions in which the slices of a label differ.

    Attributes
    ----------
    spectrum : ndarray of shape (r,)
        Eigenvalues of K, descending.
    directions : ndarray of shape (r, r)
        Eigenvectors, as columns, in whitened coordinates, of K + Σ C_n² with each in units of its own edge.
    bulk_edge : float
        What the largest eigenvalue of K would be if labels and inputs were independent.
    n_visible : int
        How many directions stand out: a lower bound of the dimension.
    visible_share : float
        Part of the label's variance that a neuron alone must explain, off its affine part, to stand out.
    """

    spectrum: Array
    directions: Array
    bulk_edge: float
    n_visible: int
    visible_share: float


def slice_edges(labels: Array, n_rows: int, n_features: int) -> Array:
    """Return the edges of slices with about equally many rows, from sampled labels.

    Equal labels stay together; a label that many rows share has a slice of its own, for it tells which neurons are off.
    """
    n_slices = int(np.clip(n_rows // (ROWS_PER_DIMENSION * (n_features + 1)), 2, MAX_SLICES))
    edges = np.quantile(labels, np.arange(1, n_slices) / n_slices, method="inverted_cdf")
    values, counts = np.unique(labels, return_counts=True)
    atoms = values[counts > max(ATOM * len(labels) / n_slices, 1)]
    edges = np.unique(np.concatenate([edges, atoms, np.nextafter(atoms, np.inf)]))
    return np.asarray(edges[edges > labels.min()], dtype=np.float64)


def find_subspace(slices: SliceMoments, mean: Array, whiten: Array) -> Subspace:
    """Find the directions that the slices show.

    Parameters
    ----------
    slices : SliceMoments
        Moments of the raw inputs x in slices of the label.
    mean : ndarray of shape (d,)
        Mean of the inputs.
    whiten : ndarray of shape (d, r)
        z = (x - mean) @ whiten has mean zero and covariance I.
    """
    weights, vectors, grams = slices.weights, slices.vectors, slices.grams
    r = whiten.shape[1]
    filled = np.flatnonzero(weights > 0)
    share = weights[filled] / weights.sum()
    k, contractions = np.zeros((r, r)), np.zeros((2, r, r))
    edge = 0.0
    scores = normal_scores(share)
    for h, p, score in zip(filled, share, scores, strict=True):
        v = vectors[h] / weights[h]
        centred = grams[h] / weights[h] - v[:, None] * mean - mean[:, None] * v + mean[:, None] * mean
        excess = _relunet.matmul(_relunet.matmul(whiten.T.copy(), centred), whiten) - np.eye(r)
        m = _relunet.matmul((v - mean)[None, :], whiten)[0]
        k += p * (m[:, None] * m + _relunet.matmul(excess, excess) / 2)
        contractions += (p * score)[:, None, None] * excess
        # For n_h rows without structure E[M_h²] = (r + 1)/n_h I and E[m_h m_hᵀ] = I/n_h.
        edge += p * ((r + 1) / 2 + 1) / (p * slices.n_rows)
    # The squares of independent matrices average: their eigenvalues spread by a semicircle of radius 2/√H.
    edge *= 1 + 2 / np.sqrt(len(filled)) + 3 * r ** (-2 / 3)
    radii = contraction_edges(share, scores, r, slices.n_rows)
    contractions /= radii[:, None, None]
    n_visible = standing_out([*contractions, k / edge])
    # Which directions these are is better told by all together, for each is blind to something.
    together = k / edge + sum(_relunet.matmul(c, c) for c in contractions)
    directions = _relunet.eigh((together + together.T) / 2)[1][:, ::-1].copy()
    spectrum, _ = _relunet.eigh((k + k.T) / 2)
    # E[y (z zᵀ - I)] = λ √(2/π) u uᵀ for the neuron λ |u·z|, which explains λ² (1 - 2/π) beside an affine function.
    visible_share = float(min(edge * (np.pi - 2), radii[0] ** 2 * (np.pi / 2 - 1)))
    return Subspace(spectrum[::-1].copy(), directions, edge, n_visible, visible_share)


def contraction_edges(share: Array, scores: Array, r: int, n_rows: int) -> Array:
    """Return the largest eigenvalues that contractions with `scores` (H, m) of slices have without structure: (m,).

    The eigenvalues fill about a semicircle: a free compound Poisson law, whose cumulants (r/n)^(m-1) E[He^m] end it at
    2 κ_2^(1/2) + κ_3/κ_2 + κ_4/κ_2^(3/2).
    """
    aspect = r / n_rows
    third, fourth = np.abs(np.sum(share[:, None] * scores**3, axis=0)), np.sum(share[:, None] * scores**4, axis=0)
    edges: Array = 2 * np.sqrt(aspect) * (1 + 2 * r ** (-2 / 3)) + aspect * third + aspect**1.5 * fourth
    return edges


def standing_out(statistics: Sequence[Array]) -> int:
    """Return how many directions stand out in symmetric matrices, each in units of its edge.

    Each counts with what it shows off the directions that those before it have shown.
    """
    unseen = np.eye(len(statistics[0]))
    for statistic in statistics:
        rest = _relunet.matmul(_relunet.matmul(unseen.T.copy(), statistic), unseen)
        values, axes = _relunet.eigh((rest + rest.T) / 2)
        unseen = _relunet.matmul(unseen, axes[:, np.abs(values) <= 1])
    return len(unseen) - unseen.shape[1]


def normal_scores(share: Array) -> Array:
    """Return He_1 and He_2 of the normal score of each slice, by increasing label: (H, 2), standardised."""
    quantiles = np.array([NormalDist().inv_cdf(float(q)) for q in np.cumsum(share) - share / 2])
    scores = np.stack([quantiles, quantiles**2 - 1], axis=1)
    scores -= np.sum(share[:, None] * scores, axis=0)
    standardised: Array = scores / np.maximum(np.sqrt(np.sum(share[:, None] * scores**2, axis=0)), 1e-9)
    return standardised


def span(columns: Array, tolerance: float = 1e-9) -> Array:
    """Return an orthonormal basis, as columns, of the span of given columns, whose lengths do not count."""
    norms = np.sqrt(np.sum(columns**2, axis=0))
    if not np.any(norms > 0):
        return columns[:, :0]
    u, s, _ = _relunet.svd(columns[:, norms > 0] / norms[norms > 0])
    return u[:, s > tolerance * s[0]]


def joint_span(basis: Array, visible: Array) -> Array:
    """Return an orthonormal basis of a span, then of what visible directions add to it."""
    beyond = visible - _relunet.matmul(basis, _relunet.matmul(basis.T.copy(), visible))
    kept = np.sum(beyond**2, axis=0) > 1e-4
    return np.concatenate([basis, span(beyond[:, kept])], axis=1)


def resolved_span(neurons: Array, gates: Array, weight: Array, rms: float, n_rows: int) -> Array:
    """Return an orthonormal basis of what fitted neurons span beyond their errors.

    Off their span, weights W of neurons with gates g have errors of covariance C⁻¹ σ²/n, C = cov(g): those of C^{1/2} W
    are independent, and were there no neurons, its largest singular value would be about σ (√k + √r)/√n.

    Parameters
    ----------
    neurons : ndarray of shape (k, r)
        Weights times output weights, in whitened coordinates.
    gates : ndarray of shape (m, k)
        Which neurons are on, 0 or 1, on rows.
    weight : ndarray of shape (m,)
        Weights of these rows.
    rms : float
        Root mean square σ of the residual.
    n_rows : int
        How many rows n they were fitted to.
    """
    k, r = neurons.shape
    share = weight / weight.sum()
    centred = (gates - np.sum(gates * share[:, None], axis=0)) * np.sqrt(share)[:, None]
    values, vectors = _relunet.eigh(_relunet.matmul(centred.T.copy(), centred))
    roots = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    _, s, vt = _relunet.svd(_relunet.matmul(roots, neurons))
    error = rms * (np.sqrt(k) + np.sqrt(r)) / np.sqrt(n_rows)
    resolved: Array = vt[s > error + 1e-12 * s.max(initial=0.0)].T.copy()
    return resolved

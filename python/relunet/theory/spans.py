"""The subspace V near which the neurons lie: Lemma 13's joint span, and NetLearn's average of projectors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from relunet._typing import Array
from relunet.linalg import eigh, matmul, svd

__all__ = ["joint_span", "projector_span"]


def joint_span(
    matrices: Mapping[int, Array], k: int, noise: Mapping[int, float] | None = None, cut: float | None = None
) -> Array:
    """Return an orthonormal basis of V, the joint span of the top-k singular subspaces of M_2, M_4, .. (Lemma 13).

    Taken literally the span has up to k(k+1) dimensions, hence all of R^d for d = 6, k = 2, for every direction of
    noise counts as much as a neuron. The spectral cut is an override: singular values are measured in units of the
    noise of their matrix, M_l/σ_l, and of the span of all of these only the directions are kept whose singular value
    is above the cut, at most k, for that many dimensions hold k neurons.

    Parameters
    ----------
    matrices : mapping of int to ndarray of shape (d, d)
        M_l(g), of each even degree l.
    k : int
        Number of neurons.
    noise : mapping of int to float, default None
        Standard deviations σ_l; see `Moments.noise`. Needed for a cut.
    cut : float, default None
        In units of √d + √(d L), about the norm of noise in L matrices. None: the lemma's span.

    Returns
    -------
    ndarray of shape (d, r)
    """
    parts = []
    for degree, matrix in matrices.items():
        values, vectors = _symmetric(matrix)
        top = np.argsort(-np.abs(values), kind="stable")[:k]
        scale = 1.0 if noise is None or cut is None else np.abs(values[top]) / noise[degree]
        parts.append(vectors[:, top] * scale)
    stacked = np.concatenate(parts, axis=1)
    left, values, _ = svd(stacked)
    if noise is None or cut is None:
        keep = values > 1e-12 * values.max(initial=0.0)
    else:
        d = len(left)
        keep = (values > cut * (np.sqrt(d) + np.sqrt(d * len(matrices)))) & (np.arange(len(values)) < k)
    return np.ascontiguousarray(left[:, : len(values)][:, keep])


def projector_span(matrices: Mapping[int, Array], thresholds: Mapping[int, float], nu: float) -> tuple[Array, Array]:
    """Return V of NetLearn ([CN24] Algorithm 1): eigenvectors of Σ_l Π_l of eigenvalue at least ν.

    Π_l projects to the eigenvectors of M_l whose eigenvalue is at least η' in absolute value. By its Lemma 13 V has at
    most k dimensions when η', ν and the error of the M_l are as in the theorem.

    Parameters
    ----------
    matrices : mapping of int to ndarray of shape (d, d)
        M_l(g), of each even degree l.
    thresholds : mapping of int to float
        η'; the same for every degree in the theorem.
    nu : float
        ν.

    Returns
    -------
    basis : ndarray of shape (d, r)
        Orthonormal basis of V, the most certain direction first.
    spectrum : ndarray of shape (d,)
        Eigenvalues of Σ_l Π_l, descending.
    """
    total: Array | None = None
    for degree, matrix in matrices.items():
        values, vectors = _symmetric(matrix)
        kept = np.ascontiguousarray(vectors[:, np.abs(values) >= thresholds[degree]])
        projector = matmul(kept, kept.T) if kept.size else np.zeros_like(matrix)
        total = projector if total is None else total + projector
    assert total is not None, "there are degrees"
    values, vectors = eigh(total)
    values, vectors = values[::-1], vectors[:, ::-1]
    return np.ascontiguousarray(vectors[:, values >= nu]), values


def _symmetric(matrix: Array) -> tuple[Array, Array]:
    return eigh((matrix + matrix.T) / 2)

"""Subspaces V near which the neurons lie: the joint span of Lemma 13, and the sum of projectors of NetLearn."""

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

    The span of the lemma has up to k(k+1) dimensions, which is all of R^d for d = 6 and k = 2, because every direction
    of noise counts as much as a neuron. The spectral cut is an override. With a cut, the singular values of M_l are
    measured in units of its noise σ_l, and only directions of the joint span whose singular value exceeds the cut are
    kept, at most k of them, because k dimensions suffice for k neurons.

    Parameters
    ----------
    matrices : mapping of int to ndarray of shape (d, d)
        The matrices M_l(g) by their even degrees l.
    k : int
        Number of neurons.
    noise : mapping of int to float, default=None
        Standard deviations σ_l, which a cut needs; see `Moments.noise`.
    cut : float, default=None
        Spectral cut in units of √d + √(d L), which is about the norm of the noise in L matrices. None means the span
        of the lemma.

    Returns
    -------
    basis : ndarray of shape (d, r)
        Orthonormal basis of V.
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
    """Return the subspace V of NetLearn, spanned by eigenvectors of Σ_l Π_l with eigenvalue at least ν ([CN24]).

    Π_l is the projector on the eigenvectors of M_l whose eigenvalue is at least η' in absolute value. By Lemma 13 of
    [CN24], V has at most k dimensions if η', ν and the errors of the M_l are as in the theorem.

    Parameters
    ----------
    matrices : mapping of int to ndarray of shape (d, d)
        The matrices M_l(g) by their even degrees l.
    thresholds : mapping of int to float
        The threshold η' of each degree; the theorem has the same for all degrees.
    nu : float
        The threshold ν.

    Returns
    -------
    basis : ndarray of shape (d, r)
        Orthonormal basis of V, in descending order of the eigenvalues.
    spectrum : ndarray of shape (d,)
        Eigenvalues of Σ_l Π_l, in descending order.
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

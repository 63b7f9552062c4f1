"""Products and factorisations of small matrices: sequential, so that bits depend neither on threads nor on a BLAS."""

from __future__ import annotations

import numpy as np

from relunet import _relunet
from relunet._typing import Array

__all__ = ["eigh", "lstsq", "matmul", "solve_spd", "svd"]


def matmul(a: Array, b: Array) -> Array:
    """Return the product of matrices, or of a matrix and a vector on either side.

    Parameters
    ----------
    a : ndarray of shape (m, k) or (k,)
        Left factor.
    b : ndarray of shape (k, n) or (k,)
        Right factor.

    Returns
    -------
    ndarray of shape (m, n), (m,) or (n,)
        The product; an axis that a vector does not have is left out.
    """
    product = _relunet.matmul(np.atleast_2d(a), b if b.ndim == 2 else b[:, None])
    if b.ndim == 1:
        product = product[:, 0]
    return product if a.ndim == 2 else product[0]


def eigh(a: Array) -> tuple[Array, Array]:
    """Return eigenvalues, ascending, and eigenvectors, as columns, of the symmetric matrix with lower triangle a."""
    return _relunet.eigh(a)


def svd(a: Array) -> tuple[Array, Array, Array]:
    """Return u, the singular values, descending, and vt of the thin singular value decomposition."""
    return _relunet.svd(a)


def solve_spd(a: Array, b: Array) -> Array:
    """Return the solution of a x = b for a symmetric positive definite matrix and a vector or matrix b.

    Raises
    ------
    NumericalError
        A matrix that is not positive definite.
    """
    solution = _relunet.solve_spd(a, b if b.ndim == 2 else b[:, None])
    return solution if b.ndim == 2 else solution[:, 0]


def lstsq(a: Array, b: Array) -> Array:
    """Return the least-squares solution of a x = b for a vector or matrix b, by QR with column pivoting."""
    solution = _relunet.lstsq(a, b if b.ndim == 2 else b[:, None])
    return solution if b.ndim == 2 else solution[:, 0]

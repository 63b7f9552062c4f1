"""Products and factorisations of small matrices, with results that do not depend on the number of threads or on a BLAS.

The compiled core computes all of them on one thread.
"""

from __future__ import annotations

import numpy as np

from relunet import _relunet
from relunet._typing import Array

__all__ = ["eigh", "lstsq", "matmul", "solve_spd", "svd"]


def matmul(a: Array, b: Array) -> Array:
    """Return the matrix product of two arrays, either of which may be a vector.

    Parameters
    ----------
    a : ndarray of shape (m, k) or (k,)
        Left factor.
    b : ndarray of shape (k, n) or (k,)
        Right factor.

    Returns
    -------
    product : ndarray of shape (m, n), (m,) or (n,)
        The product. As in `numpy.matmul`, the axis that a vector argument lacks is missing from the product.
    """
    product = _relunet.matmul(np.atleast_2d(a), b if b.ndim == 2 else b[:, None])
    if b.ndim == 1:
        product = product[:, 0]
    return product if a.ndim == 2 else product[0]


def eigh(a: Array) -> tuple[Array, Array]:
    """Return the eigenvalues and eigenvectors of a symmetric matrix.

    Parameters
    ----------
    a : ndarray of shape (n, n)
        Symmetric matrix; only its lower triangle is read.

    Returns
    -------
    values : ndarray of shape (n,)
        Eigenvalues, in ascending order.
    vectors : ndarray of shape (n, n)
        Orthonormal eigenvectors, as columns.
    """
    return _relunet.eigh(a)


def svd(a: Array) -> tuple[Array, Array, Array]:
    """Return the thin singular value decomposition ``a = u @ diag(s) @ vt``.

    Parameters
    ----------
    a : ndarray of shape (m, n)
        Matrix to decompose.

    Returns
    -------
    u : ndarray of shape (m, min(m, n))
        Left singular vectors, as columns.
    s : ndarray of shape (min(m, n),)
        Singular values, in descending order.
    vt : ndarray of shape (min(m, n), n)
        Right singular vectors, as rows.
    """
    return _relunet.svd(a)


def solve_spd(a: Array, b: Array) -> Array:
    """Solve a x = b for a symmetric positive definite matrix.

    Parameters
    ----------
    a : ndarray of shape (n, n)
        Symmetric positive definite matrix.
    b : ndarray of shape (n,) or (n, m)
        Right-hand side.

    Returns
    -------
    x : ndarray of shape (n,) or (n, m)
        The solution.

    Raises
    ------
    NumericalError
        The matrix is not positive definite.
    """
    solution = _relunet.solve_spd(a, b if b.ndim == 2 else b[:, None])
    return solution if b.ndim == 2 else solution[:, 0]


def lstsq(a: Array, b: Array) -> Array:
    """Return the least-squares solution of a x = b, by QR with column pivoting.

    Parameters
    ----------
    a : ndarray of shape (m, n)
        Coefficient matrix.
    b : ndarray of shape (m,) or (m, p)
        Right-hand side.

    Returns
    -------
    x : ndarray of shape (n,) or (n, p)
        The solution.
    """
    solution = _relunet.lstsq(a, b if b.ndim == 2 else b[:, None])
    return solution if b.ndim == 2 else solution[:, 0]

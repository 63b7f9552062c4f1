"""Case 1: the candidate for a residual all of whose neurons lie along one line ([CDGKM23] Lemma 10, corrected)."""

from __future__ import annotations

import numpy as np

from relunet._typing import Array
from relunet.linalg import eigh

__all__ = ["one_direction"]


def one_direction(second: Array) -> tuple[float, Array]:
    """Return Λ and u of the candidate w·x + Λ|u·x| for the residual.

    The lemma's h = μ⁺ relu(u·x) + μ⁻ relu(-u·x) is (μ⁺ - μ⁻)/2 u·x + (μ⁺ + μ⁻)/2 |u·x|: its linear part lies along u.
    But neurons are taken away as |u_i·x|, so the residual keeps the linear part w of all of f, which no such h can
    hold: f = relu(e_1·x) + relu(e_2·x) after |e_1·x|/2 leaves w = (e_1 + e_2)/2 beside |e_2·x|/2. So the candidate has
    a linear part of its own, ŵ = E[(y - f̂) x], and Λ u uᵀ is M_2 of the residual, to rank one.

    Parameters
    ----------
    second : ndarray of shape (d, d)
        M_2 = √(2π)/2 E[(y - f̂)(x xᵀ - I)], the residual moment of degree 2.

    Returns
    -------
    lam : float
        Λ, the eigenvalue of M_2 that is largest in size.
    u : ndarray of shape (d,)
        Its eigenvector.

    Examples
    --------
    >>> import numpy as np
    >>> from relunet.theory.one_direction import one_direction
    >>> one_direction(np.diag([0.0, -0.5]))[0]
    -0.5
    """
    values, vectors = eigh((second + second.T) / 2)
    largest = int(np.argmax(np.abs(values)))
    return float(values[largest]), vectors[:, largest].copy()

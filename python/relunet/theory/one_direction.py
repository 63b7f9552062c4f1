"""The candidate for a residual whose neurons all lie along one line ([CDGKM23], Lemma 10, corrected)."""

from __future__ import annotations

import numpy as np

from relunet._typing import Array
from relunet.linalg import eigh

__all__ = ["one_direction"]


def one_direction(second: Array) -> tuple[float, Array]:
    """Return Λ and u of the candidate w·x + Λ|u·x| for the residual.

    The function h = μ⁺ relu(u·x) + μ⁻ relu(-u·x) of the lemma equals (μ⁺ - μ⁻)/2 u·x + (μ⁺ + μ⁻)/2 |u·x|, and its
    linear part lies along u. Neurons are subtracted as |u_i·x|, however, so that the residual keeps the whole linear
    part w of f, which h cannot represent in general: if |e_1·x|/2 is subtracted from f = relu(e_1·x) + relu(e_2·x), the
    residual is w·x + |e_2·x|/2 with w = (e_1 + e_2)/2. The candidate therefore has its own linear part
    ŵ = E[(y - f̂) x], and Λ u uᵀ is the rank-one approximation of M_2 of the residual.

    Parameters
    ----------
    second : ndarray of shape (d, d)
        Residual moment of degree 2, M_2 = √(2π)/2 E[(y - f̂)(x xᵀ - I)].

    Returns
    -------
    lam : float
        Λ, the eigenvalue of M_2 of largest absolute value.
    u : ndarray of shape (d,)
        The corresponding unit eigenvector.

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

"""Leave-one-out residuals: each row judged by a fit without it, and two fits compared on the same rows.

A row with the leverage h that is left out of a least-squares fit has the residual e / (1 - h), e its residual in the
fit to all rows.
"""

from __future__ import annotations

import numpy as np

from relunet._typing import Array
from relunet.fitting.rows import own_weight

__all__ = ["left_out", "lowered"]

# A row of this leverage or more determines a parameter on its own: what the fit would be without it is not known.
ALONE = 0.99


def left_out(residual: Array, leverage: Array, deviation: Array, searched: float = 1.0) -> Array:
    """Return the squared residuals that rows have in fits without them.

    Parameters
    ----------
    residual : ndarray of shape (n,)
        Residuals in the fit to all rows.
    leverage : ndarray of shape (m,)
        Leverages of the first rows; the others are given the mean of these rows' increase.
    deviation : ndarray of shape (n,)
        Labels less their mean, the residual of rows that determine a parameter on their own.
    searched : float, default=1.0
        How many times as much optimism a fit has, as the best of several that were tried.
    """
    squares = residual**2
    m = len(leverage)
    increase = 1 / np.maximum(1 - leverage, 1 - ALONE) ** 2 - 1
    out = squares.copy()
    out[:m] *= 1 + searched * increase
    out[:m] = np.where(leverage > ALONE, np.maximum(out[:m], deviation[:m] ** 2), out[:m])
    before = float(np.sum(squares[:m]))
    if m < len(squares) and before > 0:
        out[m:] *= float(np.sum(out[:m])) / before
    return out


def lowered(dearer: Array, cheaper: Array, weight: Array) -> tuple[float, float]:
    """Return by how much the mean of squares is lower in one fit than in another, and the standard error of that."""
    share = weight / np.sum(weight)
    difference = dearer - cheaper
    mean = float(np.sum(share * difference))
    error = np.sum(share * own_weight(weight) / np.sum(weight) * (difference - mean) ** 2)
    return mean, float(np.sqrt(error))

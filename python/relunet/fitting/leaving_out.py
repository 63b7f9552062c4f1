"""Leave-one-out residuals, and the paired comparison of two fits by such residuals.

The leave-one-out residual of a row with leverage h in a least-squares fit is e / (1 - h), where e is its residual in
the fit to all rows.
"""

from __future__ import annotations

import numpy as np

from relunet._typing import Array
from relunet.fitting.rows import own_weight
from relunet.fitting.settings import Settings

__all__ = ["is_improved", "left_out", "lowered", "winsorised"]

# A row with at least this leverage determines a parameter alone, so that the fit without it is not known.
ALONE = 0.99


def left_out(residual: Array, leverage: Array, deviation: Array, searched: float = 1.0) -> Array:
    """Return squared leave-one-out residuals.

    Parameters
    ----------
    residual : ndarray of shape (n,)
        Residuals in the fit to all rows.
    leverage : ndarray of shape (m,)
        Leverages of the first rows; the others are given the mean of these rows' increase.
    deviation : ndarray of shape (n,)
        Labels less their mean, used as the residual of rows that determine a parameter alone.
    searched : float, default=1.0
        Optimism of the fit in units of that of a linear fit; above 1 for the best of several fits.
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
    """Return the decrease of the mean square from one fit to another, and its standard error."""
    share = weight / np.sum(weight)
    difference = dearer - cheaper
    mean = float(np.sum(share * difference))
    error = np.sum(share * own_weight(weight) / np.sum(weight) * (difference - mean) ** 2)
    return mean, float(np.sqrt(error))


def winsorised(squares: Array, usual: float) -> Array:
    """Return Huber's loss of squared residuals: those above `usual` grow in proportion to the residual."""
    linear: Array = 2 * np.sqrt(usual * squares) - usual
    return np.where(squares <= usual, squares, linear)


def is_improved(before: Array, after: Array, weight: Array, n_fitted: int, settings: Settings) -> bool:
    """Return whether one fit has less risk than another beyond the standard error of the paired difference.

    The comparison uses Huber's loss, so that a handful of large residuals does not decide it. The squared residuals
    must not be significantly larger, nor the loss of the rows held out, which were not used to choose kinks. If few
    rows make the standard error large, a significant difference on the rows held out is sufficient. Where the noise
    has outliers or uneven size, searches find more by chance, and the rows held out must favour the second fit.

    Parameters
    ----------
    before, after : ndarray of shape (n,)
        Squared residuals in the two fits, leave-one-out residuals for the first `n_fitted` rows.
    weight : ndarray of shape (n,)
        Row weights.
    n_fitted : int
        Number of rows that were fitted; the others were held out.
    settings : Settings
        The bounds of the comparison.
    """
    mean, error = lowered(before, after, weight)
    if mean < -error:
        return False
    share = weight / np.sum(weight)
    risk = float(np.sum(before * share))
    is_even = risk == 0 or float(np.sum((before / risk) ** 2 * share)) <= settings.even
    usual = settings.usual**2 * risk
    before, after = winsorised(before, usual), winsorised(after, usual)
    mean, error = lowered(before, after, weight)
    unseen, unseen_error = lowered(before[n_fitted:], after[n_fitted:], weight[n_fitted:])
    if unseen <= (-unseen_error if is_even else 0.0):
        return False
    beyond = settings.beyond if is_even else settings.beyond_uneven
    return mean > beyond * error or unseen > 2 * beyond * unseen_error > 0

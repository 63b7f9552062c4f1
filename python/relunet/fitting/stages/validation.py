"""The last stage: what the rows held out say of a network, and how a fit ended."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from relunet._typing import Array
from relunet.fitting.settings import DEFAULTS, Settings
from relunet.network import ReLUNetwork

__all__ = ["Risk", "risk_on", "rounding"]


@dataclass(frozen=True)
class Risk:
    """Mean squared residual of a network.

    Attributes
    ----------
    mean : float
        The estimate.
    network : str
        Which network it is the risk of.
    interval : tuple of float or None
        Normal confidence interval at level `level`, from rows that had no part in the fit; None where there are none.
    level : float
        Its confidence level.
    """

    mean: float
    network: str
    interval: tuple[float, float] | None = None
    level: float = 0.95


def risk_on(network: ReLUNetwork, x: Array, y: Array, weight: Array, level: float = 0.95) -> Risk:
    """Return the risk of a network on rows that had no part in its fit."""
    squares = (y - network.predict(x)) ** 2
    share = weight / weight.sum()
    mean = float(np.sum(share * squares))
    error = float(np.sqrt(np.sum(share**2 * (squares - mean) ** 2)))
    width = NormalDist().inv_cdf((1 + level) / 2) * error
    fitted = "the network fitted to the sampled rows that were not held out"
    return Risk(mean, fitted, (max(mean - width, 0.0), mean + width), level)


def rounding(dtype: np.dtype[np.generic], y: Array, settings: Settings = DEFAULTS) -> float:
    """Return the relative RMS residual below which a fit counts as exact.

    It is that of single precision where the inputs have it, or where all labels `y` are numbers of single precision,
    whatever they are stored as.
    """
    with np.errstate(over="ignore", under="ignore"):
        single = dtype == np.float32 or bool(np.all(y == y.astype(np.float32)))
    return settings.exact_single if single else settings.exact_double

"""Fits with Huber's loss, for labels with outliers: least squares on labels whose residuals are bounded."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from relunet._typing import Array
from relunet.errors import ArgumentError, warn
from relunet.fitting.arguments import check_labelled, checked_choice
from relunet.fitting.learn import FitResult, learn
from relunet.fitting.leaving_out import winsorised
from relunet.fitting.rows import hash_threshold
from relunet.fitting.settings import DEFAULTS, Settings
from relunet.moments import RowSample
from relunet.samples import Samples, scan_array
from relunet.samples.names import feature_names
from relunet.samples.protocol import n_outputs

__all__ = ["Loss", "learn_with"]

Loss = Literal["squared", "huber"]

# Huber's constant in standard deviations, for 95 % efficiency under Gaussian noise.
BOUND = 1.345
# The median of the absolute value of a Gaussian variable, in standard deviations.
MEDIAN = 0.6745
# Largest number of searches, and the relative decrease of the bound below which they end.
MOST_SEARCHES, LOWERED = 3, 0.02
# Largest number of polishes after a search, and the relative decrease of the loss at which they have converged.
MOST_POLISHES, CONVERGED = 20, 0.01
# Smallest scale, relative to that of the labels: with a scale of zero, y* would be the last network itself.
LEAST = 0.02


def learn_with(loss: Loss, samples: Samples, n_neurons: int | None = None, **options: Any) -> FitResult:
    r"""Find the network that minimises the mean loss of the residuals of samples.

    With ``loss="huber"`` the loss of a residual e is e² up to the bound b = 1.345 s and 2 b |e| - b² beyond. The scale
    s is the median of the absolute residuals divided by 0.6745, and at least 2 % of the same measure of the labels. The
    minimum is the fixed point of least-squares fits to

    .. math:: y^* = f(x) + \frac{\max(-b, \min(b, y - f(x)))}{\kappa},

    where f is the last network and κ the share of the rows whose residual is within the bound. The division by κ makes
    the iteration converge like Newton's method, and makes the sandwich covariance of the last fit that of the
    M-estimator.

    Parameters
    ----------
    loss : {"squared", "huber"}
        The loss. With ``"huber"``, all rows are kept in memory.
    samples : Samples
        Labelled samples.
    n_neurons : int, default=None
        Largest number of neurons, as in `learn`.
    **options
        Other arguments of `learn`.

    Returns
    -------
    FitResult
        The result of the last fit. With ``"huber"``, the risk of its report is that of the labels y*, as
        ``risk_network`` says.

    Raises
    ------
    ArgumentError, DataError, FileError
        As `learn`; for an unknown loss.

    Examples
    --------
    >>> import numpy as np
    >>> from relunet import scan_array
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((600, 2))
    >>> y = np.abs(x[:, 0]) + 0.01 * rng.standard_normal(600) + 100 * (rng.random(600) < 0.02)
    >>> result = learn_with("huber", scan_array(x, y), 1)
    >>> float(np.abs(result.network.predict(x[:5]) - np.abs(x[:5, 0])).max()) < 0.01
    True
    """
    if checked_choice("loss", loss, "squared", "huber") == "squared":
        return learn(samples, n_neurons, **options)
    check_labelled(samples)
    if n_outputs(samples) > 1:
        raise ArgumentError(f"loss: 'huber' with {n_outputs(samples)} outputs, expected one")
    if options.pop("checkpoint", None) is not None:
        raise ArgumentError("checkpoint: not available with loss='huber', which keeps all rows in memory")
    verbose = options.pop("verbose", 0)
    x, y, weight = _rows(samples, options.get("n_jobs"))
    settings: Settings = options.pop("settings", DEFAULTS)
    start = options.pop("start", None)
    only_polished = replace(settings, max_rounds=0, direct_rows_per_parameter=0.0, clumping=False)
    least = LEAST * _median(np.abs(y - _median(y, weight)), weight) / MEDIAN
    labels, bound = y, np.inf
    n_sweeps, n_read = 1, samples.n_rows
    for _ in range(MOST_SEARCHES):
        loss_before = np.inf
        for step in range(MOST_POLISHES):
            what = only_polished if step else settings
            with warnings.catch_warnings(action="ignore"):
                # The warnings of the last fit are issued below.
                result = learn(scan_array(x, labels, weight), n_neurons, start=start, settings=what, **options)
            n_sweeps, n_read = n_sweeps + result.report.sweeps, n_read + result.report.rows_read
            start, values = result.network, result.network.predict(x)
            size = np.abs(y - values)
            if step == 0:
                before, bound = bound, min(bound, BOUND * max(_median(size, weight) / MEDIAN, least))
            within = float(np.sum(weight[size <= bound]) / np.sum(weight))
            labels = values + np.clip(y - values, -bound, bound) / within
            loss_after = float(np.sum(weight * winsorised(size**2, bound**2)) / np.sum(weight))
            if loss_after >= (1 - CONVERGED) * loss_before:
                break
            loss_before = loss_after
        # Large residuals hide neurons, so the search is repeated as long as it lowers the bound.
        if within == 1 or bound > (1 - LOWERED) * before:
            break
    clipped = f"loss='huber': {1 - within:.2%} of the rows have residuals above {bound:.3g}"
    for message in result.report.messages:
        warn(message)
    report = replace(
        result.report,
        sweeps=n_sweeps,
        rows_read=n_read,
        risk_network="the network that is returned, for labels whose residuals are bounded",
        messages=(*result.report.messages, clipped),
    )
    if verbose >= 2:
        print(report)  # noqa: T201
    return result._replace(network=result.network.with_feature_names(feature_names(samples)), report=report)


def _rows(samples: Samples, n_jobs: int | None) -> tuple[Array, Array, Array]:
    """Return the inputs, labels and weights of all rows of positive weight."""
    sample = RowSample(samples.n_columns, hash_threshold(samples.n_rows, samples.n_rows), 0)
    samples.sweep([sample], n_jobs=n_jobs)
    _, x, y, weight = sample.rows()
    used = weight > 0
    return x[used], y[used], weight[used]


def _median(values: Array, weight: Array) -> float:
    """Return the weighted median."""
    order = np.argsort(values, kind="stable")
    at = np.searchsorted(np.cumsum(weight[order]), 0.5 * float(np.sum(weight)))
    return float(values[order[min(int(at), len(values) - 1)]])

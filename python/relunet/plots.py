"""Pictures of a fit: the spectrum with its bulk edge, clumps over scales, error per sweep. Needs the extra "plots"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from relunet.estimators.regressor import ReLUNetRegressor
from relunet.fitting.learn import FitResult
from relunet.fitting.report import Report
from relunet.network import ReLUNetwork

if TYPE_CHECKING:
    from types import ModuleType

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["clumps", "errors", "fit_report", "spectrum"]

_SEEN, _NEGATIVE, _BULK, _EDGE = "#1f6f8b", "#e09f3e", "#a9b6bc", "#c8553d"


def spectrum(report: Report, ax: Axes | None = None) -> Axes:
    """Draw the eigenvalues of the matrix that found the subspace, with the edge of what noise alone would show.

    Parameters
    ----------
    report : Report
        Report of a fit.
    ax : matplotlib.axes.Axes, default None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes that were drawn on.
    """
    ax = _axes(ax)
    values = np.abs(np.array(report.spectrum))
    number = np.arange(1, len(values) + 1)
    seen = np.array(report.spectrum) > report.bulk_edge
    ax.plot(number[seen], values[seen], "o", color=_SEEN, markersize=7, label=f"{np.count_nonzero(seen)} seen")
    ax.plot(number[~seen], values[~seen], "o", color=_BULK, markersize=4, label="bulk")
    if report.bulk_edge > 0:
        ax.axhline(report.bulk_edge, color=_EDGE, linewidth=1, label="edge of the bulk")
    if values.size and values.min() > 0:
        ax.set_yscale("log")
    ax.set(title="Spectrum of the label slices", xlabel="direction", ylabel="eigenvalue")
    ax.legend(frameon=False)
    return ax


def clumps(network: ReLUNetwork, report: Report, ax: Axes | None = None) -> Axes:
    """Draw which neurons become one clump at which scale, with the scale that the fit went on with.

    The tree joins the neurons of the network by the smallest angle between the lines of their directions (single
    linkage): clumps at any scale are the branches that a line at that angle cuts; leaves are coloured by the sign of
    the output weight. The scales that the fit looked at are the levels of `report.scales`, marked with their number of
    clumps and held-out risk.

    Parameters
    ----------
    network : ReLUNetwork
        The network.
    report : Report
        Report of its fit.
    ax : matplotlib.axes.Axes, default None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes that were drawn on.
    """
    ax = _axes(ax)
    ax.set(title="Clumps over scales", xlabel="neuron", ylabel="angle (radians)")
    joins = _single_linkage(_angles(np.asarray(network.weights)))
    heights = [join[2] for join in joins] + [level.scale for level in report.scales if level.scale > 0]
    floor = min([height for height in heights if height > 0], default=0.1) / 4
    order = _leaves(joins, network.n_neurons)
    place = {neuron: (float(position), floor) for position, neuron in enumerate(order)}
    for number, (left, right, angle) in enumerate(joins, start=network.n_neurons):
        (x0, y0), (x1, y1) = place[left], place[right]
        top = max(angle, floor)
        ax.plot([x0, x0, x1, x1], [y0, top, top, y1], color=_SEEN, linewidth=1.5)
        place[number] = ((x0 + x1) / 2, top)
    for level in report.scales:
        height = max(level.scale, floor)
        colour, style = (_EDGE, "-") if level.chosen else (_BULK, ":")
        ax.axhline(height, color=colour, linestyle=style, linewidth=1, zorder=0)
        text = f"{level.n_clumps} of {len(level.labels)}\nrisk {level.risk:.0e}"
        where = (1.02, height)
        ax.annotate(text, where, xycoords=("axes fraction", "data"), fontsize=8, color=colour, va="center")
    positive = np.sum(np.atleast_2d(network.output_weights), axis=0) > 0
    for kind, colour, label in ((True, _SEEN, "output weight > 0"), (False, _NEGATIVE, "< 0")):
        at = [position for position, neuron in enumerate(order) if positive[neuron] == kind]
        if at:
            ax.scatter(at, [floor] * len(at), s=60, color=colour, label=label, clip_on=False, zorder=3)
    if order:
        ax.legend(frameon=False, loc="upper center", ncols=2)
    ax.set_xticks(range(len(order)), [str(neuron) for neuron in order], fontsize=8)
    ax.tick_params(axis="x", length=0, pad=8)
    ax.set_yscale("log")
    ax.set_ylim(floor, np.pi / 2 * 2.2)
    return ax


def errors(report: Report, ax: Axes | None = None) -> Axes:
    """Draw the root mean square of the residual sweep by sweep: over the rows in memory, then over all rows.

    Parameters
    ----------
    report : Report
        Report of a fit.
    ax : matplotlib.axes.Axes, default None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes that were drawn on.
    """
    ax = _axes(ax)
    sample, full = np.array(report.errors_on_sample), np.array(report.errors_per_sweep)
    if report.label_rms > 0:
        ax.axhline(report.label_rms, color=_EDGE, linewidth=1, label="labels")
    number = np.arange(1, len(sample) + len(full) + 1)
    ax.plot(number[: len(sample)], sample, "o-", color=_BULK, markersize=4, linewidth=1, label="rows in memory")
    ax.plot(number[len(sample) :], full, "o-", color=_SEEN, markersize=6, label="all rows")
    if number.size and min(sample.min(initial=np.inf), full.min(initial=np.inf)) > 0:
        ax.set_yscale("log")
    ax.locator_params(axis="x", integer=True)
    ax.set(title="Error per sweep", xlabel="sweep", ylabel="rms of the residual")
    ax.legend(frameon=False)
    return ax


def fit_report(fit: FitResult | ReLUNetRegressor, path: str | None = None) -> Figure:
    """Draw the spectrum, the clumps and the errors of a fit side by side.

    Parameters
    ----------
    fit : FitResult or ReLUNetRegressor
        What `learn` returned, or a fitted regressor.
    path : str, default None
        Where to save the figure; the suffix says in which format. None saves nothing.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    network, report = (fit.network_, fit.report_) if isinstance(fit, ReLUNetRegressor) else (fit.network, fit.report)
    figure: Figure
    figure, axes = _pyplot().subplots(1, 3, figsize=(13, 4), layout="constrained", width_ratios=(4, 5, 4))
    spectrum(report, axes[0])
    clumps(network, report, axes[1])
    errors(report, axes[2])
    neurons = "1 neuron" if report.n_neurons == 1 else f"{report.n_neurons} neurons"
    figure.suptitle(f"{report.status}: {neurons} from {report.n_rows:,} rows of {report.n_features} features")
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure


def _pyplot() -> ModuleType:
    try:
        import matplotlib.pyplot as pyplot
    except ImportError as error:
        raise ImportError('relunet.plots needs matplotlib: pip install "relunet[plots]"') from error
    return pyplot


def _axes(ax: Axes | None) -> Axes:
    drawn: Axes = _pyplot().subplots(layout="constrained")[1] if ax is None else ax
    drawn.spines[["top", "right"]].set_visible(False)
    return drawn


def _angles(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the angles between the lines of the rows, from the chord, which stays right where a cosine does not."""
    units = weights / np.maximum(np.sqrt(np.sum(weights**2, axis=1, keepdims=True)), np.finfo(float).tiny)
    chords = [np.sqrt(np.sum((units[:, None] - sign * units) ** 2, axis=2)) for sign in (1, -1)]
    angles: npt.NDArray[np.float64] = 2 * np.arcsin(np.minimum(np.minimum(*chords) / 2, 1.0))
    return angles


def _single_linkage(distances: npt.NDArray[np.float64]) -> list[tuple[int, int, float]]:
    """Return the joins of single linkage, nearest first; the i-th makes cluster n + i out of two clusters."""
    clusters = {number: [number] for number in range(len(distances))}
    joins: list[tuple[int, int, float]] = []
    while len(clusters) > 1:
        names = sorted(clusters)
        near, left, right = min(
            (float(distances[np.ix_(clusters[a], clusters[b])].min()), a, b)
            for i, a in enumerate(names)
            for b in names[i + 1 :]
        )
        clusters[len(distances) + len(joins)] = clusters.pop(left) + clusters.pop(right)
        joins.append((left, right, near))
    return joins


def _leaves(joins: list[tuple[int, int, float]], n: int) -> list[int]:
    """Return the leaves of the tree from left to right, so that its branches do not cross."""
    members = {number: [number] for number in range(n)}
    for number, (left, right, _) in enumerate(joins, start=n):
        members[number] = members.pop(left) + members.pop(right)
    return [leaf for cluster in members.values() for leaf in cluster]

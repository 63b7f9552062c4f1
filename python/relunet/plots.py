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
    ax.set(title="Spectrum of the label slices", xlabel="direction", ylabel="eigenvalue")
    if not report.spectrum:
        return _empty(ax, "no directions were searched")
    values = np.abs(np.array(report.spectrum))
    number = np.arange(1, len(values) + 1)
    seen = np.array(report.spectrum) > report.bulk_edge
    ax.plot(number[seen], values[seen], "o", color=_SEEN, markersize=7, label=f"{np.count_nonzero(seen)} seen")
    ax.plot(number[~seen], values[~seen], "o", color=_BULK, markersize=4, label="bulk")
    if report.bulk_edge > 0:
        ax.axhline(report.bulk_edge, color=_EDGE, linewidth=1, label="edge of the bulk")
    if values.min() > 0:
        ax.set_yscale("log")
    ax.xaxis.set_major_locator(_ticker().MaxNLocator(integer=True, min_n_ticks=1))
    ax.legend(frameon=False)
    return ax


def clumps(network: ReLUNetwork, report: Report, ax: Axes | None = None) -> Axes:
    """Draw which neurons the fit fused at which scale, with the scale that it went on with.

    The tree is that of `report.scales`: its leaves are the neurons of the finest level, and two branches join at the
    scale of the level that fused them, an angle between neurons as functions of the whitened inputs. A join at π/2 is a
    neuron that was left out. Levels are marked with their number of clumps and risk; where labels would overlap, some
    are left out, but never that of the level that was chosen. Leaves are coloured by the sign of the output weight of
    the neuron that they became.

    Parameters
    ----------
    network : ReLUNetwork
        The network.
    report : Report
        Report of its fit.
    ax : matplotlib.axes.Axes, default=None
        Where to draw; None makes a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes that were drawn on.
    """
    ax = _axes(ax)
    ax.set(title="Clumps over scales", xlabel="neuron", ylabel="angle (radians)")
    if not report.scales:
        return _empty(ax, "no neurons")
    finest = report.scales[0].labels
    joins = _joins(report)
    floor = (
        min([join[2] for join in joins] + [level.scale for level in report.scales if level.scale > 0], default=0.1) / 4
    )
    order = _leaves(joins, len(finest))
    place = {neuron: (float(position), floor) for position, neuron in enumerate(order)}
    for number, (left, right, angle) in enumerate(joins, start=len(finest)):
        (x0, y0), (x1, y1) = place[left], place[right]
        ax.plot([x0, x0, x1, x1], [y0, angle, angle, y1], color=_SEEN, linewidth=1.5)
        place[number] = ((x0 + x1) / 2, angle)
    ax.set_yscale("log")
    ax.set_ylim(floor, np.pi / 2 * 2.2)
    _mark_levels(ax, report, floor)
    for kind, colour, label in ((1.0, _SEEN, "output weight > 0"), (-1.0, _NEGATIVE, "< 0"), (0.0, _BULK, None)):
        at = [position for position, sign in enumerate(_signs(network, report)[order]) if sign == kind]
        if at:
            ax.scatter(at, [floor] * len(at), s=60, color=colour, label=label, clip_on=False, zorder=3)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, loc="upper center", ncols=2)
    shown = range(0, len(order), 1 + len(order) // 24)
    ax.set_xticks(shown, [str(order[position]) for position in shown], fontsize=8)
    ax.set_xlim(-0.5, len(order) - 0.5)
    ax.tick_params(axis="x", length=0, pad=8)
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


def _ticker() -> ModuleType:
    from matplotlib import ticker

    return ticker


def _axes(ax: Axes | None) -> Axes:
    drawn: Axes = _pyplot().subplots(layout="constrained")[1] if ax is None else ax
    drawn.spines[["top", "right"]].set_visible(False)
    return drawn


def _empty(ax: Axes, text: str) -> Axes:
    """Write a note in the middle of axes that have nothing to show, and remove their ticks."""
    ax.set(xticks=[], yticks=[])
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=_BULK)
    return ax


def _joins(report: Report) -> list[tuple[int, int, float]]:
    """Return the joins of the levels, finest first; the i-th makes branch n + i out of two branches."""
    n = len(report.scales[0].labels)
    branch = list(range(n))
    height = dict.fromkeys(range(n), 0.0)
    joins: list[tuple[int, int, float]] = []
    for level in report.scales[1:]:
        clumped: dict[int, int] = {}
        for neuron, label in enumerate(level.labels):
            first, second = clumped.setdefault(label, branch[neuron]), branch[neuron]
            if first != second:
                made = n + len(joins)
                # Levels are fitted again before they are fused further: scales need not ascend, but a tree does.
                height[made] = max(level.scale, height[first], height[second])
                joins.append((first, second, height[made]))
                branch = [made if b in (first, second) else b for b in branch]
                clumped[label] = made
    return joins


def _signs(network: ReLUNetwork, report: Report) -> npt.NDArray[np.float64]:
    """Return the sign of the output weight of the neuron of each leaf, or 0 if the neuron is not known."""
    chosen = next((level for level in report.scales if level.chosen), report.scales[0])
    totals = np.sum(np.atleast_2d(network.output_weights), axis=0)
    if sorted(set(chosen.labels)) != list(range(network.n_neurons)):
        return np.zeros(len(chosen.labels))
    signs: npt.NDArray[np.float64] = np.sign(totals)[list(chosen.labels)]
    return signs


def _mark_levels(ax: Axes, report: Report, floor: float, gap: float = 0.045) -> None:
    """Draw a line at each level, and labels that are at least `gap` times the height of the axes apart."""
    marked: list[float] = []
    low, high = np.log(ax.get_ylim())
    for level in sorted(report.scales, key=lambda level: not level.chosen):
        height = max(level.scale, floor)
        colour, style = (_EDGE, "-") if level.chosen else (_BULK, ":")
        ax.axhline(height, color=colour, linestyle=style, linewidth=1, zorder=0)
        at = (np.log(height) - low) / (high - low)
        if all(abs(at - other) >= gap for other in marked):
            marked.append(at)
            text = f"{level.n_clumps} of {len(level.labels)}, risk {level.risk:.0e}"
            ax.annotate(text, (1.02, at), xycoords="axes fraction", fontsize=8, color=colour, va="center")


def _leaves(joins: list[tuple[int, int, float]], n: int) -> list[int]:
    """Return the leaves of the tree from left to right, so that its branches do not cross."""
    members = {number: [number] for number in range(n)}
    for number, (left, right, _) in enumerate(joins, start=n):
        members[number] = members.pop(left) + members.pop(right)
    return [leaf for cluster in members.values() for leaf in cluster]

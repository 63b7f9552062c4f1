"""Figures: they show the contents of a report."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot

from relunet import ReLUNetRegressor, ReLUNetwork, learn, plots, scan_array
from relunet.fitting.report import ClumpLevel, Report

mpl.use("Agg")


ANGLES = np.array([0.0, 0.02, 1.0, 1.3])
NETWORK = ReLUNetwork(np.c_[np.cos(ANGLES), np.sin(ANGLES)] * [[1], [2], [-3], [1]], [1.0, -1.0, 2.0, 1.0])
REPORT = Report(
    status="exact",
    n_rows=100,
    n_features=2,
    n_neurons=4,
    rank=2,
    spectrum=(2.0, 1.0, 0.1, 0.05),
    bulk_edge=0.2,
    scales=(ClumpLevel(0.01, (0, 1, 2, 3), 1e-4, chosen=True), ClumpLevel(0.1, (0, 0, 1, 2), 1e-2)),
    risk=1e-4,
    risk_network="the network fitted to all rows",
    sweeps=3,
    rows_read=300,
    errors_on_sample=(1.2, 1.1),
    errors_per_sweep=(1.0, 0.1, 0.01),
    label_rms=1.5,
)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


def lines(ax):
    return [
        np.column_stack([np.broadcast_to(v, np.shape(line.get_ydata())) for v in line.get_data()]) for line in ax.lines
    ]


def test_spectrum_separates_bulk_from_seen():
    seen, bulk, edge = lines(plots.spectrum(REPORT))
    assert seen.tolist() == [[1, 2.0], [2, 1.0]]
    assert bulk.tolist() == [[3, 0.1], [4, 0.05]]
    assert set(edge[:, 1]) == {0.2}


def test_clumps_join_where_the_fit_fused_them():
    ax = plots.clumps(NETWORK, REPORT)
    (join,) = [line for line in lines(ax) if len(line) == 4]
    assert join[:, 1].tolist() == [0.0025, 0.1, 0.1, 0.0025]
    order = [int(label.get_text()) for label in ax.get_xticklabels()]
    assert sorted(order) == [0, 1, 2, 3]
    assert abs(order.index(0) - order.index(1)) == 1
    levels = [line for line in lines(ax) if len(line) == 2]
    assert [level[0, 1] for level in levels] == [0.01, 0.1]
    assert [text.get_text() for text in ax.texts] == ["4 of 4, risk 1e-04", "3 of 4, risk 1e-02"]
    positive, negative = ax.collections
    assert len(positive.get_offsets()) == 3
    assert len(negative.get_offsets()) == 1


def report_of(*levels):
    return dataclasses.replace(REPORT, scales=tuple(ClumpLevel(*level) for level in levels))


def test_scales_that_do_not_ascend_make_a_tree():
    report = report_of(
        (0.0, (0, 1, 2, 3), 1.0, True), (0.3, (0, 0, 1, 2), 1.0), (0.2, (0, 0, 1, 1), 1.0), (0.1, (0, 0, 0, 0), 1.0)
    )
    ax = plots.clumps(NETWORK, report)
    joins = [line for line in lines(ax) if len(line) == 4]
    assert [join[1, 1] for join in joins] == [0.3, 0.2, 0.3]
    assert [join[-1, 1] for join in joins] == [0.025, 0.025, 0.2]


def boxes(ax):
    ax.figure.canvas.draw()
    texts = [text for text in [*ax.texts, *ax.get_xticklabels()] if text.get_text()]
    return [text.get_window_extent() for text in texts]


@pytest.mark.parametrize("k", [2, 12, 60])
def test_labels_do_not_overlap(k):
    levels = [(1e-3 * 1.05**i, tuple(max(j - i, 0) for j in range(k)), 1.0, i == 3 % k) for i in range(k)]
    angles = np.arange(float(k))
    network = ReLUNetwork(np.c_[np.cos(angles), np.sin(angles)], np.ones(k))
    ax = plots.clumps(network, report_of(*levels))
    drawn = boxes(ax)
    assert not any(a.overlaps(b) for i, a in enumerate(drawn) for b in drawn[:i])
    assert any(text.get_text().startswith(f"{k - 3 % k} of {k}") for text in ax.texts), "the chosen level has a label"


def test_leaves_have_no_sign_where_the_neurons_are_others():
    fewer = ReLUNetwork(NETWORK.weights[:2], NETWORK.output_weights[:2])
    (leaves,) = plots.clumps(fewer, REPORT).collections
    assert len(leaves.get_offsets()) == 4


@pytest.mark.parametrize("n", [1, 2, 3, 7, 40])
def test_directions_are_whole_numbers(n):
    report = dataclasses.replace(REPORT, spectrum=tuple(1.0 / np.arange(1, n + 1)))
    ax = plots.spectrum(report)
    ax.figure.canvas.draw()
    assert all(tick == round(tick) for tick in ax.get_xticks())


def test_what_there_is_nothing_of_is_said():
    nothing = dataclasses.replace(REPORT, scales=(), spectrum=(), n_neurons=0, status="no structure")
    affine = ReLUNetwork(np.zeros((0, 2)), [])
    for ax, text in (
        (plots.clumps(affine, nothing), "no neurons"),
        (plots.spectrum(nothing), "no directions were searched"),
    ):
        assert [drawn.get_text() for drawn in ax.texts] == [text]
        assert not ax.lines
        assert ax.get_yscale() == "linear"


def test_errors_sweep_by_sweep():
    ax = plots.errors(REPORT)
    labels, sample, full = lines(ax)
    assert set(labels[:, 1]) == {1.5}
    assert sample.tolist() == [[1, 1.2], [2, 1.1]]
    assert full.tolist() == [[3, 1.0], [4, 0.1], [5, 0.01]]
    assert ax.get_yscale() == "log"


@pytest.mark.slow
def test_picture_of_a_fit(tmp_path):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((3000, 4))
    y = np.maximum(X[:, 0], 0) - np.maximum(X[:, 1] - X[:, 2], 0)
    result = learn(scan_array(X, y), 2, fit_bias=False)
    figure = plots.fit_report(result, str(tmp_path / "fit.png"))
    assert (tmp_path / "fit.png").read_bytes().startswith(b"\x89PNG")
    assert figure.get_suptitle() == "exact: 2 neurons from 3,000 rows of 4 features"
    again = plots.fit_report(ReLUNetRegressor(2, fit_bias=False).fit(X, y))
    assert again.get_suptitle() == figure.get_suptitle()


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_networks_without_neurons_and_with_noise_have_pictures(noise, slope):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((500, 3))
    y = X[:, 0] + 1 + slope * np.abs(X[:, 1]) + noise * rng.standard_normal(500)
    plots.fit_report(learn(scan_array(X, y))).canvas.draw()


def test_missing_matplotlib_is_named():
    code = """
import sys
sys.modules["matplotlib"] = None
from relunet import plots
try:
    plots.errors(None)
except ImportError as error:
    assert "relunet[plots]" in str(error), error
else:
    raise AssertionError("no ImportError")
"""
    subprocess.run([sys.executable, "-c", code], check=True)

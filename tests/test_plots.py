"""The pictures: what they show of a report."""

from __future__ import annotations

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


def test_clumps_join_at_the_angles_between_lines():
    ax = plots.clumps(NETWORK, REPORT)
    joins = [line for line in lines(ax) if len(line) == 4]
    assert [join[1, 1] for join in joins] == pytest.approx([0.02, 0.3, 0.98], rel=1e-9)
    levels = [line for line in lines(ax) if len(line) == 2]
    assert [level[0, 1] for level in levels] == [0.01, 0.1]
    assert [text.get_text() for text in ax.texts] == ["4 of 4\nrisk 1e-04", "3 of 4\nrisk 1e-02"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "1", "2", "3"]


def test_errors_sweep_by_sweep():
    ax = plots.errors(REPORT)
    labels, sample, full = lines(ax)
    assert set(labels[:, 1]) == {1.5}
    assert sample.tolist() == [[1, 1.2], [2, 1.1]]
    assert full.tolist() == [[3, 1.0], [4, 0.1], [5, 0.01]]
    assert ax.get_yscale() == "log"


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


def test_network_without_neurons_has_a_picture():
    X = np.random.default_rng(3).standard_normal((500, 3))
    result = learn(scan_array(X, X[:, 0] + 1))
    plots.fit_report(result).canvas.draw()


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

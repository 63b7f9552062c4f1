"""Grids of values with few digits, and the residual that rounding explains."""

from __future__ import annotations

import numpy as np
import pytest

from relunet import ReLUNetwork
from relunet.fitting.stages.precision import Precision, grid

VALUES = 3 * np.random.default_rng(0).standard_normal(3000)


@pytest.mark.parametrize(
    ("values", "spacing"),
    [
        (VALUES, 0.0),
        (VALUES + 1e10, 0.0),
        (VALUES.round(1), 0.1),
        (VALUES.round(4), 1e-4),
        (np.round(300 * VALUES) + 1e7, 1.0),
        (50 * np.round(VALUES), 50.0),
        (np.zeros(10), 0.0),
    ],
)
def test_decimal_grids(values, spacing):
    assert grid(values) == pytest.approx(spacing)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_narrow_types_are_grids_that_explain_their_rounding(dtype):
    stored = VALUES.astype(dtype).astype(np.float64)
    noise = grid(stored) / np.sqrt(12)
    assert noise == pytest.approx(np.sqrt(np.mean((stored - VALUES) ** 2)), rel=0.1)


def test_significant_digits_are_a_grid():
    stored = np.array([float(f"{v:.4g}") for v in VALUES])
    assert grid(stored) / np.sqrt(12) == pytest.approx(np.sqrt(np.mean((stored - VALUES) ** 2)), rel=0.1)


def test_labels_of_two_values_are_not_rounded():
    x = np.random.default_rng(1).standard_normal((500, 2))
    assert Precision.of(x, (x[:, 0] > 0) * 1.0, np.dtype(float)).label_grid == 0


def test_rounding_of_inputs_is_carried_by_the_slopes():
    x = np.random.default_rng(1).standard_normal((2000, 2))
    network = ReLUNetwork([[3.0, 0.0]], [2.0], linear=[0.0, 1.0])
    precision = Precision.of(x.round(4), network.predict(x), np.dtype(float))
    rms = float(np.sqrt(np.mean((network.predict(x.round(4)) - network.predict(x)) ** 2)))
    assert precision.explains(rms, network, x)
    assert not precision.explains(3 * rms, network, x)

"""Fits with Huber's loss: outliers and heavy tails have a bounded influence, and no such fit is called exact."""

from __future__ import annotations

import numpy as np
import pytest

from relunet import ArgumentError, ReLUNetRegressor, scan_array
from relunet.fitting.robust import learn_with

RNG = np.random.default_rng(0)
X = RNG.standard_normal((1500, 3))
MEAN = np.abs(X[:, 0]) - np.maximum(X[:, 1] + 0.2, 0)
OUTLIERS = 50 * (RNG.random(1500) < 0.02)


def off(predicted):
    return np.sqrt(np.mean((predicted - MEAN) ** 2) / MEAN.var())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("noise", "bound"),
    [(OUTLIERS, 0.01), (OUTLIERS + 0.05 * RNG.standard_normal(1500), 0.03), (0.2 * RNG.standard_t(1.5, 1500), 0.12)],
    ids=["outliers", "outliers and noise", "heavy tails"],
)
def test_outliers_have_a_bounded_influence(noise, bound):
    squared, huber = (ReLUNetRegressor(2, loss=loss).fit(X, MEAN + noise) for loss in ("squared", "huber"))
    assert off(huber.predict(X)) < min(bound, off(squared.predict(X)))
    assert huber.network_.n_neurons == 2
    assert huber.report_.status != "exact"
    assert any("huber" in message for message in huber.report_.messages)


def test_without_outliers_the_least_squares_network_is_returned():
    huber = ReLUNetRegressor(2, loss="huber").fit(X, MEAN)
    assert huber.report_.status == "exact"
    assert off(huber.predict(X)) < 1e-12


def test_standard_errors_are_those_of_the_robust_estimate():
    """They stay near those without outliers, where those of least squares follow the outliers."""
    noise = 0.1 * np.random.default_rng(1).standard_normal(1500)
    clean = ReLUNetRegressor(2).fit(X, MEAN + noise)
    huber = ReLUNetRegressor(2, loss="huber").fit(X, MEAN + noise + OUTLIERS)
    ratio = np.median(huber.predict(X, return_std=True)[1] / clean.predict(X, return_std=True)[1])
    assert 0.8 < ratio < 1.6


def test_arguments():
    with pytest.raises(ArgumentError, match="loss: 'hubert', expected 'squared' or 'huber'"):
        ReLUNetRegressor(loss="hubert").fit(X, MEAN)
    with pytest.raises(ArgumentError, match="2 outputs, expected one"):
        ReLUNetRegressor(loss="huber").fit(X, np.c_[MEAN, MEAN])
    with pytest.raises(ArgumentError, match="checkpoint"):
        learn_with("huber", scan_array(X, MEAN), checkpoint="folder")

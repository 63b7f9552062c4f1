"""Statuses are true: of labels that no narrow network makes, of noise of uneven size, and of undetermined kinks."""

from __future__ import annotations

import numpy as np
import pytest

from relunet import ReLUNetRegressor

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3000, 5))

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def fitted(y):
    return ReLUNetRegressor(max_neurons=12).fit(X, y)


def test_a_step_is_not_exact_though_two_close_kinks_fit_all_rows():
    model = fitted((X[:, 0] > 0.3) * 1.0)
    assert model.report_.status == "budget"
    assert any("between their kinks" in message for message in model.report_.messages)
    assert model.report_.risk_interval is None


def test_a_step_of_several_outputs_is_not_exact():
    assert fitted(np.outer(X[:, 0] > 0.3, [1.0, -2.0])).report_.status == "budget"


@pytest.mark.slow
@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("function", [lambda x: np.sin(3 * x[:, 0]) * x[:, 1], lambda x: x[:, 0] * x[:, 1] * x[:, 2]])
def test_what_no_narrow_network_makes_is_neither_exact_nor_noise(function, n_outputs):
    y = np.column_stack([function(X), function(X[:, ::-1])])
    assert fitted(y[:, :n_outputs]).report_.status == "budget"


@pytest.mark.slow
@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("kind", ["grows", "outliers", "heavy tails"])
def test_noise_invents_no_neuron(kind, n_outputs):
    f = np.abs(X[:, 0]) + np.maximum(X[:, 1] + 0.3, 0)
    noise = {
        "grows": 0.3 * f * RNG.standard_normal(3000),
        "outliers": 20 * (RNG.random(3000) < 2e-3),
        "heavy tails": 0.3 * RNG.standard_t(2.5, 3000),
    }[kind]
    model = fitted(np.column_stack([f + noise, noise[::-1] - f])[:, :n_outputs])
    assert model.network_.n_neurons <= 2
    assert np.mean((model.predict(X).reshape(len(X), -1)[:, 0] - f) ** 2) < 0.05 * f.var()


def test_close_kinks_fitted_as_one_are_not_the_rounding_of_labels():
    """A few rows between the kinks are farther off than rounding can be, though their RMS is that of rounding."""
    x = np.random.default_rng(1).standard_normal((2000, 6))
    f = np.maximum(x[:, 0], 0) + np.maximum(x[:, 0] + 0.01 * x[:, 1], 0)
    assert ReLUNetRegressor(1, fit_linear=False).fit(x, np.round(f, 3)).report_.status == "budget"
    assert ReLUNetRegressor(1).fit(x, np.round(np.maximum(x[:, 0], 0), 3)).report_.status == "noise floor"

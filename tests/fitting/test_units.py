"""Fits are equivariant under x -> D x + b and y -> a y + c: units of features and labels change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relunet import ReLUNetRegressor

X = np.random.default_rng(0).standard_normal((600, 3))
F = np.abs(X[:, 0]) + np.maximum(X[:, 1] - X[:, 2] + 0.3, 0)
EXPONENTS = st.floats(-10, 10)


@settings(max_examples=15, deadline=None)
@given(st.tuples(EXPONENTS, EXPONENTS, EXPONENTS), EXPONENTS, st.floats(-3, 3), st.floats(-3, 3))
def test_exact_fits_do_not_depend_on_units(units, unit_of_labels, shift, offset):
    scale, factor = 10.0 ** np.array(units), 10.0**unit_of_labels
    x, y = (X + shift) * scale, factor * (F + offset)
    model = ReLUNetRegressor(2).fit(x, y)
    assert (model.report_.status, model.network_.n_neurons) == ("exact", 2)
    np.testing.assert_allclose(model.predict(x) / factor - offset, F, atol=1e-9)


@pytest.mark.parametrize("units", [(9, -9, 0), (-10, 10, 4)])
def test_noisy_fits_do_not_depend_on_units_up_to_their_standard_error(units):
    noise = 0.1 * np.random.default_rng(1).standard_normal(600)
    scale = 10.0 ** np.array(units)
    plain, scaled = ReLUNetRegressor(2).fit(X, F + noise), ReLUNetRegressor(2).fit(X * scale, 1e6 * (F + noise))
    assert scaled.report_.status == plain.report_.status == "noise floor"
    predicted, error = plain.predict(X, return_std=True)
    assert np.max(np.abs(scaled.predict(X * scale) / 1e6 - predicted)) < 3 * np.max(error)

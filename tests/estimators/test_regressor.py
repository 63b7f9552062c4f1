"""The regressor: scikit-learn's own checks, and properties that they do not cover."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pandas
import pytest
from sklearn.base import clone, is_regressor
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import relunet
from relunet import ReLUNetRegressor
from relunet.errors import ArgumentError, DataError


@parametrize_with_checks([ReLUNetRegressor(max_neurons=3)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def planted():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((4000, 5))
    weights = np.array([[1.0, 2.0, 0.0, 0.0, -1.0], [0.0, 1.0, -1.0, 1.0, 0.0]])
    y = 1.5 * np.maximum(X @ weights[0], 0) - np.maximum(X @ weights[1], 0)
    return X, y


@pytest.fixture(scope="module")
def fitted(planted):
    return ReLUNetRegressor(n_neurons=2, fit_bias=False).fit(*planted)


def test_planted_network_comes_back(planted, fitted):
    X, y = planted
    assert np.abs(fitted.predict(X) - y).max() < 1e-9
    assert fitted.report_.status == "exact"
    assert fitted.network_.n_neurons == 2
    assert fitted.subspace_.shape == (5, fitted.report_.rank)
    assert tuple(fitted.spectrum_) == fitted.report_.spectrum
    assert tuple(fitted.scales_) == fitted.report_.scales


def test_samples_and_arrays_fit_the_same_bits(planted, fitted):
    X, y = planted
    streamed = ReLUNetRegressor(n_neurons=2, fit_bias=False).fit(relunet.scan_array(X, y))
    assert streamed.predict(X).tobytes() == fitted.predict(X).tobytes()
    assert streamed.predict(relunet.scan_array(X)).tobytes() == fitted.predict(X).tobytes()
    assert streamed.score(relunet.scan_array(X, y)) == streamed.score(X, y)
    with pytest.raises(ArgumentError, match="beside Samples"):
        ReLUNetRegressor().fit(relunet.scan_array(X, y), y)
    for method in (streamed.fit, streamed.score):
        with pytest.raises(ArgumentError, match="without labels"):
            method(relunet.scan_array(X))


def test_score_is_that_of_scikit_learn(planted, fitted):
    X, y = planted
    weight = np.random.default_rng(0).uniform(size=len(y))
    noisy = y + np.random.default_rng(1).standard_normal(len(y))
    expected = r2_score(noisy, fitted.predict(X), sample_weight=weight)
    assert fitted.score(X, noisy, weight) == pytest.approx(expected, rel=1e-12)
    constant = np.ones(len(y))
    assert fitted.score(X, constant) == r2_score(constant, fitted.predict(X))


def test_score_at_the_edge(planted, fitted):
    X, y = planted
    predicted = fitted.predict(X)
    with pytest.raises(DataError, match="sample_weight: all weights are zero"):
        fitted.score(X, y, np.zeros(len(y)))
    for factor in (1e-200, 1e200):
        off = (y + np.sin(y)) * factor
        scaled = ReLUNetRegressor()
        scaled.network_ = relunet.ReLUNetwork(
            fitted.network_.weights, fitted.network_.output_weights * factor, linear=fitted.network_.linear * factor
        )
        scaled.n_features_in_ = fitted.n_features_in_
        assert scaled.score(X, off) == pytest.approx(r2_score(y + np.sin(y), predicted), rel=1e-9)
    noisy = y + np.random.default_rng(1).standard_normal(len(y))
    weight = np.random.default_rng(0).uniform(size=len(y))
    expected = r2_score(noisy, predicted, sample_weight=weight)
    for unit in (1e-320 / 1e-12, 1e308):
        assert fitted.score(X, noisy, weight * unit) == pytest.approx(expected, rel=1e-9)
    # Constant, although their weighted mean is off by rounding.
    assert fitted.score(X, np.full(len(y), 0.1), weight) == 0.0


@pytest.mark.slow
def test_scikit_learn_tools_take_it(planted):
    X, y = planted
    model = ReLUNetRegressor(fit_bias=False)
    assert is_regressor(model)
    search = GridSearchCV(
        make_pipeline(StandardScaler(with_mean=False), model), {"relunetregressor__n_neurons": [1, 2]}, cv=2
    )
    search.fit(X[:2000], y[:2000])
    assert search.best_params_ == {"relunetregressor__n_neurons": 2}
    assert search.best_score_ == pytest.approx(1.0)


def test_parameters(planted):
    model = ReLUNetRegressor(3, fit_linear=True)
    assert repr(model) == "ReLUNetRegressor(n_neurons=3, fit_linear=True)"
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(max_neurons=5) is model
    assert model.max_neurons == 5
    with pytest.raises(ArgumentError, match="n_neuron: no parameter of ReLUNetRegressor"):
        model.set_params(n_neuron=3)


@pytest.mark.parametrize("make", [int, np.int64, np.random.default_rng, np.random.RandomState])
def test_random_state_of_every_kind(planted, make):
    X, y = planted
    first, second = (ReLUNetRegressor(2, fit_bias=False, random_state=make(3)).fit(X, y) for _ in range(2))
    assert first.predict(X).tobytes() == second.predict(X).tobytes()


def test_random_state_of_no_kind(planted):
    with pytest.raises(ArgumentError, match="random_state: 'x', expected an integer"):
        ReLUNetRegressor(random_state="x").fit(*planted)


def test_data_frames(planted, fitted):
    X, y = planted
    frame = pandas.DataFrame(X, columns=list("abcde"))
    model = ReLUNetRegressor(2, fit_bias=False).fit(frame, pandas.Series(y))
    assert list(model.feature_names_in_) == list("abcde")
    assert model.predict(frame).tobytes() == fitted.predict(X).tobytes()
    with pytest.raises(DataError, match="same order"):
        model.predict(frame[list("bacde")])
    with pytest.raises(DataError, match=r"unseen at fit time:\n- z\n.*now missing:\n- a"):
        model.predict(frame.rename(columns={"a": "z"}))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X)
    assert not hasattr(model.fit(X, y), "feature_names_in_")
    with pytest.warns(UserWarning, match="fitted without feature names"):
        model.predict(frame)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((9, 2)), None, "requires y"),
        (np.zeros((9, 2), dtype=complex), np.zeros(9), "Complex"),
        (np.full((9, 2), "1.0"), np.zeros(9), "X: dtype <U3"),
        (np.full((9, 2), None), np.zeros(9), "X"),
        (np.zeros((9, 2)), np.full(9, "a"), "y: dtype <U1"),
        (np.zeros(9), np.zeros(9), "X: shape"),
        (np.zeros((9, 0)), np.zeros(9), "0 feature"),
    ],
)
def test_data_that_cannot_be_used(X, y, message):
    with pytest.raises((ArgumentError, DataError), match=message):
        ReLUNetRegressor().fit(X, y)


def test_predict_says_what_is_wrong(planted, fitted):
    X, _ = planted
    with pytest.raises(NotFittedError, match="not fitted yet"):
        ReLUNetRegressor().predict(X)
    with pytest.raises(DataError, match="X has 4 features, but ReLUNetRegressor is expecting 5"):
        fitted.predict(X[:, :4])
    with pytest.raises(DataError):
        fitted.predict(np.where(X > 2, np.nan, X))


def test_column_of_labels_is_used_with_a_warning(planted, fitted):
    X, y = planted
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        model = ReLUNetRegressor(2, fit_bias=False).fit(X, y[:, None])
    assert model.predict(X).tobytes() == fitted.predict(X).tobytes()


def test_pickle_keeps_the_bits(planted, fitted):
    X, _ = planted
    assert pickle.loads(pickle.dumps(fitted)).predict(X).tobytes() == fitted.predict(X).tobytes()


def test_scikit_learn_is_not_needed():
    code = """
import sys
sys.modules["sklearn"] = None  # importing it is an error now
import numpy as np
from relunet import ReLUNetRegressor
from relunet.errors import RelunetError
X = np.random.default_rng(0).standard_normal((2000, 3))
model = ReLUNetRegressor(1, fit_bias=False)
try:
    model.predict(X)
except RelunetError as error:
    assert "not fitted yet" in str(error), error
assert model.fit(X, np.maximum(X[:, 0], 0)).score(X, np.maximum(X[:, 0], 0)) > 1 - 1e-9
"""
    subprocess.run([sys.executable, "-c", code], check=True)

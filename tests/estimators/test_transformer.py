"""The transformer: scikit-learn's own checks, and agreement with the subspace of a fit."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import relunet
from relunet import ReLUNetRegressor, ReLUSubspace
from relunet.errors import ArgumentError, DataError


@parametrize_with_checks([ReLUSubspace(), ReLUSubspace(n_components=1)])
@pytest.mark.filterwarnings("ignore:no direction stands out")
def test_scikit_learn_checks(estimator, check):
    check(estimator)


WEIGHTS = np.array([[1.0, 2.0, 0.0, 0.0, -1.0], [0.0, 1.0, -1.0, 1.0, 0.0]])


@pytest.fixture(scope="module")
def planted():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((6000, 5)) * [1.0, 0.3, 2.0, 5.0, 1.0] + [0.0, 1.0, -2.0, 0.0, 3.0]
    centred = X - X.mean(axis=0)
    y = 1.5 * np.maximum(centred @ WEIGHTS[0], 0) - np.maximum(centred @ WEIGHTS[1] + 1, 0)
    return X, y


@pytest.fixture(scope="module")
def fitted(planted):
    return ReLUSubspace().fit(*planted)


def sine(basis, columns):
    """Sine of the largest angle of `columns` against the span of an orthonormal `basis`."""
    inside = np.linalg.qr(columns)[0]
    return np.linalg.norm(inside - basis @ (basis.T @ inside), 2)


def test_planted_subspace_comes_back(fitted):
    assert fitted.n_components_ == fitted.n_visible_ == 2
    assert sine(fitted.subspace_, WEIGHTS.T) < 0.1
    assert fitted.spectrum_.shape == (5,)
    assert np.all(np.diff(fitted.spectrum_) <= 0)
    assert fitted.spectrum_[0] > fitted.bulk_edge_ > fitted.spectrum_[2]


def test_it_is_the_first_look_of_the_regressor(planted, fitted):
    regressor = ReLUNetRegressor(n_neurons=2).fit(*planted)
    assert regressor.spectrum_.tobytes() == fitted.spectrum_.tobytes()
    assert regressor.report_.bulk_edge == fitted.bulk_edge_
    exact = np.linalg.qr(regressor.network_.weights.T)[0]
    assert sine(exact, WEIGHTS.T) < 1e-9 < sine(fitted.subspace_, WEIGHTS.T)


def test_components_are_whitened_and_span_the_subspace(planted, fitted):
    X, _ = planted
    scores = fitted.transform(X)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, (X - X.mean(axis=0)) @ fitted.components_.T, rtol=0, atol=1e-12)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.cov(scores.T, bias=True), np.eye(2), atol=1e-10)
    np.testing.assert_allclose(fitted.subspace_.T @ fitted.subspace_, np.eye(2), atol=1e-14)
    assert sine(fitted.subspace_, fitted.components_.T) < 1e-12


@pytest.mark.parametrize("n_components", [1, 3, 5])
def test_components_are_nested(planted, fitted, n_components):
    found = ReLUSubspace(n_components).fit(*planted)
    assert found.components_.shape == (n_components, 5)
    assert found.subspace_.shape == (5, n_components)
    assert (found.n_components_, found.n_visible_) == (n_components, 2)
    shared = min(n_components, 2)
    np.testing.assert_array_equal(found.components_[:shared], fitted.components_[:shared])


def test_an_affine_part_of_the_labels_does_not_matter_where_it_is_left_out(planted):
    X, y = planted
    found, moved = (
        ReLUSubspace(fit_linear=False).fit(X, labels) for labels in (y, y + X @ [1.0, -2.0, 0.0, 0.5, 0.0] + 3)
    )
    np.testing.assert_allclose(moved.components_, found.components_, rtol=1e-6, atol=1e-8)


def test_an_affine_part_off_the_neurons_is_a_direction_and_the_first(planted):
    X, y = planted
    slope = np.array([1.0, -2.0, 0.0, 0.5, 0.0])
    found = ReLUSubspace().fit(X, y + 5 * X @ slope)
    assert (found.n_components_, found.n_visible_) == (3, 2)
    assert sine(found.subspace_, np.c_[WEIGHTS.T, slope]) < 0.1
    affine = np.linalg.lstsq(np.c_[X, np.ones(len(X))], y + 5 * X @ slope, rcond=None)[0][:5]
    first = found.components_[0] / np.linalg.norm(found.components_[0])
    np.testing.assert_allclose(np.abs(first), np.abs(affine) / np.linalg.norm(affine), atol=1e-6)


def test_affine_labels_have_one_direction(planted):
    X, _ = planted
    with pytest.warns(UserWarning, match="only that of the affine function is kept"):
        found = ReLUSubspace().fit(X, X[:, 1] - 2)
    np.testing.assert_allclose(np.abs(found.subspace_), np.eye(5)[:, [1]], atol=1e-9)
    assert found.n_visible_ == 0


def test_the_units_of_the_features_do_not_matter(planted, fitted):
    X, y = planted
    mixed = X @ (np.diag([2.0, -1.0, 0.1, 30.0, 1.0]) + 0.05) + 7
    found = ReLUSubspace().fit(mixed, y)
    scores, expected = found.transform(mixed), fitted.transform(X)
    signs = np.sign(np.sum(scores * expected, axis=0))
    np.testing.assert_allclose(scores * signs, expected, atol=1e-6)
    assert np.all(found.components_[[0, 1], np.abs(found.components_).argmax(axis=1)] > 0)


def test_samples_and_any_number_of_threads_give_the_same_bits(planted, fitted):
    X, y = planted
    for n_jobs in (1, 2):
        streamed = ReLUSubspace(n_jobs=n_jobs).fit(relunet.scan_array(X, y))
        assert streamed.components_.tobytes() == fitted.components_.tobytes()
        assert streamed.transform(relunet.scan_array(X)).tobytes() == fitted.transform(X).tobytes()
    assert ReLUSubspace().fit_transform(X, y).tobytes() == fitted.transform(X).tobytes()
    with pytest.raises(ArgumentError, match="beside Samples"):
        ReLUSubspace().fit(relunet.scan_array(X, y), y)
    with pytest.raises(ArgumentError, match="without labels"):
        ReLUSubspace().fit(relunet.scan_array(X))


def test_rows_without_weight_are_not_seen(planted, fitted):
    X, y = planted
    rng = np.random.default_rng(6)
    strange = 10 * rng.standard_normal((3000, 5))
    both, labels = np.concatenate([X, strange]), np.concatenate([y, np.abs(strange[:, 2])])
    weighted = ReLUSubspace(2).fit(both, labels, np.repeat([1.0, 0.0], [6000, 3000]))
    np.testing.assert_allclose(weighted.mean_, fitted.mean_, rtol=1e-12, atol=1e-12)
    assert sine(weighted.subspace_, WEIGHTS.T) < 0.1 < sine(ReLUSubspace(2).fit(both, labels).subspace_, WEIGHTS.T)
    doubled, repeated = ReLUSubspace().fit(X, y, np.full(6000, 2.0)), ReLUSubspace().fit(np.r_[X, X], np.r_[y, y])
    np.testing.assert_allclose(doubled.components_, repeated.components_, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("labels", ["noise", "affine", "constant"])
def test_where_nothing_stands_out_it_says_so(planted, labels):
    X, _ = planted
    y = {"noise": np.random.default_rng(7).standard_normal(6000), "affine": X[:, 1] - 2, "constant": np.ones(6000)}
    with pytest.warns(UserWarning, match="no direction stands out") as caught:
        found = ReLUSubspace(fit_linear=False).fit(X, y[labels])
    assert caught[0].filename == __file__
    assert (found.n_visible_, found.components_.shape, found.subspace_.shape) == (0, (0, 5), (5, 0))
    for transform in (found.transform, lambda X: ReLUSubspace(fit_linear=False).fit_transform(X, y[labels])):
        with pytest.raises(DataError, match="no direction stood out .* Set n_components"):
            transform(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ReLUSubspace(2, fit_linear=False).fit(X, y[labels]).transform(X).shape == (6000, 2)


def test_constant_labels_have_no_direction(planted):
    X, _ = planted
    with pytest.warns(UserWarning, match="no component is kept"):
        found = ReLUSubspace().fit(X, np.ones(len(X)))
    with pytest.raises(DataError, match="the labels may be constant"):
        found.transform(X)


def test_many_features_are_sketched():
    X, y = relunet.teachers.generic(40, 3, rng=0).sample(20_000, rng=1)
    truth = relunet.teachers.generic(40, 3, rng=0).network.weights.T
    found = ReLUSubspace(max_dense=39).fit(X, y)
    assert found.n_components_ == 3
    assert sine(found.subspace_, truth) < 0.2
    assert len(found.spectrum_) < 40, "sketched, not dense"
    with pytest.raises(DataError, match="n_components: 30, expected at most"):
        ReLUSubspace(30, max_dense=39).fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "n_components: 0, expected an integer of at least 1"),
        ({"n_components": 1.5}, "n_components: 1.5, expected an integer"),
        ({"n_components": True}, "n_components: True, expected an integer"),
        ({"max_dense": 0}, "max_dense: 0, expected"),
        ({"n_jobs": "x"}, "n_jobs: 'x', expected"),
        ({"random_state": "x"}, "random_state: 'x', expected an integer"),
    ],
)
def test_parameters_that_no_data_could_make_right(planted, parameters, message):
    with pytest.raises(ArgumentError, match=message):
        ReLUSubspace(**parameters).fit(*planted)


def test_more_components_than_the_inputs_span(planted):
    X, y = planted
    with pytest.raises(DataError, match="n_components: 6, expected at most 5"):
        ReLUSubspace(6).fit(X, y)
    flat = np.column_stack([X[:, :2], X[:, 0] - X[:, 1], np.ones(6000)])
    with pytest.raises(DataError, match="n_components: 3, expected at most 2"):
        ReLUSubspace(3).fit(flat, y)
    found = ReLUSubspace(2).fit(flat, y)
    np.testing.assert_allclose(np.cov(found.transform(flat).T, bias=True), np.eye(2), atol=1e-8)


def test_data_frames(planted, fitted):
    X, y = planted
    frame = pandas.DataFrame(X, columns=list("abcde"))
    model = ReLUSubspace().fit(frame, pandas.Series(y))
    assert list(model.feature_names_in_) == list("abcde")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.transform(frame).tobytes() == fitted.transform(X).tobytes()
        assert list(model.get_feature_names_out()) == ["relusubspace0", "relusubspace1"]
        assert list(model.get_feature_names_out(list("abcde"))) == ["relusubspace0", "relusubspace1"]
    with pytest.raises(ArgumentError, match="not equal to feature_names_in_"):
        model.get_feature_names_out(list("bacde"))
    with pytest.raises(ArgumentError, match="got 4"):
        model.get_feature_names_out(list("abcd"))
    with pytest.raises(DataError, match="same order"):
        model.transform(frame[list("bacde")])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.transform(X)
    assert not hasattr(model.fit(X, y), "feature_names_in_")


def test_scikit_learn_tools_take_it(planted):
    X, y = planted
    search = GridSearchCV(
        make_pipeline(StandardScaler(), ReLUSubspace(), KNeighborsRegressor()), {"relusubspace__n_components": [1, 2]}
    ).fit(X, y)
    assert search.best_params_ == {"relusubspace__n_components": 2}
    assert search.best_score_ > KNeighborsRegressor().fit(X[:4800], y[:4800]).score(X[4800:], y[4800:])
    union = make_union(StandardScaler(), ReLUSubspace()).fit(X, y)
    assert list(union.get_feature_names_out())[-1] == "relusubspace__relusubspace1"
    assert make_pipeline(union, LinearRegression()).fit(X, y).score(X, y) > 0


def test_transform_says_what_is_wrong(planted, fitted):
    X, _ = planted
    for method in (lambda: ReLUSubspace().transform(X), ReLUSubspace().get_feature_names_out):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            method()
    with pytest.raises(DataError, match="X has 4 features, but ReLUSubspace is expecting 5"):
        fitted.transform(X[:, :4])
    with pytest.raises(DataError):
        fitted.transform(np.where(X > 2, np.nan, X))


def test_parameters_and_pickle(planted, fitted):
    model = ReLUSubspace(3, max_dense=10)
    assert repr(model) == "ReLUSubspace(n_components=3, max_dense=10)"
    assert clone(model).get_params() == model.get_params()
    X, _ = planted
    assert pickle.loads(pickle.dumps(fitted)).transform(X).tobytes() == fitted.transform(X).tobytes()


def test_scikit_learn_is_not_needed():
    code = """
import sys
sys.modules["sklearn"] = None  # importing it is an error now
import numpy as np
from relunet import ReLUSubspace
X = np.random.default_rng(0).standard_normal((2000, 3))
assert ReLUSubspace().fit_transform(X, np.abs(X[:, 0])).shape == (2000, 1)
"""
    subprocess.run([sys.executable, "-c", code], check=True)

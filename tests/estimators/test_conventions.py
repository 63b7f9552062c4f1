"""Conventions of scikit-learn that its own checks do not cover: routing, containers, names, errors."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pandas
import polars
import pyarrow
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import relunet
from relunet import ReLUNetRegressor, ReLUSubspace
from relunet.errors import ArgumentError, DataError

NAMES = ["heat", "flow", "age", "load"]


@pytest.fixture(scope="module")
def planted():
    X = np.random.default_rng(0).standard_normal((1500, 4))
    return X, np.maximum(X[:, 0] - X[:, 2], 0) + 2 * np.maximum(X[:, 1] + X[:, 2], 0)


@pytest.fixture
def routed():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def frames(X):
    table = pyarrow.table({name: X[:, i] for i, name in enumerate(NAMES)})
    return {"pandas": pandas.DataFrame(X, columns=NAMES), "polars": polars.from_arrow(table), "arrow": table}


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "samples"])
def test_names_after_every_kind_of_fit(planted, kind):
    X, y = planted
    tables = frames(X)
    model, space = ReLUNetRegressor(2), ReLUSubspace(2)
    for estimator in (model, space):
        if kind == "samples":
            estimator.fit(relunet.scan_array(tables["pandas"], y))
        else:
            estimator.fit(tables[kind], y)
        assert list(estimator.feature_names_in_) == NAMES
    assert model.network_.feature_names == tuple(NAMES)
    assert "relu(" in repr(model.network_)
    assert "heat" in repr(model.network_)
    # Samples are matched by name, frames are refused in another order, as scikit-learn does.
    backwards = tables["pandas"][NAMES[::-1]]
    assert model.predict(relunet.scan_array(backwards)).tobytes() == model.predict(tables["pandas"]).tobytes()
    assert np.array_equal(space.transform(relunet.scan_array(backwards)), space.transform(tables["pandas"]))
    for other in (backwards, tables["polars"].select(NAMES[::-1]), tables["arrow"].select(NAMES[::-1])):
        with pytest.raises(DataError, match="same order"):
            model.predict(other)
    with pytest.raises(DataError, match="now missing:\n- heat"):
        model.predict(relunet.scan_array(tables["pandas"].rename(columns={"heat": "cold"})))


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_containers_of_transformed_rows(planted, container):
    X, y = planted
    frame = pandas.DataFrame(X, columns=NAMES, index=np.arange(1500) + 7)
    plain = ReLUSubspace(2).fit(frame, y)
    expected = plain.transform(frame)
    asked = clone(ReLUSubspace(2).set_output(transform=container)).fit(frame, y)
    with sklearn.config_context(transform_output=container):
        found = [asked.transform(frame), asked.fit_transform(frame, y), plain.transform(frame)]
    found.append(make_pipeline(ReLUSubspace(2)).set_output(transform=container).fit_transform(frame, y))
    for rows in found:
        assert type(rows).__module__.split(".")[0] == container
        assert list(rows.columns) == ["relusubspace0", "relusubspace1"]
        assert np.array_equal(rows.to_numpy(), expected)
        assert container == "polars" or list(rows.index) == list(frame.index)
    assert isinstance(plain.transform(frame), np.ndarray)
    assert isinstance(asked.set_output(transform="default").transform(frame), np.ndarray)
    with pytest.raises(ArgumentError, match="transform: 'excel', expected one of 'default'"):
        plain.set_output(transform="excel")


@pytest.mark.slow
def test_weights_are_routed(planted, routed):
    X, y = planted
    weight = np.random.default_rng(1).uniform(size=len(y))
    noisy = y + np.random.default_rng(2).standard_normal(len(y))
    model = ReLUNetRegressor(1).set_fit_request(sample_weight=True).set_score_request(sample_weight="weight")
    assert (
        make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model)
        .fit(X, noisy, sample_weight=weight)
        .predict(X)
        .shape
        == y.shape
    )
    model.set_score_request(sample_weight=True)
    scores = cross_validate(model, X, noisy, cv=2, params={"sample_weight": weight})["test_score"]
    half = len(y) // 2
    first = ReLUNetRegressor(1).fit(X[half:], noisy[half:], weight[half:]).score(X[:half], noisy[:half], weight[:half])
    assert scores[0] == pytest.approx(first, rel=1e-12)
    assert clone(model).get_metadata_routing().score.requests == {"sample_weight": True}
    assert pickle.loads(pickle.dumps(model)).get_metadata_routing().fit.requests == {"sample_weight": True}
    pipeline = make_pipeline(ReLUSubspace(1).set_fit_request(sample_weight=True), LinearRegression())
    pipeline[-1].set_fit_request(sample_weight=False)
    assert pipeline.fit(X, noisy, sample_weight=weight).predict(X).shape == y.shape
    assert np.all(np.isfinite(cross_val_score(make_pipeline(StandardScaler(), ReLUNetRegressor(1)), X, noisy, cv=2)))


def test_requests_need_routing(planted):
    for call in (ReLUNetRegressor().set_fit_request, ReLUNetRegressor().set_score_request):
        with pytest.raises(RuntimeError, match="enable_metadata_routing=True"):
            call(sample_weight=True)
    assert not hasattr(ReLUSubspace(), "set_score_request")


def test_not_fitted_is_the_error_of_both_libraries(planted):
    X, y = planted
    for call in (
        lambda: ReLUNetRegressor().predict(X),
        lambda: ReLUNetRegressor().score(X, y),
        lambda: ReLUSubspace().transform(X),
        ReLUSubspace().get_feature_names_out,
    ):
        with pytest.raises(NotFittedError, match="not fitted yet") as caught:
            call()
        assert isinstance(caught.value, relunet.NotFittedError | ValueError)
        again = pickle.loads(pickle.dumps(caught.value))
        assert type(again) is type(caught.value)
        assert str(again) == str(caught.value)


@pytest.mark.slow
def test_not_fitted_before_scikit_learn_is_imported():
    code = """
import sys, numpy as np, relunet
assert "sklearn" not in sys.modules
try:
    relunet.ReLUNetRegressor().predict(np.zeros((2, 2)))
except relunet.NotFittedError as error:
    from sklearn.exceptions import NotFittedError
    assert isinstance(error, NotFittedError)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_diagram_in_notebooks():
    shown = make_pipeline(StandardScaler(), ReLUNetRegressor(2))._repr_html_()
    assert "ReLUNetRegressor" in shown
    assert "<div" in ReLUNetRegressor(2)._repr_mimebundle_()["text/html"]
    with sklearn.config_context(display="text"):
        assert ReLUNetRegressor(2)._repr_mimebundle_() == {"text/plain": "ReLUNetRegressor(n_neurons=2)"}
        assert ReLUNetRegressor(2)._repr_html_() is None


def test_a_wrong_parameter_sets_none():
    model = ReLUNetRegressor(2)
    with pytest.raises(ArgumentError, match="neurons: no parameter"):
        model.set_params(n_neurons=3, neurons=4)
    assert model.n_neurons == 2


def test_nothing_seen_ends_a_pipeline_with_its_own_message(planted):
    X, _ = planted
    noise = np.random.default_rng(3).standard_normal(len(X))
    with (
        pytest.warns(UserWarning, match="no direction stands out"),
        pytest.raises(DataError, match="ReLUSubspace: no direction stood out"),
    ):
        make_pipeline(ReLUSubspace(fit_linear=False), LinearRegression()).fit(X, noise)

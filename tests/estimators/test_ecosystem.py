"""The estimators inside the tools of other projects: export of pipelines, persistence, solvers, tracking, plots."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from relunet import ReLUNetRegressor, ReLUNetwork, ReLUSubspace
from relunet.estimators import register_gurobi_ml, register_skl2onnx


@pytest.fixture(scope="module")
def noisy():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((800, 3)) * [1.0, 5.0, 0.1] + [0.0, 2.0, 0.3]
    return X, np.maximum(X[:, 0] - X[:, 1] / 5, 0) + 2 * X[:, 2] + 0.1 * rng.standard_normal(800)


@pytest.fixture(scope="module")
def fitted(noisy):
    return ReLUNetRegressor(2).fit(*noisy)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_pipelines_become_onnx_files(noisy, dtype):
    skl2onnx = pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    register_skl2onnx()
    X, y = noisy
    for pipeline in (
        make_pipeline(StandardScaler(), ReLUNetRegressor(2)),
        make_pipeline(ReLUSubspace(2), ReLUNetRegressor(2)),
        make_pipeline(StandardScaler(), ReLUSubspace(2)),
    ):
        pipeline.fit(X, y)
        model = skl2onnx.to_onnx(pipeline, X[:1].astype(dtype))
        session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {session.get_inputs()[0].name: X.astype(dtype)})
        expected = pipeline.predict(X)[:, None] if hasattr(pipeline, "predict") else pipeline.transform(X)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 if dtype == np.float64 else 1e-5)


def test_gurobi_takes_the_estimator_as_it_is(noisy, fitted):
    gurobipy = pytest.importorskip("gurobipy")
    gurobi_ml = pytest.importorskip("gurobi_ml")
    register_gurobi_ml()
    X, _ = noisy
    low, high = X.min(axis=0), X.max(axis=0)
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True)), axis=-1).reshape(-1, 3)
    for predictor in (fitted, fitted.network_):
        with gurobipy.Env(params={"OutputFlag": 0}) as environment, gurobipy.Model(env=environment) as model:
            x = model.addMVar((1, 3), lb=low, ub=high)
            value = model.addMVar((1, 1), lb=-100.0, ub=100.0)
            gurobi_ml.add_predictor_constr(model, predictor, x, value)
            model.setObjective(value.sum(), gurobipy.GRB.MAXIMIZE)
            model.optimize()
            assert model.ObjVal == pytest.approx(predictor.predict(x.X)[0], abs=1e-6)
            assert model.ObjVal >= predictor.predict(corners).max() - 1e-6


@pytest.mark.parametrize("make", [lambda: ReLUNetRegressor(2), ReLUSubspace], ids=["regressor", "subspace"])
def test_skops_files_name_types_of_this_package_only(noisy, make):
    skops = pytest.importorskip("skops.io")
    X, y = noisy
    model = make().fit(X, y)
    data = skops.dumps(model)
    types = skops.get_untrusted_types(data=data)
    assert types
    assert all(name.startswith("relunet.") for name in types)
    back = skops.loads(data, trusted=types)
    values = (lambda m: m.predict(X)) if hasattr(model, "predict") else (lambda m: m.transform(X))
    assert values(back).tobytes() == values(model).tobytes()


@pytest.mark.parametrize("form", ["cloudpickle", "skops"])
def test_mlflow_takes_the_flavour_of_scikit_learn(tmp_path, noisy, fitted, form):
    flavour = pytest.importorskip("mlflow.sklearn")
    skops = pytest.importorskip("skops.io")
    trusted = skops.get_untrusted_types(data=skops.dumps(fitted)) if form == "skops" else None
    options = {"serialization_format": form, "skops_trusted_types": trusted, "pip_requirements": ["relunet"]}
    flavour.save_model(fitted, str(tmp_path / "model"), **options)
    X, _ = noisy
    assert flavour.load_model(str(tmp_path / "model")).predict(X).tobytes() == fitted.predict(X).tobytes()


def test_sobol_indices_have_standard_errors_that_salib_plots(noisy, fitted):
    util = pytest.importorskip("SALib.util")
    pytest.importorskip("matplotlib").use("Agg")
    problem = {"num_vars": 3, "names": ["a", "b", "c"], "bounds": [[0, 1], [2, 5], [0.3, 0.1]], "dists": ["norm"] * 3}
    indices = fitted.sobol_indices(problem=problem)
    assert np.all(indices.first_errors > 0)
    assert np.all(indices.first_errors < 0.1)
    results = util.ResultDict(indices.to_salib())
    results.problem = problem
    frame = results.to_df()
    assert list(frame.index) == ["a", "b", "c"]
    np.testing.assert_allclose(frame["ST_conf"], 1.959964 * indices.total_errors, rtol=1e-6)
    axes = results.plot()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]


def test_sobol_errors_of_a_linear_function_are_those_of_regression():
    """For y = b·x the variance is |b|², so that its error is 2 sqrt(bᵀ Σ b), and the index has a gradient in b."""
    rng = np.random.default_rng(1)
    X, slope = rng.standard_normal((400, 3)), np.array([3.0, 1.0, 0.5])
    model = ReLUNetRegressor(fit_linear=True).fit(X, X @ slope + 0.5 * rng.standard_normal(400))
    assert model.network_.n_neurons == 0
    found, b = model.sobol_indices(), model.network_.linear
    n = np.c_[X, np.ones(400)]
    covariance = model._uncertainty.root @ model._uncertainty.root.T
    whitening = model._uncertainty.linearised.whitening
    raw = whitening.x_weights(np.eye(3)).T @ covariance[:3, :3] @ whitening.x_weights(np.eye(3))
    v = b @ b
    gradient = np.diag(2 * b / v) - 2 * np.outer(b**2, b) / v**2
    np.testing.assert_allclose(found.variance_error, 2 * np.sqrt(b @ raw @ b), rtol=1e-5)
    np.testing.assert_allclose(found.first_errors, np.sqrt(np.diag(gradient @ raw @ gradient.T)), rtol=1e-4)
    np.testing.assert_allclose(raw, 0.25 * np.linalg.inv(n.T @ n)[:3, :3], atol=4e-4)


def test_exact_fits_have_no_error(noisy):
    X, _ = noisy
    exact = ReLUNetRegressor(1).fit(X, np.maximum(X[:, 0] - 1, 0)).sobol_indices()
    assert not np.any(exact.first_errors)
    assert exact.variance_error == 0


def test_sobol_indices_of_several_outputs(noisy):
    X, _ = noisy
    labels = np.c_[np.maximum(X[:, 0], 0), np.maximum(X[:, 0], 0) + np.maximum(X[:, 1], 0)]
    exact = ReLUNetRegressor(2).fit(X, labels).sobol_indices()
    assert exact.first_errors.shape == exact.first.shape == (2, 3)
    assert not np.any(exact.first_errors)
    loud = ReLUNetRegressor(2).fit(X, labels + 0.1 * np.random.default_rng(1).standard_normal(labels.shape))
    assert loud.sobol_indices().first_errors is None


@pytest.mark.slow
def test_intervals_of_sobol_indices_cover():
    rng = np.random.default_rng(2)
    weights = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, -1.0]])
    function = lambda X: np.maximum(X @ weights[0] + 0.3, 0) - 1.5 * np.maximum(X @ weights[1], 0)  # noqa: E731
    covered, bound, repeats = np.zeros(3), 1.96, 60
    truth = ReLUNetwork(weights, [1.0, -1.5], [0.3, 0.0]).sobol_indices().first
    for _ in range(repeats):
        X = rng.standard_normal((1000, 3))
        y = function(X) + 0.3 * rng.standard_normal(1000)
        found = ReLUNetRegressor(2, fit_linear=False).fit(X, y).sobol_indices()
        covered += np.abs(found.first - truth) <= bound * found.first_errors
    # The standard deviation of a share of 60 at 0.95 is 0.028.
    assert np.all(covered / repeats >= 0.95 - 3 * 0.028)

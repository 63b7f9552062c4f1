"""Distillation: models of any kind become the narrowest network with their values."""

import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.neural_network import MLPRegressor

from relunet import ArgumentError, DataError, FileError, ReLUNetwork, cli, distill, teachers


class Counted:
    """A function that counts its rows."""

    def __init__(self, network):
        self.network, self.rows = network, 0

    def __call__(self, X):
        self.rows += len(X)
        return self.network.predict(X)


def widened(network, rng):
    """The same function with every neuron split in three, one part of it flipped."""
    share = rng.dirichlet(np.ones(3), network.n_neurons).T
    sign = np.array([1.0, 1.0, -1.0])
    weights = np.concatenate([s * network.weights for s in sign])
    biases = np.concatenate([s * network.biases for s in sign])
    output_weights = np.concatenate([part * network.output_weights for part in share])
    flipped = share[2] * network.output_weights
    linear = network.linear + flipped @ network.weights
    return ReLUNetwork(weights, output_weights, biases, linear, network.intercept + flipped @ network.biases)


def test_wide_networks_become_the_narrowest_for_every_seed():
    truth = teachers.biased(8, 4, rng=0).network
    wide = Counted(widened(truth, np.random.default_rng(1)))
    found = [distill(wide, 8, random_state=seed) for seed in (0, 1)]
    for result in found:
        assert result.report.status == "exact"
        assert result.network.n_neurons == 4
        assert result.network.gaussian_distance(truth) < 1e-9 * truth.gaussian_norm()
    first, second = (result.network.canonical() for result in found)
    np.testing.assert_allclose(first.weights, second.weights, atol=1e-9)
    assert wide.rows < 2 * 20_000


def test_rows_follow_mean_and_covariance():
    truth = ReLUNetwork([[1.0, 0.0], [0.02, 3.0]], [1.0, -2.0], [-40.0, 1.0])
    cov = np.array([[25.0, 1.0], [1.0, 0.25]])
    asked = []

    def model(X):
        asked.append(X)
        return truth.predict(X)

    result = distill(model, 2, mean=[40.0, -0.5], cov=cov, feature_names=["a", "b"])
    assert result.report.status == "exact"
    assert result.network.feature_names == ("a", "b")
    assert result.network.gaussian_distance(truth, [40.0, -0.5], cov) < 1e-9
    rows = np.concatenate(asked)
    np.testing.assert_allclose(np.cov(rows.T), cov, atol=0.15 * 25)
    assert abs(rows[:, 0].mean() - 40.0) < 1.0


def test_a_rare_kink_is_found_by_the_rows_that_judge():
    """Two neurons are seen at once; the third is on at one row in 2,500."""
    common = teachers.biased(3, 2, rng=3).network
    rare = [2.0, 2.0, 1.0]
    truth = ReLUNetwork(
        np.vstack([common.weights, rare]),
        np.append(common.output_weights, 1.0),
        np.append(common.biases, -3.35 * 3.0),
        intercept=common.intercept,
    )
    result = distill(truth.predict, 3)
    assert result.report.status == "exact"
    assert result.network.n_neurons == 3
    assert result.report.n_rows > 1000


def test_a_trained_perceptron_comes_back_and_keeps_its_names():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((400, 3)), columns=["u", "v", "w"])
    y = np.abs(table["u"]) - table["v"] * (table["w"] > 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLPRegressor(hidden_layer_sizes=(5,), max_iter=300, random_state=0).fit(table, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = distill(model, 3)
    assert result.report.status == "exact"
    assert result.network.feature_names == ("u", "v", "w")
    exact = ReLUNetwork.from_sklearn(model)
    assert result.network.n_neurons == exact.canonical().n_neurons
    assert result.network.gaussian_distance(exact) < 1e-9 * exact.gaussian_norm()


@pytest.mark.slow
def test_what_is_no_network_is_approximated_and_asked_a_bounded_number_of_times():
    asked = []

    def smooth(X):
        asked.append(len(X))
        return np.sin(X[:, 0]) + 0.5 * X[:, 1] ** 2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = distill(smooth, 2, 2, max_rows=1500)
    assert result.report.status in ("budget", "noise floor")
    assert sum(asked) <= 1500
    X = np.random.default_rng(9).standard_normal((5000, 2))
    y = np.sin(X[:, 0]) + 0.5 * X[:, 1] ** 2
    assert np.mean((result.network.predict(X) - y) ** 2) < 0.3 * np.var(y)


def test_a_given_number_of_rows_is_asked_for():
    model = Counted(ReLUNetwork([[1.0, -1.0]], [2.0], [0.5]))
    result = distill(model, 2, n_rows=700)
    assert model.rows == result.report.n_rows == 700
    assert result.report.status == "exact"


@pytest.mark.parametrize("runtime", [True, False])
def test_onnx_files(tmp_path, monkeypatch, runtime, capsys):
    if not runtime:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    else:
        pytest.importorskip("onnxruntime")
    truth = teachers.biased(4, 3, rng=2).network
    path = tmp_path / "model.onnx"
    truth.to_onnx(path, ["a", "b", "c", "d"])
    result = distill(path, 4)
    assert result.report.status == "exact"
    assert result.network.gaussian_distance(truth) < 1e-9 * truth.gaussian_norm()
    saved = tmp_path / "network.safetensors"
    assert cli.main(["distill", str(path), "-o", str(saved), "--quiet"]) == 0
    assert "exact" in capsys.readouterr().out
    network = ReLUNetwork.load(saved)
    assert network.feature_names == ("a", "b", "c", "d")
    assert network.gaussian_distance(truth) < 1e-9 * truth.gaussian_norm()
    assert cli.main(["distill", str(tmp_path / "missing.onnx"), "-o", str(saved)]) == 2


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (3, ArgumentError, "model: int, expected a callable"),
        (lambda X: X, DataError, r"model: values of shape \(1000, 3\) for 1000 rows"),
        (lambda X: np.full(len(X), np.nan), DataError, "model: nan at the row"),
        (lambda X: ["a"] * len(X), DataError, "model: values of dtype"),
        ("missing.onnx", FileError, "missing.onnx"),
    ],
)
def test_models_that_cannot_be_asked(model, error, message):
    with pytest.raises(error, match=message):
        distill(model, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_features": 0}, "n_features: 0"),
        ({"n_features": 2, "n_rows": 0}, "n_rows: 0"),
        ({"n_features": 2, "mean": [0.0]}, "mean: shape"),
        ({"n_features": 2, "cov": [[1.0, 0.0], [0.0, -1.0]]}, "cov: not positive semi-definite"),
        ({"n_features": 2, "feature_names": ["a"]}, "feature_names: 1 names"),
    ],
)
def test_parameters_that_do_not_fit(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        distill(lambda X: X[:, 0], **arguments)

"""Networks imported from other libraries have the values of the model, and models that cannot be read are refused."""

import numpy as np
import onnx
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from relunet import ArgumentError, FileError, ReLUNetwork


def random_network(rng, d=3, k=4, m=None):
    outputs = () if m is None else (m,)
    return ReLUNetwork(
        rng.standard_normal((k, d)),
        rng.standard_normal((*outputs, k)),
        rng.standard_normal(k),
        rng.standard_normal((*outputs, d)),
        rng.standard_normal(outputs),
    )


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    return pd.DataFrame(rng.standard_normal((200, 3)) * [1.0, 50.0, 0.01] + [0.0, 7.0, -3.0], columns=list("abc"))


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("m", [1, 2])
def test_trained_perceptrons_with_scaled_inputs(table, m):
    y = np.maximum(table.to_numpy() @ np.array([[1.0, 0.02, 50.0]]).T, 0.0) @ np.ones((1, m))
    perceptron = MLPRegressor(hidden_layer_sizes=(9,), max_iter=20, random_state=0, tol=0.0)
    for steps in ([], [StandardScaler()], [StandardScaler(with_mean=False)], [StandardScaler(with_std=False)]):
        model = make_pipeline(*steps, perceptron).fit(table, y[:, 0] if m == 1 else y)
        network = ReLUNetwork.from_sklearn(model)
        assert network.feature_names == ("a", "b", "c")
        assert network.n_neurons == 9
        np.testing.assert_allclose(network.predict(table), model.predict(table), rtol=1e-9, atol=1e-9)
    bare = ReLUNetwork.from_sklearn(model.steps[-1][1])
    assert bare.n_features == 3


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X, y: LinearRegression().fit(X, y), "LinearRegression, expected a fitted MLPRegressor"),
        (lambda X, y: MLPRegressor(), "not fitted"),
        (lambda X, y: MLPRegressor(hidden_layer_sizes=(2, 2), max_iter=1).fit(X, y), "2 hidden layers"),
        (
            lambda X, y: MLPRegressor(hidden_layer_sizes=(2,), activation="tanh", max_iter=1).fit(X, y),
            "activation 'tanh'",
        ),
        (
            lambda X, y: make_pipeline(MinMaxScaler(), MLPRegressor(hidden_layer_sizes=(2,), max_iter=1)).fit(X, y),
            "MinMaxScaler",
        ),
    ],
)
def test_models_that_are_not_such_networks(table, make, message):
    model = make(table, table["a"])
    with pytest.raises(ArgumentError, match=message):
        ReLUNetwork.from_sklearn(model)


@pytest.mark.slow
@given(st.integers(1, 4), st.integers(0, 4), st.sampled_from([None, 2]), st.integers(0, 2**32 - 1))
def test_files_of_our_own_come_back(tmp_path_factory, d, k, m, seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng, d, k, m)
    path = tmp_path_factory.getbasetemp() / "own.onnx"
    network.to_onnx(path)
    back = ReLUNetwork.from_onnx(path)
    X = rng.standard_normal((9, d))
    np.testing.assert_allclose(back.predict(X), network.predict(X), rtol=1e-12, atol=1e-12)
    assert back.gaussian_distance(network) <= 1e-14 * (1 + network.gaussian_norm())


def graph(nodes, constants, path, d=2, m=1, dtype=TensorProto.DOUBLE):
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", dtype, ["n", d])],
        [helper.make_tensor_value_info("y", dtype, ["n", m])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 14)], ir_version=7), path)
    return path


def node(kind, inputs, output="y", **attributes):
    return helper.make_node(kind, inputs.split(), [output], name=f"{kind} to {output}", **attributes)


def test_graphs_with_skip_connections_and_scaling(tmp_path):
    rng = np.random.default_rng(1)
    A, b, C, L = rng.standard_normal((2, 3)), rng.standard_normal(3), rng.standard_normal((3, 1)), [[2.0], [-1.0]]
    constants = {"A": A, "b": b, "C": C, "L": L, "mean": [1.0, -1.0], "sd": [2.0, 0.5], "two": 2.0, "shape": [-1, 1]}
    nodes = [
        node("Sub", "x mean", "centred"),
        node("Div", "centred sd", "z"),
        node("Cast", "z", "single", to=TensorProto.FLOAT),
        node("Cast", "single", "double", to=TensorProto.DOUBLE),
        node("MatMul", "double A", "t"),
        node("Add", "b t", "u"),
        node("Relu", "u", "h"),
        node("MatMul", "h C", "v"),
        node("MatMul", "x L", "w"),
        node("Sub", "v w", "s"),
        node("Mul", "two s", "r"),
        node("Relu", "x", "rectified"),
        node("Gemm", "rectified L", "q", alpha=0.5),
        node("Add", "r q", "p"),
        node("Reshape", "p shape", "y"),
    ]
    network = ReLUNetwork.from_onnx(graph(nodes, constants, tmp_path / "g.onnx"))
    X = rng.standard_normal((20, 2))
    hidden = np.maximum((X - [1.0, -1.0]) / [2.0, 0.5] @ A + b, 0.0)
    expected = 2.0 * (hidden @ C - X @ L) + 0.5 * np.maximum(X, 0.0) @ L
    np.testing.assert_allclose(network.predict(X), expected[:, 0], rtol=1e-12, atol=1e-12)
    assert network.n_neurons == 5


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Tanh", "x")], "'Tanh to y' is a Tanh"),
        ([node("Relu", "x", "h"), node("Relu", "h")], "a second layer of Relu"),
        ([node("Relu", "A")], "tensor 'A' is constant"),
        ([node("MatMul", "x x")], "tensor 'x' depends on the input"),
        ([node("Gemm", "x A", transA=1)], "transA"),
        ([node("MatMul", "x B")], r"a matrix of shape \(3, 1\) meets 2 columns"),
        ([node("Relu", "x", "h")], "output 'y' does not depend on the input"),
        ([node("Cast", "x", to=TensorProto.INT64)], "Cast to no floating-point type"),
        ([node("Squeeze", "x")], "Squeeze of several outputs"),
        ([node("Reshape", "x s")], "Reshape to"),
        ([node("Add", "x B")], "a constant of shape"),
    ],
)
def test_graphs_that_are_not_such_networks(tmp_path, nodes, message):
    constants = {"A": np.ones((2, 1)), "B": np.ones((3, 1)), "s": np.array([-1, 1])}
    path = graph(nodes, constants, tmp_path / "g.onnx")
    with pytest.raises(FileError, match=message):
        ReLUNetwork.from_onnx(path)


def test_files_that_are_not_graphs(tmp_path):
    path = tmp_path / "junk.onnx"
    with pytest.raises(FileError, match="junk.onnx"):
        ReLUNetwork.from_onnx(path)
    path.write_bytes(b"\x00junk")
    with pytest.raises(FileError, match="junk.onnx"):
        ReLUNetwork.from_onnx(path)

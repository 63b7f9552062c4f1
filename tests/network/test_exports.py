"""Networks exported to other libraries have the values of `predict`, in double precision and with its shapes."""

from __future__ import annotations

import json
import pickle
import sys
import types

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from relunet import ArgumentError, FileError, ReLUNetwork, cli


@st.composite
def networks(draw):
    """Networks of every shape: without neurons, with one output or an axis of them, with parts that are absent."""
    d, k = draw(st.integers(1, 5)), draw(st.integers(0, 4))
    outputs = draw(st.sampled_from([(), (1,), (3,)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = {"biases": (k,), "linear": (*outputs, d), "intercept": outputs}
    parts = {name: rng.standard_normal(shape) for name, shape in shapes.items() if draw(st.booleans())}
    if outputs == (3,) and "linear" in parts and draw(st.booleans()):
        parts["linear"][1] = 0.0
    return ReLUNetwork(rng.standard_normal((k, d)), rng.standard_normal((*outputs, k)), **parts)


def rows_for(network, n=7):
    return np.random.default_rng(0).standard_normal((n, network.n_features))


def assert_values(values, network, X):
    assert values.dtype == np.float64
    expected = network.predict(X)
    assert values.shape == expected.shape
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-12)


class Parameter(np.ndarray):
    """A tensor that `Module` registers."""

    def __new__(cls, data):
        return np.asarray(data).view(cls)


class Module:
    """What `torch.nn.Module` does with parameters."""

    def __init__(self):
        self.registered = {}

    def __setattr__(self, name, value):
        if isinstance(value, Parameter):
            self.registered[name] = value
        super().__setattr__(name, value)

    def __call__(self, x):
        return self.forward(x)

    def state_dict(self):
        return {name: np.asarray(value) for name, value in self.registered.items()}


def from_numpy(array):
    assert type(array) is np.ndarray
    assert array.flags.writeable, "PyTorch warns of arrays that are not"
    return array


def linear(x, weight, bias=None):
    """Return x Aᵀ + b as PyTorch has it: one dtype, no bias beside a vector of weights."""
    assert x.dtype == weight.dtype
    if weight.ndim == 1:
        assert bias is None, "addmm: mat2 must be a matrix, got 1-D tensor"
        return np.asarray(x) @ np.asarray(weight)
    product = np.asarray(x) @ np.asarray(weight).T
    return product if bias is None else product + np.asarray(bias)


class Linear(Module):
    """What `torch.nn.Linear` does."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = Parameter(np.zeros((out_features, in_features), dtype=np.float32))
        self.bias = Parameter(np.zeros(out_features, dtype=np.float32))

    def forward(self, x):
        return linear(x, self.weight, self.bias)


class ReLU(Module):
    """What `torch.nn.ReLU` does."""

    def forward(self, x):
        return np.maximum(x, 0.0)


class Sequential(Module):
    """What `torch.nn.Sequential` does."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = layers

    def children(self):
        return iter(self.layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    def state_dict(self):
        return {f"{i}.{name}": v for i, layer in enumerate(self.layers) for name, v in layer.state_dict().items()}


@pytest.fixture(scope="module")
def torch():
    """Replace PyTorch, which is large, by the functions that the export uses, with the same semantics."""
    torch = types.ModuleType("torch")
    torch.nn = types.SimpleNamespace(
        Module=Module,
        Parameter=Parameter,
        Linear=Linear,
        ReLU=ReLU,
        Sequential=Sequential,
        functional=types.SimpleNamespace(linear=linear),
    )
    torch.relu, torch.from_numpy = lambda x: np.maximum(x, 0.0), from_numpy
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch", torch)
        yield torch


@given(networks())
def test_torch_module_has_the_values_and_the_parameters(torch, network):
    module, X = network.to_torch(), rows_for(network)
    assert isinstance(module, torch.nn.Module)
    assert_values(np.asarray(module(torch.from_numpy(X))), network, X)
    np.testing.assert_array_equal(module(X[None])[0], module(X))
    assert module(X[0]).shape == np.shape(network.intercept)
    state = module.state_dict()
    assert {values.dtype for values in state.values()} == {np.dtype(np.float64)}
    assert ReLUNetwork(**state) == network


@given(networks())
def test_torch_sequences_have_the_values_and_come_back(torch, network):
    module, X = network.to_torch_sequential(), rows_for(network)
    assert [type(layer).__name__ for layer in module.children()] == ["Linear", "ReLU", "Linear"]
    assert_values(np.asarray(module(X)).reshape(network.predict(X).shape), network, X)
    for again in (module, Sequential(Sequential(*module.layers[:2]), module.layers[2])):
        back = ReLUNetwork.from_torch(again)
        assert_values(back.predict(X).reshape(network.predict(X).shape), network, X)
    own = ReLUNetwork.from_torch(network.to_torch())
    assert all(map(np.array_equal, own.parameters, network.parameters))


def test_torch_modules_that_are_not_such_networks(torch):
    module = ReLUNetwork([[1.0]], [1.0]).to_torch_sequential()
    with pytest.raises(ArgumentError, match=r"layers \['Linear', 'ReLU'\]"):
        ReLUNetwork.from_torch(Sequential(*module.layers[:2]))
    with pytest.raises(ArgumentError, match="module: int, expected a torch.nn.Module"):
        ReLUNetwork.from_torch(3)


def test_torch_modules_are_of_one_class_and_can_be_pickled(torch):
    network = ReLUNetwork([[1.0, 2.0]], [3.0], linear=[0.0, 1.0])
    module = network.to_torch()
    assert type(module) is type(network.to_torch())
    again = pickle.loads(pickle.dumps(module))
    assert type(again) is type(module)
    assert ReLUNetwork(**again.state_dict()) == network


def test_training_a_module_leaves_the_network_alone(torch):
    network = ReLUNetwork([[1.0, 2.0]], [3.0])
    module = network.to_torch()
    module.weights += 1.0
    assert network.weights.tolist() == [[1.0, 2.0]]
    assert ReLUNetwork(**module.state_dict()) == ReLUNetwork([[2.0, 3.0]], [3.0])


def exported(network, path, *names, bounds=None):
    network.to_onnx(path, *names, bounds=bounds)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    return model


def evaluated(model, rows):
    (values,) = ReferenceEvaluator(model).run(None, {"x": rows})
    return values


@given(network=networks())
def test_onnx_graph_has_the_values(tmp_path_factory, network):
    model = exported(network, tmp_path_factory.getbasetemp() / "network.onnx")
    X = rows_for(network)
    for rows in (X, X[:1], X[:0]):
        values = evaluated(model, rows)
        assert values.shape == (len(rows), network.n_outputs)
        assert_values(values.reshape(network.predict(rows).shape), network, rows)
    assert [node.op_type for node in model.graph.node] == ["Gemm", "Relu", "Gemm"]
    assert all(node.name for node in model.graph.node)
    for node in model.graph.node[::2]:
        assert {a.name for a in node.attribute} == {"alpha", "beta", "transA", "transB"}


def n_units_of(network):
    """The number of hidden units of a perceptron: in one dimension, a neuron serves every linear part."""
    skipped = np.count_nonzero(np.any(network.linear.reshape(-1, network.n_features), axis=1))
    if network.n_features == 1 and network.n_neurons and skipped:
        return network.n_neurons + 1
    return max(network.n_neurons + 2 * skipped, 1)


def n_units(model):
    return next(tensor.dims[0] for tensor in model.graph.initializer if tensor.name == "weights")


@pytest.mark.slow
@given(network=networks(), low=st.floats(-3, 3), width=st.floats(0, 4))
def test_onnx_graph_with_bounds_has_one_unit_for_a_linear_part(tmp_path_factory, network, low, width):
    path = tmp_path_factory.getbasetemp() / "bounded.onnx"
    bounds = np.column_stack([np.full(network.n_features, low), np.full(network.n_features, low + width)])
    model = exported(network, path, bounds=bounds)
    skipped = np.count_nonzero(np.any(network.linear.reshape(-1, network.n_features), axis=1))
    assert n_units(model) == max(network.n_neurons + skipped, 1)
    assert n_units(exported(network, path)) == n_units_of(network)
    corners = low + width * np.random.default_rng(0).integers(0, 2, (8, network.n_features))
    inside = low + width * np.random.default_rng(0).uniform(size=(8, network.n_features))
    for rows in (corners, inside):
        expected = network.predict(rows).reshape(8, -1)
        np.testing.assert_allclose(evaluated(model, rows), expected, rtol=1e-12, atol=1e-11)
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(metadata["bounds"]) == bounds.tolist()


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([[0.0, 1.0]], r"bounds: shape \(1, 2\), expected \(2, 2\)"),
        ([[0.0, 1.0], [2.0, 1.0]], r"bounds: \[2.0, 1.0\] at index 1, expected lower <= upper"),
        ([[0.0, np.inf], [0.0, 1.0]], "bounds: inf"),
    ],
)
def test_bounds_that_do_not_fit(tmp_path, bounds, message):
    network = ReLUNetwork([[1.0, 2.0]], [1.0])
    with pytest.raises(ArgumentError, match=message):
        network.to_onnx(tmp_path / "network.onnx", bounds=bounds)
    with pytest.raises(ArgumentError, match=message):
        network.to_omlt(bounds)


def dimensions(value):
    return [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize(("outputs", "shape"), [((), ["n", 1]), ((1,), ["n", 1]), ((3,), ["n", 3])])
def test_onnx_file_says_what_goes_in_and_comes_out(tmp_path, outputs, shape):
    network = ReLUNetwork(np.eye(2, 4), np.ones((*outputs, 2)))
    model = exported(network, tmp_path / "plain.onnx")
    assert [(value.name, dimensions(value)) for value in model.graph.input] == [("x", ["n", 4])]
    assert [(value.name, dimensions(value)) for value in model.graph.output] == [("y", shape)]
    assert not model.metadata_props
    names = ["a", "b", "c, d", "\u00e9"]
    kept = ReLUNetwork(np.eye(2, 4), np.ones((*outputs, 2)), feature_names=names)
    for named in (exported(network, tmp_path / "named.onnx", names), exported(kept, tmp_path / "kept.onnx")):
        metadata = {prop.key: prop.value for prop in named.metadata_props}
        assert json.loads(metadata["feature_names"]) == names
    assert ReLUNetwork.from_onnx(tmp_path / "kept.onnx").feature_names == tuple(names)


def test_onnx_file_is_the_same_each_time_and_whole(tmp_path):
    network = ReLUNetwork([[1.0, 2.0]], [3.0])
    path = tmp_path / "network.onnx"
    network.to_onnx(path, ["a", "b"])
    written = path.read_bytes()
    network.to_onnx(path, ["a", "b"])
    assert path.read_bytes() == written
    with pytest.raises(ArgumentError, match="feature_names: 1 names, expected 2"):
        network.to_onnx(path, ["a"])
    with pytest.raises(FileError, match="nowhere"):
        network.to_onnx(tmp_path / "nowhere" / "network.onnx")
    assert [found.name for found in tmp_path.iterdir()] == ["network.onnx"]
    assert path.read_bytes() == written


def test_command_line_exports(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    network = ReLUNetwork([[1.0, -1.0]], [2.0], intercept=0.5)
    network.save("network.safetensors")
    assert cli.main(["export", "network.safetensors", "network.onnx", "--names", "a,b"]) == 0
    (values,) = ReferenceEvaluator("network.onnx").run(None, {"x": np.array([[3.0, 1.0]])})
    assert values.tolist() == [[4.5]]
    assert "feature_names" in {prop.key for prop in onnx.load("network.onnx").metadata_props}
    assert cli.main(["export", "missing.safetensors", "other.onnx"]) == 2
    assert "missing.safetensors" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert cli.main(["export", "network.safetensors", "other.onnx"]) == 2
    assert "relunet[onnx]" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network.onnx", "network.safetensors"]


@given(networks())
def test_perceptron_has_the_values(network):
    perceptron = network.to_sklearn()
    check_is_fitted(perceptron)
    X = rows_for(network)
    values = perceptron.predict(X)
    assert values.shape == ((7,) if network.n_outputs == 1 else (7, 3))
    assert_values(values.reshape(network.predict(X).shape), network, X)
    assert perceptron.hidden_layer_sizes == (n_units_of(network),)


@pytest.mark.slow
@given(st.integers(0, 5), st.booleans(), st.integers(0, 2**32 - 1))
def test_the_width_in_one_dimension_is_that_of_the_theorem(n_kinks, free, seed):
    """N kinks need n units where some orientation leaves no linear part, otherwise n + 1, and 2 for affine functions.

    Dereich and Kassing, arXiv 2108.05643.
    """
    rng = np.random.default_rng(seed)
    weights, output_weights = rng.standard_normal((n_kinks, 1)), rng.standard_normal(n_kinks)
    network = ReLUNetwork(weights, output_weights, rng.standard_normal(n_kinks), [0.0 if free else 7.0])
    turned = rng.integers(0, 2, n_kinks).astype(bool)
    sign = np.where(turned, -1.0, 1.0)
    flipped = ReLUNetwork(
        weights * sign[:, None],
        output_weights,
        network.biases * sign,
        network.linear + (output_weights * turned) @ weights,
        (output_weights * turned) @ network.biases,
    )
    perceptron = flipped.canonical().to_sklearn()
    X = rng.standard_normal((9, 1))
    np.testing.assert_allclose(perceptron.predict(X), network.predict(X), rtol=1e-10, atol=1e-10)
    expected = n_kinks if free else n_kinks + 1 if n_kinks else 2
    assert perceptron.hidden_layer_sizes == (max(expected, 1),)


def test_a_neuron_along_the_linear_part_serves_it():
    network = ReLUNetwork([[3.0, 1.0], [1.0, -2.0]], [[1.0, 2.0], [0.5, -1.0]], [0.5, 0.25], [[-2.0, 4.0], [0.1, -0.2]])
    perceptron = network.to_sklearn()
    assert perceptron.hidden_layer_sizes == (3,)
    assert_values(perceptron.predict(rows_for(network)), network, rows_for(network))


def test_perceptron_is_one_of_scikit_learn():
    network = ReLUNetwork([[1.0, 2.0], [0.5, -1.0]], [3.0, -1.0], linear=[0.25, 0.0])
    perceptron, X = network.to_sklearn(), rows_for(network, 50)
    labels = network.predict(X)
    assert perceptron.score(X, labels) == pytest.approx(1.0)
    assert clone(perceptron).get_params() == perceptron.get_params()
    again = pickle.loads(pickle.dumps(perceptron))
    np.testing.assert_array_equal(again.predict(X), perceptron.predict(X))
    with pytest.raises(ValueError, match="3 features"):
        perceptron.predict(np.zeros((1, 3)))
    before = np.abs(perceptron.predict(X) - labels - 1).mean()
    for _ in range(20):
        perceptron.partial_fit(X, labels + 1)
    assert np.abs(perceptron.predict(X) - labels - 1).mean() < before, "training goes on from the network"


@pytest.mark.parametrize(
    ("module", "export", "extra"),
    [
        ("torch", lambda network: network.to_torch(), "torch"),
        ("omlt.neuralnet", lambda network: network.to_omlt([[0.0, 1.0]]), "omlt"),
        ("onnx", lambda network: network.to_onnx("network.onnx"), "onnx"),
        ("sklearn.neural_network", lambda network: network.to_sklearn(), "sklearn"),
    ],
)
def test_missing_package_is_named(monkeypatch, tmp_path, module, export, extra):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"to_{extra} needs {module.split('.')[0]}: .*relunet\[{extra}\]"):
        export(ReLUNetwork([[1.0]], [1.0]))
    assert not list(tmp_path.iterdir())


def test_openturns_functions_have_values_and_gradients():
    openturns = pytest.importorskip("openturns")
    rng = np.random.default_rng(1)
    network = ReLUNetwork(
        rng.standard_normal((4, 3)),
        rng.standard_normal((2, 4)),
        rng.standard_normal(4),
        rng.standard_normal((2, 3)),
        [0.5, -1.0],
        feature_names=["a", "b", "c"],
    )
    function = network.to_openturns()
    X = rng.standard_normal((20, 3))
    np.testing.assert_allclose(np.array(function(openturns.Sample(X))), network.predict(X), atol=1e-14)
    np.testing.assert_allclose(np.array(function(X[0])), network.predict(X[:1])[0], atol=1e-14)
    assert list(function.getInputDescription()) == ["a", "b", "c"]
    for x in X:
        step = 1e-6 * np.eye(3)
        differences = (network.predict(x + step) - network.predict(x - step)) / 2e-6
        np.testing.assert_allclose(np.array(function.gradient(x)), differences, atol=1e-6)

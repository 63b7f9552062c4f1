"""Networks from other libraries: one-hidden-layer ReLU networks of scikit-learn, PyTorch and ONNX files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from relunet._typing import Array
from relunet.errors import ArgumentError, FileError
from relunet.linalg import matmul
from relunet.network.parameters import Parameters

__all__ = ["from_onnx", "from_sklearn", "from_torch", "load_onnx"]

Found = tuple[Parameters, tuple[str, ...] | None]


def from_sklearn(model: Any) -> Found:
    """Return parameters and feature names of a fitted perceptron; see `ReLUNetwork.from_sklearn`."""
    names = getattr(model, "feature_names_in_", None)
    feature_names = None if names is None else tuple(map(str, names))
    steps = [step for _, step in model.steps] if type(model).__name__ == "Pipeline" else [model]
    scalers, perceptron = [step for step in steps[:-1] if step not in ("passthrough", None)], steps[-1]
    if type(perceptron).__name__ != "MLPRegressor":
        raise ArgumentError(f"model: {type(perceptron).__name__}, expected a fitted MLPRegressor, or a Pipeline of one")
    if not hasattr(perceptron, "coefs_"):
        raise ArgumentError("model: not fitted, expected a fitted MLPRegressor")
    if perceptron.activation != "relu" or len(perceptron.coefs_) != 2:
        raise ArgumentError(
            f"model: activation {perceptron.activation!r} and {len(perceptron.coefs_) - 1} hidden layers, "
            "expected 'relu' and 1"
        )
    (hidden, output), (biases, intercept) = perceptron.coefs_, perceptron.intercepts_
    weights, biases = np.array(hidden.T, dtype=np.float64), np.array(biases, dtype=np.float64)
    for scaler in reversed(scalers):
        weights, biases = _unscaled(scaler, weights, biases)
    return _perceptron(weights, biases, output.T, intercept), feature_names


def _unscaled(scaler: Any, weights: Array, biases: Array) -> tuple[Array, Array]:
    """Return weights and biases that take what the scaler is given."""
    if type(scaler).__name__ != "StandardScaler":
        raise ArgumentError(f"model: a Pipeline with {type(scaler).__name__}, expected StandardScaler and MLPRegressor")
    d = weights.shape[1]
    scale = np.ones(d) if scaler.scale_ is None else scaler.scale_
    mean = np.zeros(d) if scaler.mean_ is None or not scaler.with_mean else scaler.mean_
    weights = weights / scale
    return weights, biases - (weights * mean).sum(axis=1)


def from_torch(module: Any) -> Found:
    """Return parameters of a module of PyTorch; see `ReLUNetwork.from_torch`."""
    state = getattr(module, "state_dict", None)
    if state is None:
        raise ArgumentError(f"module: {type(module).__name__}, expected a torch.nn.Module")
    tensors = {name: _array(tensor) for name, tensor in state().items()}
    if set(tensors) == {"weights", "biases", "output_weights", "linear", "intercept"}:
        m, (k, d) = max(tensors["intercept"].size, 1), tensors["weights"].shape
        shapes = {"output_weights": (m, k), "linear": (m, d), "intercept": (m,)}
        return Parameters(**{name: a.reshape(shapes.get(name, a.shape)) for name, a in tensors.items()}), None
    layers = _flat(module)
    kinds = [type(layer).__name__ for layer in layers]
    if kinds != ["Linear", "ReLU", "Linear"]:
        raise ArgumentError(f"module: layers {kinds}, expected ['Linear', 'ReLU', 'Linear']")
    hidden, output = layers[0], layers[2]

    def bias(layer: Any, size: int) -> Array:
        return np.zeros(size) if layer.bias is None else _array(layer.bias)

    weights, output_weights = _array(hidden.weight), _array(output.weight)
    biases, intercept = bias(hidden, len(weights)), bias(output, len(output_weights))
    return _perceptron(weights, biases, output_weights, intercept), None


def _flat(module: Any) -> list[Any]:
    """Return the layers of nested sequences in their order, without those that change nothing in evaluation."""
    kind = type(module).__name__
    if kind == "Sequential":
        return [layer for child in module.children() for layer in _flat(child)]
    return [] if kind in ("Identity", "Dropout") else [module]


def _array(tensor: Any) -> Array:
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu()
    return np.array(tensor, dtype=np.float64)


def _perceptron(weights: Array, biases: Array, output_weights: Array, intercept: Array) -> Parameters:
    linear = np.zeros((len(output_weights), weights.shape[1]))
    arrays = (weights, biases, output_weights, linear, intercept)
    return Parameters(*(np.array(array, dtype=np.float64, order="C") for array in arrays))


class _Value(NamedTuple):
    """A tensor of a graph, (n, m): affine in the inputs and in the hidden units found so far."""

    linear: Array
    output_weights: Array
    constant: Array


def from_onnx(path: str | os.PathLike[str]) -> Found:
    """Return parameters and feature names of an ONNX file; see `ReLUNetwork.from_onnx`.

    The graph is followed from its input: every tensor is kept as an affine function of the inputs and of the hidden
    units, which each Relu of an affine function adds to.
    """
    return _Graph(*load_onnx(path), os.fspath(path)).network()


def load_onnx(path: str | os.PathLike[str]) -> tuple[Any, Any]:
    """Return the package onnx and the model in a file."""
    try:
        onnx: Any = import_module("onnx")
    except ImportError as error:
        raise ImportError('reading ONNX files needs onnx: pip install "relunet[onnx]"') from error
    try:
        return onnx, onnx.load(os.fspath(path))
    except Exception as error:
        raise FileError(f"{os.fspath(path)}: not a readable ONNX file ({error})") from error


class _Graph:
    """A graph of ONNX on the way from its input to its output."""

    def __init__(self, onnx: Any, model: Any, path: str) -> None:
        self.onnx, self.model, self.path = onnx, model, path
        self.constants = {
            tensor.name: np.array(onnx.numpy_helper.to_array(tensor)) for tensor in model.graph.initializer
        }
        inputs = [value for value in model.graph.input if value.name not in self.constants]
        if len(inputs) != 1 or len(model.graph.output) != 1:
            raise self.refused(f"{len(inputs)} inputs and {len(model.graph.output)} outputs, expected one of each")
        shape = [size.dim_value for size in inputs[0].type.tensor_type.shape.dim]
        if len(shape) != 2 or shape[1] < 1:
            raise self.refused(f"input of shape {shape}, expected (n, d) with a known d")
        self.d = shape[1]
        self.weights, self.biases = np.zeros((0, self.d)), np.zeros(0)
        whole = _Value(np.eye(self.d), np.zeros((self.d, 0)), np.zeros(self.d))
        self.values: dict[str, _Value] = {inputs[0].name: whole}

    def network(self) -> Found:
        for node in self.model.graph.node:
            self.visit(node)
        result = self.model.graph.output[0].name
        if result not in self.values:
            raise self.refused(f"output {result!r} does not depend on the input")
        value = self.values[result]
        k = len(self.weights)
        widened = np.concatenate([value.output_weights, np.zeros((len(value.constant), k - self.width(value)))], axis=1)
        metadata = {prop.key: prop.value for prop in self.model.metadata_props}
        names = json.loads(metadata["feature_names"]) if "feature_names" in metadata else None
        parameters = Parameters(self.weights, self.biases, widened, value.linear, value.constant)
        return parameters, None if names is None else tuple(names)

    def visit(self, node: Any) -> None:
        handler: Callable[[Any], _Value | None] | None = getattr(self, f"_{node.op_type.lower()}", None)
        if handler is None:
            raise self.refused(f"node {node.name!r} is a {node.op_type}, expected Gemm, MatMul, Add, Sub, Mul or Relu")
        value = handler(node)
        if value is not None:
            self.values[node.output[0]] = value

    def _gemm(self, node: Any) -> _Value:
        attributes = {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}
        if attributes.get("transA", 0):
            raise self.refused(f"node {node.name!r}: transA, expected none")
        matrix = self.constant(node.input[1])
        product = self.product(self.value(node.input[0]), matrix.T if attributes.get("transB", 0) else matrix)
        value = self.scaled(product, attributes.get("alpha", 1.0))
        if len(node.input) < 3 or not node.input[2]:
            return value
        return self.sum(value, self.any(node.input[2]), attributes.get("beta", 1.0))

    def _matmul(self, node: Any) -> _Value:
        return self.product(self.value(node.input[0]), self.constant(node.input[1]))

    def _add(self, node: Any) -> _Value:
        first, second = (self.any(name) for name in node.input)
        return self.sum(first, second) if isinstance(first, _Value) else self.sum(self.value(node.input[1]), first)

    def _sub(self, node: Any) -> _Value:
        first, second = (self.any(name) for name in node.input)
        if isinstance(first, _Value):
            return self.sum(first, second, -1.0)
        return self.sum(self.scaled(self.value(node.input[1]), -1.0), first)

    def _mul(self, node: Any) -> _Value:
        first, second = node.input if node.input[0] in self.values else node.input[::-1]
        return self.scaled(self.value(first), self.constant(second))

    def _div(self, node: Any) -> _Value:
        return self.scaled(self.value(node.input[0]), 1.0 / self.constant(node.input[1]))

    def _relu(self, node: Any) -> _Value:
        value = self.value(node.input[0])
        if value.output_weights.any():
            raise self.refused(f"node {node.name!r}: a second layer of Relu, expected one hidden layer")
        m, k = len(value.constant), len(self.weights)
        self.weights = np.concatenate([self.weights, value.linear])
        self.biases = np.concatenate([self.biases, value.constant])
        return _Value(np.zeros((m, self.d)), np.eye(m, k + m, k), np.zeros(m))

    def _identity(self, node: Any) -> _Value | None:
        """Nodes that leave a tensor of n rows what it is, or drop an axis of one output."""
        if node.input[0] in self.constants:
            self.constants[node.output[0]] = self.constants[node.input[0]]
            return None
        return self.value(node.input[0])

    def _cast(self, node: Any) -> _Value | None:
        to = next(a.i for a in node.attribute if a.name == "to")
        kinds = self.onnx.TensorProto
        if to not in (kinds.FLOAT, kinds.DOUBLE):
            raise self.refused(f"node {node.name!r}: a Cast to no floating-point type")
        return self._identity(node)

    def _reshape(self, node: Any) -> _Value | None:
        shape = self.constant(node.input[1]).astype(int).tolist()
        if len(self.value(node.input[0]).constant) != 1 or shape not in ([-1], [-1, 1]):
            raise self.refused(f"node {node.name!r}: Reshape to {shape}, expected one output and [-1] or [-1, 1]")
        return self._identity(node)

    def _squeeze(self, node: Any) -> _Value | None:
        if len(self.value(node.input[0]).constant) != 1:
            raise self.refused(f"node {node.name!r}: Squeeze of several outputs")
        return self._identity(node)

    def _constant(self, node: Any) -> None:
        self.constants[node.output[0]] = np.array(self.onnx.numpy_helper.to_array(node.attribute[0].t))

    def value(self, name: str) -> _Value:
        if name not in self.values:
            raise self.refused(f"tensor {name!r} is constant, expected one that depends on the input")
        return self.values[name]

    def constant(self, name: str) -> Array:
        if name not in self.constants:
            raise self.refused(f"tensor {name!r} depends on the input, expected a constant")
        return np.asarray(self.constants[name], dtype=np.float64)

    def any(self, name: str) -> _Value | Array:
        return self.values[name] if name in self.values else self.constant(name)

    @staticmethod
    def width(value: _Value) -> int:
        return int(value.output_weights.shape[1])

    def product(self, value: _Value, matrix: Array) -> _Value:
        if matrix.ndim != 2 or len(matrix) != len(value.constant):
            raise self.refused(f"a matrix of shape {matrix.shape} meets {len(value.constant)} columns")
        rows = matrix.T
        return _Value(*(matmul(rows, array) for array in value))

    def row(self, constant: Array, m: int) -> Array:
        """Return a constant as one entry a column."""
        flat = constant.reshape(-1)
        if flat.size not in (1, m):
            raise self.refused(f"a constant of shape {constant.shape} meets {m} columns")
        return np.broadcast_to(flat, (m,))

    def scaled(self, value: _Value, factor: Array | float) -> _Value:
        factors = self.row(np.asarray(factor, dtype=np.float64), len(value.constant))
        column = factors[:, None]
        return _Value(value.linear * column, value.output_weights * column, value.constant * factors)

    def sum(self, first: _Value, second: _Value | Array, factor: float = 1.0) -> _Value:
        m = len(first.constant)
        if not isinstance(second, _Value):
            return first._replace(constant=first.constant + factor * self.row(second, m))
        if len(second.constant) != m:
            raise self.refused(f"{m} and {len(second.constant)} columns are added")
        wide = max(self.width(first), self.width(second))
        both = [np.pad(v.output_weights, ((0, 0), (0, wide - self.width(v)))) for v in (first, second)]
        linear = first.linear + factor * second.linear
        return _Value(linear, both[0] + factor * both[1], first.constant + factor * second.constant)

    def refused(self, message: str) -> FileError:
        return FileError(f"{self.path}: {message}")

"""Networks for other libraries: ONNX files, modules of PyTorch, estimators of scikit-learn, definitions of OMLT."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from relunet import _relunet
from relunet.atomic import replacing
from relunet.linalg import matmul
from relunet.network.parameters import Parameters
from relunet.network.perceptron import as_bounds, as_perceptron

if TYPE_CHECKING:
    from sklearn.neural_network import MLPRegressor
    from torch.nn import Module

__all__ = ["to_omlt", "to_onnx", "to_openturns", "to_sklearn", "to_torch", "to_torch_sequential"]

# Of 2021: runtimes refuse what is newer than they are, and nothing newer is needed.
_OPSET, _IR_VERSION = 14, 7


def to_torch(network: Parameters, outputs: tuple[int, ...]) -> Module:
    """Return a network as a module of PyTorch; see `ReLUNetwork.to_torch`."""
    module: Module = _torch_class(_extra("torch", "torch"))(network, outputs)
    return module


def to_torch_sequential(network: Parameters) -> Module:
    """Return a network as a sequence of PyTorch's layers; see `ReLUNetwork.to_torch_sequential`."""
    torch = _extra("torch", "torch", "to_torch_sequential")
    hidden, hidden_biases, output, output_biases = as_perceptron(network)

    def layer(weights: Any, biases: Any) -> Any:
        made = torch.nn.Linear(weights.shape[1], weights.shape[0])
        made.weight = torch.nn.Parameter(torch.from_numpy(np.array(weights)))
        made.bias = torch.nn.Parameter(torch.from_numpy(np.array(biases)))
        return made

    layers = layer(hidden, hidden_biases), torch.nn.ReLU(), layer(output, output_biases)
    module: Module = torch.nn.Sequential(*layers)
    return module


def to_onnx(
    network: Parameters,
    path: str | os.PathLike[str],
    feature_names: Sequence[str] | None,
    bounds: ArrayLike | None,
) -> None:
    """Write a network to an ONNX file; see `ReLUNetwork.to_onnx`."""
    onnx = _extra("onnx", "onnx")
    (_, d), m = network.weights.shape, len(network.intercept)
    box = None if bounds is None else as_bounds(bounds, d)
    hidden, hidden_biases, output, output_biases = as_perceptron(network, box)
    constants = {
        "weights": hidden,
        "biases": hidden_biases,
        "output_weights": output,
        "intercept": output_biases,
    }

    def gemm(inputs: str, weights: str, addend: str, made: str) -> Any:
        # All attributes are written, and every node is named: parsers rely on them.
        product = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
        return onnx.helper.make_node("Gemm", [inputs, weights, addend], [made], name=f"{made}_gemm", **product)

    nodes = [
        gemm("x", "weights", "biases", "hidden"),
        onnx.helper.make_node("Relu", ["hidden"], ["neurons"], name="neurons_relu"),
        gemm("neurons", "output_weights", "intercept", "y"),
    ]
    double = onnx.TensorProto.DOUBLE
    graph = onnx.helper.make_graph(
        nodes,
        "relunet",
        [onnx.helper.make_tensor_value_info("x", double, ["n", d])],
        [onnx.helper.make_tensor_value_info("y", double, ["n", m])],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    opset = onnx.helper.make_opsetid("", _OPSET)
    model = onnx.helper.make_model(graph, producer_name="relunet", opset_imports=[opset], ir_version=_IR_VERSION)
    metadata = {}
    if feature_names is not None:
        metadata["feature_names"] = json.dumps(list(feature_names))
    if box is not None:
        metadata["bounds"] = json.dumps(box.tolist())
    if metadata:
        onnx.helper.set_model_props(model, metadata)
    with replacing(path) as file:
        file.write(model.SerializeToString(deterministic=True))


def to_omlt(network: Parameters, bounds: ArrayLike) -> Any:
    """Return a network as a definition of OMLT; see `ReLUNetwork.to_omlt`."""
    neuralnet = _extra("omlt.neuralnet", "omlt", "to_omlt")
    layers = _extra("omlt.neuralnet.layer", "omlt", "to_omlt")
    d, m = network.weights.shape[1], len(network.intercept)
    box = as_bounds(bounds, d)
    hidden, hidden_biases, output, output_biases = as_perceptron(network, box)
    h = len(hidden)
    definition = neuralnet.NetworkDefinition(scaled_input_bounds=dict(enumerate(map(tuple, box.tolist()))))
    chain = [
        layers.InputLayer([d]),
        layers.DenseLayer([d], [h], hidden.T, hidden_biases, activation="relu"),
        layers.DenseLayer([h], [m], output.T, output_biases, activation="linear"),
    ]
    for layer in chain:
        definition.add_layer(layer)
    for before, after in pairwise(chain):
        definition.add_edge(before, after)
    return definition


def to_openturns(network: Parameters, feature_names: Sequence[str]) -> Any:
    """Return a network as a function of OpenTURNS; see `ReLUNetwork.to_openturns`."""
    openturns = _extra("openturns", "openturns")

    def values(rows: Any) -> Any:
        return _relunet.predict(network, np.array(rows, dtype=np.float64))

    def gradient(x: Any) -> Any:
        point = np.array(x, dtype=np.float64)
        on = np.sum(network.weights * point, axis=1) + network.biases > 0
        return (network.linear.T + matmul(network.weights.T * on, network.output_weights.T)).tolist()

    (_, d), m = network.weights.shape, len(network.intercept)
    function = openturns.PythonFunction(d, m, lambda x: values([x])[0].tolist(), values, gradient)
    function.setInputDescription(list(feature_names))
    return function


def to_sklearn(network: Parameters) -> MLPRegressor:
    """Return a network as a fitted perceptron of scikit-learn; see `ReLUNetwork.to_sklearn`."""
    neural_network = _extra("sklearn.neural_network", "sklearn")
    hidden, hidden_biases, output, output_biases = as_perceptron(network)
    d, m = hidden.shape[1], len(output)
    perceptron: MLPRegressor = neural_network.MLPRegressor(hidden_layer_sizes=(len(hidden),), random_state=0)
    # One step of training makes every attribute that scikit-learn expects after it.
    perceptron.partial_fit(np.zeros((1, d)), np.zeros(1) if m == 1 else np.zeros((1, m)))
    for layer, (weights, constants) in enumerate(((hidden, hidden_biases), (output, output_biases))):
        perceptron.coefs_[layer][...] = weights.T
        perceptron.intercepts_[layer][...] = constants
    return perceptron


@cache
def _torch_class(torch: Any) -> Any:
    """Return the class of modules, which cannot be defined before PyTorch is imported."""

    class TorchNetwork(torch.nn.Module):  # type: ignore[misc]
        """f(x) = intercept + linear·x + Σ output_weights_i relu(weights_i·x + biases_i)."""

        def __init__(self, network: Parameters, outputs: tuple[int, ...]) -> None:
            super().__init__()
            for name, array in network._asdict().items():
                shared = name in ("weights", "biases")
                values = np.array(array if shared else array.reshape((*outputs, *array.shape[1:])))
                setattr(self, name, torch.nn.Parameter(torch.from_numpy(values)))

        def forward(self, x: Any) -> Any:
            """Values of the network: (...,) or (..., m) for x of shape (..., d)."""
            affine = torch.nn.functional.linear
            neurons = torch.relu(affine(x, self.weights, self.biases))
            return affine(neurons, self.output_weights) + affine(x, self.linear) + self.intercept

    # Where `__getattr__` finds it, for pickles.
    TorchNetwork.__qualname__ = "TorchNetwork"
    return TorchNetwork


def __getattr__(name: str) -> Any:
    if name == "TorchNetwork":
        return _torch_class(_extra("torch", "torch"))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _extra(module: str, extra: str, method: str | None = None) -> Any:
    """Return an imported module, or tell which extra brings it."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        method = f"to_{extra}" if method is None else method
        raise ImportError(f'ReLUNetwork.{method} needs {package}: pip install "relunet[{extra}]"') from error

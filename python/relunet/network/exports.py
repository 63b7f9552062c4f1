"""Networks for other libraries: a module of PyTorch, an ONNX file, a perceptron of scikit-learn."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from relunet.atomic import replacing
from relunet.network.parameters import Parameters

if TYPE_CHECKING:
    from sklearn.neural_network import MLPRegressor
    from torch.nn import Module

__all__ = ["to_onnx", "to_sklearn", "to_torch"]

# Of 2021: runtimes refuse what is newer than they are, and nothing newer is needed.
_OPSET, _IR_VERSION = 14, 7


def to_torch(network: Parameters, outputs: tuple[int, ...]) -> Module:
    """Return a network as a module of PyTorch; see `ReLUNetwork.to_torch`."""
    return _torch_class(_extra("torch", "torch"))(network, outputs)


def to_onnx(
    network: Parameters, outputs: tuple[int, ...], path: str | os.PathLike[str], feature_names: Sequence[str] | None
) -> None:
    """Write a network to an ONNX file; see `ReLUNetwork.to_onnx`."""
    onnx = _extra("onnx", "onnx")
    k, d = network.weights.shape
    constants = {"intercept": network.intercept}
    nodes = []

    def gemm(inputs: str, weights: str, values: np.ndarray[Any, Any], addend: str) -> str:
        """Add inputs @ weights.T + addend to the graph; return its name."""
        constants[weights] = values
        made = f"with_{weights}"
        nodes.append(onnx.helper.make_node("Gemm", [inputs, weights, addend], [made], transB=1))
        return made

    values = "intercept"
    if np.any(network.linear) or not k:
        values = gemm("x", "linear", network.linear, values)
    if k:
        constants["biases"] = network.biases
        nodes.append(onnx.helper.make_node("Relu", [gemm("x", "weights", network.weights, "biases")], ["neurons"]))
        values = gemm("neurons", "output_weights", network.output_weights, values)
    if outputs:
        nodes[-1].output[0] = "y"
    else:
        constants["axis"] = np.array([1])
        nodes.append(onnx.helper.make_node("Squeeze", [values, "axis"], ["y"]))
    double = onnx.TensorProto.DOUBLE
    graph = onnx.helper.make_graph(
        nodes,
        "relunet",
        [onnx.helper.make_tensor_value_info("x", double, ["n", d])],
        [onnx.helper.make_tensor_value_info("y", double, ["n", *outputs])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opset = onnx.helper.make_opsetid("", _OPSET)
    model = onnx.helper.make_model(graph, producer_name="relunet", opset_imports=[opset], ir_version=_IR_VERSION)
    if feature_names is not None:
        onnx.helper.set_model_props(model, {"feature_names": json.dumps(list(feature_names))})
    with replacing(path) as file:
        file.write(model.SerializeToString(deterministic=True))


def to_sklearn(network: Parameters) -> MLPRegressor:
    """Return a network as a fitted perceptron of scikit-learn; see `ReLUNetwork.to_sklearn`."""
    neural_network = _extra("sklearn.neural_network", "sklearn")
    (k, d), m, linear = network.weights.shape, len(network.intercept), network.linear
    skipped = np.flatnonzero(linear.any(axis=1))
    # Units of the linear part are on one side each; a layer has at least one unit.
    pairs = np.concatenate([linear[skipped], -linear[skipped]])
    spare = np.zeros((int(k + len(pairs) == 0), d))
    hidden = np.concatenate([network.weights, pairs, spare])
    output = np.zeros((m, len(hidden)))
    output[:, :k] = network.output_weights
    output[skipped, k + np.arange(len(skipped))] = 1.0
    output[skipped, k + len(skipped) + np.arange(len(skipped))] = -1.0
    perceptron: MLPRegressor = neural_network.MLPRegressor(hidden_layer_sizes=(len(hidden),), random_state=0)
    # One step of training makes every attribute that scikit-learn expects after it.
    perceptron.partial_fit(np.zeros((1, d)), np.zeros(1) if m == 1 else np.zeros((1, m)))
    biases = np.concatenate([network.biases, np.zeros(len(hidden) - k)])
    for layer, (weights, constants) in enumerate(((hidden, biases), (output, network.intercept))):
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


def _extra(module: str, extra: str) -> Any:
    """Return an imported module, or tell which extra brings it."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(f'ReLUNetwork.to_{extra} needs {package}: pip install "relunet[{extra}]"') from error

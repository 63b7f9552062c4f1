"""Registration of the estimators with tools that convert whole pipelines: skl2onnx and gurobi-machinelearning."""

from __future__ import annotations

from typing import Any

import numpy as np

from relunet.estimators.regressor import ReLUNetRegressor
from relunet.estimators.transformer import ReLUSubspace
from relunet.network import ReLUNetwork

__all__ = ["register_gurobi_ml", "register_skl2onnx"]


def register_skl2onnx() -> None:
    """Register `ReLUNetRegressor` and `ReLUSubspace` with skl2onnx, so that their pipelines export.

    After this call, ``skl2onnx.to_onnx(pipeline, X[:1])`` writes the regressor as Gemm, Relu, Gemm and the transformer
    as one Gemm, in the precision of the inputs. As for regressors of scikit-learn, predictions have the shape (n, 1).

    Raises
    ------
    ImportError
        skl2onnx is not installed.
    """
    from skl2onnx import update_registered_converter

    update_registered_converter(ReLUNetRegressor, "RelunetReLUNetRegressor", _regressor_shape, _convert_regressor)
    update_registered_converter(ReLUSubspace, "RelunetReLUSubspace", _subspace_shape, _convert_subspace)


def register_gurobi_ml() -> None:
    """Register `ReLUNetRegressor` and `ReLUNetwork` with gurobi-machinelearning.

    After this call, ``gurobi_ml.add_predictor_constr(model, regressor, x, y)`` takes them as they are.

    Raises
    ------
    ImportError
        gurobi-machinelearning is not installed.
    """
    from gurobi_ml.register_user_predictor import register_predictor_constr

    register_predictor_constr(ReLUNetwork, _add_network)
    register_predictor_constr(
        ReLUNetRegressor,
        lambda model, regressor, x, y=None, **options: _add_network(model, regressor.network_, x, y, **options),
    )


def _add_network(model: Any, network: ReLUNetwork, x: Any, y: Any = None, **options: Any) -> Any:
    """Add a network to a model of Gurobi as the perceptron that it is."""
    from gurobi_ml.sklearn import add_mlp_regressor_constr

    return add_mlp_regressor_constr(model, network.to_sklearn(), x, y, **options)


def _regressor_shape(operator: Any) -> None:
    """Set type and shape of the predictions."""
    _set_output(operator, operator.raw_operator.network_.n_outputs)


def _subspace_shape(operator: Any) -> None:
    """Set type and shape of the coordinates."""
    _set_output(operator, operator.raw_operator.n_components_)


def _set_output(operator: Any, n_columns: int) -> None:
    """Set type and shape of an output: the precision of the input."""
    given = operator.inputs[0].type
    operator.outputs[0].type = type(given)([given.shape[0], n_columns])


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of a network, whose linear part becomes hidden units."""
    perceptron = operator.raw_operator.network_.to_sklearn()
    hidden, neurons = (scope.get_unique_variable_name(name) for name in ("hidden", "neurons"))
    first, last = zip(perceptron.coefs_, perceptron.intercepts_, strict=True)
    _add_gemm(scope, operator, container, operator.inputs[0].full_name, *first, hidden)
    container.add_node("Relu", [hidden], [neurons], name=scope.get_unique_operator_name("Relu"), op_version=14)
    _add_gemm(scope, operator, container, neurons, *last, operator.outputs[0].full_name)


def _convert_subspace(scope: Any, operator: Any, container: Any) -> None:
    """Add the node of a projection."""
    subspace = operator.raw_operator
    along = subspace.components_.T
    shift = -np.sum(subspace.mean_[:, None] * along, axis=0)
    _add_gemm(scope, operator, container, operator.inputs[0].full_name, along, shift, operator.outputs[0].full_name)


def _add_gemm(scope: Any, operator: Any, container: Any, given: str, weights: Any, constants: Any, made: str) -> None:
    """Add a node that computes ``given @ weights + constants`` in the precision of the operator's input."""
    from skl2onnx.common.data_types import guess_proto_type

    precision = guess_proto_type(operator.inputs[0].type)
    names = [scope.get_unique_variable_name(name) for name in ("weights", "constants")]
    for name, values in zip(names, (weights, constants), strict=True):
        container.add_initializer(name, precision, values.shape, values.ravel().tolist())
    container.add_node(
        "Gemm", [given, *names], [made], name=scope.get_unique_operator_name("Gemm"), op_version=13, alpha=1.0, beta=1.0
    )

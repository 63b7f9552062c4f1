"""Estimators that follow the conventions of scikit-learn, which need not be installed."""

from relunet.estimators.registration import register_gurobi_ml, register_skl2onnx
from relunet.estimators.regressor import ReLUNetRegressor
from relunet.estimators.transformer import ReLUSubspace

__all__ = ["ReLUNetRegressor", "ReLUSubspace", "register_gurobi_ml", "register_skl2onnx"]

"""Estimators that follow the conventions of scikit-learn, which need not be installed."""

from relunet.estimators.regressor import ReLUNetRegressor
from relunet.estimators.transformer import ReLUSubspace

__all__ = ["ReLUNetRegressor", "ReLUSubspace"]

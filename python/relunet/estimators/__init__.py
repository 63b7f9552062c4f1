"""The estimators: the learner and its subspace by scikit-learn's conventions."""

from relunet.estimators.regressor import ReLUNetRegressor
from relunet.estimators.transformer import ReLUSubspace

__all__ = ["ReLUNetRegressor", "ReLUSubspace"]

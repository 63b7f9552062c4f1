"""`relunet.learn` as a module, for code that imports the driver from it."""

from relunet.fitting.learn import FitResult, learn

__all__ = ["FitResult", "learn"]

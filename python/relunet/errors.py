"""What relunet raises, naming the argument or file, what came and what was expected; and how it warns."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

__all__ = [
    "ArgumentError",
    "DataError",
    "DataTypeError",
    "FileError",
    "NotFittedError",
    "NumericalError",
    "RelunetError",
    "warn",
]


class RelunetError(Exception):
    """Base of every exception that relunet raises on purpose."""


class ArgumentError(RelunetError, ValueError):
    """An argument that no data could make right."""


class DataError(RelunetError, ValueError):
    """Data that cannot be used: a wrong shape or dtype, NaN or infinity, too few rows."""


class DataTypeError(DataError, TypeError):
    """Objects in an array that are not numbers; a TypeError too, as Python's own conversion of them would raise."""


class FileError(RelunetError, OSError):
    """A file that cannot be opened or read, or that is not what its name says."""


class NumericalError(RelunetError, RuntimeError):
    """A computation that did not come to a result, such as a factorisation that does not exist."""


class NotFittedError(RelunetError, ValueError, AttributeError):
    """Use of an estimator before `fit`; raised as a subclass of scikit-learn's class too, where that is installed."""


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called the package, from however deep inside it."""
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "relunet":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)

"""Exceptions of relunet, and the function that issues its warnings.

Messages name the argument or file, what was found and what was expected.
"""

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
    """Base class of all exceptions that relunet defines."""


class ArgumentError(RelunetError, ValueError):
    """An argument that is invalid whatever the data are."""


class DataError(RelunetError, ValueError):
    """Data that cannot be used: a wrong shape or dtype, NaN or infinity, too few rows."""


class DataTypeError(DataError, TypeError):
    """Objects in an array that are not numbers; also a TypeError, which Python's own conversion would raise."""


class FileError(RelunetError, OSError):
    """A file that cannot be opened, read or written, or has another format than its name says."""


class NumericalError(RelunetError, RuntimeError):
    """A computation without a result, such as a factorisation that does not exist."""


class NotFittedError(RelunetError, ValueError, AttributeError):
    """Use of an estimator before `fit`; also an instance of the class of scikit-learn if that is installed."""


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning that points to the line of user code that called the package."""
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "relunet":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)

"""The exceptions that relunet raises: each names the argument or file, what came and what was expected."""

from __future__ import annotations

__all__ = ["ArgumentError", "DataError", "DataTypeError", "FileError", "NumericalError", "RelunetError"]


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

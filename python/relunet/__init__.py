"""relunet learns narrow one-hidden-layer ReLU networks from samples."""

from typing import TYPE_CHECKING

from relunet import moments, teachers
from relunet.distill import distill
from relunet.errors import (
    ArgumentError,
    DataError,
    DataTypeError,
    FileError,
    NotFittedError,
    NumericalError,
    RelunetError,
)
from relunet.estimators.regressor import ReLUNetRegressor
from relunet.estimators.transformer import ReLUSubspace
from relunet.fitting.report import Report
from relunet.learn import FitResult, learn
from relunet.network import NeuronMatch, ReLUNetwork
from relunet.samples import Samples, scan_array, scan_arrow, scan_batches, scan_csv, scan_npy, scan_parquet

__all__ = [
    "ArgumentError",
    "DataError",
    "DataTypeError",
    "FileError",
    "FitResult",
    "NeuronMatch",
    "NotFittedError",
    "NumericalError",
    "ReLUNetRegressor",
    "ReLUNetwork",
    "ReLUSubspace",
    "RelunetError",
    "Report",
    "Samples",
    "distill",
    "learn",
    "moments",
    "scan_array",
    "scan_arrow",
    "scan_batches",
    "scan_csv",
    "scan_npy",
    "scan_parquet",
    "teachers",
]

if TYPE_CHECKING:
    __version__: str


def __getattr__(name: str) -> str:
    """Return the version of the installed distribution, which only this attribute needs to read."""
    if name == "__version__":
        from importlib.metadata import version

        return version("relunet")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

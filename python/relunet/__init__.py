"""Learns narrow one-hidden-layer ReLU networks from samples."""

from relunet import moments, teachers
from relunet.errors import ArgumentError, DataError, DataTypeError, FileError, NumericalError, RelunetError
from relunet.estimators.regressor import ReLUNetRegressor
from relunet.estimators.transformer import ReLUSubspace
from relunet.fitting.learn import FitResult, learn
from relunet.fitting.report import Report
from relunet.network import NeuronMatch, ReLUNetwork
from relunet.samples import Samples, scan_array, scan_arrow, scan_batches, scan_csv, scan_npy, scan_parquet

__all__ = [
    "ArgumentError",
    "DataError",
    "DataTypeError",
    "FileError",
    "FitResult",
    "NeuronMatch",
    "NumericalError",
    "ReLUNetRegressor",
    "ReLUNetwork",
    "ReLUSubspace",
    "RelunetError",
    "Report",
    "Samples",
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

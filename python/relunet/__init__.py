"""Learns narrow one-hidden-layer ReLU networks from samples."""

from relunet import moments, teachers
from relunet.errors import ArgumentError, DataError, DataTypeError, FileError, NumericalError, RelunetError
from relunet.learn import FitResult, learn
from relunet.network import NeuronMatch, ReLUNetwork
from relunet.regressor import ReLUNetRegressor
from relunet.report import Report
from relunet.samples import Samples, scan_array, scan_arrow, scan_batches, scan_csv, scan_npy, scan_parquet
from relunet.transformer import ReLUSubspace

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

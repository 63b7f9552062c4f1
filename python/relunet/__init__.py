"""Learns narrow one-hidden-layer ReLU networks from samples."""

from relunet import moments, teachers
from relunet.errors import ArgumentError, DataError, FileError, RelunetError
from relunet.learn import FitResult, learn
from relunet.network import NeuronMatch, ReLUNetwork
from relunet.regressor import ReLUNetRegressor
from relunet.report import Report
from relunet.samples import Samples, scan_array, scan_npy

__all__ = [
    "ArgumentError",
    "DataError",
    "FileError",
    "FitResult",
    "NeuronMatch",
    "ReLUNetRegressor",
    "ReLUNetwork",
    "RelunetError",
    "Report",
    "Samples",
    "learn",
    "moments",
    "scan_array",
    "scan_npy",
    "teachers",
]

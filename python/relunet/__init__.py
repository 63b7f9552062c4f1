"""Learns narrow one-hidden-layer ReLU networks from samples."""

from relunet import teachers
from relunet.errors import ArgumentError, DataError, FileError, RelunetError
from relunet.network import NeuronMatch, ReLUNetwork
from relunet.samples import Samples, scan_array, scan_npy

__all__ = [
    "ArgumentError",
    "DataError",
    "FileError",
    "NeuronMatch",
    "ReLUNetwork",
    "RelunetError",
    "Samples",
    "scan_array",
    "scan_npy",
    "teachers",
]

"""Learns narrow one-hidden-layer ReLU networks from samples."""

from relunet.samples import Samples, scan_array, scan_npy

__all__ = ["Samples", "scan_array", "scan_npy"]

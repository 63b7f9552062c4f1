"""Samples: lazy, re-readable tables of inputs, labels and weights, and the functions that make them."""

from relunet._typing import Rows
from relunet.samples.files import scan_csv, scan_npy, scan_parquet
from relunet.samples.memory import scan_array, scan_arrow, scan_batches
from relunet.samples.protocol import Samples

__all__ = ["Rows", "Samples", "scan_array", "scan_arrow", "scan_batches", "scan_csv", "scan_npy", "scan_parquet"]

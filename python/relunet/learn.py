"""The driver, which reads like Algorithm 1 of [CDGKM23]: look at what is left, find neurons in it, fit, look again."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Integral
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from relunet import _relunet
from relunet.discovery import Candidate, choose, find_neurons
from relunet.errors import ArgumentError, DataError
from relunet.inputs import Inputs, SampledRows, read_inputs
from relunet.moments import Accumulator, RiskMoments, SliceMoments
from relunet.network import ReLUNetwork
from relunet.orientation import orient
from relunet.polish import Free, Polished, accelerate, newton, preconditioner
from relunet.report import ClumpLevel, Report, Stage, Status
from relunet.samples import Samples, scan_array
from relunet.scales import coarser
from relunet.subspace import Subspace, find_subspace, slice_edges
from relunet.validation import Risk, is_exact, no_worse, risk_on

__all__ = ["FitResult", "learn"]

Array = NDArray[np.float64]
Progress = Callable[[str, int, int], None]

# Rows kept in memory: so many a parameter, between these bounds, and no more than this memory.
ROWS_PER_PARAMETER, MIN_SAMPLE, SAMPLE_BYTES = 12, 20_000, 2**26
# A fit needs so many rows a parameter: fewer, and it would only repeat the labels.
LEAST_ROWS_PER_PARAMETER = 2.5
# Residual rounds: [CDGKM23] needs O(log k) of them.
MAX_ROUNDS = 8
# Normal matrices of at most so many parameters are factorised where the cheaper polish does not converge.
MAX_NEWTON = 1200


class FitResult(NamedTuple):
    """What `learn` returns.

    Attributes
    ----------
    network : ReLUNetwork
        The network.
    report : Report
        How the fit ended, and what it saw on the way.
    subspace : ndarray of shape (d, r)
        Orthonormal basis, as columns, of the space in which neurons' weights were searched.
    spectrum : ndarray
        Eigenvalues of the matrix that finds the subspace, descending.
    scales : list of ClumpLevel
        The clumps of neurons from the finest scale to the coarsest that was tried.
    """

    network: ReLUNetwork
    report: Report
    subspace: Array
    spectrum: Array
    scales: list[ClumpLevel]

"""The accumulators: mergeable sums over rows, from which every stage of a fit is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from relunet import _relunet
from relunet._relunet import (
    Accumulator,
    ContractionMoments,
    CurvatureMoments,
    GradientMoments,
    InputMoments,
    RiskMoments,
    RowSample,
    SliceMoments,
)
from relunet.samples import Samples

__all__ = [
    "Accumulator",
    "ContractionMoments",
    "CurvatureMoments",
    "GradientMoments",
    "InputMoments",
    "RiskMoments",
    "RowSample",
    "SliceMoments",
    "sweep",
]


def sweep(
    samples: Samples,
    accumulators: Sequence[Accumulator],
    *,
    n_jobs: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Read all rows once and add them to several accumulators.

    Rows are cut into blocks by their absolute number and partial sums are merged in a fixed shape: the same rows give
    the same bits from any source and for any number of threads.

    Parameters
    ----------
    samples : Samples
        What a ``scan_*`` function gave.
    accumulators : sequence of Accumulator
        Each for as many features as the samples have; those that use labels need samples that have them.
    n_jobs : int, default None
        Threads; None means one a core.
    progress : callable, default None
        Called about ten times a second with the number of rows done.

    Raises
    ------
    ArgumentError
        An accumulator for another number of features, or samples without labels where they are needed.
    DataError, FileError
        Rows that cannot be used or read. The accumulators are then as they were, as after an interrupt.

    Examples
    --------
    >>> import numpy as np
    >>> from relunet import scan_array
    >>> from relunet.moments import InputMoments, sweep
    >>> moments = InputMoments(2)
    >>> sweep(scan_array(np.array([[0.0, 1.0], [2.0, 3.0]])), [moments])
    >>> moments.mean
    array([1., 2.])
    """
    _relunet.sweep(samples.source, list(accumulators), n_threads=n_jobs, progress=progress)

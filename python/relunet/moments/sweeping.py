"""The sweep of all rows through accumulators."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from relunet._relunet import Accumulator
from relunet.errors import ArgumentError
from relunet.samples.protocol import Samples, SweepFile, check_samples
from relunet.threads import threads

__all__ = ["sweep"]


def sweep(
    samples: Samples,
    accumulators: Sequence[Accumulator],
    *,
    n_jobs: int | None = None,
    progress: Callable[[int], None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    every: float = 60.0,
) -> None:
    """Read all rows once and add them to several accumulators.

    Rows are cut into blocks by their absolute number and partial sums are merged in a fixed shape: the same rows give
    the same bits from any source and for any number of threads. Samples sum their rows
    themselves, where these are: those of `relunet.dask` on a cluster.

    With a `checkpoint`, a sweep that was killed at whatever moment goes on where it was when the same call is made
    again, and ends with the bits that it would have had. The file is replaced as a whole; it is also written when the
    sweep is interrupted or fails, and when it ends: the same call then returns what the file holds, without reading a
    row, until the file is deleted.

    Parameters
    ----------
    samples : Samples
        What a ``scan_*`` function gave.
    accumulators : sequence of Accumulator
        Each for as many features as the samples have; those that use labels need samples that have them.
    n_jobs : int, default None
        Threads; None, 0 or less means one a core.
    progress : callable, default None
        Called about ten times a second with the number of rows done.
    checkpoint : path, default None
        File for what was done.
    every : float, default 60.0
        Seconds between two writes of `checkpoint`: what a crash loses at most, beside a few blocks.

    Raises
    ------
    ArgumentError
        An accumulator for another number of features, or samples without labels where they are needed; a checkpoint
        of other samples or accumulators, or beside samples that sum their rows themselves.
    DataError, FileError
        Rows that cannot be used or read, a checkpoint that is damaged or cannot be written. The accumulators are then
        as they were, as after an interrupt.

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
    check_samples(samples)
    sums = list(accumulators) if isinstance(accumulators, Iterable) else [None]
    if not all(isinstance(each, Accumulator) for each in sums):
        raise ArgumentError(f"accumulators: {accumulators!r}, expected a list of accumulators")
    if checkpoint is None:
        samples.sweep(sums, n_jobs=threads(n_jobs), progress=progress)
    elif samples.can_resume:
        file = SweepFile(checkpoint, samples.identity(), every)
        samples.sweep(sums, n_jobs=threads(n_jobs), progress=progress, checkpoint=file)
    else:
        raise ArgumentError(f"checkpoint: {os.fspath(checkpoint)!r}, expected None for {samples!r}")

"""The function `sweep`, which adds all rows of samples to accumulators."""

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
    """Read all rows once and add them to one or several accumulators.

    Rows are divided into blocks by their row number, and partial sums are merged in a fixed order, so that the same
    rows give the same bits from every local source and for every number of threads. The sums are computed where the
    rows are: samples of `relunet.dask` are summed on the cluster.

    With `checkpoint`, a sweep that was interrupted or killed can be resumed: the same call continues from the file and
    gives the same bits as an uninterrupted sweep. The file is replaced atomically every `every` seconds, and when the
    sweep fails, is interrupted or ends. After a sweep has ended, the same call takes the result from the file without
    reading any rows, until the file is deleted.

    Parameters
    ----------
    samples : Samples
        Samples from one of the ``scan_*`` functions.
    accumulators : sequence of Accumulator
        Accumulators to update. Each must have as many features as the samples have columns, and those that use labels
        need labelled samples.
    n_jobs : int, default=None
        Number of threads; None or a number below 1 means one thread per core.
    progress : callable, default=None
        Function that is called about ten times per second with the number of rows read so far.
    checkpoint : str or path-like, default=None
        File that stores the progress of the sweep.
    every : float, default=60.0
        Seconds between two writes of `checkpoint`. A crash loses at most this much work and a few blocks.

    Raises
    ------
    ArgumentError
        An accumulator does not fit the columns of the samples, or needs labels that the samples do not have; the
        checkpoint belongs to other samples or accumulators; or the samples do not support checkpoints.
    DataError
        Rows hold values that cannot be used. The accumulators are left unchanged, as after an interrupt.
    FileError
        A file cannot be read, or the checkpoint is damaged or cannot be written. The accumulators are left unchanged.

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

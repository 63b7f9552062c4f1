"""Record of a fit: sweeps and rows read, seconds per stage, errors and messages."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from relunet.errors import ArgumentError, warn
from relunet.fitting.report import Stage
from relunet.moments import Accumulator
from relunet.moments.checkpoint import CheckpointedSamples
from relunet.progress import Progress, ProgressLine
from relunet.samples import Samples
from relunet.threads import bounded, threads

__all__ = ["Trace"]


class Trace:
    """The samples of one fit, with counts of sweeps and rows read.

    Parameters
    ----------
    samples : Samples
        The samples.
    n_jobs : int or None
        Number of threads; None, 0 or less means one per core.
    progress : callable or None
        Called with the stage, the rows done and the number of rows, about ten times per second.
    checkpoint : path or None, default=None
        Folder in which the sums of sweeps are stored, so that the same fit continues from them when it is repeated.

    Attributes
    ----------
    errors : list of float
        RMS residual in each sweep over all rows that computed it.
    errors_on_sample : list of float
        The same for sweeps over rows in memory.
    messages : list of str
        Messages to the user.
    rows_read : int
        Number of rows read by sweeps, without those whose sums were restored from a checkpoint.
    """

    def __init__(
        self,
        samples: Samples,
        n_jobs: int | None,
        progress: Progress | None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> None:
        if not (progress is None or callable(progress)):
            raise ArgumentError(f"progress: {progress!r}, expected a function of the stage, the rows done and all rows")
        self.samples = samples if checkpoint is None else CheckpointedSamples(samples, checkpoint)
        self.n_jobs, self.progress, self.rows_read = threads(n_jobs), progress, 0
        self.errors: list[float] = []
        self.errors_on_sample: list[float] = []
        self.messages: list[str] = []
        self._seconds: dict[str, float] = {}
        self._sweeps: dict[str, int] = {}
        self._stage = ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count time and sweeps for the stage `name`, and bound the threads of all that it computes."""
        self._stage = name
        self._sweeps.setdefault(name, 0)
        start = time.perf_counter()
        try:
            with bounded(self.n_jobs):
                yield
        finally:
            if isinstance(self.progress, ProgressLine):
                self.progress.close()
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - start

    def sweep(self, accumulators: Sequence[Accumulator]) -> None:
        """Sweep all rows through accumulators."""
        n_rows, progress, stage = self.samples.n_rows, self.progress, self._stage
        report = None if progress is None else lambda done: progress(stage, done, n_rows)
        n_read = self.samples.sweep(accumulators, n_jobs=self.n_jobs, progress=report)
        self._sweeps[self._stage] += n_read > 0
        self.rows_read += n_read

    def counted(self, task: str, total: int) -> Callable[[int], None] | None:
        """Return a function that reports the progress of work in memory, or None if no progress is requested.

        The function takes the amount done, limits it to `total`, and reports it at most ten times per second.
        """
        progress, last = self.progress, time.monotonic()
        if progress is None:
            return None

        def report(done: int) -> None:
            nonlocal last
            if time.monotonic() - last >= 0.1:
                last = time.monotonic()
                progress(task, min(done, total), total)

        return report

    def warn(self, message: str) -> None:
        """Issue a warning and add it to the messages of the report."""
        self.messages.append(message)
        warn(message)

    def warn_of_structure(self, limit: int | None) -> None:
        """Issue the warning of a fit that leaves structure, with the bound of the neurons if that was reached."""
        if limit is None:
            self.warn("structure is left that the search did not resolve: more rows or another seed may do so")
        else:
            self.warn(f"{limit} neurons do not explain the labels: the best such network is returned")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Seconds and sweeps of each stage, in the order of their first call."""
        return tuple(Stage(name, seconds, self._sweeps[name]) for name, seconds in self._seconds.items())

    @property
    def n_sweeps(self) -> int:
        """Number of sweeps that read rows."""
        return sum(self._sweeps.values())

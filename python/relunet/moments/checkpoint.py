"""Sweeps that a fit has finished, kept in a folder: the same fit, begun again, reads them instead of the rows."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from relunet._relunet import Accumulator
from relunet.atomic import replacing
from relunet.errors import ArgumentError, FileError
from relunet.moments.sweeping import sweep
from relunet.samples import Samples
from relunet.samples.identity import identity

__all__ = ["SweepFolder"]


class SweepFolder:
    """A folder with the sums of finished sweeps, a file an accumulator, named by configuration and samples.

    A fit is the same computation for the same samples, arguments and seed: it asks for the same sums again. Each
    ``.moments`` file is what `Accumulator.to_bytes` gave; a ``.sweep`` file is the checkpoint of a sweep in progress.

    Parameters
    ----------
    folder : path
        Where the files are; made if need be.
    samples : Samples
        The samples of the fit.
    every : float, default 60.0
        Seconds between two writes of the sweep in progress.

    Raises
    ------
    FileError
        A folder that is a file, or cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from relunet import scan_array
    >>> from relunet.moments import InputMoments
    >>> samples, folder = scan_array(np.array([[1.0], [3.0]])), tempfile.mkdtemp()
    >>> first, again = InputMoments(1), InputMoments(1)
    >>> SweepFolder(folder, samples).sweep(samples, [first])
    >>> SweepFolder(folder, samples).sweep(samples, [again])  # reads no rows
    >>> again.mean
    array([2.])
    """

    def __init__(self, folder: str | os.PathLike[str], samples: Samples, *, every: float = 60.0) -> None:
        self._folder, self._identity, self._every = Path(folder), identity(samples), every
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"checkpoint: {os.fspath(folder)!r} is no folder and cannot be made: {error}") from error

    def sweep(
        self,
        samples: Samples,
        accumulators: Sequence[Accumulator],
        *,
        n_jobs: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Add all rows to accumulators: those that are kept from their files, the others by a sweep.

        Raises
        ------
        FileError
            A file of the folder that is damaged, and whatever `relunet.moments.sweep` raises.
        """
        sums = [accumulator.empty() for accumulator in accumulators]
        files = [self._folder / f"{self._key(empty)}.moments" for empty in sums]
        missing = [i for i, file in enumerate(files) if not _restored(sums[i], file)]
        if missing:
            joint = hashlib.sha256("".join(files[i].stem for i in missing).encode()).hexdigest()
            partial = None if hasattr(samples, "sweep") else self._folder / f"{joint}.sweep"
            chosen = [sums[i] for i in missing]
            if partial is None:
                sweep(samples, chosen, n_jobs=n_jobs, progress=progress)
            else:
                sweep(samples, chosen, n_jobs=n_jobs, progress=progress, checkpoint=partial, every=self._every)
            for i in missing:
                with replacing(files[i]) as file:
                    file.write(sums[i].to_bytes())
            if partial is not None:
                partial.unlink()
        for accumulator, total in zip(accumulators, sums, strict=True):
            accumulator.merge(total)

    def _key(self, empty: Accumulator) -> str:
        return hashlib.sha256(self._identity + empty.to_bytes()).hexdigest()


def _restored(empty: Accumulator, file: Path) -> bool:
    """Add what a file holds; tell whether there is one."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return False
    try:
        empty.merge(Accumulator.from_bytes(data))
    except ArgumentError as error:
        raise FileError(f"{file}: {error}; delete it to sweep again") from error
    return True

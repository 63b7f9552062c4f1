"""Storage of the sums of finished sweeps in a folder, from which a repeated fit reads them instead of the rows."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from relunet._relunet import Accumulator
from relunet._typing import Rows
from relunet.atomic import replacing
from relunet.errors import ArgumentError, DataError, FileError
from relunet.samples.names import feature_names
from relunet.samples.protocol import Samples, SweepFile, n_outputs

__all__ = ["CheckpointedSamples"]


class CheckpointedSamples:
    """Samples whose finished sums are kept in a folder, a file an accumulator, named by configuration and samples.

    A fit is the same computation for the same samples, arguments and seed: it asks for the same sums again. The samples
    are told apart by a hash of all of their rows, for which they are read once; rows that change later, while a fit
    reads them, can only be noticed by the samples themselves. Several processes may share a folder. Each
    ``.moments`` file is what `Accumulator.to_bytes` gave; a ``.sweep`` file is the checkpoint of a sweep in progress.

    Parameters
    ----------
    samples : Samples
        The samples.
    folder : path
        Where the files are; made if need be.
    every : float, default=60.0
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
    >>> samples = CheckpointedSamples(scan_array(np.array([[1.0], [3.0]])), tempfile.mkdtemp())
    >>> first, again = InputMoments(1), InputMoments(1)
    >>> samples.sweep([first]), samples.sweep([again])
    (2, 0)
    >>> again.mean
    array([2.])
    """

    def __init__(self, samples: Samples, folder: str | os.PathLike[str], *, every: float = 60.0) -> None:
        self._samples, self._folder, self._identity, self._every = samples, Path(folder), samples.identity(), every
        self.n_rows, self.n_columns, self.columns = samples.n_rows, samples.n_columns, samples.columns
        self.feature_names = feature_names(samples)
        self.dtype, self.has_labels, self.can_resume = samples.dtype, samples.has_labels, False
        self.n_outputs = n_outputs(samples)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            # Python reports a path with a null character as a ValueError.
            raise FileError(f"checkpoint: {os.fspath(folder)!r} is no folder and cannot be made: {error}") from error

    def blocks(self, size: int = 65_536) -> Iterator[Rows]:
        """All rows in order, `size` at a time."""
        return self._samples.blocks(size)

    def identity(self) -> bytes:
        """Return what tells the samples from others."""
        return self._identity

    def sweep(
        self,
        accumulators: Sequence[Accumulator],
        *,
        n_jobs: int | None = None,
        progress: Callable[[int], None] | None = None,
        checkpoint: SweepFile | None = None,
    ) -> int:
        """Add all rows to accumulators: those that are kept from their files, the others by a sweep.

        Returns
        -------
        int
            Number of rows that were read.

        Raises
        ------
        ArgumentError
            A checkpoint beside the folder.
        FileError
            A file of the folder that is damaged, and whatever a sweep raises.
        """
        if checkpoint is not None:
            raise ArgumentError("checkpoint: expected None for samples that are kept in a folder")
        sums = [accumulator.empty() for accumulator in accumulators]
        files = [self._folder / f"{self._key(empty)}.moments" for empty in sums]
        missing = [i for i, file in enumerate(files) if not _restored(sums[i], file)]
        n_read = 0
        if missing:
            partial = SweepFile(self._in_progress([files[i] for i in missing]), self._identity, self._every)
            in_progress = partial if self._samples.can_resume else None
            chosen = [sums[i] for i in missing]
            n_read = self._samples.sweep(chosen, n_jobs=n_jobs, progress=progress, checkpoint=in_progress)
            for i in missing:
                with replacing(files[i]) as file:
                    file.write(sums[i].to_bytes())
            Path(partial.path).unlink(missing_ok=True)
        # What a fit left that was killed after it had kept some of the sums, or that another fit has done meanwhile.
        self._in_progress(files).unlink(missing_ok=True)
        for accumulator, total in zip(accumulators, sums, strict=True):
            accumulator.merge(total)
        return n_read

    def _in_progress(self, files: Sequence[Path]) -> Path:
        """Return the file of the sweep in progress for the sums in these files."""
        joint = hashlib.sha256("".join(file.stem for file in files).encode()).hexdigest()
        return self._folder / f"{joint}.sweep"

    def _key(self, empty: Accumulator) -> str:
        return hashlib.sha256(self._identity + empty.to_bytes()).hexdigest()


def _restored(empty: Accumulator, file: Path) -> bool:
    """Add what a file holds; tell whether there is one."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise FileError(f"{file}: cannot be read ({error.strerror})") from error
    try:
        empty.merge(Accumulator.from_bytes(data))
    except (ArgumentError, DataError) as error:
        raise FileError(f"{file}: {error}; delete it to sweep again") from error
    return True

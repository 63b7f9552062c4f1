"""A progress line for long computations, on a terminal or in a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TextIO

from relunet.samples import Samples

__all__ = ["Progress", "ProgressLine", "as_bytes", "row_bytes"]

Progress = Callable[[str, int, int], None]
"""Type of the `progress` argument: a function that is called with the name of a task, the amount done and the total.

Sweeps count rows. The task "search" counts floating-point operations, and "first polish" sweeps over rows in memory.
"""

# Units of the tasks that do not count rows.
_UNITS = {"search": "operations", "first polish": "sweeps in memory"}


class ProgressLine:
    """A line with the task, a bar, the speed and the remaining time. As a context manager it clears the line at exit.

    Nothing is drawn in the first second, and the line is redrawn at most ten times per second. If the stream is neither
    a terminal nor that of a notebook, nothing is drawn at all.

    Parameters
    ----------
    stream : file object, default=None
        Stream to draw on; None means standard error, or the output of the cell in a notebook.
    row_bytes : int, default=0
        Bytes of a row, from which the speed is computed; 0 means that no speed is shown.
    clock : callable, default=time.monotonic
        Returns the time in seconds.

    Examples
    --------
    >>> with ProgressLine() as progress:
    ...     progress("polish", 10_000, 50_000)

    Along a sweep:

    >>> from functools import partial
    >>> from relunet import scan_array
    >>> from relunet.moments import InputMoments, sweep
    >>> samples = scan_array([[1.0], [2.0]])
    >>> with ProgressLine(row_bytes=row_bytes(samples)) as line:
    ...     sweep(samples, [InputMoments(1)], progress=partial(line, "inputs", total=samples.n_rows))
    """

    def __init__(
        self, stream: TextIO | None = None, *, row_bytes: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._show = _notebook_cell() if stream is None else None
        if self._show is None:
            self._show = _terminal_line(sys.stderr if stream is None else stream)
        self._row_bytes = row_bytes
        self._clock = clock
        self._drawn = clock() + 0.9  # with the tenth of a second between drawings: the first second is silent
        self._task, self._done, self._first, self._start = "", 0, 0, clock()
        self._visible = False

    def __call__(self, task: str, done: int, total: int) -> None:
        """Draw the line, unless it was drawn less than a tenth of a second ago.

        Parameters
        ----------
        task : str
            Name of the task.
        done, total : int
            The amount done and the total, in rows or in the unit of the task.
        """
        if self._show is None:
            return
        now = self._clock()
        if task != self._task or done < self._done:
            # Rows restored from a checkpoint do not count for the speed.
            self._start, self._first = now, done
        self._task, self._done = task, done
        if now - self._drawn < 0.1:
            return
        self._drawn, self._visible = now, True
        share = min(1.0, done / total) if total > 0 else 1.0
        bar = ("#" * round(24 * share)).ljust(24, ".")
        line = f"{task:<12.12} [{bar}] {share:4.0%} of {total:,} {_UNITS.get(task, 'rows')}"
        seconds, rows = now - self._start, done - self._first
        if rows > 0 and seconds > 0 and self._row_bytes and task not in _UNITS:
            line += f", {as_bytes(rows * self._row_bytes / seconds)}/s"
        if rows > 0 or share == 1:
            line += f", {_time(seconds * (total - done) / max(rows, 1))} left"
        self._show(line)

    def close(self) -> None:
        """Clear the line; a later call draws it again."""
        if self._visible and self._show is not None:
            self._show("")
            self._visible = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def row_bytes(samples: Samples) -> int:
    """Return the bytes of a row of samples, with its label.

    Examples
    --------
    >>> from relunet import scan_array
    >>> row_bytes(scan_array([[1.0, 2.0]], [3.0]))
    24
    """
    return samples.dtype.itemsize * samples.n_columns + 8 * samples.has_labels


def _terminal_line(stream: TextIO) -> Callable[[str], None] | None:
    """Return a function that replaces the last line of a terminal, None for any other stream."""
    if not stream.isatty():
        return None

    def show(line: str) -> None:
        stream.write(f"\r\x1b[K{line}")
        stream.flush()

    return show


def _notebook_cell() -> Callable[[str], None] | None:
    """Return a function that replaces a line below the running cell of a notebook, None elsewhere."""
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import Pretty, display

    handle: Any = None

    def show(line: str) -> None:
        nonlocal handle
        if handle is None:
            handle = display(Pretty(line), display_id=True)
        else:
            handle.update(Pretty(line))

    return show


def as_bytes(size: float) -> str:
    """Return a number of bytes as text.

    Examples
    --------
    >>> as_bytes(2_100_000_000)
    '2.1 GB'
    """
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} PB"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

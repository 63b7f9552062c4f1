"""One line on a terminal that says how far a long computation is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

__all__ = ["Progress", "ProgressLine"]

Progress = Callable[[str, int, int], None]
"""What long computations call: with the name of the task, the rows done and the rows there are."""


class ProgressLine:
    """A line with the task, a bar, and the time it will take; a context that clears the line when left.

    It draws nothing in its first second, more than ten times a second, or where the stream is not a terminal.

    Parameters
    ----------
    stream : file object, default None
        Where to draw; None means standard error.
    clock : callable, default time.monotonic
        Tells the time in seconds.

    Examples
    --------
    >>> with ProgressLine() as progress:
    ...     progress("polish", 10_000, 50_000)
    """

    def __init__(self, stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._enabled = self._stream.isatty()
        self._clock = clock
        self._drawn = clock() + 0.9  # with the tenth of a second between drawings: the first second is silent
        self._task, self._done, self._start = "", 0, clock()
        self._visible = False

    def __call__(self, task: str, done: int, total: int) -> None:
        """Draw the line for `done` of `total` rows of `task`, if it is time to."""
        if not self._enabled:
            return
        now = self._clock()
        if task != self._task or done < self._done:
            self._start = now
        self._task, self._done = task, done
        if now - self._drawn < 0.1:
            return
        self._drawn, self._visible = now, True
        share = min(1.0, done / total) if total > 0 else 1.0
        left = (now - self._start) * (1 / share - 1) if share > 0 else 0.0
        bar = ("#" * round(24 * share)).ljust(24, ".")
        self._stream.write(f"\r\x1b[K{task:<12.12} [{bar}] {share:4.0%} of {total:,} rows, {left:.0f} s left")
        self._stream.flush()

    def close(self) -> None:
        """Clear the line."""
        if self._visible:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._visible = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""The number of threads: interpretation of `n_jobs`, and a bound for all computations inside a `with` statement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral

from relunet._relunet import bound_threads
from relunet.errors import ArgumentError

__all__ = ["bounded", "threads"]


def threads(n_jobs: object) -> int | None:
    """Return the number of threads for `n_jobs`, or None for one thread per core.

    Parameters
    ----------
    n_jobs : int or None
        Number of threads; None, 0 or less means one per core.

    Raises
    ------
    ArgumentError
        If `n_jobs` is neither an integer nor None.

    Examples
    --------
    >>> from relunet.moments import threads
    >>> threads(4), threads(-1), threads(None)
    (4, None, None)
    """
    if n_jobs is None:
        return None
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral):
        raise ArgumentError(f"n_jobs: {n_jobs!r}, expected an integer or None")
    # No more than these are ever started.
    return min(int(n_jobs), 256) if int(n_jobs) > 0 else None


@contextmanager
def bounded(n_jobs: int | None) -> Iterator[None]:
    """Bound the threads of all computations that the calling thread starts inside the context.

    Parameters
    ----------
    n_jobs : int or None
        Largest number of threads; None, 0 or less keeps the bound of the enclosing context, initially one per core.

    Raises
    ------
    ArgumentError
        If `n_jobs` is neither an integer nor None.

    Examples
    --------
    >>> from relunet import teachers
    >>> with bounded(1):
    ...     norm = teachers.generic(10, 3, rng=0).network.gaussian_norm()
    """
    n_threads = threads(n_jobs)
    before = bound_threads(n_threads)
    if n_threads is None:
        bound_threads(before)
    try:
        yield
    finally:
        bound_threads(before)

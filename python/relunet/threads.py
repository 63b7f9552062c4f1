"""The bound on the threads of everything that is called inside a `with` statement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from relunet._relunet import bound_threads
from relunet.moments import threads

__all__ = ["bounded"]


@contextmanager
def bounded(n_jobs: int | None) -> Iterator[None]:
    """Bound the threads of all computations that this thread starts inside the context.

    Parameters
    ----------
    n_jobs : int or None
        Most threads; None, 0 or less keeps the bound of the enclosing context, which at first is one a core.

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

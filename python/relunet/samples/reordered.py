"""Samples with their columns rearranged in the order of given names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from relunet._relunet import RowReader
from relunet._typing import Rows
from relunet.errors import DataError
from relunet.samples.names import feature_names, listed, order_of
from relunet.samples.pieces import Batch, OnwardReader
from relunet.samples.protocol import Samples, SourceSamples, n_outputs

__all__ = ["reordered"]


def reordered(samples: Samples, names: Sequence[str]) -> Samples:
    """Return the same rows with their columns in the order of `names`.

    Parameters
    ----------
    samples : Samples
        Samples with names of their own, see `relunet.samples.names.feature_names`.
    names : sequence of str
        The same names, in the order that is needed.

    Returns
    -------
    Samples
        `samples` themselves where their columns are in this order already.

    Raises
    ------
    DataError
        Samples without names, and names that are missing, not expected or used twice.

    Examples
    --------
    >>> import pandas as pd
    >>> from relunet import scan_array
    >>> from relunet.samples.reordered import reordered
    >>> samples = scan_array(pd.DataFrame({"heat": [1.0, 2.0], "flow": [3.0, 4.0]}))
    >>> next(reordered(samples, ["flow", "heat"]).blocks())[0]
    array([[3., 1.],
           [4., 2.]])
    """
    names = tuple(names)
    found = feature_names(samples)
    if found is None:
        raise DataError(f"X: the columns of {samples!r} have no names; expected {listed(names)}")
    order = order_of(found, names, "X")
    if found == names:
        return samples
    origin = getattr(samples, "origin", type(samples).__name__)
    is_sequential = not isinstance(samples, SourceSamples) or samples.is_sequential
    read: Callable[[int, int], Any]
    if isinstance(samples, SourceSamples) and not is_sequential:
        read = partial(_read, samples, order)
    else:
        read = OnwardReader(partial(_pieces, samples, order), samples.n_rows, origin)
    reader = RowReader(
        read,
        origin,
        n_rows=samples.n_rows,
        n_columns=samples.n_columns,
        single=samples.dtype == np.float32,
        n_outputs=n_outputs(samples),
        sequential=is_sequential,
        names=names,
    )
    again = partial(reordered, samples, names)
    return SourceSamples(reader, names, origin, again, is_sequential=is_sequential, feature_names=names)


def _read(samples: SourceSamples, order: list[int], start: int, stop: int) -> Rows:
    X, y, weight = samples.source.read(start, stop)
    return X[:, order], y, weight


def _pieces(samples: Samples, order: list[int]) -> Iterator[Batch]:
    for X, y, weight in samples.blocks():
        yield Batch((X[:, order], y, weight))

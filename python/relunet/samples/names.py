"""Names of features: reading them from tables, and matching requested names with those that were found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from relunet.errors import DataError, DataTypeError
from relunet.samples.protocol import is_samples

__all__ = ["columns_of", "default_names", "feature_names", "listed", "order_of", "string_names"]

# Most names that a message lists, of each kind.
SHOWN_NAMES = 10


def default_names(n_columns: int) -> tuple[str, ...]:
    """Return names of columns that have none: x0, x1, ..."""
    return tuple(f"x{column}" for column in range(n_columns))


def columns_of(X: Any) -> list[Any] | None:
    """Return the names of the columns of a data frame or table, or None for an object without such names."""
    if hasattr(X, "collect_schema"):
        return list(X.collect_schema().names())
    names = getattr(X, "column_names", None)
    if names is None:
        names = getattr(X, "columns", None)
    return None if names is None or callable(names) else list(names)


def feature_names(X: Any) -> tuple[str, ...] | None:
    """Return the names of the features of samples, a data frame or a table; None where they have none of their own.

    Parameters
    ----------
    X : Samples, data frame, table or array_like
        Samples know the names in the file or table that they read. Names that only number the columns do not count.

    Returns
    -------
    tuple of str or None

    Raises
    ------
    DataTypeError
        Some columns are named by strings and others are not.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from relunet import scan_array
    >>> from relunet.samples.names import feature_names
    >>> frame = pd.DataFrame({"heat": [1.0, 2.0], "flow": [3.0, 4.0]})
    >>> feature_names(frame), feature_names(scan_array(frame)), feature_names(scan_array(np.ones((2, 2))))
    (('heat', 'flow'), ('heat', 'flow'), None)
    """
    if is_samples(X):
        names: tuple[str, ...] | None = getattr(X, "feature_names", None)
        return names
    columns = columns_of(X) or []
    kinds = sorted({type(name).__name__ for name in columns})
    if len(kinds) > 1 and any(isinstance(name, str) for name in columns):
        raise DataTypeError(f"Feature names are only supported if all input features have string names, got {kinds}")
    return string_names(X)


def string_names(X: Any) -> tuple[str, ...] | None:
    """Return the names of the columns of a data frame or table if all of them are strings, else None."""
    columns = columns_of(X)
    return tuple(columns) if columns and all(isinstance(name, str) for name in columns) else None


def order_of(found: Sequence[str], wanted: Sequence[str], origin: str = "X") -> list[int]:
    """Return where each of the wanted names stands among those that were found.

    Parameters
    ----------
    found : sequence of str
        Names of the columns at hand.
    wanted : sequence of str
        The same names, in the order that is needed.
    origin : str, default="X"
        What has these columns, for messages.

    Returns
    -------
    list of int

    Raises
    ------
    DataError
        Names that are missing, not wanted, or used twice.

    Examples
    --------
    >>> from relunet.samples.names import order_of
    >>> order_of(["flow", "heat"], ["heat", "flow"])
    [1, 0]
    >>> order_of(["flow", "cost"], ["heat", "flow"])
    Traceback (most recent call last):
        ...
    relunet.errors.DataError: X: other columns than expected: missing 'heat', not expected 'cost'
    """
    places = {name: place for place, name in enumerate(found)}
    known = set(wanted)
    faults = {
        "missing": [name for name in wanted if name not in places],
        "not expected": [name for name in places if name not in known],
        "more than once": _repeated(found) or _repeated(wanted),
    }
    if any(faults.values()):
        told = ", ".join(f"{fault} {listed(names)}" for fault, names in faults.items() if names)
        raise DataError(f"{origin}: other columns than expected: {told}")
    return [places[name] for name in wanted]


def _repeated(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def listed(names: Sequence[str]) -> str:
    """Return names for a message, the first of many."""
    shown = ", ".join(map(repr, names[:SHOWN_NAMES]))
    return f"{shown}, ... ({len(names)} in all)" if len(names) > SHOWN_NAMES else shown

"""Names of features: those that inputs carry, and their comparison with the names of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relunet.errors import DataError
from relunet.samples import Samples

__all__ = ["feature_names", "mismatch"]


def feature_names(X: Any) -> tuple[str, ...] | None:
    """Return the names of the columns of a data frame, an Arrow table or Samples; None if they have no names.

    Parameters
    ----------
    X : object
        Inputs of any kind.

    Raises
    ------
    TypeError
        If some, but not all, of the names of a frame are strings.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> feature_names(pd.DataFrame({"heat": [1.0], "flow": [2.0]}))
    ('heat', 'flow')
    >>> feature_names(np.zeros((3, 2))) is None
    True
    """
    if isinstance(X, Samples):
        names: Sequence[Any] | None = getattr(X, "feature_names", _unless_default(X.columns))
        return None if names is None else tuple(names)
    if hasattr(X, "collect_schema"):  # a lazy frame of polars, whose `columns` warns
        names = X.collect_schema().names()
    else:
        names = getattr(X, "column_names", None)
        if names is None:
            names = getattr(X, "columns", None)
    if names is None:
        return None
    names = list(names)
    strings = [isinstance(name, str) for name in names]
    if any(strings) and not all(strings):
        kinds = sorted({type(name).__name__ for name in names})
        raise TypeError(f"Feature names are only supported if all input features have string names, got {kinds}")
    return tuple(names) if names and all(strings) else None


def _unless_default(columns: Sequence[str]) -> Sequence[str] | None:
    """Return the names of columns, or None if they are x0, x1, and so on, as columns without names are called."""
    return None if list(columns) == [f"x{i}" for i in range(len(columns))] else columns


def mismatch(names: Sequence[str], seen: Sequence[str]) -> DataError:
    """Return the error for names of features that differ from those of the fit, in the words of scikit-learn."""
    lines = ["The feature names should match those that were passed during fit."]
    unseen = sorted(set(names) - set(seen))
    missing = sorted(set(seen) - set(names))
    for title, group in (
        ("Feature names unseen at fit time:", unseen),
        ("Feature names seen at fit time, yet now missing:", missing),
    ):
        lines += [title, *(f"- {name}" for name in group)] if group else []
    if not unseen and not missing:
        lines.append("Feature names must be in the same order as they were in fit.")
    return DataError("\n".join(lines) + "\n")

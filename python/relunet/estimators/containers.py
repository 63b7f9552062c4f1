"""Containers of transformed rows: arrays, or data frames of pandas or polars as `set_output` asks for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from relunet.errors import ArgumentError

__all__ = ["Output", "contained"]

_CONTAINERS = ("default", "pandas", "polars")


class Output:
    """The method `set_output` of a transformer, as scikit-learn defines it."""

    # The name that `sklearn.base.clone` copies.
    _sklearn_output_config: dict[str, str]

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose the container that `transform` and `fit_transform` return.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            "default" is an array; None leaves the choice as it is. Without a choice, the option `transform_output` of
            scikit-learn counts.

        Returns
        -------
        Self
            This estimator.

        Raises
        ------
        ArgumentError
            For another container.
        """
        if transform is not None:
            self._sklearn_output_config = {"transform": _checked(transform)}
        return self

    def _container(self) -> str:
        """Return the name of the container that `transform` returns."""
        config = getattr(self, "_sklearn_output_config", {})
        sklearn = sys.modules.get("sklearn")
        default = "default" if sklearn is None else sklearn.get_config().get("transform_output", "default")
        return _checked(config.get("transform", default))


def contained(rows: npt.NDArray[np.float64], container: str, names: Sequence[str], X: Any) -> Any:
    """Return transformed rows in a container, with the index of the inputs `X` if these are a frame of pandas.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_components)
        Transformed rows.
    container : {"default", "pandas", "polars"}
        The container.
    names : sequence of str
        Names of the columns.
    X : object
        Inputs that were transformed.
    """
    if container == "pandas":
        import pandas

        index = getattr(X, "index", None)
        return pandas.DataFrame(rows, columns=list(names), index=index if isinstance(index, pandas.Index) else None)
    if container == "polars":
        import polars

        return polars.DataFrame(rows, schema=list(names), orient="row")
    return rows


def _checked(container: str) -> str:
    if container not in _CONTAINERS:
        raise ArgumentError(f"transform: {container!r}, expected one of {', '.join(map(repr, _CONTAINERS))}")
    return container

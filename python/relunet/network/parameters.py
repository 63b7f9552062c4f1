"""Parameters of a network as plain arrays: how they are checked, and how they are passed to the compiled module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from relunet._typing import Array
from relunet.errors import ArgumentError

__all__ = ["Parameters", "as_distribution", "as_names", "as_real"]


class Parameters(NamedTuple):
    """Arrays of a network, C-contiguous float64; the outputs always have an axis.

    Attributes
    ----------
    weights : ndarray of shape (k, d)
        Weights of the neurons.
    biases : ndarray of shape (k,)
        Biases of the neurons.
    output_weights : ndarray of shape (m, k)
        Output weights.
    linear : ndarray of shape (m, d)
        Linear part of each output.
    intercept : ndarray of shape (m,)
        Constant term of each output.
    """

    weights: Array
    biases: Array
    output_weights: Array
    linear: Array
    intercept: Array


def as_real(name: str, value: ArrayLike, shape: tuple[int, ...] | None = None) -> Array:
    """Return a read-only float64 copy of an argument, which must be finite and have the shape, where given."""
    try:
        given = np.asarray(value)
    except ValueError as error:
        raise ArgumentError(f"{name}: {error}") from error
    if given.dtype.kind not in "biuf":
        raise ArgumentError(f"{name}: dtype {given.dtype}, expected real numbers")
    if shape is not None and given.shape != shape:
        raise ArgumentError(f"{name}: shape {given.shape}, expected {shape}")
    array = np.array(given, dtype=np.float64, order="C")
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ArgumentError(f"{name}: {array[place]} at index {place}, expected finite numbers")
    array.setflags(write=False)
    return array


def as_names(names: Sequence[str] | None, n_features: int) -> tuple[str, ...] | None:
    """Return feature names as a tuple of str, one for each feature; None stays None."""
    if names is None:
        return None
    if isinstance(names, str):
        raise ArgumentError(f"feature_names: {names!r}, expected a sequence of {n_features} strings")
    kept = list(names)
    if len(kept) != n_features:
        raise ArgumentError(f"feature_names: {len(kept)} names, expected {n_features}")
    for i, name in enumerate(kept):
        if not isinstance(name, str):
            raise ArgumentError(f"feature_names: {name!r} at index {i}, expected a string")
    return tuple(str(name) for name in kept)


def as_distribution(
    mean: ArrayLike | None, cov: ArrayLike | None, n_features: int
) -> tuple[Array | None, Array | None]:
    """Return mean and covariance of the inputs, checked for shape and symmetry; None stays None."""
    centre = None if mean is None else as_real("mean", mean, (n_features,))
    spread = None if cov is None else as_real("cov", cov, (n_features, n_features))
    if spread is not None and np.abs(spread - spread.T).max() > 1e-10 * np.abs(spread).max():
        raise ArgumentError("cov: not symmetric")
    return centre, spread

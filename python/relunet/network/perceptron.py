"""Conversion of networks to multilayer perceptrons with one hidden layer and no linear part, as other tools use."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from relunet._typing import Array
from relunet.errors import ArgumentError
from relunet.network.parameters import Parameters, as_real

__all__ = ["Perceptron", "as_bounds", "as_perceptron"]

_PARALLEL = 8 * np.finfo(np.float64).eps
"""Part of the linear part that may be off a neuron's direction: what rounding does to parallel vectors."""


class Perceptron(NamedTuple):
    """``output @ relu(hidden @ x + hidden_biases) + output_biases``.

    Attributes
    ----------
    hidden : ndarray of shape (h, d)
        Weights of the hidden units, at least one.
    hidden_biases : ndarray of shape (h,)
        Biases of the hidden units.
    output : ndarray of shape (m, h)
        Output weights.
    output_biases : ndarray of shape (m,)
        Constant terms.
    """

    hidden: Array
    hidden_biases: Array
    output: Array
    output_biases: Array


def as_bounds(bounds: ArrayLike, n_features: int) -> Array:
    """Return the lower and upper bounds of the inputs, (d, 2), checked."""
    box = as_real("bounds", bounds, (n_features, 2))
    if (box[:, 0] > box[:, 1]).any():
        feature = int(np.argmax(box[:, 0] > box[:, 1]))
        raise ArgumentError(f"bounds: {box[feature].tolist()} at index {feature}, expected lower <= upper")
    return box


def as_perceptron(network: Parameters, bounds: Array | None = None) -> Perceptron:
    """Return a network as a perceptron.

    The linear part of each output becomes two units, by ``t = relu(t) - relu(-t)``. Where a neuron is along the linear
    parts of all outputs, as every neuron of one input is, it serves as the first of the two. Where `bounds` of the
    inputs are given, a linear part becomes one unit, by ``t = relu(t - low) + low`` for ``t >= low``: this holds inside
    the bounds only.
    """
    (k, d), m = network.weights.shape, len(network.intercept)
    linear = network.linear
    skipped = np.flatnonzero(linear.any(axis=1))
    output_biases = network.intercept.copy()
    along = _along(network) if bounds is None and len(skipped) else None
    if along is not None:
        i, factors = along
        hidden = np.concatenate([network.weights, -network.weights[[i]]])
        biases = np.concatenate([network.biases, -network.biases[[i]]])
        output = np.concatenate([network.output_weights, -factors[:, None]], axis=1)
        output[:, i] += factors
        return Perceptron(hidden, biases, output, output_biases - factors * network.biases[i])
    if bounds is None:
        hidden = np.concatenate([network.weights, linear[skipped], -linear[skipped]])
        biases = np.concatenate([network.biases, np.zeros(2 * len(skipped))])
        signs: tuple[float, ...] = (1.0, -1.0)
    else:
        low = np.minimum(linear * bounds[:, 0], linear * bounds[:, 1]).sum(axis=1)[skipped]
        hidden = np.concatenate([network.weights, linear[skipped]])
        biases = np.concatenate([network.biases, -low])
        output_biases[skipped] += low
        signs = (1.0,)
    output = np.zeros((m, len(hidden)))
    output[:, :k] = network.output_weights
    for i, sign in enumerate(signs):
        output[skipped, k + i * len(skipped) + np.arange(len(skipped))] = sign
    if not len(hidden):
        # A layer has at least one unit.
        hidden, biases, output = np.zeros((1, d)), np.zeros(1), np.zeros((m, 1))
    return Perceptron(hidden, biases, output, output_biases)


def _along(network: Parameters) -> tuple[int, Array] | None:
    """Return a neuron whose weights are parallel to the linear parts, and the multiples that these are of them."""
    for i, weights in enumerate(network.weights):
        square = float((weights**2).sum())
        if square > 0.0:
            factors = (network.linear * weights).sum(axis=1) / square
            rest = np.abs(network.linear - factors[:, None] * weights)
            if np.isfinite(factors).all() and (rest <= _PARALLEL * np.abs(network.linear).max()).all():
                return i, factors
    return None

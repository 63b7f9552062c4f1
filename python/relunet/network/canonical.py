"""Canonical form of a network: its function with the fewest neurons, in parameters that only depend on the function."""

from __future__ import annotations

import numpy as np

from relunet._typing import Array
from relunet.network.parameters import Parameters

__all__ = ["canonical"]

_SAME_LINE = 16 * np.finfo(np.float64).eps
"""Kinks whose normalised parameters differ by no more are one kink: what rounding does to a rescaled neuron."""


def canonical(parameters: Parameters) -> Parameters:
    """Return the canonical form; see `ReLUNetwork.canonical`."""
    weights, biases, output_weights, linear, intercept = (array.copy() for array in parameters)
    scales = _norms(weights)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        keep = (scales > 0.0) & np.isfinite(biases / scales)
    intercept += (output_weights * np.where(keep, 0.0, np.maximum(biases, 0.0))).sum(axis=1)
    scales = scales[keep]
    weights, biases = weights[keep] / scales[:, None], biases[keep] / scales
    output_weights = output_weights[:, keep] * scales

    first = weights[np.arange(len(weights)), (weights != 0.0).argmax(axis=1)] if len(weights) else scales
    flip = first < 0.0
    flipped = output_weights * flip
    linear += (flipped[:, :, None] * weights).sum(axis=1)
    intercept += (flipped * biases).sum(axis=1)
    weights, biases = np.where(flip[:, None], -weights, weights) + 0.0, np.where(flip, -biases, biases) + 0.0

    fused: dict[int, list[int]] = {}
    for i in np.lexsort((biases, *weights.T[::-1])):
        same = next((j for j in fused if _same_line(weights, biases, i, j)), i)
        fused.setdefault(same, []).append(i)
    for i, group in fused.items():
        total = output_weights[:, group].sum(axis=1)
        rounding = _SAME_LINE * np.abs(output_weights[:, group]).sum(axis=1)
        output_weights[:, i] = np.where((np.abs(total) <= rounding) & (len(group) > 1), 0.0, total)
    kinks = [i for i in fused if output_weights[:, i].any()]
    return Parameters(weights[kinks], biases[kinks], output_weights[:, kinks], linear, intercept)


def _norms(rows: Array) -> Array:
    """Return the Euclidean norms of the rows, safe from overflow and underflow."""
    largest = np.abs(rows).max(axis=1)
    units = rows / np.where(largest > 0.0, largest, 1.0)[:, None]
    norms: Array = largest * np.sqrt((units * units).sum(axis=1))
    return norms


def _same_line(weights: Array, biases: Array, i: int, j: int) -> bool:
    """Whether two neurons with unit weights kink on one hyperplane, up to rounding."""
    near = np.abs(biases[i] - biases[j]) <= _SAME_LINE * max(1.0, abs(biases[i]))
    return bool(near and (np.abs(weights[i] - weights[j]) <= _SAME_LINE).all())

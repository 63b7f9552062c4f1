"""Canonical form of a network: its function with the fewest neurons, in parameters that only depend on the function."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relunet._typing import Array
from relunet.linalg import lstsq, svd
from relunet.network.parameters import Parameters

__all__ = ["canonical"]

_SAME_LINE = 16 * np.finfo(np.float64).eps
"""Kinks whose normalised parameters differ by no more are one kink: what rounding does to a rescaled neuron."""

_NO_LINEAR_PART = 16 * np.finfo(np.float64).eps
"""Largest linear part that counts as rounding, in units of the sum of the neurons' slopes and the linear part."""

_EXHAUSTIVE = 40
"""Largest number of linearly dependent neurons for which all orientations are compared, by meeting in the middle."""


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
    positive = Parameters(weights[kinks], biases[kinks], output_weights[:, kinks], linear, intercept)
    return _without_linear_part(positive)


def _without_linear_part(network: Parameters) -> Parameters:
    """Flip the neurons of the one choice of orientations that leaves no linear part, if there is such a choice.

    Of several, the one that leaves the smallest intercept is taken, and then the one that flips fewest of the neurons
    that come first.
    """
    k = len(network.weights)
    # Flipping neuron i of output j adds output_weights[j, i] * weights[i] to linear[j].
    moves = (network.output_weights.T[:, :, None] * network.weights[:, None, :]).reshape(k, network.linear.size)
    linear = network.linear.reshape(-1)
    tolerance = _NO_LINEAR_PART * (np.abs(moves).sum(axis=0) + np.abs(linear)).max(initial=0.0)
    if k == 0 or not np.any(np.abs(linear) > tolerance):
        choices = np.zeros((1, k), dtype=bool)
    else:
        choices = _flips(moves, linear)
    left = np.abs(linear + (choices[:, :, None] * moves).sum(axis=1))
    choices = choices[(left <= tolerance).all(axis=1)]
    if not len(choices):
        return network
    shifts = network.output_weights * network.biases
    intercepts = network.intercept + (choices[:, None, :] * shifts).sum(axis=2)
    sizes = np.sqrt((intercepts**2).sum(axis=1))
    slack = _NO_LINEAR_PART * (np.abs(shifts).sum() + np.abs(network.intercept).sum())
    smallest = np.flatnonzero(sizes <= sizes.min() + slack)
    chosen = min(smallest, key=lambda i: choices[i].tolist())
    signs = np.where(choices[chosen], -1.0, 1.0)
    return network._replace(
        weights=network.weights * signs[:, None] + 0.0,
        biases=network.biases * signs + 0.0,
        linear=np.zeros_like(network.linear),
        intercept=np.where(np.abs(intercepts[chosen]) <= slack, 0.0, intercepts[chosen]),
    )


def _flips(moves: Array, linear: Array) -> NDArray[np.bool_]:
    """Return candidates, one a row, for sets of neurons whose moves add up to minus the linear part."""
    k = len(moves)
    _, values, vt = svd(moves)
    rank = int(np.count_nonzero(values > 1e-10 * values[0])) if values.size else 0
    if rank == k:
        flips = lstsq(moves.T, -linear)
        return flips[None, :] > 0.5
    if k > _EXHAUSTIVE:
        return np.zeros((1, k), dtype=bool)
    # One generic projection turns the choice into a subset sum; each half of the neurons has few subsets.
    generic = (vt[:rank] * np.sqrt(np.arange(2.0, rank + 2.0))[:, None]).sum(axis=0)
    steps, target = (moves * generic).sum(axis=1), -float((linear * generic).sum())
    half = k // 2
    first, second = _subset_sums(steps[:half]), _subset_sums(steps[half:])
    order = np.argsort(second, kind="stable")
    second = second[order]
    slack = 100 * _NO_LINEAR_PART * (np.abs(steps).sum() + abs(target))
    low = np.searchsorted(second, target - first - slack, side="left")
    high = np.searchsorted(second, target - first + slack, side="right")
    pairs = [(i, int(j)) for i in np.flatnonzero(high > low) for j in order[low[i] : high[i]]]
    found = np.zeros((len(pairs), k), dtype=bool)
    for row, (i, j) in zip(found, pairs, strict=True):
        row[:half] = (int(i) >> np.arange(half)) & 1
        row[half:] = (j >> np.arange(k - half)) & 1
    return found


def _subset_sums(steps: Array) -> Array:
    """Return the sums of all subsets; bit i of a subset's place tells whether it contains step i."""
    sums = np.zeros(1)
    for step in steps:
        sums = np.concatenate([sums, sums + step])
    return sums


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

"""Correspondence of the neurons of two networks: an assignment that is optimal in total distance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from relunet import _relunet
from relunet._typing import Array
from relunet.network.parameters import Parameters

__all__ = ["NeuronMatch", "match"]


class NeuronMatch(NamedTuple):
    """How the neurons of one network correspond to those of another; see `ReLUNetwork.match`.

    Attributes
    ----------
    permutation : ndarray of shape (k,), intp
        Index of the other network's neuron for each neuron of this one; -1 where there is none.
    flipped : ndarray of shape (k,), bool
        Whether the matched neuron points the other way: its active side is this neuron's inactive one.
    distances : ndarray of shape (k,), float64
        Distance of each neuron from its match, ``sqrt(E | output_weights |weights.x + bias| / 2 - ... |**2)``. The
        norm of the neuron where it has no match.
    """

    permutation: NDArray[np.intp]
    flipped: NDArray[np.bool_]
    distances: Array


def match(f: Parameters, g: Parameters, mean: Array | None, cov: Array | None) -> NeuronMatch:
    """Return the assignment of the neurons of `f` to those of `g`; see `ReLUNetwork.match`."""
    cost, norms = _relunet.neuron_distances(f, g, mean, cov)
    if len(f.weights) <= len(g.weights):
        rows, columns = np.arange(len(f.weights)), assignment(cost)
    else:
        rows, columns = assignment(cost.T), np.arange(len(g.weights))
    permutation = np.full(len(f.weights), -1, dtype=np.intp)
    permutation[rows] = columns
    flipped, distances = np.zeros(len(cost), dtype=bool), norms.copy()
    distances[rows] = cost[rows, columns]
    inner = (f.weights[rows] * g.weights[columns]).sum(axis=1)
    flipped[rows] = inner + f.biases[rows] * g.biases[columns] < 0.0
    return NeuronMatch(permutation, flipped, distances)


def assignment(cost: Array) -> NDArray[np.intp]:
    """Return the column of each row in a cheapest assignment of all rows to different columns.

    There must be at least as many columns as rows. One shortest augmenting path per row is found on reduced costs
    (Jonker and Volgenant 1987).
    """
    n_rows, n_columns = cost.shape
    row_price, column_price = np.zeros(n_rows), np.zeros(n_columns)
    column_of = np.full(n_rows, -1, dtype=np.intp)
    row_of = np.full(n_columns, -1, dtype=np.intp)
    for start in range(n_rows):
        length = np.full(n_columns, np.inf)
        before = np.full(n_columns, -1, dtype=np.intp)
        done = np.zeros(n_columns, dtype=bool)
        row, shortest, column = start, 0.0, -1
        while row >= 0:
            step = shortest + cost[row] - row_price[row] - column_price
            better = ~done & (step < length)
            length[better], before[better] = step[better], row
            column = int(np.where(done, np.inf, length).argmin())
            shortest = length[column]
            done[column] = True
            row = int(row_of[column])
        row_price[start] += shortest
        taken = done & (row_of >= 0)
        row_price[row_of[taken]] += shortest - length[taken]
        column_price[done] -= shortest - length[done]
        row = -1
        while row != start:
            row = int(before[column])
            row_of[column] = row
            column_of[row], column = column, int(column_of[row])
    return column_of

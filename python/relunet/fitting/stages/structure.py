"""Tests for structure in residuals: whether their mean depends on the inputs, for any variance of the noise.

The null hypothesis is that each residual has mean zero given the inputs. Then products of residuals of neighbouring
rows have mean zero, sums of residuals over the rows in a slice of a direction have the variance Σ e², and the moment Σ
e (z zᵀ - I) is as large as for random signs of the residuals.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relunet._typing import Array
from relunet.linalg import eigh, matmul

__all__ = ["LOOKED_ALONG", "heavy_tails", "mean_structure", "steepest_directions"]

# Largest number of directions along which structure of the residual is tested, and the smallest mean squared slope
# along one of them, relative to the largest.
LOOKED_ALONG, STEEP = 16, 1e-3

# Number of rows in the comparison of neighbours, and number of neighbours of a row.
ROWS, NEIGHBOURS = 3000, 3
# Numbers of leading directions in which rows are compared with their neighbours, in addition to all directions.
WIDTHS = (2, 3, 5)
# Number of slices of a direction, and of draws of random signs.
SLICES, DRAWS = 24, 16
# Number of rows for the moment, and largest number of features for which it is computed.
MOMENT_ROWS, MOMENT_FEATURES = 20_000, 200
# Tails are heavy if the share TAIL of the largest squares is more than the share HEAVY of the sum of squares.
TAIL, HEAVY = 0.01, 0.25
# Smallest number of rows for which tails are tested.
TAIL_ROWS = 200


def mean_structure(z: Array, residual: Array, directions: Array, seed: int) -> float:
    """Return the largest of several test statistics for a mean that depends on the inputs, in standard errors.

    Parameters
    ----------
    z : ndarray of shape (n, r)
        Whitened rows.
    residual : ndarray of shape (n,)
        Residuals times the square roots of the row weights.
    directions : ndarray of shape (r, q)
        Orthonormal directions, as columns, along which structure is likely, the likeliest first.
    seed : int
        Seed of the random signs.
    """
    if not np.any(residual) or len(z) < 2 * SLICES:
        return 0.0
    along = matmul(z, directions)
    found = [_of_slices(column, residual) for column in along.T]
    # Rows are neighbours in few dimensions only: what depends on two features is not seen in ten.
    widths = {width for width in WIDTHS if width < along.shape[1]} | {along.shape[1]} - {0, 1}
    found += [_of_neighbours(along[:ROWS, :width], residual[:ROWS]) for width in sorted(widths)]
    if along.shape[1] < z.shape[1]:
        found.append(_of_neighbours(z[:ROWS], residual[:ROWS]))
    if z.shape[1] <= MOMENT_FEATURES:
        found.append(_of_moment(z[:MOMENT_ROWS], residual[:MOMENT_ROWS], seed))
    return max(found)


def steepest_directions(neurons: Array, output_weights: Array, active: NDArray[np.bool_], weight: Array) -> Array:
    """Return the directions, as columns, on which neurons depend, by decreasing mean squared slope.

    They are eigenvectors of the covariance of the slopes, summed over outputs: Wᵀ (cov(active) ∘ CᵀC) W.

    Parameters
    ----------
    neurons : ndarray of shape (k, r)
        Weights W of the neurons.
    output_weights : ndarray of shape (m, k)
        Output weights C.
    active : ndarray of shape (n, k)
        Which neurons are active at rows.
    weight : ndarray of shape (n,)
        Weights of these rows.
    """
    share = (weight / np.sum(weight))[:, None]
    centred = (active - np.sum(share * active, axis=0)) * np.sqrt(share)
    covariance = matmul(centred.T, centred) * matmul(output_weights.T, output_weights)
    values, vectors = eigh(matmul(neurons.T, matmul(covariance, neurons)))
    order = np.argsort(values)[::-1]
    kept: Array = vectors[:, order[values[order] > STEEP * values[order[0]]]]
    return kept


def heavy_tails(residual: Array) -> bool:
    """Return whether a few residuals dominate the sum of squares, so that a robust loss would be more precise."""
    squares = np.sort(residual**2)[::-1]
    total = float(np.sum(squares))
    return (
        len(squares) >= TAIL_ROWS
        and total > 0
        and float(np.sum(squares[: max(int(TAIL * len(squares)), 1)])) > HEAVY * total
    )


def _of_slices(height: Array, residual: Array) -> float:
    """Return the excess of Σ (Σ e)²/Σ e² over slices of a direction over its expectation, in standard deviations."""
    order = np.argsort(height, kind="stable")
    edges = np.linspace(0, len(order), SLICES + 1).astype(int)[:-1]
    sums, squares = np.add.reduceat(residual[order], edges), np.add.reduceat(residual[order] ** 2, edges)
    seen = squares > 0
    statistic = float(np.sum(sums[seen] ** 2 / squares[seen]))
    return (statistic - float(np.sum(seen))) / float(np.sqrt(2 * SLICES))


def _of_neighbours(z: Array, residual: Array) -> float:
    """Return Σ e_i e_j over pairs of neighbouring rows, in standard deviations."""
    n = len(z)
    size = np.sum(z**2, axis=1)
    distance = size[:, None] + size - 2 * matmul(z, z.T)
    np.fill_diagonal(distance, np.inf)
    nearest = np.argpartition(distance, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    rows = np.repeat(np.arange(n), NEIGHBOURS)
    others = nearest.ravel()
    pairs = np.unique(np.minimum(rows, others) * n + np.maximum(rows, others))
    products = residual[pairs // n] * residual[pairs % n]
    spread = float(np.sqrt(np.sum(products**2)))
    return float(np.sum(products)) / spread if spread > 0 else 0.0


def _of_moment(z: Array, residual: Array, seed: int) -> float:
    """Return the excess of the largest eigenvalue of Σ e (z zᵀ - I) over that with random signs, in deviations."""
    signs = np.random.Generator(np.random.PCG64(seed)).integers(0, 2, (DRAWS, len(z))) * 2.0 - 1

    def largest(e: Array) -> float:
        moment = matmul((z * e[:, None]).T, z) - np.sum(e) * np.eye(z.shape[1])
        return float(np.max(np.abs(eigh(moment)[0])))

    drawn = np.array([largest(residual * row) for row in signs])
    spread = float(np.std(drawn)) + 0.02 * float(np.mean(drawn))
    return (largest(residual) - float(np.mean(drawn))) / spread if spread > 0 else 0.0

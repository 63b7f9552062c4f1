"""Epsilon-nets over the unit vectors of a subspace V and over [-R, R], and their refinements.

|u·x| is the same for u and -u, so that a net over lines, that is, over half the sphere, is sufficient.
"""

from __future__ import annotations

import math

import numpy as np

from relunet._typing import Array
from relunet.errors import ArgumentError

__all__ = ["finer", "interval_net", "log10_lines", "sphere_net"]


# log10 of the largest number of elements of a net that is stored.
MAX_LOG10_LINES = 7.0


def sphere_net(r: int, granularity: float) -> Array:
    """Return a net over the lines of R^r, such that every unit vector is within `granularity` of an element up to sign.

    The net is a grid in polar angles, with mesh 2 granularity/√(r-1) along every latitude. The distance of a point from
    the grid is at most half the diagonal of a cell.

    Parameters
    ----------
    r : int
        Dimension, at least 1.
    granularity : float
        Granularity, which is υ in Lemma 13 and ξ/2 in NetLearn.

    Returns
    -------
    ndarray of shape (n, r)
        Unit vectors, as rows.

    Raises
    ------
    ArgumentError
        `r` is below 1, or the granularity is not positive or so small that the net does not fit into memory, as those
        of the theorems.

    Examples
    --------
    >>> from relunet.theory.nets import sphere_net
    >>> len(sphere_net(1, 0.1)), len(sphere_net(2, 0.1)), len(sphere_net(3, 0.1))
    (1, 16, 352)
    """
    if r < 1:
        raise ArgumentError(f"r: {r}, expected at least 1")
    if not granularity > 0:
        raise ArgumentError(f"granularity: {granularity}, expected a positive number")
    if log10_lines(r, granularity) > MAX_LOG10_LINES:
        size = f"about 10**{log10_lines(r, granularity):.0f} elements in {r} dimensions"
        raise ArgumentError(f"granularity: {granularity:g} gives a net of {size}, expected fewer than 10**7")
    return _half_sphere(r, 2 * granularity / math.sqrt(max(r - 1, 1)))


def _half_sphere(r: int, mesh: float) -> Array:
    if r == 1:
        return np.ones((1, 1))
    if r == 2:
        angles = np.pi * np.arange(math.ceil(np.pi / mesh)) / math.ceil(np.pi / mesh)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    n = math.ceil(np.pi / 2 / mesh)
    rows = [np.eye(r)[:1]]
    for j in range(1, n + 1):
        angle = np.pi / 2 * j / n
        # Only on the equator do u and -u both belong to the half sphere, and they are one line.
        ring = (_half_sphere if j == n else _sphere)(r - 1, mesh / math.sin(angle))
        rows.append(np.concatenate([np.full((len(ring), 1), math.cos(angle)), math.sin(angle) * ring], axis=1))
    return np.concatenate(rows)


def _sphere(r: int, mesh: float) -> Array:
    half = _half_sphere(r, mesh)
    return np.concatenate([half, -half])


def log10_lines(r: int, granularity: float) -> float:
    """Return log10 of the approximate size of `sphere_net`, the area of half a sphere divided by that of a cell."""
    if r == 1:
        return 0.0
    log_mesh = math.log(2 * granularity / math.sqrt(r - 1))
    log_area = math.log(2) + r / 2 * math.log(math.pi) - math.lgamma(r / 2)
    return max(0.0, (log_area - math.log(2) - (r - 1) * log_mesh) / math.log(10))


def finer(points: Array, mesh: float) -> Array:
    """Return each point and its neighbours at distance `mesh` in both directions of an orthonormal tangent basis.

    These are the nearby elements of a finer net. The finer net is thus searched near a few promising elements without
    being stored.

    Parameters
    ----------
    points : ndarray of shape (..., r)
        Unit vectors.
    mesh : float
        Distance between the elements of the finer net.

    Returns
    -------
    ndarray of shape (..., 1 + 2(r-1), r)
        Unit vectors, each point followed by its neighbours.
    """
    r = points.shape[-1]
    # The reflection that maps the first axis to the point maps the other axes to a tangent basis.
    sign = np.where(points[..., :1] > 0, -1.0, 1.0)
    normal = points - sign * np.eye(r)[0]
    normal = normal / np.sqrt(np.sum(normal**2, axis=-1, keepdims=True))
    tangent = np.eye(r)[1:] - 2 * normal[..., None, 1:].swapaxes(-1, -2) * normal[..., None, :]
    moved = points[..., None, :] + mesh * np.concatenate([tangent, -tangent], axis=-2)
    moved = moved / np.sqrt(np.sum(moved**2, axis=-1, keepdims=True))
    return np.concatenate([points[..., None, :], moved], axis=-2)


def interval_net(bound: float, granularity: float) -> Array:
    """Return an equidistant net over [-bound, bound], which is S_λ in Lemma 16 and N_λ in NetLearn."""
    if not (bound > 0 and granularity > 0):
        raise ArgumentError(f"bound, granularity: {bound}, {granularity}, expected positive numbers")
    n = math.ceil(bound / granularity)
    return np.linspace(-bound, bound, n + 1)

"""Helpers for tests of published statements: explicit tensors and random networks."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import strategies as st

seeds = st.integers(0, 2**32 - 1)


def unit_rows(rng, k, d):
    rows = rng.standard_normal((k, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def power(u, n):
    """Return u ⊗ ... ⊗ u, n times."""
    out = np.ones(())
    for _ in range(n):
        out = np.multiply.outer(out, u)
    return out


def tensor(lam, u, degree):
    """T_l(λ, u) = Σ λ_i u_i^{⊗l}."""
    return sum(
        (weight * power(row, degree) for weight, row in zip(lam, u, strict=True)), np.zeros((u.shape[1],) * degree)
    )


def matrix(lam, u, g, degree):
    """M_l^g(λ, u) = Σ λ_i <u_i, g>^(l-2) u_i u_iᵀ."""
    return (u.T * (lam * (u @ g) ** (degree - 2))) @ u


def hermite(n, t):
    previous, current = np.zeros_like(t), np.ones_like(t)
    for j in range(n):
        previous, current = current, t * current - j * previous
    return current


def hermite_tensors(x, degree, divide=False):
    """Return the plain Hermite tensors of rows x; with entries divided by Π √n_j!, the papers' S_l, if asked."""
    d = x.shape[1]
    values = np.array([hermite(n, x) / (math.sqrt(math.factorial(n)) if divide else 1.0) for n in range(degree + 1)])
    out = np.empty((len(x),) + (d,) * degree)
    for index in itertools.product(range(d), repeat=degree):
        out[(slice(None), *index)] = np.prod([values[index.count(j), :, j] for j in range(d)], axis=0)
    return out


def gaussian_plane(kinks, nodes=40):
    """Points and weights that integrate f(x) φ(x) over R², exactly for f homogeneous by pieces between the kinks.

    `kinks` are the normals of the lines on which f is not smooth. f must be a polynomial along every ray.
    """
    normals = np.arctan2(kinks[:, 1], kinks[:, 0])
    angles = np.sort(np.mod(np.concatenate([normals + np.pi / 2, normals - np.pi / 2]), 2 * np.pi))
    edges = np.concatenate([angles, [angles[0] + 2 * np.pi]])
    legendre, legendre_weight = np.polynomial.legendre.leggauss(nodes)
    theta = ((edges[1:] + edges[:-1])[:, None] + np.diff(edges)[:, None] * legendre).ravel() / 2
    theta_weight = (np.diff(edges)[:, None] / 2 * legendre_weight).ravel()
    radius, radius_weight = np.polynomial.legendre.leggauss(200)
    radius, radius_weight = 7 * (radius + 1), 7 * radius_weight
    density = radius * np.exp(-(radius**2) / 2) * radius_weight / (2 * np.pi)
    points = radius[:, None, None] * np.stack([np.cos(theta), np.sin(theta)], axis=-1)
    return points.reshape(-1, 2), (density[:, None] * theta_weight).ravel()

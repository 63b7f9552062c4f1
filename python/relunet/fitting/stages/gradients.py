"""The second stage where rows are few: the directions along which a smooth fit to the rows varies most.

Slices need many rows and inputs that are nearly Gaussian. Few rows of a smooth function, such as the table of a
simulator, show more through a regression: an affine function plus a Gaussian kernel exp(-(x - x')ᵀ M (x - x') / 2h),
whose mean gradient outer product C = E[∇f ∇fᵀ] has a closed form. C is in turn a better metric M than the one it was
fitted with, because rows that differ only where f is flat become neighbours. The two are iterated, as in [RBPB24]; for
local linear regression see [XTLZ02]. The length scale h and the penalty minimise generalised cross-validation. Features
are in units of their standard deviations.

[RBPB24] Radhakrishnan, Beaglehole, Pandit, Belkin, "Mechanism for feature learning in neural networks and
backpropagation-free machine learning models", Science 383 (2024).
[XTLZ02] Xia, Tong, Li, Zhu, "An adaptive estimation of dimension reduction space", JRSS B 64 (2002).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relunet._typing import Array
from relunet.fitting.leaving_out import left_out
from relunet.linalg import eigh, matmul, svd

__all__ = ["GradientDirections", "gradient_directions"]

# Most centres of the kernel, and squared length scales that are tried, in units of the median squared distance.
CENTRES, SCALES = 320, (0.5, 1.0, 2.0, 4.0, 16.0, 64.0)
# Penalties of the kernel's coefficients, in units of the largest eigenvalue.
PENALTIES = np.logspace(2, -9, 23)
# Part of the metric that stays isotropic, so that no direction is lost for good.
ISOTROPIC = 0.05
# Most updates of the metric, and the relative change of the metric at which they end.
UPDATES, SETTLED = 24, 5e-3
# Singular values below this part of the largest are rounding.
DEPENDENT = 1e-9
# Kernel matrices are positive definite up to rounding: eigenvalues below this part of the largest are dropped.
KERNEL_RANK = 1e-12
# Degrees of freedom for each row that are left to a fit that interpolates, at least.
TINY = 1e-13


@dataclass(frozen=True)
class GradientDirections:
    """Directions of the mean gradient outer product of a smooth fit.

    Attributes
    ----------
    directions : ndarray of shape (d, d)
        Orthonormal directions, as columns, in units of the features' standard deviations, by decreasing mean square of
        the derivative.
    n_needed : int
        Along how many of them the mean square of the derivative exceeds the mean square of the leave-one-out residuals.
    beyond : ndarray of shape (d, d)
        The same of the gradient less its mean: directions on which the labels depend beyond an affine function.
    n_beyond : int
        The same number for these.
    """

    directions: Array
    n_needed: int
    beyond: Array
    n_beyond: int


@dataclass(frozen=True)
class _Rows:
    """Standardised rows, their labels and the affine part of a fit, which has no penalty unless rows are very few."""

    z: Array
    y: Array
    weight: Array
    basis: Array
    coefficients: Array

    @classmethod
    def of(cls, z: Array, y: Array, weight: Array, ridge: float) -> _Rows:
        """Return rows with the orthonormal basis of affine functions on them, and of the rows that their ridge adds."""
        n, d = z.shape
        root = np.sqrt(weight)[:, None]
        design = np.concatenate([root, root * z], axis=1)
        if ridge > 0:
            added = np.concatenate([np.zeros((d, 1)), np.sqrt(ridge * n) * np.eye(d)], axis=1)
            design = np.concatenate([design, added])
        u, s, vt = svd(design)
        kept = s > DEPENDENT * s[0]
        return cls(z, y, weight, u[:, kept], vt[kept].T / s[kept])

    @property
    def top(self) -> Array:
        """Part of the basis that belongs to rows, not to their ridge."""
        return np.ascontiguousarray(self.basis[: len(self.y)])


@dataclass(frozen=True)
class _Fit:
    """An affine function plus a kernel: its generalised cross-validation, leave-one-out squares and gradients."""

    risk: float
    scale: int
    squares: Array
    gradients: Array


def gradient_directions(z: Array, y: Array, weight: Array, ridge: float, starts: Sequence[Array]) -> GradientDirections:
    """Find the directions along which labels vary most.

    Parameters
    ----------
    z : ndarray of shape (n, d)
        Features, centred and in units of their standard deviations.
    y : ndarray of shape (n,)
        Labels, of mean zero and variance one.
    weight : ndarray of shape (n,)
        Weights of the rows, of mean one.
    ridge : float
        Penalty of the slopes, in units of the variance of a feature.
    starts : sequence of ndarray of shape (d, d)
        Metrics from which the iteration starts, beside the isotropic one. The best fit decides.
    """
    rows = _Rows.of(z, y, weight, ridge)
    d = z.shape[1]
    best = min((_settled(rows, start) for start in (np.eye(d), *starts)), key=lambda fit: fit.risk)
    gradients = best.gradients
    mean = np.sum(weight[:, None] * gradients, axis=0) / len(y)
    directions, energies = _spectrum(gradients, weight)
    beyond, varying = _spectrum(gradients - mean, weight)
    # Along a direction labels vary by no more than its energy (Poincaré): below the risk, that may be error.
    unexplained = max(best.risk, float(np.mean(weight * best.squares)))
    n_needed, n_beyond = (int(np.sum(each > unexplained)) for each in (energies, varying))
    return GradientDirections(directions, n_needed, beyond, n_beyond)


def _settled(rows: _Rows, metric: Array) -> _Fit:
    """Return the fit of least risk while metric and mean gradient outer product are iterated from a metric."""
    d = len(metric)
    tried = range(len(SCALES))
    for _ in range(UPDATES):
        fit = _fitted(rows, metric, tried)
        products = _products(fit.gradients, rows.weight)
        size = float(np.trace(products))
        if not size > 0:
            break
        before, metric = metric, (1 - ISOTROPIC) * d / size * products + ISOTROPIC * np.eye(d)
        if np.sum((metric - before) ** 2) <= SETTLED**2 * np.sum(metric**2):
            break
        tried = _near(fit.scale)
    return fit


def _near(scale: int) -> range:
    """Return a length scale and its neighbours."""
    return range(max(scale - 1, 0), min(scale + 2, len(SCALES)))


def _products(gradients: Array, weight: Array) -> Array:
    """Return the mean outer product of gradients."""
    return matmul((gradients * weight[:, None]).T.copy(), gradients) / len(weight)


def _spectrum(gradients: Array, weight: Array) -> tuple[Array, Array]:
    """Return eigenvectors, as columns, and eigenvalues of the mean outer product of gradients, descending."""
    values, vectors = eigh(_products(gradients, weight))
    return vectors[:, ::-1].copy(), np.maximum(values[::-1], 0.0)


def _fitted(rows: _Rows, metric: Array, scales: Sequence[int]) -> _Fit:
    """Fit an affine function and a kernel of a metric, at the length scale and the penalty of least risk."""
    z, n = rows.z, len(rows.y)
    # Evenly spaced by label: a choice that does not depend on units or on the order of rows.
    chosen = np.argsort(rows.y, kind="stable")[np.linspace(0, n - 1, min(n, CENTRES)).astype(int)]
    centres = z[chosen]
    mapped = matmul(z, metric)
    lengths = np.sum(mapped * z, axis=1)
    distances = lengths[:, None] + lengths[chosen] - 2 * matmul(mapped, centres.T.copy())
    np.maximum(distances, 0.0, out=distances)
    median = float(np.median(distances))
    root, top = np.sqrt(rows.weight)[:, None], rows.top
    inside = matmul(rows.basis[:n].T.copy(), root[:, 0] * rows.y)
    rest = root[:, 0] * rows.y - matmul(top, inside)
    leverage = np.sum(top**2, axis=1)
    best: _Fit | None = None
    for scale in scales:
        h = SCALES[scale] * median if median > 0 else 1.0
        kernel = np.exp(-distances / (2 * h))
        values, vectors = eigh(kernel[chosen])
        kept = values > KERNEL_RANK * values[-1]
        features = matmul(kernel, vectors[:, kept] / np.sqrt(values[kept]))
        weighted = root * features
        within = matmul(top.T.copy(), weighted)
        gram = matmul(weighted.T.copy(), weighted) - matmul(within.T.copy(), within)
        v, axes = eigh((gram + gram.T) / 2)
        shown = v > KERNEL_RANK * max(v[-1], 1e-300)
        if not np.any(shown) or v[-1] <= KERNEL_RANK * n:
            continue
        v, axes = v[shown], axes[:, shown]
        scores = matmul(weighted - matmul(top, within), axes) / np.sqrt(v)
        against = matmul(scores.T.copy(), root[:, 0] * rows.y)
        # What the penalties leave of each score; sums of it keep their digits where a fit nearly interpolates.
        left = PENALTIES / (v[:, None] / v[-1] + PENALTIES)
        shrunk = v[:, None] / (v[:, None] + v[-1] * PENALTIES)
        residuals = rest[:, None] - matmul(scores, shrunk * against[:, None])
        squared = scores**2
        free = np.maximum(1 - leverage - np.sum(squared, axis=1), 0.0)
        degrees = np.sum(free) + matmul(np.sum(squared, axis=0), left)
        risks = np.mean(residuals**2, axis=0) / np.maximum(degrees / n, TINY) ** 2
        least = int(np.argmin(risks))
        if best is None or risks[least] < best.risk:
            factor = shrunk[:, least]
            beta = matmul(axes, factor * against / np.sqrt(v))
            alpha = matmul(vectors[:, kept] / np.sqrt(values[kept]), beta)
            taken = root[:, 0] * rows.y - matmul(weighted, beta)
            slope = matmul(rows.coefficients, matmul(top.T.copy(), taken))[1:]
            products = kernel * alpha
            pulled = np.sum(products, axis=1)[:, None] * z - matmul(products, centres)
            gradients = slope - matmul(pulled, metric) / h
            out = residuals[:, least] / root[:, 0] / np.maximum(free + matmul(squared, left[:, least]), TINY)
            best = _Fit(float(risks[least]), scale, out**2, gradients)
    if best is None:
        squares = _without_kernel(rows)
        slope = matmul(rows.coefficients, inside)[1:]
        return _Fit(float(np.mean(squares)), scales[0], squares, np.broadcast_to(slope, z.shape).copy())
    return best


def _without_kernel(rows: _Rows) -> Array:
    """Return the leave-one-out squares of the affine part alone."""
    root, top = np.sqrt(rows.weight), rows.top
    residual = rows.y - matmul(top, matmul(top.T.copy(), root * rows.y)) / root
    return left_out(residual, np.sum(top**2, axis=1), rows.y)

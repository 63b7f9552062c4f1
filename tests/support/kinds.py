"""Helpers for tests of accumulators: one of every kind, rows, and NumPy implementations of the sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermeval

from relunet import ReLUNetwork
from relunet.moments import (
    Accumulator,
    ContractionMoments,
    CurvatureMoments,
    GradientMoments,
    InputMoments,
    RiskMoments,
    RowSample,
    SketchMoments,
    SliceMoments,
)

Array = np.ndarray[Any, np.dtype[Any]]

DEGREES = (2, 3, 4, 7)
EDGES = (-0.5, 0.0, 1.0)
VALUES = ((1.0, -2.0), (1.0, 0.0), (1.0, 0.5), (1.0, 3.0))
HALF = 2**63


def network(d: int, k: int = 3, seed: int = 7) -> ReLUNetwork:
    rng = np.random.default_rng([seed, d, k])
    weights, linear = rng.standard_normal((k, d)) / math.sqrt(d), rng.standard_normal(d)
    return ReLUNetwork(weights, rng.standard_normal(k), rng.standard_normal(k), linear, 0.3)


def directions(d: int, m: int = 2) -> Array:
    g = np.random.default_rng([11, d]).standard_normal((m, d))
    return g / np.linalg.norm(g, axis=1, keepdims=True)


def data(n: int, d: int, seed: int = 0) -> tuple[Array, Array, Array]:
    """Inputs, labels with ties, weights with zeros."""
    rng = np.random.default_rng([seed, n, d])
    return rng.standard_normal((n, d)), np.round(2 * rng.standard_normal(n)) / 2, rng.integers(0, 4, n) / 2


KINDS: dict[str, Callable[[int], Accumulator]] = {
    "input": InputMoments,
    "contraction": lambda d: ContractionMoments(d, directions(d), DEGREES),
    "residual contraction": lambda d: ContractionMoments(d, directions(d)[0], DEGREES, network(d)),
    "slice": lambda d: SliceMoments(d, EDGES),
    "residual slice": lambda d: SliceMoments(d, EDGES, network(d)),
    "gradient": lambda d: GradientMoments(network(d)),
    "curvature": lambda d: CurvatureMoments(network(d)),
    "risk": lambda d: RiskMoments(network(d)),
    "rows": lambda d: RowSample(d, HALF, 5),
    "projected rows": lambda d: RowSample(d, HALF, 5, directions(d)),
    "sketch": lambda d: SketchMoments(d, directions(d, 11), EDGES, VALUES),
    "residual sketch": lambda d: SketchMoments(d, directions(d, 2), EDGES, VALUES, network(d)),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def facts(accumulator: Accumulator) -> dict[str, Array]:
    """Return all attributes of an accumulator."""
    match accumulator:
        case InputMoments():
            names = ["weight", "mean", "cov", "label_mean", "label_var", "label_cov"]
        case ContractionMoments():
            return {f"degree {degree}": value for degree, value in accumulator.contractions().items()}
        case SliceMoments():
            names = ["weights", "vectors", "grams"]
        case GradientMoments():
            names = ["risk", "gradient"]
        case CurvatureMoments():
            names = ["normal_matrix"]
        case RiskMoments():
            names = ["weight", "risk", "risk_variance", "largest_residual"]
        case SketchMoments():
            names = ["weights", "vectors", "products", "squares"]
        case RowSample():
            return dict(zip(["hashes", "x", "y", "weight"], accumulator.rows(), strict=True))
        case _:
            raise AssertionError(accumulator)
    return {name: np.asarray(getattr(accumulator, name)) for name in names}


def assert_same_facts(accumulator: Accumulator, expected: dict[str, Array], tolerance: float = 1e-12) -> None:
    told = facts(accumulator)
    assert told.keys() == expected.keys()
    for name, value in expected.items():
        scale = max(1.0, float(np.max(np.abs(value), initial=0.0)))
        np.testing.assert_allclose(told[name], value, rtol=0, atol=tolerance * scale, err_msg=name)


def hermite(n: int, t: Array) -> Array:
    return hermeval(t, [0] * n + [1]) if n >= 0 else np.zeros_like(t)


def value_of(f: ReLUNetwork, X: Array) -> Array:
    return f.intercept + X @ f.linear + np.maximum(X @ f.weights.T + f.biases, 0) @ f.output_weights


def twin(kind: str, X: Array, y: Array, w: Array) -> dict[str, Array]:
    """What the accumulators of KINDS compute, in NumPy."""
    d, total = X.shape[1], w.sum()
    f = network(d)
    residual = y - value_of(f, X)
    on = np.column_stack([X @ f.weights.T + f.biases > 0, np.ones(len(X))])
    extended = np.column_stack([X, np.ones(len(X))])
    if kind == "input":
        columns = np.column_stack([X, y])
        mean = w @ columns / total
        cov = (w[:, None] * (columns - mean)).T @ (columns - mean) / total
        told = [total, mean[:-1], cov[:-1, :-1], mean[-1], cov[-1, -1], cov[-1, :-1]]
        return dict(zip(["weight", "mean", "cov", "label_mean", "label_var", "label_cov"], told, strict=True))
    if kind.endswith("contraction"):
        label = w * (residual if kind.startswith("residual") else y) / total
        told = {}
        for degree in DEGREES:
            each = [contraction(X, label, g, degree) for g in directions(d)]
            told[f"degree {degree}"] = each[0] if kind.startswith("residual") else np.array(each)
        return told
    if kind.endswith("slice"):
        place = np.searchsorted(EDGES, residual if kind.startswith("residual") else y, side="right")
        weights = [w * (place == h) for h in range(len(EDGES) + 1)]
        told = [[v.sum() for v in weights], [v @ X for v in weights], [(v[:, None] * X).T @ X for v in weights]]
        return dict(zip(["weights", "vectors", "grams"], map(np.array, told), strict=True))
    if kind.endswith("sketch"):
        label, v = (residual, directions(d, 2)) if kind.startswith("residual") else (y, directions(d, 11))
        weights = w * np.array(VALUES)[np.searchsorted(EDGES, label, side="right")].T
        products = np.array([(weight[:, None] * (X @ v.T)).T @ X for weight in weights])
        return {"weights": weights.sum(axis=1), "vectors": weights @ X, "products": products, "squares": w @ X**2}
    if kind == "gradient":
        gradient = (on * (w * residual)[:, None]).T @ extended / total
        return {"risk": w @ residual**2 / total, "gradient": gradient}
    if kind == "curvature":
        jacobian = (on[:, :, None] * extended[:, None, :]).reshape(len(X), -1)
        return {"normal_matrix": (w[:, None] * jacobian).T @ jacobian / total}
    if kind == "risk":
        risk = w @ residual**2 / total
        variance = w**2 @ (residual**2 - risk) ** 2 / total**2
        largest = np.abs(residual[w > 0]).max()
        return {"weight": total, "risk": risk, "risk_variance": variance, "largest_residual": largest}
    raise AssertionError(kind)


def contraction(X: Array, label: Array, g: Array, degree: int) -> Array:
    """Σ label H_l(x)[g,..,g,:,:] by the formula."""
    t, eye, j = X @ g, np.eye(len(g)), degree - 2
    top, middle, low = (label * hermite(n, t) for n in (j, j - 1, j - 2))
    cross = np.outer(g, middle @ X)
    matrix = (top[:, None] * X).T @ X - top.sum() * eye
    return matrix - j * (cross + cross.T) + j * (j - 1) * low.sum() * np.outer(g, g)

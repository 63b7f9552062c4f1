"""The subspaces on the cases of the tests of statsmodels.regression.dimred, beside its own estimators."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.regression import dimred

from relunet import ReLUSubspace


def cosine(found, direction):
    """Length of the projection of a unit vector on the subspace."""
    return np.linalg.norm(found.subspace_.T @ direction) / np.linalg.norm(direction)


def best_of_statsmodels(y, X, direction, n_directions=1):
    found = []
    for model in (dimred.SlicedInverseReg, dimred.SAVE, dimred.PHD):
        basis = np.linalg.qr(np.asarray(model(y, X).fit().params)[:, :n_directions])[0]
        found.append(np.linalg.norm(basis.T @ direction) / np.linalg.norm(direction))
    return max(found)


def test_poisson():
    rng = np.random.RandomState(43242)
    X = rng.normal(size=(500, 5))
    X[:, 1] = 0.5 * X[:, 0] + np.sqrt(0.75) * X[:, 1]
    X[:, 3] = 0.5 * X[:, 2] + np.sqrt(0.75) * X[:, 3]
    b = np.array([0, 1, -1, 0, 0.5])
    y = rng.poisson(np.exp(X @ b)).astype(float)
    found = ReLUSubspace(1).fit(X, y)
    # statsmodels asks for 0.95.
    assert cosine(found, b) > 0.98


def test_two_directions_of_a_ratio():
    rng = np.random.RandomState(93482)
    X = rng.normal(size=(1000, 10))
    first, second = np.linspace(-1, 1, 10), np.ones(10)
    y = X @ second / (1 + (X @ first) ** 2) + rng.normal(size=1000)
    found = ReLUSubspace(2).fit(X, y)
    for direction in (first, second):
        assert cosine(found, direction) > max(0.95, best_of_statsmodels(y, X, direction, 2) - 0.02)


def test_a_line_under_noise():
    rng = np.random.RandomState(93482)
    X = rng.normal(size=(1000, 10))
    b = np.r_[1, 1, -1, -1, np.zeros(6)]
    y = X @ b + rng.normal(size=1000)
    with pytest.warns(UserWarning, match="only that of the affine function"):
        found = ReLUSubspace().fit(X, y)
    assert found.n_components_ == 1
    assert cosine(found, b) > max(0.99, best_of_statsmodels(y, X, b) - 1e-3)


def test_a_line_and_an_arc_tangent():
    rng = np.random.RandomState(93482)
    X = rng.normal(size=(1000, 10))
    first, second = np.r_[1, 1, -1, -1, np.zeros(6)], np.r_[np.zeros(4), 1, 1, -1, -1, 0, 0]
    y = X @ first + np.arctan(X @ second) + rng.normal(size=1000)
    found = ReLUSubspace(2).fit(X, y)
    # The noise hides most of the curvature: no method sees both directions well.
    for direction in (first, second):
        assert cosine(found, direction) > best_of_statsmodels(y, X, direction, 2)

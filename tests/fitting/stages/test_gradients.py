"""Few rows: the directions of the gradients of a smooth fit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from relunet import ReLUSubspace, teachers
from relunet.fitting.stages.gradients import PENALTIES, SCALES, _fitted, _Rows


def share(found, gradients):
    """Energy of gradients in a span, relative to that in the best span of as many directions."""
    products = gradients.T @ gradients
    basis = np.linalg.qr(found.subspace_)[0]
    best = np.linalg.eigvalsh(products)[-basis.shape[1] :].sum()
    return np.trace(basis.T @ products @ basis) / best


def sine(basis, columns):
    inside = np.linalg.qr(columns)[0]
    return np.linalg.norm(inside - basis @ (basis.T @ inside), 2)


def same_up_to_sign(components, others):
    """The sign of a component depends on units: its largest entry is positive."""
    signs = np.sign(np.sum(components * others, axis=1, keepdims=True))
    np.testing.assert_allclose(components * signs, others, rtol=0, atol=1e-6)


SMOOTH = {
    "product": (2, lambda t: t[:, 0] * t[:, 1] + 0.2 * t[:, 0]),
    "wave": (1, lambda t: np.sin(1.5 * t[:, 0]) + 0.3 * t[:, 0]),
    "even": (1, lambda t: np.exp(-(t[:, 0] ** 2))),
    "kinks": (2, lambda t: np.abs(t[:, 0]) - 0.7 * np.maximum(t[:, 1] - 0.3, 0)),
}


@pytest.mark.parametrize("law", ["uniform", "normal"])
@pytest.mark.parametrize("name", SMOOTH)
def test_ridge_functions_of_few_rows(name, law):
    rank, function = SMOOTH[name]
    rng = np.random.default_rng(7)
    X = rng.uniform(-1.7, 1.7, (250, 12)) if law == "uniform" else rng.standard_normal((250, 12))
    planted = np.linalg.qr(rng.standard_normal((12, rank)))[0]
    found = ReLUSubspace().fit(X, function(X @ planted))
    assert found.n_components_ == rank
    sliced = ReLUSubspace(rank, smooth_rows=0).fit(X, function(X @ planted))
    assert sine(found.subspace_, planted) < min(0.1, sine(sliced.subspace_, planted) / 2)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_planted_networks_are_found_better_than_by_slices(noise):
    teacher = teachers.generic(10, 3, rng=3)
    X, y = teacher.sample(600, rng=4)
    y = y + noise * y.std() * np.random.default_rng(5).standard_normal(600)
    smooth, sliced = (ReLUSubspace(3, smooth_rows=rows).fit(X, y) for rows in (2048, 0))
    errors = [sine(found.subspace_, teacher.network.weights.T) for found in (smooth, sliced)]
    assert errors[0] < 0.6 * errors[1]


def borehole(unit):
    """Return flow through a borehole, and its gradient by central differences, at points of the unit cube."""
    low = np.array([0.05, 100, 63070, 990, 63.1, 700, 1120, 9855])
    high = np.array([0.15, 50000, 115600, 1110, 116, 820, 1680, 12045])

    def flow(u):
        rw, r, tu, hu, tl, hl, length, kw = (low + u * (high - low)).T
        log = np.log(r / rw)
        return 2 * np.pi * tu * (hu - hl) / (log * (1 + 2 * length * tu / (log * rw**2 * kw) + tu / tl))

    h = 1e-5 * np.eye(8)
    return low + unit * (high - low), flow(unit), np.stack([(flow(unit + e) - flow(unit - e)) / 2e-5 for e in h], 1)


def test_a_simulator_in_raw_units():
    X, y, gradients = borehole(np.random.default_rng(1).uniform(0.01, 0.99, (200, 8)))
    spread = X.std(axis=0)
    found = ReLUSubspace(2).fit(X, y)
    scaled = ReLUSubspace(2).fit(X / spread, y)
    unit = gradients * (X / np.ptp(X, axis=0)).std(axis=0)
    assert share(scaled, unit) > 0.98
    same_up_to_sign(found.components_ * spread, scaled.components_)


def test_units_offsets_and_constant_features_do_not_matter():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((400, 5))
    y = np.exp(0.5 * X[:, 0]) + X[:, 1] * X[:, 2]
    scale, offset = 10.0 ** np.array([-9, -3, 0, 4, 9]), np.array([1e-9, 0.0, 5.0, -1e4, 0.0])
    plain, moved = ReLUSubspace(3).fit(X, y), ReLUSubspace(3).fit(X * scale + offset, 3 * y - 7)
    same_up_to_sign(moved.components_ * scale, plain.components_)
    wider = ReLUSubspace(3).fit(np.insert(X, 2, 4.0, axis=1), y)
    same_up_to_sign(np.delete(wider.components_, 2, axis=1), plain.components_)
    assert not np.any(wider.components_[:, 2])


METRIC = np.diag([2.0, 1.0, 0.5])


def test_gradients_of_a_plane_and_of_a_wave():
    z = np.random.default_rng(3).standard_normal((60, 3))
    plane = _fitted(_Rows.of(z, z @ [1.0, -2.0, 0.5] + 4, np.ones(60), 0.0), METRIC, [2])
    np.testing.assert_allclose(plane.gradients, np.broadcast_to([1.0, -2.0, 0.5], (60, 3)), atol=1e-9)
    np.testing.assert_allclose(plane.squares, 0, atol=1e-18)
    wave = _fitted(_Rows.of(z, np.sin(z[:, 0]), np.ones(60), 0.0), METRIC, [2])
    middle = np.sum(z**2, axis=1) < 2
    np.testing.assert_allclose(wave.gradients[middle, 0], np.cos(z[middle, 0]), atol=0.05)


def test_leave_one_out_squares_are_those_of_refits():
    """A NumPy twin: kernel ridge regression with a free affine part, without a row, at the penalty of the fit."""
    rng = np.random.default_rng(3)
    z = rng.standard_normal((40, 3))
    y = np.sin(z[:, 0]) + 0.1 * rng.standard_normal(40)
    fit = _fitted(_Rows.of(z, y, np.ones(40), 0.0), METRIC, [2])
    distances = np.sum(((z[:, None] - z) @ METRIC) * (z[:, None] - z), axis=-1)
    kernel = np.exp(-distances / (2 * SCALES[2] * np.median(distances)))
    affine = np.c_[np.ones(40), z]
    off = np.eye(40) - affine @ np.linalg.pinv(affine)
    largest = np.linalg.eigvalsh(off @ kernel @ off)[-1]

    def squares(penalty):
        out = []
        for i in range(40):
            others = np.arange(40) != i
            a, k = affine[others], kernel[np.ix_(others, others)]
            system = np.block([[k + penalty * np.eye(39), a], [a.T, np.zeros((4, 4))]])
            solution = np.linalg.solve(system, np.r_[y[others], np.zeros(4)])
            out.append(y[i] - kernel[i, others] @ solution[:39] - affine[i] @ solution[39:])
        return np.square(out)

    twins = [squares(penalty) for penalty in PENALTIES * largest]
    assert min(np.max(np.abs(twin - fit.squares)) for twin in twins) < 1e-7


def test_weights_count_rows():
    rng = np.random.default_rng(4)
    X = rng.standard_normal((120, 4))
    y, weight = np.cos(X[:, 0] - X[:, 3]), rng.integers(0, 4, 120)
    weighted = ReLUSubspace(2).fit(X, y, weight)
    repeated = ReLUSubspace(2).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    np.testing.assert_allclose(weighted.components_, repeated.components_, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("n", "d"), [(300, 5), (80, 30), (40, 60)])
def test_noise_shows_nothing(n, d):
    rng = np.random.default_rng(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = ReLUSubspace().fit(rng.uniform(size=(n, d)), rng.standard_normal(n))
    assert (found.n_components_, found.n_visible_) == (1, 0)


def test_more_features_than_rows():
    rng = np.random.default_rng(6)
    X = rng.standard_normal((100, 150))
    found = ReLUSubspace(1).fit(X, np.exp(X[:, 0]))
    assert found.subspace_[0, 0] ** 2 == np.max(found.subspace_**2)

"""The subspace: what slices and contractions show, and that noise shows nothing."""

from __future__ import annotations

import numpy as np
import pytest

from relunet import ReLUNetwork, teachers
from relunet.fitting.stages.subspace import find_subspace, joint_span, slice_edges
from relunet.fitting.stages.whitening import Whitening
from relunet.linalg import matmul
from relunet.moments import SliceMoments


def subspace_of(x, residual):
    n, d = x.shape
    slices = SliceMoments(d, slice_edges(residual, n, d))
    slices.update(x, residual)
    return find_subspace(slices, Whitening(np.zeros(d), np.eye(d), np.eye(d)))


def whitened(x):
    x = x - x.mean(axis=0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(x.T, bias=True)))
    return x @ vectors / np.sqrt(values)


def residual_of_affine(x, y):
    z = np.column_stack([x, np.ones(len(x))])
    return y - z @ np.linalg.lstsq(z, y, rcond=None)[0]


@pytest.mark.slow
@pytest.mark.parametrize(("n", "d"), [(300, 1), (400, 2), (2000, 10), (3000, 40)])
def test_noise_shows_nothing(n, d):
    for seed in range(20):
        rng = np.random.default_rng([seed, d])
        found = subspace_of(whitened(rng.standard_normal((n, d))), rng.standard_t(4, n))
        assert found.n_visible == 0


def test_directions_are_a_basis_and_the_visible_come_first():
    teacher = teachers.generic(12, 3, rng=0)
    x, y = teacher.sample(20_000, rng=1)
    found = subspace_of(x, residual_of_affine(x, y))
    assert found.n_visible == 3
    assert np.allclose(found.directions.T @ found.directions, np.eye(12), atol=1e-12)
    truth = np.linalg.qr(teacher.network.weights.T)[0]
    sines = np.linalg.norm(found.directions[:, :3] - truth @ (truth.T @ found.directions[:, :3]), axis=0)
    assert np.all(sines < 0.2)


@pytest.mark.parametrize("seed", range(3))
def test_a_contraction_sees_a_level_fan_that_the_slices_do_not(seed):
    """M_2 of the labels vanishes, and so few rows drown K: E[(c² - 1)(z zᵀ - I)] is what is left."""
    d, n = 100, 2500
    axes = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, 2)))[0].T
    angles = np.pi * np.arange(4) / 4
    weights = np.column_stack([np.cos(angles), np.sin(angles)]) @ axes
    signs = np.array([1.0, -1.0, 1.0, -1.0])
    network = ReLUNetwork(weights, signs, linear=-signs @ weights / 2)
    x = whitened(np.random.default_rng(seed + 10).standard_normal((n, d)))
    found = subspace_of(x, residual_of_affine(x, network.predict(x)))
    assert found.spectrum[1] < found.bulk_edge
    assert found.n_visible >= 2
    assert np.all(np.linalg.norm(axes @ found.directions[:, : found.n_visible], axis=1) > 0.8)


@pytest.mark.slow
def test_a_neuron_stands_out_from_about_the_visible_share_on():
    n, d = 4000, 20
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = whitened(rng.standard_normal((n, d)))
        noise = rng.standard_normal(n)
        seen = []
        for times in (0.1, 3.0):
            share = times * subspace_of(x, noise).visible_share
            y = np.sqrt(share / (1 - 2 / np.pi)) * np.abs(x[:, 0]) + np.sqrt(1 - share) * noise
            seen.append(subspace_of(x, residual_of_affine(x, y)).n_visible)
        assert seen == [0, 1]


def test_a_span_grows_only_by_what_is_new():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((8, 3)))[0]
    assert joint_span(basis, matmul(basis, rng.standard_normal((3, 2)))).shape == (8, 3)
    grown = joint_span(basis, rng.standard_normal((8, 2)))
    assert grown.shape == (8, 5)
    assert np.allclose(grown.T @ grown, np.eye(5), atol=1e-12)

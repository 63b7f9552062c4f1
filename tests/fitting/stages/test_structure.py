"""Structure of the mean is distinguished from structure of the variance."""

from __future__ import annotations

import numpy as np
import pytest

from relunet.fitting.stages.structure import heavy_tails, mean_structure, steepest_directions

Z = np.random.default_rng(0).standard_normal((3000, 5))
NOISE = np.random.default_rng(1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "size",
    [np.ones(3000), np.abs(Z[:, 0]), np.exp(Z[:, 1]), np.where(Z[:, 2] > 1, 5.0, 0.1)],
    ids=["even", "grows", "lognormal", "jump"],
)
def test_noise_of_any_size_has_no_structure_of_the_mean(size, seed):
    for noise in (NOISE.standard_normal(3000), NOISE.standard_t(3, 3000)):
        assert mean_structure(Z, size * noise, np.eye(5)[:, :2], seed) < 5


@pytest.mark.parametrize(
    "mean", [np.abs(Z[:, 0]), np.sin(3 * Z[:, 1]), Z[:, 2] * Z[:, 3], np.sign(Z[:, 0] * Z[:, 1])], ids="aspq"
)
def test_a_mean_is_found_whatever_the_variance(mean):
    residual = mean - mean.mean() + np.abs(Z[:, 0]) * np.random.default_rng(5).standard_normal(3000)
    assert mean_structure(Z, residual, np.eye(5)[:, :2], 0) > 5


def test_structure_in_two_of_many_directions_is_found():
    """Rows have no near neighbours in ten dimensions, but in the two that the mean depends on."""
    z = np.random.default_rng(3).standard_normal((3000, 10))
    residual = np.sin(4 * z[:, 0]) * z[:, 1]
    assert mean_structure(z, residual, np.eye(10), 0) > 10
    assert mean_structure(z, residual * np.random.default_rng(4).choice([-1, 1], 3000), np.eye(10), 0) < 5


def test_steepest_directions_are_those_of_the_slopes():
    rng = np.random.default_rng(6)
    neurons, outer, weight = rng.standard_normal((4, 5)), rng.standard_normal((2, 4)), rng.uniform(0, 1, 3000)
    active = Z @ neurons.T > 0.2
    slopes = np.einsum("nk,mk,kr->nmr", active, outer, neurons)
    covariance = sum(np.cov(part.T, aweights=weight, bias=True) for part in slopes.transpose(1, 0, 2))
    found = steepest_directions(neurons, outer, active, weight)
    np.testing.assert_allclose(
        np.diag(found.T @ covariance @ found), np.linalg.eigvalsh(covariance)[:0:-1][: found.shape[1]]
    )
    assert steepest_directions(np.zeros((0, 5)), np.zeros((1, 0)), np.zeros((3000, 0), bool), weight).shape == (5, 0)


def test_tails():
    rng = np.random.default_rng(0)
    assert not heavy_tails(rng.standard_normal(2000))
    assert heavy_tails(rng.standard_t(2, 2000))
    assert not heavy_tails(np.zeros(10))

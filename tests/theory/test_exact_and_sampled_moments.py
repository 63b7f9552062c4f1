"""Exact moments compared with quadrature, and sampled moments compared with NumPy implementations and exact ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from relunet import ArgumentError, DataError, ReLUNetwork, scan_array, teachers
from relunet.theory import AbsoluteForm, PopulationMoments, SampleMoments

DEGREES = (0, 1, 2, 4, 6)


def unit(rng, *shape):
    g = rng.standard_normal(shape)
    return g / np.linalg.norm(g, axis=-1, keepdims=True)


def hermite(degree, t):
    return np.polynomial.hermite_e.hermeval(t, np.eye(degree + 1)[degree])


@given(st.integers(1, 5), st.integers(0, 4), st.integers(1, 3), st.integers(0, 10**6))
@settings(max_examples=20)
def test_exact_matrices_are_their_definition(d, k, m, seed):
    rng = np.random.default_rng(seed)
    network = ReLUNetwork(rng.standard_normal((k, d)), rng.standard_normal(k), linear=rng.standard_normal(d))
    w, lam, u = AbsoluteForm.of(network)
    g = unit(rng, m, d)
    found = PopulationMoments(network).moments(DEGREES, g)
    np.testing.assert_allclose(found[0], math.sqrt(2 / math.pi) * lam.sum(), atol=1e-12)
    np.testing.assert_allclose(found[1], w, atol=1e-12)
    for degree in DEGREES[2:]:
        expected = np.einsum("i,mi,ia,ib->mab", lam, (g @ u.T) ** (degree - 2), u, u)
        np.testing.assert_allclose(found[degree], expected, atol=1e-12)
        one = PopulationMoments(network).moments((degree,), g[0])[degree]
        np.testing.assert_array_equal(one, found[degree][0])


@pytest.mark.parametrize("bias", [-1.3, 0.0, 0.4])
@pytest.mark.parametrize("degree", [2, 4, 6])
def test_biased_neurons_against_quadrature(bias, degree):
    network = ReLUNetwork([[2.0, 0.0]], [1.5], biases=[2 * bias])
    found = PopulationMoments(network).moments((degree,), [1.0, 0.0])[degree]
    kappa = (-1) ** (degree // 2 + 1) * math.prod(range(degree - 3, 0, -2)) / math.sqrt(2 * math.pi)
    density = math.sqrt(2 * math.pi)
    mean, _ = quad(lambda t: 3 * max(t + bias, 0) * hermite(degree, t) * math.exp(-t * t / 2) / density, -bias, 12)
    np.testing.assert_allclose(found, [[mean / (2 * kappa), 0.0], [0.0, 0.0]], atol=1e-7)


def test_residual_moments_of_a_network_from_itself_are_zero():
    network = teachers.biased(4, 3, 0).network
    moments = PopulationMoments(network)
    for value in moments.moments(DEGREES, np.eye(4), network).values():
        assert not value.any()
    assert moments.risk(network) == [0.0]


def test_sampled_moments_are_means():
    teacher = teachers.biased(3, 2, 0)
    x, y = teacher.sample(500, rng=1)
    estimate = teachers.generic(3, 2, 5).network
    g = unit(np.random.default_rng(2), 3)
    moments = SampleMoments(scan_array(x, y))
    for given_estimate in (None, estimate):
        residual = y if given_estimate is None else y - estimate.predict(x)
        found = moments.moments((0, 1, 2, 4), g, given_estimate)
        np.testing.assert_allclose(found[0], residual.mean())
        np.testing.assert_allclose(found[1], residual @ x / 500)
        second = (x * residual[:, None]).T @ x / 500 - residual.mean() * np.eye(3)
        np.testing.assert_allclose(found[2], second * math.sqrt(2 * math.pi) / 2, atol=1e-12)
        along = np.mean(residual * hermite(4, x @ g)) * -math.sqrt(2 * math.pi) / 2
        assert g @ found[4] @ g == pytest.approx(along)
        assert moments.risk(given_estimate)[0] == pytest.approx(np.mean(residual**2))


@pytest.mark.parametrize("subtract", [False, True])
def test_both_ways_to_residual_moments_estimate_the_exact_ones(subtract):
    teacher = teachers.generic(3, 2, 0)
    estimate = teachers.generic(3, 1, 1).network
    exact = PopulationMoments(teacher.network)
    sampled = SampleMoments(scan_array(*teacher.sample(200_000, rng=1)), subtract=subtract)
    g = unit(np.random.default_rng(3), 3)
    expected, found = (moments.moments(DEGREES, g, estimate) for moments in (exact, sampled))
    for degree, noise in sampled.noise(DEGREES[2:], estimate).items():
        assert np.abs(found[degree] - expected[degree]).max() < 6 * noise
        assert noise > exact.noise((degree,), estimate)[degree]
    np.testing.assert_allclose(found[1], expected[1], atol=0.02)
    before = sampled.n_sweeps
    sampled.moments(DEGREES, g, teachers.generic(3, 1, 2).network)
    assert sampled.n_sweeps - before == (0 if subtract else 1)


@pytest.mark.parametrize("exact", [True, False])
def test_correlations_are_the_loss_of_every_choice_of_weights(exact):
    rng = np.random.default_rng(0)
    teacher = teachers.generic(3, 2, 0)
    x, y = teacher.sample(400, rng=1)
    moments = PopulationMoments(teacher.network) if exact else SampleMoments(scan_array(x, y), search_rows=400)
    estimate = AbsoluteForm.linear(np.array([0.1, -0.2, 0.3]))
    u, lam = unit(rng, 4, 3), rng.standard_normal(4)
    products = moments.correlations(u, estimate.network())
    together = AbsoluteForm(estimate.w, lam, u).network()
    assert products.loss(lam) == pytest.approx(moments.risk(together)[0])


def test_correlations_of_biased_networks():
    network = teachers.biased(3, 2, 0).network
    homogeneous = teachers.generic(3, 2, 0).network
    u = unit(np.random.default_rng(0), 5, 3)
    label = PopulationMoments(network).correlations(u).label
    probes = [ReLUNetwork([v, -v], [1.0, 1.0]) for v in u]
    np.testing.assert_allclose(label, [network.gaussian_inner(probe) for probe in probes])
    np.testing.assert_allclose(
        PopulationMoments(homogeneous).correlations(u).label, [homogeneous.gaussian_inner(probe) for probe in probes]
    )


@given(st.integers(1, 5), st.integers(0, 4), st.integers(0, 10**6))
@settings(max_examples=20)
def test_the_form_is_the_same_function(d, k, seed):
    rng = np.random.default_rng(seed)
    network = ReLUNetwork(rng.standard_normal((k, d)), rng.standard_normal(k), linear=rng.standard_normal(d))
    form = AbsoluteForm.of(network)
    x = rng.standard_normal((20, d))
    np.testing.assert_allclose(x @ form.w + np.abs(x @ form.u.T) @ form.lam, network.predict(x), atol=1e-12)
    np.testing.assert_allclose(form.network().predict(x), network.predict(x), atol=1e-12)
    affine = ReLUNetwork(np.zeros((0, d)), [], linear=form.w, intercept=math.sqrt(2 / math.pi) * float(form.lam.sum()))
    assert form.residual_norm() == pytest.approx(network.gaussian_distance(affine), abs=1e-7)


def test_arguments():
    network = teachers.generic(3, 1, 0).network
    moments = PopulationMoments(network)
    with pytest.raises(ArgumentError, match="degrees: 3"):
        moments.moments((2, 3), np.eye(3)[0])
    with pytest.raises(ArgumentError, match=r"directions: shape \(2,\)"):
        moments.moments((2,), [1.0, 0.0])
    with pytest.raises(ArgumentError, match="unit vectors"):
        moments.moments((2,), [1.0, 1.0, 0.0])
    with pytest.raises(ArgumentError, match="network: 2 outputs"):
        PopulationMoments(ReLUNetwork([[1.0]], [[1.0], [2.0]]))
    with pytest.raises(ArgumentError, match="has biases"):
        AbsoluteForm.of(ReLUNetwork([[1.0]], [1.0], biases=[1.0]))
    labelled = scan_array(np.zeros((3, 1)), np.zeros(3))
    with pytest.raises(ArgumentError, match=r"noise_variance: -1\.0"):
        SampleMoments(labelled, noise_variance=-1.0)
    with pytest.raises(ArgumentError, match="search_rows: 0"):
        SampleMoments(labelled, search_rows=0)
    with pytest.raises(DataError, match="samples: no labels"):
        SampleMoments(scan_array(np.zeros((3, 1))))
    with pytest.raises(DataError, match="validation: 2 columns"):
        SampleMoments(labelled, scan_array(np.zeros((3, 2)), np.zeros(3)))

"""Nets cover their sets, and spans contain the neurons and have no superfluous dimensions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relunet import ArgumentError, ReLUNetwork, teachers
from relunet.theory import AbsoluteForm, PopulationMoments
from relunet.theory.nets import finer, interval_net, log10_lines, sphere_net
from relunet.theory.one_direction import one_direction
from relunet.theory.spans import joint_span, projector_span


def unit(rng, *shape):
    g = rng.standard_normal(shape)
    return g / np.linalg.norm(g, axis=-1, keepdims=True)


@given(st.integers(1, 4), st.floats(0.15, 0.9), st.integers(0, 10**6))
@settings(max_examples=30)
def test_sphere_net_covers_lines(r, granularity, seed):
    net = sphere_net(r, granularity)
    np.testing.assert_allclose(np.linalg.norm(net, axis=1), 1.0)
    v = unit(np.random.default_rng(seed), 200, r)
    nearest = np.sqrt(np.maximum(2 - 2 * np.abs(v @ net.T), 0.0)).min(axis=1)
    assert nearest.max() <= granularity + 1e-7
    assert np.log10(len(net)) == pytest.approx(log10_lines(r, granularity), abs=1.0)
    twice = np.abs(net @ net.T) > 1 - 1e-12
    assert twice.sum() == len(net), "no line is there twice"


@given(st.integers(2, 5), st.floats(1e-6, 0.3), st.integers(0, 10**6))
@settings(max_examples=30)
def test_finer_elements_surround_their_point(r, mesh, seed):
    points = unit(np.random.default_rng(seed), 3, r)
    near = finer(points, mesh)
    assert near.shape == (3, 2 * r - 1, r)
    np.testing.assert_array_equal(near[:, 0], points)
    np.testing.assert_allclose(np.linalg.norm(near, axis=2), 1.0)
    steps = near[:, 1:] / np.sum(near[:, 1:] * points[:, None], axis=2, keepdims=True) - points[:, None]
    products = steps @ steps.swapaxes(1, 2) / mesh**2
    identity = np.eye(r - 1)
    expected = np.block([[identity, -identity], [-identity, identity]])
    np.testing.assert_allclose(products, np.broadcast_to(expected, products.shape), atol=1e-6)


@given(st.floats(0.1, 10.0), st.floats(0.01, 1.0), st.floats(-1.0, 1.0))
def test_interval_net_covers(bound, granularity, part):
    net = interval_net(bound, granularity)
    assert np.abs(net - part * bound).min() <= granularity
    assert (net[0], net[-1]) == (-bound, bound)


def test_nets_of_the_theorems_are_refused():
    with pytest.raises(ArgumentError, match="about 10"):
        sphere_net(4, 1e-18)
    with pytest.raises(ArgumentError, match="granularity: 0"):
        sphere_net(2, 0.0)
    with pytest.raises(ArgumentError, match="r: 0"):
        sphere_net(0, 0.1)


@pytest.mark.parametrize(("family", "k"), [("generic", 3), ("close_pair", 3), ("plane", 3), ("level_fan", 4)])
def test_spans_of_exact_moments_hold_the_neurons(family, k):
    d = 8
    network = teachers.FAMILIES[family](d, k, 1).network
    moments = PopulationMoments(network)
    degrees = range(2, 2 * k + 3, 2)
    matrices = moments.moments(degrees, unit(np.random.default_rng(0), d))
    noise = moments.noise(degrees)
    u = AbsoluteForm.of(network).u
    rank = np.linalg.matrix_rank(u)
    thresholds = {degree: 100 * noise[degree] for degree in degrees}
    for basis in (joint_span(matrices, k, noise, 2.0), projector_span(matrices, thresholds, 0.5)[0]):
        assert basis.shape == (d, rank)
        np.testing.assert_allclose(basis.T @ basis, np.eye(rank), atol=1e-12)
        np.testing.assert_allclose(u @ basis @ basis.T, u, atol=1e-6)


def test_the_literal_joint_span_of_noisy_moments_is_all_of_space():
    rng = np.random.default_rng(0)
    matrices = {degree: np.diag([1.0, -1.0, 0, 0, 0, 0]) + 1e-6 * rng.standard_normal((6, 6)) for degree in (2, 4, 6)}
    noise = dict.fromkeys(matrices, 1e-6)
    assert joint_span(matrices, 2).shape[1] >= 2
    matrices[4][2, 2] = matrices[4][3, 3] = matrices[6][4, 4] = matrices[6][5, 5] = 2e-6
    matrices[4][:2, :2] = matrices[6][:2, :2] = 0.0
    assert joint_span(matrices, 2).shape == (6, 6)
    assert joint_span(matrices, 2, noise, 2.0).shape == (6, 2)


def test_one_direction_of_a_single_line():
    network = ReLUNetwork([[0.6, 0.8, 0.0], [-0.6, -0.8, 0.0]], [1.0, -3.0], linear=[0.0, 0.0, 2.0])
    lam, u = one_direction(PopulationMoments(network).moments((2,), np.eye(3)[0])[2])
    assert lam == pytest.approx(-1.0)
    assert abs(u @ [0.6, 0.8, 0.0]) == pytest.approx(1.0)

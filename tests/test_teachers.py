"""The planted families: each has its documented properties."""

import doctest

import numpy as np
import pytest

from relunet import ArgumentError, teachers


@pytest.mark.parametrize("family", teachers.FAMILIES)
def test_shapes_seeds_and_labels(family):
    teacher = teachers.FAMILIES[family](9, 4, rng=3)
    assert (teacher.network.n_features, teacher.network.n_neurons) == (9, 4)
    X, y = teacher.sample(50, rng=1)
    np.testing.assert_array_equal(y, teacher.network.predict(X))
    again = teachers.FAMILIES[family](9, 4, np.random.default_rng(3))
    assert again.network == teacher.network
    np.testing.assert_array_equal(again.sample(50, rng=1)[0], X)
    assert teachers.FAMILIES[family](9, 4, rng=4).network != teacher.network
    noisy = teacher.sample(50, rng=1, noise=0.1)[1] - y
    assert 0.05 < noisy.std() < 0.2


@pytest.mark.parametrize("family", teachers.FAMILIES)
def test_inputs_have_the_stated_mean_and_cov(family):
    teacher = teachers.FAMILIES[family](4, 4, rng=0)
    X, _ = teacher.sample(40_000, rng=0)
    cov = np.eye(4) if teacher.cov is None else teacher.cov
    mean = np.zeros(4) if teacher.mean is None else teacher.mean
    roots = np.sqrt(np.diag(cov))
    assert (np.abs(X.mean(axis=0) - mean) < 5 * roots / 200).all()
    assert (np.abs(np.cov(X.T) - cov) < 5 * np.sqrt(2) * np.outer(roots, roots) / 200).all()


def test_anisotropic_inputs_are_ill_conditioned_and_neurons_are_not():
    teacher = teachers.anisotropic(20, 5, rng=1)
    assert np.linalg.cond(teacher.cov) == pytest.approx(1e3, rel=1e-6)
    X, _ = teacher.sample(20_000, rng=0)
    inside = X @ teacher.network.weights.T + teacher.network.biases
    np.testing.assert_allclose(inside.std(axis=0), 1.0, atol=0.05)


def even_moment(network, order, directions):
    """E[f H_order] contracted along each direction, for a homogeneous network, up to a constant."""
    return (network.output_weights * (directions @ network.weights.T) ** order).sum(axis=1)


@pytest.mark.parametrize("k", [2, 4, 6, 8])
def test_fans_hide_from_even_moments_below_their_order(k):
    network = teachers.fan(5, k, rng=0).network
    directions = np.random.default_rng(1).standard_normal((10, 5))
    for order in range(2, k, 2):
        np.testing.assert_allclose(even_moment(network, order, directions), 0.0, atol=1e-10)
    assert np.abs(even_moment(network, k, directions)).max() > 1e-3
    level = teachers.level_fan(5, k, rng=0).network
    # E[f x] = linear + sum output_weights weights / 2
    np.testing.assert_allclose(level.linear + level.output_weights @ level.weights / 2, 0.0, atol=1e-15)


@pytest.mark.parametrize(("family", "k", "rank"), [("plane", 6, 2), ("fan", 6, 2), ("overcomplete", 9, 3)])
def test_planted_rank(family, k, rank):
    weights = teachers.FAMILIES[family](12, k, rng=5).network.weights
    assert np.linalg.matrix_rank(weights, tol=1e-10) == rank
    np.testing.assert_allclose(np.linalg.norm(weights, axis=1), 1.0, rtol=1e-13)


def test_angles():
    w = teachers.plane(6, 7, rng=2).network.weights
    sines = np.sqrt(np.maximum(0.0, 1 - (w @ w.T) ** 2)) + np.eye(7)
    assert sines.min() >= np.sin(np.pi / 21) * (1 - 1e-9)
    pair = teachers.close_pair(6, 4, rng=2).network
    assert pair.weights[0] @ pair.weights[1] == pytest.approx(np.cos(0.1), rel=1e-13)
    assert pair.output_weights[:2].tolist() == [5.0, -5.0]
    arc = teachers.arc_scales(6, 4, rng=2).network.weights
    np.testing.assert_allclose(np.linalg.norm(np.diff(arc, axis=0), axis=1), [0.495, 0.05, 0.005], rtol=1e-3)


def test_positive_is_positive_and_generic_is_not():
    assert (teachers.positive(5, 6, rng=0).network.output_weights > 0).all()
    assert set(np.sign(teachers.generic(5, 6, rng=0).network.output_weights)) == {-1.0, 1.0}


@pytest.mark.parametrize(
    ("family", "d", "k", "message"),
    [
        ("generic", 0, 1, "n_features: 0"),
        ("generic", 3, 0, "n_neurons: 0"),
        ("fan", 3, 5, "even"),
        ("plane", 1, 3, "n_features: 1, expected at least 2"),
        ("close_pair", 3, 1, "at least 2"),
        ("arc_scales", 3, 8, "at most 7"),
    ],
)
def test_calls_that_a_family_cannot_answer(family, d, k, message):
    with pytest.raises(ArgumentError, match=message):
        teachers.FAMILIES[family](d, k)


def test_examples():
    assert doctest.testmod(teachers).failed == 0

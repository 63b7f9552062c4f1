"""Closed forms of sensitivity analysis, against quadrature, sampling, and the identities of variance decomposition."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relunet import ArgumentError, ReLUNetwork, teachers


def random_network(rng, d, k, m=None, names=None):
    outputs = () if m is None else (m,)
    return ReLUNetwork(
        rng.standard_normal((k, d)),
        rng.standard_normal((*outputs, k)),
        rng.standard_normal(k),
        rng.standard_normal((*outputs, d)),
        rng.standard_normal(outputs),
        feature_names=names,
    )


def hermite(mean, scale, n=201):
    """Nodes and weights for expectations under N(mean, scale**2): the trapezoidal rule, good to kinks' n**-2."""
    points = np.linspace(-9.0, 9.0, n)
    weights = np.exp(-(points**2) / 2)
    return mean + scale * points, weights / weights.sum()


@pytest.mark.parametrize("m", [None, 2])
def test_sobol_indices_agree_with_quadrature(m):
    rng = np.random.default_rng(0)
    f = random_network(rng, 2, 4, m)
    mean, scale = np.array([0.5, -1.0]), np.array([0.7, 2.0])
    (a, u), (b, v) = (hermite(mean[i], scale[i], 2001) for i in range(2))
    grid = np.stack(np.meshgrid(a, b, indexing="ij"), axis=-1).reshape(-1, 2)
    values = f.predict(grid).reshape(len(a), len(b), -1)
    means = np.einsum("ijo,i,j->o", values, u, v)
    off = values - means
    variance = np.einsum("ijo,i,j->o", off**2, u, v)
    given_first = np.einsum("io,i->o", np.einsum("ijo,j->io", off, v) ** 2, u) / variance
    given_second = np.einsum("jo,j->o", np.einsum("ijo,i->jo", off, u) ** 2, v) / variance
    found = f.sobol_indices(mean, scale)
    shape = np.shape(f.intercept)
    np.testing.assert_allclose(found.mean, means.reshape(shape), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.variance, variance.reshape(shape), rtol=1e-4)
    np.testing.assert_allclose(
        found.first, np.stack([given_first, given_second], axis=-1).reshape(*shape, 2), atol=1e-4
    )
    totals = np.stack([1 - given_second, 1 - given_first], axis=-1)
    np.testing.assert_allclose(found.total, totals.reshape(*shape, 2), atol=1e-4)


def test_sobol_indices_agree_with_sampling():
    rng = np.random.default_rng(1)
    f = random_network(rng, 5, 7)
    mean, scale = rng.standard_normal(5), rng.uniform(0.3, 2.0, 5)
    groups = {"first two": [0, 1], "others": [2, 3, 4], "odd": [1, 3]}
    found = f.sobol_indices(mean, scale, groups)
    n = 400_000
    A, B = (mean + scale * rng.standard_normal((n, 5)) for _ in range(2))
    here, there = f.predict(A) - found.mean, f.predict(B) - found.mean
    for index, members in enumerate(groups.values()):
        mixed = B.copy()
        mixed[:, members] = A[:, members]
        both = f.predict(mixed) - found.mean
        for exact, draws in [
            (found.first[index], here * both / found.variance),
            (found.total[index], (there - both) ** 2 / 2 / found.variance),
        ]:
            assert abs(exact - draws.mean()) < 5 * draws.std() / math.sqrt(n)
    draws = here**2
    assert abs(found.variance - draws.mean()) < 5 * draws.std() / math.sqrt(n)
    assert found.names == tuple(groups)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_sum_rules(d, k, seed):
    rng = np.random.default_rng(seed)
    f = random_network(rng, d, k)
    mean, scale = rng.standard_normal(d), rng.uniform(0.0, 2.0, d) * rng.integers(0, 2, d)
    found = f.sobol_indices(mean, scale)
    assert np.all(found.first <= found.total + 1e-14)
    if found.variance:
        assert found.first.sum() <= 1 + 1e-12
        assert found.total.sum() >= 1 - 1e-12
    assert np.all(found.total[scale == 0] == 0)
    halves = f.sobol_indices(mean, scale, {"a": range(d // 2), "b": range(d // 2, d), "all": range(d), "none": []})
    if found.variance:
        np.testing.assert_allclose(halves.first[:2] + halves.total[1::-1], 1.0, rtol=1e-12)
        assert (halves.first[2], halves.total[2]) == (1.0, 1.0)
    assert (halves.first[3], halves.total[3]) == (0.0, 0.0)
    centred = ReLUNetwork(f.weights, f.output_weights, f.biases, f.linear, f.intercept - found.mean)
    norm = centred.gaussian_norm(mean, np.diag(scale**2))
    assert found.variance == pytest.approx(norm**2, rel=1e-9, abs=1e-13)


def test_additive_functions_have_no_interactions():
    rng = np.random.default_rng(2)
    weights = np.eye(4)[[0, 1, 2, 3, 0, 2]] * rng.standard_normal((6, 1))
    f = ReLUNetwork(weights, rng.standard_normal(6), rng.standard_normal(6), rng.standard_normal(4))
    found = f.sobol_indices(0.3, 1.7)
    np.testing.assert_allclose(found.first, found.total, rtol=1e-12)
    assert found.first.sum() == pytest.approx(1.0, rel=1e-12)


def test_small_indices_are_right_in_relative_terms():
    tiny = 1e-9
    f = ReLUNetwork([[1.0, tiny]], [1.0], [0.3])
    found = f.sobol_indices()
    # Var E[f | x_1] is close to (P(active) tiny)**2.
    active = 0.5 * math.erfc(-0.3 / math.sqrt(2))
    assert found.first[1] * found.variance == pytest.approx((active * tiny) ** 2, rel=1e-6)
    # E Var[f | x_0] is close to P(active) tiny**2.
    assert found.total[1] * found.variance == pytest.approx(active * tiny**2, rel=1e-6)


def test_groups_and_names_and_salib():
    rng = np.random.default_rng(3)
    f = random_network(rng, 3, 4, names=["a", "b", "c"])
    by_label = f.sobol_indices(groups=["u", "v", "u"])
    by_name = f.sobol_indices(groups={"u": ["a", "c"], "v": ["b"]})
    by_number = f.sobol_indices(groups={"u": [0, 2], "v": [1]})
    for same in (by_name, by_number):
        assert same.names == by_label.names == ("u", "v")
        np.testing.assert_array_equal(same.first, by_label.first)
    problem = {
        "num_vars": 3,
        "names": ["a", "b", "c"],
        "bounds": [[0.5, 2.0], [0.0, 1.0], [-1.0, 0.25]],
        "dists": ["norm"] * 3,
    }
    found = f.sobol_indices(problem=problem)
    np.testing.assert_array_equal(found.total, f.sobol_indices([0.5, 0.0, -1.0], [2.0, 1.0, 0.25]).total)
    told = found.to_salib()
    assert told["names"] == ["a", "b", "c"]
    np.testing.assert_array_equal(told["ST"], found.total)
    assert f.sobol_indices(problem={**problem, "groups": ["u", "v", "u"]}).names == ("u", "v")
    results = pytest.importorskip("SALib.util.results")
    table = results.ResultDict(told).to_df()
    assert list(table.index) == ["a", "b", "c"]
    assert list(table["S1"]) == list(found.first)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mean": [0.0]}, r"mean: shape \(1,\), expected \(2,\)"),
        ({"scale": [1.0, -1.0]}, "scale: -1.0 at index 1"),
        ({"scale": [1.0, np.nan]}, "scale: nan"),
        ({"groups": ["a"]}, "groups: "),
        ({"groups": "ab"}, "groups: 'ab'"),
        ({"groups": {"g": ["x7"]}}, "groups: 'x7'"),
        ({"groups": {"g": [2]}}, "groups: 2, expected a feature from 0 to 1"),
        ({"groups": {"g": [0.5]}}, "groups: 0.5"),
        ({"problem": {"bounds": [[0, 1], [0, 1]]}}, r"dists\[0\] is 'unif'"),
        ({"problem": {"bounds": [[0, 1]], "dists": ["norm"], "names": ["x0"]}}, "problem: names"),
        ({"problem": {"bounds": [[0, 1]], "dists": ["norm"]}, "scale": 1.0}, "problem: expected None"),
    ],
)
def test_inputs_of_sobol_indices_that_do_not_fit(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        ReLUNetwork([[1.0, 2.0]], [1.0]).sobol_indices(**arguments)


@pytest.mark.parametrize("m", [None, 2])
def test_conditional_means_agree_with_quadrature(m):
    rng = np.random.default_rng(4)
    f = random_network(rng, 3, 5, m, names=["a", "b", "c"])
    mean, scale = rng.standard_normal(3), np.array([0.5, 1.5, 1.0])
    values = np.linspace(-2.0, 2.0, 5)
    (b, v), (c, w) = (hermite(mean[i], scale[i], 801) for i in (1, 2))
    found = f.conditional_mean("a", values, mean, scale)
    pairs = f.conditional_mean(["a", "c"], np.column_stack([values, values]), mean, scale)
    assert found.shape == pairs.shape == (5, *np.shape(f.intercept))
    others = np.stack(np.meshgrid(b, c, indexing="ij"), axis=-1).reshape(-1, 2)
    for value, mean_there, pair_there in zip(values, found, pairs, strict=True):
        rows = np.column_stack([np.full(len(others), value), others])
        expected = np.einsum("ij...,i,j->...", f.predict(rows).reshape(801, 801, *np.shape(f.intercept)), v, w)
        np.testing.assert_allclose(mean_there, expected, atol=2e-4)
        rows = np.column_stack([np.full(len(b), value), b, np.full(len(b), value)])
        np.testing.assert_allclose(pair_there, np.einsum("i...,i->...", f.predict(rows), v), atol=2e-4)
    X = rng.standard_normal((4, 3))
    np.testing.assert_allclose(f.conditional_mean([0, 1, 2], X), f.predict(X), rtol=1e-12)
    with pytest.raises(ArgumentError, match=r"values: shape \(2, 2\), expected \(n,\)"):
        f.conditional_mean("a", np.zeros((2, 2)))
    with pytest.raises(ArgumentError, match="features: "):
        f.conditional_mean(["a", 0], np.zeros((2, 2)))


def test_the_active_subspace_agrees_with_sampling():
    rng = np.random.default_rng(5)
    f = random_network(rng, 4, 6, 2)
    mean, factor = rng.standard_normal(4), rng.standard_normal((4, 4))
    n = 400_000
    X = mean + rng.standard_normal((n, 4)) @ factor.T
    on = X @ f.weights.T + f.biases > 0
    gradients = [(on * f.output_weights[o]) @ f.weights + f.linear[o] for o in range(2)]
    expected = sum(g.T @ g for g in gradients) / n
    found = f.active_subspace(mean, factor @ factor.T)
    moment = found.vectors @ np.diag(found.eigenvalues) @ found.vectors.T
    np.testing.assert_allclose(moment, expected, atol=0.01 * np.abs(expected).max())
    assert np.all(np.diff(found.eigenvalues) <= 0)


def test_the_active_subspace_of_homogeneous_networks():
    f = teachers.generic(12, 3, rng=6).network
    found = f.active_subspace()
    assert np.count_nonzero(found.eigenvalues > 1e-12 * found.eigenvalues[0]) == 3
    # The gradient is homogeneous of degree 0: E |grad f|^2 by the angles between the neurons alone.
    weights = f.weights * f.output_weights[:, None]
    cosines = (f.weights @ f.weights.T).clip(-1, 1)
    both = 0.5 - np.arccos(cosines) / (2 * np.pi)
    np.fill_diagonal(both, 0.5)
    assert found.eigenvalues.sum() == pytest.approx(((weights @ weights.T) * both).sum(), rel=1e-12)
    outside = found.vectors[:, 3:]
    assert np.abs(f.weights @ outside).max() < 1e-12


@pytest.mark.parametrize("angle", [0.5, 0.75, 1.0, 2.0, 2.6])
@pytest.mark.parametrize("biases", [(0.0, 0.0), (0.5, 0.5), (1.0, -0.7), (-2.0, 1.5)])
def test_both_neurons_are_active_with_the_mixed_derivative_of_their_inner_product(angle, biases):
    v, step = [math.cos(angle), math.sin(angle)], 1e-3

    def inner(a, b):
        return ReLUNetwork([[1.0, 0.0]], [1.0], [a]).gaussian_inner(ReLUNetwork([v], [1.0], [b]))

    a, b = biases
    corners = [s * t * inner(a + s * step, b + t * step) for s in (-1, 1) for t in (-1, 1)]
    both = sum(corners) / (4 * step**2)
    active = [0.5 * math.erfc(-bias / math.sqrt(2)) for bias in biases]
    trace = ReLUNetwork([[1.0, 0.0], v], [1.0, 1.0], biases).active_subspace().eigenvalues.sum()
    assert trace == pytest.approx(sum(active) + 2 * v[0] * both, abs=1e-5)


@pytest.mark.slow
def test_closed_forms_against_ten_million_samples():
    """Mean, variance and first-order indices, the last from pairs of rows that share a feature."""
    rng = np.random.default_rng(0)
    network = ReLUNetwork(
        rng.standard_normal((4, 3)), rng.standard_normal(4), rng.standard_normal(4), rng.standard_normal(3), 0.3
    )
    mean, scale = np.array([0.5, -1.0, 0.0]), np.array([1.0, 0.5, 2.0])
    exact = network.sobol_indices(mean, scale)
    blocks, rows = 100, 100_000
    found = np.empty((blocks, 5))
    for block in found:
        X, other = (mean + scale * rng.standard_normal((rows, 3)) for _ in range(2))
        values = network.predict(X) - exact.mean
        block[0], block[1] = values.mean(), np.mean(values**2)
        for i in range(3):
            shared = other.copy()
            shared[:, i] = X[:, i]
            block[2 + i] = np.mean(values * (network.predict(shared) - exact.mean))
    expected = np.r_[0.0, exact.variance, exact.first * exact.variance]
    errors = found.std(axis=0) / np.sqrt(blocks)
    assert np.all(np.abs(found.mean(axis=0) - expected) < 4 * errors)
    assert np.all(errors < 2e-3 * exact.variance)

"""The search inside the subspace finds planted networks, with the same result for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from relunet.errors import ArgumentError
from relunet.fitting.stages.discovery import Candidate, choose, find_many_neurons, find_neurons


def planted(rng, n, vectors, signs, linear, fit_bias, noise=0.0):
    z = rng.standard_normal((n, vectors.shape[1] - fit_bias))
    zt = np.hstack([z, np.ones((n, 1))]) if fit_bias else z
    y = zt @ linear + np.abs(zt @ vectors.T) @ signs
    return z, y + noise * y.std() * rng.standard_normal(n)


def lines(vectors, signs):
    """Return neurons in a fixed order and orientation."""
    rows = vectors * np.sign(vectors[:, :1]) * 1.0
    return np.hstack([rows, signs[:, None]])[np.argsort(rows[:, 0])]


def assert_found(candidate: Candidate, vectors, signs, atol):
    assert candidate.n_neurons == len(signs)
    np.testing.assert_allclose(lines(candidate.vectors, candidate.signs), lines(vectors, signs), atol=atol)


def unit(a):
    return a / np.linalg.norm(a, axis=1, keepdims=True)


def fan(k):
    angle = 0.1 + np.pi * np.arange(k) / k
    return np.c_[np.cos(angle), np.sin(angle)], (-1.0) ** np.arange(k)


@pytest.mark.parametrize(
    ("r", "k", "fit_bias"), [(4, 4, False), (3, 6, False), (1, 3, True), (2, 4, True), (5, 5, True)]
)
@pytest.mark.parametrize("n_neurons", ["known", "more"])
def test_generic_networks_are_found_exactly(r, k, fit_bias, n_neurons):
    rng = np.random.default_rng([r, k])
    vectors = unit(rng.standard_normal((k, r))) * rng.uniform(0.3, 1, (k, 1))
    if fit_bias:
        vectors = np.hstack([vectors, rng.uniform(-1, 1, (k, 1)) * np.linalg.norm(vectors, axis=1, keepdims=True)])
    signs = rng.choice([-1.0, 1.0], k)
    z, y = planted(rng, 6000, vectors, signs, rng.standard_normal(vectors.shape[1]), fit_bias)
    found = find_neurons(z, y, k if n_neurons == "known" else k + 5, fit_bias=fit_bias)
    assert_found(choose(found, 1200), vectors, signs, 1e-10)


@pytest.mark.parametrize("k", [4, 6, 8])
def test_fans_that_hide_from_linear_moments_are_found(k):
    vectors, signs = fan(k)
    z, y = planted(np.random.default_rng(k), 6000, vectors, signs, np.zeros(2), False)
    assert_found(choose(find_neurons(z, y, k), 1200), vectors, signs, 1e-10)


def test_near_duplicates_and_tiny_neurons_are_found():
    rng = np.random.default_rng(3)
    vectors = unit(rng.standard_normal((5, 5)))
    vectors[1] = unit(vectors[:1] + 0.1 * unit(rng.standard_normal((1, 5))))[0]
    vectors *= np.array([[5.0], [5.0], [1.0], [1.0], [0.01]])
    signs = np.array([1.0, -1.0, 1.0, -1.0, 1.0])
    z, y = planted(rng, 10000, vectors, signs, np.zeros(5), False)
    assert_found(choose(find_neurons(z, y, 5), 2000), vectors, signs, 1e-9)


def test_noise_decides_the_number_of_neurons():
    rng = np.random.default_rng(5)
    vectors, signs = unit(rng.standard_normal((3, 4))), np.array([1.0, -1.0, 1.0])
    z, y = planted(rng, 10000, vectors, signs, np.ones(4), False, noise=0.2)
    candidate = choose(find_neurons(z, y, 12, budget=2_000_000_000), 2000)
    assert_found(candidate, vectors, signs, 0.1)
    assert candidate.heldout_loss > 0.9 * candidate.train_loss > 0


def test_a_linear_function_needs_no_neuron():
    rng = np.random.default_rng(7)
    z = rng.standard_normal((2000, 3))
    exact = find_neurons(z, z @ [1.0, 2.0, 3.0] + 4.0, 5, fit_bias=True)
    assert [c.n_neurons for c in exact] == [0]
    np.testing.assert_allclose(exact[0].linear, [1, 2, 3, 4], atol=1e-12)
    assert choose(find_neurons(z, rng.standard_normal(2000), 5), 400).n_neurons == 0


def test_the_result_does_not_depend_on_threads():
    rng = np.random.default_rng(11)
    vectors, signs = unit(rng.standard_normal((4, 3))), np.array([1.0, -1.0, 1.0, -1.0])
    z, y = planted(rng, 5000, vectors, signs, np.zeros(3), False, noise=0.1)
    one, three = (find_neurons(z, y, 6, budget=1_000_000_000, n_jobs=n) for n in (1, 3))
    assert len(one) == len(three)
    for a, b in zip(one, three, strict=True):
        assert np.array_equal(a.vectors, b.vectors)
        assert np.array_equal(a.linear, b.linear)
        assert (a.train_loss, a.heldout_loss) == (b.train_loss, b.heldout_loss)


def test_integer_weights_equal_repeated_rows_in_the_fit():
    rng = np.random.default_rng(13)
    z = rng.standard_normal((3000, 3))
    y = np.abs(z @ [1.0, 0.5, 0.0]) + 0.3 * rng.standard_normal(3000)
    weight = np.where(np.arange(3000) % 3 == 0, 0.0, 2.0)
    kept = weight > 0
    weighted = find_neurons(z, y, 1, sample_weight=weight)
    plain = find_neurons(z[kept], y[kept], 1)
    np.testing.assert_allclose(weighted[1].vectors, plain[1].vectors, rtol=1e-6, atol=1e-8)
    assert weighted[1].train_loss == pytest.approx(2 * plain[1].train_loss, rel=1e-9)


def test_a_start_is_extended_and_kept():
    rng = np.random.default_rng(17)
    vectors, signs = unit(rng.standard_normal((6, 3))), np.array([1.0, -1.0, 1.0, -1.0, 1.0, 1.0])
    z, y = planted(rng, 6000, vectors, signs, np.zeros(3), False)
    start = Candidate(np.zeros(3), vectors[:4] + 1e-3, signs[:4], np.nan, np.nan)
    assert_found(choose(find_neurons(z, y, 6, starts=[start]), 1200), vectors, signs, 1e-10)
    truth = Candidate(np.zeros(3), vectors + 1e-3, signs, np.nan, np.nan)
    assert_found(choose(find_neurons(z, y, 6, starts=[truth], budget=0), 1200), vectors, signs, 1e-10)


def test_a_spent_budget_ends_gracefully():
    rng = np.random.default_rng(19)
    z = rng.standard_normal((4000, 6))
    y = np.abs(z @ rng.standard_normal((6, 6))).sum(1)
    found = find_neurons(z, y, 6, budget=20_000_000)
    assert 0 < found[-1].n_neurons <= 6
    losses = [c.train_loss for c in found]
    assert losses == sorted(losses, reverse=True)


def test_arguments_that_do_not_fit_are_named():
    z = np.ones((20, 2))
    with pytest.raises(ArgumentError, match="y"):
        find_neurons(z, np.ones(19), 1)
    with pytest.raises(ArgumentError, match="weights"):
        find_neurons(z, np.ones(20), 1, sample_weight=-np.ones(20))
    with pytest.raises(ArgumentError, match="starts"):
        find_neurons(z, np.ones(20), 1, starts=[Candidate(np.zeros(3), np.ones((1, 3)), np.ones(1), 0.0, 0.0)])


@pytest.mark.parametrize("fit_bias", [False, True])
def test_many_neurons_are_found_at_once(fit_bias):
    rng = np.random.default_rng(5)
    vectors, signs = unit(rng.standard_normal((10, 8 + fit_bias))), np.where(np.arange(10) % 3, 1.0, -1.0)
    z, y = planted(rng, 4000, vectors, signs, rng.standard_normal(8 + fit_bias), fit_bias)
    found = find_many_neurons(z, y, 10, fit_bias=fit_bias, floor=1e-22)
    assert found.n_neurons == 10
    cosine = np.abs(unit(found.vectors) @ vectors.T)
    assert np.all(cosine.max(axis=0) > 1 - 1e-9)
    assert np.array_equal(np.sort(found.signs), np.sort(signs))


def test_noise_leaves_at_most_the_neurons_asked_for():
    rng = np.random.default_rng(6)
    vectors, signs = unit(rng.standard_normal((6, 5))), np.where(np.arange(6) % 2, 1.0, -1.0)
    z, y = planted(rng, 3000, vectors, signs, np.zeros(5), False, noise=0.1)
    found = find_many_neurons(z, y, 6, rounds=1)
    assert found.n_neurons <= 6
    assert found.train_loss < 0.012 * y.var()

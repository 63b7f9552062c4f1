"""Property tests of the statements of [DK24], named by their numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from relunet import ReLUNetwork
from relunet.theory.polynomial import hermite_tables, relu_coefficients
from support.lemmas import hermite_tensors, power, seeds, tensor, unit_rows


def schur(exponents, x):
    """The Schur polynomial of a partition at x, as a ratio of determinants (Definition 9, corrected)."""
    n = len(x)
    lam = np.array(list(exponents) + [0] * (n - len(exponents)))
    powers = x[:, None] ** (lam + n - 1 - np.arange(n))
    return np.linalg.det(powers) / np.linalg.det(x[:, None] ** (n - 1 - np.arange(n)))


@pytest.mark.parametrize("m", range(2, 24, 2))
def test_lemma_5_coefficients(m):
    """c_m = (-1/2)^{(m-2)/2} √C(m-2, (m-2)/2) / √(2π m (m-1)), of order m^{-5/4}; zero for odd m ≥ 3."""
    expected = (-0.5) ** ((m - 2) // 2) * math.sqrt(math.comb(m - 2, (m - 2) // 2) / (2 * math.pi * m * (m - 1)))
    found = relu_coefficients(0.0, m + 1)
    assert math.isclose(found[m], expected, rel_tol=1e-12)
    assert found[m + 1] == 0.0
    if m >= 8:
        assert 0.9 < abs(found[m]) * m**1.25 / ((2 / math.pi) ** 0.25 / math.sqrt(2 * math.pi)) < 1.3


@given(st.integers(1, 3), st.integers(1, 5), seeds)
@settings(max_examples=20)
def test_definition_3_projections_and_powers(d, m, seed):
    """H_m, with 1/√m!, along a unit vector is h_m."""
    rng = np.random.default_rng(seed)
    x, v = rng.standard_normal((1, d)), unit_rows(rng, 1, d)[0]
    along = np.sum(hermite_tensors(x, m)[0] * power(v, m)) / math.sqrt(math.factorial(m))
    assert math.isclose(along, hermite_tables(x @ v[:, None], m)[0][m, 0], abs_tol=1e-9)


@given(st.integers(1, 5), st.integers(0, 12), seeds)
def test_proposition_13_power_sums_of_low_order_bound_the_others(k, beyond, seed):
    rng = np.random.default_rng(seed)
    w, x, t = rng.standard_normal(k), rng.uniform(-1, 1, k), k + beyond
    sums = [abs(np.sum(w * x**s)) for s in range(t + 1)]
    assert sums[t] <= math.comb(t, k - 1) * (2 * k) ** k * max(sums[:k]) + 1e-12


@given(st.integers(2, 4), st.integers(0, 6), seeds)
def test_claim_14_coefficients_are_schur_polynomials(k, beyond, seed):
    rng = np.random.default_rng(seed)
    x, t = rng.uniform(-1, 1, k), k + beyond
    assume(np.min(np.diff(np.sort(x))) > 0.05)
    hooks = [(t - k + 1, *[1] * (k - 1 - a)) for a in range(k)]
    c = [(-1) ** (k + a + 1) * schur(hooks[a], x) for a in range(k)]
    np.testing.assert_allclose(sum(c[a] * x**a for a in range(k)), x**t, atol=1e-7)
    # At (1, .., 1), by nearby points: the sum of the sizes of the coefficients.
    ones = 1 + 1e-3 * np.arange(k)
    total = sum(schur(hook, ones) for hook in hooks)
    assert total <= math.comb(t, k - 1) * (2 * k) ** k * ones[-1] ** (2 * t)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 3), seeds)
def test_proposition_15_tensors_of_low_order_bound_the_others(d, k, beyond, seed):
    rng = np.random.default_rng(seed)
    w, v = rng.standard_normal(k), unit_rows(rng, k, d) * rng.uniform(0, 1, (k, 1))
    norms = [np.linalg.norm(tensor(w, v, t)) for t in range(k + beyond + 1)]
    assert norms[-1] <= math.comb(k + beyond, k - 1) * (2 * k) ** k * max(norms[:k]) + 1e-12


@given(st.integers(1, 2), st.integers(1, 3), st.integers(0, 2), seeds)
def test_corollary_16_even_orders(d, k, beyond, seed):
    rng = np.random.default_rng(seed)
    w, v, t = rng.standard_normal(k), unit_rows(rng, k, d), 2 * (k + beyond)
    low = max(np.linalg.norm(tensor(w, v, s)) for s in range(0, 2 * k, 2))
    assert np.linalg.norm(tensor(w, v, t)) <= math.comb(t, k - 1) * (2 * k) ** k * low + 1e-12


@given(st.integers(1, 4), st.integers(1, 4), seeds)
@settings(max_examples=30)
def test_parseval_sums_orders_to_the_norm(d, k, seed):
    """E F² = Σ_m c_m² ‖Σ w_i v_i^{⊗m}‖², the last step of Theorem 1's proof."""
    rng = np.random.default_rng(seed)
    w, v = rng.standard_normal(k), unit_rows(rng, k, d)
    c, inner = relu_coefficients(0.0, 2000), np.clip(v @ v.T, -1, 1)
    orders = np.arange(2001)
    total = sum(w[i] * w[j] * np.sum(c**2 * inner[i, j] ** orders) for i in range(k) for j in range(k))
    tail = np.sum(np.abs(w)) ** 2 * 2000**-1.5
    assert abs(total - ReLUNetwork(v, w).gaussian_norm() ** 2) <= tail

"""Property tests of the statements of [CN24], named by their numbers."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.polynomial import Polynomial

from relunet.theory import AbsoluteForm
from relunet.theory.spans import projector_span
from support.lemmas import matrix, seeds, unit_rows


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=6), st.data())
def test_lemma_7_a_polynomial_tells_a_cluster_from_the_rest(x, data):
    """Of degree |I|(k - |I|) ≤ ⌊k²/4⌋, with coefficients of total size (1 + (2/Δ)^|I|)^(k - |I|) at most."""
    x = np.sort(x)
    k = len(x)
    a = data.draw(st.integers(0, k - 1))
    b = data.draw(st.integers(a, k - 1))
    inside, outside = x[a : b + 1], np.concatenate([x[:a], x[b + 1 :]])
    gap = min([abs(i - j) for i in inside for j in outside], default=1.0)
    assume(gap > 0.02)
    p = Polynomial([1.0])
    for other in outside:
        factor = Polynomial([1.0])
        for root in inside:
            factor *= Polynomial([-root, 1.0]) / (other - root)
        p *= 1 - factor
    assert p.degree() <= len(inside) * len(outside) <= k * k // 4
    bound = (1 + (2 / gap) ** len(inside)) ** len(outside)
    assert np.sum(np.abs(p.coef)) <= bound * (1 + 1e-9)
    # By the product, for the coefficients cancel.
    at = np.array([math.prod(1 - math.prod((s - i) / (j - i) for i in inside) for j in outside) for s in x])
    np.testing.assert_allclose(at, (np.arange(k) >= a) & (np.arange(k) <= b), atol=1e-6)


@given(st.integers(2, 5), st.integers(1, 4), st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 1.0), seeds)
def test_lemma_9_heavy_clusters_are_enough(d, m, width, xi, tau, seed):
    """With the distances themselves for Lemma 5's bound on them, and without the factor k that (23) loses."""
    rng = np.random.default_rng(seed)
    zero, truth, guess = np.zeros(d), [], []
    error = 0.0
    for centre in unit_rows(rng, m, d):
        u = centre + width * unit_rows(rng, 3, d)
        u[0] = centre
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        lam = rng.standard_normal(3)
        truth += list(zip(lam, u, strict=True))
        if abs(lam.sum()) <= tau:
            error += np.sum(np.abs(lam) * np.linalg.norm(u - centre, axis=1)) + tau
            continue
        moved = centre + xi / 2 * unit_rows(rng, 1, d)[0]
        moved /= np.linalg.norm(moved)
        assert np.linalg.norm(moved - centre) <= xi + 1e-12
        guess.append((lam.sum() + rng.uniform(-xi, xi), moved))
        error += np.sum(np.abs(lam) * (np.linalg.norm(u - centre, axis=1) + xi)) + xi
    f, g = (
        AbsoluteForm(zero, np.array([lam for lam, _ in part]), np.array([u for _, u in part]).reshape(-1, d)).network()
        for part in (truth, guess)
    )
    assert f.gaussian_distance(g) <= error + 1e-9


def perturbed(d, k, eta, seed):
    """M_l, l = 2, .., 2k + 2, with errors of Frobenius norm η, and an orthonormal basis of the neurons' span."""
    rng = np.random.default_rng(seed)
    lam, u, g = rng.standard_normal(k), unit_rows(rng, k, d), unit_rows(rng, 1, d)[0]
    found = {}
    for degree in range(2, 2 * k + 3, 2):
        error = rng.standard_normal((d, d))
        found[degree] = matrix(lam, u, g, degree) + (error + error.T) / np.linalg.norm(error + error.T) * eta
    basis, s, _ = np.linalg.svd(u.T, full_matrices=False)
    return found, basis[:, s > 1e-10 * s[0]]


cases = given(st.integers(2, 7), st.integers(1, 3), st.floats(1e-4, 0.2), st.floats(1e-3, 1.0), seeds)


@cases
def test_lemma_10_and_corollary_11_large_eigenvectors_lie_near_the_span(d, k, eta, threshold, seed):
    found, basis = perturbed(d, k, eta, seed)
    for m in found.values():
        values, vectors = np.linalg.eigh(m)
        large = vectors[:, np.abs(values) >= threshold]
        off = np.linalg.norm(large - basis @ (basis.T @ large), axis=0)
        assert np.all(off <= eta / threshold + 1e-9)
        assert np.sum(off**2) <= d * (eta / threshold) ** 2 + 1e-9


@cases
@settings(max_examples=60)
def test_proposition_12_and_lemma_13_v_is_small(d, k, eta, threshold, seed):
    """With the number of degrees for the O(k²) that counts them."""
    found, basis = perturbed(d, k, eta, seed)
    nu = 0.5
    v, _ = projector_span(found, dict.fromkeys(found, threshold), nu)
    beyond = len(found) * d * (eta / threshold) ** 2 / nu
    assert np.sum((v - basis @ (basis.T @ v)) ** 2) <= beyond + 1e-9
    assert v.shape[1] <= k + beyond + 1e-9

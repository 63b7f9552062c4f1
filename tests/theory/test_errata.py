"""Counterexamples to the errors in published statements and proofs, in the order of docs/errata.md."""

from __future__ import annotations

import math
from itertools import combinations, pairwise, product

import numpy as np
import pytest

from relunet import ReLUNetwork
from relunet.theory import AbsoluteForm, PopulationMoments
from relunet.theory.clumping import is_good, play, strategy
from relunet.theory.one_direction import one_direction
from relunet.theory.polynomial import relu_coefficients
from relunet.theory.scales import Closeness
from relunet.theory.spans import joint_span
from support.lemmas import gaussian_plane, hermite, hermite_tensors, matrix, tensor


def test_lemma_3_has_no_room_for_one_neuron():
    """The upper bound c'/√d √(log k) is 0 at k = 1."""
    g = np.array([0.6, 0.8])
    assert abs((2 * np.array([1.0, 0.0])) @ g) / 2 > math.sqrt(math.log(1))


def test_lemma_3_has_no_ratio_for_a_neuron_and_its_opposite():
    """For i = j and σ = -1, u_i - u_i vanishes, and so does its projection."""
    u = np.array([[1.0, 0.0], [0.6, 0.8]])
    lengths = {(i, j, s): np.linalg.norm(u[i] + s * u[j]) for i in range(2) for j in range(2) for s in (1, -1)}
    assert {key for key, length in lengths.items() if length == 0} == {(0, 0, -1), (1, 1, -1)}


def test_lemma_5_needs_bounded_nodes():
    a = np.array([10.0, 11.0])
    solution = np.linalg.solve(np.vander(a, increasing=True), [1.0, 0.0])
    assert np.linalg.norm(solution) > 2 * 1.0 ** (-2) * 1.0


def test_lemma_7_is_not_about_the_tensor_it_names():
    """With entries divided by √n_j! and κ_l/l! the estimate of T_2 is not u uᵀ, nor a multiple of it."""
    u = np.array([0.6, 0.8])
    x, weight = gaussian_plane(u[None, :])
    label = weight * np.abs(x @ u)
    c = (hermite(2, np.zeros(1))[0] + 2) / (math.sqrt(2 * math.pi) * 2)
    published = np.tensordot(label, hermite_tensors(x, 2, divide=True), 1) / (2 * c)
    np.testing.assert_allclose(published / np.outer(u, u), [[math.sqrt(2), 2], [2, math.sqrt(2)]], atol=1e-9)
    kappa = 1 / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(np.tensordot(label, hermite_tensors(x, 2), 1) / (2 * kappa), np.outer(u, u), atol=1e-9)


def test_appendix_a1_differentiates_twice_at_every_degree():
    """(-1)ⁿ e^{x²/2} d²/dx² e^{-x²/2} is ±(x² - 1); its own list has He_3 = x³ - 3x."""
    x, h = np.linspace(-2, 2, 9), 1e-3
    density = np.exp(-((x[:, None] + h * np.arange(-1, 2)) ** 2) / 2)
    published = -np.exp(x**2 / 2) * (density @ [1, -2, 1]) / h**2
    np.testing.assert_allclose(published, -(x**2 - 1), atol=1e-5)
    np.testing.assert_allclose(hermite(3, x), x**3 - 3 * x, atol=1e-12)
    assert np.max(np.abs(published - hermite(3, x))) > 1


def test_appendix_b1_coefficients_decay_like_the_power_5_4():
    """Of normalised polynomials; l^{-5/2} is their square."""
    c = relu_coefficients(0.0, 1024)
    assert 0.95 < abs(c[1024] / c[512]) / 2**-1.25 < 1.05


def test_lemma_10_leaves_out_the_linear_part():
    """relu(e_1·x) + relu(e_2·x) after |e_1·x|/2 leaves |e_2·x|/2 and w = (e_1 + e_2)/2, of which e_1/2 is off e_2."""
    f = AbsoluteForm.of(ReLUNetwork(np.eye(2), [1.0, 1.0]))
    left = AbsoluteForm(f.w, f.lam[1:], f.u[1:]).network()
    exact = PopulationMoments(f.network())
    known = AbsoluteForm(np.zeros(2), f.lam[:1], f.u[:1]).network()
    moments = exact.moments((1, 2), [1.0, 0.0], known)
    lam, u = one_direction(moments[2])

    # The best h = μ⁺ relu(u·x) + μ⁻ relu(-u·x) keeps the part of w along u.
    along = moments[1] @ u
    h = ReLUNetwork([u, -u], [lam + along, lam - along])
    assert math.isclose(h.gaussian_distance(left), 0.5, rel_tol=1e-9)
    corrected = AbsoluteForm(moments[1], np.array([lam]), u[None, :]).network()
    assert corrected.gaussian_distance(left) < 1e-12


def test_lemma_10s_proof_tells_apart_what_is_one_function():
    """λ⁺|u·x| + λ⁻|-u·x| has no T_1 = (λ⁺ - λ⁻) u to tell λ⁺ and λ⁻ by, nor moments that differ."""
    u, g = np.array([0.6, 0.8]), np.array([1.0, 0.0])
    split = [
        PopulationMoments(AbsoluteForm(np.zeros(2), np.array(lam), np.stack([u, -u])).network()).moments((1, 2, 4), g)
        for lam in ([2.0, 1.0], [0.5, 2.5])
    ]
    for degree in (1, 2, 4):
        np.testing.assert_allclose(split[0][degree], split[1][degree], atol=1e-12)
    assert np.linalg.norm((2.0 - 1.0) * u) > 0.9
    assert np.linalg.norm(split[0][1]) < 1e-12


def test_lemmas_12_and_13_need_absolute_values():
    """One neuron with λ = -1: rᵀ M_l r is never above C_1 ‖r‖⁴ - C_2, and no top eigenvalue finds it."""
    u, g = np.array([1.0, 0.0]), np.array([0.6, 0.8])
    for degree in (2, 4):
        m = matrix(np.array([-1.0]), u[None, :], g, degree)
        assert u @ m @ u < 0
        values, vectors = np.linalg.eigh(m)
        assert abs(vectors[:, np.argmax(values)] @ u) < 1e-12
        assert abs(vectors[:, np.argmax(np.abs(values))] @ u) > 1 - 1e-12


def test_equation_10_is_off_by_a_square():
    """rᵀ M_l r is <v^{l-2}, q>, not <v^l, q>."""
    v, u, r = 0.5, np.array([0.5, math.sqrt(0.75)]), np.array([0.0, 1.0])
    m = matrix(np.ones(1), u[None, :], np.array([1.0, 0.0]), 4)
    assert math.isclose(r @ m @ r, v**2 * (u @ r) ** 2)
    assert not math.isclose(r @ m @ r, v**4 * (u @ r) ** 2)


def test_the_literal_joint_span_can_be_everything():
    """Of d = 6 dimensions, for k = 2: three matrices with noise that is far below every neuron."""
    rng = np.random.default_rng(0)
    exact = {degree: np.diag([1.0, 0.5, 0, 0, 0, 0]) * (1e-6 if degree == 2 else 1.0) for degree in (2, 4, 6)}
    noisy = {}
    for degree, m in exact.items():
        error = 1e-3 * rng.standard_normal((6, 6))
        # M_2 and M_4 cancel here: their top singular vectors are noise.
        noisy[degree] = (error + error.T) + (m if degree == 6 else 0)
    assert joint_span(noisy, 2).shape == (6, 6)
    assert joint_span(noisy, 2, dict.fromkeys(noisy, 1e-3), 2.0).shape == (6, 2)


def test_lemma_20_centres_with_the_wrong_mean():
    """E F² and not E F is what F² has to be compared with."""
    relu = ReLUNetwork([[1.0]], [1.0])
    mean = 1 / math.sqrt(2 * math.pi)
    assert math.isclose(relu.gaussian_norm() ** 2, 0.5)
    assert abs(mean - 0.5) > 0.1


def test_lemma_20_has_two_lipschitz_constants():
    """The power of k is that of the statement where Σ|λ_i| ≤ R; where |λ_i| ≤ R alone, that of the proof."""
    widths = np.array([1, 2, 4, 8, 16, 32])
    deviation = math.sqrt(3 / 2 - 1 / 4)  # of relu(t)²

    def in_units_of_t(slope, power):
        """Return the standard deviation of the mean of F² over N = K²/t² rows, F = slope relu(u·x), R = 1."""
        return slope**2 * deviation / (slope**2 / 2 + 4 * widths**power)

    # k neurons along u after -k of them are taken away: a slope of 2kR, to which 4R²k is too little for large k.
    differences = ReLUNetwork(np.ones((6, 1)), np.ones(6))
    assert float(differences.predict([[1.0]])[0]) == 2 * 3 * 1.0
    published = (2 * widths) ** 2 * deviation / (2 * widths / math.sqrt(2 * math.pi) + 4 * widths)
    assert np.all(np.diff(published / widths) >= -1e-12)
    assert published[-1] > 25
    assert np.all(in_units_of_t(2 * widths, 3) < 1.2)
    # |F| ≤ 2R‖z‖ for z in 2k dimensions: E exp(F²/16R²k) ≤ (1 - 1/2k)^(-k) ≤ 2.
    assert np.all(in_units_of_t(2.0, 1) < 1.2)
    assert np.all((1 - 1 / (2 * widths)) ** -widths.astype(float) <= 2)


def test_lemma_20_bounds_one_side():
    """E F² - σ̂² ≤ t tells nothing about σ̂² - E F²: F = relu(x), t = E F² = 1/2 < 4R²k with 2R = k = 1, and one row."""
    square, t = 0.5, 0.5
    x = np.linspace(-4, 4, 801)
    estimate = np.maximum(x, 0) ** 2
    assert np.all(square - estimate <= t)
    wrong = math.erfc(x[estimate - square > t][0] / math.sqrt(2)) / 2
    assert 0.15 < wrong < 0.16


def test_lemma_21_has_the_constant_of_relu():
    """For |·|, where the paper uses it, 5/6 is too small and 1 is the least."""
    u, v = np.array([1.0, 0.0]), np.array([math.cos(0.1), math.sin(0.1)])
    zero = np.zeros(2)
    gap = np.sum((u - v) ** 2)
    distance = (
        AbsoluteForm(zero, np.ones(1), u[None])
        .network()
        .gaussian_distance(AbsoluteForm(zero, np.ones(1), v[None]).network())
    )
    assert 5 / 6 * gap < 0.9 * gap < distance**2 < gap


@pytest.mark.parametrize("degree", [2, 4, 6, 8, 20])
def test_lemma_23_divides_by_too_much(degree):
    """From (l-3)!! ‖T‖ ≤ √2π d^{l/2} √l! ‖f‖ the bound follows by (l-3)!! ≥ √l!, which is never so."""
    assert math.prod(range(1, degree - 2, 2)) < math.sqrt(math.factorial(degree))


def test_lemma_27_needs_numbers_of_one_sign():
    v, q = np.array([0.5, -0.5]), np.array([1.0, -1.0])
    assert all(np.sum(q * v**degree) == 0 for degree in range(0, 12, 2))
    # k' = 1, α = 1/2, γ = 1: the claim is a positive lower bound.
    assert 1.0 / 4 * (0.5**2 * 1.0**2 / 8) ** 2 > 0


def test_lemma_27s_proof_bounds_what_is_not_bounded():
    """ε_i = v_i²/v_1² - 1 is not in [γ², 1]: it is as large as 1/α²."""
    assert 1.0 / 0.1**2 - 1 > 1


def test_definition_31_lets_a_partition_be_too_large():
    """Literally, j_{a+1} > i_a + 1: [1, 1], [2, 3], [4, 4] would be separated, three of four (Lemma 32)."""
    intervals = [(1, 1), (2, 3), (4, 4)]
    literal = [b[1] > a[0] + 1 for a, b in pairwise(intervals)]
    meant = [b[0] > a[1] + 1 for a, b in pairwise(intervals)]
    assert all(literal)
    assert not any(meant)
    assert len(intervals) > math.ceil(4 / 2)


def test_lemma_33_needs_low_ends():
    """For w = (0, 3, 3.5, 0), τ = 3, τ' = 1: [2, 4] is moderate, but no moves replace it alone by its minimum."""
    w, tau = [0.0, 3.0, 3.5, 0.0], 3.0
    assert max(w[1], w[3]) <= tau
    assert all(level <= 1 or level > 2 for level in w[1:])

    def reachable(state):
        pairs = [pair for pair in combinations(range(len(state)), 2) if is_good(state, *pair, tau)]
        moves = [[pair] for pair in pairs] + [[p, q] for p, q in product(pairs, pairs) if p[1] <= q[0]]
        return {tuple(play(state, move, tau)[0]) for move in moves}

    once = reachable(w)
    assert (0.0, 0.0) not in once | {end for state in once for end in reachable(list(state))}


def test_appendix_c1_forbids_the_moves_of_lemma_33():
    """i_1 = 1 and j_m = k, of each move: the strategy's first move here ends before, and the game is won."""
    w, tau = [0.0, 1.0, 1.0, 3.5, 0.0], 3.0
    first, *others = strategy(w, tau)
    assert first[-1][1] < len(w) - 1
    for move in [first, *others]:
        w, _ = play(w, move, tau)
    assert w == [0.0]


def test_lemma_37_loses_the_perturbation():
    """Of w = (0, 1.2, 0), Δ = 1/2, τ = 1/2: w' = (0, 0.7, 0) is not above max + 1, but above max + 1 - Δ."""
    delta, tau = 0.5, 0.5
    w, perturbed = [0.0, 1.2, 0.0], [0.0, 0.7, 0.0]
    assert all(b <= a and (a <= 1 or b >= a - delta) for a, b in zip(w, perturbed, strict=True))
    assert is_good(w, 0, 2, tau)
    assert not is_good(perturbed, 0, 2, tau)
    assert is_good(perturbed, 0, 2, tau, 1 - delta)


def test_appendix_c3_ends_below_t_of_the_widest():
    """Gaps of a level above 0.99 are below T(ε'); T(1), by which they are bounded, need not be below ε' at all."""
    closeness, widest = Closeness.of_theorem(k=2, d=2, bound=1.0, detectable=1.0), 0.01
    assert closeness(1.0) > widest
    assert closeness.level(closeness(widest), widest) < 0.99
    gaps = 10.0 ** np.linspace(-12, 0, 200)
    deep = [gap for gap in gaps if closeness.level(gap, widest) > 0.99]
    assert deep
    assert max(deep) < closeness(widest) < widest


def test_figure_2_ends_in_two_ones():
    w = [0, 3.1, 2, 2, 3.1, 1, 1, 3.1, 2, 2, 3.1, 0]
    assert play(w, [(0, 2), (3, 5), (6, 8), (9, 11)], 3)[0] == [0, 1, 1, 0] != [0, 1, 0]


def test_cn24_lemma_7_has_half_the_degree_at_most():
    assert all(i * (k - i) <= k * k // 4 < k * k for k in range(1, 20) for i in range(1, k + 1))


def test_cn24_clusters_share_the_weights():
    """Moving each cluster to one of its members costs ‖λ‖_1 times the widest move, not k times that."""
    rng, k = np.random.default_rng(0), 6
    angles = np.repeat([0.0, 1.0, 2.0], 2) + 0.05 * rng.uniform(size=k)
    lam = rng.uniform(0.5, 1.5, k)
    u = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    moved = u[np.repeat([0, 2, 4], 2)]
    step = np.max(np.linalg.norm(u - moved, axis=1))
    off = AbsoluteForm(np.zeros(2), lam, u).network().gaussian_distance(AbsoluteForm(np.zeros(2), lam, moved).network())
    assert 0 < off <= np.sum(lam) * step


def test_cn24_normalising_a_projection_moves_it_further():
    """A unit vector 4ξ from V is not always within 2ξ of a unit vector of V."""
    xi = 0.01
    u = np.array([math.sqrt(1 - (4 * xi) ** 2), 4 * xi])
    assert np.linalg.norm(u - [1.0, 0.0]) > 2 * xi


def test_dk24_lemma_5_has_a_complex_sign():
    """(-1/4)^{(m-2)/4} is i/2 for m = 4, where c_4 < 0."""
    assert abs(((-0.25 + 0j) ** ((4 - 2) / 4)).real) < 1e-12
    assert relu_coefficients(0.0, 4)[4] < 0


def test_dk24_definition_9_has_the_exponents_reversed():
    """With x_i^{λ_j + j - 1} and λ descending, s_(1)(x_1, x_2) would be 0 and not x_1 + x_2."""
    x, lam = np.array([0.3, 0.7]), np.array([1, 0])
    assert abs(np.linalg.det(x[:, None] ** (lam + np.arange(2)))) < 1e-15
    right = np.linalg.det(x[:, None] ** (lam + 1 - np.arange(2))) / np.linalg.det(x[:, None] ** (1 - np.arange(2)))
    assert math.isclose(right, 1.0)


def test_dk24_equation_3_is_not_of_order_t():
    """The partition (t - k - 1, 1, .., 1) makes M_a ⊗ s of order t - 2; Claim 14 has t - k + 1."""
    k, t = 3, 7
    assert all(a + (t - k - 1) + (k - 1 - a) == t - 2 for a in range(k))
    assert all(a + (t - k + 1) + (k - 1 - a) == t for a in range(k))


def test_dk24_lemma_17_is_about_one_mode():
    """‖M_m v‖ is small for v off V, not ‖M_m‖."""
    u, v = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    m = tensor(np.ones(1), u[None, :], 4)
    assert np.linalg.norm(np.tensordot(m, v, 1)) == 0 < np.linalg.norm(m)

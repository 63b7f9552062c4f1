"""Exact Gaussian inner products and distances, against quadrature, Monte Carlo and identities."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relunet import ArgumentError, ReLUNetwork, teachers

PANEL_POINTS, PANEL_WEIGHTS = np.polynomial.legendre.leggauss(30)


def integrate(function, edges):
    """Composite Gauss-Legendre rule."""
    halves, middles = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    return float((function(middles + halves * PANEL_POINTS) * halves * PANEL_WEIGHTS).sum())


def density(z):
    return np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def rectified_mean(s):
    """E[(Z + s)_+]."""
    return s * np.vectorize(math.erfc)(-s / math.sqrt(2)) / 2 + density(s)


def pair_by_quadrature(h, k, rho):
    """E[(X + h)_+ (Y + k)_+], the inner integral in closed form."""
    r = math.sqrt(1 - rho**2)
    edges = np.unique(np.clip(np.r_[np.linspace(-h, 14, 200), -k / rho if rho else 0.0], -h, 14))
    return integrate(lambda x: density(x) * (x + h) * r * rectified_mean((k + rho * x) / r), edges)


def random_network(rng, d, k, m=None):
    outputs = () if m is None else (m,)
    return ReLUNetwork(
        rng.standard_normal((k, d)),
        rng.standard_normal((*outputs, k)),
        rng.standard_normal(k),
        rng.standard_normal((*outputs, d)),
        rng.standard_normal(outputs),
    )


@pytest.mark.parametrize("rho", [-0.99, -0.8, -0.5, 0.0, 0.3, 0.74, 0.76, 0.95, 0.9999])
@pytest.mark.parametrize(("h", "k"), [(0.0, 0.0), (0.5, 0.5), (1.0, -0.7), (-2.0, 1.5), (-2.0, -2.5), (3.0, 2.0)])
def test_pairs_agree_with_quadrature(h, k, rho):
    a = ReLUNetwork([[1.0, 0.0]], [1.0], [h])
    b = ReLUNetwork([[rho, math.sqrt(1 - rho**2)]], [1.0], [k])
    assert a.gaussian_inner(b) == pytest.approx(pair_by_quadrature(h, k, rho), rel=1e-11, abs=1e-15)


def test_without_biases_it_is_the_arc_cosine_kernel():
    rng = np.random.default_rng(0)
    for _ in range(20):
        u, v = rng.standard_normal((2, 4))
        size = np.linalg.norm(u) * np.linalg.norm(v)
        rho = u @ v / size
        expected = size * (math.sqrt(1 - rho**2) + rho * (math.pi - math.acos(rho))) / (2 * math.pi)
        assert ReLUNetwork([u], [1.0]).gaussian_inner(ReLUNetwork([v], [1.0])) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("m", [None, 3])
def test_whole_networks_agree_with_monte_carlo(m):
    rng = np.random.default_rng(1)
    d = 4
    f, g = random_network(rng, d, 5, m), random_network(rng, d, 3, m)
    mean, factor = rng.standard_normal(d), rng.standard_normal((d, d))
    X = mean + rng.standard_normal((400_000, d)) @ factor.T
    a, b = f.predict(X).reshape(len(X), -1), g.predict(X).reshape(len(X), -1)
    for exact, draws in [
        (f.gaussian_inner(g, mean, factor @ factor.T), (a * b).sum(axis=1)),
        (f.gaussian_distance(g, mean, factor @ factor.T) ** 2, ((a - b) ** 2).sum(axis=1)),
        (f.gaussian_norm(mean, factor @ factor.T) ** 2, (a * a).sum(axis=1)),
    ]:
        assert abs(exact - draws.mean()) < 5 * draws.std() / math.sqrt(len(X))


def test_mean_and_cov_are_a_change_of_variables():
    rng = np.random.default_rng(2)
    f, g = random_network(rng, 3, 4), random_network(rng, 3, 6)
    mean, factor = rng.standard_normal(3), rng.standard_normal((3, 3))

    def pulled_back(n):
        return ReLUNetwork(
            n.weights @ factor,
            n.output_weights,
            n.biases + n.weights @ mean,
            n.linear @ factor,
            n.intercept + n.linear @ mean,
        )

    assert f.gaussian_inner(g, mean, factor @ factor.T) == pytest.approx(
        pulled_back(f).gaussian_inner(pulled_back(g)), rel=1e-12
    )
    assert f.gaussian_distance(g, mean, factor @ factor.T) == pytest.approx(
        pulled_back(f).gaussian_distance(pulled_back(g)), rel=1e-12
    )


def half_space_moments(u, v):
    """E[1(u.x > 0) 1(v.x > 0) x x'] for unit u, v."""
    rho = u @ v
    if rho > 1 - 1e-15:
        return np.eye(len(u)) / 2
    mixed = np.outer(u, v) + np.outer(v, u) - rho * (np.outer(u, u) + np.outer(v, v))
    return (0.25 + math.asin(rho) / (2 * math.pi)) * np.eye(len(u)) + mixed / (2 * math.pi * math.sqrt(1 - rho**2))


@pytest.mark.parametrize("scale", [1e-5, 1e-7, 1e-9, 1e-11, 1e-12, 1e-13])
def test_distances_of_close_networks_are_right_in_relative_terms(scale):
    rng = np.random.default_rng(3)
    f = teachers.generic(7, 5, rng).network
    g = ReLUNetwork(f.weights + scale * rng.standard_normal(f.weights.shape), f.output_weights)
    moved = (g.weights - f.weights) * f.output_weights[:, None]
    linearised = math.sqrt(
        sum(moved[i] @ half_space_moments(f.weights[i], f.weights[j]) @ moved[j] for i in range(5) for j in range(5))
    )
    assert f.gaussian_distance(g) == pytest.approx(linearised, rel=max(10 * scale, 1e-5 if scale < 1e-12 else 1e-6))


@pytest.mark.parametrize("scale", [1e-5, 1e-8, 1e-12])
def test_distances_of_close_biased_networks_on_a_line(scale):
    rng = np.random.default_rng(4)
    f = random_network(rng, 1, 4)
    moved = ReLUNetwork(
        f.weights + scale * rng.standard_normal((4, 1)),
        f.output_weights,
        f.biases + scale * rng.standard_normal(4),
        f.linear + scale,
        f.intercept,
    )

    def linearised(z):
        active = f.weights * z.ravel() + f.biases[:, None] > 0
        slope = f.output_weights @ (active * (moved.weights - f.weights)) + moved.linear - f.linear
        return ((slope * z.ravel() + f.output_weights @ (active * (moved.biases - f.biases)[:, None])) ** 2).reshape(
            z.shape
        ) * density(z)

    kinks = -f.biases / f.weights[:, 0]
    edges = np.unique(np.r_[np.linspace(-13, 13, 60), kinks])
    expected = math.sqrt(integrate(linearised, edges))
    assert f.gaussian_distance(moved) == pytest.approx(expected, rel=max(20 * scale, 1e-6))


def test_a_clump_is_as_far_from_its_sum_as_its_size_to_the_power_of_three_halves():
    """No neuron of one network is close to a single one of the other here."""
    scales, distances = [1e-2, 1e-4, 1e-6, 1e-8], []
    for angle in scales:
        pair = np.array([[math.cos(angle), math.sin(angle)], [math.cos(angle), -math.sin(angle)]])
        single = ReLUNetwork([pair.sum(axis=0)], [1.0])
        distances.append(ReLUNetwork(pair, [1.0, 1.0]).gaussian_distance(single))
    slopes = np.diff(np.log(distances)) / np.diff(np.log(scales))
    np.testing.assert_allclose(slopes, 1.5, atol=2e-3)


def test_kinks_almost_through_one_point():
    """Tiny biases at a moderate angle: the essential singularity of the pair integral, approached."""
    v = [math.cos(0.5), math.sin(0.5)]
    limit = ReLUNetwork([[1.0, 0.0]], [1.0]).gaussian_inner(ReLUNetwork([v], [1.0]))
    for bias in [1e-3, 1e-6, 1e-10, 1e-14, 1e-200]:
        near = ReLUNetwork([[1.0, 0.0]], [1.0], [bias]).gaussian_inner(ReLUNetwork([v], [1.0]))
        # the derivative in the bias is E[1(x0 > 0) relu(v.x)] = (1 + cos 0.5) / 2 sqrt(2 pi)
        slope = (1 + math.cos(0.5)) / (2 * math.sqrt(2 * math.pi))
        assert near - limit == pytest.approx(slope * bias, abs=bias**2 + 2e-16)


def test_far_biases():
    rng = np.random.default_rng(5)
    g = random_network(rng, 3, 4)
    w = rng.standard_normal(3)
    on, affine = ReLUNetwork([w], [1.0], [1e8]), ReLUNetwork(np.zeros((0, 3)), [], None, w, 1e8)
    assert on.gaussian_distance(affine) == 0.0
    assert on.gaussian_inner(g) == pytest.approx(affine.gaussian_inner(g), rel=1e-14)
    off = ReLUNetwork([w], [1.0], [-1e8])
    assert off.gaussian_norm() == off.gaussian_inner(g) == 0.0

    tail = ReLUNetwork([[1.0]], [1.0], [-30.0])
    square = density(30.0) * integrate(lambda t: t * t * np.exp(-30 * t - t * t / 2), np.linspace(0, 3, 40))
    assert tail.gaussian_norm() == pytest.approx(math.sqrt(square), rel=1e-12)
    both = ReLUNetwork([[1.0], [-1.0]], [1.0, 1.0], [-30.0, -30.0])
    assert both.gaussian_norm() == pytest.approx(math.sqrt(2 * square), rel=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_extreme_scales(scale):
    rng = np.random.default_rng(6)
    f, g = random_network(rng, 3, 4), random_network(rng, 3, 4)

    def scaled(n):
        return ReLUNetwork(n.weights, n.output_weights * scale, n.biases, n.linear * scale, n.intercept * scale)

    assert scaled(f).gaussian_distance(scaled(g)) == pytest.approx(scale * f.gaussian_distance(g), rel=1e-13)
    inside = ReLUNetwork(f.weights * scale, f.output_weights, f.biases * scale)
    assert inside.gaussian_norm() == pytest.approx(
        scale * ReLUNetwork(f.weights, f.output_weights, f.biases).gaussian_norm(), rel=1e-13
    )
    np.testing.assert_allclose(scaled(f).match(scaled(g)).distances, scale * f.match(g).distances, rtol=1e-13)


def test_degenerate_inputs():
    f = ReLUNetwork([[1.0, 2.0], [0.0, 0.0]], [1.0, 3.0], [0.5, 2.0], [1.0, 0.0], 0.25)
    here = np.array([0.5, -1.5])
    value = f.predict([here])[0]
    assert f.gaussian_inner(f, here, np.zeros((2, 2))) == pytest.approx(value**2, rel=1e-15)
    line = np.array([3.0, -1.0])
    along = ReLUNetwork(f.weights @ line[:, None], f.output_weights, f.biases, [f.linear @ line], f.intercept)
    assert f.gaussian_norm(cov=np.outer(line, line)) == pytest.approx(along.gaussian_norm(), rel=1e-14)


def test_bad_distributions_are_named():
    f = ReLUNetwork([[1.0, 2.0]], [1.0])
    with pytest.raises(ArgumentError, match=r"mean: shape \(3,\), expected \(2,\)"):
        f.gaussian_norm(mean=[0.0, 0.0, 0.0])
    with pytest.raises(ArgumentError, match="cov: not symmetric"):
        f.gaussian_norm(cov=[[1.0, 0.5], [0.0, 1.0]])
    with pytest.raises(ArgumentError, match="cov: not positive semi-definite"):
        f.gaussian_norm(cov=[[1.0, 0.0], [0.0, -1.0]])
    with pytest.raises(ArgumentError, match="other: 1 features and 1 outputs, expected 2 and 1"):
        f.gaussian_inner(ReLUNetwork([[1.0]], [1.0]))
    with pytest.raises(ArgumentError, match="other: int"):
        f.gaussian_distance(3)


@st.composite
def networks(draw, d=None):
    d = draw(st.integers(1, 3)) if d is None else d
    k = draw(st.integers(0, 4))
    # Below 1e-70 the products of four numbers, of which distances consist, underflow.
    small = st.floats(-3, 3).map(lambda value: value if abs(value) > 1e-70 else 0.0)
    number = st.one_of(small, st.sampled_from([0.0, 1e-12, 1.0, -1.0, 50.0, -1e6]))

    def numbers(*shape):
        return np.array([draw(number) for _ in range(math.prod(shape))]).reshape(shape)

    return ReLUNetwork(numbers(k, d), numbers(k), numbers(k), numbers(d), draw(number))


@st.composite
def network_pairs(draw):
    d = draw(st.integers(1, 3))
    return draw(networks(d)), draw(networks(d))


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(network_pairs())
def test_it_is_an_inner_product(pair):
    f, g = pair
    inner, sizes = f.gaussian_inner(g), (f.gaussian_norm(), g.gaussian_norm())
    assert g.gaussian_inner(f) == pytest.approx(inner, rel=1e-14, abs=1e-15 * sizes[0] * sizes[1])
    assert abs(inner) <= sizes[0] * sizes[1] * (1 + 1e-13) + 1e-300
    assert f.gaussian_distance(f) == 0.0
    square = sizes[0] ** 2 + sizes[1] ** 2 - 2 * inner
    assert f.gaussian_distance(g) ** 2 == pytest.approx(square, abs=1e-12 * (sizes[0] + sizes[1]) ** 2 + 1e-300)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(networks())
def test_the_distance_from_the_canonical_form_is_rounding(f):
    size = np.abs(f.output_weights) @ (np.linalg.norm(f.weights, axis=1) + np.abs(f.biases))
    size += np.abs(f.linear).sum() + abs(f.intercept)
    assert f.gaussian_distance(f.canonical()) <= 1e-14 * size

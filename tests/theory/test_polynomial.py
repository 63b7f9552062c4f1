"""The learner of [DK24] on exact moments and on samples, and its parts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss

from relunet import ArgumentError, DataError, ReLUNetwork, scan_array, teachers
from relunet.theory import AbsoluteForm, Fail, PolynomialLearner, PopulationMoments, SampleMoments
from relunet.theory.polynomial import hermite_tables, relu_coefficients, relu_tail

CASES = [
    ("generic", 1),
    ("generic", 3),
    ("positive", 3),
    ("plane", 3),
    ("close_pair", 2),
    ("level_fan", 2),
    ("level_fan", 4),
]


@pytest.mark.parametrize(("family", "k"), CASES)
@pytest.mark.parametrize("d", [4, 10])
def test_within_five_percent_on_exact_moments(family, k, d):
    teacher = teachers.FAMILIES[family](d, k, 3)
    norm = AbsoluteForm.of(teacher.network).residual_norm()
    found = PolynomialLearner(k).learn(PopulationMoments(teacher.network))
    assert math.isclose(found.error, math.sqrt(found.risk) / norm, rel_tol=1e-6)
    assert found.error <= 0.05
    x, y = teacher.sample(4000, rng=0)
    assert math.isclose(np.mean((y - found.hypothesis.predict(x)) ** 2), found.risk, rel_tol=0.15)


def test_fails_where_there_are_more_neurons_than_promised():
    teacher = teachers.generic(6, 3, rng=0)
    with pytest.raises(Fail, match="in 1 dimensions") as failure:
        PolynomialLearner(1).learn(PopulationMoments(teacher.network))
    assert failure.value.best.error > 0.05


def test_one_direction_finds_the_subspace_that_many_find():
    teacher = teachers.generic(5, 3, rng=1)
    for n_directions in (1, 40):
        basis, _ = PolynomialLearner(3, n_directions=n_directions).subspace(PopulationMoments(teacher.network))
        u = teacher.network.weights
        np.testing.assert_allclose(u @ basis @ basis.T, u, atol=1e-6)


def test_enough_directions_give_the_quadratic_form_itself():
    """Q(v) = Σ_m ‖T_m v‖² from the tensors, d = 3 and k = 1: Sym² and below are spanned by 8 directions."""
    network = ReLUNetwork(np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 1.0]]), [1.0, -2.0])
    norms = np.linalg.norm(network.weights, axis=1)
    u, mu = network.weights / norms[:, None], network.output_weights * norms
    q = np.outer(mu @ u / 2, mu @ u / 2)
    for m in (2, 4):
        c = relu_coefficients(0.0, m)[m]
        q += c**2 * (u.T * mu) @ (u @ u.T) ** (m - 1) @ (mu[:, None] * u)
    _, spectrum = PolynomialLearner(1, n_directions=8).subspace(PopulationMoments(network))
    np.testing.assert_allclose(spectrum[:3] ** 2, np.linalg.eigvalsh(q)[::-1], atol=1e-12)


def test_a_free_linear_part_and_biases_are_expanded_too():
    """Neither is in [DK24]'s class; the linear part counts as one more neuron."""
    network = ReLUNetwork([[1.0, 1.0, 0.0]], [1.0], biases=[0.4], linear=[0.0, 0.0, 3.0], intercept=-1.0)
    found = PolynomialLearner(2).learn(PopulationMoments(network))
    x = np.random.default_rng(0).standard_normal((4000, 3))
    measured = np.mean((network.predict(x) - found.hypothesis.predict(x)) ** 2)
    assert math.isclose(measured, found.risk, rel_tol=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "k"), [("generic", 2), ("close_pair", 2)])
def test_samples(family, k):
    teacher = teachers.FAMILIES[family](6, k, 0)
    moments = SampleMoments(scan_array(*teacher.sample(200_000, rng=1)), scan_array(*teacher.sample(20_000, rng=2)))
    found = PolynomialLearner(k, 0.5).learn(moments)
    x, y = teacher.sample(4000, rng=3)
    assert np.mean((y - found.hypothesis.predict(x)) ** 2) < 1.3 * found.risk
    assert found.hypothesis.degree >= 4


def test_an_affine_function_has_no_subspace():
    network = ReLUNetwork(np.zeros((0, 3)), [], linear=[1.0, 0.0, 0.0], intercept=2.0)
    found = PolynomialLearner(2).learn(PopulationMoments(network))
    np.testing.assert_allclose(found.hypothesis.predict([[1.0, 5.0, 5.0]]), [3.0])


def test_coefficients_are_gaussian_means():
    for bias in (0.0, -0.7, 1.3):
        z, weight = hermegauss(80)
        smooth = relu_coefficients(bias, 6)
        steps = np.linspace(-bias, 12.0, 400_001)
        density = np.exp(-(steps**2) / 2) / math.sqrt(2 * math.pi)
        tables = hermite_tables(steps[:, None], 6)[0]
        for m in range(7):
            np.testing.assert_allclose(np.trapezoid((steps + bias) * tables[m] * density, steps), smooth[m], atol=1e-8)
        orthonormal = hermite_tables(z[:, None], 6)[0]
        np.testing.assert_allclose(
            (orthonormal * weight) @ orthonormal.T / math.sqrt(2 * math.pi), np.eye(7), atol=1e-10
        )


def test_tail_is_what_the_coefficients_leave():
    c = relu_coefficients(0.0, 400)
    for degree in (0, 1, 2, 7, 50):
        tail = np.sum(c[degree + 1 :] ** 2)
        assert 0 <= relu_tail(degree) - tail <= relu_tail(400) + 1e-15
    # [DK24] Lemma 5: c_m = Θ(m^(-5/4)), so the tail is O(D^(-3/2)).
    ratios = [relu_tail(degree) * degree**1.5 for degree in (16, 64, 256)]
    np.testing.assert_allclose(ratios, (2 / math.pi) ** 0.5 / (6 * math.pi), rtol=0.15)


def test_refuses():
    for arguments in ({"n_neurons": 0}, {"n_neurons": 2, "n_directions": 0}, {"n_neurons": 2, "degree": 0}):
        with pytest.raises(ArgumentError):
            PolynomialLearner(**arguments)
    exact = PopulationMoments(ReLUNetwork([[1.0, 0.0]], [1.0]))
    with pytest.raises(ArgumentError, match="epsilon"):
        PolynomialLearner(1, 0.0).learn(exact)
    found = PolynomialLearner(1).learn(exact)
    with pytest.raises(DataError, match=r"expected \(n, 2\)"):
        found.hypothesis.predict([[1.0]])

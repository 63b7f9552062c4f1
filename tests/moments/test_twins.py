"""Accumulators compared with NumPy implementations and exact identities, and the examples of their docstrings."""

from __future__ import annotations

import doctest
import itertools
import math

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.legendre import leggauss

from relunet import ArgumentError, moments
from relunet.moments import (
    ContractionMoments,
    InputMoments,
)
from support.kinds import (
    KINDS,
    Array,
    assert_same_facts,
    data,
    directions,
    every_kind,
    facts,
    hermite,
    network,
    twin,
    value_of,
)


class TestTwins:
    @pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.endswith("rows")])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("d", [1, 3, 17, 63])
    @pytest.mark.parametrize("n", [1, 7, 301])
    def test_agree(self, kind, dtype, d, n):
        X, y, w = data(n, d)
        X, y, w = X.astype(dtype), y.astype(dtype), w.astype(dtype)
        w[0] = 1.0
        raw, weighted = KINDS[kind](d), KINDS[kind](d)
        raw.update(X, y)
        weighted.update(X, y, w)
        X, y, w = (values.astype(np.float64) for values in (X, y, w))
        assert_same_facts(raw, twin(kind, X, y, np.ones(n)), 3e-12)
        assert_same_facts(weighted, twin(kind, X, y, w), 3e-12)
        assert raw.n_rows == weighted.n_rows == n
        assert raw.n_features == d

    @every_kind
    def test_weights_are_repetitions(self, kind):
        X, y, w = data(50, 5)
        w = (2 * w).astype(int)
        weighted, repeated = KINDS[kind](5), KINDS[kind](5)
        weighted.update(X, y, w)
        repeated.update(np.repeat(X, w, axis=0), np.repeat(y, w))
        if kind.endswith("rows"):
            # Rows of weight zero are kept, and rows that are repeated become one.
            used = weighted.rows()[3] > 0
            for one, other in zip(weighted.rows(), repeated.rows(), strict=True):
                np.testing.assert_array_equal(one[used], other)
            return
        told, expected = facts(weighted), facts(repeated)
        # rows that are repeated tell less than as many rows that are not
        assert told.pop("risk_variance", 1.0) >= expected.pop("risk_variance", 1.0)
        for name, value in expected.items():
            np.testing.assert_allclose(told[name], value, rtol=0, atol=1e-12, err_msg=name)

    def test_covariance_does_not_cancel_for_far_means(self):
        X, y, _ = data(1000, 4)
        X = np.round(X * 64) / 64
        near, far = InputMoments(4), InputMoments(4)
        near.update(X, y)
        for part in np.split(np.arange(1000), [100, 300]):
            far.update(X[part] + 2.0**30, y[part])
        np.testing.assert_allclose(far.cov, near.cov, rtol=0, atol=1e-6)
        np.testing.assert_allclose(far.mean - 2.0**30, near.mean, rtol=0, atol=1e-6)

    def test_inputs_alone_have_label_zero(self):
        accumulator = InputMoments(2)
        accumulator.update([[1, 2], [3, 4]])
        assert accumulator.label_mean == accumulator.label_var == 0.0
        np.testing.assert_array_equal(accumulator.mean, [2, 3])


class TestHermiteTensors:
    @pytest.mark.parametrize("d", [1, 2, 3, 5])
    @pytest.mark.parametrize("residual", [False, True])
    def test_contractions_are_those_of_the_explicit_tensor(self, d, residual):
        X, y, w = data(4, d)
        w += 0.5
        f = network(d) if residual else None
        degrees = range(2, 9)
        many = ContractionMoments(d, directions(d, 3), degrees, f)
        many.update(X, y, w)
        label = w * (y - value_of(f, X) if f else y) / w.sum()
        for degree in degrees:
            tensor = sum(c * hermite_tensor(x, degree) for c, x in zip(label, X, strict=True))
            for i, g in enumerate(directions(d, 3)):
                contracted = tensor
                for _ in range(degree - 2):
                    contracted = contracted @ g
                size = max(1.0, np.abs(tensor).max())
                np.testing.assert_allclose(many.contractions()[degree][i], contracted, rtol=0, atol=1e-12 * size)

    @pytest.mark.parametrize("bias", [0.0, 0.7, -1.3])
    @pytest.mark.parametrize("f", [None, network(3)])
    def test_relu_has_one_matrix_a_degree(self, bias, f):
        """E[relu(u·x + b) H_l(x)] = φ(b) He_{l-2}(-b) u^{⊗l}, exactly, by a quadrature rule as weighted rows."""
        u, g = directions(3, 2)
        X, w = quadrature(u, -bias)
        accumulator = ContractionMoments(3, [g, u], range(2, 9), f)
        accumulator.update(X, np.maximum(X @ u + bias, 0) + (f.predict(X) if f else 0.0), w)
        density = math.exp(-(bias**2) / 2) / math.sqrt(2 * math.pi)
        for degree, both in accumulator.contractions().items():
            kappa = density * hermite(degree - 2, np.array(-bias))
            scale = math.sqrt(math.factorial(degree))
            for direction, matrix in zip([g, u], both, strict=True):
                expected = kappa * (u @ direction) ** (degree - 2) * np.outer(u, u)
                np.testing.assert_allclose(matrix, expected, rtol=0, atol=1e-12 * scale, err_msg=str(degree))

    @pytest.mark.parametrize("degrees", [(2, 4, 6, 8), (8, 6, 4), (5, 3, 7), (9, 6, 5, 2), (4, 7, 10)])
    def test_degrees_together_are_those_alone(self, degrees):
        """Sums of one degree stand in for those of another; alone, every degree has its own."""
        X, y, w = data(500, 9)
        together = ContractionMoments(9, directions(9, 3), degrees)
        together.update(X[:200], y[:200], w[:200])
        together = ContractionMoments.from_bytes(together.to_bytes())
        together.update(X[200:], y[200:], w[200:])
        for degree in degrees:
            alone = ContractionMoments(9, directions(9, 3), [degree])
            alone.update(X, y, w)
            expected = alone.contractions()[degree]
            size = np.abs(expected).max()
            np.testing.assert_allclose(together.contractions()[degree], expected, rtol=0, atol=1e-12 * size)

    def test_matrices_are_divided_by_the_coefficient(self):
        u, g = directions(3, 2)
        X, w = quadrature(u, 0.0)
        accumulator = ContractionMoments(3, g, (2, 4, 8))
        accumulator.update(X, 3 * np.maximum(X @ u, 0), w)
        for degree, matrix in accumulator.matrices().items():
            np.testing.assert_allclose(matrix, 3 * (u @ g) ** (degree - 2) * np.outer(u, u), rtol=0, atol=1e-11)

    def test_matrices_of_odd_degrees_do_not_exist(self):
        accumulator = ContractionMoments(2, [1, 0], (2, 3))
        accumulator.update([[1.0, 2.0]], [1.0])
        with pytest.raises(ArgumentError, match="^degrees: 3 is odd"):
            accumulator.matrices()


def hermite_tensor(x: Array, degree: int) -> Array:
    """H_l(x), whose entry at (i_1, .., i_l) is the product over j of He_{n_j}(x_j), j being named n_j times."""
    d = len(x)
    index = np.indices((d,) * degree).reshape(degree, -1)
    table = np.array([hermite(n, x) for n in range(degree + 1)])
    entries = np.prod([table[(index == j).sum(axis=0), j] for j in range(d)], axis=0)
    return entries.reshape((d,) * degree)


def quadrature(u: Array, kink: float) -> tuple[Array, Array]:
    """Nodes and weights of N(0, I_3), exact for polynomials of u·x that change at `kink`, times polynomials across."""
    nodes, weights = leggauss(20)
    edges = np.concatenate([np.linspace(-14, kink, 25), np.linspace(kink, 14, 25)[1:]])
    along = ((edges[1:] + edges[:-1])[:, None] + np.diff(edges)[:, None] * nodes).ravel() / 2
    mass = (np.diff(edges)[:, None] / 2 * weights).ravel() * np.exp(-(along**2) / 2) / math.sqrt(2 * math.pi)
    across, across_mass = hermegauss(7)
    across_mass = across_mass / across_mass.sum()
    frame = np.linalg.svd(u[None, :])[2]
    frame[0] = u
    X = np.array(list(itertools.product(along, across, across))) @ frame
    return X, np.multiply.outer(np.multiply.outer(mass, across_mass), across_mass).ravel()


@pytest.mark.parametrize("name", moments.__all__)
def test_documentation_is_right(name):
    """Doctests of compiled classes, which pytest does not collect."""
    found = doctest.DocTestFinder().find(getattr(moments, name), name, module=moments, globs={})
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert any(test.examples for test in found)
    report: list[str] = []
    for test in found:
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)

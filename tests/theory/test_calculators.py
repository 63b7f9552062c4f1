"""The calculators: bounds that are marked explicit hold, and nothing overflows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relunet import ArgumentError, plan
from relunet.theory.calculators import beside, hermite_samples, moment_samples, requirements, validation_samples
from relunet.theory.polynomial import relu_coefficients, relu_tail
from support.lemmas import hermite_tensors

METHODS = ("multiscale", "net", "polynomial")
RATES = plan.Rates(inputs=1, slices=1, gradient=1, risk=1, search=1, search_rows=9)


@pytest.mark.parametrize(("d", "degree"), [(1, 2), (2, 4), (3, 2), (3, 6)])
def test_rows_for_moments_are_enough(d, degree):
    """N times the variance of a row is at most ξ² δ."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, d))
    y = np.maximum(x @ np.eye(d)[0], 0)
    norms = np.sum(hermite_tensors(x, degree).reshape(len(x), -1) ** 2, axis=1)
    kappa = relu_coefficients(0.0, degree)[degree] * math.sqrt(math.factorial(degree))
    variance = np.mean(y**2 * norms) / kappa**2
    assert variance <= 10 ** moment_samples(d, degree, error=0.1, failure=0.2) * 0.1**2 * 0.2


@pytest.mark.parametrize(("d", "order"), [(1, 1), (2, 4), (3, 5)])
def test_rows_for_hermite_coefficients_are_enough(d, order):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2000, d))
    y = np.maximum(x @ np.eye(d)[0], 0)
    norms = np.sum(hermite_tensors(x, order).reshape(len(x), -1) ** 2, axis=1) / math.factorial(order)
    assert np.mean(y**2 * norms) <= 10 ** hermite_samples(d, order, math.log10(0.1), failure=0.2) * 0.1**2 * 0.2


def test_rows_for_moments_scale_as_the_lemma_says():
    base = moment_samples(10, 4, 0.1)
    assert math.isclose(moment_samples(10, 4, 0.01), base + 2)
    assert math.isclose(moment_samples(10, 4, 0.1, bound=10.0), base + 2)
    # d^l for the whole tensor
    assert math.isclose(moment_samples(10**6, 4, 0.1) - moment_samples(10**5, 4, 0.1), 4, abs_tol=1e-3)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=30)
@given(d=st.integers(1, 10**4), k=st.integers(1, 12), error=st.floats(1e-6, 0.5), bound=st.floats(1.0, 1e6))
def test_tables_are_finite(method, d, k, error, bound):
    rows = requirements(method, d, k, error, bound)
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert math.isfinite(row.log10), row
        assert row.constants in str(row)


@pytest.mark.parametrize("method", METHODS)
def test_a_smaller_error_needs_more(method):
    loose, tight = ({row.name: row.log10 for row in requirements(method, 10, 3, error)} for error in (0.1, 0.01))
    grown = {name for name in loose if tight[name] > loose[name]}
    assert {name for name in loose if name.startswith(("rows", "net", "candidates", "computation"))} <= grown


def test_the_orders_of_the_three_theorems():
    """[DK24] needs (dk/ε)^O(k), [CN24] an exponent of k², [CDGKM23] one of k^(log² k)."""
    needed = {
        method: [max(r.log10 for r in requirements(method, 10, k) if r.name.startswith("rows")) for k in (2, 4, 8)]
        for method in METHODS
    }
    assert needed["polynomial"][2] < needed["net"][2] < needed["multiscale"][2]
    assert needed["multiscale"][2] > 1e6
    assert validation_samples(2, 0.1, log10_candidates=1000.0) < validation_samples(2, 0.1) + 4


@pytest.mark.parametrize("tail", [0.3, 0.01, 1e-4, 1e-6])
def test_degree_is_the_least_with_so_small_a_tail(tail):
    rows = {row.name: row.log10 for row in requirements("polynomial", 10, 2, error=math.sqrt(2 * tail))}
    degree = round(10 ** rows["degree D"])
    assert relu_tail(degree) <= tail < relu_tail(degree - 2)


@pytest.mark.parametrize("method", METHODS)
def test_theorems_stand_beside_the_default_method(method):
    asked = []
    text = beside(
        method, lambda *sizes, **options: asked.append((sizes, options)) or "a minute", 10**6, 20, 3, noisy=True
    )
    assert asked == [((10**6, 20, 3), {"noisy": True})]
    assert text.endswith("a minute")
    assert all(row.name in text for row in requirements(method, 20, 3))


def test_the_command_line_knows_the_methods():
    for method in METHODS:
        asked = plan.METHODS[method](10**9, 20, 3, rates=RATES)
        assert asked.endswith(str(plan.plan(10**9, 20, 3, rates=RATES)))


def test_refuses():
    for arguments in ((0, 2), (5, 0), (5, 2, -0.1), (5, 2, 0.1, math.inf)):
        with pytest.raises(ArgumentError, match="expected a positive number"):
            requirements("net", *arguments)
    with pytest.raises(ArgumentError, match="expected one of multiscale, net, polynomial"):
        requirements("best", 5, 2)
    with pytest.raises(ArgumentError, match="even"):
        moment_samples(3, 5, 0.1)

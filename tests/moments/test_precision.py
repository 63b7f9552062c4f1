"""Mixed precision: errors are within their bound, and accumulators of different precision cannot be merged."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.hermite_e import hermeval

from relunet import ArgumentError
from relunet.moments import (
    ContractionMoments,
    SliceMoments,
)
from support.kinds import EDGES, Array, data, directions


class TestPrecision:
    @settings(max_examples=30)
    @given(
        n=st.integers(1, 700),
        d=st.integers(1, 40),
        exponent=st.integers(-40, 40),
        seed=st.integers(0, 1000),
        weights=st.integers(-60, 60),
    )
    def test_mixed_sums_are_within_their_bound(self, n: int, d: int, exponent: int, seed: int, weights: int):
        X, y, weight = data(n, d, seed)
        X *= 2.0**exponent
        weight *= 2.0**weights
        mixed = SliceMoments(d, EDGES, precision="mixed")
        mixed.update(X, y, weight)
        for h, (low, high) in enumerate(itertools.pairwise((-np.inf, *EDGES, np.inf))):
            here = (low <= y) & (y < high)
            rows, w = X[here], weight[here]
            size = np.abs(rows).T @ (w[:, None] * np.abs(rows))
            error = np.abs(mixed.grams[h] - rows.T @ (w[:, None] * rows))
            assert np.all(error <= (133 * 2.0**-24 + 1e-12) * size + n * 2.0**-88)
            assert mixed.weights[h] == w.sum()

    @pytest.mark.parametrize("degrees", [(2, 4, 6, 8), (2, 3, 4), (3, 5, 9), (4,)])
    def test_mixed_contractions_are_within_their_bound(self, degrees: tuple[int, ...]):
        d, epsilon = 11, 133 * 2.0**-24
        X, y, weight = data(3000, d)
        exact, mixed = (
            ContractionMoments(d, directions(d)[0], degrees, precision=precision) for precision in ("double", "mixed")
        )
        for accumulator in (exact, mixed):
            accumulator.update(X, y, weight)
        g = directions(d)[0]

        def weights(degree: int) -> Array:
            return np.abs(weight * y * hermeval(X @ g, np.eye(degree - 1)[degree - 2]))

        def vector_error(degree: int) -> Array:
            if degree > 2 and degree - 1 in degrees:
                return epsilon * (np.abs(X).T @ weights(degree - 1))
            if degree > 2 and degree - 2 in degrees:
                followed = np.abs(X).T @ (weights(degree - 2) * (np.abs(X) @ np.abs(g)))
                return epsilon * followed + (degree - 4) * vector_error(degree - 2)
            return np.zeros(d)

        for degree, expected in exact.contractions().items():
            matrix = epsilon * np.abs(X).T @ (weights(degree)[:, None] * np.abs(X))
            vector = np.outer(vector_error(degree), np.abs(g))
            bound = (matrix + (degree - 2) * (vector + vector.T)) / weight.sum()
            got = mixed.contractions()[degree]
            assert np.all(np.abs(got - expected) <= bound + 1e-12 * np.abs(expected).max())
            assert not np.array_equal(got, expected)

    def test_what_underflows_is_within_the_bound(self):
        """A weight that is no normal single, of a row so large that its product is one."""
        X, y, weight = np.array([[2.0**30, 2.0**30], [0.0, 0.0]]), np.zeros(2), np.array([0.9 * 2.0**-150, 1.0])
        mixed = SliceMoments(2, [], precision="mixed")
        mixed.update(X, y, weight)
        error = np.abs(mixed.grams[0] - X.T @ (weight[:, None] * X))
        assert np.all(error > 133 * 2.0**-24 * 0.9 * 2.0**-90)
        assert np.all(error <= 2 * 2.0**-88)

    def test_precision_is_part_of_the_configuration(self):
        double, mixed = SliceMoments(3, EDGES), SliceMoments(3, EDGES, precision="mixed")
        with pytest.raises(ArgumentError, match="same configuration"):
            double.merge(mixed)
        assert (double.precision, pickle.loads(pickle.dumps(mixed)).precision) == ("double", "mixed")
        with pytest.raises(ArgumentError, match='precision: expected "double" or "mixed", got "half"'):
            SliceMoments(3, EDGES, precision="half")

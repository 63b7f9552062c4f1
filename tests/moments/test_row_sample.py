"""Samples of rows by hash: the choice is independent of order, split, source and repetition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relunet import ArgumentError
from relunet.moments import RowSample
from support.kinds import HALF, data, directions


class TestRowSample:
    def rows_of(self, X, y=None, seed=0, threshold=HALF):
        sample = RowSample(X.shape[1], threshold, seed)
        sample.update(X, y)
        return sample.rows()

    @settings(max_examples=20, deadline=None)
    @given(order=st.permutations(range(40)), cut=st.integers(0, 40))
    def test_order_and_split_do_not_matter(self, order, cut):
        X, y, _ = data(40, 3)
        expected = self.rows_of(X, y)
        sample, rest = RowSample(3, HALF, 0), RowSample(3, HALF, 0)
        sample.update(X[order[:cut]], y[order[:cut]])
        rest.update(X[order[cut:]], y[order[cut:]])
        for told, value in zip((rest + sample).rows(), expected, strict=True):
            np.testing.assert_array_equal(told, value)

    @pytest.mark.parametrize("fraction", [0.0, 0.01, 0.3, 1.0])
    def test_chooses_the_fraction(self, fraction):
        X, y, _ = data(20_000, 2)
        threshold = min(int(fraction * 2**64), 2**64 - 1)
        hashes, x, _, weight = self.rows_of(X, y, threshold=threshold)
        spread = 6 * math.sqrt(len(X) * fraction * (1 - fraction))
        assert abs(len(hashes) - fraction * len(X)) <= spread
        assert (hashes <= threshold).all()
        assert (np.diff(hashes.astype(object)) > 0).all()
        assert (weight == 1).all()
        chosen = {tuple(row) for row in x}
        assert chosen <= {tuple(row) for row in X}
        assert len(chosen) == len(x)

    def test_seeds_choose_independently(self):
        X, y, _ = data(20_000, 2)
        one, other = ({tuple(row) for row in self.rows_of(X, y, seed=seed)[1]} for seed in (0, 1))
        both = len(one & other)
        assert abs(both - len(X) / 4) < 6 * math.sqrt(len(X) * 3 / 16)

    def test_rows_held_out_come_last(self):
        X, y, w = data(3000, 4)
        sample = RowSample(4, HALF, 0)
        sample.update(X, y, w)
        hashes = sample.rows()[0]
        last = (hashes // 8) % 5 == 0
        assert 0 < last.sum() < len(hashes)
        order = np.concatenate([np.flatnonzero(~last), np.flatnonzero(last)])
        for told, value in zip(sample.rows(held_out=5), sample.rows(), strict=True):
            np.testing.assert_array_equal(told, value[order])
        with pytest.raises(ArgumentError, match="held_out"):
            sample.rows(held_out=-1)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_refuses_directions_that_are_not_finite(self, value):
        with pytest.raises(ArgumentError, match="directions"):
            RowSample(2, HALF, 0, [[1.0, value]])

    def test_projections_are_those_of_the_same_rows(self):
        X, y, w = data(300, 17)
        v = directions(17, 9)
        whole, projected, none = RowSample(17, HALF, 0), RowSample(17, HALF, 0, v), RowSample(17, HALF, 0, v[:0])
        for sample in (whole, projected, none):
            sample.update(X, y, w)
        hashes, x, *others = whole.rows()
        for sample, expected in ((projected, x @ v.T), (none, np.zeros((len(x), 0)))):
            told = sample.rows()
            np.testing.assert_array_equal(told[0], hashes)
            np.testing.assert_allclose(told[1], expected, rtol=0, atol=1e-12)
            for value, other in zip(told[2:], others, strict=True):
                np.testing.assert_array_equal(value, other)

    def test_hash_is_one_of_values(self):
        X, y, _ = data(200, 3)
        X = np.round(X)
        single = self.rows_of(X.astype(np.float32), y)
        negative = self.rows_of(np.where(X == 0, -0.0, X), y)
        for value, other, same in zip(self.rows_of(X, y), single, negative, strict=True):
            np.testing.assert_array_equal(value, other)
            np.testing.assert_array_equal(value, same)
        assert not np.array_equal(self.rows_of(X, y)[0], self.rows_of(X, y + 1)[0])

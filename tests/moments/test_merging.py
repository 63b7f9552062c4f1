"""Merging and storage: every split of the rows gives the same sums, and every damage is detected."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relunet import ArgumentError, DataError
from relunet.moments import (
    Accumulator,
    ContractionMoments,
    CurvatureMoments,
    GradientMoments,
    InputMoments,
    RiskMoments,
    RowSample,
    SketchMoments,
    SliceMoments,
)
from support.kinds import EDGES, HALF, KINDS, VALUES, assert_same_facts, data, every_kind, facts, network


class TestMerge:
    @every_kind
    @settings(max_examples=20, deadline=None)
    @given(cuts=st.lists(st.integers(0, 60), max_size=5), order=st.randoms(use_true_random=False), d=st.integers(1, 12))
    @example(cuts=[], order=None, d=9)
    @example(cuts=[0, 60, 60], order=None, d=8)
    def test_every_split_and_order_gives_the_same(self, kind, cuts, order, d):
        X, y, w = data(60, d)
        whole = KINDS[kind](d)
        whole.update(X, y, w)
        parts = []
        for rows in np.split(np.arange(60), sorted(cuts)):
            part = KINDS[kind](d)
            part.update(X[rows], y[rows], w[rows])
            parts.append(type(part).from_bytes(part.to_bytes()))
        while len(parts) > 1:
            if order:
                order.shuffle(parts)
            first, second = parts.pop(), parts.pop()
            total = first + second
            first.merge(second)
            assert first.to_bytes() == total.to_bytes()
            parts.insert(0, first)
        assert parts[0].n_rows == 60
        assert_same_facts(parts[0], facts(whole))

    @every_kind
    def test_with_itself_doubles_the_rows(self, kind):
        X, y, _ = data(20, 3)
        once, twice = KINDS[kind](3), KINDS[kind](3)
        once.update(X, y)
        once.merge(once)
        twice.update(np.concatenate([X, X]), np.concatenate([y, y]))
        assert once.n_rows == 40
        assert_same_facts(once, facts(twice))
        assert (once + once).n_rows == 80

    @every_kind
    def test_with_nothing_changes_nothing(self, kind):
        X, y, _ = data(20, 3)
        accumulator = KINDS[kind](3)
        accumulator.update(X, y)
        before = accumulator.to_bytes()
        accumulator.update(np.empty((0, 3)), np.empty(0))
        accumulator.update([], [])
        accumulator.update([])
        accumulator.merge(KINDS[kind](3))
        assert accumulator.to_bytes() == before

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (InputMoments(2), InputMoments(3)),
            (InputMoments(2), RowSample(2, HALF, 0)),
            (RowSample(2, HALF, 0), RowSample(2, HALF, 1)),
            (RowSample(2, HALF, 0), RowSample(2, HALF - 1, 0)),
            (RowSample(2, HALF, 0), RowSample(2, HALF, 0, [[1.0, 0.0]])),
            (RowSample(2, HALF, 0, [[1.0, 0.0]]), RowSample(2, HALF, 0, [[0.0, 1.0]])),
            (SketchMoments(2, np.eye(2), EDGES, VALUES), SketchMoments(2, np.eye(1, 2), EDGES, VALUES)),
            (SketchMoments(2, np.eye(2), EDGES, VALUES), SketchMoments(2, np.eye(2)[::-1], EDGES, VALUES)),
            (SketchMoments(2, np.eye(2), EDGES, VALUES), SketchMoments(2, np.eye(2), (-0.5, 0.0, 2.0), VALUES)),
            (SketchMoments(2, np.eye(2), EDGES, VALUES), SketchMoments(2, np.eye(2), EDGES, np.ones((4, 2)))),
            (SketchMoments(2, np.eye(2), EDGES, VALUES), SketchMoments(2, np.eye(2), EDGES, VALUES, network(2))),
            (SliceMoments(2, [0.0]), SliceMoments(2, [0.5])),
            (SliceMoments(2, [0.0]), SliceMoments(2, [0.0], network(2))),
            (ContractionMoments(2, [1, 0], [2]), ContractionMoments(2, [0, 1], [2])),
            (ContractionMoments(2, [1, 0], [2]), ContractionMoments(2, [1, 0], [2, 4])),
            (ContractionMoments(2, [1, 0], [2], network(2)), ContractionMoments(2, [1, 0], [2], network(2, seed=8))),
            (RiskMoments(network(2)), RiskMoments(network(2, seed=8))),
            (RiskMoments(network(2)), GradientMoments(network(2))),
            (GradientMoments(network(2)), GradientMoments(network(2, k=2))),
            (CurvatureMoments(network(2)), CurvatureMoments(network(2, seed=8))),
        ],
    )
    def test_refuses_other_configurations(self, one, other):
        for a, b in [(one, other), (other, one)]:
            before = a.to_bytes()
            with pytest.raises(ArgumentError, match="^other: expected "):
                a.merge(b)
            with pytest.raises(ArgumentError, match=type(a).__name__):
                a + b
            assert a.to_bytes() == before


def sealed(body: bytes) -> bytes:
    """The stored form with the checksum of its body put right."""
    total = 0xCBF29CE484222325
    for at in range(0, len(body), 8):
        total = (total ^ int.from_bytes(body[at : at + 8], "little")) * 0x100000001B3 % 2**64
        total = (total << 23 | total >> 41) % 2**64
    return body + total.to_bytes(8, "little")


class TestBytes:
    @every_kind
    def test_round_trips(self, kind):
        X, y, w = data(30, 4)
        accumulator = KINDS[kind](4)
        accumulator.update(X, y, w)
        stored = accumulator.to_bytes()
        copies = [Accumulator.from_bytes(stored), type(accumulator).from_bytes(stored), copy.copy(accumulator)]
        copies += [copy.deepcopy(accumulator), pickle.loads(pickle.dumps(accumulator))]
        for other in copies:
            assert type(other) is type(accumulator)
            assert other.to_bytes() == stored
            other.update(X, y)
            assert other.n_rows == 60
        assert accumulator.to_bytes() == stored, "copies are independent"
        assert sealed(stored[:-8]) == stored

    @every_kind
    def test_every_damage_is_seen(self, kind):
        accumulator = KINDS[kind](1)
        accumulator.update([[0.5], [-0.5]], [1.0, 2.0])
        stored = accumulator.to_bytes()
        damaged = [stored[:length] for length in range(len(stored))] + [stored + b"\0", stored + stored]
        damaged += [
            stored[:at] + bytes([stored[at] ^ flip]) + stored[at + 1 :]
            for at in range(len(stored))
            for flip in (0x01, 0x80, 0xFF)
        ]
        for wrong in damaged:
            with pytest.raises(DataError, match="^data: "):
                Accumulator.from_bytes(wrong)

    @every_kind
    def test_forged_sizes_are_refused(self, kind):
        """Any word replaced and the checksum put right: another accumulator or a DataError, never a crash."""
        accumulator = KINDS[kind](2)
        accumulator.update([[0.5, 1.0], [-0.5, 2.0]], [1.0, 2.0])
        body = accumulator.to_bytes()[:-8]
        refused = 0
        for at, word in itertools.product(range(16, len(body), 8), [0, 1, 2**20, 2**32, 2**61, 2**63, 2**64 - 1]):
            forged = sealed(body[:at] + word.to_bytes(8, "little") + body[at + 8 :])
            try:
                read = Accumulator.from_bytes(forged)
            except DataError:
                refused += 1
            else:
                assert type(read) is type(accumulator)
                facts(read)
        assert refused > 5

    def test_other_kinds_and_versions_are_named(self):
        stored = InputMoments(2).to_bytes()
        with pytest.raises(ArgumentError, match="expected a stored RowSample, got InputMoments"):
            RowSample.from_bytes(stored)
        with pytest.raises(DataError, match="format version 5, expected 4"):
            Accumulator.from_bytes(sealed(stored[:8] + (5).to_bytes(4, "little") + stored[12:-8]))
        with pytest.raises(DataError, match="unknown kind 99"):
            Accumulator.from_bytes(sealed(stored[:12] + (99).to_bytes(4, "little") + stored[16:-8]))
        with pytest.raises(DataError, match="not a stored accumulator"):
            Accumulator.from_bytes(b"PAR1" * 20)

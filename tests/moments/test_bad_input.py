"""Invalid rows and arguments: errors name them, and accumulators remain unchanged."""

from __future__ import annotations

import numpy as np
import pytest

from relunet import ArgumentError, DataError, ReLUNetwork, scan_array
from relunet._relunet import sweep
from relunet.moments import (
    ContractionMoments,
    InputMoments,
    RiskMoments,
    RowSample,
    SliceMoments,
)
from support.kinds import KINDS, data, every_kind, network


class TestBadInput:
    @every_kind
    def test_missing_labels_are_named(self, kind):
        accumulator = KINDS[kind](2)
        before = accumulator.to_bytes()
        if kind in ("input", "curvature", "rows", "projected rows"):
            accumulator.update([[1.0, 2.0]])
            assert accumulator.n_rows == 1
            return
        name = type(accumulator).__name__
        with pytest.raises(ArgumentError, match=f"^y: {name} needs labels"):
            accumulator.update([[1.0, 2.0]])
        with pytest.raises(ArgumentError, match=f"^y: {name} needs labels"):
            sweep(scan_array([[1.0, 2.0]]).source, [accumulator])
        assert accumulator.to_bytes() == before

    @every_kind
    def test_refused_rows_leave_no_trace(self, kind):
        X, y, w = data(9000, 2)
        accumulator = KINDS[kind](2)
        accumulator.update(X, y, w)
        before = accumulator.to_bytes()
        for bad in (np.nan, np.inf):
            X[8888, 1] = bad
            with pytest.raises(DataError, match="row 8888, column 1"):
                accumulator.update(X, y, w)
        for columns in (1, 3):
            with pytest.raises(ArgumentError, match=f"^X: expected 2 columns, got {columns}"):
                accumulator.update(np.ones((5, columns)), np.ones(5))
        for arguments in [(X[:5], y[:4]), (X[:5], y[:5], w[:4]), (X[:0], y[:5]), (1.0, 2.0), (X[:5, 0], y[:5])]:
            with pytest.raises(DataError):
                accumulator.update(*arguments)
        assert accumulator.to_bytes() == before

    @pytest.mark.parametrize(
        ("make", "argument"),
        [
            (lambda: InputMoments(0), "n_features"),
            (lambda: InputMoments(-1), "n_features"),
            (lambda: InputMoments(2.5), "n_features"),
            (lambda: InputMoments(2**40), "n_features"),
            (lambda: InputMoments(2**64), "n_features"),
            (lambda: RowSample(2, 2**64, 0), "threshold"),
            (lambda: RowSample(2, 0, -1), "seed"),
            (lambda: RowSample(0, 1, 1), "n_features"),
            (lambda: SliceMoments(2**31, [0.0]), "n_features"),
            (lambda: SliceMoments(2, [0.0, 0.0]), "edges"),
            (lambda: SliceMoments(2, [np.nan]), "edges"),
            (lambda: SliceMoments(2, [0.0], network(3)), "network"),
            (lambda: ContractionMoments(2, [1.0, 1.0], [2]), "directions"),
            (lambda: ContractionMoments(2, [np.nan, 1.0], [2]), "directions"),
            (lambda: ContractionMoments(2, [1.0, 0.0, 0.0], [2]), "directions"),
            (lambda: ContractionMoments(2, np.ones((1, 1, 2)), [2]), "directions"),
            (lambda: ContractionMoments(2, [1.0, 0.0], [1]), "degrees"),
            (lambda: ContractionMoments(2, [1.0, 0.0], [-2]), "degrees"),
            (lambda: ContractionMoments(2, [1.0, 0.0], [65]), "degrees"),
            (lambda: ContractionMoments(2, [1.0, 0.0], [2, 2]), "degrees"),
            (lambda: ContractionMoments(2, [1.0, 0.0], [2], network(3)), "network"),
            (lambda: RiskMoments(ReLUNetwork([[1.0]], [[1.0], [2.0]])), "network"),
        ],
    )
    def test_arguments_are_named(self, make, argument):
        with pytest.raises(ArgumentError, match=f"^{argument}: "):
            make()

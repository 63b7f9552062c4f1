"""Accumulators of rows with several labels, against NumPy: sums, merging, bytes, and combinations of labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relunet import ReLUNetwork, scan_array
from relunet.errors import ArgumentError, DataError
from relunet.moments import (
    Accumulator,
    CurvatureMoments,
    GradientMoments,
    InputMoments,
    JointGradientMoments,
    LabelMap,
    RowSample,
    SliceMoments,
    sweep,
)

SIZES = st.tuples(st.integers(1, 70), st.integers(1, 20), st.integers(1, 12), st.integers(0, 11))


def rows(n: int, d: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng([n, d, m])
    return rng.standard_normal((n, d)), rng.standard_normal((n, m)), rng.integers(1, 4, n) / 2


def network(d: int, k: int, m: int) -> ReLUNetwork:
    rng = np.random.default_rng([d, k, m, 1])
    outer, linear = rng.standard_normal((m, k)), rng.standard_normal((m, d))
    return ReLUNetwork(rng.standard_normal((k, d)), outer, rng.standard_normal(k), linear, rng.standard_normal(m))


@settings(max_examples=40, deadline=None)
@given(SIZES)
def test_joint_gradients_are_those_of_numpy(sizes: tuple[int, int, int, int]) -> None:
    n, d, m, k = sizes
    (x, y, w), f = rows(n, d, m), network(d, k, m)
    sums = JointGradientMoments(f)
    sweep(scan_array(x, y, w), [sums])
    extended, height = np.column_stack([x, np.ones(n)]), x @ f.weights.T + f.biases
    residual = y - np.maximum(height, 0) @ f.output_weights.T - x @ f.linear.T - np.asarray(f.intercept)
    weighted = residual * w[:, None] / w.sum()
    for told, expected in (
        (sums.squares, weighted.T @ residual),
        (sums.hidden, ((weighted @ f.output_weights) * (height > 0)).T @ extended),
        (sums.output_weights, weighted.T @ np.maximum(height, 0)),
        (sums.affine, weighted.T @ extended),
    ):
        np.testing.assert_allclose(told, expected, atol=1e-11)


@settings(max_examples=30, deadline=None)
@given(SIZES)
def test_moments_of_several_labels_are_those_of_numpy(sizes: tuple[int, int, int, int]) -> None:
    n, d, m, _ = sizes
    x, y, w = rows(n, d, m)
    sums = InputMoments(d, m)
    sums.update(x, y if m > 1 else y[:, 0], w)
    share = w / w.sum()
    dx, dy = x - share @ x, y - share @ y
    np.testing.assert_allclose(sums.label_means, share @ y, atol=1e-12)
    np.testing.assert_allclose(sums.label_covariance, (dy * share[:, None]).T @ dy, atol=1e-12)
    np.testing.assert_allclose(sums.cross_covariance, (dy * share[:, None]).T @ dx, atol=1e-12)
    np.testing.assert_allclose(sums.cov, (dx * share[:, None]).T @ dx, atol=1e-12)
    assert sums.label_mean == sums.label_means[0]
    assert sums.label_var == sums.label_covariance[0, 0]


def test_one_output_has_the_gradient_of_one_output() -> None:
    x, y, w = rows(900, 7, 1)
    f = network(7, 4, 1)
    one = ReLUNetwork(f.weights, f.output_weights[0], f.biases, f.linear[0], float(np.asarray(f.intercept)[0]))
    joint, single = JointGradientMoments(f), GradientMoments(one)
    sweep(scan_array(x, y, w), [joint, single])
    assert joint.squares[0, 0] == pytest.approx(single.risk, rel=1e-12)
    np.testing.assert_allclose(joint.hidden, single.gradient[:-1] * f.output_weights[0, :, None], atol=1e-12)
    np.testing.assert_allclose(joint.affine, single.gradient[-1:], atol=1e-12)


def test_combinations_of_labels_see_what_their_own_rows_would() -> None:
    x, y, w = rows(700, 5, 3)
    vectors = np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 1.0]])
    kinds: list[tuple[Accumulator, np.ndarray]] = [
        (SliceMoments(5, [-0.5, 0.5]), vectors[:1]),
        (InputMoments(5, 2), vectors),
        (JointGradientMoments(network(5, 3, 2)), vectors),
        (RowSample(5, 2**63, 1, n_outputs=2), vectors),
    ]
    for accumulator, rows_of in kinds:
        mapped, direct = LabelMap(accumulator, rows_of), accumulator.empty()
        sweep(scan_array(x, y, w), [mapped])
        labels = np.stack([(rows_of * row).sum(axis=1) for row in y])
        sweep(scan_array(x, labels, w), [direct])
        assert mapped.n_rows == 700
        told, twin = mapped.accumulator, direct
        assert type(told) is type(twin)
        assert told.n_rows == twin.n_rows
        if isinstance(told, SliceMoments) and isinstance(twin, SliceMoments):
            np.testing.assert_allclose(told.grams, twin.grams, atol=1e-9)
        if isinstance(told, JointGradientMoments) and isinstance(twin, JointGradientMoments):
            np.testing.assert_allclose(told.hidden, twin.hidden, atol=1e-9)


def every(d: int) -> list[Accumulator]:
    return [
        InputMoments(d, 3),
        RowSample(d, 2**63, 0, n_outputs=3),
        JointGradientMoments(network(d, 4, 3)),
        JointGradientMoments(network(d, 0, 3)),
        LabelMap(SliceMoments(d, [0.0]), [[1.0, 0.0, -1.0]]),
    ]


def test_parts_merge_to_the_whole_and_bytes_keep_all() -> None:
    x, y, w = rows(300, 6, 3)
    for whole, first, second in zip(every(6), every(6), every(6), strict=True):
        whole.update(x, y, w)
        first.update(x[:100], y[:100], w[:100])
        second.update(x[100:], y[100:], w[100:])
        merged = Accumulator.from_bytes(first.to_bytes()) + Accumulator.from_bytes(second.to_bytes())
        assert merged.n_rows == whole.n_rows == 300
        if isinstance(whole, JointGradientMoments) and isinstance(merged, JointGradientMoments):
            np.testing.assert_allclose(merged.hidden, whole.hidden, atol=1e-12)
        assert Accumulator.from_bytes(whole.to_bytes()).to_bytes() == whole.to_bytes()
        with pytest.raises(ArgumentError, match="^other: "):
            whole.merge(LabelMap(SliceMoments(6, [0.0]), [[1.0, 0.0, 1.0]]))


def test_damaged_bytes_are_refused() -> None:
    for accumulator in every(2):
        stored = accumulator.to_bytes()
        for at in range(0, len(stored), 7):
            damaged = bytearray(stored)
            damaged[at] ^= 1
            with pytest.raises(DataError):
                Accumulator.from_bytes(bytes(damaged))


def test_maps_that_do_not_fit_are_refused() -> None:
    for accumulator, vectors in (
        (InputMoments(2), [[1.0], [2.0]]),
        (InputMoments(2, 2), [[1.0, 1.0]]),
        (InputMoments(2), [[np.nan]]),
    ):
        with pytest.raises(ArgumentError, match="^vectors: expected"):
            LabelMap(accumulator, vectors)
    for accumulator in (CurvatureMoments(network(2, 1, 1)), LabelMap(InputMoments(2), [[1.0, 1.0]])):
        with pytest.raises(ArgumentError, match="^accumulator: "):
            LabelMap(accumulator, [[1.0]])
    with pytest.raises(ArgumentError, match="^n_outputs: "):
        InputMoments(2, 0)

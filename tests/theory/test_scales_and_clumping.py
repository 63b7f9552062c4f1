"""Close and far sets, the sets of Lemma 18 and the clumping game, compared with their definitions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from relunet import ArgumentError
from relunet.theory.clumping import gap_levels, is_good, play, separated_partition, strategy
from relunet.theory.scales import Closeness, Scales, power_sum_floor

SQUARE = Closeness(math.log(0.5), 2.0)
# Neurons in clumps in clumps: a few coarse places, a few finer offsets, and so on.
CLUMPED = st.lists(
    st.tuples(*(st.sampled_from([0, 1, 2]) for _ in range(4))).map(
        lambda digits: sum(digit * step for digit, step in zip(digits, (0.3, 0.02, 1e-4, 1e-9), strict=True))
    ),
    min_size=1,
    max_size=8,
)


def scales_of(v, finest=1e-12):
    return Scales(np.array(v), np.ones(len(v)), SQUARE, 0.5, finest)


@given(CLUMPED, st.floats(1e-6, 0.99))
def test_gapped_means_close_or_far(v, gamma):
    scales = scales_of(v)
    for i, x in enumerate(v):
        close = {j for j, y in enumerate(v) if abs(x - y) <= gamma**2 / 2 * (1 + 1e-12)}
        far = {j for j, y in enumerate(v) if abs(x - y) >= gamma}
        assert set(scales.far(i, gamma)) == far
        assert set(scales.close(i, gamma)) <= close
        if scales.is_gapped(i, gamma):
            assert close | far == set(range(len(v)))
        assert scales.is_detectable(i, gamma) == (len(scales.close(i, gamma)) > 0.5)


@pytest.mark.slow
@given(CLUMPED)
@settings(max_examples=200)
def test_rounds_are_the_sets_of_lemma_18(v):
    widest = 1e-3
    scales = scales_of(v)
    left = list(range(len(v)))
    for chosen in scales.rounds(widest):
        remaining = scales_of([v[i] for i in left])
        assert remaining.spread > widest
        close = []
        for i, gamma in chosen:
            at = left.index(i)
            assert remaining.is_gapped(at, gamma)
            close.append({left[j] for j in remaining.close(at, gamma)})
        assert not any(a & b for a, b in itertools.combinations(close, 2))
        left = [i for i in left if not set().union(*close) & {i}]
    assert scales_of([v[i] for i in left]).spread <= widest


def test_scales_too_coarse_end_early():
    assert scales_of([0.1, 0.1 + 1e-6, 0.5], finest=0.9).rounds(1e-3) == []


@given(st.integers(2, 8), st.integers(2, 100), st.floats(1.0, 50.0), st.floats(1e-3, 0.9), st.floats(1e-4, 0.2))
def test_levels_count_applications_of_closeness(k, d, bound, detectable, widest):
    closeness = Closeness.of_theorem(k, d, bound, detectable)
    assert closeness.log10(math.log10(widest)) == pytest.approx(
        math.log10(detectable**10 / bound**2) + k * math.log10(widest / d)
    )
    gamma = closeness(widest)
    assert closeness.level(widest, widest) == 0.0
    assert closeness.level(1.0, widest) == 0.0
    assert closeness.level(0.0, widest) == math.inf
    if gamma > 1e-300:
        assert closeness.level(gamma, widest) == pytest.approx(0.9)
        assert closeness.level(gamma, widest) > closeness.level(gamma * 2, widest)


@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.8, 1.0]), min_size=1, max_size=4, unique=True), st.floats(0.1, 5.0)
)
@settings(max_examples=25)
def test_power_sum_floor_is_the_minimum(v, weight):
    v = np.array(v)
    k = len(v)
    powers = v[None, :] ** (2 * np.arange(k))[:, None]
    # minimise s over q with q_0 = weight and |Σ_j q_j v_j^l| ≤ s
    bounds = [(weight, weight), *[(None, None)] * (k - 1), (0, None)]
    rows = np.block([[powers, -np.ones((k, 1))], [-powers, -np.ones((k, 1))]])
    solved = linprog(np.eye(k + 1)[k], A_ub=rows, b_ub=np.zeros(2 * k), bounds=bounds)
    floor = power_sum_floor(v, 0, weight)
    assert floor == pytest.approx(solved.fun, abs=1e-6)


def test_power_sum_floor_needs_one_sign():
    with pytest.raises(ArgumentError, match=r"v: -0\.5"):
        power_sum_floor(np.array([0.5, -0.5]), 0, 1.0)


@given(st.lists(st.floats(0.0, 12.0), max_size=40))
@settings(max_examples=200)
def test_the_strategy_wins_in_logarithmically_many_moves(inner):
    w = [0.0, *inner, 0.0]
    tau = math.log2(len(w)) + 1
    moves = strategy(w, tau)
    left = w
    for move in moves:
        left, places = play(left, move, tau)
        assert (places[0], places[-1]) == (0, len(left) - 1)
    assert left == [0.0]
    assert len(moves) <= 2 * (math.log2(len(w)) + 1)


def test_a_game_with_too_low_a_level_is_not_won():
    left = [0.0, 5.0, 5.5, 0.9, 0.0]
    assert strategy([0.0, 0.9, 0.0], 0.5) == []
    for move in strategy(left, 0.5):
        left, _ = play(left, move, 0.5)
    assert len(left) > 1


def test_the_move_of_figure_2():
    w = [0, 3.1, 2, 2, 3.1, 1, 1, 3.1, 2, 2, 3.1, 0]
    move = [(0, 2), (3, 5), (6, 8), (9, 11)]
    assert play(w, move, tau=3)[0] == [0, 1, 1, 0]
    assert separated_partition(w, 3) == [(0, 0), (2, 3), (5, 6), (8, 9), (11, 11)]


@pytest.mark.parametrize("move", [[(0, 1)], [(0, 2), (1, 3)], [(2, 2)], [(2, 9)]])
def test_illegal_moves_are_refused(move):
    with pytest.raises(ArgumentError, match="not legal"):
        play([0, 5, 1, 0], move, tau=3)


def test_good_intervals():
    assert is_good([0, 4, 4, 1], 0, 3, tau=3)
    assert not is_good([0, 1.5, 4, 1], 0, 3, tau=1)
    assert is_good([0, 1.5, 2, 1], 0, 3, tau=2)
    assert not is_good([0, 4, 1.5, 1], 0, 3, tau=3)


def test_levels_of_gaps():
    assert gap_levels(np.array([0.5, 0.1, 0.5]), SQUARE, 0.2) == [0.0, 0.0, math.inf, 0.0]

"""The clumping game of [CDGKM23], appendix C, whose length bounds the number of rounds.

A position w holds the levels of the gaps between neighbouring v_i, which are large for small gaps, and a zero at both
ends. A move contracts intervals: the neurons between their gaps are learnt, and of the gaps only the widest remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from relunet._typing import Array
from relunet.errors import ArgumentError
from relunet.theory.scales import Closeness

__all__ = ["gap_levels", "is_good", "play", "separated_partition", "strategy"]

Intervals = list[tuple[int, int]]


def gap_levels(v: Array, closeness: Closeness, widest: float) -> list[float]:
    """Return the start position w: the level L of each gap of the sorted v, with a zero at both ends (section C.3).

    Parameters
    ----------
    v : ndarray of shape (k,)
        v_i = |<u_i, g>|.
    closeness : Closeness
        The function T that defines the levels.
    widest : float
        The largest scale ε'.

    Returns
    -------
    list of float
        The k + 1 levels.
    """
    gaps = np.diff(np.sort(v))
    return [0.0, *(closeness.level(float(gap), widest) for gap in gaps), 0.0]


def is_good(w: Sequence[float], i: int, j: int, tau: float, phi: float = 1.0) -> bool:
    """Return whether [i, j] is good for w.

    The levels at both ends must be at most τ, and those in between must either all be at most τ or all exceed both ends
    by more than φ.
    """
    ends, between = max(w[i], w[j]), w[i + 1 : j]
    return ends <= tau and (all(x <= tau for x in between) or all(x > ends + phi for x in between))


def play(w: Sequence[float], intervals: Intervals, tau: float, phi: float = 1.0) -> tuple[list[float], list[int]]:
    """Make a φ-legal move, which replaces the entries of each connected union of intervals by their minimum.

    The paper requires that the first interval begins at the first entry and that the last interval ends at the last
    one. The moves of its Lemma 33 do not satisfy this condition, and it is not needed.

    Parameters
    ----------
    w : sequence of float
        The levels.
    intervals : list of tuple of int
        Good intervals with i_1 < j_1 ≤ i_2 < j_2 ≤ .., counted from 0.
    tau, phi : float
        The parameters τ and φ of `is_good`.

    Returns
    -------
    w : list of float
        The levels after the move.
    places : list of int
        New index of each entry.

    Raises
    ------
    ArgumentError
        The move is not legal.
    """
    last = 0
    for i, j in intervals:
        if not (last <= i < j < len(w) and is_good(w, i, j, tau, phi)):
            raise ArgumentError(f"intervals: [{i}, {j}] is not legal in {list(w)}")
        last = j
    joined = {place for i, j in intervals for place in range(i + 1, j + 1)}
    after: list[float] = []
    places = []
    for place, level in enumerate(w):
        if place in joined:
            after[-1] = min(after[-1], level)
        else:
            after.append(level)
        places.append(len(after) - 1)
    return after, places


def separated_partition(levels: Sequence[float], bound: float) -> Intervals:
    """Return the maximal intervals whose entries are at most `bound` (Definition 31).

    There are at most half as many of them as entries (Lemma 32).
    """
    intervals: Intervals = []
    for place, level in enumerate(levels):
        if level <= bound:
            if intervals and intervals[-1][1] == place - 1:
                intervals[-1] = intervals[-1][0], place
            else:
                intervals.append((place, place))
    return intervals


def strategy(w: Sequence[float], tau: float) -> list[Intervals]:
    """Return O(log k) 1-legal moves that win the game for τ ≥ log2 k + 1 (Lemma 30).

    Step s partitions the counted entries at the level τ - s. Each interval of the partition is moderate, and Lemma 33
    contracts all of them in two moves: the first contracts the parts above τ - s + 1, the second the remaining
    intervals. Each step leaves at most half of the counted entries, so that one is left after log2 k steps.

    Parameters
    ----------
    w : sequence of float
        The levels, with a zero at both ends.
    tau : float
        The level τ of the smallest scale.

    Returns
    -------
    list of list of tuple of int
        The moves, with indices into the position before each move. If τ is too small they do not win the game.

    Raises
    ------
    ArgumentError
        `w` does not begin and end with zero.

    Examples
    --------
    >>> from relunet.theory.clumping import strategy
    >>> strategy([0, 3.1, 2, 2, 3.1, 1, 1, 3.1, 2, 2, 3.1, 0], tau=5)
    [[(0, 11)]]
    """
    if not w or w[0] != 0 or w[-1] != 0:
        raise ArgumentError(f"w: {list(w)}, expected zeros at both ends")
    levels, counting = list(w), list(range(len(w)))
    moves: list[Intervals] = []
    bound = tau
    while len(levels) > 1 and bound >= 0:
        runs = separated_partition([levels[place] for place in counting], bound)
        moderate = [(counting[i], counting[j]) for i, j in runs]
        above = []
        for i, j in moderate:
            low = [place for place in range(i, j + 1) if levels[place] <= bound]
            above += [(a, b) for a, b in pairwise(low) if b > a + 1]
        for intervals in (above, None):
            move = [(i, j) for i, j in moderate if i < j] if intervals is None else intervals
            if move:
                levels, places = play(levels, move, tau)
                moderate = [(places[i], places[j]) for i, j in moderate]
                moves.append(move)
        counting = [i for i, _ in moderate]
        bound -= 1
    return moves

"""The clumping game, which says how many rounds suffice ([CDGKM23], appendix C).

w holds levels of the gaps between neighbouring v_i, large for small gaps, and a zero at both ends. A move takes
intervals that are gapped away: what lies between two of their gaps is learnt, and one gap, the widest, remains.
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
    """Return w: the level L of each gap of the sorted v, between zeros (section C.3).

    Parameters
    ----------
    v : ndarray of shape (k,)
        v_i = |<u_i, g>|.
    closeness : Closeness
        T, to which levels belong.
    widest : float
        ε'.

    Returns
    -------
    list of float
        k + 1 levels.
    """
    gaps = np.diff(np.sort(v))
    return [0.0, *(closeness.level(float(gap), widest) for gap in gaps), 0.0]


def is_good(w: Sequence[float], i: int, j: int, tau: float, phi: float = 1.0) -> bool:
    """Tell whether [i, j] is good for w: ends at most τ, between them all at most τ or all more than φ above both."""
    ends, between = max(w[i], w[j]), w[i + 1 : j]
    return ends <= tau and (all(x <= tau for x in between) or all(x > ends + phi for x in between))


def play(w: Sequence[float], intervals: Intervals, tau: float, phi: float = 1.0) -> tuple[list[float], list[int]]:
    """Make a φ-legal move: entries of each connected union of intervals become one, their minimum.

    The paper asks that the first interval begin at the first entry and the last end at the last one; the moves of its
    own Lemma 33 do not, nor need they.

    Parameters
    ----------
    w : sequence of float
        The levels.
    intervals : list of tuple of int
        i_1 < j_1 ≤ i_2 < j_2 ≤ .., all good, counted from 0.
    tau, phi : float
        τ and φ.

    Returns
    -------
    w : list of float
        The levels after the move.
    places : list of int
        Where each entry went.

    Raises
    ------
    ArgumentError
        For a move that is not legal.
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
    """Return the maximal intervals with entries at most `bound`: at most half as many as entries (31, 32)."""
    intervals: Intervals = []
    for place, level in enumerate(levels):
        if level <= bound:
            if intervals and intervals[-1][1] == place - 1:
                intervals[-1] = intervals[-1][0], place
            else:
                intervals.append((place, place))
    return intervals


def strategy(w: Sequence[float], tau: float) -> list[Intervals]:
    """Return 1-legal moves that win the game, O(log k) of them, for τ of at least log2 k + 1 (Lemma 30).

    In step s the entries that count are partitioned at τ - s; each interval of the partition is moderate, and Lemma 33
    contracts all of them in two moves: first what is above τ - s + 1 within, then the rest. So at most half of the
    entries that count are left, and one after log2 k steps.

    Parameters
    ----------
    w : sequence of float
        Levels, zero at both ends.
    tau : float
        τ, the level of the smallest scale.

    Returns
    -------
    list of list of tuple of int
        The moves, each in the places of its time. With τ too small they end before the game does.

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

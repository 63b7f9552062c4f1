"""The search over computation paths: which elements of a net the nondeterministic algorithms guess.

For elements u_1, .., u_m of a net the squared loss is a quadratic in λ (`Correlations`): the best λ of a guess is one
small linear solve, least squares in place of the net over [-R, R]. All tuples of a coarse net are tried where there are
few enough of them; else they are built element by element and a beam of the best is kept. Those kept are refined: near
them, and only there, nets of half the mesh are searched, until the mesh is fine enough.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from relunet import _relunet
from relunet.network import ReLUNetwork
from relunet.theory.moments import Correlations, Moments
from relunet.theory.nets import finer, interval_net, log10_lines, sphere_net

__all__ = ["Cost", "Guess", "SearchLimits", "search_net"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

# Elements that the others explain but for this part are not told apart from them.
DEPENDENT = 1e-9
# Tuples solved at a time.
CHUNK = 1 << 16
# Joint moves of a tuple's elements that are tried in one go; of more, two elements move at a time.
JOINT_MOVES = 800
# Moves of a tuple on one net before the mesh is halved.
MOVES = 12


@dataclass
class Cost:
    """What a search over computation paths did, and how large the whole tree is.

    Attributes
    ----------
    tried : int
        Guesses whose loss was computed.
    log10_paths : float
        log10 of the number of guesses in nets as fine as the finest that was used: what trying all of them would take.
    exhaustive : bool
        Whether all tuples of every coarse net were tried.
    rounds : int
        Rounds taken along the path that was returned.
    """

    tried: int = 0
    log10_paths: float = -math.inf
    exhaustive: bool = True
    rounds: int = 0

    def add_branches(self, log10_guesses: float) -> None:
        """Add so many guesses to the size of the tree."""
        high, low = max(self.log10_paths, log10_guesses), min(self.log10_paths, log10_guesses)
        self.log10_paths = high + math.log10(1.0 + 10.0 ** (low - high))


@dataclass(frozen=True)
class SearchLimits:
    """How a net is searched; none of it is in the papers, which try every element.

    Attributes
    ----------
    coarse : float
        Granularity of the net whose tuples are enumerated.
    fine : float
        Granularity of the last net.
    exhaustive : int
        Up to so many tuples are all tried.
    beam : int
        Tuples kept.
    bound : float
        R: guesses with Σ|λ_i| above it are no guesses.
    weight_net : float or None
        Granularity of the net over [-R, R], in which the λ of the best tuples then lie: the best of the three elements
        of it nearest to each λ of least squares. None leaves them as they are.
    """

    coarse: float = 0.25
    fine: float = 1e-3
    exhaustive: int = 200_000
    beam: int = 24
    bound: float = math.inf
    weight_net: float | None = None


@dataclass(frozen=True)
class Guess:
    """Neurons of one computation path.

    Attributes
    ----------
    u : ndarray of shape (m, d)
        Unit vectors: those that were known, then the elements of the net.
    lam : ndarray of shape (m,)
        Their λ, by least squares.
    loss : float
        E(y - f̂)² that they leave.
    """

    u: Array
    lam: Array
    loss: float


def search_net(
    moments: Moments,
    estimate: ReLUNetwork,
    known: Array,
    basis: Array,
    most: int,
    limits: SearchLimits,
    cost: Cost,
) -> Iterator[list[Guess]]:
    """Guess m = 1, 2, .. elements of a net over V beside known neurons; yield the best guesses of each m, best first.

    Parameters
    ----------
    moments : Moments
        The unknown f.
    estimate : ReLUNetwork
        What is taken away first: the linear part ŵ.
    known : ndarray of shape (s, d)
        Unit vectors of the neurons found in earlier rounds, whose λ are fitted anew.
    basis : ndarray of shape (d, r)
        Orthonormal basis of V.
    most : int
        Largest m.
    limits : SearchLimits
        How to search.
    cost : Cost
        What is done is added to it.
    """
    r = basis.shape[1]
    if r == 0:
        return
    turn = np.ascontiguousarray(basis.T)
    net = sphere_net(r, limits.coarse)
    loss = _Loss(moments.correlations(_rows(known, net, turn), estimate), len(known), limits.bound)
    tuples: Index = np.zeros((1, 0), dtype=np.intp)
    for m in range(1, min(most, len(net)) + 1):
        if math.comb(len(net), m) <= limits.exhaustive:
            flat = (i for indices in combinations(range(len(net)), m) for i in indices)
            tuples = np.fromiter(flat, dtype=np.intp).reshape(-1, m)
        else:
            cost.exhaustive = False
            tuples = _extended(tuples, len(net))
        cost.tried += len(tuples)
        each = log10_lines(r, limits.fine)
        if limits.weight_net is not None:
            each += math.log10(len(interval_net(limits.bound, limits.weight_net)))
        cost.add_branches(m * each - math.lgamma(m + 1) / math.log(10))
        losses = loss.of(tuples)
        order = np.argsort(losses, kind="stable")[: limits.beam]
        tuples = tuples[order]
        points = _refined(moments, estimate, known, net[tuples], turn, limits, cost)
        guesses = [_guess(moments, estimate, _rows(known, point, turn), len(known), limits) for point in points]
        yield sorted((guess for guess in guesses if math.isfinite(guess.loss)), key=lambda guess: guess.loss)


def _rows(known: Array, points: Array, turn: Array) -> Array:
    return np.concatenate([known, _relunet.matmul(np.ascontiguousarray(points), turn)])


def _extended(tuples: Index, n: int) -> Index:
    """Return every tuple with every further element, once each."""
    longer = np.concatenate([np.repeat(tuples, n, axis=0), np.tile(np.arange(n), len(tuples))[:, None]], axis=1)
    longer = np.sort(longer, axis=1)
    return np.unique(longer[np.all(np.diff(longer, axis=1) > 0, axis=1)], axis=0)


def _guess(moments: Moments, estimate: ReLUNetwork, u: Array, n_known: int, limits: SearchLimits) -> Guess:
    products = moments.correlations(u, estimate)
    lam, left = _Loss(products, n_known, limits.bound).solve(np.arange(len(u) - n_known)[None, :])
    best = Guess(u, lam[0], float(left[0]))
    if limits.weight_net is None or not math.isfinite(best.loss):
        return best
    net = interval_net(limits.bound, limits.weight_net)
    near = [net[np.argsort(np.abs(net - value), kind="stable")[:3]] for value in best.lam]
    guesses = [Guess(u, np.array(weights), products.loss(np.array(weights))) for weights in product(*near)]
    return min(guesses, key=lambda guess: guess.loss)


def _refined(
    moments: Moments,
    estimate: ReLUNetwork,
    known: Array,
    points: Array,
    turn: Array,
    limits: SearchLimits,
    cost: Cost,
) -> list[Array]:
    """Return the tuples of net elements (n, m, r), refined, the best of them."""
    _, m, r = points.shape
    if r == 1:
        return [points[0]]
    mesh = 2 * limits.coarse / math.sqrt(r - 1)
    moves = _moves(m, 1 + 2 * (r - 1))
    beam = [(math.inf, point) for point in points]
    while mesh > 2 * limits.fine / math.sqrt(r - 1):
        mesh /= 2
        moved: list[tuple[float, Array]] = []
        for _, point in beam:
            left = math.inf
            for _ in range(MOVES):
                near = finer(point, mesh).reshape(-1, r)
                loss = _Loss(moments.correlations(_rows(known, near, turn), estimate), len(known), limits.bound)
                losses = loss.of(moves)
                cost.tried += len(moves)
                best = int(np.argmin(losses))
                left = float(losses[best])
                point = near[moves[best]]
                if best == 0:
                    break
            moved.append((left, point))
        moved.sort(key=lambda one: one[0])
        beam = _distinct(moved, mesh)[: max(2, len(beam) // 2)]
    return [point for _, point in beam]


def _moves(m: int, n_near: int) -> Index:
    """Return which of its near elements each of m elements moves to, as places in all of them; first, none moves."""
    if n_near**m <= JOINT_MOVES:
        choices = np.array(list(product(range(n_near), repeat=m)), dtype=np.intp)
    else:
        pairs = np.array(list(product(range(n_near), repeat=2)), dtype=np.intp)
        choices = np.zeros((0, m), dtype=np.intp)
        for i, j in combinations(range(m), 2):
            both = np.zeros((len(pairs), m), dtype=np.intp)
            both[:, [i, j]] = pairs
            choices = np.concatenate([choices, both])
        choices = np.unique(choices, axis=0)
    return choices + n_near * np.arange(m)


def _distinct(beam: list[tuple[float, Array]], mesh: float) -> list[tuple[float, Array]]:
    """Return the tuples without those that have come to the same place as a better one."""
    kept: list[tuple[float, Array]] = []
    for left, point in beam:
        inner = [np.abs(np.sum(point[:, None, :] * other[None, :, :], axis=2)).max(axis=1) for _, other in kept]
        if not any(np.all(1.0 - cosine < mesh**2) for cosine in inner):
            kept.append((left, point))
    return kept


class _Loss:
    """The loss of tuples of candidates beside known neurons, λ by least squares."""

    def __init__(self, products: Correlations, n_known: int, bound: float) -> None:
        self.products, self.n_known, self.bound = products, n_known, bound

    def of(self, tuples: Index) -> Array:
        """Return the loss of each tuple (n, m) of candidates; infinite for dependent ones and beyond the bound."""
        parts = [self.solve(tuples[start : start + CHUNK])[1] for start in range(0, len(tuples), CHUNK)]
        return np.concatenate(parts)

    def solve(self, tuples: Index) -> tuple[Array, Array]:
        """Return λ, (n, known + m), and the loss of each tuple.

        Elimination without pivots, on all tuples at once: products of |u_i·x| are positive definite.
        """
        known = np.broadcast_to(np.arange(self.n_known), (len(tuples), self.n_known))
        columns = np.concatenate([known, tuples + self.n_known], axis=1)
        size = columns.shape[1]
        left = self.products.net[columns[:, :, None], columns[:, None, :]]
        right = self.products.label[columns]
        diagonal = left[:, np.arange(size), np.arange(size)].copy()
        good = np.ones(len(tuples), dtype=bool)
        for i in range(size):
            good &= left[:, i, i] > DEPENDENT * diagonal[:, i]
            pivot = np.where(good, left[:, i, i], 1.0)
            for j in range(i + 1, size):
                factor = left[:, j, i] / pivot
                left[:, j, i:] -= factor[:, None] * left[:, i, i:]
                right[:, j] -= factor * right[:, i]
        # The eliminated system gives the explained part as a sum of squares, free of cancellation.
        pivots = np.where(good[:, None], left[:, np.arange(size), np.arange(size)], 1.0)
        explained = np.sum(right**2 / pivots, axis=1)
        lam = np.zeros_like(right)
        for i in range(size - 1, -1, -1):
            rest = np.sum(left[:, i, i + 1 :] * lam[:, i + 1 :], axis=1)
            lam[:, i] = (right[:, i] - rest) / pivots[:, i]
        good &= np.sum(np.abs(lam), axis=1) <= self.bound
        return lam, np.where(good, self.products.power - explained, np.inf)

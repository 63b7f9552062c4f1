"""Search over computation paths, that is, over the net elements that the nondeterministic algorithms guess.

For elements u_1, .., u_m of a net, the squared loss is a quadratic function of λ (`Correlations`). The best λ of a
guess is therefore found by least squares, a small linear system, and not in a net over [-R, R]. All tuples of a coarse
net are tried if there are few enough; otherwise tuples are built element by element by a beam search. The best tuples
are refined: the mesh is halved repeatedly, and each finer net is searched only near them, until it is fine enough.
Neurons that are closer than the coarse mesh are first found as a clump and then resolved, because a refined tuple is
also extended by one more element, from the coarse net or from a finer net near one of its elements.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from relunet._typing import Array
from relunet.linalg import matmul
from relunet.theory.form import AbsoluteForm
from relunet.theory.moments import Correlations, Moments
from relunet.theory.nets import finer, interval_net, log10_lines, sphere_net

__all__ = ["Cost", "Guess", "SearchLimits", "search_net"]

Index = NDArray[np.intp]

# An element is dependent on others if they explain all but this share of it.
DEPENDENT = 1e-9
# Number of tuples that are solved at a time.
CHUNK = 1 << 16
# Largest number of joint moves of all elements of a tuple; if there are more, two elements are moved at a time.
JOINT_MOVES = 800
# Largest number of moves of a tuple on one net before the mesh is halved.
MOVES = 12
# Number of refined tuples that are extended, number of extensions of each, and least number of tuples that are refined
# to the finest net.
SPLIT = 3


@dataclass
class Cost:
    """Cost of a search over computation paths, and size of the complete tree.

    Attributes
    ----------
    tried : int
        Number of guesses whose loss was computed.
    log10_paths : float
        log10 of the number of guesses that a search of all elements of the finest nets would try.
    exhaustive : bool
        Whether all tuples of every coarse net were tried.
    rounds : int
        Number of rounds of the returned path.
    """

    tried: int = 0
    log10_paths: float = -math.inf
    exhaustive: bool = True
    rounds: int = 0

    def add_branches(self, log10_guesses: float) -> None:
        """Add a number of guesses, given by its log10, to the size of the tree."""
        high, low = max(self.log10_paths, log10_guesses), min(self.log10_paths, log10_guesses)
        self.log10_paths = high + math.log10(1.0 + 10.0 ** (low - high))


@dataclass(frozen=True)
class SearchLimits:
    """Limits of the search of a net. The papers have no such limits, because they try every element.

    Attributes
    ----------
    coarse : float
        Granularity of the net whose tuples are enumerated.
    elements : int
        Approximate maximum number of elements of this net; a coarser net is used if there would be more.
    fine : float or None
        Granularity of the finest net. None means ε/50, because errors are of the order of the granularity.
    exhaustive : int
        Largest number of tuples that are all tried.
    beam : int
        Number of tuples that are kept.
    bound : float
        Bound R: guesses with Σ|λ_i| above it are rejected.
    weight_net : float or None
        Granularity of a net over [-R, R]. If given, the λ of the best tuples are rounded to this net: of the three
        elements nearest to each λ of least squares, the best combination is chosen. None keeps the λ of least squares.
    """

    coarse: float = 0.25
    elements: int = 2000
    fine: float | None = None
    exhaustive: int = 200_000
    beam: int = 24
    bound: float = math.inf
    weight_net: float | None = None

    def for_error(self, epsilon: float) -> SearchLimits:
        """Return a copy in which `fine` is ε/50 if it was None."""
        return replace(self, fine=epsilon / 50) if self.fine is None else self

    @property
    def finest(self) -> float:
        """Granularity of the finest net."""
        return self.coarse if self.fine is None else self.fine


@dataclass(frozen=True)
class Guess:
    """The estimate f̂ of one computation path.

    Attributes
    ----------
    form : AbsoluteForm
        ŵ·x + Σ λ_i |u_i·x| with the known neurons first and the elements of the net after them; all λ are fitted.
    loss : float
        E(y - f̂)² on the rows of the search.
    """

    form: AbsoluteForm
    loss: float


def search_net(
    moments: Moments,
    w: Array,
    known: Array,
    basis: Array,
    most: int,
    limits: SearchLimits,
    cost: Cost,
) -> Iterator[list[Guess]]:
    """Search a net over V for m = 1, 2, .. elements in addition to known neurons.

    Parameters
    ----------
    moments : Moments
        Moments of the unknown f.
    w : ndarray of shape (d,)
        The linear part ŵ.
    known : ndarray of shape (s, d)
        Unit vectors of the neurons found in earlier rounds; their λ are fitted again.
    basis : ndarray of shape (d, r)
        Orthonormal basis of V.
    most : int
        Largest m.
    limits : SearchLimits
        Limits of the search.
    cost : Cost
        Record of the cost, which is updated.

    Yields
    ------
    list of Guess
        The best guesses for each m in turn, sorted by loss.
    """
    if basis.shape[1]:
        yield from _NetSearch(moments, w, known, basis, limits, cost).sizes(most)


def _extended(tuples: Index, n: int) -> Index:
    """Return the distinct extensions of all tuples by one further element."""
    longer = np.concatenate([np.repeat(tuples, n, axis=0), np.tile(np.arange(n), len(tuples))[:, None]], axis=1)
    longer = np.sort(longer, axis=1)
    return np.unique(longer[np.all(np.diff(longer, axis=1) > 0, axis=1)], axis=0)


def _moves(m: int, n_near: int) -> Index:
    """Return the joint moves of m elements to their neighbours, as indices of neighbours; the first moves nothing."""
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


def _distinct(beam: list[Array], mesh: float) -> list[Array]:
    """Return the tuples without duplicates, that is, tuples within about the mesh of an earlier one."""
    kept: list[Array] = []
    for point in beam:
        inner = [np.abs(np.sum(point[:, None, :] * other[None, :, :], axis=2)).max(axis=1) for other in kept]
        if not any(np.all(1.0 - cosine < mesh**2) for cosine in inner):
            kept.append(point)
    return kept


class _NetSearch:
    """Search of one net in addition to known neurons."""

    def __init__(
        self, moments: Moments, w: Array, known: Array, basis: Array, limits: SearchLimits, cost: Cost
    ) -> None:
        self.moments, self.w, self.known, self.limits, self.cost = moments, w, known, limits, cost
        self.linear = AbsoluteForm.linear(w).network()
        self.basis_rows = np.ascontiguousarray(basis.T)
        self.r = basis.shape[1]
        coarse = limits.coarse
        while log10_lines(self.r, coarse) > math.log10(limits.elements):
            coarse *= 1.1
        self.net = sphere_net(self.r, coarse)
        mesh = 2 * coarse / math.sqrt(max(self.r - 1, 1))
        halvings = math.ceil(math.log2(max(coarse / limits.finest, 1.0))) if self.r > 1 else 0
        self.meshes = [mesh / 2**j for j in range(1, halvings + 1)]

    def sizes(self, most: int) -> Iterator[list[Guess]]:
        """Yield the best guesses for m = 1, 2, .. elements."""
        limits, net = self.limits, self.net
        loss = self.loss(net)
        tuples: Index = np.zeros((1, 0), dtype=np.intp)
        refined: list[Array] = []
        for m in range(1, most + 1):
            if math.comb(len(net), m) <= limits.exhaustive:
                flat = (i for indices in combinations(range(len(net)), m) for i in indices)
                tuples = np.fromiter(flat, dtype=np.intp).reshape(-1, m)
            else:
                self.cost.exhaustive = False
                tuples = _extended(tuples, len(net))
            self.cost.add_branches(m * self.log10_elements() - math.lgamma(m + 1) / math.log(10))
            tuples = tuples[np.argsort(self.tried(loss, tuples), kind="stable")[: limits.beam]]
            starts = [*net[tuples], *(longer for point in refined[:SPLIT] for longer in self.split(point))]
            if not starts:
                return
            refined = self.refined(starts)
            guesses = [self.guess(point) for point in refined]
            yield sorted((guess for guess in guesses if math.isfinite(guess.loss)), key=lambda guess: guess.loss)

    def log10_elements(self) -> float:
        """Return log10 of the number of choices of one neuron, which are the elements of the finest net and its λ."""
        each = log10_lines(self.r, self.limits.finest)
        if self.limits.weight_net is not None:
            each += math.log10(len(interval_net(self.limits.bound, self.limits.weight_net)))
        return each

    def loss(self, points: Array) -> _Loss:
        """Return the loss function for elements (n, r) in addition to the known neurons."""
        return _Loss(self.moments.correlations(self.rows(points), self.linear), len(self.known), self.limits.bound)

    def rows(self, points: Array) -> Array:
        """Return the known neurons followed by the elements in all d dimensions."""
        return np.concatenate([self.known, matmul(points, self.basis_rows)])

    def tried(self, loss: _Loss, tuples: Index) -> Array:
        """Return the loss of each tuple, and add them to the cost."""
        self.cost.tried += len(tuples)
        return loss.of(tuples)

    def split(self, point: Array) -> list[Array]:
        """Return the best extensions of a tuple (m, r) by one element of the coarse net or near one of its elements."""
        near = [finer(point, mesh)[:, 1:].reshape(-1, self.r) for mesh in self.meshes]
        candidates = np.concatenate([point, self.net, *near])
        m = len(point)
        more = np.arange(m, len(candidates))[:, None]
        tuples = np.concatenate([np.broadcast_to(np.arange(m), (len(more), m)), more], axis=1)
        losses = self.tried(self.loss(candidates), tuples)
        best = np.argsort(losses, kind="stable")[:SPLIT]
        return [candidates[tuples[i]] for i in best if math.isfinite(losses[i])]

    def refined(self, starts: list[Array]) -> list[Array]:
        """Move tuples (m, r) to their best neighbours in successively finer nets; return the best tuples."""
        moves = _moves(len(starts[0]), 1 + 2 * (self.r - 1))
        beam = starts
        for mesh in self.meshes:
            moved = []
            for point in beam:
                loss = math.inf
                for _ in range(MOVES):
                    near = finer(point, mesh).reshape(-1, self.r)
                    losses = self.tried(self.loss(near), moves)
                    best = int(np.argmin(losses))
                    loss, point = float(losses[best]), near[moves[best]]
                    if best == 0:
                        break
                moved.append((loss, point))
            moved.sort(key=lambda one: one[0])
            beam = _distinct([point for _, point in moved], mesh)[: max(SPLIT, len(beam) // 2)]
        return beam

    def guess(self, point: Array) -> Guess:
        """Return the guess of a tuple with its λ, which are rounded to the net over [-R, R] if there is one."""
        u = self.rows(point)
        products = self.moments.correlations(u, self.linear)
        tuples = np.arange(len(point))[None, :]
        lam, left = _Loss(products, len(self.known), self.limits.bound).solve(tuples)
        best = Guess(AbsoluteForm(self.w, lam[0], u), float(left[0]))
        if self.limits.weight_net is None or not math.isfinite(best.loss):
            return best
        net = interval_net(self.limits.bound, self.limits.weight_net)
        near = [net[np.argsort(np.abs(net - value), kind="stable")[:3]] for value in lam[0]]
        choices = [AbsoluteForm(self.w, np.array(weights), u) for weights in product(*near)]
        return min((Guess(form, products.loss(form.lam)) for form in choices), key=lambda guess: guess.loss)


class _Loss:
    """Loss of tuples of candidates in addition to known neurons, with λ by least squares."""

    def __init__(self, products: Correlations, n_known: int, bound: float) -> None:
        self.products, self.n_known, self.bound = products, n_known, bound

    def of(self, tuples: Index) -> Array:
        """Return the loss of each tuple (n, m), which is infinite if it is dependent or exceeds the bound."""
        parts = [self.solve(tuples[start : start + CHUNK])[1] for start in range(0, len(tuples), CHUNK)]
        return np.concatenate([np.zeros(0), *parts])

    def solve(self, tuples: Index) -> tuple[Array, Array]:
        """Return λ of shape (n, n_known + m), and the loss of each tuple.

        Gaussian elimination runs on all tuples at once and without pivoting, because the matrices of products of
        |u_i·x| are positive definite.
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
        # The eliminated system gives the explained part as a sum of squares, without cancellation.
        pivots = np.where(good[:, None], left[:, np.arange(size), np.arange(size)], 1.0)
        explained = np.sum(right**2 / pivots, axis=1)
        lam = np.zeros_like(right)
        for i in range(size - 1, -1, -1):
            known_part = np.sum(left[:, i, i + 1 :] * lam[:, i + 1 :], axis=1)
            lam[:, i] = (right[:, i] - known_part) / pivots[:, i]
        good &= np.sum(np.abs(lam), axis=1) <= self.bound
        return lam, np.where(good, self.products.power - explained, np.inf)

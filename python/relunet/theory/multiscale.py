"""MultiScaleLearn, Algorithm 1 of [CDGKM23]: rounds of residual moments, joint spans, nets and guesses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from relunet._typing import Array
from relunet.theory.estimate import Candidates, Estimate, contraction_directions
from relunet.theory.form import AbsoluteForm
from relunet.theory.learner import SearchingLearner
from relunet.theory.moments import MAX_DEGREE, Moments
from relunet.theory.one_direction import one_direction
from relunet.theory.paths import Cost, Guess, SearchLimits, search_net
from relunet.theory.scales import Closeness, Scales
from relunet.theory.spans import joint_span

__all__ = ["MultiScaleLearner", "MultiScaleOverrides"]


# T(γ) = γ²/2.
HALF_SQUARE = Closeness(math.log(0.5), 2.0)


@dataclass(frozen=True)
class MultiScaleOverrides:
    """Parameters of `MultiScaleLearner` that replace those of the theorem, which floating point cannot represent.

    Attributes
    ----------
    cut : float or None
        Spectral cut of the joint span in units of the norm of the noise; see `joint_span`. None means Lemma 13 as
        published.
    net : SearchLimits
        Granularities υ of the net over V, and limits of its search. The weights λ are found by least squares and not in
        the net S_λ of Lemma 16.
    paths : int
        Number of computation paths that are continued after each round, those of least loss. The theorem continues all.
    closeness : Closeness
        The function T(γ) for the scales that the estimate reports; `Closeness.of_theorem` is equation 4.
    detectable : float or None
        The weight Λ relative to the norm of the part of f that is not affine. None means ε/k, because clumps of less
        weight can be omitted within the error ε. The theorem has a power of the error ξ of f̂ (equation 3).
    """

    cut: float | None = 2.0
    net: SearchLimits = field(default_factory=SearchLimits)
    paths: int = 3
    closeness: Closeness = HALF_SQUARE
    detectable: float | None = None


class MultiScaleLearner(SearchingLearner[MultiScaleOverrides]):
    """MultiScaleLearn, the algorithm of [CDGKM23], Theorem 1.

    The algorithm draws a random direction g and makes at most k rounds. Each round performs these steps:

    1. Estimate the residual moments M_l(g), l = 1, 2, 4, .., 2k + 2, of y - f̂(x) (Lemmas 7, 8).
    2. Compute the one-direction candidate (Lemma 10).
    3. Compute the joint span V of the top-k singular subspaces of the moments (Lemma 13).
    4. Guess whether to add the candidate, or m elements of a net over V with their λ (Lemmas 14, 16), or nothing.

    The linear part of f̂ is ŵ = E[y x], corrected by the linear parts of the residuals. The first f̂ whose validated
    loss is at most ε²/2 is returned (Lemma 20). Otherwise the rounds are repeated with another g, until the probability
    that no g was good is at most δ.

    The guesses of step 4 are searched: m increases from 1, tuples of net elements are searched by `search_net`, and a
    few paths are continued from round to round. Later rounds can find neurons that earlier ones miss, because the
    moments of a residual have less variance.

    Parameters
    ----------
    n_neurons : int
        Upper bound k on the number of neurons.
    epsilon : float, default=0.05
        Requested error, relative to the norm of the part of f that is not affine.
    delta : float, default=0.05
        Allowed probability that all random directions are bad.
    overrides : MultiScaleOverrides, default=MultiScaleOverrides()
        Parameters that replace those of the theorem.
    random_state : int, default=0
        Seed of the random directions.

    Raises
    ------
    ArgumentError
        A parameter is out of range.

    Examples
    --------
    >>> from relunet import teachers
    >>> from relunet.theory import MultiScaleLearner, PopulationMoments
    >>> network = teachers.level_fan(5, 4, rng=0).network  # M_2 = 0
    >>> found = MultiScaleLearner(4).learn(PopulationMoments(network))
    >>> found.network.n_neurons, found.error < 0.05
    (4, True)
    """

    default_overrides = MultiScaleOverrides()

    @property
    def degrees(self) -> range:
        """The even degrees l: 2, 4, .., 2k + 2."""
        return range(2, min(2 * self.n_neurons + 2, MAX_DEGREE) + 1, 2)

    def learn(self, moments: Moments) -> Estimate:
        """Learn the network from its moments.

        Parameters
        ----------
        moments : PopulationMoments or SampleMoments
            Moments of the unknown f.

        Returns
        -------
        Estimate
            A validated estimate.

        Raises
        ------
        Fail
            No searched computation path reached the requested error.
        """
        cost = Cost()
        candidates = Candidates(moments, self.epsilon, cost)
        for g in contraction_directions(moments.n_features, self.delta, self.random_state):
            if candidates.consider(g, candidates.nothing):
                return self._with_scales(candidates)
            paths = [candidates.nothing]
            for number in range(1, self.n_neurons + 1):
                cost.rounds = number
                branches: list[Guess] = []
                for path in paths:
                    for guesses in self._round(moments, g, path, cost):
                        if any(candidates.consider(g, guess) for guess in guesses):
                            return self._with_scales(candidates)
                        branches += guesses
                unfinished = (path for path in branches if len(path.form.lam) < self.n_neurons)
                paths = sorted(unfinished, key=lambda path: path.loss)[: self.overrides.paths]
        raise candidates.fail()

    def _with_scales(self, candidates: Candidates) -> Estimate:
        """Return the accepted estimate with its gapped and detectable scales (Definition 6)."""
        estimate, overrides = candidates.accepted(), self.overrides
        part = self.epsilon / self.n_neurons if overrides.detectable is None else overrides.detectable
        detectable = part * candidates.target.scale
        finest = overrides.net.for_error(self.epsilon).finest
        scales = Scales.of(estimate.form, estimate.g, overrides.closeness, detectable, finest)
        return replace(estimate, scales=scales)

    def _round(self, moments: Moments, g: Array, path: Guess, cost: Cost) -> Iterator[list[Guess]]:
        """Continue one computation path by the one-direction candidate, then by m = 1, 2, .. elements of the net."""
        estimate = path.form.network()
        residual = moments.moments((1, *self.degrees), g, estimate)
        # The linear part of the residual is added to f̂; it consists of errors that decrease with the residual.
        w, known = path.form.w + residual[1], path.form.u
        lam, u = one_direction(residual[2])
        candidate = AbsoluteForm(w, np.append(path.form.lam, lam), np.concatenate([known, u[None, :]]))
        loss = moments.correlations(candidate.u, AbsoluteForm.linear(w).network()).loss(candidate.lam)
        cost.tried += 1
        yield [Guess(candidate, loss)]

        cut = self.overrides.cut
        noise = None if cut is None else moments.noise(self.degrees, estimate)
        matrices = {degree: residual[degree] for degree in self.degrees}
        span = joint_span(matrices, self.n_neurons, noise, cut)
        limits = self.overrides.net.for_error(self.epsilon)
        yield from search_net(moments, w, known, span, self.n_neurons - len(known), limits, cost)

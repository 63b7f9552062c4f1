"""MultiScaleLearn of [CDGKM23] (its Algorithm 1): rounds of residual moments, joint spans, nets and guesses."""

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
    """What MultiScaleLearner runs with in place of the theorem's parameters, which floating point cannot hold.

    Attributes
    ----------
    cut : float or None
        Spectral cut of the joint span, in units of the norm of noise; see `joint_span`. None is Lemma 13 literally.
    net : SearchLimits
        Granularities υ of the net over V, and how it is searched; λ by least squares in place of S_λ of Lemma 16.
    paths : int
        Computation paths that a round hands on, ranked by loss. The theorem follows all.
    closeness : Closeness
        T(γ), for the scales that the estimate reports; `Closeness.of_theorem` is equation 4.
    detectable : float or None
        Λ, as a part of the norm of what is not affine in f: None is ε/k, for clumps that weigh less may be left out
        without missing ε. The theorem has a power of the error ξ of f̂ (equation 3).
    """

    cut: float | None = 2.0
    net: SearchLimits = field(default_factory=SearchLimits)
    paths: int = 3
    closeness: Closeness = HALF_SQUARE
    detectable: float | None = None


class MultiScaleLearner(SearchingLearner[MultiScaleOverrides]):
    """MultiScaleLearn: the algorithm of [CDGKM23], Theorem 1.

    For a random g, in each of at most k rounds: estimate the residual moments M_l(g), l = 1, 2, 4, .., 2k + 2, of
    y - f̂(x) (Lemmas 7, 8); make the one-direction candidate (Lemma 10); compute the joint span V of their top-k
    singular subspaces (Lemma 13); and guess whether to add the candidate, or m elements of a net over V with their λ
    (Lemmas 14, 16), or nothing. Every f̂ carries the linear part ŵ, E[y x] and what residuals
    add to it. The first f̂ whose validated loss is at most ε²/2 is
    returned (Lemma 20); else fail. With another g this is repeated until the probability that none was good is δ.

    The guesses are searched: m by m from the fewest neurons, tuples of net elements as `search_net` says, and a few
    paths from round to round. Rounds see what earlier ones could not: a residual has moments with less variance.

    Parameters
    ----------
    n_neurons : int
        k, the promised bound.
    epsilon : float, default 0.05
        Error asked for, as a part of the norm of what is not affine in f.
    delta : float, default 0.05
        Probability with which all random directions may be bad.
    overrides : MultiScaleOverrides, default MultiScaleOverrides()
        Documented there, with the theorem's choice of each.
    random_state : int, default 0
        Seed of the directions.

    Raises
    ------
    ArgumentError
        For numbers out of range.

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
        """Return a validated estimate of the network behind `moments`.

        Parameters
        ----------
        moments : PopulationMoments or SampleMoments
            The unknown f.

        Raises
        ------
        Fail
            When no computation path that was searched ends within the error asked for.
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
        """Return the accepted estimate, and at which scales its neurons are gapped and detectable (Definition 6)."""
        estimate, overrides = candidates.accepted(), self.overrides
        part = self.epsilon / self.n_neurons if overrides.detectable is None else overrides.detectable
        detectable = part * candidates.target.scale
        finest = overrides.net.for_error(self.epsilon).finest
        scales = Scales.of(estimate.form, estimate.g, overrides.closeness, detectable, finest)
        return replace(estimate, scales=scales)

    def _round(self, moments: Moments, g: Array, path: Guess, cost: Cost) -> Iterator[list[Guess]]:
        """Continue one computation path: the one-direction candidate, then m = 1, 2, .. elements of the net."""
        estimate = path.form.network()
        residual = moments.moments((1, *self.degrees), g, estimate)
        # The linear part of the residual belongs to f̂: zero but for errors, which shrink as the residual does.
        w, known = path.form.w + residual[1], path.form.u
        lam, u = one_direction(residual[2])
        candidate = AbsoluteForm(w, np.append(path.form.lam, lam), np.concatenate([known, u[None, :]]))
        left = moments.correlations(candidate.u, AbsoluteForm.linear(w).network()).loss(candidate.lam)
        cost.tried += 1
        yield [Guess(candidate, left)]

        cut = self.overrides.cut
        noise = None if cut is None else moments.noise(self.degrees, estimate)
        matrices = {degree: residual[degree] for degree in self.degrees}
        span = joint_span(matrices, self.n_neurons, noise, cut)
        limits = self.overrides.net.for_error(self.epsilon)
        yield from search_net(moments, w, known, span, self.n_neurons - len(known), limits, cost)

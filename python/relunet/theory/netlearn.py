"""NetLearn of [CN24] (its Algorithm 1): one round, even degrees up to 2k² + 2, spectral thresholds, one net."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from relunet._typing import Array
from relunet.theory.estimate import Candidates, Estimate, contraction_directions
from relunet.theory.learner import SearchingLearner
from relunet.theory.moments import MAX_DEGREE, Moments
from relunet.theory.paths import Cost, SearchLimits, search_net
from relunet.theory.spans import projector_span

__all__ = ["NetLearner", "NetOverrides"]


@dataclass(frozen=True)
class NetOverrides:
    """What NetLearn runs with in place of the theorem's parameters, which floating point cannot hold.

    Attributes
    ----------
    thresholds : tuple of float
        η' in units of 2σ_l √d, about the norm of the error of M_l: tried one after another, each giving a V. High ones
        keep only eigenvectors that are known well, low ones more of them. The theorem has η' = √η for all degrees.
    nu : float
        ν. The theorem has ν = η'; with so small a value one bad eigenvector of one degree would add a dimension.
    sharp_degrees : bool
        Even degrees only up to 2⌊k²/4⌋ + 2, which the proof of Lemma 7 allows: its polynomial has degree |I|(k - |I|).
    net : SearchLimits
        Granularities ξ/2 of the net, and how it is searched; λ by least squares in place of N_λ.
    """

    thresholds: tuple[float, ...] = (16.0, 4.0, 1.0)
    nu: float = 0.5
    sharp_degrees: bool = False
    net: SearchLimits = field(default_factory=SearchLimits)


class NetLearner(SearchingLearner[NetOverrides]):
    """NetLearn: the algorithm of [CN24], Theorem 1.

    Estimate M_l(g), l = 2, 4, .., 2k² + 2, for a random g, and ŵ. Let Π_l project to the eigenvectors of M_l whose
    eigenvalue is at least η' in absolute value and V be the span of the eigenvectors of Σ_l Π_l with eigenvalue at
    least ν, of at most k dimensions (Lemma 13). For m = 0, .., k try elements of a net over V and their λ, and return
    the first network whose validated loss is at most ε²/2; else fail. With another g this is repeated until the
    probability that none was good is δ.

    Parameters
    ----------
    n_neurons, epsilon, delta, random_state
        As of `MultiScaleLearner`.
    overrides : NetOverrides, default NetOverrides()
        Documented there, with the theorem's choice of each.

    Raises
    ------
    ArgumentError
        For numbers out of range.

    Examples
    --------
    >>> from relunet import teachers
    >>> from relunet.theory import NetLearner, PopulationMoments
    >>> network = teachers.close_pair(6, 2, rng=0).network
    >>> found = NetLearner(2).learn(PopulationMoments(network))
    >>> found.network.n_neurons, found.error < 0.05
    (2, True)
    """

    default_overrides = NetOverrides()

    @property
    def degrees(self) -> range:
        """The even degrees l: 2, 4, .., 2k² + 2, or fewer; those above 64 are left out."""
        k = self.n_neurons
        highest = 2 * (k * k // 4) + 2 if self.overrides.sharp_degrees else 2 * k * k + 2
        return range(2, min(highest, MAX_DEGREE) + 1, 2)

    def learn(self, moments: Moments) -> Estimate:
        """Return a validated estimate of the network behind `moments`.

        Parameters
        ----------
        moments : PopulationMoments or SampleMoments
            The unknown f.

        Raises
        ------
        Fail
            When no network of the net is within the error asked for.
        """
        cost, limits = Cost(rounds=1), self.overrides.net.for_error(self.epsilon)
        candidates = Candidates(moments, self.epsilon, cost)
        nothing = candidates.nothing
        for g in contraction_directions(moments.n_features, self.delta, self.random_state):
            if candidates.consider(g, nothing):
                return candidates.accepted()
            for basis in self.spans(moments, g):
                for guesses in search_net(moments, nothing.form.w, nothing.form.u, basis, self.n_neurons, limits, cost):
                    if any(candidates.consider(g, guess) for guess in guesses):
                        return candidates.accepted()
        raise candidates.fail()

    def spans(self, moments: Moments, g: Array) -> Iterator[Array]:
        """Compute V for each threshold η', and yield those that differ in dimension."""
        matrices = moments.moments(self.degrees, g)
        noise = moments.noise(self.degrees)
        last = -1
        for threshold in self.overrides.thresholds:
            eta = {degree: threshold * 2 * noise[degree] * np.sqrt(moments.n_features) for degree in self.degrees}
            basis = projector_span(matrices, eta, self.overrides.nu)[0][:, : self.n_neurons]
            if basis.shape[1] != last:
                last = basis.shape[1]
                yield np.ascontiguousarray(basis)

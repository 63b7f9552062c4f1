"""NetLearn, Algorithm 1 of [CN24]: one round with even degrees up to 2k² + 2, spectral thresholds and one net."""

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
    """Parameters of `NetLearner` that replace those of the theorem, which floating point cannot represent.

    Attributes
    ----------
    thresholds : tuple of float
        Values of η' in units of 2σ_l √d, which is about the norm of the error of M_l. They are tried in turn, and each
        gives a subspace V: high values keep only accurate eigenvectors, low values keep more of them. The theorem has
        η' = √η for all degrees.
    nu : float
        The threshold ν. The theorem has ν = η'; with so small a value, a single wrong eigenvector of one degree would
        add a dimension.
    sharp_degrees : bool
        If True, use even degrees only up to 2⌊k²/4⌋ + 2. This is sufficient because the polynomial in the proof of
        Lemma 7 has degree |I|(k - |I|).
    net : SearchLimits
        Granularities ξ/2 of the net, and limits of its search. The weights λ are found by least squares and not in the
        net N_λ.
    """

    thresholds: tuple[float, ...] = (16.0, 4.0, 1.0)
    nu: float = 0.5
    sharp_degrees: bool = False
    net: SearchLimits = field(default_factory=SearchLimits)


class NetLearner(SearchingLearner[NetOverrides]):
    """NetLearn, the algorithm of [CN24], Theorem 1.

    The algorithm estimates M_l(g), l = 2, 4, .., 2k² + 2, for a random direction g, and ŵ = E[y x]. Π_l is the
    projector on the eigenvectors of M_l whose eigenvalue is at least η' in absolute value, and V is the span of the
    eigenvectors of Σ_l Π_l with eigenvalue at least ν, which has at most k dimensions (Lemma 13). For m = 0, .., k,
    elements of a net over V and their λ are tried, and the first network whose validated loss is at most ε²/2 is
    returned. Otherwise this is repeated with another g, until the probability that no g was good is at most δ.

    Parameters
    ----------
    n_neurons : int
        Upper bound k on the number of neurons.
    epsilon : float, default=0.05
        Requested error, relative to the norm of the part of f that is not affine.
    delta : float, default=0.05
        Allowed probability that all random directions are bad.
    overrides : NetOverrides, default=NetOverrides()
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
    >>> from relunet.theory import NetLearner, PopulationMoments
    >>> network = teachers.close_pair(6, 2, rng=0).network
    >>> found = NetLearner(2).learn(PopulationMoments(network))
    >>> found.network.n_neurons, found.error < 0.05
    (2, True)
    """

    default_overrides = NetOverrides()

    @property
    def degrees(self) -> range:
        """The even degrees l = 2, 4, .., 2k² + 2, or fewer with `sharp_degrees`; degrees above 64 are omitted."""
        k = self.n_neurons
        highest = 2 * (k * k // 4) + 2 if self.overrides.sharp_degrees else 2 * k * k + 2
        return range(2, min(highest, MAX_DEGREE) + 1, 2)

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
            No network of the net has the requested error.
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
        """Compute V for each threshold η', and yield it if its dimension differs from that of the last one."""
        matrices = moments.moments(self.degrees, g)
        noise = moments.noise(self.degrees)
        last = -1
        for threshold in self.overrides.thresholds:
            eta = {degree: threshold * 2 * noise[degree] * np.sqrt(moments.n_features) for degree in self.degrees}
            basis = projector_span(matrices, eta, self.overrides.nu)[0][:, : self.n_neurons]
            if basis.shape[1] != last:
                last = basis.shape[1]
                yield np.ascontiguousarray(basis)

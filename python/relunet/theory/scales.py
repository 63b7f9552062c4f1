"""Multi-scale analysis: close and far sets, gapped scales, detectable neurons ([CDGKM23], section 4).

The analysis is about the numbers v_i = |<u_i, g>|, whose distances equal those of the lines u_i up to factors
(Lemma 3). The learners do not know v. The analysis shows which neurons of a network they can find in which round, and
which neurons are negligible.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from relunet._typing import Array
from relunet.errors import ArgumentError
from relunet.linalg import matmul
from relunet.theory.form import AbsoluteForm

__all__ = ["Closeness", "Scales", "power_sum_floor"]

Index = NDArray[np.intp]


class Closeness(NamedTuple):
    """The function T(γ) = exp(log_factor) γ^power, the largest distance within a clump at scale γ (equation 4).

    Attributes
    ----------
    log_factor : float
        Natural logarithm of the factor.
    power : float
        Exponent, above 1 so that T(γ) is much smaller than γ.

    Examples
    --------
    >>> import math
    >>> from relunet.theory.scales import Closeness
    >>> Closeness(math.log(0.5), 2.0)(0.1)
    0.005
    >>> Closeness.of_theorem(k=4, d=10, bound=4.0, detectable=0.1).log10(math.log10(0.1))
    -19.2
    """

    log_factor: float
    power: float

    @classmethod
    def of_theorem(cls, k: int, d: int, bound: float, detectable: float, constant: float = 1.0) -> Self:
        """Return T(γ) = (Λ¹⁰/R²)(γ/d)^(ck) (equation 4).

        Parameters
        ----------
        k, d : int
            Numbers of neurons and inputs.
        bound : float
            Bound R of Σ|λ_i|.
        detectable : float
            Detectable weight Λ.
        constant : float, default=1.0
            The constant c, which the paper does not give (Θ(k)).

        Returns
        -------
        Closeness
            The function T.
        """
        power = constant * k
        return cls(10 * math.log(detectable) - 2 * math.log(bound) - power * math.log(d), power)

    def __call__(self, gamma: float) -> float:
        """Return T(γ), which is zero if it underflows."""
        return math.exp(self.log_factor + self.power * math.log(gamma)) if gamma > 0 else 0.0

    def log10(self, log10_gamma: float) -> float:
        """Return log10 T(γ) from log10 γ."""
        return self.log_factor / math.log(10) + self.power * log10_gamma

    def level(self, gamma: float, widest: float) -> float:
        """Return the level L(γ), 0.9 times the number of times that T maps ε' to γ (Definition 38).

        It satisfies L(T(γ)) = 0.9 + L(γ) and L(ε') = 0; it is zero above ε' and infinite at γ = 0.

        Parameters
        ----------
        gamma : float
            The scale γ.
        widest : float
            The spread ε' below which all neurons count as one direction.

        Returns
        -------
        float
            The level L(γ).
        """
        if gamma >= widest:
            return 0.0
        if gamma <= 0.0:
            return math.inf
        # T multiplies log(γ/γ*) by the power, where γ* = T(γ*) is its fixed point.
        fixed = -self.log_factor / (self.power - 1)
        return 0.9 * math.log((math.log(gamma) - fixed) / (math.log(widest) - fixed)) / math.log(self.power)


@dataclass(frozen=True)
class Scales:
    """Gapped and detectable scales of neurons that are given as numbers v_i with weights λ_i.

    Attributes
    ----------
    v : ndarray of shape (k,)
        The numbers v_i = |<u_i, g>|.
    lam : ndarray of shape (k,)
        The weights λ_i.
    closeness : Closeness
        The function T.
    detectable : float
        Weight Λ: a clump is detectable if the absolute sum of its weights is larger.
    finest : float
        The smallest scale, written as an underlined γ in the paper (equation 3).

    Examples
    --------
    >>> import math
    >>> import numpy as np
    >>> from relunet.theory.scales import Closeness, Scales
    >>> scales = Scales(np.array([0.1, 0.101, 0.5]), np.ones(3), Closeness(math.log(0.5), 2.0), 0.05, 1e-6)
    >>> scales.close(0, 0.3), scales.far(0, 0.3)  # T(0.3) = 0.045
    (array([0, 1]), array([2]))
    >>> scales.is_gapped(0, 0.3), scales.is_gapped(0, 0.01), scales.is_detectable(0, 0.3)
    (True, False, True)
    >>> scales.rounds(widest=0.01)  # one round, of two clumps
    [[(0, 0.4), (2, 0.399)]]
    """

    v: Array
    lam: Array
    closeness: Closeness
    detectable: float
    finest: float

    @classmethod
    def of(cls, form: AbsoluteForm, g: Array, closeness: Closeness, detectable: float, finest: float) -> Self:
        """Return the scales of the neurons of a network along g."""
        v = np.abs(matmul(form.u, g))
        return cls(v, form.lam, closeness, detectable, finest)

    @property
    def spread(self) -> float:
        """Spread max(v) - min(v), which is at most ε' in the case of one direction (Lemma 10)."""
        return float(np.max(self.v) - np.min(self.v)) if len(self.v) else 0.0

    def far(self, i: int, gamma: float) -> Index:
        """Return S_i^far(γ) = {j: |v_j - v_i| ≥ γ}."""
        return np.flatnonzero(np.abs(self.v - self.v[i]) >= gamma)

    def close(self, i: int, gamma: float) -> Index:
        """Return S_i^close(γ) = {j: |v_j - v_i| ≤ T(γ)}."""
        return np.flatnonzero(np.abs(self.v - self.v[i]) <= self.closeness(gamma))

    def is_gapped(self, i: int, gamma: float) -> bool:
        """Return whether γ is a gapped scale for i, so that every neuron is either close or far (Definition 6)."""
        if not self.finest <= gamma < 1.0:
            return False
        both = np.concatenate([self.close(i, gamma), self.far(i, gamma)])
        return len(both) == len(self.v) == len(np.unique(both))

    def weight(self, i: int, gamma: float) -> float:
        """Return the sum of λ over S_i^close(γ)."""
        return float(np.sum(self.lam[self.close(i, gamma)]))

    def is_detectable(self, i: int, gamma: float) -> bool:
        """Return whether i is detectable at scale γ, that is, |sum of λ over S_i^close(γ)| > Λ (Definition 6)."""
        return abs(self.weight(i, gamma)) > self.detectable

    def gapped_scales(self, i: int) -> list[float]:
        """Return the largest gapped scale of i for each close set with a nonempty far set, in descending order.

        The far set changes only when γ passes a distance |v_j - v_i|, so that only these distances are tried. By Lemma
        11, some neuron has a gapped scale if the spread is above ε' and `finest` is small enough.
        """
        distances = np.unique(np.abs(self.v - self.v[i]))[::-1]
        return [float(gamma) for gamma in distances if self.is_gapped(i, float(gamma))]

    def rounds(self, widest: float) -> list[list[tuple[int, float]]]:
        """Return sets J_1, J_2, .. of pairs (i, γ), after which the remaining neurons are one direction (Lemma 18).

        Every γ is a gapped scale of its i among the remaining neurons, and the close sets of a round are disjoint
        (conditions 3 and 4). Each round takes the largest close sets first. The result is a valid path but not always
        the shortest one; the O(log k) moves of Lemma 30 are in `clumping`. If the remaining neurons have a spread above
        ε' but no gapped scale, because `finest` is too large, the path ends early.

        Parameters
        ----------
        widest : float
            The spread ε' below which all neurons count as one direction.

        Returns
        -------
        list of list of tuple
            The pairs (i, γ) of each round.
        """
        left = np.arange(len(self.v))
        rounds: list[list[tuple[int, float]]] = []
        while True:
            scales = Scales(self.v[left], self.lam[left], self.closeness, self.detectable, self.finest)
            if scales.spread <= widest:
                return rounds
            pairs = [(i, gamma) for i in range(len(left)) for gamma in scales.gapped_scales(i)]
            pairs.sort(key=lambda pair: (-len(scales.close(*pair)), -pair[1], pair[0]))
            taken: set[int] = set()
            chosen = []
            for i, gamma in pairs:
                clump = {int(j) for j in scales.close(i, gamma)}
                if not clump & taken:
                    taken |= clump
                    chosen.append((int(left[i]), gamma))
            if not chosen:
                return rounds
            rounds.append(chosen)
            left = np.delete(left, sorted(taken))


def power_sum_floor(v: Array, i: int, weight: float) -> float:
    """Return a lower bound on the signal of a neuron or clump in M_2, M_4, .., by the sharp form of Lemma 27.

    For distinct v_j ≥ 0, the minimum over q with |q_i| = weight of the largest |Σ_j q_j v_j^l| over even l ≤ 2k - 2 is

        weight Π_{j ≠ i} |v_i² - v_j²| / (1 + v_j²)

    because a polynomial p in v² that vanishes at the other v_j² has Σ_j q_j p(v_j²) = q_i p(v_i²), and the absolute
    values of the coefficients of Π_j (t - v_j²) sum to Π (1 + v_j²). Equal v_j count once; the value is then a lower
    bound of the minimum. The bound (γ²/4k)^k of the paper is far smaller. It is wrong for v of both signs, for which
    v_j = -v_i may cancel v_i in every even power.

    Parameters
    ----------
    v : ndarray of shape (k,)
        Nonnegative numbers v_j, without those of the other neurons in the clump of i.
    i : int
        Index of the neuron.
    weight : float
        |λ| of the neuron, or |Σ λ| of its clump.

    Returns
    -------
    float
        The lower bound.

    Raises
    ------
    ArgumentError
        A number in `v` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from relunet.theory.scales import power_sum_floor
    >>> power_sum_floor(np.array([0.5, 0.0]), 0, 2.0)
    0.5
    """
    if np.any(v < 0):
        raise ArgumentError(f"v: {np.min(v)}, expected numbers of at least 0")
    others = np.unique(np.delete(v, i))
    return float(abs(weight) * np.prod(np.abs(v[i] ** 2 - others**2) / (1 + others**2)))

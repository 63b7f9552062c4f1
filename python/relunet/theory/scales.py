"""Multi-scale analysis: close and far sets, gapped scales, detectable neurons ([CDGKM23], section 4).

All of it is about v_i = |<u_i, g>|, whose distances are those of the lines u_i up to factors (Lemma 3). Learners never
see v; the analysis tells which neurons of a network they can find, in which round, and which count for nothing.
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
    """T(γ) = exp(log_factor) γ^power: how close neurons of one clump are, seen from a distance γ (equation 4).

    Attributes
    ----------
    log_factor : float
        Natural logarithm of the factor.
    power : float
        Above 1, so that T(γ) is much smaller than γ.

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
            Neurons and inputs.
        bound : float
            R, of Σ|λ_i|.
        detectable : float
            Λ.
        constant : float, default 1.0
            c, which the paper hides in Θ(k).
        """
        power = constant * k
        return cls(10 * math.log(detectable) - 2 * math.log(bound) - power * math.log(d), power)

    def __call__(self, gamma: float) -> float:
        """Return T(γ); zero where floating point ends."""
        return math.exp(self.log_factor + self.power * math.log(gamma)) if gamma > 0 else 0.0

    def log10(self, log10_gamma: float) -> float:
        """Return log10 T(γ) from log10 γ."""
        return self.log_factor / math.log(10) + self.power * log10_gamma

    def level(self, gamma: float, widest: float) -> float:
        """Return L(γ), 0.9 times how often T must be applied to ε' to come down to γ (Definition 38).

        L(T(γ)) = 0.9 + L(γ) and L(ε') = 0; zero above ε', infinite at γ = 0.

        Parameters
        ----------
        gamma : float
            γ.
        widest : float
            ε', the spread at which all neurons are one direction.
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
    """Neurons as numbers v_i with weights λ_i, at all scales.

    Attributes
    ----------
    v : ndarray of shape (k,)
        v_i = |<u_i, g>|.
    lam : ndarray of shape (k,)
        λ_i.
    closeness : Closeness
        T.
    detectable : float
        Λ: a clump is detectable when its weights sum to more.
    finest : float
        The smallest scale of all, γ with a bar below in the paper (equation 3).

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
        """Return the scales at which neurons of a network are seen along g."""
        v = np.abs(matmul(form.u, g))
        return cls(v, form.lam, closeness, detectable, finest)

    @property
    def spread(self) -> float:
        """The spread of v: at most ε' in case 1, one direction (Lemma 10)."""
        return float(np.max(self.v) - np.min(self.v)) if len(self.v) else 0.0

    def far(self, i: int, gamma: float) -> Index:
        """Return S_i^far(γ) = {j: |v_j - v_i| ≥ γ}."""
        return np.flatnonzero(np.abs(self.v - self.v[i]) >= gamma)

    def close(self, i: int, gamma: float) -> Index:
        """Return S_i^close(γ) = {j: |v_j - v_i| ≤ T(γ)}."""
        return np.flatnonzero(np.abs(self.v - self.v[i]) <= self.closeness(gamma))

    def is_gapped(self, i: int, gamma: float) -> bool:
        """Tell whether γ is a gapped scale for i: every neuron is close or far, none between (Definition 6)."""
        if not self.finest <= gamma < 1.0:
            return False
        both = np.concatenate([self.close(i, gamma), self.far(i, gamma)])
        return len(both) == len(self.v) == len(np.unique(both))

    def weight(self, i: int, gamma: float) -> float:
        """Return the sum of λ over S_i^close(γ)."""
        return float(np.sum(self.lam[self.close(i, gamma)]))

    def is_detectable(self, i: int, gamma: float) -> bool:
        """Tell whether i is detectable at scale γ: |sum of λ over S_i^close(γ)| > Λ (Definition 6)."""
        return abs(self.weight(i, gamma)) > self.detectable

    def gapped_scales(self, i: int) -> list[float]:
        """Return the largest gapped scale of i for each of its close sets that leaves someone far, descending.

        The far set shrinks as γ grows through a distance |v_j - v_i|: only these distances need be tried. By Lemma 11
        some neuron has one whenever the spread is above ε' and `finest` small enough.
        """
        distances = np.unique(np.abs(self.v - self.v[i]))[::-1]
        return [float(gamma) for gamma in distances if self.is_gapped(i, float(gamma))]

    def rounds(self, widest: float) -> list[list[tuple[int, float]]]:
        """Return sets J_1, J_2, .. of pairs (i, γ) that learn all neurons but one direction (Lemma 18).

        Every γ is a gapped scale for its i among the neurons left, and the close sets of a round are disjoint (3, 4).
        A round takes largest close sets first. It is a valid path, not always the shortest; the O(log k) moves of
        Lemma 30 are in `clumping`. Where neurons are left with a spread above ε' but without gapped scale, because
        `finest` is too large, it ends early.

        Parameters
        ----------
        widest : float
            ε'.
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
    """Return the least that M_2, M_4, .. can show of a neuron or clump: Lemma 27 in its sharp form.

    The minimum over q with |q_i| = weight of the largest |Σ_j q_j v_j^l| over even l ≤ 2k - 2 is, for distinct v_j ≥ 0,

        weight Π_{j ≠ i} |v_i² - v_j²| / (1 + v_j²)

    A polynomial p in v² that vanishes at the others has Σ_j q_j p(v_j²) = q_i p(v_i²), and Π_j (t - v_j²) has
    coefficients whose sizes sum to Π (1 + v_j²). Equal v_j count once: then it is a lower bound. The paper's bound
    (γ²/4k)^k is far smaller, and wrong for v of both signs: v_j = -v_i may cancel v_i in every even power.

    Parameters
    ----------
    v : ndarray of shape (k,)
        Numbers of at least 0; those in the clump of i but i itself are to be left out.
    i : int
        The neuron.
    weight : float
        Its |λ|, or |Σ λ| of its clump.

    Returns
    -------
    float

    Raises
    ------
    ArgumentError
        For negative v.

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

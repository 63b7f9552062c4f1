"""What a learner returns: an estimate validated on fresh samples, or an explicit Fail (Lemma 20)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from relunet._typing import Array
from relunet.errors import ArgumentError, RelunetError
from relunet.network import ReLUNetwork
from relunet.theory.form import AbsoluteForm
from relunet.theory.moments import Moments
from relunet.theory.paths import Cost, Guess
from relunet.theory.scales import Scales

__all__ = ["Candidates", "Estimate", "Fail", "Target", "Validated", "contraction_directions", "target_error"]


# Part of the power of the labels below which a risk is rounding.
ROUNDING = 1e-14
# A guess whose loss on the rows that were searched is so many times the target is not validated.
MAY_PASS = 4.0
# Fewer rows than so many for each parameter validate nothing, for they may be the rows that the estimate was made from.
ROWS_PER_PARAMETER = 10


@dataclass(frozen=True, kw_only=True)
class Validated:
    """A validated estimate of any kind.

    Attributes
    ----------
    risk : float
        E(y - f̂)² on fresh samples, or exact for exact moments: at most half the square of the error asked for.
    error : float
        √risk in units of the part of f that is not affine.
    """

    risk: float
    error: float


@dataclass(frozen=True, kw_only=True)
class Estimate(Validated):
    """A validated network, with the risk and error of `Validated`.

    Attributes
    ----------
    form : AbsoluteForm
        f̂ = ŵ·x + Σ λ_i |u_i·x|.
    cost : Cost
        What the search over computation paths took.
    g : ndarray of shape (d,)
        The direction of the contractions.
    scales : Scales or None
        Its neurons at all scales, for a learner that has scales.
    """

    form: AbsoluteForm
    cost: Cost
    g: Array
    scales: Scales | None = None

    @property
    def network(self) -> ReLUNetwork:
        """f̂ as a network."""
        return self.form.network()


class Fail(RelunetError):  # noqa: N818 (the papers' word)
    """No computation path was validated: the papers' `return Fail`.

    So it ends where their promise is broken (more neurons than said, biases, other inputs than N(0, I), noise beyond
    the error asked for) and where samples, or the overrides, are not enough.

    Attributes
    ----------
    best : Validated or None
        The best estimate met, which is not within the error asked for.
    """

    def __init__(self, message: str, best: Validated | None = None) -> None:
        super().__init__(message)
        self.best = best


@dataclass(frozen=True)
class Target:
    """When an estimate is good enough.

    Attributes
    ----------
    w : ndarray of shape (d,)
        ŵ = E[y x], the linear part of every estimate.
    scale : float
        Norm of the part of f that is not affine.
    risk : float
        ε²/2, as in [CN24]: half of what is asked for, the other half being the error of validation.
    """

    w: Array
    scale: float
    risk: float

    def relative(self, risk: float) -> float:
        """Return √risk in units of the part of f that is not affine."""
        if self.scale > 0.0:
            return math.sqrt(max(risk, 0.0)) / self.scale
        return math.inf if risk > self.risk else 0.0


def target_error(moments: Moments, epsilon: float) -> Target:
    """Measure the linear part and the norm of what is not affine, and set ε to a part of it."""
    if not 0.0 < epsilon < 1.0:
        raise ArgumentError(f"epsilon: {epsilon}, expected a number between 0 and 1")
    low = moments.moments((0, 1), np.eye(moments.n_features)[0])
    none = np.zeros((0, moments.n_features))
    affine = ReLUNetwork(none, np.zeros(0), linear=low[1], intercept=float(low[0]))
    labels, beyond = moments.risk(None, affine)
    return Target(low[1], math.sqrt(beyond), max(epsilon**2 * beyond / 2, ROUNDING * labels))


class Candidates:
    """The estimates that a learner has met: validates them (Lemma 20) and keeps the best.

    A guess comes with its loss on the rows that were searched. Only those that may pass are validated on all of them.
    """

    def __init__(self, moments: Moments, epsilon: float, cost: Cost) -> None:
        self.moments, self.epsilon, self.cost = moments, epsilon, cost
        self.target = target = target_error(moments, epsilon)
        form = AbsoluteForm.linear(target.w)
        self.nothing = Guess(form, moments.correlations(form.u, form.network()).power)
        self._best: tuple[float, AbsoluteForm, Array] | None = None
        self._validated: Estimate | None = None

    def consider(self, g: Array, guess: Guess) -> bool:
        """Return whether ŵ·x + Σ λ_i |u_i·x| is good enough."""
        form = guess.form
        if self._best is None or guess.loss < self._best[0]:
            self._best = guess.loss, form, g
        if guess.loss > MAY_PASS * self.target.risk or self._too_few_rows_for(form):
            return False
        estimate = self._estimate(form, g)
        if self._validated is None or estimate.risk < self._validated.risk:
            self._validated = estimate
        return estimate.risk <= self.target.risk

    def accepted(self) -> Estimate:
        """Return the best validated estimate."""
        if self._validated is None:
            raise self.fail()
        return self._validated

    def fail(self) -> Fail:
        """Return the explicit failure, with the best estimate that was met."""
        best = self._validated
        if self._best is not None:
            other = self._estimate(*self._best[1:])
            best = other if best is None or other.risk < best.risk else best
        error = "" if best is None else f": the best of {self.cost.tried} guesses has an error of {best.error:.3g}"
        message = f"no estimate was validated{error} of what is not affine, asked was {self.epsilon:.3g}"
        if best is not None and self._too_few_rows_for(best.form):
            message += f"; {self.moments.n_validation_rows} rows are too few to validate it"
        return Fail(message, best)

    def _too_few_rows_for(self, form: AbsoluteForm) -> bool:
        rows = self.moments.n_validation_rows
        return rows is not None and rows < ROWS_PER_PARAMETER * (form.w.size + form.u.size + form.lam.size)

    def _estimate(self, form: AbsoluteForm, g: Array) -> Estimate:
        risk = self.moments.risk(form.network())[0]
        return Estimate(form=form, risk=risk, error=self.target.relative(risk), cost=self.cost, g=g)


def contraction_directions(n_features: int, delta: float, seed: int) -> Iterator[Array]:
    """Draw unit vectors g, as many as make one of them good with probability 1 - δ.

    One is good with probability at least 7/10: Lemmas 3 and 4 hold with 4/5 and 9/10.
    """
    if not 0.0 < delta < 1.0:
        raise ArgumentError(f"delta: {delta}, expected a number between 0 and 1")
    rng = np.random.Generator(np.random.PCG64(seed))
    for _ in range(math.ceil(math.log(delta) / math.log(0.3))):
        g = rng.standard_normal(n_features)
        yield g / np.sqrt(np.sum(g**2))

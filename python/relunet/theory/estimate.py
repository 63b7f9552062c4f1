"""Results of the learners: estimates that are validated on fresh samples, and the exception `Fail` (Lemma 20)."""

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


# Risks below this share of the mean squared label are rounding errors.
ROUNDING = 1e-14
# A guess is validated only if its loss on the rows of the search is at most this multiple of the target.
MAY_PASS = 4.0
# Validation needs at least this many rows per parameter, because they may be the rows of the search.
ROWS_PER_PARAMETER = 10


@dataclass(frozen=True, kw_only=True)
class Validated:
    """Base class of validated estimates.

    Attributes
    ----------
    risk : float
        E(y - f̂)², on fresh samples or exact for exact moments. The learners accept at most ε²/2 times the squared norm
        of the part of f that is not affine, and `PolynomialLearner` at most ε² times it for exact moments.
    error : float
        √risk relative to the norm of the part of f that is not affine.
    """

    risk: float
    error: float


@dataclass(frozen=True, kw_only=True)
class Estimate(Validated):
    """A validated network; it has the attributes of `Validated`, too.

    Attributes
    ----------
    form : AbsoluteForm
        The estimate f̂ = ŵ·x + Σ λ_i |u_i·x|.
    cost : Cost
        Cost of the search over computation paths.
    g : ndarray of shape (d,)
        Direction of the contractions.
    scales : Scales or None
        Scales at which the neurons are gapped and detectable, for learners that use scales.
    """

    form: AbsoluteForm
    cost: Cost
    g: Array
    scales: Scales | None = None

    @property
    def network(self) -> ReLUNetwork:
        """The estimate f̂ as a network."""
        return self.form.network()


class Fail(RelunetError):  # noqa: N818 (the papers' word)
    """Exception for the papers' `return Fail`: no computation path was validated.

    It is raised if the assumptions of the papers are violated (more neurons than promised, biases, inputs that are not
    N(0, I), noise above the requested error), or if the samples or the overrides are insufficient.

    Attributes
    ----------
    best : Validated or None
        The best estimate found, whose error is larger than requested.
    """

    def __init__(self, message: str, best: Validated | None = None) -> None:
        super().__init__(message)
        self.best = best


@dataclass(frozen=True)
class Target:
    """Criterion for the acceptance of estimates.

    Attributes
    ----------
    w : ndarray of shape (d,)
        ŵ = E[y x], the linear part of the estimates.
    scale : float
        Norm of the part of f that is not affine.
    risk : float
        Largest accepted risk, ε²/2 as in [CN24]; the other half of ε² allows for the error of validation.
    """

    w: Array
    scale: float
    risk: float

    def relative(self, risk: float) -> float:
        """Return √risk relative to the norm of the part of f that is not affine."""
        if self.scale > 0.0:
            return math.sqrt(max(risk, 0.0)) / self.scale
        return math.inf if risk > self.risk else 0.0


def target_error(moments: Moments, epsilon: float) -> Target:
    """Return the criterion for an error of `epsilon` times the norm of the part of f that is not affine."""
    if not 0.0 < epsilon < 1.0:
        raise ArgumentError(f"epsilon: {epsilon}, expected a number between 0 and 1")
    low = moments.moments((0, 1), np.eye(moments.n_features)[0])
    none = np.zeros((0, moments.n_features))
    affine = ReLUNetwork(none, np.zeros(0), linear=low[1], intercept=float(low[0]))
    labels, beyond = moments.risk(None, affine)
    return Target(low[1], math.sqrt(beyond), max(epsilon**2 * beyond / 2, ROUNDING * labels))


class Candidates:
    """Validation of the guesses of a learner (Lemma 20), of which the best is kept.

    Each guess comes with its loss on the rows of the search. Only guesses that may pass are validated on all rows.
    """

    def __init__(self, moments: Moments, epsilon: float, cost: Cost) -> None:
        self.moments, self.epsilon, self.cost = moments, epsilon, cost
        self.target = target = target_error(moments, epsilon)
        form = AbsoluteForm.linear(target.w)
        self.nothing = Guess(form, moments.correlations(form.u, form.network()).power)
        self._best: tuple[float, AbsoluteForm, Array] | None = None
        self._validated: Estimate | None = None

    def consider(self, g: Array, guess: Guess) -> bool:
        """Validate a guess ŵ·x + Σ λ_i |u_i·x| if it may pass, and return whether it is accepted."""
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
        """Return the exception to raise, with the best estimate found."""
        best = self._validated
        if self._best is not None:
            other = self._estimate(*self._best[1:])
            best = other if best is None or other.risk < best.risk else best
        error = "" if best is None else f"; the best of {self.cost.tried} guesses has relative error {best.error:.3g}"
        message = f"no estimate with a relative error of {self.epsilon:.3g} was validated{error}"
        if best is not None and self._too_few_rows_for(best.form):
            message += f", and {self.moments.n_validation_rows} rows are too few to validate it"
        return Fail(message, best)

    def _too_few_rows_for(self, form: AbsoluteForm) -> bool:
        rows = self.moments.n_validation_rows
        return rows is not None and rows < ROWS_PER_PARAMETER * (form.w.size + form.u.size + form.lam.size)

    def _estimate(self, form: AbsoluteForm, g: Array) -> Estimate:
        risk = self.moments.risk(form.network())[0]
        return Estimate(form=form, risk=risk, error=self.target.relative(risk), cost=self.cost, g=g)


def contraction_directions(n_features: int, delta: float, seed: int) -> Iterator[Array]:
    """Draw random unit vectors g, so many that at least one of them is good with probability 1 - δ.

    A single one is good with probability at least 7/10, because Lemmas 3 and 4 hold with probabilities 4/5 and 9/10.
    """
    if not 0.0 < delta < 1.0:
        raise ArgumentError(f"delta: {delta}, expected a number between 0 and 1")
    rng = np.random.Generator(np.random.PCG64(seed))
    for _ in range(math.ceil(math.log(delta) / math.log(0.3))):
        g = rng.standard_normal(n_features)
        yield g / np.sqrt(np.sum(g**2))

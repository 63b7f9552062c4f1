"""What the learners of all three papers are told alike, and check alike."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from relunet.errors import ArgumentError

__all__ = ["Learner", "SearchingLearner"]

Overrides = TypeVar("Overrides")


class Learner:
    """A learner that is promised at most k neurons and asked for an error.

    Attributes
    ----------
    n_neurons : int
        k, the promised bound.
    epsilon : float
        Error asked for, as a part of the norm of what is not affine in f.
    random_state : int
        Seed of the directions.
    """

    MOST_NEURONS: ClassVar[int | None] = None

    def __init__(self, n_neurons: int, epsilon: float, random_state: int) -> None:
        most = self.MOST_NEURONS
        if n_neurons < 1 or (most is not None and n_neurons > most):
            expected = "at least 1" if most is None else f"1 to {most}"
            raise ArgumentError(f"n_neurons: {n_neurons}, expected {expected}")
        self.n_neurons, self.epsilon, self.random_state = n_neurons, epsilon, random_state


class SearchingLearner(Learner, Generic[Overrides]):
    """A learner whose nondeterministic choices are searched, with overrides of the theorem's parameters.

    Attributes
    ----------
    delta : float
        Probability with which all random directions may be bad.
    overrides : Overrides
        Documented there, with the theorem's choice of each.
    """

    default_overrides: Overrides

    def __init__(
        self,
        n_neurons: int,
        epsilon: float = 0.05,
        *,
        delta: float = 0.05,
        overrides: Overrides | None = None,
        random_state: int = 0,
    ) -> None:
        super().__init__(n_neurons, epsilon, random_state)
        self.delta = delta
        self.overrides = self.default_overrides if overrides is None else overrides

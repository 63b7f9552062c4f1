"""Base classes of the learners, with the parameters that they share."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from relunet.errors import ArgumentError

__all__ = ["Learner", "SearchingLearner"]

Overrides = TypeVar("Overrides")


class Learner:
    """Base class of all learners.

    Attributes
    ----------
    n_neurons : int
        Upper bound k on the number of neurons.
    epsilon : float
        Requested error, relative to the norm of the part of f that is not affine.
    random_state : int
        Seed of the random directions.
    """

    MOST_NEURONS: ClassVar[int | None] = None

    def __init__(self, n_neurons: int, epsilon: float, random_state: int) -> None:
        most = self.MOST_NEURONS
        if n_neurons < 1 or (most is not None and n_neurons > most):
            expected = "at least 1" if most is None else f"1 to {most}"
            raise ArgumentError(f"n_neurons: {n_neurons}, expected {expected}")
        self.n_neurons, self.epsilon, self.random_state = n_neurons, epsilon, random_state


class SearchingLearner(Learner, Generic[Overrides]):
    """Base class of learners that search nondeterministic choices, with overrides of the theorem's parameters.

    Attributes
    ----------
    delta : float
        Allowed probability that all random directions are bad.
    overrides : Overrides
        Parameters that replace those of the theorem; see the class of overrides of each learner.
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

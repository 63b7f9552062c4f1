"""What the rounds of a fit may spend, and when they end."""

from __future__ import annotations

from dataclasses import dataclass

from relunet.fitting.settings import Settings

__all__ = ["Rounds"]


@dataclass
class Rounds:
    """The state of the rounds of search of a fit.

    A function that needs many neurons is not a narrow network, unless each neuron lowers the risk by much. If nobody
    asked for so many, its rounds are short, add few neurons, and end with the first that gains too little.

    Attributes
    ----------
    settings : Settings
        The bounds.
    efforts : tuple of int
        Floating-point operations of the exchanges after none, one, two rounds without progress; as many such rounds end
        the fit.
    limit : int
        Largest number of neurons.
    told : bool
        Whether the user gave that number.
    idle : int, default=0
        Number of rounds without progress.
    is_wide : bool, default=False
        Whether the network has more neurons than a narrow one.
    is_over : bool
        Whether no further round is of use.
    """

    settings: Settings
    efforts: tuple[int, ...]
    limit: int
    told: bool
    idle: int = 0
    is_wide: bool = False

    def __post_init__(self) -> None:
        self.is_over = self.limit == 0 or not self.efforts

    def effort(self, *, last: bool) -> int:
        """Return the floating-point operations of the exchanges of this round."""
        if self.is_wide:
            return self.efforts[0]
        return self.settings.last_effort if last else self.efforts[self.idle]

    def most_neurons(self, n_neurons: int) -> int:
        """Return the largest number of neurons of this round, after `n_neurons` so far."""
        return min(self.limit, n_neurons + self.settings.wide_step) if self.is_wide else self.limit

    def is_accepted(self, gain: float, n_neurons: int, n_found: int) -> bool:
        """Record the relative decrease `gain` of the risk by `n_found` instead of `n_neurons` neurons.

        Returns
        -------
        bool
            Whether the network with `n_found` neurons is worth its neurons.
        """
        needed = self.settings.wide_progress * max(n_found - n_neurons, 1) if self.is_wide else 0.0
        accepted = gain > needed
        if self.is_wide and not accepted:
            self.is_over = True
        if accepted:
            n_neurons = n_found
        self.is_wide = not self.told and n_neurons > self.settings.wide
        self.idle += gain < self.settings.least_progress
        self.is_over = self.is_over or self.idle == len(self.efforts)
        return accepted

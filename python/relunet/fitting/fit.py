"""The stages of a fit, for the driver to call: what they have in common wherever their rows are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import count
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from relunet.fitting.report import ClumpLevel, Status
from relunet.fitting.stages.discovery import Candidate, choose, find_neurons
from relunet.fitting.stages.inputs import Inputs, SampledRows, effective_rows
from relunet.fitting.stages.orientation import orient
from relunet.fitting.stages.polish import Free, Polished, Projection, Sweep, accelerate, newton, preconditioner
from relunet.fitting.stages.scales import coarser
from relunet.fitting.stages.subspace import Subspace, resolved_span
from relunet.fitting.stages.validation import Risk, rounding
from relunet.fitting.trace import Trace
from relunet.moments import RiskMoments
from relunet.network import ReLUNetwork

__all__ = ["Fit", "KnownErrors"]

# A fit needs so many rows a parameter: fewer, and it would only repeat the labels.
LEAST_ROWS_PER_PARAMETER = 2.5
# In a first look the subspace is off by an angle, which rounds kinks off; more neurons would fit that rounding. Part
# of the loss that one must explain.
SMOOTHED = 0.02
# What a parameter costs, in units of the decrease of the risk that it brings by chance: 2 would be Akaike's price, but
# the best of several optima gains more by chance.
PRICE = 2.5
# An exact network has a neuron to spare only if it loses no more than this part of the labels without it.
NEARLY = 1e-4
# Coarser levels in a row that cost more, and how much more, before none further is tried.
PATIENCE, HOPELESS = 2, 1.1
# Normal matrices of at most so many parameters are factorised where the cheaper polish does not converge.
MAX_NEWTON = 1200
# Rounding is felt where the mean of a feature is so many times its standard deviation.
FAR = 1e6

Array = NDArray[np.float64]
Rows = tuple[Array, Array, Array]


class KnownErrors:
    """Root mean square residuals of networks, each measured once.

    Parameters
    ----------
    measure : callable
        Returns that of a network.
    """

    def __init__(self, measure: Callable[[ReLUNetwork], float]) -> None:
        self._measure = measure
        # By identity, for which the networks have to stay.
        self._known: dict[int, tuple[ReLUNetwork, float]] = {}

    def __call__(self, network: ReLUNetwork) -> float:
        """Return the root mean square residual of a network."""
        if id(network) not in self._known:
            self.learn(network, self._measure(network))
        return self._known[id(network)][1]

    def learn(self, network: ReLUNetwork, rms: float) -> None:
        """Note what need not be measured."""
        self._known[id(network)] = network, rms


class Fit(ABC):
    """What the stages of every fit have in common.

    Parameters
    ----------
    trace : Trace
        The samples and their sweeps.
    n_neurons : int
        Most neurons.
    fit_bias : bool
        Whether neurons have biases.
    fit_linear : {"auto", True, False}
        Whether the network has a linear part.
    seed : int
        Chooses rows, and directions that searches try.

    Attributes
    ----------
    rms, rms_on_all : KnownErrors
        Root mean square residuals on the rows that are fitted, and on all rows: a sweep where no polish has told it.
    """

    # Sweeps that a polish by gradients may take.
    steps = 40
    rms: KnownErrors

    def __init__(
        self, trace: Trace, n_neurons: int, *, fit_bias: bool, fit_linear: bool | Literal["auto"], seed: int
    ) -> None:
        self.trace, self.samples, self.fit_linear = trace, trace.samples, fit_linear
        self.rms_on_all = KnownErrors(self._measured_on_all)
        self.inputs, rows = self.read(n_neurons, fit_bias, seed)
        # A round that leads nowhere is not to be repeated.
        self.seeds = count(seed)
        self.label_rms = float(np.sqrt(self.inputs.label_var + self.inputs.label_mean**2))
        self.rounding = rounding(self.samples.dtype, rows.y) * self.label_rms
        # The gates of the network that was looked at last, for its span is asked for as well.
        self._gates: tuple[ReLUNetwork, tuple[NDArray[np.bool_], Array]] | None = None
        # Networks with what the polish on all rows has made of them, and with what was free in it.
        self._optima: list[tuple[ReLUNetwork, Free, ReLUNetwork]] = []
        if self.inputs.farthest_mean > FAR:
            far = f"{self.inputs.farthest_mean:.0e} standard deviations"
            trace.warn(f"X: means are up to {far} from zero, which costs as many digits: subtract them")

    @abstractmethod
    def read(self, n_neurons: int, fit_bias: bool, seed: int) -> tuple[Inputs, SampledRows]:
        """Read the law of the inputs and a sample of the rows in one sweep."""

    @property
    @abstractmethod
    def n_fitted(self) -> float:
        """Rows that `polished` fits, in rows of equal weight."""

    @abstractmethod
    def projections(self, vectors: Array, shift: Array) -> tuple[Array, Array]:
        """Return (x - shift)·v for rows x in memory and `vectors` v (q, d), and the rows' weights."""

    @abstractmethod
    def projected_rows(self, directions: Array, beyond: ReLUNetwork, n_neurons: int | None) -> Rows:
        """Return rows projected on `directions`, labels less the linear function `beyond`, weights.

        They are as many as so many neurons need, all there are for None. Without biases x itself is projected: no
        neuron can use a constant.
        """

    @abstractmethod
    def certified(self, network: ReLUNetwork) -> Risk:
        """Return the risk of a polished network."""

    @abstractmethod
    def residual_subspace(self, network: ReLUNetwork) -> Subspace:
        """Return the directions that y - f(x) depends on, from all rows."""

    @abstractmethod
    def blurred(self, network: ReLUNetwork) -> Array:
        """Return the directions in which kinks of the network are blurred."""

    @abstractmethod
    def polished(self, network: ReLUNetwork, *, linear: bool) -> ReLUNetwork:
        """Return the least-squares optimum on the rows that are fitted."""

    def _measured_on_all(self, network: ReLUNetwork) -> float:
        risk = RiskMoments(network)
        self.trace.sweep([risk])
        return float(np.sqrt(risk.risk))

    def is_exact(self, network: ReLUNetwork) -> bool:
        """Tell whether the rows that are fitted are this network up to rounding."""
        return self.rms(network) <= self.rounding

    def cost(self, network: ReLUNetwork) -> float:
        """Return the risk on the rows to fit, and with it what its parameters take from it by chance.

        p parameters leave 1 - p/n of the risk on n rows for nothing, and raise that of the final fit, to all N rows, by
        p/N: where rows are few, far more than both to first order.
        """
        n_parameters = network.n_neurons * (self.inputs.rank + self.inputs.fit_bias)
        n_parameters += self.inputs.rank * bool(np.any(network.linear))
        price = PRICE / 2 * n_parameters
        # A neuron more than the rows can determine is dear, not cheap.
        left = max(1 - price / self.n_fitted, 1e-3)
        # Of networks that are exact, the smallest costs least.
        return max(self.rms(network), self.rounding) ** 2 * (1 + price / self.inputs.n_rows) / left

    def affordable_neurons(self) -> int:
        """Return how many neurons the rows could determine."""
        per_neuron = LEAST_ROWS_PER_PARAMETER * (self.inputs.rank + 1)
        affordable = int(self.n_fitted / per_neuron - 1) if self.inputs.rank else 0
        if affordable < 1 and self.inputs.rank:
            needed = int(2 * per_neuron * self.inputs.n_rows / self.n_fitted) + 1
            self.trace.warn(
                f"{self.inputs.n_rows:.0f} rows are too few for a neuron, about {needed} are needed: an affine fit"
            )
        return max(affordable, 0)

    def gates(self, network: ReLUNetwork) -> tuple[NDArray[np.bool_], Array]:
        """Return which neurons are on (n, k) at rows in memory, and the rows' weights, all positive."""
        if self._gates is None or self._gates[0] is not network:
            heights, weight = self.projections(network.weights, np.zeros(self.samples.n_columns))
            self._gates = network, (heights + network.biases > 0, weight)
        return self._gates[1]

    def bent(self, network: ReLUNetwork) -> ReLUNetwork:
        """Return the network without the neurons whose kinks have all rows on one side: these are affine there."""
        if network.n_neurons == 0:
            return network
        gates, _ = self.gates(network)
        always, never = np.all(gates, axis=0) & (self.fit_linear is not False), ~np.any(gates, axis=0)
        kept = ~(always | never)
        if np.all(kept):
            # What is known of this network need not be measured again.
            return network
        slopes = network.weights * (network.output_weights * always)[:, None]
        constant = float(np.sum(network.output_weights * network.biases * always))
        linear, intercept = network.linear + np.sum(slopes, axis=0), float(network.intercept) + constant
        return ReLUNetwork(network.weights[kept], network.output_weights[kept], network.biases[kept], linear, intercept)

    def resolved_span(self, network: ReLUNetwork) -> Array:
        """Return an orthonormal basis of what the neurons span beyond their errors, in whitened coordinates."""
        if network.n_neurons == 0:
            return np.zeros((self.inputs.rank, 0))
        gates, weight = self.gates(network)
        neurons = self.inputs.whitened(network.weights * network.output_weights[:, None])
        return resolved_span(neurons, gates.astype(np.float64), weight, self.rms(network), self.n_fitted)

    def search(
        self, directions: Array, network: ReLUNetwork, limit: int, effort: int, *, closer: bool
    ) -> list[ReLUNetwork]:
        """Return the best networks whose weights lie in the span of `directions`, from rows in memory.

        A first look returns one, a closer one all that the projected rows cannot tell apart.
        """
        # Terms of a fan explain nothing one by one: in a closer look each may stay for the others' sake.
        least_gain = 0.0 if closer else SMOOTHED
        # Linear functions off the span are known already: as noise of the search they would hide small neurons.
        beyond = self.inputs.linear_beyond(network, directions)
        z, y, weight = self.projected_rows(directions, beyond, None if closer else network.n_neurons + 1)
        found = find_neurons(
            z,
            y,
            limit,
            fit_bias=self.inputs.fit_bias,
            sample_weight=weight,
            starts=[Candidate(*self.inputs.projected(network, directions), np.inf, np.inf)],
            least_gain=least_gain,
            budget=effort,
            seed=next(self.seeds),
            n_jobs=self.trace.n_jobs,
        )
        best = choose(found, effective_rows(weight), least_gain)
        chosen = [c for c in found if -1 <= c.n_neurons - best.n_neurons <= 2] if closer else [best]
        return [self.inputs.unprojected(c.linear, c.vectors, c.signs, directions, beyond) for c in chosen]

    def tolerance(self, network: ReLUNetwork, n_rows: int) -> float:
        """Return the relative decrease of the risk that is not worth a step: a hundredth of the statistical error."""
        return 1e-2 * network.weights.size / n_rows

    def polished_on_all(self, network: ReLUNetwork) -> ReLUNetwork:
        """Return the least-squares optimum on all rows, with a linear part only if the network has one."""
        if network.n_neurons == 0:
            affine = self.fit_linear is not False
            return self.polished(network, linear=True) if affine else self.inputs.constant_network()
        free = Free(self.inputs.fit_bias, self.fit_linear is True or bool(np.any(network.linear)))
        return self.descended_on_all(network, free)

    def descended_on_all(self, network: ReLUNetwork, free: Free) -> ReLUNetwork:
        """Return the least-squares optimum on all rows, which takes no sweep where it is known."""
        for start, what, optimum in self._optima:
            if start is network and what == free:
                return optimum
        polished = self.descended(network, self.trace.sweep, self.projections, free, self.samples.n_rows)
        self.trace.errors.extend(polished.history)
        self.rms_on_all.learn(polished.network, float(np.sqrt(polished.risk)))
        self._optima.append((network, free, polished.network))
        if len(polished.history) < self.steps:
            self._optima.append((polished.network, free, polished.network))
        return polished.network

    def descended(self, network: ReLUNetwork, sweep: Sweep, project: Projection, free: Free, n_rows: int) -> Polished:
        """Return the least-squares optimum on rows that are swept.

        By gradient steps, and by Newton steps where those do not converge and parameters are few.
        """
        tolerance = self.tolerance(network, n_rows)
        polished = accelerate(
            network,
            sweep,
            lambda network, damping: preconditioner(network, self.inputs, project, free, damping, self.trace.n_jobs),
            free,
            label_rms=self.label_rms,
            tolerance=tolerance,
            steps=self.steps,
        )
        n_parameters = (network.n_neurons + 1) * (self.samples.n_columns + 1)
        if len(polished.history) < self.steps or n_parameters > MAX_NEWTON:
            return polished
        last = newton(polished.network, sweep, free, label_rms=self.label_rms, tolerance=tolerance)
        return Polished(last.network, last.risk, polished.history + last.history)

    def sided(self, network: ReLUNetwork) -> ReLUNetwork:
        """Return the network with its sides chosen, and without its linear part where the data allow it."""
        if network.n_neurons == 0:
            return network
        oriented = orient(network, self.inputs)
        if self.fit_linear is True:
            return oriented
        plain = self.polished(oriented, linear=False)
        if self.fit_linear is False or self.is_exact(plain) or self.cost(plain) < self.cost(oriented):
            return plain
        return oriented

    def clumped(self, network: ReLUNetwork) -> tuple[ReLUNetwork, list[ClumpLevel]]:
        """Return the coarsening of a network that costs least, its sides chosen, and all levels that were tried."""
        if network.n_neurons == 0:
            return network, []
        clumps = tuple(range(network.n_neurons))
        level = chosen = self.sided(network)
        levels = [(level, 0.0, clumps)]
        exact, dearer = self.is_exact(chosen), 0
        while level.n_neurons and dearer < PATIENCE:
            options = coarser(level, self.inputs)
            if exact and not any(self.rms(o.network) < NEARLY * self.label_rms for o in options):
                # Kinks that neither vanish nor coincide are those of one network alone [CDGKM23, Lemma 2].
                break
            fits = [(self.polished(option.network, linear=True), option) for option in options]
            best, option = min(fits, key=lambda fit: self.cost(fit[0]))
            level, clumps = self.sided(best), option.merged(clumps)
            levels.append((level, option.scale, clumps))
            if self.cost(level) < self.cost(chosen) or self.is_exact(level):
                chosen, dearer = level, 0
            elif self.cost(level) < HOPELESS * self.cost(chosen):
                dearer += 1
            else:
                break
        return chosen, [
            ClumpLevel(scale, clumps, self.certified(level).mean, level is chosen) for level, scale, clumps in levels
        ]

    def ending(self, network: ReLUNetwork, limit: int, first_look: Subspace | None) -> Status:
        """Tell how the fit ended, and the user what could be done about it."""
        rms = self.rms_on_all(network)
        if not self.trace.errors:
            self.trace.errors.append(rms)
        if rms <= self.rounding:
            return "exact"
        if network.n_neurons == 0:
            if first_look is not None:
                self._tell_what_would_show(first_look.visible_share)
            return "no structure"
        if self.residual_subspace(network).n_visible == 0:
            return "noise floor"
        if network.n_neurons >= limit:
            self.trace.warn(f"{limit} neurons do not explain the labels: the best such network is returned")
        else:
            self.trace.warn("structure is left that the search did not resolve: more rows or another seed may do so")
        return "budget"

    def _tell_what_would_show(self, visible_share: float) -> None:
        aim = 0.1 * min(visible_share, 1.0)
        needed = float(f"{self.samples.n_rows * visible_share / aim:.2g}")
        self.trace.warn(
            f"nothing but an affine function stands out: a neuron alone would if it explained {visible_share:.2g} of "
            f"the variance left, and one that explains {aim:.2g} of it in about {needed:,.0f} rows"
        )

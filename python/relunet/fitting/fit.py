"""Base class of dense and sketched fits: the stages of a fit, as the driver calls them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import count
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from relunet._typing import Array
from relunet.fitting.report import ClumpLevel, Status
from relunet.fitting.rows import FittedRows, HeldRows, SampledRows, StreamedRows, effective_rows
from relunet.fitting.settings import Settings
from relunet.fitting.stages.discovery import Candidate, choose, find_neurons
from relunet.fitting.stages.inputs import Inputs
from relunet.fitting.stages.orientation import orient
from relunet.fitting.stages.polish import Free, Polished, polish
from relunet.fitting.stages.scales import coarser, without_inactive_neurons
from relunet.fitting.stages.subspace import Subspace, resolved_span
from relunet.fitting.stages.validation import Risk, Uncertainty
from relunet.fitting.trace import Trace
from relunet.moments import RiskMoments
from relunet.network import ReLUNetwork

__all__ = ["FEWEST_DISTINCT", "CachedErrors", "Fit"]


# Weight of the mean of the labels in the scale to which a polish compares rounding errors.
OF_MEAN = 0.02

# Smallest number of distinct rows for a search.
FEWEST_DISTINCT = 10


class CachedErrors:
    """RMS residuals of networks, each measured once.

    Parameters
    ----------
    measure : callable
        Returns the RMS residual of a network.
    """

    def __init__(self, measure: Callable[[ReLUNetwork], float]) -> None:
        self._measure = measure
        # Keyed by id(); the network is stored so that its id is not reused.
        self._known: dict[int, tuple[ReLUNetwork, float]] = {}

    def __call__(self, network: ReLUNetwork) -> float:
        """Return the RMS residual of a network."""
        if id(network) not in self._known:
            self.store(network, self._measure(network))
        return self._known[id(network)][1]

    def store(self, network: ReLUNetwork, rms: float) -> None:
        """Store a known RMS residual."""
        self._known[id(network)] = network, rms


class Fit(ABC):
    """The stages that dense and sketched fits share.

    Parameters
    ----------
    trace : Trace
        The samples, whose sweeps are counted.
    inputs : Inputs
        Mean and covariance of the inputs and labels.
    rows : SampledRows
        The sample of rows in memory.
    all_rows : StreamedRows
        All rows.
    fit_linear : {"auto", True, False}
        Whether the network has a linear part.
    seed : int
        Seed of the directions that searches try.
    steps : int
        Largest number of sweeps of a polish by gradients.
    settings : Settings
        Constants of the method.

    Attributes
    ----------
    rms, rms_on_all : CachedErrors
        RMS residuals on the rows that are fitted and on all rows. A value that no polish has computed takes a sweep.
    """

    rms: CachedErrors

    def __init__(
        self,
        trace: Trace,
        inputs: Inputs,
        rows: SampledRows,
        all_rows: StreamedRows,
        *,
        fit_linear: bool | Literal["auto"],
        seed: int,
        steps: int,
        settings: Settings,
    ) -> None:
        self.trace, self.samples, self.settings = trace, trace.samples, settings
        self.inputs, self.rows, self.all_rows = inputs, rows, all_rows
        self.fit_linear, self.steps = fit_linear, steps
        self.rms_on_all = CachedErrors(self._measured_on_all)
        # Each search has its own seed, so that a round without progress is not repeated.
        self.seeds = count(seed)
        # The rounding of residuals depends on the spread of the labels and the rounding of their mean.
        self.label_rms = float(np.sqrt(inputs.label_var) + OF_MEAN * abs(inputs.label_mean))
        # The active neurons of the last network, which its span needs as well.
        self._active: tuple[ReLUNetwork, tuple[NDArray[np.bool_], Array]] | None = None
        # Networks, the free parameters of their polish on all rows, and the optimum.
        self._optima: list[tuple[ReLUNetwork, Free, ReLUNetwork]] = []
        if inputs.farthest_mean > settings.far_mean:
            far = f"{inputs.farthest_mean:.0e} standard deviations"
            trace.warn(f"X: means are up to {far} from zero, which costs as many digits: subtract them")

    @property
    @abstractmethod
    def n_fitted(self) -> float:
        """Effective number of rows that `polished` fits."""

    @abstractmethod
    def projected_rows(self, directions: Array, beyond: ReLUNetwork, n_neurons: int | None) -> HeldRows:
        """Return rows projected on `directions`, with the linear function `beyond` subtracted from their labels.

        Their number is sufficient for `n_neurons` neurons; None means all rows. Without biases, x is projected in place
        of x - mean, since no neuron can use a constant.
        """

    @abstractmethod
    def certified(self, network: ReLUNetwork) -> Risk:
        """Return the risk of a polished network."""

    @abstractmethod
    def residual_subspace(self, network: ReLUNetwork) -> Subspace:
        """Return the directions on which the residual y - f(x) depends, from all rows."""

    @abstractmethod
    def blurred(self, network: ReLUNetwork) -> Array:
        """Return the directions in which kinks of the network are blurred."""

    @abstractmethod
    def polished(self, network: ReLUNetwork, *, linear: bool) -> ReLUNetwork:
        """Return the least-squares optimum on the rows that are fitted."""

    def widths(self, n_neurons: int, *, told: bool) -> list[int]:
        """Return the numbers of neurons to search in all dimensions at once."""
        return []

    def found_directly(self, network: ReLUNetwork, widths: list[int]) -> ReLUNetwork:
        """Return the best of a network and those that a search in all dimensions at once finds."""
        return network

    def found_wide(self, network: ReLUNetwork, n_neurons: int) -> ReLUNetwork:
        """Return the better of a network and the one that a search for many neurons at once finds."""
        return network

    def is_determined(self, network: ReLUNetwork) -> bool:
        """Return whether the rows determine the parameters of a network that fits them exactly."""
        return True

    def _measured_on_all(self, network: ReLUNetwork) -> float:
        risk = RiskMoments(network)
        self.trace.sweep([risk])
        return float(np.sqrt(risk.risk))

    @abstractmethod
    def rounding(self, network: ReLUNetwork) -> float:
        """Return the RMS residual below which the labels equal this network up to rounding."""

    def is_exact(self, network: ReLUNetwork) -> bool:
        """Return whether the labels of the rows that are fitted equal this network up to rounding."""
        return self.rms(network) <= self.rounding(network)

    def is_explained(self, network: ReLUNetwork) -> bool:
        """Return whether the labels equal this network up to rounding, or up to the number of digits they have."""
        return self.is_exact(network)

    def improves(self, network: ReLUNetwork, other: ReLUNetwork) -> bool:
        """Return whether a network has less risk than another by more than the error of the comparison, if known."""
        if self.is_exact(other):
            return self.is_exact(network) and network.n_neurons < other.n_neurons
        return self.cost(network) < self.cost(other)

    def affine(self) -> ReLUNetwork:
        """Return the best affine function."""
        return self.inputs.affine_network()

    def least_useful(self, network: ReLUNetwork) -> int | None:
        """Return the neuron that contributes least to the network; None without rows in memory."""
        return None

    def cost(self, network: ReLUNetwork) -> float:
        """Return the risk on the rows that are fitted, corrected for the optimism of the fit.

        A fit of p parameters to n rows reduces the risk on these rows by the factor 1 - p/n, and the final fit to all N
        rows has a risk that is larger by the factor 1 + p/N. For few rows, both corrections exceed first order.
        """
        n_parameters = network.n_neurons * (self.inputs.rank + self.inputs.fit_bias)
        n_parameters += self.inputs.rank * bool(np.any(network.linear))
        price = self.settings.price / 2 * n_parameters
        # The lower bound of the denominator penalises over-parameterised networks.
        left = max(1 - price / self.n_fitted, 1e-3)
        # Of several exact networks, the smallest has the least cost.
        return max(self.rms(network), self.rounding(network)) ** 2 * (1 + price / self.inputs.n_rows) / left

    def affordable_neurons(self) -> int:
        """Return the number of neurons that the rows can determine."""
        per_neuron = self.settings.least_rows_per_parameter * (self.inputs.rank + 1)
        # Repeated rows count in the sums, but only distinct ones can place a kink.
        enough = self.inputs.rank and self.rows.n_fitted >= FEWEST_DISTINCT
        affordable = int(self.n_fitted / per_neuron - 1) if enough else 0
        if affordable < 1 and self.inputs.rank:
            needed = int(2 * per_neuron * self.inputs.n_rows / self.n_fitted) + 1
            self.trace.warn(
                f"{self.inputs.n_rows:.0f} rows are too few for a neuron, about {needed} are needed: an affine fit"
            )
        return max(affordable, 0)

    def active_neurons(self, network: ReLUNetwork) -> tuple[NDArray[np.bool_], Array]:
        """Return the active neurons (n, k) on sampled rows, and the positive weights of these rows."""
        if self._active is None or self._active[0] is not network:
            heights, weight = self.all_rows.project(network.weights, np.zeros(self.samples.n_columns))
            self._active = network, (heights + network.biases > 0, weight)
        return self._active[1]

    def rows_active(self, network: ReLUNetwork) -> Array:
        """Return the effective number of fitted rows on which each neuron is active."""
        active, weight = self.active_neurons(network)
        shares = np.sum(active * weight[:, None], axis=0) / np.sum(weight)
        return np.where(np.all(active, axis=0), self.n_fitted, shares * self.n_fitted)

    def without_inactive_neurons(self, network: ReLUNetwork, at_most: float = 0.0) -> ReLUNetwork:
        """Return the network without neurons that are affine on all sampled rows except `at_most`."""
        if network.n_neurons == 0:
            return network
        keep_affine = self.fit_linear is not False
        n_active = self.rows_active(network)
        return without_inactive_neurons(network, n_active, self.n_fitted, at_most, keep_affine=keep_affine)

    def supported(self, network: ReLUNetwork) -> ReLUNetwork:
        """Return the optimum without neurons that only a few rows determine, unless the network is exact."""
        network = self.without_inactive_neurons(network)
        while network.n_neurons and not self.is_exact(network):
            rest = self.without_inactive_neurons(network, self.settings.rows_per_side * (self.inputs.rank + 1))
            if rest is network:
                break
            network = self.without_inactive_neurons(self.polished(rest, linear=True))
        return network

    def resolved_span(self, network: ReLUNetwork) -> Array:
        """Return an orthonormal basis of the span of the neurons beyond their errors, in whitened coordinates."""
        if network.n_neurons == 0:
            return np.zeros((self.inputs.rank, 0))
        active, weight = self.active_neurons(network)
        neurons = self.inputs.z_weights(network.weights * network.output_weights[:, None])
        return resolved_span(neurons, active.astype(np.float64), weight, self.rms(network), self.n_fitted)

    def search(
        self, directions: Array, network: ReLUNetwork, limit: int, effort: int, *, closer: bool
    ) -> list[ReLUNetwork]:
        """Return the best networks whose weights lie in the span of `directions`, from rows in memory.

        The first search returns one network, and a closer search all those that the projected rows cannot distinguish.
        """
        # The terms of a fan explain nothing alone, so that a closer search keeps terms without a least gain.
        least_gain = 0.0 if closer else self.settings.smoothed
        # The linear part off the span is known; as noise of the search it would hide small neurons.
        beyond = self.inputs.linear_beyond(network, directions)
        linear, vectors, signs = self.inputs.projected(network, directions)
        if self.inputs.fit_bias:
            # Labels are centred, since a mean far from zero would reduce the accuracy of the search.
            constant = float(beyond.intercept) + self.inputs.label_mean
            beyond = ReLUNetwork(beyond.weights, beyond.output_weights, None, beyond.linear, constant)
            linear = np.append(linear[:-1], linear[-1] - self.inputs.label_mean)
        rows = self.projected_rows(directions, beyond, None if closer else network.n_neurons + 1)
        found = find_neurons(
            rows.x,
            rows.y,
            limit,
            fit_bias=self.inputs.fit_bias,
            sample_weight=rows.weight,
            starts=[Candidate(linear, vectors, signs, np.inf, np.inf)],
            least_gain=least_gain,
            budget=effort,
            seed=next(self.seeds),
            n_jobs=self.trace.n_jobs,
            progress=self.trace.counted("search", effort),
        )
        best = choose(found, effective_rows(rows.weight), least_gain, self.settings)
        chosen = [c for c in found if -1 <= c.n_neurons - best.n_neurons <= 2] if closer else [best]
        return [self.inputs.unprojected(c.linear, c.vectors, c.signs, directions, beyond) for c in chosen]

    def polished_on_all(self, network: ReLUNetwork) -> ReLUNetwork:
        """Return the least-squares optimum on all rows, with a linear part only if the network has one."""
        if network.n_neurons == 0:
            affine = self.fit_linear is not False
            return self.polished(network, linear=True) if affine else self.inputs.constant_network()
        if not self.settings.polish:
            return network
        if network.n_neurons > self.settings.wide_neurons and self.rms_on_all(network) <= self.rounding(network):
            return network
        free = Free(self.inputs.fit_bias, self.fit_linear is True or bool(np.any(network.linear)))
        return self.descended_on_all(network, free)

    def descended_on_all(self, network: ReLUNetwork, free: Free) -> ReLUNetwork:
        """Return the least-squares optimum on all rows, without a sweep if it is known."""
        for start, what, optimum in self._optima:
            if start is network and what == free:
                return optimum
        polished = self.polish_on(self.all_rows, network, free)
        self.trace.errors.extend(polished.history)
        self.rms_on_all.store(polished.network, float(np.sqrt(polished.risk)))
        self._optima.append((network, free, polished.network))
        if len(polished.history) < self.steps:
            self._optima.append((polished.network, free, polished.network))
        return polished.network

    def polish_on(self, rows: FittedRows, network: ReLUNetwork, free: Free) -> Polished:
        """Return the least-squares optimum on some rows."""
        return polish(
            network,
            rows,
            self.inputs,
            free,
            label_rms=self.label_rms,
            steps=self.steps,
            n_jobs=self.trace.n_jobs,
            settings=self.settings,
        )

    def oriented(self, network: ReLUNetwork) -> ReLUNetwork:
        """Return the network with oriented neurons, and without its linear part if the data allow it."""
        if network.n_neurons == 0:
            return network
        oriented = orient(network, self.inputs, self.settings)
        if self.fit_linear is True:
            return oriented
        if network.n_neurons > self.settings.wide_neurons:
            plain = ReLUNetwork(oriented.weights, oriented.output_weights, oriented.biases, None, oriented.intercept)
            if self.is_exact(plain):
                return plain
        plain = self.polished(oriented, linear=False)
        if self.fit_linear is False or self.is_exact(plain) or self.cost(plain) < self.cost(oriented):
            return plain
        return oriented

    def clumped(self, network: ReLUNetwork) -> tuple[ReLUNetwork, list[ClumpLevel]]:
        """Return the oriented coarsening of a network that has the least cost, and all levels that were tried."""
        if network.n_neurons == 0:
            return network, []
        clumps = tuple(range(network.n_neurons))
        level = best = chosen = self.oriented(network)
        levels = [(level, 0.0, clumps)]
        exact, dearer = self.is_exact(chosen), 0
        while self.settings.clumping and level.n_neurons and dearer < self.settings.clump_patience:
            options = coarser(level, self.inputs, self.least_useful(level))
            if exact and not any(self.rms(o.network) < self.settings.spare_error * self.label_rms for o in options):
                # The kinks neither vanish nor coincide, so the network is the only one [CDGKM23, Lemma 2].
                break
            fits = [(self.polished(option.network, linear=True), option) for option in options]
            fitted, option = min(fits, key=lambda fit: self.cost(fit[0]))
            level, clumps = self.oriented(fitted), option.merged(clumps)
            levels.append((level, option.scale, clumps))
            if self.cost(level) < self.cost(best):
                best = level
            if self.is_exact(level) or not self.improves(best, level):
                # The gain of the finer networks is within the error of the comparison.
                chosen, dearer = level, 0
            elif self.cost(level) < self.settings.clump_hopeless * self.cost(best):
                dearer += 1
            else:
                break
        return chosen, [ClumpLevel(scale, clumps, self.cost(level), level is chosen) for level, scale, clumps in levels]

    def status(self, network: ReLUNetwork, limit: int, first_look: Subspace | None, *, told: bool = True) -> Status:
        """Return how the fit ended, and warn if the user can improve it."""
        rms = self.rms_on_all(network)
        if not self.trace.errors:
            self.trace.errors.append(rms)
        if rms <= self.rounding(network):
            return self.status_of_exact(network)
        if self.explained_by_digits(network, rms):
            return "noise floor"
        at_limit = network.n_neurons >= limit > 0
        if (not told and at_limit) or (self.inputs.rank and self.has_structure(network)):
            self.trace.warn_of_structure(limit if at_limit else None)
            return "budget"
        if network.n_neurons:
            return "noise floor"
        if first_look is not None:
            self._warn_of_rows_needed(first_look.visible_share)
        return "no structure"

    def uncertainty(self, network: ReLUNetwork) -> Uncertainty | None:
        """Return the covariance of the parameters of a network; None without rows in memory."""
        return None

    def visible_share(self, looks: Sequence[Subspace]) -> float:
        """Return the share of the variance that a neuron must explain to be visible, to first order if not measured."""
        if looks:
            return looks[0].visible_share
        return float((np.pi / 2 - 1) * 4 * max(self.inputs.rank, 1) / self.inputs.n_rows)

    def status_of_exact(self, network: ReLUNetwork) -> Status:
        """Return the status if the labels equal a network up to rounding."""
        return "exact"

    def explained_by_digits(self, network: ReLUNetwork, rms: float) -> bool:
        """Return whether the residual is the rounding of labels or inputs that have few digits, and if so say it."""
        return False

    def has_structure(self, network: ReLUNetwork) -> bool:
        """Return whether the residual depends on the inputs."""
        return self.residual_subspace(network).n_visible > 0

    def _warn_of_rows_needed(self, visible_share: float) -> None:
        aim = 0.1 * min(visible_share, 1.0)
        needed = float(f"{self.samples.n_rows * visible_share / aim:.2g}")
        self.trace.warn(
            f"nothing but an affine function stands out: a neuron alone would if it explained {visible_share:.2g} of "
            f"the variance left, and one that explains {aim:.2g} of it in about {needed:,.0f} rows"
        )

"""A dense fit: the subspace is found from all rows, and the search and first polish use rows held in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Literal

import numpy as np

from relunet._typing import Array
from relunet.fitting.fit import CachedErrors, Fit
from relunet.fitting.leaving_out import is_improved, left_out
from relunet.fitting.report import Status
from relunet.fitting.rows import (
    HeldRows,
    StreamedRows,
    effective_rows,
    few_distinct,
    hash_threshold,
    own_weight,
    sampled,
)
from relunet.fitting.settings import DEFAULTS, Settings
from relunet.fitting.stages.direct import find_directly, is_determined
from relunet.fitting.stages.discovery import find_many_neurons
from relunet.fitting.stages.inputs import inputs_of, shrunk
from relunet.fitting.stages.polish import Free
from relunet.fitting.stages.precision import Precision
from relunet.fitting.stages.scales import blurred
from relunet.fitting.stages.structure import LOOKED_ALONG, heavy_tails, mean_structure, steepest_directions
from relunet.fitting.stages.subspace import Subspace, find_subspace, joint_span, slice_edges
from relunet.fitting.stages.validation import Linearised, Risk, Uncertainty, risk_of, undetermined_pair
from relunet.fitting.trace import Trace
from relunet.linalg import matmul
from relunet.moments import GradientMoments, InputMoments, RowSample, SliceMoments
from relunet.network import ReLUNetwork

__all__ = ["InMemoryFit", "rows_in_memory"]

# Number of rows on which the rounding of predictions is measured.
SOME = 4096
# RMS residual, relative to the labels, below which the affine function is corrected by its own residual.
NEARLY_AFFINE = 1e-6
# RMS leave-one-out residual, in units of rounding, above which an exact network is not determined by its rows.
DETERMINED = 1e4


class InMemoryFit(Fit):
    """The stages of a fit with the covariance of the inputs and rows in memory.

    One sweep reads mean, covariance and enough rows for the number of neurons.

    Parameters
    ----------
    trace : Trace
        The samples, whose sweeps are counted.
    n_neurons : int
        Largest number of neurons.
    fit_bias : bool
        Whether neurons have biases.
    fit_linear : {"auto", True, False}
        Whether the network has a linear part.
    seed : int
        Seed of the sample of rows, and of the directions that searches try.
    settings : Settings, default=DEFAULTS
        Constants of the method.
    """

    def __init__(
        self,
        trace: Trace,
        n_neurons: int,
        *,
        fit_bias: bool,
        fit_linear: bool | Literal["auto"],
        seed: int,
        settings: Settings = DEFAULTS,
    ) -> None:
        n_rows, d = trace.samples.n_rows, trace.samples.n_columns
        threshold = hash_threshold(rows_in_memory(n_rows, d, n_neurons, settings), n_rows)
        moments, sample = InputMoments(d), RowSample(d, threshold, seed)
        trace.sweep([moments, sample])
        if threshold < hash_threshold(n_rows, n_rows) and few_distinct(sample):
            # If there are few distinct rows, all of them are kept.
            sample = RowSample(d, hash_threshold(n_rows, n_rows), seed)
            trace.sweep([sample])
        rows = sampled(sample, settings.held_out_every, trace.n_jobs, moments.weight)
        self.fitted, self.held_out = rows.fitted(), rows.held_out()
        super().__init__(
            trace,
            shrunk(inputs_of(moments, rows.n_rows, fit_bias=fit_bias), rows),
            rows,
            StreamedRows(trace.sweep, n_rows, self.fitted),
            fit_linear=fit_linear,
            seed=seed,
            steps=settings.polish_steps,
            settings=settings,
        )
        self.rms = CachedErrors(self.fitted.rms)
        self.precision = Precision.of(rows.x, rows.y, self.samples.dtype)
        # Cached values of networks, keyed by id(); each network is stored so that its id is not reused.
        self._squares: dict[int, tuple[ReLUNetwork, Array]] = {}
        self._roundings: dict[int, tuple[ReLUNetwork, float]] = {}
        self._risks: dict[int, tuple[ReLUNetwork, Risk]] = {}
        self._affine: ReLUNetwork | None = None

    @property
    def n_fitted(self) -> float:
        """Effective number of rows that `polished` fits: those in memory that are not held out."""
        return effective_rows(self.fitted.weight)

    def first_rows(self, n_neurons: int) -> HeldRows:
        """Return enough of the rows to fit for a number of neurons."""
        enough = self.settings.rows_per_parameter * (self.inputs.rank + 1) * (n_neurons + 1)
        return self.fitted.first(max(self.settings.fewest_rows, enough))

    def rounding(self, network: ReLUNetwork) -> float:
        """Return the RMS residual below which the labels equal this network up to rounding."""
        if id(network) not in self._roundings:
            x, y = self.rows.x[:SOME], self.rows.y[:SOME]
            rounding = self.precision.rounding(network, x, y, self.rms(self.affine()))
            self._roundings[id(network)] = network, rounding
        return self._roundings[id(network)][1]

    def is_exact(self, network: ReLUNetwork) -> bool:
        """Return whether the labels in memory, fitted and held out, equal this network up to rounding."""
        return super().is_exact(network) and self.held_out.rms(network) <= self.rounding(network)

    def is_explained(self, network: ReLUNetwork) -> bool:
        """Return whether the labels equal this network up to rounding, or up to the number of digits they have."""
        digits = self.settings.digits * self.precision.grid_noise(network, self.rows.x[:SOME])
        return self.is_exact(network) or self.rms(network) <= digits

    def affine(self) -> ReLUNetwork:
        """Return the best affine function, corrected by its own residual if the labels are nearly affine."""
        if self._affine is None:
            self._affine = first = self.inputs.affine_network()
            if self.inputs.fit_bias and self.rms(first) < NEARLY_AFFINE * float(np.sqrt(self.inputs.label_var)):
                gradient = GradientMoments(first)
                self.trace.sweep([gradient])
                along, constant = gradient.gradient[0, :-1], float(gradient.gradient[0, -1])
                slope = self.inputs.x_weights(self.inputs.transform((along - constant * self.inputs.mean)[None, :]))[0]
                constant += float(first.intercept) - float(np.sum(slope * self.inputs.mean))
                better = ReLUNetwork(first.weights, first.output_weights, None, first.linear + slope, constant)
                self._affine = min(first, better, key=self.rms)
        return self._affine

    def squares(self, network: ReLUNetwork) -> Array:
        """Return the squared residuals of the rows in memory, leave-one-out residuals for those that are fitted."""
        if id(network) not in self._squares:
            residual = self.rows.y - network.predict(self.rows.x)
            n, squares = self.fitted.n_rows, residual**2
            squares[:n] = self._left_out(network, self.fitted, residual[:n], 1.0, self.settings.searched)
            self._squares[id(network)] = network, np.maximum(squares, self.rounding(network) ** 2)
        return self._squares[id(network)][1]

    def _linearised(self, network: ReLUNetwork) -> Linearised:
        """Return a network as a linear function of its parameters."""
        return Linearised(network, self.inputs, self.inputs.fit_bias, bool(np.any(network.linear)))

    def _left_out(
        self, network: ReLUNetwork, rows: HeldRows, residual: Array, times: float, searched: float = 1.0
    ) -> Array:
        """Return squared leave-one-out residuals of rows in a fit to `times` as many rows."""
        if network.n_neurons == 0 and self.inputs.fit_bias and np.any(network.linear):
            z = self.inputs.transform(rows.x - self.inputs.mean)
            along = np.sum(z**2 * self.inputs.shrinkage, axis=1)
            leverage = (1 + along) * own_weight(rows.weight) / (np.sum(rows.weight) * times)
        else:
            leverage = self._linearised(network).leverages(rows.x, rows.weight, times, rows.n_jobs)
        deviation = rows.y - self.inputs.label_mean if self.inputs.fit_bias else rows.y
        return left_out(residual, leverage, deviation, searched)

    def cost(self, network: ReLUNetwork) -> float:
        """Return the risk on the rows in memory, from leave-one-out residuals of those that are fitted."""
        if self.is_exact(network):
            return self.rounding(network) ** 2
        return float(np.sum(self.squares(network) * self.rows.weight) / np.sum(self.rows.weight))

    def improves(self, network: ReLUNetwork, other: ReLUNetwork) -> bool:
        """Return whether a network has less risk than another beyond the standard error of the paired difference."""
        if self.is_exact(other):
            return self.is_exact(network) and network.n_neurons < other.n_neurons
        if self.is_exact(network):
            return True
        squares = self.squares(other), self.squares(network)
        return is_improved(*squares, self.rows.weight, self.fitted.n_rows, self.settings)

    def least_useful(self, network: ReLUNetwork) -> int | None:
        """Return the neuron that is closest to an affine function of its pre-activation on the rows to fit."""
        rows = self.fitted.first(SOME)
        heights = matmul(rows.x, network.weights.T) + network.biases
        share = (rows.weight / np.sum(rows.weight))[:, None]
        values = np.maximum(heights, 0.0)
        heights = heights - np.sum(share * heights, axis=0)
        values = values - np.sum(share * values, axis=0)
        variance = np.sum(share * heights**2, axis=0)
        slope = np.sum(share * heights * values, axis=0) / np.where(variance > 0, variance, 1.0)
        rest = np.sum(share * (values - slope * heights) ** 2, axis=0)
        return int(np.argmin(rest * network.output_weights**2))

    def certified(self, network: ReLUNetwork) -> Risk:
        """Return the risk of a network that was fitted to all rows, from leave-one-out residuals of those in memory."""
        if id(network) not in self._risks:
            rows = self.rows.all()
            residual = rows.y - network.predict(rows.x)
            squares = self._left_out(network, rows, residual, self.inputs.n_rows / effective_rows(rows.weight))
            self._risks[id(network)] = network, risk_of(squares, rows.weight, "the network that is returned")
        return self._risks[id(network)][1]

    def status_of_exact(self, network: ReLUNetwork) -> Status:
        """Return the status if the labels equal a network up to rounding: exact if the rows determine its neurons."""
        if network.n_neurons == 0:
            return "exact"
        on, n_parameters = self.rows_active(network), self.inputs.rank + self.inputs.fit_bias
        few = np.flatnonzero(np.minimum(on, self.n_fitted - on) < n_parameters)
        active, weight = self.active_neurons(network)
        weight, outer = weight * (self.n_fitted / np.sum(weight)), network.output_weights[None, :]
        linear = self.fit_linear is not False
        close = undetermined_pair(active, weight, outer, n_parameters, linear=linear)
        if len(few) == 0 and close:
            self.trace.warn(close)
            return "budget"
        if len(few) == 0 and not self.is_determined(network):
            self.trace.warn("several networks fit all rows exactly: this one is not the only one, add rows")
            return "budget"
        if len(few) == 0:
            # A row that alone distinguishes two kinks has a leave-one-out residual far above rounding.
            if self.certified(network).mean <= (DETERMINED * self.rounding(network)) ** 2:
                return "exact"
            self.trace.warn(
                "some rows each determine a parameter alone: the labels are the network up to rounding, those of other "
                "rows need not be"
            )
            return "budget"
        self.trace.warn(
            f"neurons {', '.join(map(str, few))}: too few rows lie on one side of the kink to determine it; the labels "
            "of these rows are the network up to rounding, those of other rows need not be"
        )
        return "budget"

    def uncertainty(self, network: ReLUNetwork) -> Uncertainty | None:
        """Return the covariance of the parameters of a network that was fitted to all rows; None if it has too many."""
        linearised = self._linearised(network)
        if not 0 < linearised.n_parameters <= self.settings.max_newton:
            return None
        rows = self.rows.all()
        times = self.inputs.n_rows / effective_rows(rows.weight)
        squares = self._left_out(network, rows, rows.y - network.predict(rows.x), times)
        root = linearised.covariance_root(rows.x, squares, rows.weight, times, rows.n_jobs)
        if network.n_neurons == 0 and linearised.linear:
            # A penalty reduces the errors of the slopes in the same proportion.
            root[: self.inputs.rank] *= np.broadcast_to(self.inputs.shrinkage, self.inputs.rank)[:, None]
        return Uncertainty(linearised, root)

    def explained_by_digits(self, network: ReLUNetwork, rms: float) -> bool:
        """Return whether the residual is the rounding of labels or inputs that have few digits, and if so say it."""
        if not self.precision.explains(rms, network, self.rows.x[:SOME]) or self._exceeds_digits(network):
            return False
        self.trace.warn(
            f"the residual, {rms:.2g}, is the rounding of labels or inputs to the few digits that they are given with: "
            "more digits would show more"
        )
        return True

    def _exceeds_digits(self, network: ReLUNetwork) -> bool:
        """Return whether few residuals are larger than the rounding of labels and inputs, which explains the others."""
        residual = self.rows.y - network.predict(self.rows.x)
        return self.precision.is_exceeded(residual, self.rows.y, network, self.rows.x[:SOME])

    def has_structure(self, network: ReLUNetwork) -> bool:
        """Return whether the mean of the residual depends on the inputs; otherwise warn of heavy or uneven noise."""
        if self._exceeds_digits(network):
            return True
        look = self.residual_subspace(network)
        visible = look.directions[:, : look.n_visible]
        z = self.inputs.transform(self.rows.x - self.inputs.mean)
        residual = (self.rows.y - network.predict(self.rows.x)) * np.sqrt(self.rows.weight)
        neurons = self.inputs.z_weights(network.weights)
        steepest = steepest_directions(neurons, network.output_weights[None, :], *self.active_neurons(network))
        along = joint_span(steepest, visible)[:, :LOOKED_ALONG]
        if mean_structure(z, residual, along, 0) > self.settings.structure:
            return True
        if heavy_tails(residual):
            self.trace.warn(
                "the noise has heavy tails: few rows make most of the risk, and least squares is not the best loss"
            )
        elif look.n_visible:
            spread = np.sqrt(np.sum(self.inputs.unwhiten**2, axis=0))
            column = self.samples.columns[int(np.argmax(np.abs(self.inputs.x_weights(visible[:, :1].T)[0] * spread)))]
            self.trace.warn(
                f"the size of the noise depends on the inputs, most on column {column!r}: weights of 1 / variance "
                "would make the fit more precise"
            )
        return False

    def residual_subspace(self, network: ReLUNetwork) -> Subspace:
        """Return the directions in which slices of y - f(x) differ."""
        residual = self.rows.y - network.predict(self.rows.x)
        edges = slice_edges(residual, self.inputs.n_rows, self.inputs.rank, self.settings)
        slices = SliceMoments(self.samples.n_columns, edges, network)
        self.trace.sweep([slices])
        return find_subspace(slices, self.inputs, self.inputs.n_rows, self.settings)

    def blurred(self, network: ReLUNetwork) -> Array:
        """Return the directions in which kinks of the network are blurred, from the rows to fit."""
        rows = self.fitted
        z = self.inputs.transform(rows.x - self.inputs.mean)
        residual = (rows.y - network.predict(rows.x)) * np.sqrt(rows.weight)
        return blurred(network, z, residual, self.inputs, self.settings)

    def projected_rows(self, directions: Array, beyond: ReLUNetwork, n_neurons: int | None) -> HeldRows:
        """Return enough projected rows for `n_neurons`, with the function `beyond` subtracted from their labels."""
        rows = self.fitted if n_neurons is None else self.first_rows(n_neurons)
        return self._projected(rows, directions, beyond)

    def _projected(self, rows: HeldRows, directions: Array, beyond: ReLUNetwork) -> HeldRows:
        centred = rows.x - self.inputs.mean if self.inputs.fit_bias else rows.x
        z = matmul(centred, self.inputs.x_weights(directions.T).T)
        return HeldRows(z, rows.y - beyond.predict(rows.x), rows.weight, rows.n_jobs)

    def widths(self, n_neurons: int, *, told: bool) -> list[int]:
        """Return the numbers of neurons to search in all dimensions at once; none if there are many rows."""
        rows, per_neuron = self.rows.all(), self.inputs.rank + self.inputs.fit_bias
        most = n_neurons if told else min(n_neurons, self.settings.direct_neurons)
        step = rows.n_rows * (per_neuron * most) ** 2
        many = rows.n_rows > self.settings.direct_rows_per_parameter * per_neuron * most
        if rows.n_rows < self.samples.n_rows or many or step > self.settings.direct_budget // 1000:
            return []
        determined = min(most, int((rows.n_rows - 1) // max(per_neuron, 1)))
        return list(range(most, most + 1)) if told and determined == most else list(range(1, determined + 1))

    def found_directly(self, network: ReLUNetwork, widths: list[int]) -> ReLUNetwork:
        """Return a network of one of the widths that is exact on all rows, or the best of those found and the present.

        An exact network with neurons to spare is not determined by the rows: then fewer are tried.
        """
        everything = np.eye(self.inputs.rank)
        none = ReLUNetwork(np.zeros((0, self.samples.n_columns)), np.zeros(0))
        rows = self._projected(self.rows.all(), everything, none)
        directions = self.residual_subspace(network).directions
        linear_parts = {True: [True], False: [False], "auto": [False, True]}[self.fit_linear]
        # Where the number of neurons is not given, most widths are tried in vain.
        vain = 1 if len(widths) == 1 else 4
        shares = len(linear_parts) * len(widths) * vain

        def found(width: int, linear: bool) -> ReLUNetwork:
            n_parameters = width * (self.inputs.rank + self.inputs.fit_bias) + self.inputs.rank * linear
            steps = self.settings.direct_steps * rows.n_rows * n_parameters**2
            fit = find_directly(
                rows.x,
                rows.y,
                width,
                fit_bias=self.inputs.fit_bias,
                linear=linear,
                sample_weight=rows.weight,
                directions=directions,
                floor=(self.settings.direct_floor * self.label_rms) ** 2,
                budget=min(steps // vain, self.settings.direct_budget // shares),
                seed=next(self.seeds),
                n_jobs=self.trace.n_jobs,
            )
            parameters = np.concatenate([fit.vectors, fit.linear[None, :]])
            weights, biases = self.inputs.weights(parameters, everything)
            return ReLUNetwork(weights[:-1], fit.signs, biases[:-1], weights[-1], float(biases[-1]))

        best = network
        for width in widths:
            for linear in linear_parts:
                n_parameters = width * (self.inputs.rank + self.inputs.fit_bias) + self.inputs.rank * linear
                if rows.n_rows < self.settings.direct_least_rows_per_parameter * n_parameters:
                    # A network of this width can interpolate so few rows for any labels.
                    continue
                candidate = found(width, linear)
                while self.is_exact(candidate) and not self.is_determined(candidate) and candidate.n_neurons > 1:
                    fewer = found(candidate.n_neurons - 1, linear)
                    if not self.is_exact(fewer):
                        break
                    candidate = fewer
                if self.is_exact(candidate):
                    return candidate
                optimum = self.supported(self.polished(candidate, linear=linear))
                if self.improves(optimum, best):
                    best = optimum
        return best

    def is_determined(self, network: ReLUNetwork) -> bool:
        """Return whether the rows determine the parameters of a network that fits them exactly; true for many rows."""
        rows = self.rows.all()
        n_parameters = (network.n_neurons + 1) * (self.inputs.rank + 1)
        many = rows.n_rows > self.settings.sure_rows_per_parameter * n_parameters
        if rows.n_rows < self.samples.n_rows or many or rows.n_rows * n_parameters > self.settings.most_design_entries:
            return True
        return is_determined(network, rows.x, fit_bias=self.inputs.fit_bias)

    def found_wide(self, network: ReLUNetwork, n_neurons: int) -> ReLUNetwork:
        """Return the better of a network and the one that a search for many neurons at once finds in all dimensions."""
        everything = np.eye(self.inputs.rank)
        rows = self._projected(self.fitted, everything, self.inputs.linear_beyond(network, everything))
        found = find_many_neurons(
            rows.x,
            rows.y,
            n_neurons,
            fit_bias=self.inputs.fit_bias,
            sample_weight=rows.weight,
            floor=(self.settings.direct_floor * self.label_rms) ** 2,
            seed=next(self.seeds),
            n_jobs=self.trace.n_jobs,
        )
        beyond = self.inputs.linear_beyond(network, everything)
        wide = self.inputs.unprojected(found.linear, found.vectors, found.signs, everything, beyond)
        return min(network, wide, key=self.cost)

    def polished(self, network: ReLUNetwork, *, linear: bool) -> ReLUNetwork:
        """Return the least-squares optimum on the first of the rows to fit and, unless that is exact, on all of them.

        Both polishes start from `network`, since noise in the first rows leads close neurons to local optima that do
        not exist for more rows.
        """
        if network.n_neurons == 0:
            return self.affine()
        if not self.settings.polish:
            return network
        free = Free(self.inputs.fit_bias, linear)
        optimum = network
        for rows in (self.first_rows(network.n_neurons), self.fitted):
            polished = self.polish_on(replace(rows, swept=self._counted_sweeps()), network, free)
            self.trace.errors_on_sample.extend(polished.history)
            optimum = polished.network
            if rows.n_rows == self.fitted.n_rows:
                self.rms.store(optimum, float(np.sqrt(polished.risk)))
            if rows.n_rows == self.fitted.n_rows or self.is_exact(optimum):
                break
        return optimum

    def _counted_sweeps(self) -> Callable[[], None] | None:
        """Return a function that reports the sweeps of a polish in memory, or None if no progress is requested."""
        report, numbers = self.trace.counted("first polish", self.steps), count(1)
        return None if report is None else lambda: report(next(numbers))


def rows_in_memory(n_rows: int, n_features: int, n_neurons: int, settings: Settings = DEFAULTS) -> int:
    """Return how many of `n_rows` rows a dense fit keeps: `sample_bytes`, or more if the neurons need them."""
    enough = settings.rows_per_parameter * (n_features + 1) * (min(n_neurons, 4) + 1)
    if n_neurons > settings.wide_neurons:
        enough = settings.wide_rows_per_parameter * (n_features + 1) * (n_neurons + 1)
    return min(n_rows, max(settings.sample_bytes // (8 * n_features), enough))

"""The stages of a fit of several outputs, on rows held in memory and streamed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from relunet._typing import Array
from relunet.errors import ArgumentError
from relunet.fitting.fit import FEWEST_DISTINCT
from relunet.fitting.in_memory import rows_in_memory
from relunet.fitting.joint.choice import coarser_networks, orient_jointly, without_neurons
from relunet.fitting.joint.outputs import Outputs, combined_outputs, outputs_of, single_output
from relunet.fitting.joint.polish import polish_jointly
from relunet.fitting.joint.search import fitted_outputs, projected_search, telling_combinations
from relunet.fitting.joint.uncertainty import JointlyLinearised, JointUncertainty
from relunet.fitting.leaving_out import is_improved, left_out
from relunet.fitting.report import ClumpLevel, Status
from relunet.fitting.rows import (
    FittedRows,
    HeldRows,
    StreamedRows,
    effective_rows,
    few_distinct,
    hash_threshold,
    own_weight,
    sampled,
)
from relunet.fitting.settings import Settings
from relunet.fitting.stages.discovery import Candidate, choose, find_many_neurons, find_neurons
from relunet.fitting.stages.inputs import PENALTIES, PLENTY, check_size, inputs_of
from relunet.fitting.stages.polish import Free
from relunet.fitting.stages.precision import EXPLAINED, Precision
from relunet.fitting.stages.structure import LOOKED_ALONG, mean_structure, steepest_directions
from relunet.fitting.stages.subspace import Subspace, find_joint_subspace, joint_span, resolved_span, slice_edges
from relunet.fitting.stages.validation import Risk, risk_of, undetermined_pair
from relunet.fitting.trace import Trace
from relunet.linalg import matmul, svd
from relunet.moments import Accumulator, InputMoments, JointGradientMoments, RowSample, SliceMoments
from relunet.network import ReLUNetwork
from relunet.samples import Samples
from relunet.samples.protocol import n_outputs

__all__ = ["JointFit", "check_dense"]

# Combinations of outputs whose slices are read in one sweep, at most.
COMBINATIONS = 4
# Rows on which rounding and structure are measured.
SOME = 4096
# Starts of a search in all dimensions, and its operations, about, at most.
STARTS, OPERATIONS = 200, 4e10
# Rows for each hidden parameter and output up to which all dimensions are searched at once.
FEW_ROWS = 16.0


def check_dense(samples: Samples, max_dense: int) -> None:
    """Require features few enough for a covariance matrix: without one, several outputs are not fitted.

    Raises
    ------
    ArgumentError
        More than `max_dense` features.
    """
    if samples.n_columns > max_dense:
        found = f"{samples.n_columns} features with {n_outputs(samples)} outputs"
        raise ArgumentError(
            f"X: {found}, expected at most max_dense={max_dense}: raise max_dense, or fit one output at a time"
        )


class JointFit:
    """The stages of a fit of several outputs over one hidden layer.

    Parameters
    ----------
    trace : Trace
        The samples, whose sweeps are counted.
    n_neurons : int
        Most neurons.
    fit_bias : bool
        Whether neurons have biases.
    fit_linear : {"auto", True, False}
        Whether outputs have linear parts.
    seed : int
        Seed of the sample of rows, and of the directions that searches try.
    settings : Settings
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
        settings: Settings,
    ) -> None:
        self.trace, self.samples, self.settings, self.fit_linear = trace, trace.samples, settings, fit_linear
        n_rows, d, m = trace.samples.n_rows, trace.samples.n_columns, n_outputs(trace.samples)
        self.n_outputs, self.seeds = m, count(seed)
        threshold = hash_threshold(rows_in_memory(n_rows, d, n_neurons, settings), n_rows)
        moments, sample = InputMoments(d, m), RowSample(d, threshold, seed, n_outputs=m)
        trace.sweep([moments, sample])
        if threshold < hash_threshold(n_rows, n_rows) and few_distinct(sample):
            sample = RowSample(d, hash_threshold(n_rows, n_rows), seed, n_outputs=m)
            trace.sweep([sample])
        self.rows = sampled(sample, settings.held_out_every, trace.n_jobs, moments.weight)
        variance = np.maximum(np.diagonal(moments.label_covariance), 0.0)
        check_size("y", moments.label_means, variance)
        self.inputs = inputs_of(moments, self.rows.n_rows, fit_bias=fit_bias)
        self.label_var = variance
        self.shift = moments.label_means if fit_bias else np.zeros(m)
        self.precisions = [Precision.of(self.rows.x, y, self.samples.dtype) for y in self.rows.y.T]
        self._affine = self._best_affine(moments)
        y, weight = self.rows.y, self.rows.weight
        # Without linear parts, outputs may be combined only if what is left of them is constant.
        unexplained = y - (self.shift if fit_linear is False else self._affine.predict(self.rows.x))
        self._set_outputs(outputs_of(self._affine, self.shift, unexplained, weight, np.sqrt(variance)))
        self._off_affine = np.sqrt(self._mean_squares(y - self._affine.predict(self.rows.x)))

    def _set_outputs(self, outputs: Outputs) -> None:
        self.outputs = outputs
        rows, n = self.rows, self.rows.n_fitted
        y = outputs.coordinates(rows.y)
        self.everything = HeldRows(rows.x, y, rows.weight, rows.n_jobs)
        self.fitted = self.everything.first(n)
        self.label_rms = float(np.sqrt(np.sum(self._mean_squares(y))))
        self._squares: dict[int, tuple[ReLUNetwork, Array]] = {}
        self._exact: dict[int, tuple[ReLUNetwork, bool]] = {}

    def _mean_squares(self, residual: Array) -> Array:
        share = self.rows.weight[: len(residual)]
        found: Array = np.sum(share[:, None] * residual**2, axis=0) / np.sum(share)
        return found

    def _best_affine(self, moments: InputMoments) -> ReLUNetwork:
        """Return the best affine function of each output, shrunk where rows are few."""
        inputs, means = self.inputs, moments.label_means
        cross = matmul(moments.cross_covariance, inputs.whiten) if inputs.rank else np.zeros((len(means), 0))
        if not inputs.fit_bias:
            m = inputs.origin
            cross = cross + means[:, None] * m
            slopes = cross - np.sum(cross * m, axis=1)[:, None] * m / (1 + np.sum(m * m))
            return self._affine_network(slopes, np.zeros(len(means)))
        if self.fit_linear is False:
            return self._affine_network(np.zeros_like(cross), means)
        if inputs.rank and inputs.n_rows <= PLENTY * (inputs.rank + 1):
            cross = cross * self._shrinkage(cross, means)
        linear = inputs.x_weights(cross) if inputs.rank else np.zeros((len(means), len(inputs.mean)))
        return self._affine_network(cross, means - matmul(linear, inputs.mean))

    def _affine_network(self, slopes: Array, intercept: Array) -> ReLUNetwork:
        m, d = len(slopes), len(self.inputs.mean)
        linear = self.inputs.x_weights(slopes) if self.inputs.rank else np.zeros((m, d))
        return ReLUNetwork(np.zeros((0, d)), np.zeros((m, 0)), None, linear, intercept)

    def _shrinkage(self, cross: Array, means: Array) -> Array:
        """Return the factors of ridge regression (m, r) that have the least leave-one-out risk for each output."""
        rows, inputs = self.rows, self.inputs
        z = inputs.transform(rows.x - inputs.mean)
        squared, own = z**2, own_weight(rows.weight) / np.sum(rows.weight)
        factors = np.ones_like(cross)
        for output, (slopes, mean) in enumerate(zip(cross, means, strict=True)):
            deviation, risks = rows.y[:, output] - mean, []
            for penalty in PENALTIES:
                factor = inputs.spread / (inputs.spread + penalty)
                squares = left_out(
                    deviation - matmul(z, slopes * factor), own * (1 + matmul(squared, factor)), deviation
                )
                risks.append((float(np.sum(rows.weight * squares)), penalty))
            factors[output] = inputs.spread / (inputs.spread + min(risks)[1])
        return factors

    # What networks of the coordinates are worth.

    @property
    def n_fitted(self) -> float:
        """Rows that `polished` fits, in rows of equal weight."""
        return effective_rows(self.fitted.weight)

    def affine(self) -> ReLUNetwork:
        """Return the best affine function of the coordinates."""
        return self.outputs.of_network(self._affine)

    def affine_of_labels(self) -> ReLUNetwork:
        """Return the best affine function of the labels."""
        return self.outputs.rest if self.outputs.rank == 0 else self._affine

    def residual(self, network: ReLUNetwork, rows: HeldRows) -> Array:
        """Return the residuals (n, q) of a network of the coordinates."""
        return rows.y - network.predict(rows.x)

    def n_parameters(self, network: ReLUNetwork) -> int:
        """Return the number of free parameters of a network."""
        k, q = network.n_neurons, self.outputs.rank
        hidden = k * (self.inputs.rank + self.inputs.fit_bias + q - 1)
        return hidden + q * (self.inputs.rank * bool(np.any(network.linear)) + self.inputs.fit_bias)

    def squares(self, network: ReLUNetwork) -> Array:
        """Return squared residuals of the rows in memory, summed over outputs, as if those fitted had been left out.

        All rows count with the mean leverage, p / (N q).
        """
        if id(network) not in self._squares:
            squares = np.sum(self.residual(network, self.everything) ** 2, axis=1)
            leverage = self.n_parameters(network) / max(self.n_fitted * self.outputs.rank, 1.0)
            n = self.fitted.n_rows
            alike = np.full(min(n, SOME), min(leverage, 0.98))
            left = left_out(np.sqrt(squares[:n]), alike, np.zeros(n), self.settings.searched)
            self._squares[id(network)] = network, np.concatenate([left, squares[n:]])
        return self._squares[id(network)][1]

    def rms(self, network: ReLUNetwork) -> float:
        """Return the root of the mean squared residual on the rows to fit, summed over coordinates."""
        return float(np.sqrt(np.sum(self._mean_squares(self.residual(network, self.fitted)))))

    def cost(self, network: ReLUNetwork) -> float:
        """Return the mean of the leave-one-out squares of the rows to fit; of exact networks the smallest has least."""
        n = self.fitted.n_rows
        if self.is_exact(network):
            return 1e-20 * self.label_rms**2 * (1 + self.n_parameters(network) / self.n_fitted)
        return float(np.sum(self.fitted.weight * self.squares(network)[:n]) / np.sum(self.fitted.weight))

    def roundings(self, network: ReLUNetwork) -> Array:
        """Return the RMS residual of each output below which labels are a network of them up to rounding."""
        x, y = self.rows.x[:SOME], self.rows.y[:SOME]
        found = [
            precision.rounding(single_output(network, i), x, y[:, i], float(self._off_affine[i]))
            for i, precision in enumerate(self.precisions)
        ]
        # Errors of the hidden layer come with each output that uses it.
        shared = 1e-10 * float(np.max(self._off_affine / np.sqrt(np.where(self.label_var > 0, self.label_var, 1.0))))
        return np.asarray(found) + (shared * np.sqrt(self.label_var) if network.n_neurons else 0.0)

    def is_exact(self, network: ReLUNetwork) -> bool:
        """Return whether the labels in memory, fitted and held out, are this network up to rounding, each output."""
        if id(network) not in self._exact:
            whole, n = self.outputs.network(network), self.rows.n_fitted
            residual = self.rows.y - whole.predict(self.rows.x)
            roundings, exact = self.roundings(whole), True
            for part in (slice(0, n), slice(n, None)):
                weight = self.rows.weight[part]
                if len(weight):
                    rms = np.sqrt(np.sum(weight[:, None] * residual[part] ** 2, axis=0) / np.sum(weight))
                    exact = exact and bool(np.all(rms <= roundings))
            self._exact[id(network)] = network, exact
        return self._exact[id(network)][1]

    def is_explained(self, network: ReLUNetwork) -> bool:
        """Return whether labels are this network up to rounding, or to the digits that they are given with."""
        if self.is_exact(network):
            return True
        whole = self.outputs.network(network)
        rms = np.sqrt(self._mean_squares((self.rows.y - whole.predict(self.rows.x))[: self.rows.n_fitted]))
        digits = self._grid_noise(whole)
        return bool(np.all(rms <= np.maximum(self.settings.digits * digits, self.roundings(whole))))

    def _grid_noise(self, whole: ReLUNetwork) -> Array:
        x = self.rows.x[:SOME]
        return np.array([p.grid_noise(single_output(whole, i), x) for i, p in enumerate(self.precisions)])

    def improves(self, network: ReLUNetwork, other: ReLUNetwork) -> bool:
        """Return whether a network has less risk than another beyond the standard error of the paired difference."""
        if self.is_exact(other):
            return self.is_exact(network) and network.n_neurons < other.n_neurons
        if self.is_exact(network):
            return True
        squares = self.squares(other), self.squares(network)
        return is_improved(*squares, self.rows.weight, self.fitted.n_rows, self.settings)

    def first_look(self) -> tuple[Subspace, int]:
        """Return the directions that what the affine functions leave depends on, and how many of them stand out."""
        if self.outputs.rank == 0:
            r = self.inputs.rank
            return Subspace(np.zeros(r), np.eye(r), 0.0, 0, np.inf), 0
        affine = self.affine()
        found = self.residual_subspace(affine)
        # Slices of rounding errors differ as well, so that nothing is visible in the residual of an exact fit.
        return found, 0 if self.is_exact(affine) else found.n_visible

    def resolved_slopes(self) -> tuple[Array, float]:
        """Return the whitened slopes of the affine functions (s, r) as far as they are beyond their error, and that.

        Outputs are in units of their standard deviations; the slopes are the principal ones of all of them.
        """
        scale = np.sqrt(np.where(self.label_var > 0, self.label_var, 1.0))
        slopes = self.inputs.z_weights(self._affine.linear / scale[:, None])
        error = float(np.max(self._off_affine / scale)) / float(np.sqrt(self.inputs.n_rows))
        _, s, vt = svd(slopes)
        kept = s > error * (np.sqrt(len(slopes)) + np.sqrt(slopes.shape[1])) + 1e-9 * s.max(initial=0.0)
        kept[:1] |= s[:1] > 0
        return vt[kept] * s[kept, None], error

    # Stages.

    def affordable_neurons(self) -> int:
        """Return how many neurons the rows could determine."""
        distinct = self.inputs.rank and self.outputs.rank and self.rows.n_fitted >= FEWEST_DISTINCT
        per_neuron = self.settings.least_rows_per_parameter * (self.inputs.rank + 1 + self.outputs.rank)
        affordable = int(self.n_fitted * self.outputs.rank / max(per_neuron, 1.0) - 1) if distinct else 0
        # Each neuron needs rows on both sides of its kink, whatever the number of outputs.
        return max(min(affordable, int(self.n_fitted / (self.inputs.rank + 1))), 0)

    def whitened_rows(self, rows: HeldRows) -> Array:
        """Return whitened inputs; without biases, scaled alike but not centred."""
        return self.inputs.transform(rows.x - self.inputs.mean if self.inputs.fit_bias else rows.x)

    def residual_subspace(self, network: ReLUNetwork) -> Subspace:
        """Return the directions that slices of combinations of the residuals show, from all rows in one sweep."""
        rows = self.everything
        residual = self.residual(network, rows)
        z = self.inputs.transform(rows.x[:20_000] - self.inputs.mean)
        roots = np.sqrt(rows.weight[: len(z), None])
        combinations = telling_combinations(z, residual[: len(z)] * roots)[:COMBINATIONS]
        scalar = self.outputs.uncentred(network)
        slices, d = [], self.samples.n_columns
        for combination in combinations:
            edges = slice_edges(matmul(residual, combination), self.inputs.n_rows, self.inputs.rank, self.settings)
            slices.append(SliceMoments(d, edges, combined_outputs(scalar, combination)))
        wrapped = self.outputs.mapped(slices, [combination[None, :] for combination in combinations])
        self.trace.sweep(wrapped)
        found = [each.accumulator for each in wrapped if isinstance(each.accumulator, SliceMoments)]
        return find_joint_subspace(found, self.inputs, self.inputs.n_rows, self.settings)

    def resolved_span(self, network: ReLUNetwork) -> Array:
        """Return an orthonormal basis of what the neurons span beyond their errors, in whitened coordinates."""
        if network.n_neurons == 0:
            return np.zeros((self.inputs.rank, 0))
        size = np.sqrt(np.sum(network.output_weights**2, axis=0))
        neurons = self.inputs.z_weights(network.weights * size[:, None])
        rows = self.fitted.first(SOME)
        active = self._active(network, rows).astype(np.float64)
        rms = self.rms(network) / np.sqrt(self.outputs.rank)
        return resolved_span(neurons, active, rows.weight, rms, self.n_fitted)

    def generic_combination(self, network: ReLUNetwork) -> Array:
        """Return a combination of outputs that sees all neurons, those most that the residual shows most."""
        rows = self.fitted.first(20_000)
        z = self.inputs.transform(rows.x - self.inputs.mean)
        rng = np.random.Generator(np.random.PCG64(next(self.seeds)))
        residual = self.residual(network, rows) * np.sqrt(rows.weight)[:, None]
        told = telling_combinations(z, residual)
        moments = np.stack([matmul((z * (matmul(residual, row))[:, None]).T, z).ravel() for row in told])
        strength = np.sqrt(np.sum(moments**2, axis=1))
        drawn = strength * (rng.integers(0, 2, len(told)) * 2 - 1) * (0.5 + rng.uniform(size=len(told)))
        combination = matmul(drawn, told)
        size = float(np.sqrt(np.sum(combination**2)))
        return combination / size if size > 0 else told[0]

    def search(
        self, directions: Array, network: ReLUNetwork, limit: int, effort: int, *, closer: bool
    ) -> list[ReLUNetwork]:
        """Return networks whose hidden layers a search on one combination of the outputs finds."""
        combination = self.generic_combination(network)
        scalar = combined_outputs(network, combination)
        seen = np.flatnonzero(
            np.abs(scalar.output_weights) > 1e-6 * np.max(np.abs(network.output_weights), initial=0.0)
        )
        start = ReLUNetwork(
            scalar.weights[seen], scalar.output_weights[seen], scalar.biases[seen], scalar.linear, scalar.intercept
        )
        least_gain = 0.0 if closer else self.settings.smoothed / self.outputs.rank
        beyond = self.inputs.linear_beyond(start, directions)
        linear, vectors, signs = self.inputs.projected(start, directions)
        rows = self.fitted if closer else self.first_rows(network.n_neurons + 1)
        centred = rows.x - self.inputs.mean if self.inputs.fit_bias else rows.x
        z = matmul(centred, self.inputs.x_weights(directions.T).T)
        found = find_neurons(
            z,
            matmul(rows.y, combination) - beyond.predict(rows.x),
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
        layers = []
        for candidate in {id(best): best, id(found[-1]): found[-1]}.values():
            layer = self.inputs.unprojected(candidate.linear, candidate.vectors, candidate.signs, directions, beyond)
            if layer.n_neurons:
                layers.append(layer)
        return [self.with_outputs(layer.weights, layer.biases) for layer in layers]

    def found_wide(self, network: ReLUNetwork, n_neurons: int) -> ReLUNetwork:
        """Return the better of a network and one whose hidden layer a search for many neurons at once finds."""
        combination, everything = self.generic_combination(network), np.eye(self.inputs.rank)
        rows = self.first_rows(n_neurons)
        beyond = self.inputs.linear_beyond(combined_outputs(self.affine(), combination), everything)
        found = find_many_neurons(
            self.whitened_rows(rows),
            matmul(rows.y, combination) - beyond.predict(rows.x),
            n_neurons,
            fit_bias=self.inputs.fit_bias,
            sample_weight=rows.weight,
            floor=self.settings.direct_floor**2,
            seed=next(self.seeds),
            n_jobs=self.trace.n_jobs,
        )
        layer = self.inputs.unprojected(found.linear, found.vectors, found.signs, everything, beyond)
        if layer.n_neurons == 0:
            return network
        wide = self.supported(self.polished(self.with_outputs(layer.weights, layer.biases), linear=True))
        return wide if self.improves(wide, network) else network

    def with_outputs(self, weights: Array, biases: Array) -> ReLUNetwork:
        """Return the network with a hidden layer and the outputs that fit the first rows best."""
        rows = self.first_rows(len(weights))
        z, r = self.whitened_rows(rows), self.inputs.rank
        k = len(weights)
        found = fitted_outputs(weights, biases, rows.x, z, rows.y, rows.weight, self.inputs.fit_bias)
        linear = self.inputs.x_weights(np.ascontiguousarray(found[k : k + r].T))
        constant = found[-1] - (matmul(linear, self.inputs.mean) if self.inputs.fit_bias else 0.0)
        return ReLUNetwork(weights, found[:k].T, biases, linear, constant)

    def first_rows(self, n_neurons: int) -> HeldRows:
        """Return as many rows to fit as so many neurons need."""
        enough = self.settings.rows_per_parameter * (self.inputs.rank + 1) * (n_neurons + 1)
        return self.fitted.first(max(self.settings.fewest_rows, enough))

    def widths(self, n_neurons: int, *, told: bool) -> list[int]:
        """Return the numbers of neurons to search in all dimensions at once: none where rows are many."""
        per_neuron = self.inputs.rank + self.inputs.fit_bias
        most = n_neurons if told else min(n_neurons, self.settings.direct_neurons)
        n, q = self.everything.n_rows, self.outputs.rank
        step = n * (per_neuron * most) ** 2
        many = n > FEW_ROWS * per_neuron * most
        if n < self.samples.n_rows or many or q == 0 or step > OPERATIONS / 100:
            return []
        affordable = min(most, int(n * q / (self.settings.direct_least_rows_per_parameter * (per_neuron + q)) - 1))
        return [most] if told and affordable >= most else list(range(1, affordable + 1))

    def found_directly(self, network: ReLUNetwork, widths: list[int]) -> ReLUNetwork:
        """Return the best of a network and those that variable projection in all dimensions finds on all rows."""
        rows, q = self.everything, self.outputs.rank
        roots = np.sqrt(rows.weight / np.mean(rows.weight))[:, None]
        z = self.whitened_rows(rows)
        columns = np.concatenate([z, np.ones((len(z), int(self.inputs.fit_bias)))], axis=1) * roots
        directions = self.residual_subspace(network).directions[:, : max(widths)]
        floor = (self.settings.direct_floor * self.label_rms) ** 2
        best, r = network, self.inputs.rank
        linear_parts = {True: [True], False: [False], "auto": [False, True]}[self.fit_linear]
        for width in widths:
            for linear in linear_parts:
                step = len(z) * (width * columns.shape[1]) ** 2
                n_parameters = width * (columns.shape[1] + q - 1) + q * (r * linear + self.inputs.fit_bias)
                if len(z) * q < self.settings.direct_least_rows_per_parameter * n_parameters:
                    continue
                found = projected_search(
                    columns,
                    rows.y * roots,
                    width,
                    constant=self.inputs.fit_bias,
                    linear=linear,
                    floor=floor,
                    starts=int(np.clip(OPERATIONS / (40 * step * len(widths) * len(linear_parts)), 4, STARTS)),
                    seed=next(self.seeds),
                    directions=directions,
                )
                if found is None:
                    continue
                candidate = self._from_whitened(found)
                if self.is_exact(candidate):
                    return candidate
                optimum = self.polished(candidate, linear=linear)
                if self.improves(optimum, best):
                    best = optimum
        return best

    def _from_whitened(self, found: ReLUNetwork) -> ReLUNetwork:
        """Return a network of columns (z, 1) as one of the inputs."""
        r, bias = self.inputs.rank, self.inputs.fit_bias
        weights = self.inputs.x_weights(np.ascontiguousarray(found.weights[:, :r]))
        linear = self.inputs.x_weights(np.ascontiguousarray(found.linear[:, :r]))
        if not bias:
            return ReLUNetwork(weights, found.output_weights, None, linear, np.zeros(self.outputs.rank))
        biases = found.weights[:, r] - matmul(weights, self.inputs.mean)
        return ReLUNetwork(
            weights, found.output_weights, biases, linear, found.linear[:, r] - matmul(linear, self.inputs.mean)
        )

    def polished(self, network: ReLUNetwork, *, linear: bool) -> ReLUNetwork:
        """Return the least-squares optimum on the rows to fit: on the first, and on all where that is not exact."""
        if network.n_neurons == 0:
            return self.affine()
        optimum = network
        for rows in (self.first_rows(network.n_neurons), self.fitted):
            optimum = self._polished_on(rows, network, Free(self.inputs.fit_bias, linear), self.trace.errors_on_sample)
            if rows.n_rows == self.fitted.n_rows or self.is_exact(optimum):
                break
        return optimum

    def _polished_on(self, rows: FittedRows, network: ReLUNetwork, free: Free, errors: list[float]) -> ReLUNetwork:
        polished = polish_jointly(
            network,
            rows,
            self.inputs,
            free,
            label_rms=self.label_rms,
            steps=self.settings.polish_steps,
            n_jobs=self.trace.n_jobs,
            settings=self.settings,
        )
        errors.extend(polished.history)
        return polished.network

    def polished_on_all(self, network: ReLUNetwork) -> ReLUNetwork:
        """Return the least-squares optimum on all rows, with linear parts only if the network has some."""
        if network.n_neurons == 0:
            return network
        free = Free(self.inputs.fit_bias, self.fit_linear is True or bool(np.any(network.linear)))
        uncentred = self.outputs.uncentred(network)

        def sweep(accumulators: Sequence[Accumulator]) -> None:
            wrapped = self.outputs.mapped(accumulators, [np.eye(self.outputs.rank)] * len(accumulators))
            self.trace.sweep(wrapped)
            for accumulator, each in zip(accumulators, wrapped, strict=True):
                accumulator.merge(each.accumulator)

        rows = StreamedRows(sweep, self.samples.n_rows, self.fitted)
        optimum = self._polished_on(rows, uncentred, free, self.trace.errors)
        shift = matmul(self.outputs.whiten, self.outputs.shift)
        return ReLUNetwork(
            optimum.weights, optimum.output_weights, optimum.biases, optimum.linear, optimum.intercept - shift
        )

    def supported(self, network: ReLUNetwork) -> ReLUNetwork:
        """Return the optimum without the neurons that stand on a handful of rows, unless the network is exact."""
        few = self.settings.rows_per_side * (self.inputs.rank + 1)
        while network.n_neurons:
            active = self.rows_active(network)
            at_most = 0.0 if self.is_exact(network) else few
            always, never = self.n_fitted - active <= at_most, active <= at_most
            if self.fit_linear is False:
                always &= False
            if not np.any(always | never):
                break
            network = self.polished(without_neurons(network, always | never, always.astype(np.float64)), linear=True)
        return network

    def rows_active(self, network: ReLUNetwork) -> Array:
        """Return on how many rows to fit each neuron is active, in rows of equal weight."""
        active = self._active(network, self.fitted)
        share = np.sum(active * self.fitted.weight[:, None], axis=0) / np.sum(self.fitted.weight)
        return np.where(np.all(active, axis=0), self.n_fitted, share * self.n_fitted)

    @staticmethod
    def _active(network: ReLUNetwork, rows: HeldRows) -> NDArray[np.bool_]:
        """Return which neurons are active (n, k) at rows."""
        active: NDArray[np.bool_] = matmul(rows.x, network.weights.T) + network.biases > 0
        return active

    def reweighted(self, network: ReLUNetwork) -> ReLUNetwork:
        """Count outputs by what a fit leaves of them, their noise, and return the network in the new coordinates."""
        whole = self.outputs.network(network)
        residual = self.residual(network, self.fitted)
        self._set_outputs(self.outputs.reweighted(residual, self.fitted.weight))
        return self.polished(self.outputs.of_network(whole), linear=bool(np.any(network.linear)))

    def oriented(self, network: ReLUNetwork) -> ReLUNetwork:
        """Return the network with oriented neurons, and without its linear parts where the data allow it."""
        if network.n_neurons == 0:
            return network
        oriented = orient_jointly(network, self.inputs, self.settings)
        if self.fit_linear is True:
            return oriented
        plain = ReLUNetwork(
            oriented.weights,
            oriented.output_weights,
            oriented.biases,
            np.zeros_like(oriented.linear),
            oriented.intercept,
        )
        plain = self.polished(plain, linear=False)
        if self.fit_linear is False or self.is_exact(plain) or self.cost(plain) < self.cost(oriented):
            return plain
        return oriented

    def clumped(self, network: ReLUNetwork) -> tuple[ReLUNetwork, list[ClumpLevel]]:
        """Return the network with the fewest neurons that no finer one improves on, oriented, and the levels tried."""
        level = chosen = best = self.oriented(network)
        levels = [(level, 0.0)]
        dearer, share = 0, self.fitted.first(SOME).weight
        share = share / np.sum(share)
        while self.settings.clumping and level.n_neurons and dearer < self.settings.clump_patience:
            heights = matmul(self.fitted.x[:SOME], level.weights.T) + level.biases
            options = coarser_networks(level, self.inputs, heights, share)
            spare = self.settings.spare_error * self.label_rms
            if self.is_exact(chosen) and not any(self.rms(option) < spare for _, option in options):
                break
            fits = [(self.polished(option, linear=True), scale) for scale, option in options]
            fitted, scale = min(fits, key=lambda fit: self.cost(fit[0]))
            level = self.oriented(fitted)
            levels.append((level, scale))
            if self.cost(level) < self.cost(best):
                best = level
            if self.is_exact(level) or not self.improves(best, level):
                chosen, dearer = level, 0
            elif self.cost(level) < self.settings.clump_hopeless * self.cost(best):
                dearer += 1
            else:
                break
        return chosen, [
            ClumpLevel(scale, tuple(range(level.n_neurons)), self.cost(level), level is chosen)
            for level, scale in levels
            if level.n_neurons
        ]

    # What is told of the network that is returned.

    def risks_on_all(self, whole: ReLUNetwork) -> Array:
        """Return the mean squared residual of each output of a network of the labels, on all rows."""
        sums = JointGradientMoments(whole)
        self.trace.sweep([sums])
        return np.diagonal(sums.squares).copy()

    def certified(self, whole: ReLUNetwork) -> tuple[Risk, Array]:
        """Return the risk of a network of the labels summed over outputs, and that of each output."""
        rows, p = self.rows, self.n_parameters(whole)
        squares = (rows.y - whole.predict(rows.x)) ** 2
        leverage = min(p / max(self.inputs.n_rows * self.outputs.rank, 1.0), 0.98)
        raised = squares / (1 - leverage) ** 2
        risk = risk_of(np.sum(raised, axis=1), rows.weight, "the network that is returned")
        return risk, np.sum(rows.weight[:, None] * raised, axis=0) / np.sum(rows.weight)

    def status(self, whole: ReLUNetwork, limit: int, *, told: bool) -> Status:
        """Return how the fit ended, and warn the user where something can be done about it."""
        rms = np.sqrt(self.risks_on_all(whole))
        self.trace.errors.append(float(np.sqrt(np.sum(rms**2))))
        if np.all(rms <= self.roundings(whole)):
            return self._status_of_exact(whole)
        if np.all(rms <= np.maximum(EXPLAINED * self._grid_noise(whole), self.roundings(whole))) and not (
            self._exceeds_digits(whole)
        ):
            self.trace.warn(
                "the residuals are the rounding of labels or inputs to the few digits that they are given with: more "
                "digits would show more"
            )
            return "noise floor"
        at_limit = whole.n_neurons >= limit > 0
        if (not told and at_limit) or (self.inputs.rank and self._has_structure(whole)):
            self.trace.warn_of_structure(limit if at_limit else None)
            return "budget"
        return "noise floor" if whole.n_neurons else "no structure"

    def _status_of_exact(self, whole: ReLUNetwork) -> Status:
        if whole.n_neurons == 0:
            return "exact"
        # A row gives one equation for the weights of a neuron, however many outputs there are.
        on, n_parameters = self.rows_active(whole), self.inputs.rank + self.inputs.fit_bias
        few = np.flatnonzero(np.minimum(on, self.n_fitted - on) < n_parameters)
        weight = self.fitted.weight * (self.n_fitted / np.sum(self.fitted.weight))
        active, linear = self._active(whole, self.fitted), self.fit_linear is not False
        close = undetermined_pair(active, weight, whole.output_weights, n_parameters, linear=linear)
        if len(few) == 0 and close:
            self.trace.warn(close)
            return "budget"
        n_equations = self.inputs.n_rows * self.outputs.rank
        if len(few) == 0 and n_equations > self.n_parameters(whole):
            return "exact"
        which = f"neurons {', '.join(map(str, few))}: too few rows lie on one side" if len(few) else "rows are too few"
        self.trace.warn(
            f"{which}: the labels of these rows are the network up to rounding, those of others need not be"
        )
        return "budget"

    def _exceeds_digits(self, whole: ReLUNetwork) -> bool:
        """Return whether few residuals of an output are larger than the rounding that explains the others."""
        x, y = self.rows.x, self.rows.y
        residual = y - whole.predict(x)
        return any(
            precision.is_exceeded(residual[:, i], y[:, i], single_output(whole, i), x[:SOME])
            for i, precision in enumerate(self.precisions)
        )

    def _has_structure(self, whole: ReLUNetwork) -> bool:
        """Return whether the mean of a residual depends on the inputs."""
        if self.outputs.rank == 0:
            return False
        if self._exceeds_digits(whole):
            return True
        z = self.inputs.transform(self.rows.x - self.inputs.mean)
        residual = (self.rows.y - whole.predict(self.rows.x)) * np.sqrt(self.rows.weight)[:, None]
        residual = matmul(residual, self.outputs.whiten.T)
        coordinates = self.outputs.of_network(whole)
        look = self.residual_subspace(coordinates)
        neurons = self.inputs.z_weights(coordinates.weights)
        active = self._active(coordinates, self.fitted)
        steepest = steepest_directions(neurons, coordinates.output_weights, active, self.fitted.weight)
        along = joint_span(steepest, look.directions[:, : look.n_visible])[:, :LOOKED_ALONG]
        combinations = telling_combinations(z, residual)[:COMBINATIONS]
        signs = [mean_structure(z, matmul(residual, row), along, 0) for row in combinations]
        return max(signs) > self.settings.structure

    def uncertainty(self, whole: ReLUNetwork) -> JointUncertainty | None:
        """Return the covariance of the parameters of a network of the labels; None if it has too many."""
        linear = bool(np.any(whole.linear)) or whole.n_neurons == 0
        linearised = JointlyLinearised(whole, self.inputs, self.inputs.fit_bias, linear)
        if self.outputs.rank == 0 or not 0 < linearised.n_parameters <= self.settings.max_newton:
            return None
        metric = matmul(self.outputs.whiten.T, self.outputs.whiten)
        rows = self.rows
        residual = rows.y - whole.predict(rows.x)
        times = self.inputs.n_rows / effective_rows(rows.weight)
        return JointUncertainty.of(linearised, rows.x, residual, rows.weight, metric, times)

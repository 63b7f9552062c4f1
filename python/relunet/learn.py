"""The driver, which reads like Algorithm 1 of [CDGKM23]: look at what is left, find neurons in it, fit, look again."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from numbers import Integral
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from relunet import _relunet
from relunet.discovery import Candidate, choose, find_neurons
from relunet.errors import ArgumentError, DataError
from relunet.inputs import Inputs, SampledRows, read_inputs
from relunet.moments import Accumulator, RiskMoments, SliceMoments
from relunet.network import ReLUNetwork
from relunet.orientation import orient
from relunet.polish import Free, accelerate, newton, preconditioner
from relunet.progress import Progress, ProgressLine, row_bytes
from relunet.report import ClumpLevel, Report, Status
from relunet.samples import Samples, scan_array
from relunet.scales import blurred, coarser
from relunet.subspace import Subspace, find_subspace, joint_span, resolved_span, slice_edges, span
from relunet.trace import Trace
from relunet.validation import is_exact, risk_on

__all__ = ["FitResult", "learn"]

Array = NDArray[np.float64]
Rows = tuple[Array, Array, Array]

# Rows kept in memory.
SAMPLE_BYTES = 2**25
# Rows that are searched and first polished: so many a parameter, and no fewer than this.
ROWS_PER_PARAMETER, FEWEST_ROWS = 12, 20_000
# A fit needs so many rows a parameter: fewer, and it would only repeat the labels.
LEAST_ROWS_PER_PARAMETER = 2.5
# An error of the subspace smooths kinks, which more neurons would imitate: part of the loss that one must explain.
SMOOTHED = 0.02
# Floating-point operations of a round's exchanges: of the first rounds, of later ones where those led nowhere, and of
# the last.
EFFORT, MORE_EFFORT, MOST_EFFORT = 200_000_000, 8, 2_000_000_000
# Part of the risk that a round must take away to count as progress.
PROGRESS = 0.01
# Residual rounds: [CDGKM23] needs O(log k) of them.
MAX_ROUNDS = 24
# What a parameter costs, in units of the decrease of the risk that it brings by chance: 2 would be Akaike's price, but
# the best of several optima gains more by chance.
PRICE = 2.5
# An exact network has a neuron to spare only if it loses no more than this part of the labels without it.
NEARLY = 1e-4
# Coarser levels in a row that cost more, and how much more, before none further is tried.
PATIENCE, HOPELESS = 2, 1.1
# Sweeps over rows in memory that a polish may take.
STEPS = 40
# Normal matrices of at most so many parameters are factorised where the cheaper polish does not converge.
MAX_NEWTON = 1200


class FitResult(NamedTuple):
    """What `learn` returns.

    Attributes
    ----------
    network : ReLUNetwork
        The network.
    report : Report
        How the fit ended, and what it saw on the way.
    subspace : ndarray of shape (d, r)
        Orthonormal basis, as columns, of the space in which neurons' weights were searched.
    spectrum : ndarray
        Eigenvalues of the matrix that finds the subspace, descending.
    scales : list of ClumpLevel
        The clumps of neurons from the finest scale to the coarsest that was tried.
    """

    network: ReLUNetwork
    report: Report
    subspace: Array
    spectrum: Array
    scales: list[ClumpLevel]


def learn(
    samples: Samples,
    n_neurons: int | None = None,
    *,
    fit_bias: bool = True,
    fit_linear: bool | Literal["auto"] = "auto",
    max_neurons: int = 32,
    random_state: int = 0,
    n_jobs: int | None = None,
    verbose: int = 0,
    progress: Progress | None = None,
    start: ReLUNetwork | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> FitResult:
    """Find the network that made the labels of samples, or the best there is.

    The residual of the best affine function is cut into slices, which show a subspace; neurons are searched in it on
    rows kept in memory, then polished in all dimensions; what the residual of that fit shows joins the subspace, until
    it shows nothing more. Sides of kinks and clumps of close neurons are then chosen, and the network is fitted to all
    rows with exactly the parameters that are there.

    Parameters
    ----------
    samples : Samples
        Labelled samples, as the ``scan_*`` functions give.
    n_neurons : int, default None
        At most so many neurons; None means up to `max_neurons`.
    fit_bias : bool, default True
        Whether neurons have biases and the network an intercept.
    fit_linear : {"auto", True, False}, default "auto"
        Whether the network has a linear part; "auto" keeps one only if the data demand it.
    max_neurons : int, default 32
        Upper bound where `n_neurons` is None.
    random_state : int, default 0
        Seed; the same seed and samples give the same bits for any number of threads.
    n_jobs : int, default None
        Threads; None means one a core.
    verbose : int, default 0
        0 is silent, 1 shows progress on a terminal and in a notebook, 2 prints the report as well.
    progress : callable, default None
        Called with the stage, the rows done and the rows there are, about ten times a second, instead of the display.
    start : ReLUNetwork, default None
        A network to begin with, such as that of an earlier fit to which rows have been added.
    checkpoint : path, default None
        Folder that keeps what sweeps have found. The same fit, killed at whatever moment and begun again, goes on where
        it was, and returns the same bits; the folder is left to be deleted.

    Returns
    -------
    FitResult
        The network, the report, the subspace with its spectrum, and the clumps over scales.

    Raises
    ------
    ArgumentError
        A parameter that no data could make right.
    DataError
        NaN or infinity, no labels, too few rows.
    FileError
        A file that cannot be read.

    Examples
    --------
    >>> from relunet import scan_array, teachers
    >>> from relunet.learn import learn
    >>> teacher = teachers.generic(10, 3, rng=0)
    >>> x, y = teacher.sample(20_000, rng=1)
    >>> result = learn(scan_array(x, y), n_neurons=3, fit_bias=False)
    >>> result.report.status, result.network.n_neurons
    ('exact', 3)
    >>> result.network.gaussian_distance(teacher.network) < 1e-12
    True
    """
    at_most = _checked(samples, n_neurons, max_neurons, fit_linear, n_jobs)
    if start is not None and (start.n_features != samples.n_columns or start.n_neurons > at_most):
        expected = f"{samples.n_columns} features and at most {at_most} neurons"
        raise ArgumentError(f"start: {start.n_features} features and {start.n_neurons} neurons, expected {expected}")
    if progress is None and verbose:
        progress = ProgressLine(row_bytes=row_bytes(samples))
    trace = Trace(samples, n_jobs if n_jobs is None or n_jobs > 0 else None, progress, checkpoint)

    with trace.stage("inputs"):
        inputs, rows = read_inputs(
            trace.sweep,
            samples.n_rows,
            samples.n_columns,
            fit_bias=fit_bias,
            sample_size=_sample_size(samples.n_columns, at_most),
            seed=random_state,
        )
    fit = _Fit(trace, inputs, rows, fit_linear, random_state)
    network = inputs.affine_network()
    if start is not None and start.n_neurons:
        with trace.stage("polish"):
            network = min(network, fit.polished(start, linear=True), key=fit.cost)
    directions = fit.resolved_span(network) if network.n_neurons else np.zeros((inputs.rank, 0))
    seen: list[Subspace] = []
    effort = EFFORT
    limit = min(at_most, fit.affordable_neurons())
    while limit and not fit.is_exact(network) and len(seen) < MAX_ROUNDS and effort <= MORE_EFFORT * MOST_EFFORT:
        # What the residual still shows, beside the neurons there are, spans the space to search.
        with trace.stage("subspace"):
            # All rows show the error of a fit to some of them: where that may be all they show, they are fitted first.
            told_apart = effort == EFFORT or samples.n_rows < 2 * rows.n_fitted
            subspace = fit.residual_subspace(network if told_apart else fit.polished_on_all(network))
            visible = subspace.directions[:, : min(subspace.n_visible, limit)]
            seen.append(subspace)
        # With nothing new in sight, last looks at the neurons there are, while each is worth a neuron's parameters.
        last = visible.shape[1] == 0
        if last and network.n_neurons == 0:
            break
        if last:
            with trace.stage("scales"):
                visible = fit.blurred(network)[:, :limit]
        with trace.stage("discovery"):
            directions = joint_span(fit.resolved_span(network), visible)
            found = fit.search(
                directions, network, limit, MOST_EFFORT if last else effort, closer=last or effort > EFFORT
            )
        with trace.stage("polish"):
            better = min((fit.polished(candidate, linear=True) for candidate in found), key=fit.cost)
        gain = 1 - fit.cost(better) / fit.cost(network)
        network = min(network, better, key=fit.cost)
        if gain < PROGRESS:
            effort *= MORE_EFFORT
        if last and gain < inputs.rank / rows.n_fitted:
            break
    # Clumps and sides are chosen in memory; then all rows are fitted with the parameters that are left.
    with trace.stage("scales"):
        network, levels = fit.clumped(network)
    with trace.stage("polish"):
        certified = risk_on(network, *rows.held_out())
        network = fit.polished_on_all(network)
    with trace.stage("validation"):
        status = fit.ending(network, limit)
    if status == "no structure" and seen:
        least = seen[0].visible_share
        aim = 0.1 * min(least, 1.0)
        needed = float(f"{samples.n_rows * least / aim:.2g}")
        trace.warn(
            f"nothing but an affine function stands out: a neuron alone would if it explained {least:.2g} of the "
            f"variance left, and one that explains {aim:.2g} of it in about {needed:,.0f} rows"
        )

    spectrum = seen[0].spectrum if seen else np.zeros(0)
    report = Report(
        status=status,
        n_rows=samples.n_rows,
        n_features=samples.n_columns,
        n_neurons=network.n_neurons,
        rank=directions.shape[1],
        spectrum=tuple(float(v) for v in spectrum),
        bulk_edge=seen[0].bulk_edge if seen else 0.0,
        visible_share=seen[0].visible_share if seen else 0.0,
        scales=tuple(levels),
        risk=certified.mean,
        risk_interval=certified.interval,
        risk_level=certified.level,
        risk_network="the network fitted to the sampled rows that were not held out",
        sweeps=trace.n_sweeps,
        rows_read=trace.n_sweeps * samples.n_rows,
        stages=trace.stages,
        errors_per_sweep=tuple(trace.errors),
        errors_on_sample=tuple(trace.errors_on_sample),
        label_rms=float(np.sqrt(inputs.label_var)),
        messages=tuple(trace.messages),
    )
    if verbose >= 2:
        print(report)  # noqa: T201
    return FitResult(network, report, span(_relunet.matmul(inputs.whiten, directions)), spectrum, levels)


def _checked(samples: Samples, n_neurons: int | None, max_neurons: int, fit_linear: object, n_jobs: int | None) -> int:
    """Refuse arguments that no data could make right; return the most neurons allowed."""
    counts: dict[str, object] = {"n_neurons": n_neurons, "max_neurons": max_neurons, "n_jobs": n_jobs}
    for name, value in counts.items():
        if value is None and name != "max_neurons":
            continue
        if isinstance(value, bool) or not isinstance(value, Integral) or (int(value) < 1 and name != "n_jobs"):
            raise ArgumentError(f"{name}: {value!r}, expected an integer of at least 1")
    if not (fit_linear == "auto" or isinstance(fit_linear, bool | np.bool_)):
        raise ArgumentError(f"fit_linear: {fit_linear!r}, expected True, False or 'auto'")
    if not samples.has_labels:
        raise DataError("y: the samples have no labels, expected labelled ones")
    needed = samples.n_columns + 2
    if samples.n_rows < needed:
        count = f"{samples.n_rows} sample{'s' if samples.n_rows != 1 else ''}"
        raise DataError(
            f"X: {count} of {samples.n_columns} features, at least {needed} are needed, many more for neurons"
        )
    return int(max_neurons if n_neurons is None else n_neurons)


def _sample_size(n_features: int, n_neurons: int) -> int:
    """Return how many rows to keep in memory: what the memory holds, but enough to fit some neurons."""
    enough = ROWS_PER_PARAMETER * (n_features + 1) * (min(n_neurons, 4) + 1)
    return max(SAMPLE_BYTES // (8 * n_features), enough)


class _Fit:
    """The stages of one fit, on its samples and on the rows of them that are in memory."""

    def __init__(
        self, trace: Trace, inputs: Inputs, rows: SampledRows, fit_linear: bool | Literal["auto"], seed: int
    ) -> None:
        if len(rows) == 0:
            raise DataError("sample_weight: all weights are zero, expected some positive ones")
        self.trace, self.samples, self.inputs, self.rows = trace, trace.samples, inputs, rows
        self.fit_linear = fit_linear
        # A round that leads nowhere is not to be repeated.
        self.seeds = count(seed)
        self.fitted = rows.fitted()
        self.label_rms = float(np.sqrt(inputs.label_var + inputs.label_mean**2))

    def sweep_rows(self, rows: Rows, accumulators: Sequence[Accumulator]) -> None:
        """Sweep rows in memory through accumulators."""
        _relunet.sweep(scan_array(*rows).source, list(accumulators), n_threads=self.trace.n_jobs)

    def first_rows(self, n_neurons: int) -> Rows:
        """Return as many rows to fit as so many neurons need."""
        return self.rows.fitted(max(FEWEST_ROWS, ROWS_PER_PARAMETER * (self.inputs.rank + 1) * (n_neurons + 1)))

    def rms_on(self, rows: Rows, network: ReLUNetwork) -> float:
        """Return the root mean square residual on rows in memory."""
        risk = RiskMoments(network)
        self.sweep_rows(rows, [risk])
        return float(np.sqrt(risk.risk))

    def is_exact(self, network: ReLUNetwork) -> bool:
        """Tell whether the rows in memory are this network up to rounding."""
        rms = self.rms_on((self.rows.x, self.rows.y, self.rows.weight), network)
        return is_exact(rms, self.label_rms, self.samples.dtype)

    def cost(self, network: ReLUNetwork) -> float:
        """Return the risk on the rows to fit, and with it what its parameters take from it by chance.

        p parameters leave 1 - p/n of the risk on n rows for nothing, and raise that of the final fit, to all N rows, by
        p/N: where rows are few, far more than both to first order.
        """
        n_parameters = network.n_neurons * (self.inputs.rank + self.inputs.fit_bias)
        n_parameters += self.inputs.rank * bool(np.any(network.linear))
        price = PRICE / 2 * n_parameters
        # A neuron more than the rows can determine is dear, not cheap.
        left = max(1 - price / self.rows.n_fitted, 1e-3)
        return self.rms_on(self.fitted, network) ** 2 * (1 + price / self.samples.n_rows) / left

    def affordable_neurons(self) -> int:
        """Return how many neurons the rows could determine."""
        per_neuron = LEAST_ROWS_PER_PARAMETER * (self.inputs.rank + 1)
        affordable = int(self.rows.n_fitted / per_neuron - 1) if self.inputs.rank else 0
        if affordable < 1 and self.inputs.rank:
            needed = int(2 * per_neuron * self.samples.n_rows / self.rows.n_fitted) + 1
            self.trace.warn(
                f"{self.samples.n_rows} rows are too few for a neuron, about {needed} are needed: an affine fit"
            )
        return max(affordable, 0)

    def residual_subspace(self, network: ReLUNetwork) -> Subspace:
        """Return the directions in which slices of y - f(x) differ."""
        residual = self.rows.y - network.predict(self.rows.x)
        edges = slice_edges(residual, self.samples.n_rows, self.inputs.rank)
        slices = SliceMoments(self.samples.n_columns, edges, network)
        self.trace.sweep([slices])
        return find_subspace(slices, self.inputs.mean, self.inputs.whiten)

    def resolved_span(self, network: ReLUNetwork) -> Array:
        """Return an orthonormal basis of what the neurons span beyond their errors, in whitened coordinates."""
        x, _, weight = self.fitted
        gates = _relunet.matmul(x, network.weights.T.copy()) + network.biases > 0
        neurons = self.inputs.whitened(network.weights * network.output_weights[:, None])
        return resolved_span(neurons, gates.astype(np.float64), weight, self.rms_on(self.fitted, network))

    def blurred(self, network: ReLUNetwork) -> Array:
        """Return the directions in which kinks of the network are blurred, on the rows to fit."""
        x, y, weight = self.fitted
        z = _relunet.matmul(x - self.inputs.mean, self.inputs.whiten)
        residual = (y - network.predict(x)) * np.sqrt(weight)
        return blurred(network, z, residual, self.inputs.unwhiten, self.inputs.mean)

    def search(
        self, directions: Array, network: ReLUNetwork, limit: int, effort: int, *, closer: bool
    ) -> list[ReLUNetwork]:
        """Return the best networks whose weights lie in the span of `directions`, from rows in memory.

        A first look returns one, a closer one all that the projected rows cannot tell apart.
        """
        x, y, weight = self.fitted if closer else self.first_rows(network.n_neurons + 1)
        # Terms of a fan explain nothing one by one: in a closer look each may stay for the others' sake.
        least_gain = 0.0 if closer else SMOOTHED
        # Linear functions off the span are known already: as noise of the search they would hide small neurons.
        beyond = self.inputs.linear_beyond(network, directions)
        found = find_neurons(
            self.inputs.features(x, directions),
            y - beyond.predict(x),
            limit,
            fit_bias=self.inputs.fit_bias,
            sample_weight=weight,
            starts=[Candidate(*self.inputs.projected(network, directions), np.inf, np.inf)],
            least_gain=least_gain,
            budget=effort,
            seed=next(self.seeds),
            n_jobs=self.trace.n_jobs,
        )
        best = choose(found, len(y), least_gain)
        chosen = [c for c in found if -1 <= c.n_neurons - best.n_neurons <= 2] if closer else [best]
        return [self.inputs.unprojected(c.linear, c.vectors, c.signs, directions, beyond) for c in chosen]

    def precondition(self, free: Free, rows: Rows) -> Callable[[ReLUNetwork, float], Callable[[Array], Array]]:
        """Return the maker of preconditioners from rows in memory."""
        inputs, (x, _, weight) = self.inputs, rows
        return lambda network, damping: preconditioner(
            network, x, weight, inputs.whiten, inputs.unwhiten, inputs.mean, free, damping
        )

    def tolerance(self, network: ReLUNetwork, n_rows: int) -> float:
        """Return the relative decrease of the risk that is not worth a step: a hundredth of the statistical error."""
        return 1e-2 * network.weights.size / n_rows

    def polished(self, network: ReLUNetwork, *, linear: bool) -> ReLUNetwork:
        """Return the least-squares optimum on the rows to fit: on the first, and on all where that is not exact.

        Both begin at `network`: noise in the first rows leads close neurons into optima that more rows do not have.
        """
        if network.n_neurons == 0:
            return self.inputs.affine_network()
        free = Free(self.inputs.fit_bias, linear)
        n_parameters = (network.n_neurons + 1) * (self.samples.n_columns + 1)
        optimum = network
        for rows in (self.first_rows(network.n_neurons), self.fitted):
            sweep = partial(self.sweep_rows, rows)
            rms, tolerance = self.label_rms, self.tolerance(network, len(rows[1]))
            polished = accelerate(
                network, sweep, self.precondition(free, rows), free, label_rms=rms, tolerance=tolerance, steps=STEPS
            )
            self.trace.errors_on_sample.extend(polished.history)
            if len(polished.history) >= STEPS and n_parameters <= MAX_NEWTON:
                polished = newton(polished.network, sweep, free, label_rms=rms, tolerance=tolerance)
            optimum = polished.network
            if len(rows[1]) == self.rows.n_fitted or self.is_exact(optimum):
                break
        return optimum

    def polished_on_all(self, network: ReLUNetwork) -> ReLUNetwork:
        """Return the least-squares optimum on all rows, with a linear part only if the network has one."""
        if network.n_neurons == 0:
            return network if self.fit_linear is not False else self.inputs.constant_network()
        free = Free(self.inputs.fit_bias, self.fit_linear is True or bool(np.any(network.linear)))
        polished = accelerate(
            network,
            self.trace.sweep,
            self.precondition(free, self.fitted),
            free,
            label_rms=self.label_rms,
            tolerance=self.tolerance(network, self.samples.n_rows),
        )
        self.trace.errors.extend(polished.history)
        return polished.network

    def sided(self, network: ReLUNetwork) -> ReLUNetwork:
        """Return the network with its sides chosen, and without its linear part where the data allow it."""
        if network.n_neurons == 0:
            return network
        oriented = orient(network, self.inputs.unwhiten)
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
            options = coarser(level, self.inputs.unwhiten, self.inputs.mean)
            if exact and not any(self.rms_on(self.fitted, o.network) < NEARLY * self.label_rms for o in options):
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
        held_out = self.rows.held_out()
        return chosen, [
            ClumpLevel(scale, clumps, risk_on(level, *held_out).mean, level is chosen)
            for level, scale, clumps in levels
        ]

    def ending(self, network: ReLUNetwork, limit: int) -> Status:
        """Tell how the fit ended."""
        risk = RiskMoments(network)
        self.trace.sweep([risk])
        rms = float(np.sqrt(risk.risk))
        self.trace.errors.append(rms)
        if is_exact(rms, self.label_rms, self.samples.dtype):
            return "exact"
        if network.n_neurons == 0:
            return "no structure"
        if self.residual_subspace(network).n_visible == 0:
            return "noise floor"
        if network.n_neurons >= limit:
            self.trace.warn(f"{limit} neurons do not explain the labels: the best such network is returned")
        return "budget"

"""The driver, which reads like Algorithm 1 of [CDGKM23]: look at what is left, find neurons in it, fit, look again."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
from relunet.polish import Free, Polished, accelerate, newton, preconditioner
from relunet.report import ClumpLevel, Report, Stage, Status
from relunet.samples import Samples, scan_array
from relunet.scales import coarser
from relunet.subspace import Subspace, find_subspace, slice_edges
from relunet.validation import Risk, is_exact, no_worse, risk_on

__all__ = ["FitResult", "learn"]

Array = NDArray[np.float64]
Progress = Callable[[str, int, int], None]
Rows = tuple[Array, Array, Array]

# Rows kept in memory.
SAMPLE_BYTES = 2**25
# Rows that are searched and first polished: so many a parameter, and no fewer than this.
ROWS_PER_PARAMETER, FEWEST_ROWS = 12, 20_000
# A fit needs so many rows a parameter: fewer, and it would only repeat the labels.
LEAST_ROWS_PER_PARAMETER = 2.5
# An error of the subspace smooths kinks, which more neurons would imitate: part of the loss that one must explain.
SMOOTHED = 0.02
# Residual rounds: [CDGKM23] needs O(log k) of them.
MAX_ROUNDS = 8
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
        From 2 on the report is printed.
    progress : callable, default None
        Called with the stage, the rows done and the rows there are, about ten times a second.

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
    fit = _Fit(samples, n_jobs, progress)

    with fit.stage("inputs"):
        inputs, rows = read_inputs(
            fit.sweep,
            samples.n_rows,
            samples.n_columns,
            fit_bias=fit_bias,
            sample_size=_sample_size(samples.n_columns, at_most),
            seed=random_state,
        )
        fit.start(inputs, rows)
    network = inputs.affine_network()
    directions = np.zeros((inputs.rank, 0))
    seen: list[Subspace] = []
    limit = min(at_most, fit.affordable_neurons())
    while limit and not fit.is_exact(network):
        # What the residual still shows, beside the neurons there are, spans the space to search.
        with fit.stage("subspace"):
            subspace = fit.residual_subspace(network)
        seen.append(subspace)
        visible = subspace.directions[:, : min(subspace.n_visible, limit)]
        # With nothing new in sight, a last and closer look at the space that there is.
        last = visible.shape[1] == 0
        if (last and network.n_neurons == 0) or len(seen) > MAX_ROUNDS:
            break
        directions = _joint_span(inputs.whitened(network.weights).T, visible)
        with fit.stage("discovery"):
            candidate = fit.search(directions, network, limit, 0.0 if last else SMOOTHED, random_state, n_jobs)
        with fit.stage("polish"):
            better = fit.polish_in_memory(candidate, linear=True)
        if not fit.improves(better, network):
            break
        network = better
        if last:
            break
    # Sides and clumps are chosen on the sample; then all rows are fitted with the parameters that are left.
    with fit.stage("scales"):
        network, levels = fit.clump(network)
        network, linear = fit.choose_sides(network, fit_linear)
        certified = fit.held_out_risk(network)
    with fit.stage("polish"):
        network = fit.polish_on_all(network, linear)
    with fit.stage("validation"):
        status = fit.ending(network, limit)
    return fit.result(network, status, certified, directions, seen, levels, verbose)


def _checked(
    samples: Samples, n_neurons: int | None, max_neurons: int, fit_linear: bool | str, n_jobs: int | None
) -> int:
    """Refuse arguments that no data could make right; return the most neurons allowed."""
    for name, value in (("n_neurons", n_neurons), ("max_neurons", max_neurons), ("n_jobs", n_jobs)):
        if value is None and name != "max_neurons":
            continue
        if isinstance(value, bool) or not isinstance(value, Integral) or (value < 1 and name != "n_jobs"):
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


def _span(columns: Array) -> Array:
    """Return an orthonormal basis, as columns, of the span of given columns."""
    norms = np.sqrt(np.sum(columns**2, axis=0))
    u, s, _ = _relunet.svd(columns[:, norms > 0] / norms[norms > 0])
    return u[:, s > 1e-9 * s[0]] if len(s) else columns[:, :0]


def _joint_span(neurons: Array, visible: Array) -> Array:
    """Return an orthonormal basis of what neurons span, then of what visible directions add to it."""
    basis = _span(neurons)
    beyond = visible - _relunet.matmul(basis, _relunet.matmul(basis.T.copy(), visible))
    kept = np.sum(beyond**2, axis=0) > 1e-4
    return np.concatenate([basis, _span(beyond[:, kept])], axis=1)


class _Fit:
    """One fit: its samples, the rows in memory, and what is counted on the way."""

    def __init__(self, samples: Samples, n_jobs: int | None, progress: Progress | None) -> None:
        self.samples, self.progress = samples, progress
        self.n_threads = n_jobs if n_jobs is not None and n_jobs > 0 else None
        self.seconds: dict[str, float] = {}
        self.sweeps: dict[str, int] = {}
        self.current = "inputs"
        self.history: list[float] = []
        self.messages: list[str] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count time and sweeps for the stage `name`."""
        self.current = name
        self.sweeps.setdefault(name, 0)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def sweep(self, accumulators: Sequence[Accumulator]) -> None:
        """Sweep all rows through accumulators."""
        self.sweeps[self.current] += 1
        n_rows, progress, stage = self.samples.n_rows, self.progress, self.current
        report = None if progress is None else lambda done: progress(stage, done, n_rows)
        _relunet.sweep(self.samples.source, list(accumulators), n_threads=self.n_threads, progress=report)

    def start(self, inputs: Inputs, rows: SampledRows) -> None:
        """Take what the first sweep has read."""
        if len(rows) == 0 or not np.any(rows.weight > 0):
            raise DataError("sample_weight: all weights are zero, expected some positive ones")
        self.inputs, self.rows = inputs, rows
        n = rows.n_fitted
        self.train: Rows = (rows.x[:n], rows.y[:n], rows.weight[:n])
        self.held: Rows = (rows.x[n:], rows.y[n:], rows.weight[n:])
        self.label_rms = float(np.sqrt(inputs.label_var + inputs.label_mean**2))

    def first_rows(self, n_neurons: int) -> Rows:
        """Return as many rows to fit as `n_neurons` neurons need; which they are was left to their hashes."""
        n = max(FEWEST_ROWS, ROWS_PER_PARAMETER * (self.inputs.rank + 1) * (n_neurons + 1))
        x, y, weight = self.train
        return x[:n], y[:n], weight[:n]

    def rms_in_memory(self, network: ReLUNetwork) -> float:
        """Return the root mean square residual on the rows in memory."""
        return self.rms_on((self.rows.x, self.rows.y, self.rows.weight), network)

    def rms_on(self, rows: Rows, network: ReLUNetwork) -> float:
        """Return the root mean square residual on given rows."""
        risk = RiskMoments(network)
        _relunet.sweep(scan_array(*rows).source, [risk], n_threads=self.n_threads)
        return float(np.sqrt(risk.risk))

    def is_exact(self, network: ReLUNetwork) -> bool:
        """Tell whether the rows in memory are this network up to rounding."""
        return is_exact(self.rms_in_memory(network), self.label_rms, self.samples.dtype)

    def affordable_neurons(self) -> int:
        """Return how many neurons the rows could determine."""
        affordable = int(len(self.train[1]) / (LEAST_ROWS_PER_PARAMETER * (self.inputs.rank + 1)) - 1)
        if affordable < 1:
            needed = int(2 * LEAST_ROWS_PER_PARAMETER * (self.inputs.rank + 1) * 1.15) + 1
            self.warn(f"{self.samples.n_rows} rows are too few for a neuron, about {needed} are needed: an affine fit")
        return max(affordable, 0)

    @property
    def price(self) -> float:
        """What a neuron more costs: the relative decrease of the risk on the rows it is fitted to that it must bring.

        With p parameters it lowers the risk on n rows by p/n of itself for nothing, and raises that of the final fit,
        to all N rows, by p/N.
        """
        n_parameters = self.inputs.rank + self.inputs.fit_bias
        return n_parameters * (1 / len(self.train[1]) + 1 / self.samples.n_rows)

    def warn(self, message: str) -> None:
        """Tell the user, once, now and in the report."""
        if message not in self.messages:
            self.messages.append(message)
            warnings.warn(message, UserWarning, stacklevel=4)

    def residual_subspace(self, network: ReLUNetwork) -> Subspace:
        """Return the directions in which slices of y - f(x) differ."""
        residual = self.rows.y - network.predict(self.rows.x)
        edges = slice_edges(residual, self.samples.n_rows, self.inputs.rank)
        slices = SliceMoments(self.samples.n_columns, edges, network)
        self.sweep([slices])
        return find_subspace(slices, self.inputs.mean, self.inputs.whiten)

    def search(
        self, directions: Array, network: ReLUNetwork, limit: int, least_gain: float, seed: int, n_jobs: int | None
    ) -> ReLUNetwork:
        """Return the best network whose weights lie in the span of `directions`, from the rows in memory."""
        x, y, weight = self.first_rows(network.n_neurons + 1)
        z = self.inputs.features(x, directions)
        start = self.projected(network, directions)
        found = find_neurons(
            z, y, limit, fit_bias=self.inputs.fit_bias, sample_weight=weight, starts=[start], seed=seed, n_jobs=n_jobs
        )
        return self.unprojected(choose(found, len(y), least_gain), directions)

    def projected(self, network: ReLUNetwork, directions: Array) -> Candidate:
        """Return a network as a function of projected rows, in the form of |·|."""
        sizes = np.abs(network.output_weights)[:, None]
        linear = network.linear + np.sum(network.weights * network.output_weights[:, None], axis=0) / 2
        constant = float(network.intercept) + float(np.sum(network.biases * network.output_weights)) / 2
        rows = np.concatenate([network.weights * sizes / 2, linear[None, :]])
        shifts = np.append(network.biases * sizes[:, 0] / 2, constant)
        columns = [_relunet.matmul(self.inputs.whitened(rows), directions)]
        if self.inputs.fit_bias:
            columns.append((shifts + _relunet.matmul(rows, self.inputs.mean[:, None])[:, 0])[:, None])
        parameters = np.concatenate(columns, axis=1)
        return Candidate(parameters[-1], parameters[:-1], np.sign(network.output_weights), np.inf, np.inf)

    def unprojected(self, candidate: Candidate, directions: Array) -> ReLUNetwork:
        """Return a function of projected rows as a network: |t| = 2 relu(t) - t."""
        parameters = np.concatenate([candidate.vectors, candidate.linear[None, :]])
        weights, biases = self.inputs.weights(parameters, directions)
        signs = candidate.signs
        linear = weights[-1] - np.sum(weights[:-1] * signs[:, None], axis=0)
        constant = float(biases[-1] - np.sum(biases[:-1] * signs))
        return ReLUNetwork(2 * weights[:-1], signs, 2 * biases[:-1], linear, constant)

    def free(self, linear: bool) -> Free:
        """Return which parameters are fitted."""
        return Free(self.inputs.fit_bias, linear)

    def tolerance(self, network: ReLUNetwork, n_rows: int) -> float:
        """Return the relative decrease of the risk that is not worth a step: a hundredth of the statistical error."""
        return 1e-2 * network.weights.size / n_rows

    def precondition(self, free: Free, rows: Rows) -> Callable[[ReLUNetwork, float], Callable[[Array], Array]]:
        """Return the maker of preconditioners from rows in memory."""
        inputs = self.inputs

        def at(network: ReLUNetwork, damping: float) -> Callable[[Array], Array]:
            x, _, weight = rows
            return preconditioner(network, x, weight, inputs.whiten, inputs.unwhiten, inputs.mean, free, damping)

        return at

    def polish_in_memory(self, network: ReLUNetwork, *, linear: bool, steps: int = 40) -> ReLUNetwork:
        """Return the least-squares optimum on the rows to fit: on the first of them, and on all where that is not exact."""
        for rows in (self.first_rows(network.n_neurons), self.train):
            network = self.polish_on(rows, network, linear=linear, steps=steps)
            if self.is_exact(network) or len(rows[1]) == len(self.train[1]):
                break
        return network

    def polish_on(self, rows: Rows, network: ReLUNetwork, *, linear: bool, steps: int) -> ReLUNetwork:
        """Return the least-squares optimum on given rows; that on all rows where no neuron is left."""
        if network.n_neurons == 0:
            return self.inputs.affine_network()
        free, source = self.free(linear), scan_array(*rows).source

        def sweep(accumulators: Sequence[Accumulator]) -> None:
            _relunet.sweep(source, list(accumulators), n_threads=self.n_threads)

        arguments = {"label_rms": self.label_rms, "tolerance": self.tolerance(network, len(rows[1]))}
        polished = accelerate(network, sweep, self.precondition(free, rows), free, steps=steps, **arguments)
        n_parameters = (network.n_neurons + 1) * (self.samples.n_columns + 1)
        if len(polished.history) >= steps and n_parameters <= MAX_NEWTON:
            polished = newton(polished.network, sweep, free, **arguments)
        return polished.network

    def polish_on_all(self, network: ReLUNetwork, linear: bool) -> ReLUNetwork:
        """Return the least-squares optimum on all rows."""
        if network.n_neurons == 0:
            return network
        free = self.free(linear)
        polished = accelerate(
            network,
            self.sweep,
            self.precondition(free, self.train),
            free,
            label_rms=self.label_rms,
            tolerance=self.tolerance(network, self.samples.n_rows),
        )
        self.history.extend(polished.history)
        return polished.network

    def improves(self, network: ReLUNetwork, earlier: ReLUNetwork) -> bool:
        """Tell whether a network predicts better than an earlier one by more than its neurons more would by chance."""
        extra = network.n_neurons - earlier.n_neurons
        return self.rms_on(self.train, network) ** 2 * (1 + extra * self.price) < self.rms_on(self.train, earlier) ** 2

    def held_out_risk(self, network: ReLUNetwork) -> Risk:
        """Return the risk on the rows held out."""
        return risk_on(network, *self.held)

    def clump(self, network: ReLUNetwork) -> tuple[ReLUNetwork, list[ClumpLevel]]:
        """Return the coarsest network that predicts no worse than a finer one, and all levels that were tried."""
        labels = list(range(network.n_neurons))
        chosen, risk = network, self.rms_on(self.train, network) ** 2
        levels = [ClumpLevel(0.0, tuple(labels), self.held_out_risk(network).mean)] if labels else []
        while chosen.n_neurons:
            tried = []
            for option in coarser(chosen, self.inputs.unwhiten, self.inputs.mean):
                fitted = self.polish_in_memory(option.network, linear=True, steps=12)
                tried.append((self.rms_on(self.train, fitted) ** 2, option, fitted))
            best, option, fitted = min(tried, key=lambda t: t[0])
            i, j = option.pair
            labels = [i if v == j else v - (v > j) for v in labels]
            levels.append(ClumpLevel(option.scale, tuple(labels), self.held_out_risk(fitted).mean))
            if best > risk * (1 + self.price) and not self.is_exact(fitted):
                break
            chosen, risk = fitted, best
        return chosen, [
            ClumpLevel(level.scale, level.labels, level.risk, level.n_clumps == chosen.n_neurons) for level in levels
        ]

    def choose_sides(self, network: ReLUNetwork, fit_linear: bool | str) -> tuple[ReLUNetwork, bool]:
        """Return the network without its linear part where the data allow it, and whether one is left."""
        if network.n_neurons == 0:
            return network, fit_linear is not False
        oriented = orient(network, self.inputs.unwhiten)
        if fit_linear is True:
            return oriented, True
        plain = self.polish_in_memory(oriented, linear=False)
        if fit_linear is False:
            return plain, False
        with_linear, without = self.rms_in_memory(oriented) ** 2, self.rms_in_memory(plain) ** 2
        d, n = self.inputs.rank, len(self.train[1])
        # d parameters of no use lower the risk by d/n of itself, give or take √(2d)/n.
        if without <= with_linear * (1 + (d + 4 * np.sqrt(2 * d)) / n) or self.is_exact(plain):
            return plain, False
        return oriented, True

    def ending(self, network: ReLUNetwork, limit: int) -> Status:
        """Tell how the fit ended."""
        risk = RiskMoments(network)
        self.sweep([risk])
        rms = float(np.sqrt(risk.risk))
        self.history.append(rms)
        if is_exact(rms, self.label_rms, self.samples.dtype):
            return "exact"
        if network.n_neurons == 0:
            return "no structure"
        if self.residual_subspace(network).n_visible == 0:
            return "noise floor"
        if network.n_neurons >= limit:
            self.warn(f"{limit} neurons do not explain the labels: the best such network is returned")
        return "budget"

    def result(
        self,
        network: ReLUNetwork,
        status: Status,
        certified: Risk,
        directions: Array,
        seen: list[Subspace],
        levels: list[ClumpLevel],
        verbose: int,
    ) -> FitResult:
        """Return the network with all that is to be told."""
        spectrum = seen[0].spectrum if seen else np.zeros(0)
        raw = _relunet.matmul(self.inputs.whiten, directions)
        basis = _span(raw)
        sweeps = sum(self.sweeps.values())
        report = Report(
            status=status,
            n_rows=self.samples.n_rows,
            n_features=self.samples.n_columns,
            n_neurons=network.n_neurons,
            rank=directions.shape[1],
            spectrum=tuple(float(v) for v in spectrum),
            bulk_edge=seen[0].bulk_edge if seen else 0.0,
            scales=tuple(levels),
            risk=certified.mean,
            risk_interval=certified.interval,
            risk_level=certified.level,
            risk_network="the network fitted to the sampled rows that were not held out",
            sweeps=sweeps,
            rows_read=sweeps * self.samples.n_rows,
            stages=tuple(Stage(name, self.seconds[name], self.sweeps[name]) for name in self.seconds),
            errors_per_sweep=tuple(self.history),
            label_rms=float(np.sqrt(self.inputs.label_var)),
            messages=tuple(self.messages),
        )
        if verbose >= 2:
            print(report)
        return FitResult(network, report, basis, spectrum, levels)

"""The driver, which reads like Algorithm 1 of [CDGKM23]: look at what is left, find neurons in it, fit, look again."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
from relunet.report import ClumpLevel, Report, Stage, Status
from relunet.samples import Samples, scan_array
from relunet.scales import coarser
from relunet.subspace import Subspace, find_subspace, slice_edges
from relunet.validation import Risk, is_exact, risk_on

__all__ = ["FitResult", "learn"]

Array = NDArray[np.float64]
Progress = Callable[[str, int, int], None]
Rows = tuple[Array, Array, Array]

# Rows kept in memory.
SAMPLE_BYTES = 2**26
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
    >>> teacher = teachers.generic(10, 3, seed=0)
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
    effort = EFFORT
    limit = min(at_most, fit.affordable_neurons())
    while limit and not fit.is_exact(network) and len(seen) < MAX_ROUNDS and effort <= MORE_EFFORT * MOST_EFFORT:
        # What the residual still shows, beside the neurons there are, spans the space to search.
        with fit.stage("subspace"):
            subspace = fit.residual_subspace(network)
        seen.append(subspace)
        visible = subspace.directions[:, : min(subspace.n_visible, limit)]
        # With nothing new in sight, a last and closer look at the space that there is.
        last = visible.shape[1] == 0
        if last and network.n_neurons == 0:
            break
        with fit.stage("discovery"):
            directions = _joint_span(fit.resolved_span(network), visible)
            found = fit.search(directions, network, limit, MOST_EFFORT if last else effort, last, random_state, n_jobs)
        with fit.stage("polish"):
            better = min((fit.polish_in_memory(f, linear=True) for f in found), key=fit.cost)
        if fit.cost(better) > (1 - PROGRESS) * fit.cost(network):
            effort *= MORE_EFFORT
        network = min(network, better, key=fit.cost)
        if last:
            break
    # Clumps and sides are chosen on the sample; then all rows are fitted with the parameters that are left.
    with fit.stage("scales"):
        network, levels = fit.clump(network, fit_linear)
        certified = fit.held_out_risk(network)
    with fit.stage("polish"):
        network = fit.polish_on_all(network, fit_linear is True or bool(np.any(network.linear)))
    with fit.stage("validation"):
        status = fit.ending(network, limit)
    return fit.result(network, status, certified, directions, seen, levels, verbose)


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


def _span(columns: Array) -> Array:
    """Return an orthonormal basis, as columns, of the span of given columns."""
    norms = np.sqrt(np.sum(columns**2, axis=0))
    u, s, _ = _relunet.svd(columns[:, norms > 0] / norms[norms > 0])
    return u[:, s > 1e-9 * s[0]] if len(s) else columns[:, :0]


def _joint_span(basis: Array, visible: Array) -> Array:
    """Return an orthonormal basis of a span, then of what visible directions add to it."""
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
        held = rows.held_out if np.any(rows.held_out) and not np.all(rows.held_out) else np.arange(len(rows)) == 0
        self.held = (rows.x[held], rows.y[held], rows.weight[held])
        self.train: Rows = (rows.x[~held], rows.y[~held], rows.weight[~held])
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

    def cost(self, network: ReLUNetwork) -> float:
        """Return the risk on the rows to fit, and with it what its parameters take from it by chance.

        p parameters lower the risk on n rows by p/n of itself for nothing, and raise that of the final fit, to all N
        rows, by p/N.
        """
        n_parameters = network.n_neurons * (self.inputs.rank + self.inputs.fit_bias)
        n_parameters += self.inputs.rank * bool(np.any(network.linear))
        chance = PRICE / 2 * n_parameters * (1 / len(self.train[1]) + 1 / self.samples.n_rows)
        return self.rms_on(self.train, network) ** 2 * (1 + chance)

    def resolved_span(self, network: ReLUNetwork) -> Array:
        """Return an orthonormal basis of what the neurons span beyond their errors, in whitened coordinates.

        Off their span, weights W of neurons with gates g have errors of covariance C⁻¹ σ²/n, C = cov(g): those of
        C^{1/2} W are independent, and without neurons its largest singular value is about σ (√k + √r)/√n.
        """
        k, r = network.n_neurons, self.inputs.rank
        x, y, weight = self.train
        gates = (_relunet.matmul(x, network.weights.T.copy()) + network.biases > 0).astype(np.float64)
        share = (weight / weight.sum())[:, None]
        centred = (gates - np.sum(share * gates, axis=0)) * np.sqrt(share)
        values, vectors = _relunet.eigh(_relunet.matmul(centred.T.copy(), centred))
        roots = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
        weights = network.weights * network.output_weights[:, None]
        _, s, vt = _relunet.svd(_relunet.matmul(roots, self.inputs.whitened(weights)))
        error = self.rms_on(self.train, network) * (np.sqrt(k) + np.sqrt(r)) / np.sqrt(len(y))
        resolved: Array = vt[s > error + 1e-12 * s.max(initial=0.0)].T.copy()
        return resolved

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
        self,
        directions: Array,
        network: ReLUNetwork,
        limit: int,
        effort: int,
        last: bool,
        seed: int,
        n_jobs: int | None,
    ) -> list[ReLUNetwork]:
        """Return the best networks whose weights lie in the span of `directions`, from the rows in memory.

        The first looks return one, the last all that the projected rows cannot tell apart.
        """
        x, y, weight = self.train if last else self.first_rows(network.n_neurons + 1)
        z = self.inputs.features(x, directions)
        start = self.projected(network, directions)
        least_gain = 0.0 if last else SMOOTHED
        found = find_neurons(
            z,
            y,
            limit,
            fit_bias=self.inputs.fit_bias,
            sample_weight=weight,
            starts=[start],
            least_gain=least_gain,
            budget=effort,
            seed=seed,
            n_jobs=n_jobs,
        )
        chosen = [choose(found, len(y), least_gain)]
        if last:
            chosen = [c for c in found if -1 <= c.n_neurons - chosen[0].n_neurons <= 2]
        return [self.unprojected(candidate, directions) for candidate in chosen]

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
        """Return the least-squares optimum on the rows to fit: on the first, and on all where that is not exact."""
        if network.n_neurons == 0:
            return self.inputs.affine_network()
        for rows in (self.first_rows(network.n_neurons), self.train):
            network = self.polish_on(rows, network, linear=linear, steps=steps)
            if self.is_exact(network) or len(rows[1]) == len(self.train[1]):
                break
        return network

    def polish_on(self, rows: Rows, network: ReLUNetwork, *, linear: bool, steps: int) -> ReLUNetwork:
        """Return the least-squares optimum on given rows."""
        free, source = self.free(linear), scan_array(*rows).source

        def sweep(accumulators: Sequence[Accumulator]) -> None:
            _relunet.sweep(source, list(accumulators), n_threads=self.n_threads)

        rms, tolerance = self.label_rms, self.tolerance(network, len(rows[1]))
        precondition = self.precondition(free, rows)
        polished = accelerate(network, sweep, precondition, free, label_rms=rms, tolerance=tolerance, steps=steps)
        n_parameters = (network.n_neurons + 1) * (self.samples.n_columns + 1)
        if len(polished.history) >= steps and n_parameters <= MAX_NEWTON:
            polished = newton(polished.network, sweep, free, label_rms=rms, tolerance=tolerance)
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

    def held_out_risk(self, network: ReLUNetwork) -> Risk:
        """Return the risk on the rows held out."""
        return risk_on(network, *self.held)

    def clump(self, network: ReLUNetwork, fit_linear: bool | str) -> tuple[ReLUNetwork, list[ClumpLevel]]:
        """Return the coarsening of a network that costs least, its sides chosen, and all levels that were tried."""
        labels = list(range(network.n_neurons))
        finer = chosen = self.choose_sides(network, fit_linear)
        exact = self.is_exact(chosen)
        levels = [ClumpLevel(0.0, tuple(labels), self.held_out_risk(chosen).mean)] if labels else []
        dearer = 0
        while finer.n_neurons and dearer < 2:
            options = coarser(finer, self.inputs.unwhiten, self.inputs.mean)
            if exact and not any(self.rms_on(self.train, o.network) < NEARLY * self.label_rms for o in options):
                # Kinks that neither vanish nor coincide are those of one network alone [CDGKM23, Lemma 2].
                break
            fitted = [self.polish_in_memory(o.network, linear=True) for o in options]
            option, best = min(zip(options, fitted, strict=True), key=lambda f: self.cost(f[1]))
            finer = self.choose_sides(best, fit_linear)
            i, j = option.pair
            labels = [i if v == j else v - (v > j) for v in labels]
            levels.append(ClumpLevel(option.scale, tuple(labels), self.held_out_risk(finer).mean))
            if self.cost(finer) < self.cost(chosen) or self.is_exact(finer):
                chosen, dearer = finer, 0
            elif self.cost(finer) < 1.1 * self.cost(chosen):
                dearer += 1
            else:
                break
        return chosen, [
            ClumpLevel(level.scale, level.labels, level.risk, level.n_clumps == chosen.n_neurons) for level in levels
        ]

    def choose_sides(self, network: ReLUNetwork, fit_linear: bool | str) -> ReLUNetwork:
        """Return the network with its sides chosen, and without its linear part where the data allow it."""
        if network.n_neurons == 0:
            return network
        oriented = orient(network, self.inputs.unwhiten)
        if fit_linear is True:
            return oriented
        plain = self.polish_in_memory(oriented, linear=False)
        if fit_linear is False or self.is_exact(plain) or self.cost(plain) < self.cost(oriented):
            return plain
        return oriented

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
            print(report)  # noqa: T201
        return FitResult(network, report, basis, spectrum, levels)

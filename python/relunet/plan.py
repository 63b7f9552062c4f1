"""Estimates of the cost of a fit in advance: sweeps, bytes, memory, time, and the number of machines for a deadline."""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, inf, log
from pathlib import Path

import numpy as np

from relunet.errors import ArgumentError
from relunet.fitting.in_memory import rows_in_memory
from relunet.fitting.learn import learn
from relunet.fitting.settings import DEFAULTS
from relunet.moments import (
    Accumulator,
    GradientMoments,
    InputMoments,
    RiskMoments,
    RowSample,
    SketchMoments,
    SliceMoments,
    sweep,
)
from relunet.network import ReLUNetwork
from relunet.progress import as_bytes
from relunet.samples import scan_array, scan_npy
from relunet.teachers import generic
from relunet.theory import calculators

__all__ = ["METHODS", "Plan", "PlannedStage", "Rates", "measure", "plan"]

# Number of slices of a sweep for the subspace with many rows.
SLICES = 16
# Size of the file that is read to measure rates, larger than the caches.
MEASURED_BYTES = 2**25
# Seconds for which a kind of sweep is repeated, and largest number of neurons and columns that are timed. Larger sizes
# are extrapolated, so that a plan takes a few seconds for any size.
MEASURED_SECONDS, MEASURED_NEURONS, MEASURED_COLUMNS = 0.05, 4, 32
# Rows of the fit that is timed, and the share of its time that grows with the rows in memory, without and with noise.
FEW_ROWS, GROWING = 4000, (0.03, 0.25)
# The timed fit has a quarter of the usual budget for its search, and takes about half the time.
EFFORT, SLOWER = 4, 2
# Number of neurons up to which the time of a search is nearly constant, since its budget is bounded, and the exponent
# of its growth beyond; measured at 2 to 24 neurons on 10,000 rows of 64 columns.
EASY_NEURONS, SEARCH_GROWTH = 8, 2
# If all rows are more than this multiple of those in memory, they show the error of the fit to those in memory.
FAR_MORE = 5
# Number of sums in memory besides one per thread, which wait to be merged.
WAITING = 8
# Memory of the interpreter and its libraries, and number of copies of the rows in memory during the search.
BASE_BYTES, COPIES = 120_000_000, 3


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Speed of a machine.

    Attributes
    ----------
    inputs, slices, gradient, risk : float
        Seconds per row of the four kinds of sweep, from files in the cache of the system.
    search : float
        Seconds of the work in memory for `search_rows` rows.
    search_rows : int
        Number of rows to which `search` refers.
    """

    inputs: float
    slices: float
    gradient: float
    risk: float
    search: float
    search_rows: int


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a planned fit.

    Attributes
    ----------
    name : str
        Name of the stage.
    sweeps : int
        Number of sweeps over all rows.
    seconds : float
        Time on one machine, including the work on rows in memory.
    """

    name: str
    sweeps: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The estimated cost of a fit, which prints as text.

    Attributes
    ----------
    n_rows, n_columns, n_neurons : int
        Size of the samples and of the network.
    stages : tuple of PlannedStage
        The stages in order.
    bytes_a_sweep : int
        Bytes of all rows.
    memory : int
        Bytes of memory that a machine needs.
    seconds : float
        Time on one machine.
    seconds_in_memory : float
        The part of `seconds` that more machines do not reduce.
    deadline : float or None
        Seconds within which the fit should end.
    machines : int or None
        Number of machines like this one that meet the deadline; None without a deadline, or if no number does.
    """

    n_rows: int
    n_columns: int
    n_neurons: int
    stages: tuple[PlannedStage, ...]
    bytes_a_sweep: int
    memory: int
    seconds: float
    seconds_in_memory: float
    deadline: float | None = None
    machines: int | None = None

    @property
    def sweeps(self) -> int:
        """Number of sweeps over all rows."""
        return sum(stage.sweeps for stage in self.stages)

    @property
    def bytes_read(self) -> int:
        """Bytes read in all."""
        return self.sweeps * self.bytes_a_sweep

    def __str__(self) -> str:
        lines = [
            f"{self.n_rows:,} rows of {self.n_columns:,} columns, {self.n_neurons} neurons",
            *(
                f"  {stage.name:<11} {stage.sweeps:2d} sweep{'s' if stage.sweeps != 1 else ' '}  {_time(stage.seconds)}"
                for stage in self.stages
            ),
            f"  reads      {as_bytes(self.bytes_read)}: {self.sweeps} times {as_bytes(self.bytes_a_sweep)}",
            f"  memory     {as_bytes(self.memory)}",
            f"  time       {_time(self.seconds)} on one machine, {_time(self.seconds_in_memory)} of it in memory",
        ]
        if self.deadline is not None:
            if self.machines:
                answer = f"{self.machines:,} machine{'s' if self.machines != 1 else ''} like this"
            else:
                answer = f"too short: {_time(self.seconds_in_memory)} in memory are not shared by machines"
            lines.append(f"  deadline   {_time(self.deadline)}: {answer}")
        return "\n".join(lines)


def plan(
    n_rows: int,
    n_columns: int,
    n_neurons: int,
    *,
    noisy: bool = True,
    row_bytes: int | None = None,
    n_jobs: int | None = None,
    read_rate: float = inf,
    deadline: float | None = None,
    rates: Rates | None = None,
) -> Plan:
    """Estimate the cost of a fit.

    The estimate is for networks without cancellation between neurons, which take more rounds. Without noise, the search
    in memory ends with an exact fit, and each stage reads all rows once. With noise, the subspace and the validation
    read all rows twice, and the polish 1 + log(m / 100 N) / log(p / m) times: after the fit to m rows in memory the
    relative error of p parameters is p / m, each sweep over N rows multiplies it by p / m, and the polish ends at a
    hundredth of p / N. If N is several times m, all rows show the error of the fit to m rows, and they are fitted
    before a third search. With more than 1000 features, block iteration takes about 8 sweeps, and all polishes use all
    rows.

    Parameters
    ----------
    n_rows, n_columns, n_neurons : int
        Size of the samples, and expected number of neurons.
    noisy : bool, default=True
        Whether labels have noise.
    row_bytes : int, default=None
        Bytes of a stored row; None means eight per value.
    n_jobs : int, default=None
        Number of threads; None, 0 or less means one per core.
    read_rate : float, default=inf
        Read rate of the storage in bytes per second.
    deadline : float, default=None
        Seconds within which the fit should end, from which the number of machines is computed.
    rates : Rates, default=None
        Speed of a machine; None measures this one, in about two seconds.

    Returns
    -------
    Plan

    Raises
    ------
    ArgumentError
        For sizes below 1, and for rates and deadlines that are not positive.

    Examples
    --------
    With given rates, for 10¹² rows:

    >>> rates = Rates(inputs=2e-8, slices=2e-8, gradient=1e-8, risk=1e-8, search=2.0, search_rows=10_000)
    >>> cluster = plan(10**12, 20, 4, deadline=3600.0, rates=rates)
    >>> cluster.sweeps, cluster.bytes_read
    (14, 2352000000000000)
    >>> cluster.machines
    54
    """
    for name, value in (("n_rows", n_rows), ("n_columns", n_columns), ("n_neurons", n_neurons)):
        if value < 1:
            raise ArgumentError(f"{name}: {value}, expected at least 1")
    for name, number in (("read_rate", read_rate), ("deadline", deadline)):
        if number is not None and not number > 0:
            raise ArgumentError(f"{name}: {number}, expected more than 0")
    rates = rates or measure(n_columns, n_neurons, noisy=noisy, n_jobs=n_jobs)
    size = n_rows * (8 * (n_columns + 1) if row_bytes is None else row_bytes)
    sketched = n_columns > DEFAULTS.max_dense
    if sketched:
        kept, kept_columns = min(n_rows, DEFAULTS.sketch_rows), n_neurons + 1
        counts, rounds = _sketched_sweeps(n_rows, n_columns, n_neurons, noisy)
    else:
        kept, kept_columns = rows_in_memory(n_rows, n_columns, n_neurons), n_columns
        counts, rounds = _sweeps(n_rows, n_columns, n_neurons, noisy, kept)
    in_memory = rates.search * max(1 + GROWING[noisy] * (kept / rates.search_rows - 1), 0.0) * rounds

    def seconds(sweeps: Mapping[str, int]) -> float:
        return sum(n * max(n_rows * float(getattr(rates, kind)), size / read_rate) for kind, n in sweeps.items())

    stages = tuple(
        PlannedStage(name, sum(sweeps.values()), seconds(sweeps) + in_memory * (name == "discovery"))
        for name, sweeps in counts.items()
    )
    total = sum(stage.seconds for stage in stages)
    machines = None
    if deadline is not None and deadline > in_memory:
        machines = max(1, ceil((total - in_memory) / (deadline - in_memory)))
    columns = 3 * (n_neurons + DEFAULTS.spare_columns) if sketched else (SLICES + 1) * (n_columns + 1)
    sums = 8 * columns * (n_columns + 1)
    threads = n_jobs if n_jobs is not None and n_jobs > 0 else os.cpu_count() or 1
    return Plan(
        n_rows=n_rows,
        n_columns=n_columns,
        n_neurons=n_neurons,
        stages=stages,
        bytes_a_sweep=size,
        memory=BASE_BYTES + COPIES * 8 * kept * kept_columns + (threads + WAITING) * sums,
        seconds=total,
        seconds_in_memory=in_memory,
        deadline=deadline,
        machines=machines,
    )


def _sweeps(
    n_rows: int, n_columns: int, n_neurons: int, noisy: bool, kept: int
) -> tuple[dict[str, dict[str, int]], float]:
    """Return the number of sweeps of each stage by kind, and the number of searches in units of that of `measure`."""
    rounds, fits, validation, polish = 1, 0, {"risk": 1}, 1
    if noisy:
        validation = {"risk": 1, "slices": 1}
        share = min(n_neurons * n_columns / kept, 0.5)
        polish += max(1, ceil(log(1e-2 * kept / n_rows) / log(share)))
        rounds, fits = (2, 0) if n_rows <= FAR_MORE * kept else (3, polish)
    counts = {
        "inputs": {"inputs": 1},
        "subspace": {"slices": rounds, "gradient": fits},
        "discovery": {},
        "polish": {"gradient": polish},
        "validation": validation,
    }
    return counts, rounds / 2 if noisy else 1.0


def _sketched_sweeps(
    n_rows: int, n_columns: int, n_neurons: int, noisy: bool
) -> tuple[dict[str, dict[str, int]], float]:
    """Return the same for sketched features: each sweep of a fit to all rows reduces the error by a factor √(p/N)."""
    share = min(n_neurons * n_columns / n_rows, 0.5)
    fit = ceil(2 * log(1e-2 * share if noisy else 1e-15) / log(share)) + (1 if noisy else 7)
    counts = {
        "inputs": {"inputs": 1, "risk": 1},
        "subspace": {"slices": 16 if noisy else 8, "risk": 2 if noisy else 1},
        "discovery": {"risk": 3 if noisy else 1},
        "polish": {"gradient": 4 * fit if noisy else fit},
        "scales": {"gradient": 6 * fit if noisy else 5},
        "validation": {"risk": 2, "slices": 8} if noisy else {"risk": 1},
    }
    return counts, 1.0


METHODS: dict[str, Callable[..., object]] = {
    "default": plan,
    **{name: partial(calculators.beside, name, plan) for name in calculators.METHODS},
}
"""The plan of each learner, by the name that ``relunet plan --method`` takes."""


# Settings with a smaller budget for searches.
_SHORT = replace(
    DEFAULTS,
    efforts=tuple(effort // EFFORT for effort in DEFAULTS.efforts),
    last_effort=DEFAULTS.last_effort // EFFORT,
)


def measure(n_columns: int, n_neurons: int, *, noisy: bool = True, n_jobs: int | None = None) -> Rates:
    """Measure the speed of this machine, in about two seconds.

    Times are measured up to some number of neurons and columns and extrapolated to larger numbers: linearly for sweeps,
    and with the square of the number of neurons for the search, which is a rough estimate for more than a few dozen.

    Parameters
    ----------
    n_columns, n_neurons : int
        Size of the rows and of the network.
    noisy : bool, default=True
        Whether labels have noise.
    n_jobs : int, default=None
        Number of threads; None, 0 or less means one for each core.

    Returns
    -------
    Rates
    """
    sketched = n_columns > DEFAULTS.max_dense
    d, k = min(n_columns, 2 * DEFAULTS.max_dense), min(n_neurons, MEASURED_NEURONS)
    rng = np.random.Generator(np.random.PCG64(0))
    # The number of rows is limited so that dense sums of d columns take a fraction of a second.
    n_rows = min(max(MEASURED_BYTES // (8 * d), 1000), max(2**29 // d**2, 1000), 2**19)
    teacher = generic(d, k, rng=rng)
    X, y = teacher.sample(n_rows, rng=rng, noise=0.1 if noisy else 0.0)
    network = teacher.network
    edges = np.unique(np.quantile(y, np.arange(1, SLICES) / SLICES))
    affine = ReLUNetwork(np.zeros((0, d)), np.zeros(0), linear=np.zeros(d))
    kinds: dict[str, Callable[[], list[Accumulator]]] = {
        "inputs": lambda: [InputMoments(d), RowSample(d, 2**54, 0)],
        "slices": lambda: [SliceMoments(d, edges, affine)],
    }
    if sketched:
        directions, functions = X[: k + DEFAULTS.spare_columns], np.ones((len(edges) + 1, 3))
        kinds = {
            "inputs": lambda: [SketchMoments(d, directions[:0], [], [[1.0]])],
            "slices": lambda: [SketchMoments(d, directions, edges, functions, affine)],
        }
    kinds |= {
        "gradient": lambda: [GradientMoments(network)],
        "risk": lambda: [RiskMoments(network)],
    }
    with tempfile.TemporaryDirectory(prefix="relunet-plan-") as folder:
        files = Path(folder, "x.npy"), Path(folder, "y.npy")
        np.save(files[0], X)
        np.save(files[1], y)
        samples = scan_npy(*files)

        def seconds_a_row(accumulators: Callable[[], list[Accumulator]]) -> float:
            sweep(samples, accumulators(), n_jobs=n_jobs)
            n_sweeps, start = 0, time.perf_counter()
            while n_sweeps == 0 or time.perf_counter() - start < MEASURED_SECONDS:
                sweep(samples, accumulators(), n_jobs=n_jobs)
                n_sweeps += 1
            return (time.perf_counter() - start) / (n_sweeps * n_rows)

        swept = {name: seconds_a_row(make) * n_columns / d for name, make in kinds.items()}
    for name in ("slices", "gradient", "risk") if sketched else ("gradient", "risk"):
        swept[name] *= n_neurons / k
    # The search for sketched features uses as many columns as the neurons span.
    searched = k + 1 if sketched else min(n_columns, MEASURED_COLUMNS)
    few = min(max(MEASURED_BYTES // (8 * searched), 1000), FEW_ROWS)
    X, y = generic(searched, k, rng=rng).sample(few, rng=rng, noise=0.1 if noisy else 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = learn(scan_array(X, y), k, n_jobs=n_jobs, settings=_SHORT).report
    seconds = sum((SLOWER if stage.name == "discovery" else 1) * stage.seconds for stage in report.stages)
    growth = max(n_neurons / EASY_NEURONS, 1.0) ** SEARCH_GROWTH
    if not sketched:
        growth *= n_columns / searched
    return Rates(**swept, search=growth * seconds, search_rows=few)


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.2g} s"
    if seconds < 6000:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h" if seconds < 48 * 3600 else f"{seconds / 86400:.3g} days"

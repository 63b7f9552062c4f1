"""What a fit will take before it is begun: sweeps, bytes, memory and time, or machines for a deadline."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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

# Slices of a sweep for the subspace, where there are many rows.
SLICES = 16
# Bytes of the file that is read to measure rates: more than caches hold.
MEASURED_BYTES = 2**25
# Rows of the fit that is timed, and how much of its time grows with the rows in memory, without noise and with it.
FEW_ROWS, GROWING = 10_000, (0.03, 0.25)
# Rows, as a multiple of those in memory, beyond which they show the error of a fit to these.
FAR_MORE = 5
# Sums that are held at once beside one a thread: those of the tree that wait to be merged, and their bytes.
WAITING = 8
# Memory of the interpreter and its libraries, and copies of the rows in memory that the search works on.
BASE_BYTES, COPIES = 120_000_000, 3


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Seconds that this machine takes.

    Attributes
    ----------
    inputs, slices, gradient, risk : float
        Seconds a row of the four kinds of sweep, from files that the system holds in memory.
    search : float
        Seconds of the work on rows in memory, for `search_rows` of them.
    search_rows : int
        Rows of that search.
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
        How often it reads every row.
    seconds : float
        Time on one machine, the work on rows in memory included.
    """

    name: str
    sweeps: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a fit will take; printed, it reads as text.

    Attributes
    ----------
    n_rows, n_columns, n_neurons : int
        What was asked about.
    stages : tuple of PlannedStage
        The stages in their order.
    bytes_a_sweep : int
        Bytes of all rows.
    memory : int
        Bytes a machine needs.
    seconds : float
        Time on one machine.
    seconds_in_memory : float
        The part of it that more machines do not shorten.
    deadline : float or None
        Seconds within which the fit is to end.
    machines : int or None
        Machines like this one that the deadline takes; None without a deadline, and where none would do.
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
        """How often every row is read."""
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
                answer = f"too short, {_time(self.seconds_in_memory)} in memory are not shared by machines"
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
    """Say what a fit will take, for a network of the ordinary kind: hidden ones take more rounds.

    On clean labels the search in memory ends exact, and each stage reads all rows once. On noisy ones the subspace and
    the validation read them twice, and the polish 1 + log(m / 100 N) / log(p / m) times: m rows in memory leave an
    error p / m, each sweep over N rows multiplies it by as much again, and a hundredth of p / N is left to chance.
    Where N is several times m, all rows show that error: they are then fitted before a third look at what is left.
    Beyond 1000 features block iteration takes about 8 sweeps, and all rows are polished from the start.

    Parameters
    ----------
    n_rows, n_columns, n_neurons : int
        Size of the samples, and neurons expected.
    noisy : bool, default True
        Whether labels have noise.
    row_bytes : int, default None
        Bytes of a row as it is stored; None means eight a value.
    n_jobs : int, default None
        Threads; None, 0 or less means one a core.
    read_rate : float, default inf
        Bytes a second that the storage delivers.
    deadline : float, default None
        Seconds within which the fit is to end, for the number of machines.
    rates : Rates, default None
        How fast a machine is; None measures this one, in about two seconds.

    Returns
    -------
    Plan

    Raises
    ------
    ArgumentError
        Sizes, rates or deadlines below what makes sense.

    Examples
    --------
    On paper, for 10¹² rows:

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
    threads = n_jobs or 1
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
    """Return the sweeps of each stage by their kinds, and the searches in memory beside that of `measure`."""
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
    """Return the same for features that are sketched: a fit of all rows takes a sweep for each √(p/N) that it gains."""
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
"""How to plan for each learner, by the name that ``relunet plan --method`` takes."""


def measure(n_columns: int, n_neurons: int, *, noisy: bool = True, n_jobs: int | None = None) -> Rates:
    """Measure how fast this machine sweeps and searches, in about two seconds.

    Parameters
    ----------
    n_columns, n_neurons : int
        Size of the rows and of the network.
    noisy : bool, default True
        Whether labels have noise.
    n_jobs : int, default None
        Threads; None, 0 or less means one a core.
    """
    rng = np.random.Generator(np.random.PCG64(0))
    n_rows = max(MEASURED_BYTES // (8 * n_columns), 1000)
    teacher = generic(n_columns, n_neurons, rng=rng)
    X = rng.standard_normal((n_rows, n_columns))
    y = teacher.network.predict(X)
    y += (0.1 if noisy else 0.0) * y.std() * rng.standard_normal(n_rows)
    network = teacher.network
    edges = np.unique(np.quantile(y, np.arange(1, SLICES) / SLICES))
    affine = ReLUNetwork(np.zeros((0, n_columns)), np.zeros(0), linear=np.zeros(n_columns))
    kinds: dict[str, Callable[[], list[Accumulator]]] = {
        "inputs": lambda: [InputMoments(n_columns), RowSample(n_columns, 2**54, 0)],
        "slices": lambda: [SliceMoments(n_columns, edges, affine)],
    }
    if n_columns > DEFAULTS.max_dense:
        directions, functions = X[: n_neurons + DEFAULTS.spare_columns], np.ones((len(edges) + 1, 3))
        kinds = {
            "inputs": lambda: [SketchMoments(n_columns, directions[:0], [], [[1.0]])],
            "slices": lambda: [SketchMoments(n_columns, directions, edges, functions, affine)],
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
            while n_sweeps == 0 or time.perf_counter() - start < 0.2:
                sweep(samples, accumulators(), n_jobs=n_jobs)
                n_sweeps += 1
            return (time.perf_counter() - start) / (n_sweeps * n_rows)

        swept = {name: seconds_a_row(make) for name, make in kinds.items()}
    few = min(n_rows, FEW_ROWS)
    if n_columns > DEFAULTS.max_dense:
        # The search in memory sees no more of sketched features than the neurons span.
        few, teacher = FEW_ROWS, generic(n_neurons + 1, n_neurons, rng=rng)
        X, y = teacher.sample(few, rng=rng, noise=0.1 if noisy else 0.0)
    report = learn(scan_array(X[:few], y[:few]), n_neurons, n_jobs=n_jobs).report
    search = sum(stage.seconds for stage in report.stages)
    return Rates(**swept, search=search, search_rows=few)


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.2g} s"
    if seconds < 6000:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h" if seconds < 48 * 3600 else f"{seconds / 86400:.3g} days"

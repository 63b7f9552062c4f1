"""Measure the time of a fit by rows, features, neurons and threads, with that of NumPy XᵀX and an epoch of Adam.

    python benches/scaling.py [--quick] [--figure docs/benches/scaling.png]

The teachers are generic without biases, labels are clean, and the number of neurons is given. Times are the smaller of
two runs, in processor seconds of one thread; the panel of threads shows wall-clock time relative to one thread. Fits
that are not exact to 1e-9 are marked. Adam is that of PyTorch, with width 64 and batches of 256, and is omitted if
torch is not installed.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from itertools import islice

import matplotlib
import numpy as np
from rivals import RIVALS, WIDE
from threadpoolctl import threadpool_limits

from relunet import ReLUNetRegressor, scan_array, teachers
from relunet.moments import ContractionMoments, GradientMoments

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

# Rows, features, neurons; what is varied replaces one of them.
BASE = {"rows": 100_000, "features": 50, "neurons": 4}
VARIED = {
    "rows": (3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
    "features": (5, 10, 20, 50, 100, 200, 500),
    "neurons": (1, 2, 4, 8, 16, 24),
}
QUICK = {"rows": (3_000, 10_000), "features": (5, 10), "neurons": (1, 2)}
LINES = ("relunet", "X.T @ X", f"epoch of Adam, {WIDE}")


def main() -> None:
    """Print the tables and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it runs")
    parser.add_argument("--figure", default="docs/benches/scaling.png")
    arguments = parser.parse_args()
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.6), layout="constrained")
    print(f"| varied | {' s | '.join(LINES)} s | error |\n|---|---|---|---|---|")
    for (what, values), ax in zip((QUICK if arguments.quick else VARIED).items(), axes, strict=False):
        points = []
        for value in values:
            points.append(measure(**{**BASE, **({"rows": 5_000} if arguments.quick else {}), what: value}))
            *seconds, error = points[-1]
            print(f"| {what} {value} | " + " | ".join(f"{s:.3g}" for s in seconds) + f" | {error:.0e} |", flush=True)
        table = np.array(points)
        for column, name in enumerate(LINES):
            ax.loglog(values, table[:, column], "o-", ms=4, label=name)
        missed = table[:, -1] > 1e-9
        ax.loglog(np.array(values)[missed], table[missed, 0], "x", color="red", ms=10)
        others = ", ".join(f"{size} {name}" for name, size in BASE.items() if name != what)
        ax.set(xlabel=what, title=others)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("processor seconds")
    axes[0].legend(fontsize=8)
    threads(axes[3], 20_000 if arguments.quick else 1_000_000)
    figure.savefig(arguments.figure, dpi=100)


def measure(rows: int, features: int, neurons: int) -> tuple[float, float, float, float]:
    """Return the seconds of the three lines and the error of relunet."""
    teacher = teachers.generic(features, neurons, 0)
    x, y = teacher.sample(rows, 1)
    model = ReLUNetRegressor(n_neurons=neurons, fit_bias=False, n_jobs=1)
    fit = least(time.process_time, lambda: model.fit(x, y))
    with threadpool_limits(1):
        product = least(time.process_time, lambda: x.T @ x)
    try:
        epoch = least(time.process_time, lambda: next(islice(RIVALS[f"Adam, {WIDE}"](x, y, neurons, 0), 1)), 1)
    except ImportError:
        epoch = float("nan")
    error = model.network_.gaussian_distance(teacher.network) / teacher.network.gaussian_norm()
    return fit, product, epoch, error


def threads(ax: Axes, rows: int) -> None:
    """Print and draw how much faster more threads are: sweeps and a whole fit."""
    teacher = teachers.generic(64, 8, 0)
    x, y = teacher.sample(rows, 1)
    samples = scan_array(x, y)

    def gradient(n: int) -> None:
        samples.sweep([GradientMoments(teacher.network)], n_jobs=n)

    def contraction(n: int) -> None:
        samples.sweep([ContractionMoments(64, teacher.network.weights[0], [2, 4, 6])], n_jobs=n)

    def fit(n: int) -> None:
        ReLUNetRegressor(n_neurons=8, fit_bias=False, n_jobs=n).fit(samples)

    counts = range(1, (os.cpu_count() or 1) + 1)
    works: dict[str, Callable[[int], None]] = {"gradient sweep": gradient, "contraction sweep": contraction, "fit": fit}
    print(f"\n| threads | {' | '.join(works)} |\n|---|---|---|---|")
    table = np.array([[least(time.perf_counter, partial(work, n)) for work in works.values()] for n in counts])
    for n, seconds in zip(counts, table, strict=True):
        print(f"| {n} | " + " | ".join(f"{s:.2f} s" for s in seconds) + " |", flush=True)
    for name, column in zip(works, table.T, strict=True):
        ax.plot(counts, column[0] / column, "o-", label=name)
    ax.plot(counts, counts, ":", color="grey")
    ax.set(xlabel="threads", ylabel="times as fast", xticks=list(counts), title="64 features, 8 neurons")
    ax.legend(fontsize=8)
    ax.grid(alpha=0.3)


def least(clock: Callable[[], float], work: Callable[[], object], runs: int = 2) -> float:
    """Return the least time of some runs."""
    times = []
    for _ in range(runs):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


if __name__ == "__main__":
    main()

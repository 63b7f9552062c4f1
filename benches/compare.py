"""relunet beside scikit-learn's MLPRegressor on the same rows: error on fresh ones, and seconds of one core.

    OPENBLAS_NUM_THREADS=1 python benches/compare.py [--features 20] [--rows 20000] [--seeds 3]

Needs scikit-learn. Every learner runs on one thread; the seconds are processor time, medians over seeds, which choose
the network, the rows and the rival's start. The error is the root mean square on fresh rows as part of the labels'
standard deviation. The last case is no network at all: there it is only a question of fitting well.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.neural_network import MLPRegressor

from relunet import ReLUNetRegressor, teachers

CASES = {"generic": 4, "fan": 4, "close_pair": 4, "level_fan": 4, "level_fan of 6": 6, "sine": 0}
WIDE = 64


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    learners = ("relunet", "Adam, own width", "L-BFGS, own width", f"Adam, {WIDE}", f"L-BFGS, {WIDE}")
    print("| labels | " + " | ".join(learners) + " |")
    print("|---" * (len(learners) + 1) + "|")
    for case, n_neurons in CASES.items():
        sizes = n_neurons, arguments.features, arguments.rows
        results = [compare(case, *sizes, seed) for seed in range(arguments.seeds)]
        base = statistics.median(result["relunet"][1] for result in results)
        cells = []
        for name in learners:
            error = statistics.median(result[name][0] for result in results)
            seconds = statistics.median(result[name][1] for result in results)
            cells.append(f"{error:.0e}, " + (f"{base:.1f} s" if name == "relunet" else f"{seconds / base:.1f}x"))
        print(f"| {case} | " + " | ".join(cells) + " |", flush=True)


def compare(case: str, n_neurons: int, d: int, n_rows: int, seed: int) -> dict[str, tuple[float, float]]:
    """Return error and seconds of every learner on one data set."""
    rng = np.random.default_rng(seed)
    if case == "sine":
        x = rng.standard_normal((2 * n_rows, d))
        y = np.sin(2 * x @ rng.standard_normal(d) / np.sqrt(d))
        width = 8
    else:
        teacher = teachers.FAMILIES[case.split()[0]](d, n_neurons, rng)
        x, y = teacher.sample(2 * n_rows, rng=rng)
        # A network without a linear part makes one of two opposite neurons.
        width = n_neurons + 2 * bool(teacher.network.linear.any())
    data = x[:n_rows], y[:n_rows], x[n_rows:], y[n_rows:]

    def rival(solver: str, hidden: int) -> Callable[[], MLPRegressor]:
        return lambda: MLPRegressor(
            hidden_layer_sizes=(hidden,),
            solver=solver,
            alpha=0,
            max_iter=500,
            tol=1e-8,
            max_fun=50_000,
            random_state=seed,
        )

    made = {
        "relunet": lambda: ReLUNetRegressor(n_jobs=1),
        "Adam, own width": rival("adam", width),
        "L-BFGS, own width": rival("lbfgs", width),
        f"Adam, {WIDE}": rival("adam", WIDE),
        f"L-BFGS, {WIDE}": rival("lbfgs", WIDE),
    }
    return {name: measure(make, *data) for name, make in made.items()}


def measure(
    make: Callable[[], ReLUNetRegressor | MLPRegressor],
    x: np.ndarray,
    y: np.ndarray,
    fresh_x: np.ndarray,
    fresh_y: np.ndarray,
) -> tuple[float, float]:
    """Return error and seconds of one learner."""
    start = time.process_time()
    model = make().fit(x, y)
    seconds = time.process_time() - start
    return float(np.sqrt(np.mean((model.predict(fresh_x) - fresh_y) ** 2)) / np.std(fresh_y)), seconds


if __name__ == "__main__":
    main()

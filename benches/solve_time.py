"""Time a mixed-integer solver on a wide network trained by Adam, on that network pruned, and on relunet's network.

    python benches/solve_time.py [--features 8] [--neurons 4] [--width 128] [--seeds 3] [--seconds 30]

Each network is minimised over the box [-2, 2]^d by Gurobi through gurobi-machinelearning, on one thread. The pruned
network keeps the hidden units with the largest |output weight| times |weights|, twice as many as the teacher has, and
is trained again. The columns are the number of hidden units, the relative error on fresh rows, the seconds of the
solver, at most `--seconds`, the gap that it left, and the value of the teacher at the point that was found, less that
at the best of the three points. Values are medians over seeds. The restricted licence of Gurobi is enough. The script
needs gurobi-machinelearning and scikit-learn.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np

from relunet import ReLUNetRegressor, teachers


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=8)
    parser.add_argument("--neurons", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0, help="most seconds of the solver")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    runs = np.array([compared(arguments, seed) for seed in range(arguments.seeds)])
    print("| network | hidden units | error | solver | gap | above the best |\n|---|---|---|---|---|---|")
    names = (f"Adam, {arguments.width}", "Adam, pruned", "relunet")
    for name, (units, error, seconds, gap, above) in zip(names, np.median(runs, axis=0), strict=True):
        print(f"| {name} | {units:.0f} | {error:.0e} | {seconds:.2f} s | {gap:.0%} | {above:.2g} |")


def compared(arguments: argparse.Namespace, seed: int) -> list[list[float]]:
    """Return units, error, seconds, gap and regret of the three networks on one data set."""
    from sklearn.neural_network import MLPRegressor

    teacher = teachers.FAMILIES["biased"](arguments.features, arguments.neurons, seed)
    (X, y), (fresh, truth) = teacher.sample(arguments.rows, [seed, 1]), teacher.sample(20_000, [seed, 2])
    wide = MLPRegressor(hidden_layer_sizes=(arguments.width,), max_iter=100, random_state=seed).fit(X, y)
    ours = ReLUNetRegressor(random_state=seed).fit(X, y)
    networks = [wide, pruned(wide, 2 * arguments.neurons, X, y), ours.network_.to_sklearn()]
    rows, lowest = [], []
    for network in networks:
        seconds, gap, point = minimised(network, arguments.features, arguments.seconds)
        error = float(np.sqrt(np.mean((network.predict(fresh) - truth) ** 2) / np.var(truth)))
        lowest.append(float(teacher.network.predict(point[None, :])[0]))
        rows.append([float(network.coefs_[0].shape[1]), error, seconds, gap])
    return [[*row, value - min(lowest)] for row, value in zip(rows, lowest, strict=True)]


def pruned(wide: Any, n_units: int, X: Any, y: Any) -> Any:
    """Return a network with the units of a wide one that count most, trained again."""
    from sklearn.neural_network import MLPRegressor

    size = np.linalg.norm(wide.coefs_[0], axis=0) * np.abs(wide.coefs_[1][:, 0])
    kept = np.argsort(size)[-n_units:]
    network = MLPRegressor(hidden_layer_sizes=(n_units,), max_iter=1, warm_start=True, random_state=0).fit(X, y)
    network.coefs_ = [wide.coefs_[0][:, kept], wide.coefs_[1][kept]]
    network.intercepts_ = [wide.intercepts_[0][kept], wide.intercepts_[1]]
    network.max_iter = 100
    return network.fit(X, y)


def minimised(network: Any, n_features: int, most: float) -> tuple[float, float, Any]:
    """Return seconds and gap of a minimisation over the box, and the point that was found."""
    import gurobipy
    from gurobi_ml import add_predictor_constr

    options = {"OutputFlag": 0, "Threads": 1, "TimeLimit": most}
    with gurobipy.Env(params=options) as environment, gurobipy.Model(env=environment) as model:
        x = model.addMVar((1, n_features), lb=-2.0, ub=2.0)
        value = model.addMVar((1, 1), lb=-gurobipy.GRB.INFINITY)
        add_predictor_constr(model, network, x, value)
        model.setObjective(value.sum())
        begun = time.perf_counter()
        model.optimize()
        return time.perf_counter() - begun, float(model.MIPGap), np.asarray(x.X)[0]


if __name__ == "__main__":
    main()

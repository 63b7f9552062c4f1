"""The share of networks that come back from few rows, beside L-BFGS told the width.

    python benches/few_rows.py [--seeds 10] [--figure docs/benches/few_rows.png]

Teachers of four neurons in 20 dimensions (six in a plane for `overcomplete`), clean labels, the number of neurons told.
Rows are counted for each parameter of the neurons. A network is back where its relative RMS error on fresh rows is
below 1e-9, for L-BFGS 1e-5. L-BFGS is SciPy's, the best of up to 20 random starts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np

from relunet import ReLUNetRegressor, teachers

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from scipy.optimize import minimize

Array = np.ndarray
Predict = Callable[[Array], Array]

D = 20
FAMILIES = {"generic": 4, "biased": 4, "level_fan": 4, "close_pair": 4, "overcomplete": 6}
RATIOS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0)


def lbfgs(x: Array, y: Array, k: int, bias: bool, rng: np.random.Generator, starts: int = 20) -> Predict:
    """Return the predictor of the best of some starts of L-BFGS, with a linear part."""
    z = np.c_[x, np.ones(len(x))] if bias else x
    n, q = z.shape

    def parts(p: Array) -> tuple[Array, Array, Array]:
        return p[: k * q].reshape(k, q), p[k * q : k * q + k], p[k * q + k :]

    def loss(p: Array) -> tuple[float, Array]:
        w, c, linear = parts(p)
        height = z @ w.T
        active = np.maximum(height, 0)
        e = active @ c + z @ linear - y
        gradient = [(((height > 0) * e[:, None] * c).T @ z).ravel(), active.T @ e, z.T @ e]
        return float(e @ e / n), 2 / n * np.concatenate(gradient)

    best: Any = None
    options = {"maxiter": 3000, "maxfun": 4000, "ftol": 1e-20, "gtol": 1e-14, "maxcor": 30}
    for _ in range(starts):
        start = np.concatenate([rng.standard_normal(k * q) / np.sqrt(q), rng.standard_normal(k) * y.std(), np.zeros(q)])
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
        best = found if best is None or found.fun < best.fun else best
        if best.fun < 1e-13 * y.var():
            break
    w, c, linear = parts(best.x)

    def predict(v: Array) -> Array:
        u = np.c_[v, np.ones(len(v))] if bias else v
        return np.asarray(np.maximum(u @ w.T, 0) @ c + u @ linear)

    return predict


def shares(family: str, ratio: float, seeds: int) -> tuple[float, float, float]:
    """Return the shares that come back, of relunet and of L-BFGS, and the slowest fit of relunet in seconds."""
    k, bias = FAMILIES[family], family == "biased"
    ours, theirs, slowest = 0, 0, 0.0
    for seed in range(seeds):
        teacher = getattr(teachers, family)(D, k, rng=seed)
        x, y = teacher.sample(max(int(ratio * k * (D + bias)), 2 * D), rng=seed + 1000)
        fresh, truth = teacher.sample(20_000, rng=seed + 2000)

        def error(predict: Predict, fresh: Array = fresh, truth: Array = truth) -> float:
            return float(np.sqrt(np.mean((predict(fresh) - truth) ** 2) / np.var(truth)))

        began = time.perf_counter()
        model = ReLUNetRegressor(k, fit_bias=bias, random_state=0).fit(x, y)
        slowest = max(slowest, time.perf_counter() - began)
        ours += error(model.predict) <= 1e-9
        theirs += error(lbfgs(x, y, k, bias, np.random.default_rng(seed))) <= 1e-5
    return ours / seeds, theirs / seeds, slowest


def main() -> None:
    """Measure every family at every number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--ratios", nargs="+", type=float, default=list(RATIOS))
    parser.add_argument("--figure")
    arguments = parser.parse_args()
    print("| teacher | rows a parameter | relunet | L-BFGS | slowest fit, s |\n|---|---|---|---|---|")
    _, axes = plt.subplots(1, len(arguments.families), figsize=(3 * len(arguments.families), 3), sharey=True)
    for family, axis in zip(arguments.families, np.atleast_1d(axes), strict=True):
        rows = [(ratio, *shares(family, ratio, arguments.seeds)) for ratio in arguments.ratios]
        for ratio, ours, theirs, slowest in rows:
            print(f"| {family} | {ratio:g} | {ours:.0%} | {theirs:.0%} | {slowest:.1f} |", flush=True)
        for column, name in ((1, "relunet"), (2, "L-BFGS")):
            axis.plot(arguments.ratios, [row[column] for row in rows], marker="o", label=name)
        axis.set(title=family, xscale="log", xlabel="rows for each parameter", ylim=(-0.05, 1.05))
    np.atleast_1d(axes)[0].set_ylabel("share that comes back")
    np.atleast_1d(axes)[0].legend()
    if arguments.figure:
        plt.tight_layout()
        plt.savefig(arguments.figure, dpi=120)


if __name__ == "__main__":
    main()

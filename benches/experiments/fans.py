"""Measure the error of each method by the number of rows on level fans, which moments linear in y do not show.

    python benches/experiments/fans.py [--features 6] [--most 100000] [--seeds 3] [--widths 4 6 8]
        [--figure docs/experiments/fans.png]

The default method uses slices of the labels and needs no moments of high degree. The published learners need M_k and
higher moments, whose entries have a standard deviation of about √(E y² l!/N)/2κ_l; moments below degree k show nothing.
Errors are relative to the part of f that is not affine, as medians over seeds. A learner that raises `Fail` is counted
with its best estimate, the default method with its result. The row `exact` shows the published learners on exact
moments. For `MultiScaleLearner`, brackets show the number of rows from which on the spectral cut separates the plane
from the noise of the moments, on the median seed and along the best of its directions, and the cost of its search. The
limit is the number of rows and not the number of paths.
"""

from __future__ import annotations

import argparse
import math
import time

import matplotlib
import numpy as np

from relunet import ReLUNetwork, learn, scan_array, teachers
from relunet.theory import (
    AbsoluteForm,
    Fail,
    Moments,
    MultiScaleLearner,
    NetLearner,
    PolynomialLearner,
    PopulationMoments,
    SampleMoments,
)
from relunet.theory.estimate import contraction_directions
from relunet.theory.polynomial import relu_coefficients
from relunet.theory.spans import joint_span

matplotlib.use("Agg")
from matplotlib import pyplot as plt

EPSILON = 1e-3
LEARNERS = {"multi-scale": MultiScaleLearner, "net": NetLearner, "polynomial": PolynomialLearner}
COLOURS = {"default": "#1f6f8b", "multi-scale": "#c8553d", "net": "#e09f3e", "polynomial": "#a9b6bc"}
# A polynomial of few thousand coefficients does not come closer than this.
POLYNOMIAL = 0.05
# What is drawn for an exact network.
FLOOR = 1e-14


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=6)
    parser.add_argument("--most", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--widths", type=int, nargs="*", default=[4, 6, 8])
    parser.add_argument("--figure", default="docs/experiments/fans.png")
    arguments = parser.parse_args()
    rows = [round(n) for n in 10 ** np.arange(2.5, np.log10(arguments.most) + 0.1, 0.5)]
    figure, axes = plt.subplots(
        1, len(arguments.widths), figsize=(12, 4), layout="constrained", sharey=True, squeeze=False
    )
    print("| k | rows |" + "".join(f" {name} |" for name in COLOURS) + "\n|---|---|" + "---|" * len(COLOURS))
    for k, ax in zip(arguments.widths, axes[0], strict=True):
        found: dict[str, list[float]] = {name: [] for name in COLOURS}
        for n in rows:
            for name, values in found.items():
                values.append(np.median([error(name, k, arguments.features, n, s) for s in range(arguments.seeds)]))
            print(f"| {k} | {n} |" + "".join(f" {values[-1]:.1e} |" for values in found.values()), flush=True)
        print(exact(k, arguments.features, arguments.seeds), flush=True)
        for name, values in found.items():
            ax.loglog(rows, np.maximum(values, FLOOR), "o-", color=COLOURS[name], label=name)
        ax.axhline(1, color="#cccccc", linewidth=1, zorder=0)
        ax.set(title=f"k = {k}", xlabel="rows")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("error / norm of what is not affine")
    axes[0, 0].legend(frameon=False)
    figure.suptitle(f"Level fans in {arguments.features} dimensions, clean labels")
    figure.savefig(arguments.figure, dpi=100)


def error(name: str, k: int, d: int, n_rows: int, seed: int) -> float:
    """Return the error of one fit."""
    teacher = teachers.level_fan(d, k, seed)
    samples = scan_array(*teacher.sample(n_rows, rng=seed + 1000))
    if name == "default":
        norm = AbsoluteForm.of(teacher.network).residual_norm()
        return learn(samples, n_neurons=k, fit_bias=False).network.gaussian_distance(teacher.network) / norm
    return published(LEARNERS[name](k, EPSILON), SampleMoments(samples))


def published(learner: MultiScaleLearner | NetLearner | PolynomialLearner, moments: Moments) -> float:
    """Return the error of a published learner, that of its best estimate if it fails."""
    try:
        return learner.learn(moments).error
    except Fail as failure:
        return failure.best.error if failure.best is not None else 1.0


def exact(k: int, d: int, seeds: int) -> str:
    """Return the row of exact moments."""
    networks = [teachers.level_fan(d, k, seed).network for seed in range(seeds)]
    cells = [""]
    for name, learner in LEARNERS.items():
        epsilon = POLYNOMIAL if name == "polynomial" else EPSILON
        errors = [published(learner(k, epsilon), PopulationMoments(network)) for network in networks]
        cells.append(f"{np.median(errors):.1e}")
    start = time.process_time()
    cost = MultiScaleLearner(k, EPSILON).learn(PopulationMoments(networks[0])).cost
    rows = np.median([log10_rows(network, k) for network in networks])
    cells[1] += f" (10^{rows:.1f} rows; {time.process_time() - start:.1f} s, {cost.tried} guesses)"
    return f"| {k} | exact |" + "".join(f" {cell} |" for cell in cells)


def log10_rows(network: ReLUNetwork, k: int) -> float:
    """Return log10 of the rows from which on MultiScaleLearner's joint span has the two dimensions of the plane."""
    learner, moments = MultiScaleLearner(k, EPSILON), PopulationMoments(network)
    degrees, power = learner.degrees, moments.risk(None)[0]
    sizes = np.abs(relu_coefficients(0.0, degrees[-1]))
    matrices = [moments.moments(degrees, g) for g in contraction_directions(network.n_features, 0.05, 0)]
    for log10_n in np.arange(2.0, 20.0, 0.1):
        # √(power l!/N)/2κ_l: a coefficient is κ_l/√l!
        noise = {degree: math.sqrt(power / 10**log10_n) / (2 * sizes[degree]) for degree in degrees}
        if any(joint_span(m, k, noise, learner.overrides.cut).shape[1] > 1 for m in matrices):
            return float(log10_n)
    return math.inf


if __name__ == "__main__":
    main()

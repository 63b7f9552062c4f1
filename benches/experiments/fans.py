"""Level fans, on which no moment linear in y below degree k sees anything: error of each method against the rows.

    python benches/experiments/fans.py [--features 6] [--most 100000] [--seeds 3] [--figure docs/experiments/fans.png]

The default method slices labels and has no degree to reach; the published learners need M_k and beyond, whose entries
have a standard deviation of about √(E y² l!/N)/2κ_l. Errors are in units of the part of f that is not affine, medians
over seeds; a learner that says Fail counts with the best that it had, the default method only with what it returns.
MultiScaleLearner and NetLearner search tuples of k elements of a net: here up to k = 4.
"""

from __future__ import annotations

import argparse

import matplotlib
import numpy as np

from relunet import Samples, learn, scan_array, teachers
from relunet.theory import AbsoluteForm, Fail, MultiScaleLearner, NetLearner, PolynomialLearner, SampleMoments

matplotlib.use("Agg")
from matplotlib import pyplot as plt

WIDTHS, SEARCHED = (4, 6, 8), 4
LEARNERS = {"multi-scale": MultiScaleLearner, "net": NetLearner, "polynomial": PolynomialLearner}
COLOURS = {"default": "#1f6f8b", "multi-scale": "#c8553d", "net": "#e09f3e", "polynomial": "#a9b6bc"}
# What is drawn for an exact network.
FLOOR = 1e-14


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=6)
    parser.add_argument("--most", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--figure", default="docs/experiments/fans.png")
    arguments = parser.parse_args()
    rows = [round(n) for n in 10 ** np.arange(2.5, np.log10(arguments.most) + 0.1, 0.5)]
    figure, axes = plt.subplots(1, len(WIDTHS), figsize=(12, 4), layout="constrained", sharey=True)
    print("| k | rows |" + "".join(f" {name} |" for name in COLOURS) + "\n|---|---|" + "---|" * len(COLOURS))
    for k, ax in zip(WIDTHS, axes, strict=True):
        found = {name: [] for name in COLOURS if k <= SEARCHED or name in ("default", "polynomial")}
        for n in rows:
            for name, values in found.items():
                values.append(np.median([error(name, k, arguments.features, n, s) for s in range(arguments.seeds)]))
            cells = "".join(f" {found[name][-1]:.1e} |" if name in found else " |" for name in COLOURS)
            print(f"| {k} | {n} |{cells}", flush=True)
        for name, values in found.items():
            ax.loglog(rows, np.maximum(values, FLOOR), "o-", color=COLOURS[name], label=name)
        ax.axhline(1, color="#cccccc", linewidth=1, zorder=0)
        ax.set(title=f"k = {k}", xlabel="rows")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("error / norm of what is not affine")
    axes[0].legend(frameon=False)
    figure.suptitle(f"Level fans in {arguments.features} dimensions, clean labels")
    figure.savefig(arguments.figure, dpi=100)


def error(name: str, k: int, d: int, n_rows: int, seed: int) -> float:
    """Return the error of one fit."""
    teacher = teachers.level_fan(d, k, seed)
    samples = scan_array(*teacher.sample(n_rows, rng=seed + 1000))
    if name == "default":
        norm = AbsoluteForm.of(teacher.network).residual_norm()
        return learn(samples, n_neurons=k, fit_bias=False).network.gaussian_distance(teacher.network) / norm
    return published(LEARNERS[name](k, epsilon=1e-3), samples)


def published(learner: MultiScaleLearner | NetLearner | PolynomialLearner, samples: Samples) -> float:
    """Return the error of a published learner, that of its best estimate if it fails."""
    try:
        return learner.learn(SampleMoments(samples)).error
    except Fail as failure:
        return failure.best.error if failure.best is not None else 1.0


if __name__ == "__main__":
    main()

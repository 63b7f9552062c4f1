"""Measure how many rows recovery needs: recovered seeds and errors by the number of rows per parameter.

    python benches/efficiency.py [--features 20] [--neurons 4] [--seeds 3] [--figure docs/benches/efficiency.png]

The number of parameters p is features times neurons. On clean labels, the script prints on how many seeds the network
was recovered to 1e-6, and the median error on fresh rows, for relunet, which is not given the number of neurons, for
L-BFGS at the planted width, best of five starts, and for Adam at width 64. With noise of standard deviation σ, a fifth
of that of the labels, it prints the error of relunet divided by σ √(p/N), the error of least squares. Methods that are
not installed are omitted.
"""

from __future__ import annotations

import argparse

import matplotlib
import numpy as np
from rivals import RIVALS, WIDE, Array, course

from relunet import teachers

matplotlib.use("Agg")
from matplotlib import pyplot as plt

FAMILIES = ("generic", "biased", "close_pair", "level_fan")
RATIOS = (2, 3, 4, 6, 10, 20)
LINES = ("relunet", "L-BFGS", f"Adam, {WIDE}")
NOISE = 0.2
RECOVERED = 1e-6


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--neurons", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--most", type=int, default=max(RATIOS), help="rows per parameter at most")
    parser.add_argument("--figure", default="docs/benches/efficiency.png")
    arguments = parser.parse_args()
    ratios = [ratio for ratio in RATIOS if ratio <= arguments.most]
    figure, axes = plt.subplots(1, len(FAMILIES) + 1, figsize=(15, 3.4), layout="constrained")
    print(
        "| labels | rows per parameter | "
        + " | ".join(LINES)
        + " | noise: relunet |\n|---|---|"
        + "---|" * (len(LINES) + 1)
    )
    for family, ax in zip(FAMILIES, axes, strict=False):
        curves: dict[str, list[float]] = {name: [] for name in (*LINES, "noise")}
        for ratio in ratios:
            cells = []
            for name in LINES:
                errors = measure(family, name, ratio, 0.0, arguments)
                back = f"{np.sum(errors <= RECOVERED)} of {len(errors)}, " if len(errors) else ""
                curves[name].append(float(np.median(errors)) if len(errors) else np.nan)
                cells.append(f"{back}{curves[name][-1]:.0e}")
            curves["noise"].append(
                float(np.median(measure(family, "relunet", ratio, NOISE, arguments))) * ratio**0.5 / NOISE
            )
            cells.append(f"{curves['noise'][-1]:.2g}")
            print(f"| {family} | {ratio} | " + " | ".join(cells) + " |", flush=True)
        for name in LINES:
            ax.loglog(ratios, np.maximum(curves[name], 1e-16), "o-", ms=4, label=name)
        axes[-1].loglog(ratios, curves["noise"], "o-", ms=4, label=family)
        ax.set(title=family, xlabel="rows per parameter")
    axes[-1].set(title="noise: error / σ √(p/N)", xlabel="rows per parameter")
    axes[-1].legend(fontsize=8)
    axes[0].set_ylabel("relative error on fresh rows")
    axes[0].legend(fontsize=8)
    for ax in axes:
        ax.minorticks_off()
        ax.set_xticks(ratios, ratios)
        ax.grid(alpha=0.3)
    figure.savefig(arguments.figure, dpi=100)


def measure(family: str, name: str, ratio: int, noise: float, arguments: argparse.Namespace) -> Array:
    """Return the errors of one learner over the seeds; none where it is not installed."""
    d, k = arguments.features, arguments.neurons
    errors = []
    for seed in range(arguments.seeds):
        teacher = teachers.FAMILIES[family](d, k, seed)
        (x, y), (fresh, truth) = teacher.sample(ratio * d * k, [seed, 1]), teacher.sample(20_000, [seed, 2])
        y += noise * np.std(truth) * np.random.default_rng([seed, 3]).standard_normal(len(y))
        try:
            errors.append(course(RIVALS[name], x, y, k, seed, fresh, truth).errors[-1])
        except ImportError:
            break
    return np.array(errors)


if __name__ == "__main__":
    main()

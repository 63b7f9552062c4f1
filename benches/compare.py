"""Compare relunet with other methods that fit ReLU networks: error on fresh rows and processor time of one thread.

    python benches/compare.py [--features 20] [--rows 5000] [--seeds 1] [--figure docs/benches/compare.png]

The other methods are those of `rivals.py`; methods that are not installed are reported and omitted. Errors are RMS
errors on fresh rows without noise, relative to the standard deviation of the labels. Values are medians over seeds,
which determine the network, the rows and the initialisation. The last cases are not narrow networks without noise, and
other methods are better there, in error or in time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib
import numpy as np
from rivals import RIVALS, Array, course

from relunet import ReLUNetwork, teachers

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Labels = Callable[[Array], Array]


@dataclass(frozen=True)
class Case:
    """Labels that a function drawn with a seed gives; k is the width that rivals are told; noise as part of them."""

    draw: Callable[[int, int, np.random.Generator], Labels]
    k: int
    noise: float = 0.0


def planted(family: str) -> Callable[[int, int, np.random.Generator], Labels]:
    """Return the networks of a family of teachers as labels."""
    return lambda d, k, rng: teachers.FAMILIES[family](d, k, rng).network.predict


def sine(d: int, k: int, rng: np.random.Generator) -> Labels:
    """Return the sine of a projection, which no network is."""
    direction = 2 * rng.standard_normal(d) / np.sqrt(d)
    return lambda x: np.sin(x @ direction)


def ridge(d: int, k: int, rng: np.random.Generator) -> Labels:
    """Return a sum of k random neurons of one size, far more than narrow."""
    weights = rng.standard_normal((k, d)) / np.sqrt(d)
    return ReLUNetwork(weights, rng.choice([-1.0, 1.0], k), rng.standard_normal(k)).predict


CASES = {
    "generic": Case(planted("generic"), 4),
    "biased": Case(planted("biased"), 4),
    "close_pair": Case(planted("close_pair"), 4),
    "level_fan": Case(planted("level_fan"), 4),
    "level_fan of 6": Case(planted("level_fan"), 6),
    "overcomplete": Case(planted("overcomplete"), 6),
    "generic, noise 1": Case(planted("generic"), 4, 1.0),
    "64 neurons": Case(ridge, 64),
    "sine": Case(sine, 8),
}


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=CASES, default=list(CASES), help="cases, all by default")
    parser.add_argument("--figure", default="docs/benches/compare.png")
    arguments = parser.parse_args()
    print("| labels | " + " | ".join(RIVALS) + " |\n|---" + "|---" * len(RIVALS) + "|")
    figure, axes = plt.subplots(-(-len(arguments.only) // 3), 3, figsize=(12, 9), squeeze=False, layout="constrained")
    absent: dict[str, str] = {}
    for name, ax in zip(arguments.only, axes.flat, strict=False):
        cells = []
        for index, rival in enumerate(RIVALS):
            try:
                error, seconds = np.median(
                    [measure(CASES[name], rival, arguments, seed) for seed in range(arguments.seeds)], axis=0
                )
            except ImportError as missing:
                absent[rival] = str(missing)
                cells.append("")
                continue
            cells.append(f"{error:.0e}, {seconds:.1f} s")
            ax.loglog(seconds, max(error, 1e-16), "*" if index == 0 else "o", ms=13 - 5 * (index > 0), label=rival)
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
        ax.set_title(name, fontsize=10)
        ax.grid(alpha=0.3)
    for ax in axes.flat[len(arguments.only) :]:
        ax.set_axis_off()
    for rival, reason in absent.items():
        print(f"\n{rival} is left out: {reason}")
    figure.supxlabel("processor seconds, one thread")
    figure.supylabel("relative error on fresh rows")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(RIVALS), fontsize=8.5)
    figure.savefig(arguments.figure, dpi=100)


def measure(case: Case, rival: str, arguments: argparse.Namespace, seed: int) -> tuple[float, float]:
    """Return error and seconds of one rival on one data set."""
    rng = np.random.default_rng(seed)
    labels = case.draw(arguments.features, case.k, rng)
    x, fresh = (rng.standard_normal((n, arguments.features)) for n in (arguments.rows, 20_000))
    y, truth = labels(x), labels(fresh)
    y += case.noise * np.std(truth) * rng.standard_normal(len(y))
    run = course(RIVALS[rival], x, y, case.k, seed, fresh, truth)
    return run.errors[-1], run.seconds[-1]


if __name__ == "__main__":
    main()

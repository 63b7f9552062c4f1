"""Measure the default method with one of its ideas disabled at a time, on clean and on noisy labels.

    python benches/experiments/ablation.py [--seeds 3] [--pairs 10] [--only CASE ..]
        [--figure docs/experiments/ablation.png]

    slices         the subspace from the contractions C_1 and C_2 alone, without K of all slices
    contractions   the subspace from K alone, without C_1 and C_2
    C_1 alone      the subspace from C_1, which is linear in the normal score as the published moments are in y
    blur           no search for directions in which kinks are blurred
    rounds         one round on the labels and none on residuals
    exchanges      the search in the subspace adds neurons one by one and never exchanges them
    clumping       neurons of the search are kept, even if they are close
    polish         the fit to projected rows is returned

The cases are chosen so that each idea matters in one of them. A fit may use `most` neurons, where k are planted. Errors
and noise are relative to the part of f that is not affine; with noise, errors are divided by σ √(p/N), the error of
least squares with the p planted parameters. The table shows medians over seeds, the largest value if it is more than
three times the median, and the median number of neurons. Each variant is a `Settings` of the fit.

A second table compares pairs of fits over more seeds, for ideas that change only some fits, which medians do not show:
clumping, with an unknown number of neurons, and exchanges.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib
import numpy as np
from angle import pair
from numpy.typing import NDArray

from relunet import ReLUNetwork, learn, scan_array, teachers
from relunet.fitting.settings import Settings
from relunet.theory import PopulationMoments
from relunet.theory.estimate import target_error

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Array = NDArray[np.float64]
# Smaller errors of clean labels are as good as none.
EXACT = 1e-9
# Colours end at so many powers of ten.
DECADES = 4.0


@dataclass(frozen=True)
class Case:
    """Labels of a planted network: `most` neurons allowed, the noise in units of the part that is not affine."""

    name: str
    family: Callable[[int, int, int], ReLUNetwork]
    d: int
    k: int
    most: int
    n_rows: int
    noise: float = 0.0
    fit_bias: bool = False

    def data(self, seed: int) -> tuple[ReLUNetwork, float, Array, Array]:
        """Return the network, the norm of its part that is not affine, rows and labels."""
        network = self.family(self.d, self.k, seed)
        norm = target_error(PopulationMoments(network), 0.5).scale
        rng = np.random.default_rng([seed, 1])
        x = rng.standard_normal((self.n_rows, self.d))
        return network, norm, x, network.predict(x) + self.noise * norm * rng.standard_normal(self.n_rows)

    def floor(self, network: ReLUNetwork) -> float:
        """Return σ √(p/N), 1 without noise."""
        n_parameters = (self.d + self.fit_bias) * (self.k + bool(np.any(network.linear)))
        return self.noise * math.sqrt(n_parameters / self.n_rows) if self.noise else 1.0


def family(name: str) -> Callable[[int, int, int], ReLUNetwork]:
    """Return the networks of a family of teachers."""
    return lambda d, k, seed: teachers.FAMILIES[name](d, k, seed).network


def plane_with_biases(d: int, k: int, seed: int) -> ReLUNetwork:
    """Return lines in a plane that do not meet."""
    plane = teachers.plane(d, k, seed).network
    return ReLUNetwork(plane.weights, plane.output_weights, np.random.default_rng([seed, 2]).normal(0.0, 0.7, k))


def near_duplicates(d: int, k: int, seed: int) -> ReLUNetwork:
    """Return neurons with biases, two and two 0.1 rad apart and equal but for that."""
    network = teachers.biased(d, k // 2, seed).network
    u = network.weights
    off = np.random.default_rng([seed, 2]).standard_normal(u.shape)
    off -= np.sum(off * u, axis=1, keepdims=True) * u
    off *= math.tan(0.05) / np.linalg.norm(off, axis=1, keepdims=True)
    halves, biases = np.tile(network.output_weights / 2, 2), np.tile(network.biases, 2)
    return ReLUNetwork(np.concatenate([u + off, u - off]), halves, biases, network.linear, network.intercept)


CASES = (
    Case("generic", family("generic"), 16, 6, 6, 3000),
    Case("generic, few rows", family("generic"), 60, 8, 8, 2500),
    Case("plane", family("plane"), 16, 6, 6, 3000),
    Case("level_fan", family("level_fan"), 16, 6, 6, 3000),
    Case("level_fan, few rows", family("level_fan"), 100, 4, 4, 2525),
    Case("level_fan, 8 lines", family("level_fan"), 40, 8, 8, 3000),
    Case("plane with biases, few rows", plane_with_biases, 5, 24, 24, 800, fit_bias=True),
    Case("arc_scales", family("arc_scales"), 16, 5, 5, 5000),
    Case("generic", family("generic"), 16, 6, 12, 3000, 0.2),
    Case("plane", family("plane"), 16, 6, 12, 3000, 0.2),
    Case("level_fan", family("level_fan"), 16, 4, 8, 5000, 0.2),
    Case("weak neuron", family("generic"), 40, 1, 2, 20_000, 10.0),
    Case("equal signs, 0.1 rad", lambda d, k, seed: pair(1, 0.1, d), 10, 2, 4, 20_000, 0.05),
    Case("close_pair", family("close_pair"), 16, 4, 8, 3000, 0.2),
    Case("arc_scales", family("arc_scales"), 40, 4, 8, 50_000, 0.2),
    Case("biased, few rows", family("biased"), 10, 8, 32, 600, 0.02, fit_bias=True),
)
PAIRED = (
    ("no clumping", Case("biased", family("biased"), 10, 8, 32, 600, 0.02, fit_bias=True)),
    ("no clumping", Case("near duplicates", near_duplicates, 10, 8, 32, 600, 0.02, fit_bias=True)),
    ("no clumping", Case("near duplicates", near_duplicates, 10, 8, 32, 600, 0.1, fit_bias=True)),
    ("no exchanges", Case("plane with biases", plane_with_biases, 5, 24, 24, 800, fit_bias=True)),
)


VARIANTS: dict[str, Settings] = {
    "all on": Settings(),
    "no slices": Settings(statistics=("C_1", "C_2")),
    "no contractions": Settings(statistics=("K",)),
    "C_1 alone": Settings(statistics=("C_1",)),
    "no blur": Settings(blur_widths=()),
    "one round": Settings(max_rounds=1),
    "no exchanges": Settings(efforts=(1, 1, 1), last_effort=1),
    "no clumping": Settings(clumping=False),
    "no polish": Settings(polish=False),
}


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=10, help="seeds of the fits in pairs")
    parser.add_argument("--only", nargs="*", help="names of cases, all by default")
    parser.add_argument("--figure", default="docs/experiments/ablation.png")
    arguments = parser.parse_args()
    cases = [case for case in CASES if arguments.only is None or case.name in arguments.only]
    head = "| labels | network | d, k, most | rows |"
    print(head + "".join(f" {name} |" for name in VARIANTS) + "\n|---|---|---|---|" + "---|" * len(VARIANTS))
    logs: list[list[float]] = []
    cells: list[list[str]] = []
    for case in cases:
        found = [measure(case, variant, arguments.seeds) for variant in VARIANTS.values()]
        logs.append([log for log, _ in found])
        cells.append([cell for _, cell in found])
        labels = f"noise {case.noise:g}" if case.noise else "clean"
        fields = (labels, case.name, f"{case.d}, {case.k}, {case.most}", f"{case.n_rows}", *cells[-1])
        print("| " + " | ".join(fields) + " |", flush=True)
    draw(cases, np.array(logs), cells, arguments.figure)
    print("\n| without | network | noise | fits | differ | better, worse with it | error without it | neurons |")
    print("|---" * 8 + "|")
    for variant, case in PAIRED if arguments.only is None else ():
        print(paired(variant, case, arguments.pairs), flush=True)


def paired(variant: str, case: Case, seeds: int) -> str:
    """Return the row of fits with and without an idea: errors by geometric mean of ratios over the fits that differ."""
    fits = []
    for name in ("all on", variant):
        fits.append([outcome(case, seed, VARIANTS[name]) for seed in range(seeds)])
    (errors, found), (others, finest) = np.moveaxis(np.array(fits), 2, 1)
    ratio = np.maximum(others, EXACT) / np.maximum(errors, EXACT)
    better, worse = np.sum(ratio > 1.02), np.sum(ratio < 1 / 1.02)
    differ = ratio[np.abs(np.log(ratio)) > math.log(1.02)]
    mean = float(np.exp(np.mean(np.log(differ)))) if len(differ) else 1.0
    neurons = f"{np.mean(found):.1f} of {case.k}, {np.mean(finest):.1f} without"
    cells = (
        variant,
        case.name,
        f"{case.noise:g}",
        seeds,
        len(differ),
        f"{better}, {worse}",
        f"{mean:.2g} times",
        neurons,
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def measure(case: Case, variant: Settings, seeds: int) -> tuple[float, str]:
    """Return the logarithm of the median error of a variant, or of the worst if shown, and what the table says."""
    errors, found = np.transpose([outcome(case, seed, variant) for seed in range(seeds)])
    median, worst = float(np.median(errors)), float(np.max(errors))
    cell, error = shown(median, case), median
    if worst > 3 * median + 1e-9:
        cell, error = f"{cell} to {shown(worst, case)}", worst
    return math.log10(max(error, EXACT)), f"{cell}, {np.median(found):.0f}"


def shown(error: float, case: Case) -> str:
    """Return an error as the table shows it."""
    return f"{error:.2g}" if case.noise else f"{error:.0e}"


def draw(cases: list[Case], table: Array, cells: list[list[str]], path: str) -> None:
    """Draw how many powers of ten more the error is without each idea."""
    figure, ax = plt.subplots(figsize=(12, 0.4 * len(cases) + 1.2), layout="constrained")
    more = table - table[:, :1]
    image = ax.imshow(more, cmap="RdBu_r", vmin=-DECADES, vmax=DECADES, aspect="auto")
    for at, row in enumerate(cells):
        for place, cell in enumerate(row):
            colour = "white" if abs(more[at, place]) > DECADES / 2 else "black"
            ax.text(place, at, cell, ha="center", va="center", fontsize=7.5, color=colour)
    ax.set_xticks(range(len(VARIANTS)), list(VARIANTS), fontsize=8.5)
    ax.set_yticks(
        range(len(cases)), [f"{case.name}, {f'noise {case.noise:g}' if case.noise else 'clean'}" for case in cases]
    )
    ax.xaxis.tick_top()
    figure.colorbar(image, label="powers of ten more error", shrink=0.8)
    figure.savefig(path, dpi=100)


def outcome(case: Case, seed: int, settings: Settings) -> tuple[float, int]:
    """Return error and number of neurons of a fit."""
    network, norm, x, y = case.data(seed)
    with warnings.catch_warnings(action="ignore"):
        found = learn(
            scan_array(x, y), n_neurons=case.most, fit_bias=case.fit_bias, n_jobs=1, settings=settings
        ).network
    return found.gaussian_distance(network) / norm / case.floor(network), found.n_neurons


if __name__ == "__main__":
    main()

"""Measure signal and noise of the contractions M_l(g) by degree l, dimension d and kind of direction g.

    python benches/experiments/contractions.py [--rows 20000] [--seeds 9] [--figure docs/experiments/contractions.png]

The signal is the norm of the exact M_l(g), and the noise is the norm of the error of M_l(g) from 20,000 rows, both as
medians over seeds for a generic network of 4 neurons. Along a random direction the signal decreases because
<u, g>^(l-2) ~ d^(-(l-2)/2). For directions in the span of the neurons, such as E[y x], it does not depend on the
dimension. The noise hardly depends on l.
"""

from __future__ import annotations

import argparse

import matplotlib
import numpy as np

from relunet import scan_array, teachers
from relunet.theory import PopulationMoments, SampleMoments

matplotlib.use("Agg")
from matplotlib import pyplot as plt

K, DEGREES, DIMENSIONS = 4, (2, 4, 6, 8, 10), (5, 10, 20, 40)
KINDS = ("random", "E[yx]", "in the span")


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=9)
    parser.add_argument("--figure", default="docs/experiments/contractions.png")
    arguments = parser.parse_args()
    found = {d: np.median([measure(d, arguments.rows, s) for s in range(arguments.seeds)], axis=0) for d in DIMENSIONS}
    print("| d | l |" + "".join(f" {kind}: signal, noise |" for kind in KINDS))
    print("|---|---|" + "---|" * len(KINDS))
    for d, values in found.items():
        for place, degree in enumerate(DEGREES):
            cells = "".join(f" {signal:.1e}, {noise:.1e} |" for signal, noise in values[:, place])
            print(f"| {d} | {degree} |{cells}")
    draw(found, arguments.figure, arguments.rows)


def measure(d: int, n_rows: int, seed: int) -> np.ndarray:
    """Return signal and noise, of shape (kinds, degrees, 2)."""
    teacher = teachers.generic(d, K, seed)
    x, y = teacher.sample(n_rows, rng=seed + 1000)
    rng = np.random.default_rng(seed + 2000)
    random, inside = rng.standard_normal(d), rng.standard_normal(K) @ teacher.network.weights
    directions = np.array([random, y @ x, inside])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    exact = PopulationMoments(teacher.network).moments(DEGREES, directions)
    sampled = SampleMoments(scan_array(x, y)).moments(DEGREES, directions)
    norms = [
        (np.linalg.norm(exact[l], 2, axis=(1, 2)), np.linalg.norm(sampled[l] - exact[l], 2, axis=(1, 2)))
        for l in DEGREES  # noqa: E741
    ]
    return np.moveaxis(np.array(norms), 2, 0)


def draw(found: dict[int, np.ndarray], path: str, n_rows: int) -> None:
    """Draw both against l at d = 20, and against d at l = 6."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
    for kind, colour in zip(range(len(KINDS)), ("#a9b6bc", "#e09f3e", "#1f6f8b"), strict=True):
        by_degree = found[20][kind]
        by_dimension = np.array([values[kind, DEGREES.index(6)] for values in found.values()])
        for ax, at, values in ((axes[0], DEGREES, by_degree), (axes[1], DIMENSIONS, by_dimension)):
            ax.plot(at, values[:, 0], "o-", color=colour, label=f"signal, g {KINDS[kind]}")
            ax.plot(at, values[:, 1], ":", color=colour, label=f"noise, g {KINDS[kind]}")
    axes[0].set(title="d = 20", xlabel="degree l", ylabel="operator norm", yscale="log")
    axes[1].set(title="l = 6", xlabel="dimension d", xscale="log")
    axes[0].legend(frameon=False, fontsize=8)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"Contractions of {n_rows:,} rows, {K} generic neurons")
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()

"""Measure when the default method resolves two neurons at angle θ, of equal and of opposite sign.

    python benches/experiments/angle.py [--features 10] [--rows 20000] [--noise 0.05] [--seeds 2]
        [--figure docs/experiments/angle.png]

At angle θ, λ|u·x| + λ|v·x| differs from one neuron at the centroid by about θ^{3/2}, and λ|u·x| - λ|v·x| differs from
zero by about θ. The outcomes, for the part of a fit that is not affine, are:

    resolve  two neurons, each nearer to its true neuron than to the other one
    clump    one neuron with the sum of the weights, or none if the sum is zero
    dipole   two neurons that cancel, with the correct difference but wrong positions
    fail     anything else, or an error of more than five times that of least squares from the truth

The figure shows the error of least squares, about σ √(p/N) for p parameters, and the two scales.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter

import matplotlib
import numpy as np

from relunet import ReLUNetwork, learn, scan_array
from relunet.theory import AbsoluteForm

matplotlib.use("Agg")
from matplotlib import pyplot as plt

ANGLES = 10 ** np.linspace(-2.5, 0, 7)
OUTCOMES = {"resolve": "#1f6f8b", "clump": "#e09f3e", "dipole": "#7a5195", "fail": "#c8553d"}


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--noise", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--figure", default="docs/experiments/angle.png")
    arguments = parser.parse_args()
    d, n_rows = arguments.features, arguments.rows
    # Two neurons and the linear part that |·| leaves free.
    floor = arguments.noise * math.sqrt(3 * d / n_rows)
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
    print("| signs | angle | outcomes | error |\n|---|---|---|---|")
    for sign, ax in zip((1, -1), axes, strict=True):
        for angle in ANGLES:
            fits = [fit(sign, angle, d, n_rows, arguments.noise, floor, seed) for seed in range(arguments.seeds)]
            for outcome, error in fits:
                ax.loglog(angle, error, "o", color=OUTCOMES[outcome], alpha=0.7)
            counts = ", ".join(f"{outcome} {n}" for outcome, n in Counter(outcome for outcome, _ in fits).items())
            print(
                f"| {'++' if sign > 0 else '+-'} | {angle:.4f} | {counts} | {np.median([e for _, e in fits]):.1e} |",
                flush=True,
            )
        off = [apart(sign, angle) for angle in ANGLES]
        ax.loglog(ANGLES, off, "-", color="#a9b6bc", label="what one neuron misses" if sign > 0 else "what zero misses")
        ax.axhline(floor, color="#333333", linewidth=1, linestyle=":", label="σ √(p/N)")
        for outcome, colour in OUTCOMES.items():
            ax.plot([], [], "o", color=colour, label=outcome)
        ax.set(title="equal signs" if sign > 0 else "opposite signs", xlabel="angle θ")
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False, fontsize=8)
    axes[0].set_ylabel("error of the fit")
    figure.suptitle(f"Two neurons, {n_rows:,} rows of {d} features, noise {arguments.noise:g}")
    figure.savefig(arguments.figure, dpi=100)


def pair(sign: int, angle: float, d: int = 2) -> ReLUNetwork:
    """Return |e_1·x| + sign |v·x| for v at an angle."""
    u = np.zeros((2, d))
    u[:, 0], u[1, :2] = 1.0, (math.cos(angle), math.sin(angle))
    return AbsoluteForm(np.zeros(d), np.array([1.0, sign]), u).network()


def apart(sign: int, angle: float) -> float:
    """Return the distance from the best that resolves nothing: 2|c·x| at the centroid c, or zero."""
    centroid = np.array([[math.cos(angle / 2), math.sin(angle / 2)]])
    best = AbsoluteForm(np.zeros(2), np.array([2.0 if sign > 0 else 0.0]), centroid)
    return pair(sign, angle).gaussian_distance(best.network())


def fit(sign: int, angle: float, d: int, n_rows: int, noise: float, floor: float, seed: int) -> tuple[str, float]:
    """Return the outcome of a fit and its error."""
    network = pair(sign, angle, d)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n_rows, d))
    y = network.predict(x) + noise * rng.standard_normal(n_rows)
    found = learn(scan_array(x, y), n_neurons=2, fit_bias=False).network
    error = found.gaussian_distance(network)
    if error > 5 * floor:
        return "fail", error
    form = AbsoluteForm.of(found)
    if len(form.lam) == (1 if sign > 0 else 0):
        return "clump", error
    if len(form.lam) != 2 or form.lam[0] * form.lam[1] * sign <= 0:
        return "fail", error
    truth = AbsoluteForm.of(network).u
    off = 1 - np.abs(form.u @ truth.T)
    own = min(max(off[0, 0], off[1, 1]), max(off[0, 1], off[1, 0]))
    resolved = own < (1 - math.cos(angle)) / 4 and np.max(np.abs(np.abs(form.lam) - 1)) < 0.5
    return ("resolve" if resolved else "dipole" if sign < 0 else "fail"), error


if __name__ == "__main__":
    main()

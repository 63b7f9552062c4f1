"""Compare relunet with a wide network trained by Adam in PyTorch, on every family of teachers, by error and time.

    python benches/race.py [--features 20] [--neurons 4] [--rows 20000] [--seeds 3] [--only FAMILY ..]

Adam trains a network of width 64 with a linear part in single precision, until its learning rate has decreased by a
factor of ten thousand. Its time ends when its error on fresh rows is first within a tenth of its smallest error, which
is not known during training; the time of relunet is that of the whole fit. Both are processor time of one thread.
Values are medians over seeds, which determine the network, the rows and the initialisation. The script needs torch and
matplotlib.
"""

from __future__ import annotations

import argparse

import matplotlib
import numpy as np
from rivals import RIVALS, WIDE, Course, course

from relunet import teachers

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--neurons", type=int, default=4)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=teachers.FAMILIES, default=list(teachers.FAMILIES))
    parser.add_argument("--figure", default="docs/benches/race.png", help="where the picture goes; empty: nowhere")
    arguments = parser.parse_args()
    print("| labels | relunet | Adam | times the seconds of relunet | and to 1 % |\n|---|---|---|---|---|")
    figure, axes = plt.subplots(2, 5, figsize=(13, 5), sharey=True, layout="constrained")
    for name, ax in zip(arguments.only, axes.flat, strict=False):
        races = [race(name, arguments, seed) for seed in range(arguments.seeds)]
        ours, theirs = np.median([[run.best() for run in pair] for pair in races], axis=0)
        ratio = float(np.median([adam.best()[1] / relunet.seconds[-1] for relunet, adam in races]))
        percent = float(np.median([until(adam, 0.01) / relunet.seconds[-1] for relunet, adam in races]))
        cells = (
            f"{ours[0]:.0e}, {ours[1]:.1f} s",
            f"{theirs[0]:.0e}, {theirs[1]:.1f} s",
            f"{ratio:.1f}",
            f"{percent:.1f}",
        )
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
        for relunet, adam in races:
            ax.loglog(adam.seconds, adam.errors, color="C1", lw=1)
            ax.loglog(relunet.seconds, np.maximum(relunet.errors, 1e-16), "o", color="C0", ms=5)
        ax.set_title(name, fontsize=10)
        ax.grid(alpha=0.3)
    figure.supxlabel("processor seconds, one thread")
    figure.supylabel("relative error on fresh rows")
    figure.suptitle(f"relunet (dots: the whole fit) and Adam, width {WIDE}", fontsize=11)
    if arguments.figure:
        figure.savefig(arguments.figure, dpi=100)


def race(family: str, arguments: argparse.Namespace, seed: int) -> tuple[Course, Course]:
    """Return the courses of relunet and of Adam on one data set."""
    teacher = teachers.FAMILIES[family](arguments.features, arguments.neurons, seed)
    rows = *teacher.sample(arguments.rows, [seed, 1]), arguments.neurons, seed, *teacher.sample(20_000, [seed, 2])
    return course(RIVALS["relunet"], *rows), course(RIVALS[f"Adam, {WIDE}"], *rows)


def until(adam: Course, error: float) -> float:
    """Return the seconds until an error is first reached; inf where it never is."""
    return float(np.min(adam.seconds, where=adam.errors <= error, initial=np.inf))


if __name__ == "__main__":
    main()

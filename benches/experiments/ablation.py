"""The default method with one of its ideas turned off at a time, on clean and on noisy labels.

    python benches/experiments/ablation.py [--features 16] [--rows 3000] [--noise 0.1] [--seeds 2]
        [--figure docs/experiments/ablation.png]

    slices           the subspace from E[y x] and the one contraction M_2 = E[y (x xᵀ - I)], not from all slices of y
    contraction      the subspace without that contraction, from slices alone
    residual rounds  one look at the labels, none at residuals
    expansion        neurons are added one by one, never exchanged
    clumping         neurons of the search are kept, however close
    polish           the fit to projected rows is returned

Fits may use twice as many neurons as there are. Printed are errors, in units of the part of f that is not affine,
neurons found and seconds: medians over seeds. Noise is in units of the labels' standard
deviation. The switches replace parts of the driver from outside; the package has none.
"""

from __future__ import annotations

import argparse
import importlib
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import matplotlib
import numpy as np

from relunet import _relunet, learn, scan_array, subspace, teachers
from relunet.theory import AbsoluteForm

matplotlib.use("Agg")
from matplotlib import pyplot as plt

# The package's name `learn` is the function.
driver = importlib.import_module("relunet.learn")
CASES = {"generic": 6, "close_pair": 4, "arc_scales": 5, "level_fan": 6}
FLOOR = 1e-15


def patched(**members: Any) -> Callable[[], Any]:
    """Return a context in which members of the fit's stages are others."""
    return lambda: mock.patch.multiple(driver._Fit, **members)


def without_slices(fit: Any, network: Any) -> subspace.Subspace:
    """Return the directions that moments linear in the residual show: E[y z] and M_2."""
    x, y, weight = fit.fitted
    z = fit.inputs.features(x, np.eye(fit.inputs.rank))
    z = z[:, : fit.inputs.rank]
    residual = (y - network.predict(x)) * weight / np.sum(weight)
    r, scale = z.shape[1], np.sqrt(np.sum(residual**2) * len(y))
    second = _relunet.matmul(np.ascontiguousarray((z * residual[:, None]).T), z) - np.sum(residual) * np.eye(r)
    first = np.sum(z * residual[:, None], axis=0)
    k = first[:, None] * first + _relunet.matmul(second, second) / 2
    edge = (2 * scale * np.sqrt(r / len(y)) * (1 + 2 * r ** (-2 / 3))) ** 2 / 2
    values, vectors = _relunet.eigh((k + k.T) / 2)
    found = driver._Fit.__dict__["sliced"](fit, network)
    return replace(
        found,
        spectrum=values[::-1].copy(),
        directions=vectors[:, ::-1].copy(),
        bulk_edge=float(edge),
        n_visible=int(np.sum(values > edge)),
    )


def without_contraction(fit: Any, network: Any) -> subspace.Subspace:
    """Return the directions that slices show, and no more."""
    found = driver._Fit.__dict__["sliced"](fit, network)
    return replace(found, n_visible=int(np.sum(found.spectrum > found.bulk_edge)))


@contextmanager
def one_round() -> Iterator[None]:
    """Allow a single round."""
    with mock.patch.object(driver, "MAX_ROUNDS", 1):
        yield


@contextmanager
def no_exchanges() -> Iterator[None]:
    """Give the exchanges of the search nothing to spend."""
    with mock.patch.multiple(driver, EFFORT=1, MORE_EFFORT=2, MOST_EFFORT=1):
        yield


@contextmanager
def as_it_is() -> Iterator[None]:
    """Change nothing."""
    yield


driver._Fit.sliced = driver._Fit.residual_subspace
VARIANTS: dict[str, Callable[[], Any]] = {
    "all": as_it_is,
    "slices": patched(residual_subspace=without_slices),
    "contraction": patched(residual_subspace=without_contraction),
    "residual rounds": one_round,
    "expansion": no_exchanges,
    "clumping": patched(clumped=lambda fit, network: (fit.sided(network), [])),
    "polish": patched(
        polished=lambda fit, network, *, linear: network if network.n_neurons else fit.inputs.affine_network(),
        polished_on_all=lambda fit, network: network,
    ),
}


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=16)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--noise", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--figure", default="docs/experiments/ablation.png")
    arguments = parser.parse_args()
    figure, axes = plt.subplots(2, 1, figsize=(11, 6), layout="constrained", sharex=True)
    print("| labels | network |" + "".join(f" {name} |" for name in VARIANTS) + "\n|---|---|" + "---|" * len(VARIANTS))
    for noise, ax in ((0.0, axes[0]), (arguments.noise, axes[1])):
        for place, (case, k) in enumerate(CASES.items()):
            row = []
            for variant in VARIANTS.values():
                with variant():
                    fits = [fit(case, k, arguments, noise, seed) for seed in range(arguments.seeds)]
                row.append(np.median(fits, axis=0))
            cells = "".join(f" {error:.0e}, {found:.0f}, {seconds:.1f} s |" for error, found, seconds in row)
            print(f"| {'noisy' if noise else 'clean'} | {case}, {k} |{cells}", flush=True)
            at = np.arange(len(VARIANTS)) + 0.18 * (place - 1.5)
            ax.bar(at, [max(error, FLOOR) - FLOOR for error, _, _ in row], 0.16, bottom=FLOOR, label=f"{case}, k = {k}")
        ax.set(yscale="log", ylabel="error", title=f"noise {noise:g}", ylim=(FLOOR if noise == 0 else 1e-3, 3))
        ax.spines[["top", "right"]].set_visible(False)
    axes[1].set_xticks(range(len(VARIANTS)), ["all on", *(f"no {name}" for name in list(VARIANTS)[1:])])
    axes[0].legend(frameon=False, ncols=len(CASES), fontsize=8, loc="upper center")
    figure.savefig(arguments.figure, dpi=100)


def fit(case: str, k: int, arguments: argparse.Namespace, noise: float, seed: int) -> tuple[float, int, float]:
    """Return error, number of neurons and seconds of a fit that is told at most 2k neurons."""
    teacher = teachers.FAMILIES[case](arguments.features, k, seed)
    x, y = teacher.sample(arguments.rows, rng=seed + 1000)
    y = y + noise * y.std() * np.random.default_rng(seed + 2000).standard_normal(len(y))
    start = time.perf_counter()
    with warnings.catch_warnings(action="ignore"):
        found = learn(scan_array(x, y), n_neurons=2 * k, fit_bias=False).network
    seconds = time.perf_counter() - start
    norm = AbsoluteForm.of(teacher.network).residual_norm()
    return found.gaussian_distance(teacher.network) / norm, found.n_neurons, seconds


if __name__ == "__main__":
    main()

"""Measure sweeps, time and memory of fits with so many features that sketching is used.

    python benches/features.py [--features 5000] [--rows 400000] [--neurons 4] [--next R ..] [--common R ..]
        [--folder FOLDER]

The script writes inputs in single precision, 8 GB by default, to a temporary folder for each given correlation: `next`
is the correlation of neighbouring features, `common` that of all features. Memory is anonymous memory, without the file
cache.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from sources import with_peak

import relunet
from relunet import learn, scan_npy, teachers

CHUNK = 4000


def write(folder: Path, network: relunet.ReLUNetwork, n_rows: int, next_one: float, common: float) -> None:
    """Write inputs in single precision, and the labels that the network gives them.

    Features have correlation `next_one` with the next, or `common` with all.
    """
    rng = np.random.Generator(np.random.SFC64(1))
    shape = (n_rows, network.n_features)
    X = np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype=np.float32, shape=shape)
    y = np.empty(n_rows)
    for start in range(0, n_rows, CHUNK):
        rows = slice(start, min(start + CHUNK, n_rows))
        z = rng.standard_normal((rows.stop - start, network.n_features), dtype=np.float32)
        for column in range(1, network.n_features if next_one else 0):
            z[:, column] = next_one * z[:, column - 1] + (1 - next_one**2) ** 0.5 * z[:, column]
        X[rows] = (1 - common) ** 0.5 * z + common**0.5 * rng.standard_normal((len(z), 1), dtype=np.float32)
        y[rows] = network.predict(X[rows])
    X.flush()
    np.save(folder / "y.npy", y)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=5000)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--neurons", type=int, default=4)
    parser.add_argument("--next", type=float, nargs="*", default=[], help="correlations of each feature with the next")
    parser.add_argument("--common", type=float, nargs="*", default=[], help="correlations of each feature with each")
    parser.add_argument("--folder", help="where the file goes")
    arguments = parser.parse_args()
    cases = {"none": (0.0, 0.0)}
    cases |= {f"{r:g} with the next": (r, 0.0) for r in arguments.next}
    cases |= {f"{r:g} with all": (0.0, r) for r in arguments.common}
    print("| correlation of features | status | relative error | sweeps | seconds | MiB |\n|---|---|---|---|---|---|")
    for case, correlations in cases.items():
        print(f"| {case} | {' | '.join(measure(arguments, *correlations))} |", flush=True)


def measure(arguments: argparse.Namespace, next_one: float, common: float) -> tuple[str, ...]:
    """Return how a fit ended, its error, sweeps, seconds and peak of memory."""
    network = teachers.generic(arguments.features, arguments.neurons, rng=0).network
    results: list[relunet.FitResult] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        write(folder, network, arguments.rows, next_one, common)
        samples = scan_npy(folder / "x.npy", folder / "y.npy")
        start = time.perf_counter()
        peak = with_peak(lambda: results.append(learn(samples, arguments.neurons, fit_bias=False)))
        seconds = time.perf_counter() - start
    found, report = results[0].network, results[0].report
    error = found.gaussian_distance(network) / network.gaussian_norm()
    return report.status, f"{error:.0e}", str(report.sweeps), f"{seconds:.1f}", f"{peak:.0f}"


if __name__ == "__main__":
    main()

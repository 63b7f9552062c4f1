"""Many features: a fit of samples too wide for a matrix of features by features, its sweeps, time and memory.

    python benches/features.py [--features 5000] [--rows 400000] [--neurons 4] [--next 0] [--common 0] [--folder FOLDER]

Writes single-precision inputs, 8 GB of them if not told otherwise, to a temporary folder. Memory is anonymous memory,
without the cache of files.
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
    """Write, fit, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=5000)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--neurons", type=int, default=4)
    parser.add_argument("--next", type=float, default=0.0, help="correlation of each feature with the next")
    parser.add_argument("--common", type=float, default=0.0, help="correlation of each feature with each")
    parser.add_argument("--folder", help="where the file goes")
    arguments = parser.parse_args()
    network = teachers.generic(arguments.features, arguments.neurons, rng=0).network
    results: list[relunet.FitResult] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        write(folder, network, arguments.rows, arguments.next, arguments.common)
        samples = scan_npy(folder / "x.npy", folder / "y.npy")
        start = time.perf_counter()
        peak = with_peak(lambda: results.append(learn(samples, arguments.neurons, fit_bias=False)))
        seconds = time.perf_counter() - start
    found, report = results[0].network, results[0].report
    error = found.gaussian_distance(network) / network.gaussian_norm()
    print(report)
    print(f"relative error {error:.1e}, {seconds:.0f} s, {report.sweeps} sweeps, peak anonymous memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()

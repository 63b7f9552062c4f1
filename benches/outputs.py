"""Rows that networks of several outputs need, and the time that several outputs take.

python benches/outputs.py rows [--seeds 5]
python benches/outputs.py time
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np

from relunet import ReLUNetwork, learn, scan_array

ROWS, OUTPUTS = (30, 40, 60, 80, 120, 160), (1, 2, 4, 8)


def planted(d: int, k: int, m: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, ReLUNetwork]:
    """Return rows of a network without biases and linear parts, and the network."""
    rng = np.random.default_rng([seed, d, k, m])
    weights = rng.standard_normal((k, d))
    network = ReLUNetwork(weights / np.linalg.norm(weights, axis=1)[:, None], rng.standard_normal((m, k)))
    x = rng.standard_normal((n, d))
    return x, network.predict(x), network


def rows(seeds: int) -> None:
    """Print the share of seeds on which a network of 4 neurons in 12 dimensions comes back to 1e-9."""
    print("| outputs |", " | ".join(f"{n} rows" for n in ROWS), "|")
    for m in OUTPUTS:
        found = []
        for n in ROWS:
            back = 0
            for seed in range(seeds):
                x, y, truth = planted(12, 4, m, n, seed)
                labels = y if m > 1 else y[:, 0]
                network = learn(scan_array(x, labels), 4, fit_bias=False, fit_linear=False).network
                error = np.sqrt(np.mean((network.predict(x_new(x)).reshape(-1, m) - truth.predict(x_new(x))) ** 2))
                back += error < 1e-9 * truth.gaussian_norm()
            found.append(f"{back} of {seeds}")
        print(f"| {m} |", " | ".join(found), "|", flush=True)


def x_new(x: np.ndarray) -> np.ndarray:
    """Return fresh inputs."""
    return np.random.default_rng(1).standard_normal((2000, x.shape[1]))


def times() -> None:
    """Print processor seconds of fits of 8 neurons in 40 dimensions to 60,000 rows."""
    print("| outputs | processor seconds | ratio |")
    first = None
    for m in (1, 2, 5, 10):
        x, y, _ = planted(40, 8, m, 60_000, 0)
        samples = scan_array(x, y if m > 1 else y[:, 0])
        start = time.process_time()
        report = learn(samples, 8).report
        seconds = time.process_time() - start
        first = seconds if first is None else first
        print(f"| {m} | {seconds:.1f} ({report.status}) | {seconds / first:.2f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rows", "time"])
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rows(arguments.seeds) if arguments.what == "rows" else times()

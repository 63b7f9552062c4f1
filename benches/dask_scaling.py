"""Measure the speedup of two Dask workers over one, for the three sweeps of a fit over partitions on disk.

    python benches/dask_scaling.py [--features 64] [--rows 4000000]

Each worker has one thread. The script needs the extra "dask" and space for the rows in the temporary folder.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import dask
import numpy as np
from distributed import Client, LocalCluster

import relunet
from relunet.dask import scan_dask
from relunet.moments import GradientMoments, InputMoments, SliceMoments, sweep

PARTITIONS = 32


def load(folder: str, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and labels of a partition."""
    return np.load(f"{folder}/x{i}.npy"), np.load(f"{folder}/y{i}.npy")


def seconds(cluster: LocalCluster, folder: str, network: relunet.ReLUNetwork) -> float:
    """Return the time of one pass of the three sweeps."""
    with Client(cluster):
        samples = scan_dask([dask.delayed(load)(folder, i) for i in range(PARTITIONS)])
        start = time.perf_counter()
        sweep(samples, [InputMoments(network.n_features)])
        sweep(samples, [SliceMoments(network.n_features, np.linspace(-2, 2, 15), network)])
        sweep(samples, [GradientMoments(network)])
        return time.perf_counter() - start


def main() -> None:
    """Write the partitions, sweep them with one worker and with two, print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--rows", type=int, default=4_000_000)
    arguments = parser.parse_args()
    n_features, n_rows = arguments.features, arguments.rows
    teacher = relunet.teachers.generic(n_features, 8, rng=0)
    with tempfile.TemporaryDirectory(prefix="relunet-dask-") as folder:
        for i in range(PARTITIONS):
            X, y = teacher.sample(n_rows // PARTITIONS, rng=i)
            np.save(Path(folder, f"x{i}.npy"), X)
            np.save(Path(folder, f"y{i}.npy"), y)
        clusters = [LocalCluster(n_workers=n, threads_per_worker=1, dashboard_address=":0") for n in (1, 2)]
        # In turn, so that what else the machine does slows both.
        times = [[seconds(cluster, folder, teacher.network) for cluster in clusters] for _ in range(6)]
        for cluster in clusters:
            cluster.close()
    one, two = np.min(times, axis=0)
    print(
        f"{n_rows:,} rows of {n_features}: 1 worker {one:.2f} s, 2 workers {two:.2f} s, {one / two:.2f} times as fast"
    )


if __name__ == "__main__":
    main()

"""Compare the speed of sweeps with that of reading a file and of a matrix product, with one and two threads.

    python benches/sweeps.py [reading] [computing] [--rows 4000000] [--rounds 7] [--folder FOLDER]

`reading` compares the gradient sweep of four neurons in 20 features with reading the same file, piece by piece into one
small buffer and as a whole by `np.fromfile`. Files are read from the file cache, and from disk after the system was
asked to drop the file from the cache. `computing` measures sweeps with much computation on rows in memory, with one and
two threads. Their rate counts n d (d + 1) operations per matrix, the minimum for n rows of a lower triangle, and is
compared with that of NumPy's product of two square matrices of doubles. Times are the best of interleaved rounds; use
more rounds on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from relunet import ReLUNetwork, scan_array, scan_npy
from relunet.moments import Accumulator, ContractionMoments, GradientMoments, InputMoments, SliceMoments
from relunet.samples import Samples

PIECE = 1 << 20
DEGREES = (2, 4, 6, 8)
EDGES = np.linspace(-1.5, 1.5, 15)
# Rows and columns of the matrices whose product shows what the processor can do.
SQUARE = 1536


def main() -> None:
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["reading", "computing"], metavar="reading | computing")
    parser.add_argument("--rows", type=int, default=4_000_000, help="rows of the file")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", help="where the file goes")
    arguments = parser.parse_args()
    if "reading" in arguments.parts:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            reading(Path(folder), arguments.rows, arguments.rounds)
    if "computing" in arguments.parts:
        computing(arguments.rounds)


def best_seconds(
    works: Mapping[str, Callable[[], object]], rounds: int, before: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """Return the shortest time of each work over rounds in which they take turns, after one that is not timed."""
    best = dict.fromkeys(works, np.inf)
    for round_ in range(rounds + 1):
        for name, work in works.items():
            before()
            start = time.perf_counter()
            work()
            if round_:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def sweep(samples: Samples, make: Callable[[int], Accumulator], n_threads: int) -> None:
    """Sweep the samples through one accumulator."""
    samples.sweep([make(samples.n_columns)], n_jobs=n_threads)


def gradient(n_features: int) -> GradientMoments:
    """Return the gradient at four neurons."""
    return GradientMoments(ReLUNetwork(np.eye(4, n_features), np.ones(4)))


def read(paths: tuple[Path, ...]) -> None:
    """Read files whole, piece by piece into one buffer."""
    buffer = bytearray(PIECE)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def forget(paths: tuple[Path, ...]) -> None:
    """Ask the system to drop files from its cache."""
    for path in paths:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def reading(folder: Path, n_rows: int, rounds: int) -> None:
    """Compare the gradient sweep of a file with reading it."""
    n_features, paths = 20, (folder / "x.npy", folder / "y.npy")
    rng = np.random.default_rng(0)
    for path, shape in zip(paths, ((n_rows, n_features), (n_rows,)), strict=True):
        array = np.lib.format.open_memmap(path, "w+", np.float64, shape)
        for start in range(0, n_rows, 100_000):
            array[start : start + 100_000] = rng.standard_normal(array[start : start + 100_000].shape)
        array.flush()
    samples, size = scan_npy(*paths), sum(path.stat().st_size for path in paths)
    n_cores = os.cpu_count() or 1
    works: dict[str, Callable[[], object]] = {
        "pieces into one buffer": lambda: read(paths),
        "`np.fromfile`": lambda: [np.fromfile(path) for path in paths],
        "gradient sweep, one thread": lambda: sweep(samples, gradient, 1),
        f"gradient sweep, {n_cores} threads": lambda: sweep(samples, gradient, n_cores),
    }
    cached = best_seconds(works, rounds)
    from_disk = best_seconds(works, rounds, partial(forget, paths))
    print("| read | GiB/s from cache | of pieces | GiB/s from disk | of pieces |\n|---|---|---|---|---|")
    for name in works:
        cells = [
            f"{size / seconds[name] / 2**30:.2f} | {next(iter(seconds.values())) / seconds[name]:.2f}"
            for seconds in (cached, from_disk)
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def computing(rounds: int) -> None:
    """Compare one thread with two, and with a matrix product, for each kind of sweep."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, SQUARE, SQUARE))
    with threadpool_limits(1):
        gemm = 2 * SQUARE**3 / best_seconds({"": lambda: a @ b}, rounds)[""]
    # Each with its matrices a row.
    kinds: dict[str, tuple[int, Callable[[int], Accumulator]]] = {
        "inputs": (1, InputMoments),
        "slices": (1, lambda d: SliceMoments(d, EDGES)),
        "contractions": (4, lambda d: ContractionMoments(d, np.eye(1, d)[0], DEGREES)),
        "contractions, mixed": (4, lambda d: ContractionMoments(d, np.eye(1, d)[0], DEGREES, precision="mixed")),
    }
    print(f"\nNumPy's product: {gemm / 1e9:.1f} GFLOP/s on one thread\n")
    print(
        "| sweep | features | one thread | two threads | times as fast | GFLOP/s | of the product |\n"
        + "|---" * 7
        + "|"
    )
    for d in (64, 128, 512):
        n_rows = max(40_000, 12_000_000 // d)
        samples = scan_array(rng.standard_normal((n_rows, d)), rng.standard_normal(n_rows))
        for name, (n_matrices, make) in kinds.items():
            seconds = best_seconds({str(n): partial(sweep, samples, make, n) for n in (1, 2)}, rounds)
            one, two = seconds["1"], seconds["2"]
            rate = n_matrices * n_rows * d * (d + 1) / one
            times = f"{one * 1e3:.1f} ms | {two * 1e3:.1f} ms | {one / two:.2f}"
            print(f"| {name} | {d} | {times} | {rate / 1e9:.1f} | {rate / gemm:.2f} |", flush=True)


if __name__ == "__main__":
    main()

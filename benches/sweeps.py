"""How near sweeps come to the speed of reading a file, and what a second thread adds.

    python benches/sweeps.py [reading] [threads] [--rows 4000000] [--rounds 7] [--folder FOLDER]

`reading` compares the gradient sweep of four neurons in d = 20 features with reading the same file, piece by piece into
one small buffer and whole by `np.fromfile`: from the cache of the system, and from disk, after the system was asked to
forget the file. `threads` compares one thread with two where there is much to compute.
Times are the best of interleaved rounds: on a busy machine take more of them.
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

from relunet import ReLUNetwork, _relunet, scan_array, scan_npy
from relunet.moments import Accumulator, ContractionMoments, GradientMoments, InputMoments, SliceMoments
from relunet.samples import Samples

PIECE = 1 << 20
DEGREES = (2, 4, 6, 8)
EDGES = np.linspace(-1.5, 1.5, 15)


def main() -> None:
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["reading", "threads"], metavar="reading | threads")
    parser.add_argument("--rows", type=int, default=4_000_000, help="rows of the file")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", help="where the file goes")
    arguments = parser.parse_args()
    if "reading" in arguments.parts:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            reading(Path(folder), arguments.rows, arguments.rounds)
    if "threads" in arguments.parts:
        for n_features in (64, 128, 512):
            threads(n_features, arguments.rounds)


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
    _relunet.sweep(samples.source, [make(samples.n_columns)], n_threads=n_threads)


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
    print(f"gradient sweep of {size / 2**30:.2f} GiB, d = {n_features}, 4 neurons")
    n_cores = os.cpu_count() or 1
    works: dict[str, Callable[[], object]] = {
        "read": lambda: read(paths),
        "np.fromfile": lambda: [np.fromfile(path) for path in paths],
        "sweep, one thread": lambda: sweep(samples, gradient, 1),
        f"sweep, {n_cores} threads": lambda: sweep(samples, gradient, n_cores),
    }
    for place in ("cache", "disk"):
        seconds = best_seconds(works, rounds, partial(forget, paths if place == "disk" else ()))
        for name, time_ in seconds.items():
            rate = size / time_ / 2**30
            print(f"from {place:5s}  {name:20s} {rate:6.2f} GiB/s   {seconds['read'] / time_:5.2f} of read", flush=True)


def threads(n_features: int, rounds: int) -> None:
    """Compare one thread with two for each kind of sweep."""
    n_rows = max(40_000, 12_000_000 // n_features)
    rng = np.random.default_rng(1)
    samples = scan_array(rng.standard_normal((n_rows, n_features)), rng.standard_normal(n_rows))
    kinds: dict[str, Callable[[int], Accumulator]] = {
        "inputs": InputMoments,
        "slices": lambda d: SliceMoments(d, EDGES),
        "contractions": lambda d: ContractionMoments(d, np.eye(1, d)[0], DEGREES),
        "contractions, mixed": lambda d: ContractionMoments(d, np.eye(1, d)[0], DEGREES, precision="mixed"),
    }
    for name, make in kinds.items():
        seconds = best_seconds({str(n): partial(sweep, samples, make, n) for n in (1, 2)}, rounds)
        one, two = seconds["1"], seconds["2"]
        times = f"one thread {one * 1e3:7.1f} ms, two {two * 1e3:7.1f} ms, {one / two:.2f} times as fast"
        print(f"{name:20s} d = {n_features:3d}: {times}", flush=True)


if __name__ == "__main__":
    main()

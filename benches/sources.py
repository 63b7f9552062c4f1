"""Measure sweeps of sources: Parquet files compared with the scanner of pyarrow, memory, and generated rows.

    python benches/sources.py parquet --rows 8000000 --columns 96
    python benches/sources.py generated --rows 1000000000 --columns 20

The first command needs pyarrow. Times are the best of several interleaved runs; memory is anonymous memory, without the
file cache.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

GROUP_ROWS = 1 << 20


def write_parquet(path: Path, n_rows: int, n_columns: int) -> None:
    """Write Gaussian inputs and the labels of one neuron as pyarrow does by default."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    names = [f"x{column}" for column in range(n_columns)]
    schema = pa.schema([(name, pa.float64()) for name in [*names, "y"]])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, n_rows, GROUP_ROWS // 4):
            X = rng.standard_normal((n_columns, min(GROUP_ROWS // 4, n_rows - start)))
            columns = [*X, np.maximum(X[0], 0)]
            writer.write_table(pa.table(dict(zip([*names, "y"], columns, strict=True)), schema), GROUP_ROWS)


def scanner_seconds(path: Path, n_threads: int) -> float:
    """Return the time of pyarrow's scanner alone."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    pa.set_cpu_count(n_threads)
    start = time.perf_counter()
    for batch in ds.dataset(path).scanner(batch_readahead=2, fragment_readahead=1).to_batches():
        del batch
    return time.perf_counter() - start


def sweep_seconds(path: Path, n_threads: int, accumulator: Callable[[int], Any]) -> float:
    """Return the time of a sweep of the same file."""
    import relunet

    samples = relunet.scan_parquet(path, target="y")
    start = time.perf_counter()
    samples.sweep([accumulator(samples.n_columns)], n_jobs=n_threads)
    return time.perf_counter() - start


def with_peak(work: Callable[[], object]) -> float:
    """Return the most anonymous memory of this process during `work`, in MiB."""
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            status = Path("/proc/self/status").read_text()
            peak = max(peak, int(status.split("RssAnon:")[1].split()[0]))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        work()
    finally:
        done.set()
        thread.join()
    return peak / 1024


def parquet(arguments: argparse.Namespace) -> None:
    """Compare sweeps with the scanner; then fit in another process and tell its memory."""
    from relunet.moments import GradientMoments, InputMoments

    def gradient(n_columns: int) -> GradientMoments:
        import relunet

        return GradientMoments(relunet.ReLUNetwork(np.eye(4, n_columns), np.ones(4)))

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "samples.parquet"
        write_parquet(path, arguments.rows, arguments.columns)
        print(f"{path.stat().st_size / 2**30:.2f} GiB, {arguments.threads} threads")
        best: dict[str, float] = {}
        for _ in range(arguments.repeat):
            works: tuple[tuple[str, Callable[[], float]], ...] = (
                ("pyarrow scanner", lambda: scanner_seconds(path, arguments.threads)),
                ("input moments", lambda: sweep_seconds(path, arguments.threads, InputMoments)),
                ("gradient of 4 neurons", lambda: sweep_seconds(path, arguments.threads, gradient)),
            )
            for name, work in works:
                best[name] = min(best.get(name, np.inf), work())
        scanner = best["pyarrow scanner"]
        for name, seconds in best.items():
            print(f"{name:22s} {seconds:7.2f} s   {scanner / seconds:.2f} of the scanner's rate")
        if not arguments.no_fit:
            subprocess.run([sys.executable, __file__, "fit", str(path)], check=True)


def fit(arguments: argparse.Namespace) -> None:
    """Fit a Parquet file and tell the memory."""
    import relunet

    samples = relunet.scan_parquet(arguments.path, target="y")
    model = relunet.ReLUNetRegressor(n_neurons=4, fit_bias=False)
    start = time.perf_counter()
    peak = with_peak(lambda: model.fit(samples))
    print(f"fit: {model.report_.status}, {time.perf_counter() - start:.1f} s, peak anonymous memory {peak:.0f} MiB")


def generated(arguments: argparse.Namespace) -> None:
    """Sweep rows that are made as they are read."""
    import relunet
    from relunet.moments import InputMoments

    size, n_columns = 1 << 14, arguments.columns

    def batch(number: int) -> tuple[Any, Any]:
        rng = np.random.Generator(np.random.SFC64(number))
        X = rng.standard_normal((min(size, arguments.rows - number * size), n_columns))
        return X, np.maximum(X[:, 0], 0)

    n_batches: int = -(-arguments.rows // size)

    class Batches:
        def __len__(self) -> int:
            return n_batches

        def __getitem__(self, number: int) -> tuple[Any, Any]:
            return batch(number)

    def in_order() -> Iterator[tuple[Any, Any]]:
        return (batch(number) for number in range(n_batches))

    for name, factory in (("batches by number", Batches()), ("batches in order", in_order))[: arguments.kinds]:
        samples = relunet.scan_batches(factory, n_rows=arguments.rows)
        start = time.perf_counter()
        marks: list[float] = []

        def progress(_: int, marks: list[float] = marks) -> None:
            status = Path("/proc/self/status").read_text()
            marks.append(int(status.split("RssAnon:")[1].split()[0]) / 1024)

        samples.sweep([InputMoments(n_columns)], n_jobs=arguments.threads, progress=progress)
        seconds = time.perf_counter() - start
        tenths = np.array_split(np.array(marks), 10)
        early, late = np.median(tenths[1]), np.median(tenths[-1])
        print(
            f"{name:18s} {arguments.rows:,} rows of {n_columns}: {seconds:.1f} s, "
            f"{arguments.rows / seconds / 1e6:.2f} M rows/s, memory {early:.1f} MiB in the second tenth of the time, "
            f"{late:.1f} MiB in the last, {max(map(np.max, tenths)):.0f} MiB at most"
        )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for run, rows, columns in ((parquet, 8_000_000, 96), (generated, 1_000_000_000, 20)):
        command = commands.add_parser(run.__name__, help=run.__doc__)
        command.add_argument("--rows", type=int, default=rows)
        command.add_argument("--columns", type=int, default=columns)
        command.add_argument("--threads", type=int, default=os.cpu_count() or 1)
        command.add_argument("--repeat", type=int, default=3)
        command.add_argument("--folder", help="where the file goes")
        command.add_argument("--no-fit", action="store_true")
        command.add_argument("--kinds", type=int, default=2, help="1: generated by number alone")
        command.set_defaults(run=run)
    command = commands.add_parser("fit", help=fit.__doc__)
    command.add_argument("path")
    command.set_defaults(run=fit)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()

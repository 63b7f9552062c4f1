"""A mutation fuzzer for the readers that are written in Python: networks in safetensors files, and Arrow tables.

``python fuzz/readers.py network|arrow|all [EXECUTIONS [SEED]]`` stops at the first input that causes an exception other
than those of `relunet.errors`. The input is saved in ``fuzz/findings``. The Rust program in the same folder fuzzes the
readers of ``.npy``, CSV, Parquet, checkpoints and accumulators. Needs pyarrow.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from relunet import ReLUNetwork, scan_arrow
from relunet.errors import RelunetError

HERE = Path(__file__).parent
EDGES = [0, 1, 7, 8, 2**7 - 1, 2**8 - 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**60, 2**63 - 1, 2**64 - 1]
TOKENS = [b"null", b"-1", b"1e400", b"[]", b"{}", b'""', b"true", b"[" * 40, b'"F32"', b"NaN", b"9" * 40, b"\\ud800"]
# Most memory that a run may add, in bytes.
MAX_GROWTH = 300 << 20


def mutate(rng: random.Random, data: bytearray) -> None:
    """Change bytes in one to six places: bits, numbers at which sizes go wrong, cuts, copies, tokens of JSON."""
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data)) if data else 0
        kind = rng.randrange(8)
        if kind == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at] = rng.randrange(256)
        elif kind == 2:
            width = rng.choice((1, 2, 4, 8))
            data[at : at + width] = (rng.choice(EDGES) % 256**width).to_bytes(width, "little")[: len(data) - at]
        elif kind == 3:
            del data[at : at + rng.randint(1, 16)]
        elif kind == 4:
            start = rng.randrange(len(data)) if data else 0
            data[at:at] = data[start : start + rng.randint(1, 64)]
        elif kind == 5:
            data[at : at + rng.randrange(4)] = str(rng.choice(EDGES)).encode()
        elif kind == 6:
            data[at : at + rng.randrange(8)] = rng.choice(TOKENS)
        elif rng.randrange(8) == 0:
            del data[at:]


class Networks:
    """Reader of networks."""

    def __init__(self) -> None:
        folder = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
        self.path = (folder or HERE) / f"relunet-fuzz-network-{os.getpid()}"
        self.corpus = [path.read_bytes() for path in sorted((HERE / "corpus" / "network").iterdir())]
        self.file = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600)

    def make(self, rng: random.Random) -> bytes:
        """Return a mutated file, in most cases with the length of its header put right."""
        whole = rng.choice(self.corpus)
        end = 8 + int.from_bytes(whole[:8], "little")
        if rng.randrange(8) == 0:
            data = bytearray(whole)
            mutate(rng, data)
            return bytes(data)
        header, rest = bytearray(whole[8:end]), bytearray(whole[end:])
        mutate(rng, header if rng.randrange(4) else rest)
        return len(header).to_bytes(8, "little") + bytes(header) + bytes(rest)

    def read(self, data: bytes) -> None:
        """Load the network, and use it."""
        os.ftruncate(self.file, 0)
        os.pwrite(self.file, data, 0)
        network = ReLUNetwork.load(self.path)
        network.predict(np.zeros((2, network.n_features)))

    def close(self) -> None:
        """Remove the file."""
        os.close(self.file)
        self.path.unlink(missing_ok=True)


class Tables:
    """Reader of Arrow tables that pyarrow makes of mutated bytes."""

    def __init__(self) -> None:
        n_rows = 30
        x = pa.array(np.arange(n_rows) / 7)
        columns = {
            "x": x,
            "i": pa.array(np.arange(n_rows), pa.int16()),
            "b": pa.array(np.arange(n_rows) % 2 == 0),
            "d": pa.array(np.arange(n_rows) % 3).dictionary_encode(),
            "m": pa.array(np.arange(n_rows)).cast(pa.decimal128(20, 0)),
            "l": pa.ListArray.from_arrays(pa.array(np.arange(0, 2 * n_rows + 1, 2), pa.int32()), pa.array(np.ones(60))),
            "f": pa.FixedSizeListArray.from_arrays(pa.array(np.ones(60)), 2),
            "y": x,
        }
        self.corpus = []
        for chosen in (["x", "y"], ["i", "b", "d", "y"], ["m", "l", "f", "y"], list(columns)):
            table = pa.table({name: columns[name] for name in chosen})
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=20)
            self.corpus.append(sink.getvalue().to_pybytes())

    def make(self, rng: random.Random) -> bytes:
        """Return a mutated stream."""
        data = bytearray(rng.choice(self.corpus))
        mutate(rng, data)
        return bytes(data)

    def read(self, data: bytes) -> None:
        """Read the rows of the table, if pyarrow makes one."""
        try:
            table = pa.ipc.open_stream(data).read_all()
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError, NotImplementedError):
            return
        if table.num_rows > 10_000 or table.num_columns > 100:
            return
        for _ in scan_arrow(table, target=table.num_columns - 1).blocks(7):
            pass

    def close(self) -> None:
        """Nothing to remove."""


READERS: dict[str, Callable[[], Networks | Tables]] = {"network": Networks, "arrow": Tables}


def run(name: str, n_runs: int, seed: int) -> str | None:
    """Give mutated inputs to a reader, and return what went wrong."""
    rng, reader, start = random.Random(seed), READERS[name](), time.perf_counter()
    for data in reader.corpus:
        reader.read(data)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    n_sound = 0
    try:
        for number in range(n_runs):
            data = reader.make(rng)
            try:
                reader.read(data)
                n_sound += 1
            except RelunetError:
                pass
            except BaseException as error:
                finding = HERE / "findings" / f"{name}-{seed}-{number}"
                finding.parent.mkdir(exist_ok=True)
                finding.write_bytes(data)
                return f"execution {number}: {type(error).__name__}: {error}; the input is {finding}"
            if (number + 1) % 1_000_000 == 0:
                print(f"{name}: {number + 1} executions in {time.perf_counter() - start:.0f}s", flush=True)
    finally:
        reader.close()
    growth = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held)
    if growth > MAX_GROWTH:
        return f"{growth} bytes of memory beyond those of the corpus"
    print(
        f"{name}: {n_runs} executions in {time.perf_counter() - start:.1f}s, {n_sound} read without an error, "
        f"{growth >> 20} MiB of memory beyond those of the corpus",
        flush=True,
    )
    return None


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reader", choices=[*READERS, "all"])
    parser.add_argument("executions", type=int, nargs="?", default=100_000)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    arguments = parser.parse_args()
    for name in READERS if arguments.reader == "all" else [arguments.reader]:
        finding = run(name, arguments.executions, arguments.seed)
        if finding:
            print(f"{name}: {finding}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

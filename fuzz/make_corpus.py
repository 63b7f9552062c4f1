"""Write the corpus of the fuzz driver: small valid files of every kind.

Needs pyarrow; run ``python fuzz/make_corpus.py`` after the format of a file has changed.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from relunet import ReLUNetwork, moments, scan_array
from relunet.samples.protocol import SweepFile

CORPUS = Path(__file__).parent / "corpus"


def folder(name: str) -> Path:
    """Return an empty folder of the corpus."""
    path = CORPUS / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def accumulators() -> None:
    """Write an accumulator of every kind, with and without a network."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    network = ReLUNetwork(rng.standard_normal((2, 3)), [1.0, -1.0], [0.1, 0.2], [1.0, 0.0, -1.0], 0.5)
    unit = np.eye(3)[:2]
    kinds = [
        moments.InputMoments(3),
        moments.ContractionMoments(3, unit, [2, 3, 6]),
        moments.ContractionMoments(3, unit[0], [4], network=network, precision="mixed"),
        moments.SliceMoments(3, [-0.5, 0.25]),
        moments.SliceMoments(3, [], network=network),
        moments.GradientMoments(network),
        moments.CurvatureMoments(network),
        moments.RiskMoments(network),
        moments.RowSample(3, 2**63, seed=3),
        moments.RowSample(3, 2**63, seed=4, directions=unit),
        moments.SketchMoments(3, unit, [-0.5, 0.25], [[1.0, 2.0], [0.0, 1.0], [3.0, 4.0]], network=network),
    ]
    out = folder("accumulator")
    for number, sums in enumerate(kinds):
        sums.update(X, y)
        (out / f"{number:02}-{type(sums).__name__}").write_bytes(sums.to_bytes())


def checkpoints() -> None:
    """Write the checkpoint of the sweep that the driver resumes."""
    X = np.arange(18_000.0).reshape(9000, 2)
    path = folder("checkpoint") / "ended"
    scan_array(X).sweep([moments.InputMoments(2)], checkpoint=SweepFile(path, b"fuzz"))


def npy() -> None:
    """Write .npy files of several types, orders and versions."""
    out = folder("npy")
    table = np.arange(24).reshape(8, 3)
    for dtype in ("<f8", ">f4", "<f2", "<i8", ">i2", "|u1", "|b1"):
        np.save(out / f"{dtype[1:]}.npy", table.astype(dtype))
    np.save(out / "fortran.npy", np.asfortranarray(table.astype(float)))
    with open(out / "version2.npy", "wb") as file:
        np.lib.format.write_array(file, table.astype(float), version=(2, 0))


def csv() -> None:
    """Write CSV files with quotes, both line ends, and a byte order mark."""
    out = folder("csv")
    rows = [[i / 3, -i, i * 1e10] for i in range(9)]
    plain = "a,b,y\n" + "".join(",".join(map(repr, row)) + "\n" for row in rows)
    (out / "plain.csv").write_text(plain)
    (out / "windows.csv").write_bytes(plain.replace("\n", "\r\n").encode())
    (out / "quoted.csv").write_text('"a ""x""","b","y"\n' + "".join(f'"{a}", {b} ,{y}\n\n' for a, b, y in rows))
    (out / "mark.csv").write_bytes(b"\xef\xbb\xbf" + plain.encode())
    (out / "gzip.csv.gz").write_bytes(gzip.compress(plain.encode(), mtime=0))


def parquet() -> None:
    """Write Parquet files of all number types, compressions and encodings that can be read."""
    out = folder("parquet")
    n = 40
    table = pa.table(
        {
            "a": np.arange(n) / 7,
            "b": pa.array(np.arange(n), pa.int32()),
            "c": pa.array(np.arange(n) % 3, pa.uint8()),
            "d": pa.array(np.arange(n) % 2 == 0),
            "h": pa.array(np.arange(n).astype(np.float16)),
            "y": pa.array(np.arange(n), pa.float32()),
        }
    )
    for compression in ("none", "snappy", "gzip", "zstd", "lz4", "brotli"):
        pq.write_table(table, out / f"{compression}.parquet", compression=compression)
    pq.write_table(table, out / "groups.parquet", row_group_size=13, data_page_version="2.0", data_page_size=64)
    pq.write_table(table, out / "plain.parquet", use_dictionary=False, write_statistics=False, store_schema=False)
    pq.write_table(
        table.select(["b", "y"]),
        out / "delta.parquet",
        use_dictionary=False,
        column_encoding={"b": "DELTA_BINARY_PACKED", "y": "BYTE_STREAM_SPLIT"},
        store_schema=False,
    )
    decimals = pa.array([Decimal(i * i) / 100 for i in range(n)], pa.decimal128(30, 2))
    for version in ("1.0", "2.0"):
        pq.write_table(
            pa.table({"m": decimals, "y": table["y"]}),
            out / f"decimals{version[0]}.parquet",
            use_dictionary=False,
            column_encoding={"m": "DELTA_BYTE_ARRAY", "y": "PLAIN"},
            data_page_version=version,
            compression="none",
        )
    lists = pa.FixedSizeListArray.from_arrays(table["a"].combine_chunks(), 2).cast(pa.list_(pa.float64()))
    pq.write_table(pa.table({"x": lists, "y": table["y"][: n // 2]}), out / "lists.parquet", compression="none")


def main() -> None:
    """Write all of the corpus."""
    for write in (accumulators, checkpoints, npy, csv, parquet):
        write()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "network")
        ReLUNetwork([[1.0, 2.0]], [1.0], feature_names=["a", "b"]).save(path)
        (folder("network") / "one.safetensors").write_bytes(path.read_bytes())


if __name__ == "__main__":
    main()

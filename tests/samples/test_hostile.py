"""Bytes from strangers: errors of the package within bounded memory and time, whatever a file claims."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relunet import ReLUNetRegressor, ReLUNetwork, Samples, scan_arrow, scan_csv, scan_npy, scan_parquet
from relunet.errors import DataError, FileError

linux = pytest.mark.skipif(sys.platform != "linux", reason="FIFOs and limits as Linux has them")


def varint(value: int) -> bytes:
    """Return an integer as Thrift and Parquet store it."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def read(samples: Samples) -> None:
    for _ in samples.blocks(1000):
        pass


def test_dictionary_that_claims_more_values_than_it_holds(tmp_path: Path) -> None:
    path, n = tmp_path / "t.parquet", 8192
    pq.write_table(pa.table({"a": np.arange(float(n)), "y": np.zeros(n)}), path, compression="none")
    content = path.read_bytes()
    start = pq.read_metadata(path).row_group(0).column(0).dictionary_page_offset
    at = content.index(varint(2 * n), start, start + 40)
    path.write_bytes(content[:at] + varint(2 * 1_000_000) + content[at + 3 :])
    with pytest.raises(FileError, match="column 'a': is damaged: .*dictionary page that claims more values"):
        read(scan_parquet(path, target="y"))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_delta_lengths_that_claim_more_than_their_page(tmp_path: Path, version: str) -> None:
    path, n = tmp_path / "t.parquet", 100
    money = pa.array([Decimal(i * i) / 100 for i in range(n)], pa.decimal128(30, 2))
    pq.write_table(
        pa.table({"m": money, "y": np.zeros(n)}),
        path,
        compression="none",
        use_dictionary=False,
        column_encoding={"m": "DELTA_BYTE_ARRAY", "y": "PLAIN"},
        data_page_version=version,
    )
    samples = scan_parquet(path, target="y")
    np.testing.assert_allclose(next(iter(samples.blocks()))[0][:, 0], np.arange(n) ** 2 / 100)
    content = path.read_bytes()
    header = b"\x80\x01\x04"
    prefixes = content.index(header + varint(n)) + len(header)
    suffixes = content.index(header + varint(n), prefixes) + len(header)
    for count in (prefixes, suffixes):
        path.write_bytes(content[:count] + b"\x7f" + content[count + 1 :])
        with pytest.raises(FileError, match="column 'm': is damaged: .*lengths of values"):
            read(scan_parquet(path, target="y"))


@pytest.mark.parametrize("compression", ["gzip", "brotli", "zstd", "lz4"])
def test_pages_that_expand(tmp_path: Path, compression: str) -> None:
    """A page of 160 MB that takes few bytes is refused before the memory is used."""
    path = tmp_path / "t.parquet"
    n = 20_000_000
    pq.write_table(
        pa.table({"a": np.zeros(n), "y": np.zeros(n, np.int8)}),
        path,
        compression={"a": compression, "y": "none"},
        use_dictionary=["y"],
        data_page_size=1 << 30,
        row_group_size=n,
        write_batch_size=n,
        max_rows_per_page=n,
    )
    samples = scan_parquet(path, target="y")
    with pytest.raises(FileError, match="far larger"):
        read(samples)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_many_columns_take_linear_time(tmp_path: Path, kind: str) -> None:
    def seconds(n: int) -> float:
        names = [f"c{number}" for number in range(n)]
        paths = [tmp_path / f"{n}-{order}.{kind}" for order in (0, 1)]
        for path, order in zip(paths, (names, names[::-1]), strict=True):
            if kind == "csv":
                path.write_text(",".join(order) + "\n" + ",".join("1" * n) + "\n")
            else:
                pq.write_table(pa.table({name: [1.0] for name in order}), path)
        best = np.inf
        for _ in range(3):
            start = time.process_time()
            scan = scan_csv if kind == "csv" else scan_parquet
            samples = scan(paths, target="c0", columns=names[1:])
            best = min(best, time.process_time() - start)
            assert samples.n_columns == n - 1
        return float(best)

    assert seconds(16_000) < 8 * seconds(4_000) + 0.05


def test_encrypted_columns_are_named_as_such(tmp_path: Path) -> None:
    encryption = pytest.importorskip("pyarrow.parquet.encryption")

    class Keys(encryption.KmsClient):  # type: ignore[misc, name-defined]
        def wrap_key(self, key: bytes, _: str) -> bytes:
            return base64.b64encode(key)

    factory = encryption.CryptoFactory(lambda _: Keys())
    options = {"footer_key": "f", "column_keys": {"k": ["a"]}}
    table = pa.table({"a": [1.0], "y": [1.0]})
    for plaintext_footer, message in ((True, "has encrypted columns"), (False, "is encrypted")):
        configuration = encryption.EncryptionConfiguration(**options, plaintext_footer=plaintext_footer)
        properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), configuration)
        path = tmp_path / "t.parquet"
        with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
            writer.write_table(table)
        with pytest.raises(FileError, match=f"{message}, which cannot be read here.*scan_arrow"):
            scan_parquet(path, target="y")


def test_arrow_tables_with_indices_beyond_their_values() -> None:
    x = pa.DictionaryArray.from_arrays(pa.array([0, 7], pa.int32()), pa.array([1.0, 2.0]), safe=False)
    table = pa.Table.from_batches([pa.RecordBatch.from_arrays([x, pa.array([1.0, 2.0])], ["x", "y"])])
    with pytest.raises(DataError, match="Table: is damaged"):
        read(scan_arrow(table, target="y"))
    with pytest.raises(DataError, match="is damaged"):
        ReLUNetRegressor().fit(table.select(["x"]), np.zeros(2))


def test_streams_that_make_the_library_panic() -> None:
    """A producer that is not checked beforehand: a panic becomes an error, and nothing is printed."""

    class Producer:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            keys = pa.array([0, 7], pa.int32())
            wrong = pa.DictionaryArray.from_arrays(keys, pa.array([1.0, 2.0]), safe=False)
            batch = pa.RecordBatch.from_arrays([wrong, pa.array([1.0, 2.0])], ["x", "y"])
            return pa.RecordBatchReader.from_batches(batch.schema, [batch]).__arrow_c_stream__()

    with pytest.raises(DataError, match="is damaged: its buffers"):
        read(scan_arrow(Producer(), target="y"))


@linux
def test_no_reader_waits_for_a_pipe(tmp_path: Path) -> None:
    fifo = tmp_path / "t"
    os.mkfifo(fifo)
    for suffix, scan in ((".npy", scan_npy), (".csv", scan_csv), (".parquet", scan_parquet)):
        path = fifo.with_suffix(suffix)
        os.mkfifo(path)
        with pytest.raises(FileError, match="not a regular file"):
            scan(path, target=0)
    with pytest.raises(FileError, match="not a regular file"):
        ReLUNetwork.load(fifo)


@linux
@pytest.mark.parametrize("room", [0, 16, 64])
def test_a_memory_limit_is_a_memory_error_and_the_process_lives(room: int) -> None:
    """Whatever allocation fails: MemoryError, and a fit with room afterwards."""
    code = """if True:
        import resource, sys, warnings; warnings.simplefilter("ignore")
        import numpy as np, numpy.ma
        from relunet import ReLUNetRegressor
        rng = np.random.default_rng(3)
        X = rng.standard_normal((40_000, 60)); y = np.maximum(X @ rng.standard_normal((60, 5)), 0).sum(1)
        small = lambda: ReLUNetRegressor(n_jobs=1).fit(X[:50, :3], np.abs(X[:50, 0]))
        small()
        used = int([l for l in open("/proc/self/status") if l.startswith("VmSize")][0].split()[1]) * 1024
        limits = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]) * 2**20, limits[1]))
        try:
            ReLUNetRegressor(n_jobs=1).fit(X, y)
        except MemoryError as error:
            print("MemoryError", error)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        small(); print("lives")
    """
    done = subprocess.run([sys.executable, "-c", code, str(room)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.endswith("lives\n")
    assert room > 16 or "MemoryError" in done.stdout
    assert done.stderr == ""


def test_the_fuzz_driver_of_the_python_readers() -> None:
    """A short run; ``fuzz/readers.py`` is started by hand for long ones."""
    driver = Path(__file__).parents[2] / "fuzz" / "readers.py"
    done = subprocess.run([sys.executable, driver, "all", "3000", "1"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr

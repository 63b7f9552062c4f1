"""More than two hundred damaged inputs: each raises one clear error that names file and place, and changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relunet import Samples, cli, scan_array, scan_arrow, scan_batches, scan_csv, scan_npy, scan_parquet
from relunet.errors import DataError, FileError, RelunetError
from relunet.moments import InputMoments, sweep

Array = np.ndarray[Any, np.dtype[Any]]
NAMES = ("a", "b", "y")
KINDS = ("npy", "parquet", "csv")


def values(n_rows: int = 400) -> Array:
    return np.random.default_rng(1).standard_normal((n_rows, 3)).round(3)


def write(path: Path, rows: Array, **options: Any) -> Path:
    """Write rows as what the suffix says."""
    if path.suffix == ".npy":
        np.save(path, rows)
    elif path.suffix == ".csv":
        text = "\n".join(",".join(repr(float(value)) for value in row) for row in rows)
        path.write_text(",".join(NAMES) + "\n" + text + "\n")
    else:
        columns = dict(zip(NAMES, map(np.ascontiguousarray, rows.T), strict=False))
        pq.write_table(pa.table(columns), path, **{"row_group_size": 150, **options})
    return path


@cache
def good(kind: str, compression: str = "snappy") -> bytes:
    """Return the bytes of a good file of 400 rows."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        options = {"compression": compression} if kind == "parquet" else {}
        return write(Path(folder) / f"good.{kind}", values(), **options).read_bytes()


def scan(path: Path) -> Samples:
    if path.suffix == ".npy":
        return scan_npy(path, target=2)
    return scan_csv(path, target="y") if path.suffix == ".csv" else scan_parquet(path, target="y")


def gather(samples: Samples) -> Array:
    return np.concatenate([np.column_stack([X, y]) for X, y, _ in samples.blocks(90)])


def refused(path: Path, *words: str, kinds: type[RelunetError] = RelunetError) -> None:
    """Require that a file cannot be used, for a reason that names it, by reading, by sweeping and by a fit."""
    with pytest.raises(kinds) as error:
        gather(scan(path))
    message = str(error.value)
    assert message.startswith(str(path)) or f" {path}" in message, message
    for word in words:
        assert word in message
    moments = InputMoments(2)
    before = moments.to_bytes()
    with pytest.raises(RelunetError):
        sweep(scan(path), [moments])
    assert moments.to_bytes() == before, "no partial result"


@pytest.mark.parametrize("part", [0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("kind", KINDS)
def test_truncated(tmp_path: Path, kind: str, part: float) -> None:
    path = tmp_path / f"t.{kind}"
    content = good(kind)[: int(part * len(good(kind)))]
    if kind == "csv":
        # in the middle of a row: a text that ends with a row is a good one
        content = content[: content.rfind(b",")] if b"\n" in content else content
        content = content[: content.rfind(b",")] if content.count(b"\n") > 0 and content[-1:] != b"\n" else content
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize(
    "start", [b"", b"\x00" * 8, b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"PAR1", b"\x93NUMPY", b"\xff\xfe"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_wrong_magic(tmp_path: Path, kind: str, start: bytes) -> None:
    if {"parquet": b"PAR1", "npy": b"\x93NUMPY"}.get(kind) == start:
        start = start[:-1] + b"?"
    path = tmp_path / f"t.{kind}"
    path.write_bytes(start + b"\x00\x01\x02\x03\n" * 20 if start else b"")
    refused(path)


@pytest.mark.parametrize("number", range(60))
@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_flipped_bytes_of_parquet(tmp_path: Path, compression: str, number: int) -> None:
    """A flipped byte is noticed, or lies in values that every reader takes for what they are now."""
    rng = np.random.default_rng(number)
    content = bytearray(good("parquet", compression))
    # half of the flips in the footer, where they do most harm
    footer = int.from_bytes(content[-8:-4], "little") + 8
    last = len(content)
    place = int(rng.integers(last - footer, last) if number % 2 else rng.integers(0, last))
    content[place] ^= int(rng.integers(1, 256))
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    try:
        rows = gather(scan(path))
    except RelunetError as error:
        assert str(path) in str(error)
    else:
        if not np.array_equal(rows, values()):
            np.testing.assert_array_equal(rows, pq.ParquetFile(path).read().to_pandas().to_numpy())


@pytest.mark.parametrize("number", range(20))
@pytest.mark.parametrize("kind", ["npy", "csv"])
def test_flipped_bytes(tmp_path: Path, kind: str, number: int) -> None:
    rng = np.random.default_rng(number)
    content = bytearray(good(kind))
    place = int(rng.integers(0, 128 if kind == "npy" else len(content)))
    content[place] ^= int(rng.integers(1, 256))
    path = tmp_path / f"t.{kind}"
    path.write_bytes(content)
    try:
        rows = gather(scan(path))
    except RelunetError as error:
        assert str(path) in str(error)
    else:
        expected = np.load(path) if kind == "npy" else np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
        np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("1,2", "row 200: 2 fields where 3 were expected (line 202)"),
        ("1,2,3,4", "row 200: 4 fields where 3 were expected (line 202)"),
        ("1,2,", "row 200, column 'y': nothing where a number was expected (line 202)"),
        (" , 2, 3", "row 200, column 'a': nothing"),
        ("1,NA,3", "row 200, column 'b': \"NA\" where a number was expected"),
        ("1,high,3", "row 200, column 'b': \"high\""),
        ("1,2.5.1,3", "row 200, column 'b': \"2.5.1\""),
        ("1,1_000,3", "row 200, column 'b': \"1_000\""),
        ("1,0x10,3", "row 200, column 'b': \"0x10\""),
        ("1,2 3,3", "row 200, column 'b': \"2 3\""),
        ("1,True,3", "row 200, column 'b': \"True\""),
        ("1,2020-01-01,3", "row 200, column 'b': \"2020-01-01\""),
        ("1,\u0663,3", "row 200, column 'b': "),
        ("1,nan,3", "row 200, column 'b': NaN"),
        ("1,2,-inf", "row 200, column 'y': -inf"),
        ("1,1e999,3", "row 200, column 'b': inf"),
        ("1,\x00,3", "row 200, column 'b': "),
        ('1,"2,3', "row 200"),
        ("1;2;3", "row 200: 1 fields"),
        ("x" * 200 + ",2,3", "row 200, column 'a': \"" + "x" * 40 + '"...'),
    ],
)
def test_ragged_and_mixed_rows(tmp_path: Path, line: str, word: str) -> None:
    path = write(tmp_path / "t.csv", values())
    lines = path.read_text().splitlines()
    lines[201] = line
    path.write_text("\n".join(lines) + "\n")
    refused(path, word, kinds=DataError)


def test_quote_that_is_left_open(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('a,b,y\n1,2,3\n4,"5,6\n' + "7,8,9\n" * 3_000_000)
    refused(path, "row 1", "is a quote left open?")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("column", range(3))
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(tmp_path: Path, kind: str, column: int, bad: float) -> None:
    rows = values()
    rows[321, column] = bad
    name = str(column) if kind == "npy" else f"'{NAMES[column]}'"
    refused(write(tmp_path / f"t.{kind}", rows), f"row 321, column {name}: ", kinds=DataError)


@pytest.mark.parametrize("kind", KINDS)
def test_bad_value_in_row_a_million(tmp_path: Path, kind: str) -> None:
    rows = np.zeros((1_000_100, 3))
    rows[1_000_000, 1] = np.nan
    path = tmp_path / f"t.{kind}"
    if kind == "csv":
        path.write_text("a,b,y\n" + "0,0,0\n" * 1_000_000 + "0,nan,0\n" + "0,0,0\n" * 99)
    else:
        write(path, rows, **({"row_group_size": 300_000} if kind == "parquet" else {}))
    with pytest.raises(DataError, match=rf"^{path}, row 1000000, column (1|'b'): NaN "):
        sweep(scan(path), [InputMoments(2)])


@pytest.mark.parametrize("column", range(3))
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_nulls(tmp_path: Path, column: int, version: str) -> None:
    columns = [list(part) for part in values().T.tolist()]
    columns[column][222] = None
    whole = pa.table(dict(zip(NAMES, columns, strict=True)))
    pq.write_table(whole, tmp_path / "t.parquet", row_group_size=150, data_page_version=version)
    refused(tmp_path / "t.parquet", f"row 222, column '{NAMES[column]}': null", kinds=DataError)
    with pytest.raises(DataError, match=f"^Table, row 222, column '{NAMES[column]}': null"):
        gather(scan_arrow(whole, target="y"))


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_missing_column(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"t.{kind}", values())
    scans = {"parquet": scan_parquet, "csv": scan_csv}
    for wanted in ({"target": "z"}, {"target": "y", "columns": ["a", "z"]}, {"target": "y", "weight": "z"}):
        with pytest.raises(RelunetError, match=rf"{path} has no column 'z', but 'a', 'b', 'y'"):
            scans[kind](path, **wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_unreadable_and_no_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"t.{kind}"
    with pytest.raises(FileError, match=f"{path}: No such file"):
        scan(path)
    os.mkfifo(path)
    with pytest.raises(FileError, match=f"{path}: not a regular file"):
        scan(path)
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileError, match=f"{path}: No such file"):
        scan(path)
    path.unlink()
    write(path, values())
    path.chmod(0)
    if os.geteuid() != 0:
        with pytest.raises(FileError, match=f"{path}: Permission denied"):
            scan(path)


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"1,2,3\n")


def rewrite(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, (1, 1))


@pytest.mark.parametrize("change", [shrink, empty, grow, rewrite])
@pytest.mark.parametrize("when", ["before the first row", "between blocks"])
@pytest.mark.parametrize("kind", KINDS)
def test_changes_after_it_was_opened(tmp_path: Path, kind: str, when: str, change: Callable[[Path], None]) -> None:
    path = write(tmp_path / f"t.{kind}", values(3000))
    samples = scan(path)
    blocks = samples.blocks(40)
    if when == "between blocks":
        next(blocks)
    change(path)
    with pytest.raises(FileError, match=f"{path}: (holds .* bytes, but held|has been written to)"):
        list(blocks)
    with pytest.raises(FileError, match=str(path)):
        sweep(samples, [InputMoments(2)])


@pytest.mark.parametrize("kind", KINDS)
def test_vanishes_after_it_was_opened(tmp_path: Path, kind: str) -> None:
    """A file that is still open can be read to its end; one that is opened again is missed."""
    path = write(tmp_path / f"t.{kind}", values(3000))
    samples = scan(path)
    expected = gather(samples)
    path.unlink()
    try:
        rows = gather(samples)
    except FileError as error:
        assert str(error).startswith(f"{path}: No such file")
    else:
        np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize(
    "lie",
    [
        "rows of a group",
        "rows of the file",
    ],
)
def test_footers_that_lie(tmp_path: Path, lie: str) -> None:
    """Counts of rows that do not fit are found before a row is handed out."""
    content = good("parquet", "none")
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    # 400 and 150 as zigzag varints of thrift
    count = b"\xa0\x06" if lie == "rows of the file" else b"\xac\x02"
    other = b"\xa2\x06" if lie == "rows of the file" else b"\xae\x02"
    places = [at for at in range(start, len(content)) if content.startswith(count, at)]
    assert places
    path = tmp_path / "t.parquet"
    for place in places:
        path.write_bytes(content[:place] + other + content[place + 2 :])
        try:
            rows = gather(scan(path))
        except RelunetError as error:
            assert str(path) in str(error)
        else:
            np.testing.assert_array_equal(rows, values())


class Broken:
    """An array on disk whose chunk cannot be read."""

    shape, dtype = (5000, 3), np.dtype(float)

    def __len__(self) -> int:
        return 5000

    def __getitem__(self, rows: slice) -> Array:
        if rows.stop > 3000:
            raise OSError("chunk 3 cannot be read: wrong checksum")
        return np.zeros((rows.stop - rows.start, 3))


class Short(Broken):
    """An array that gives fewer rows than its shape says."""

    def __getitem__(self, rows: slice) -> Array:
        return np.zeros((min(rows.stop, 3000) - min(rows.start, 3000), 3))


def test_arrays_that_cannot_be_sliced() -> None:
    with pytest.raises(OSError, match="chunk 3 cannot be read"):
        sweep(scan_array(Broken()), [InputMoments(3)])
    with pytest.raises(DataError, match=r"Short, X: .* was expected"):
        sweep(scan_array(Short()), [InputMoments(3)])


def test_stream_that_breaks_off() -> None:
    class Stream:
        def __init__(self) -> None:
            self.breaks = False

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            def batches() -> Iterator[Any]:
                for number in range(5):
                    if self.breaks and number == 3:
                        raise OSError("the server is gone")
                    yield pa.record_batch({"x": np.arange(1000.0), "y": np.arange(1000.0)})

            schema = pa.schema([("x", pa.float64()), ("y", pa.float64())])
            return pa.RecordBatchReader.from_batches(schema, batches()).__arrow_c_stream__()

    stream = Stream()
    samples = scan_arrow(stream, target="y")
    sweep(samples, [InputMoments(1)])
    stream.breaks = True
    with pytest.raises(DataError, match="Stream: the stream broke off: .*the server is gone"):
        sweep(samples, [InputMoments(1)])
    stream.breaks = False
    sweep(samples, [InputMoments(1)])


@pytest.mark.parametrize("kind", KINDS)
def test_no_partial_output(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = values()
    rows[399, 0] = np.nan
    path = write(tmp_path / f"t.{kind}", rows)
    outputs = [tmp_path / name for name in ("net.safetensors", "report.json", "fit.png")]
    options = [text for pair in zip(["-o", "--report", "--picture"], outputs, strict=True) for text in map(str, pair)]
    assert cli.main(["fit", str(path), "--target", "2", "-q", *options]) == 2
    assert f"{path}, row 399, column" in capsys.readouterr().err
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_batches_that_go_bad() -> None:
    def batches(bad: Any) -> Callable[[], Iterator[Any]]:
        return lambda: iter([(np.zeros((1000, 2)), np.zeros(1000)), bad])

    for bad, word in [
        ((np.full((9, 2), np.nan), np.zeros(9)), "row 1000, column 0: NaN"),
        ((np.zeros((9, 2)), np.full(9, np.inf)), "row 1000: inf"),
        ((np.zeros((9, 2)), ["a"] * 9), "batch 1, y: dtype <U1"),
        ((np.zeros((9, 3)), np.zeros(9)), "batch 1: 3 columns"),
        ("x", "batch 1, X: dtype <U1"),
        (None, "batch 1, X: "),
    ]:
        with pytest.raises(DataError, match=word):
            gather(scan_batches(batches(bad)))


def test_panics_are_not_seen(tmp_path: Path) -> None:
    """Bytes over which the Parquet reader panics are an error like any other, and nothing else is printed."""
    code = """if True:
        import sys
        from relunet import scan_parquet
        from relunet.errors import RelunetError
        path, good = sys.argv[1], open(sys.argv[1], "rb").read()
        start = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
        for place in range(start, len(good) - 8):
            with open(path, "wb") as file:
                file.write(good[:place] + bytes([good[place] ^ 1]) + good[place + 1:])
            try:
                for _ in scan_parquet(path, target="b").blocks():
                    pass
            except RelunetError as error:
                print(error)
    """
    path = write(tmp_path / "t.parquet", values(20)[:, :2], row_group_size=20, store_schema=False)
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.count("is damaged") > 50
    assert "its bytes make no sense" in done.stdout

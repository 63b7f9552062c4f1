"""Every source: the same rows and the same bits from each, lazily, in any order, in another process."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import h5py
import numpy as np
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import relunet
from relunet import (
    ReLUNetRegressor,
    Samples,
    cli,
    scan_array,
    scan_arrow,
    scan_batches,
    scan_csv,
    scan_npy,
    scan_parquet,
)
from relunet.errors import ArgumentError, DataError, FileError
from relunet.moments import InputMoments, sweep

Array = np.ndarray[Any, np.dtype[Any]]
NAMES = ("a", "b", "y", "c", "w")
INPUTS = [0, 1, 3]


def table(n_rows: int = 5003, dtype: Any = np.float64) -> Array:
    """Rows of three inputs, labels in column 2, weights in column 4."""
    values = np.random.default_rng(3).standard_normal((n_rows, len(NAMES)))
    values[:, 4] = np.abs(values[:, 4])
    return values.astype(dtype)


def arrow(values: Array) -> Any:
    return pa.table({name: np.ascontiguousarray(column) for name, column in zip(NAMES, values.T, strict=True)})


def write_csv(path: Path, values: Array) -> Path:
    rows = "\n".join(",".join(repr(float(value)) for value in row) for row in values)
    path.write_text(",".join(NAMES) + "\n" + rows + "\n")
    return path


def gather(samples: Samples, size: int = 700) -> tuple[Array | None, ...]:
    parts: Iterator[tuple[Any, ...]] = zip(*samples.blocks(size), strict=True)
    return tuple(None if part[0] is None else np.concatenate(part) for part in parts)


class Reader:
    """What h5py and zarr have in common: a shape, a dtype, slices of rows."""

    def __init__(self, values: Array) -> None:
        self._values, self.shape, self.dtype = values, values.shape, values.dtype
        self.largest = 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Array:
        part = self._values[rows]
        self.largest = max(self.largest, len(part))
        return part


class Batches:
    """A sequence of batches of different sizes."""

    def __init__(self, values: Array, sizes: tuple[int, ...] = (1, 1000, 0, 2500)) -> None:
        cuts = [0, *np.cumsum(sizes).tolist(), len(values)]
        self.parts = [values[a:b] for a, b in pairwise(cuts)]

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> tuple[Array, Array, Array]:
        if index >= len(self.parts):
            raise IndexError
        part = self.parts[index]
        return part[:, INPUTS], part[:, 2], part[:, 4]


def sources(folder: Path, values: Array, spilled: bool = True) -> Iterator[tuple[str, Samples]]:
    """Yield the same rows from every source."""
    wanted: dict[str, Any] = {"target": "y", "weight": "w"}
    np.save(folder / "t.npy", values)
    yield "npy", scan_npy(folder / "t.npy", target=2, weight=4)
    for compression in ("none", "snappy", "zstd", "lz4", "gzip"):
        for version in ("1.0", "2.0"):
            path = folder / f"{compression}{version}.parquet"
            pq.write_table(arrow(values), path, compression=compression, data_page_version=version, row_group_size=1201)
            yield path.name, scan_parquet(path, **wanted)
    pq.write_table(arrow(values), folder / "plain.parquet", use_dictionary=False, data_page_size=1000)
    yield "small pages", scan_parquet(folder / "plain.parquet", **wanted)
    if values.dtype == np.float64:
        yield "csv", scan_csv(write_csv(folder / "t.csv", values), **wanted)
    whole = arrow(values)
    yield "pyarrow", scan_arrow(whole, **wanted)
    yield "pyarrow, chunked", scan_arrow(pa.concat_tables([whole[:700], whole[700:]]), **wanted)
    yield "polars", scan_arrow(polars.from_arrow(whole), **wanted)
    yield "pandas", scan_arrow(whole.to_pandas(), **wanted)
    if spilled:
        yield "one-shot, spilled", scan_arrow(whole.to_reader(999), **wanted, spill=True)
        generator = (batch for batch in Batches(values))  # type: ignore[attr-defined]
        yield "generator, spilled", scan_batches(generator, spill=folder / "spilled")
    with h5py.File(folder / "t.h5", "w") as file:
        X = file.create_dataset("X", data=values[:, INPUTS], chunks=(900, 2))
        file["y"], file["w"] = values[:, 2], values[:, 4]
        yield "h5py", scan_array(X, file["y"], file["w"])
    yield "slices", scan_array(Reader(values[:, INPUTS]), Reader(values[:, 2]), Reader(values[:, 4]))
    batches = Batches(values)
    yield "batches by number", scan_batches(batches)
    yield "batches in order", scan_batches(lambda: iter(batches))
    yield "batches, counted", scan_batches(lambda: iter(batches), n_rows=len(values))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_same_bits_whatever_the_source(tmp_path: Path, dtype: Any) -> None:
    values = table(dtype=dtype)
    expected = scan_array(values[:, INPUTS], values[:, 2], values[:, 4])
    rows = gather(expected)
    moments = InputMoments(3)
    sweep(expected, [moments])
    for name, samples in sources(tmp_path, values):
        assert isinstance(samples, Samples), name
        assert (samples.n_rows, samples.n_columns, samples.dtype) == (5003, 3, dtype), name
        assert samples.has_labels, name
        for got, want in zip(gather(samples), rows, strict=True):
            assert got is not None, name
            assert want is not None
            np.testing.assert_array_equal(got, want, strict=True, err_msg=name)
        for n_jobs in (1, 3):
            swept = InputMoments(3)
            sweep(samples, [swept], n_jobs=n_jobs)
            assert swept.to_bytes() == moments.to_bytes(), name


def test_names_and_selections(tmp_path: Path) -> None:
    values = table(100)
    pq.write_table(arrow(values), tmp_path / "t.parquet")
    write_csv(tmp_path / "t.csv", values)
    scans: list[Callable[..., Samples]] = [
        lambda **wanted: scan_parquet(tmp_path / "t.parquet", **wanted),
        lambda **wanted: scan_csv(tmp_path / "t.csv", **wanted),
        lambda **wanted: scan_arrow(arrow(values), **wanted),
    ]
    for scan in scans:
        samples = scan(target="y")
        assert samples.columns == ("a", "b", "c", "w")
        samples = scan(target=-3, columns=["c", 0])
        assert samples.columns == ("c", "a")
        X, y, weight = gather(samples)
        np.testing.assert_array_equal(X, values[:, [3, 0]])
        np.testing.assert_array_equal(y, values[:, 2])
        assert weight is None
        samples = scan(target=None, columns=["b"])
        assert not samples.has_labels
        for wanted, message in [
            ({"target": "z"}, "target: .* has no column 'z', but 'a', 'b', 'y', 'c', 'w'"),
            ({"target": 5}, "target: column 5"),
            ({"target": "y", "columns": ["a", "y"]}, "columns: column 'y' is used twice"),
            ({"target": "y", "columns": "ab"}, "columns: the string 'ab'"),
            ({"target": "y", "weight": 2}, "weight: the same column as target"),
        ]:
            with pytest.raises(ArgumentError, match=message):
                scan(**wanted)
        with pytest.raises(DataError, match="no input column is left"):
            scan(target="y", columns=[])


@pytest.mark.parametrize("kind", ["bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
def test_number_types(tmp_path: Path, kind: str) -> None:
    x = (np.arange(50) % 2 if kind == "bool" else np.arange(50) * 5).astype(kind)
    if kind in ("i8", "u8"):
        x[0] = np.iinfo(kind).max
    whole = pa.table({"x": x, "text": ["no number"] * 50, "y": np.arange(50)})
    pq.write_table(whole, tmp_path / "t.parquet")
    for samples in (
        scan_parquet(tmp_path / "t.parquet", target="y", columns=["x"]),
        scan_arrow(whole, target="y", columns=["x"]),
    ):
        X, y, _ = gather(samples, 7)
        np.testing.assert_array_equal(X, x[:, None].astype(np.float32 if kind == "f4" else np.float64), strict=True)
        np.testing.assert_array_equal(y, np.arange(50))


def test_columns_that_are_no_numbers(tmp_path: Path) -> None:
    for name, column in {
        "text": pa.array(["a", "b"]),
        "bytes": pa.array([b"a", b"b"]),
        "dates": pa.array([1, 2], pa.date32()),
        "moments": pa.array([1, 2], pa.timestamp("us")),
        "words": pa.array([["a"], ["b"]]),
        "matrices": pa.array([[[1.0]], [[2.0]]]),
        "pairs": pa.array([[("a", 1.0)], [("b", 2.0)]], pa.map_(pa.string(), pa.float64())),
        "records": pa.array([{"u": 1.0}, {"u": 2.0}]),
    }.items():
        whole = pa.table({"x": [1.0, 2.0], name: column, "y": [3.0, 4.0]})
        pq.write_table(whole, tmp_path / "t.parquet")
        with pytest.raises(DataError, match=f"t.parquet: column '{name}' holds .*expected real numbers"):
            scan_parquet(tmp_path / "t.parquet", target="y")
        with pytest.raises(DataError, match=f"Table: column '{name}' is of type .*expected real numbers"):
            scan_arrow(whole, target="y")
        samples = scan_parquet(tmp_path / "t.parquet", target="y", columns=["x"])
        np.testing.assert_array_equal(gather(samples)[0], [[1.0], [2.0]])


class TestFolders:
    def test_folder_pattern_and_list(self, tmp_path: Path) -> None:
        values = table(1000)
        (tmp_path / "deep").mkdir()
        parts = [("deep/0", values[:300]), ("deep/1", values[300:301]), ("x", values[301:301]), ("z", values[301:])]
        for name, part in parts:
            pq.write_table(arrow(part), tmp_path / f"{name}.parquet", row_group_size=97)
            if len(part):
                write_csv(tmp_path / f"{name}.csv", part)
        (tmp_path / "_SUCCESS.parquet").write_text("")
        for samples in (
            scan_parquet(tmp_path, target="y"),
            scan_parquet(str(tmp_path / "**" / "[!_]*.parquet"), target="y"),
            scan_parquet([tmp_path / f"{name}.parquet" for name, _ in parts], target="y"),
            scan_csv(tmp_path, target="y"),
        ):
            X, y, _ = gather(samples, 110)
            np.testing.assert_array_equal(X, values[:, [0, 1, 3, 4]])
            np.testing.assert_array_equal(y, values[:, 2])

    def test_columns_go_by_name(self, tmp_path: Path) -> None:
        values = table(10)
        pq.write_table(arrow(values), tmp_path / "0.parquet")
        pq.write_table(arrow(values).select(["w", "y", "c", "b", "a"]), tmp_path / "1.parquet")
        X, y, _ = gather(scan_parquet(tmp_path, target="y"))
        np.testing.assert_array_equal(X, np.concatenate([values, values])[:, [0, 1, 3, 4]])
        np.testing.assert_array_equal(y, np.concatenate([values, values])[:, 2])
        pq.write_table(arrow(values).drop_columns(["c"]), tmp_path / "2.parquet")
        with pytest.raises(DataError, match=r"2\.parquet: has no column 'c', which .*0\.parquet has"):
            scan_parquet(tmp_path, target="y")

    def test_dtype_of_mixed_files(self, tmp_path: Path) -> None:
        pq.write_table(arrow(table(10, np.float32)), tmp_path / "0.parquet")
        assert scan_parquet(tmp_path, target="y").dtype == np.float32
        pq.write_table(arrow(table(10)), tmp_path / "1.parquet")
        assert scan_parquet(tmp_path, target="y").dtype == np.float64

    def test_nothing_there(self, tmp_path: Path) -> None:
        for path, message in [
            (tmp_path, "no .parquet file in this folder"),
            (tmp_path / "*.parquet", "no file matches"),
            (tmp_path / "none.parquet", "No such file"),
        ]:
            with pytest.raises(FileError, match=message):
                scan_parquet(path, target="y")
        with pytest.raises(ArgumentError, match="no paths"):
            scan_parquet([], target="y")


class TestCsv:
    @pytest.mark.parametrize(
        "text",
        [
            "a,b,y\n1,2,3\n4,5,6\n",
            "a,b,y\r\n1,2,3\r\n4,5,6",
            "\ufeffa,b,y\n\n1,2,3\n\n\n4,5,6\n\n",
            '"a","b","y"\n"1","2"," 3 "\n 4 ,5,"6"\n',
            "a,b,y\n1e0,+2,3.\n.4e1,5.0,6\n",
        ],
    )
    def test_ways_to_write(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "t.csv"
        path.write_bytes(text.encode())
        samples = scan_csv(path, target="y")
        assert samples.columns == ("a", "b")
        X, y, _ = gather(samples, 1)
        np.testing.assert_array_equal(X, [[1.0, 2.0], [4.0, 5.0]])
        np.testing.assert_array_equal(y, [3.0, 6.0])

    def test_without_a_header(self, tmp_path: Path) -> None:
        path = tmp_path / "t.tsv"
        path.write_text("1\t2\t3\n4\t5\t6\n")
        samples = scan_csv(path, target="y", names=["a", "b", "y"], delimiter="\t")
        np.testing.assert_array_equal(gather(samples)[0], [[1.0, 2.0], [4.0, 5.0]])
        with pytest.raises(ArgumentError, match=r"names: the first row of .*t\.tsv holds the number 1"):
            scan_csv(path, target=-1, delimiter="\t")
        with pytest.raises(DataError, match="row 0: 3 fields where 2 were expected"):
            scan_csv(path, target="y", names=["a", "y"], delimiter="\t")
        with pytest.raises(ArgumentError, match="delimiter: "):
            scan_csv(path, target="y", delimiter="::")

    def test_other_columns_hold_anything(self, tmp_path: Path) -> None:
        path = tmp_path / "t.csv"
        path.write_text('when,x,note,y\n2020-01-01,1,"one, or\ntwo",2\n,3,,4\n')
        X, y, _ = gather(scan_csv(path, target="y", columns=["x"]))
        np.testing.assert_array_equal(X, [[1.0], [3.0]])
        np.testing.assert_array_equal(y, [2.0, 4.0])

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\r\n\n\r\n"])
    def test_lines_in_messages(self, tmp_path: Path, end: str) -> None:
        path = tmp_path / "t.csv"
        path.write_bytes(end.join(["a,y", "1,2", '3,"4"', "5,six", "7,8"]).encode())
        line = 3 * end.count("\n") + 1
        with pytest.raises(DataError, match=rf"row 2, column 'y': \"six\" .* \(line {line}\)"):
            gather(scan_csv(path, target="y"))

    def test_file_of_many_marks(self, tmp_path: Path) -> None:
        values = table(40_000)
        path = write_csv(tmp_path / "t.csv", values)
        assert path.stat().st_size > 3 << 20
        source: Any = scan_csv(path, target="y", weight="w").source
        for start in (39_000, 0, 12_345, 25_000, 13_345):
            X, y, weight = source.read(start, start + 1000)
            np.testing.assert_array_equal(X, values[start : start + 1000, INPUTS])
            np.testing.assert_array_equal(y, values[start : start + 1000, 2])
            np.testing.assert_array_equal(weight, values[start : start + 1000, 4])


class TestBatches:
    def test_one_shot_is_refused_with_the_reason(self) -> None:
        batches = Batches(table())
        generator = (batch for batch in batches)  # type: ignore[attr-defined]
        with pytest.raises(ArgumentError, match="gives its rows only once .* spill=True"):
            scan_batches(generator)
        assert len(next(generator)[0]) == 1, "nothing of it was used"
        with pytest.raises(ArgumentError, match="return a new iterator from each call"):
            scan_batches(lambda: generator)
        with pytest.raises(ArgumentError, match="gives its rows only once .* spill=True"):
            scan_arrow(arrow(table()).to_reader(), target="y")
        with pytest.raises(ArgumentError, match="expected a function"):
            scan_batches(7)
        with pytest.raises(ArgumentError, match="has no __arrow_c_stream__"):
            scan_arrow(np.zeros((3, 2)), target=0)

    def test_other_rows_in_the_next_pass(self) -> None:
        rng = np.random.default_rng(0)

        def unseeded() -> Iterator[tuple[Array, Array]]:
            for _ in range(3):
                yield rng.standard_normal((100, 2)), np.zeros(100)

        samples = scan_batches(unseeded)
        gather(samples)
        with pytest.raises(DataError, match="unseeded, row 0: other values than when these rows were first read"):
            gather(samples)

    @pytest.mark.parametrize("change", [-1, 1, 100])
    def test_another_number_of_rows_in_the_next_pass(self, change: int) -> None:
        sizes = [100, 100]

        def batches() -> Iterator[Array]:
            return (np.zeros((size, 2)) for size in sizes)

        samples = scan_batches(batches)
        gather(samples)
        sizes[-1] += change
        with pytest.raises(DataError, match="ends after 199 rows" if change < 0 else "more than the 200 rows"):
            gather(samples)

    def test_sizes_that_are_not_those_promised(self) -> None:
        with pytest.raises(DataError, match="batch 1: 1000 rows where 1 were expected"):
            gather(scan_batches(Batches(table()), n_rows=5003))
        equal = Batches(table(), (1000, 1000, 1000, 1000, 1000))
        np.testing.assert_array_equal(gather(scan_batches(equal, n_rows=5003))[1], table()[:, 2])

    @pytest.mark.parametrize(
        ("batch", "message"),
        [
            ((np.zeros((5, 3)), np.zeros(5)), "batch 1: 3 columns of float64, labels; expected 2 columns"),
            (
                (np.zeros((5, 2), "f4"), np.zeros(5)),
                "batch 1: 2 columns of float32, labels; expected 2 columns of float64",
            ),
            ((np.zeros((5, 2)),), "batch 1: 2 columns of float64; expected 2 columns of float64, labels"),
            ((np.zeros((5, 2)), np.zeros(4)), "batch 1, y: 4 values for 5 rows"),
            ((np.zeros((5, 2)), np.zeros(5), np.ones(5)), "batch 1: .* weights; expected"),
            ((np.zeros(5), np.zeros(5)), "batch 1, X: shape"),
            ((1, 2, 3, 4), "batch 1: a tuple of 4"),
            ((np.array([["high", 1]], dtype=object), np.zeros(1)), "batch 1, X, row 0, column 0: 'high' of type str"),
        ],
    )
    def test_batches_that_are_refused(self, batch: Any, message: str) -> None:
        good = (np.zeros((5, 2)), np.zeros(5))
        with pytest.raises(DataError, match=message):
            scan_batches(lambda: iter([good, batch]))
        with pytest.raises(DataError, match=message):
            scan_batches([good, batch])
        with pytest.raises(DataError, match=message):
            scan_batches(iter([good, batch]), spill=True)

    def test_an_exception_of_the_factory_passes_through(self) -> None:
        fails = []

        def batches() -> Iterator[Array]:
            yield np.zeros((10, 2))
            if fails:
                raise RuntimeError("the instrument is off")
            yield np.zeros((10, 2))

        samples = scan_batches(batches)
        gather(samples)
        fails.append(True)
        with pytest.raises(RuntimeError, match="the instrument is off"):
            sweep(samples, [InputMoments(2)])
        fails.clear()
        gather(samples)

    @pytest.mark.parametrize("empty", [[], [np.zeros((0, 2))]])
    def test_no_rows(self, empty: list[Array]) -> None:
        for scan in (
            lambda: scan_batches(lambda: iter(empty)),
            lambda: scan_batches(iter(empty), spill=True),
            lambda: gather(scan_batches(empty)),
        ):
            with pytest.raises(DataError, match="0 rows|no batches"):
                scan()

    @settings(max_examples=50)
    @given(
        sizes=st.lists(st.integers(0, 9), min_size=1, max_size=8),
        ranges=st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80)), max_size=6),
    )
    def test_any_rows_in_any_order(self, sizes: list[int], ranges: list[tuple[int, int]]) -> None:
        n_rows = sum(sizes)
        if n_rows == 0:
            return
        X = np.arange(2.0 * n_rows).reshape(n_rows, 2)
        parts = np.split(X, np.cumsum(sizes)[:-1])
        for samples in (scan_batches(parts), scan_batches(lambda: iter(parts)), scan_array(Reader(X))):
            source: Any = samples.source
            for a, b in ranges:
                start, stop = sorted((a % (n_rows + 1), b % (n_rows + 1)))
                np.testing.assert_array_equal(source.read(start, stop)[0], X[start:stop])


def test_slices_are_read_a_block_at_a_time() -> None:
    reader = Reader(table(20_000))
    samples = scan_array(reader)
    sweep(samples, [InputMoments(5)])
    assert 1 < reader.largest <= 8192


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_place_of_a_bad_value(tmp_path: Path, bad: float) -> None:
    values = table(3000)
    values[2345, 1] = bad
    place = r"row 2345, column (1|'b'): "
    for name, samples in sources(tmp_path, values, spilled=False):
        with pytest.raises(DataError, match=place):
            gather(samples)
        with pytest.raises(DataError, match=place):
            sweep(samples, [InputMoments(3)])
        assert name
    with pytest.raises(DataError, match=place):
        scan_arrow(arrow(values).to_reader(999), target="y", spill=True)
    with pytest.raises(DataError, match=place):
        gather(scan_batches((batch for batch in Batches(values)), spill=True))  # type: ignore[attr-defined]


def make_batches() -> Iterator[tuple[Array, Array]]:
    """A factory that another process finds by its name."""
    for seed in range(3):
        X = np.random.default_rng(seed).standard_normal((100, 2))
        yield X, X[:, 0]


def test_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values = table(500)
    np.save("t.npy", values)
    pq.write_table(arrow(values), "t.parquet")
    write_csv(Path("t.csv"), values)
    made = [
        scan_npy("t.npy", target=2),
        scan_parquet("t.parquet", target="y"),
        scan_csv("t.csv", target="y"),
        scan_arrow(arrow(values), target="y"),
        scan_array(values, values[:, 0]),
        scan_batches(make_batches),
    ]
    pickled = [pickle.dumps(samples) for samples in made]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    for samples, data in zip(made, pickled, strict=True):
        again = pickle.loads(data)
        assert (again.columns, again.dtype, again.n_rows) == (samples.columns, samples.dtype, samples.n_rows)
        for got, want in zip(gather(again), gather(samples), strict=True):
            np.testing.assert_array_equal(got, want)


def test_spilled_files_go_with_the_samples(tmp_path: Path) -> None:
    batches = Batches(table())
    kept = scan_batches(iter(batches), spill=tmp_path / "kept")  # type: ignore[call-overload]
    assert sorted(os.listdir(tmp_path / "kept")) == ["weight.npy", "x.npy", "y.npy"]
    np.testing.assert_array_equal(np.load(tmp_path / "kept" / "x.npy"), gather(kept)[0])
    passing: Any = scan_batches(iter(batches), spill=True)  # type: ignore[call-overload]
    folder = Path(passing.keeper.name)
    assert folder.exists()
    del passing
    assert not folder.exists()


def test_nothing_is_left_of_rows_that_fail(tmp_path: Path) -> None:
    def batches() -> Iterator[Array]:
        yield np.zeros((10, 2))
        raise RuntimeError("the instrument is off")

    with pytest.raises(RuntimeError):
        scan_batches(batches(), spill=tmp_path / "spilled")
    assert os.listdir(tmp_path / "spilled") == []


def test_arrow_needs_no_pyarrow(tmp_path: Path) -> None:
    frame = polars.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]})
    frame.write_parquet(tmp_path / "t.parquet")
    code = """if True:
        import sys
        sys.modules["pyarrow"] = None
        import polars
        from relunet import scan_arrow, scan_parquet
        frame = polars.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]})
        for samples in (scan_arrow(frame, target="y"), scan_parquet(sys.argv[1], target="y")):
            X, y, _ = next(samples.blocks())
            assert X.tolist() == [[1.0], [2.0]] and y.tolist() == [3.0, 4.0]
    """
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "t.parquet")], check=True)


def test_duckdb() -> None:
    values = table()
    whole = arrow(values)
    connection = duckdb.connect()
    connection.register("whole", whole)
    samples = scan_arrow(connection.sql("select a, b, y, c, w from whole"), target="y", weight="w")
    np.testing.assert_array_equal(gather(samples)[0], values[:, INPUTS])
    np.testing.assert_array_equal(gather(samples)[2], values[:, 4])


def test_zarr(tmp_path: Path) -> None:
    values = table()
    array = zarr.create_array(store=str(tmp_path / "z"), shape=values.shape, chunks=(900, 2), dtype="f8")
    array[:] = values
    np.testing.assert_array_equal(gather(scan_array(array))[0], values)


class TestFits:
    @pytest.fixture
    def planted(self, tmp_path: Path) -> tuple[Path, Array]:
        X = np.random.default_rng(0).standard_normal((3000, 3))
        y = np.maximum(X[:, 0] - 2 * X[:, 2], 0) - 2 * np.maximum(X[:, 1] + X[:, 2], 0)
        values = np.column_stack([X[:, :2], y, X[:, 2], np.ones(3000)])
        pq.write_table(arrow(values), tmp_path / "t.parquet")
        write_csv(tmp_path / "t.csv", values)
        np.save(tmp_path / "t.npy", values)
        return tmp_path, values

    def test_regressor(self, planted: tuple[Path, Array]) -> None:
        folder, values = planted
        bits = set()
        for samples in (
            scan_parquet(folder / "t.parquet", target="y", weight="w"),
            scan_npy(folder / "t.npy", target=2, weight=4),
            scan_arrow(arrow(values), target="y", weight="w"),
        ):
            model = ReLUNetRegressor(n_neurons=2, fit_bias=False).fit(samples)
            assert model.report_.status == "exact"
            bits.add((model.network_.weights.tobytes(), model.network_.output_weights.tobytes()))
        assert len(bits) == 1
        frame = arrow(values).to_pandas()
        model = ReLUNetRegressor(n_neurons=2, fit_bias=False).fit(frame[["a", "b", "c"]], frame["y"])
        assert list(model.feature_names_in_) == ["a", "b", "c"]

    def test_command_line(self, planted: tuple[Path, Array], monkeypatch: pytest.MonkeyPatch) -> None:
        folder, values = planted
        monkeypatch.chdir(folder)
        fit = ["-q", "-k", "2", "--no-bias"]
        for number, arguments in enumerate(
            [
                ["t.parquet", "--target", "y", "--weight", "w"],
                ["*.parquet", "--target", "2", "--columns", "a,b,3", "--weight", "w"],
                ["t.csv", "--target", "y", "--columns", "a,b,c", "--weight=-1"],
                ["t.npy", "--target", "2", "--columns", "0,1,3", "--weight", "4"],
            ]
        ):
            assert cli.main(["fit", *arguments, *fit, "-o", f"{number}.safetensors"]) == 0
        networks = [relunet.ReLUNetwork.load(f"{number}.safetensors") for number in range(4)]
        assert len({network.weights.tobytes() for network in networks}) == 1
        assert cli.main(["predict", "-q", "0.safetensors", "t.parquet", "p.npy", "--columns", "a,b,c"]) == 0
        assert np.abs(np.load("p.npy") - values[:, 2]).max() < 1e-9

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["t.parquet", "--target", "z"], "target: t.parquet has no column 'z'"),
            (["t.parquet", "--y", "t.npy"], "--y: labels of a .parquet file"),
            (["t.npy", "--target", "y"], "--target: 'y', expected a number"),
            (["none.csv", "--target", "y"], "none.csv: No such file"),
            ([".", "--target", "y"], "expected a folder of .parquet or of .csv files"),
        ],
    )
    def test_command_line_refuses(
        self,
        planted: tuple[Path, Array],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        message: str,
    ) -> None:
        monkeypatch.chdir(planted[0])
        assert cli.main(["fit", *arguments, "-o", "net.safetensors"]) == 2
        assert message in capsys.readouterr().err
        assert not Path("net.safetensors").exists()


def test_public_names() -> None:
    for name in ("scan_array", "scan_npy", "scan_parquet", "scan_csv", "scan_arrow", "scan_batches"):
        assert name in relunet.__all__

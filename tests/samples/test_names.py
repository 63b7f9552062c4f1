"""Names of features: the names in each kind of samples, and rows whose columns follow given names."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relunet import ReLUNetRegressor, Samples, scan_array, scan_arrow, scan_batches, scan_csv, scan_npy, scan_parquet
from relunet.errors import ArgumentError, DataError, DataTypeError
from relunet.samples.names import feature_names, order_of
from relunet.samples.reordered import reordered

NAMES = ["a", "b", "c"]


def frame(n_rows: int = 300, seed: int = 0) -> pd.DataFrame:
    values = np.random.default_rng(seed).standard_normal((n_rows, 4))
    return pd.DataFrame(values, columns=[*NAMES, "y"])


def gather(samples: Samples, size: int = 70) -> tuple[Any, ...]:
    parts = zip(*samples.blocks(size), strict=True)
    return tuple(None if part[0] is None else np.concatenate(part) for part in parts)


def parquet(folder: Path, df: pd.DataFrame, target: str | None) -> Samples:
    df.to_parquet(folder / "t.parquet", row_group_size=101)
    return scan_parquet(folder / "t.parquet", target=target)


def csv(folder: Path, df: pd.DataFrame, target: str | None) -> Samples:
    df.to_csv(folder / "t.csv", index=False)
    return scan_csv(folder / "t.csv", target=target)


def gzipped(folder: Path, df: pd.DataFrame, target: str | None) -> Samples:
    df.to_csv(folder / "t.csv.gz", index=False)
    return scan_csv(folder / "t.csv.gz", target=target)


def arrow(folder: Path, df: pd.DataFrame, target: str | None) -> Samples:
    return scan_arrow(df, target=target)


def stream(folder: Path, df: pd.DataFrame, target: str | None) -> Samples:
    return scan_arrow(pa.Table.from_pandas(df).to_reader(), target=target, spill=True)


def array(folder: Path, df: pd.DataFrame, target: str | None) -> Samples:
    return scan_array(df if target is None else df.drop(columns=target), None if target is None else df[target])


def batches(folder: Path, df: pd.DataFrame, target: str | None) -> Samples:
    def parts() -> Any:
        for start in range(0, len(df), 80):
            part = df[start : start + 80]
            yield part if target is None else (part.drop(columns=target), part[target])

    return scan_batches(parts)


NAMED = [parquet, csv, gzipped, arrow, stream, array, batches]


@pytest.mark.parametrize("scan", NAMED)
@pytest.mark.parametrize("target", ["y", None])
def test_same_rows_in_the_order_of_names(tmp_path: Path, scan: Callable[..., Samples], target: str | None) -> None:
    df = frame()
    names = NAMES if target else [*NAMES, "y"]
    samples = scan(tmp_path, df, target)
    assert feature_names(samples) == samples.columns == tuple(names)
    assert reordered(samples, names) is samples
    other = reordered(samples, names[::-1])
    assert feature_names(other) == other.columns == tuple(names[::-1])
    for _ in range(2):
        X, y, _ = gather(other)
        np.testing.assert_array_equal(X, df[names[::-1]])
        assert (y is None) if target is None else np.array_equal(y, df["y"])
    assert reordered(other, names).columns == tuple(names)
    np.testing.assert_array_equal(gather(reordered(other, names))[0], df[names])


def test_samples_in_another_order_are_pickled(tmp_path: Path) -> None:
    df = frame()
    samples = pickle.loads(pickle.dumps(reordered(csv(tmp_path, df, "y"), ["c", "a", "b"])))
    np.testing.assert_array_equal(gather(samples)[0], df[["c", "a", "b"]])


def test_single_precision_stays() -> None:
    df = frame().astype(np.float32)
    samples = reordered(scan_array(df[NAMES]), ["b", "c", "a"])
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(gather(samples)[0], df[["b", "c", "a"]])


def test_columns_without_names(tmp_path: Path) -> None:
    x = frame().to_numpy()
    np.save(tmp_path / "x.npy", x)
    unnamed = [
        scan_array(x),
        scan_array(pd.DataFrame(x)),
        scan_npy(tmp_path / "x.npy", target=-1),
        scan_batches(lambda: iter([x])),
    ]
    for samples in unnamed:
        assert feature_names(samples) is None
        with pytest.raises(DataError, match="no names; expected 'a', 'b'"):
            reordered(samples, ["a", "b"])
    assert scan_array(pd.DataFrame(x)).columns == ("0", "1", "2", "3")


@pytest.mark.parametrize(
    ("found", "wanted", "words"),
    [
        ("abd", "abc", ["missing 'c'", "not expected 'd'"]),
        ("abcd", "abc", ["not expected 'd'"]),
        ("ab", "abc", ["missing 'c'"]),
        ("aab", "ab", ["more than once 'a'"]),
        ([f"n{i}" for i in range(30)], "a", ["missing 'a'", "30 in all"]),
    ],
)
def test_other_names(found: list[str], wanted: list[str], words: list[str]) -> None:
    with pytest.raises(DataError) as raised:
        order_of(list(found), list(wanted), "new.csv")
    assert str(raised.value).startswith("new.csv: ")
    assert all(word in str(raised.value) for word in words)


@pytest.mark.parametrize(
    "table",
    [lambda df: df, polars.from_pandas, lambda df: polars.from_pandas(df).lazy(), pa.Table.from_pandas],
    ids=["pandas", "polars", "lazy", "pyarrow"],
)
def test_names_of_tables(table: Callable[[pd.DataFrame], Any]) -> None:
    df = frame()
    assert feature_names(table(df[NAMES])) == tuple(NAMES)
    samples = scan_array(table(df[NAMES]), df["y"])
    assert samples.columns == feature_names(samples) == tuple(NAMES)
    np.testing.assert_array_equal(gather(samples)[0], df[NAMES])


def test_names_that_are_no_strings() -> None:
    with pytest.raises(DataTypeError, match="string names"):
        feature_names(pd.DataFrame({"a": [1.0], 2: [3.0]}))


@pytest.mark.parametrize("scan", [parquet, csv, gzipped, arrow])
def test_predictions_match_by_name(tmp_path: Path, scan: Callable[..., Samples]) -> None:
    df = frame(2000)
    df["y"] = 2 * np.maximum(df["a"] - df["b"] + 0.2, 0) + df["c"]
    network = ReLUNetRegressor(1).fit(scan(tmp_path, df, "y"))
    assert list(network.feature_names_in_) == NAMES
    np.testing.assert_allclose(network.predict(scan(tmp_path, df[["c", "b", "a"]], None)), df["y"], atol=1e-8)
    assert network.score(scan(tmp_path, df[["y", "c", "b", "a"]], "y")) > 1 - 1e-9
    with pytest.raises(DataError, match=r"unseen at fit time:\n- z"):
        network.predict(scan(tmp_path, df[["c", "b", "a"]].rename(columns={"c": "z"}), None))


@pytest.mark.parametrize("scan", NAMED)
def test_bad_values_are_named_by_row_and_column(tmp_path: Path, scan: Callable[..., Samples]) -> None:
    df = frame()
    df.loc[250, "b"] = np.inf
    if scan is stream:
        with pytest.raises(DataError, match="row 250, column 'b': inf"):
            scan(tmp_path, df, "y")
        return
    samples = scan(tmp_path, df, "y")
    for found in (samples, reordered(samples, ["c", "b", "a"])):
        with pytest.raises(DataError, match="row 250, column 'b': inf"):
            gather(found)


# --- columns that label the rows -------------------------------------------------------------------


@pytest.mark.parametrize("index", [None, "id"])
@pytest.mark.parametrize("kind", ["pandas", "pyarrow", "parquet", "csv"])
def test_index_is_no_input(tmp_path: Path, kind: str, index: str | None) -> None:
    df = frame()
    df = df.assign(id=np.arange(len(df))).set_index("id") if index else df[df["a"] > -1]
    if kind == "parquet":
        df.to_parquet(tmp_path / "t.parquet")
        samples = scan_parquet(tmp_path / "t.parquet", target="y")
        last = scan_parquet(tmp_path / "t.parquet", target=-1)
    elif kind == "csv":
        # the name of an index that has one is a name like any other
        df.rename_axis(None).to_csv(tmp_path / "t.csv")
        samples = scan_csv(tmp_path / "t.csv", target="y")
        last = scan_csv(tmp_path / "t.csv", target=-1)
    else:
        table = df if kind == "pandas" else pa.Table.from_pandas(df)
        samples, last = scan_arrow(table, target="y"), scan_arrow(table, target=-1)
    for found in (samples, last):
        assert found.columns == tuple(NAMES)
        X, y, _ = gather(found)
        np.testing.assert_array_equal(X, df[NAMES])
        np.testing.assert_array_equal(y, df["y"])
    if kind == "csv":
        # numbers are places in the file
        assert scan_csv(tmp_path / "t.csv", target=-1, columns=[1, 3]).columns == ("a", "c")


def test_index_that_is_asked_for_by_name(tmp_path: Path) -> None:
    df = frame().rename_axis("id")
    df.index = pd.Index(np.arange(len(df))[::-1], name="id")
    df.to_parquet(tmp_path / "t.parquet")
    X, y, _ = gather(scan_parquet(tmp_path / "t.parquet", target="id", columns=["b"]))
    np.testing.assert_array_equal(X, df[["b"]])
    np.testing.assert_array_equal(y, df.index)


def test_index_whose_notes_are_lost(tmp_path: Path) -> None:
    df = frame()
    table = pa.Table.from_pandas(df[df["a"] > 0]).replace_schema_metadata(None)
    pq.write_table(table, tmp_path / "t.parquet")
    assert "__index_level_0__" in table.column_names
    assert scan_parquet(tmp_path / "t.parquet", target="y").columns == tuple(NAMES)


# --- folders ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files_with_columns_in_other_orders(tmp_path: Path, kind: str) -> None:
    df = frame()
    for number, names in enumerate((["a", "b", "c", "y"], ["y", "c", "a", "b"], ["b", "more", "a", "y", "c"])):
        part = df[number * 100 : (number + 1) * 100].assign(more="text")[names]
        path = tmp_path / f"{number}.{kind}"
        part.to_csv(path, index=False) if kind == "csv" else part.to_parquet(path)
    scan = scan_csv if kind == "csv" else scan_parquet
    X, y, _ = gather(scan(tmp_path, target="y"))
    np.testing.assert_array_equal(X, df[NAMES])
    np.testing.assert_array_equal(y, df["y"])
    df[["a", "b", "y"]].to_csv(tmp_path / "3.csv", index=False)
    df[["a", "b", "y"]].to_parquet(tmp_path / "3.parquet")
    with pytest.raises(DataError, match="'c'"):
        scan(tmp_path, target="y")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("given", ["folder", "pattern", "relative", "files"])
def test_folders_that_hold_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, given: str) -> None:
    parts = []
    for year in (2019, 2020):
        for half in ("0.5", "1e-3"):
            part = frame(50, seed=year + len(half))
            folder = tmp_path / "root" / f"year={year}" / f"half={half}"
            folder.mkdir(parents=True)
            part.to_csv(folder / "t.csv", index=False) if kind == "csv" else part.to_parquet(folder / "t.parquet")
            parts.append(part.assign(year=float(year), half=float(half)))
    df = pd.concat(parts)
    scan = scan_csv if kind == "csv" else scan_parquet
    monkeypatch.chdir(tmp_path)
    if given == "files":
        assert scan(sorted((tmp_path / "root").rglob(f"*.{kind}")), target="y").columns == tuple(NAMES)
        return
    path = {"folder": tmp_path / "root", "pattern": str(tmp_path / "root" / "*" / "*" / "*"), "relative": "root/**/t.*"}
    samples = scan(path[given], target="y")
    assert samples.columns == (*NAMES, "year", "half")
    X, y, _ = gather(samples)
    np.testing.assert_array_equal(X, df[[*NAMES, "year", "half"]])
    np.testing.assert_array_equal(y, df["y"])
    # numbers of columns count those that files store
    assert scan(path[given], target=-1).columns == (*NAMES, "year", "half")
    np.testing.assert_array_equal(gather(scan(path[given], target="year", columns=["b"]))[1], df["year"])
    np.testing.assert_array_equal(gather(pickle.loads(pickle.dumps(samples)))[0], X)


@pytest.mark.parametrize("value", ["Rome", "__HIVE_DEFAULT_PARTITION__", "nan"])
def test_folders_that_hold_no_numbers(tmp_path: Path, value: str) -> None:
    (tmp_path / f"city={value}").mkdir()
    frame().to_parquet(tmp_path / f"city={value}" / "t.parquet")
    with pytest.raises(DataError, match="column 'city', of the folders city"):
        scan_parquet(tmp_path, target="y")
    assert scan_parquet(tmp_path, target="y", columns=NAMES).columns == tuple(NAMES)


def test_columns_that_files_store_come_before_those_of_folders(tmp_path: Path) -> None:
    (tmp_path / "a=7").mkdir()
    df = frame()
    df.to_parquet(tmp_path / "a=7" / "t.parquet")
    np.testing.assert_array_equal(gather(scan_parquet(tmp_path, target="y"))[0], df[NAMES])


# --- batches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("indexed", [True, False])
def test_batches_in_other_orders(indexed: bool) -> None:
    df = frame()
    parts = [(df[:100][NAMES], df["y"][:100]), (df[100:][["c", "a", "b"]], df["y"][100:])]
    samples = scan_batches(parts if indexed else lambda: iter(parts))
    assert feature_names(samples) == tuple(NAMES)
    np.testing.assert_array_equal(gather(samples)[0], df[NAMES])
    wrong = [parts[0], (df[100:][["c", "a", "y"]], df["y"][100:])]
    with pytest.raises(DataError, match="batch 1, X: other columns than expected: missing 'b', not expected 'y'"):
        scan_batches(wrong)
    with pytest.raises(DataError, match="batch 1: 3 columns of float64, labels; expected .* with names"):
        scan_batches([parts[0], (df[100:][NAMES].to_numpy(), df["y"][100:])])


@pytest.mark.parametrize(
    ("argument", "value"),
    [("target", 1.5), ("target", True), ("weight", ["a"]), ("columns", [["a"]])],
)
def test_columns_that_are_none(tmp_path: Path, argument: str, value: Any) -> None:
    df = frame()
    df.to_parquet(tmp_path / "t.parquet")
    df.to_csv(tmp_path / "t.csv")
    wanted = {"target": "y", argument: value}
    for scan, source in ((scan_parquet, tmp_path / "t.parquet"), (scan_csv, tmp_path / "t.csv"), (scan_arrow, df)):
        with pytest.raises(ArgumentError, match=f"^{argument}: .*expected one column"):
            scan(source, **wanted)

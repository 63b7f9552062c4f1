"""Data of unusual kinds: lists, decimals, dictionaries, extension types, compression, paths, files without a header."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import ml_dtypes
import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relunet import Samples, scan_array, scan_arrow, scan_batches, scan_csv, scan_npy, scan_parquet
from relunet.errors import ArgumentError, DataError, FileError
from relunet.moments import InputMoments

N_ROWS = 500
X = np.random.default_rng(0).standard_normal((N_ROWS, 3))
Y = X @ [1.0, -2.0, 0.5]


def gather(samples: Samples, size: int = 70) -> tuple[Any, ...]:
    parts = zip(*samples.blocks(size), strict=True)
    return tuple(None if part[0] is None else np.concatenate(part) for part in parts)


def from_parquet(folder: Path, table: pa.Table, **wanted: Any) -> Samples:
    pq.write_table(table, folder / "t.parquet", row_group_size=121)
    return scan_parquet(folder / "t.parquet", **{"target": "y", **wanted})


def from_arrow(folder: Path, table: pa.Table, **wanted: Any) -> Samples:
    chunks = [table[:150], table[150:151], table[151:]]
    return scan_arrow(pa.concat_tables(chunks), **{"target": "y", **wanted})


def from_polars(folder: Path, table: pa.Table, **wanted: Any) -> Samples:
    return scan_arrow(polars.from_arrow(table), **{"target": "y", **wanted})


SCANS = [from_parquet, from_arrow, from_polars]


# --- list columns ----------------------------------------------------------------------------------

LISTS = {
    "fixed": lambda values: pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), 3),
    "list": lambda values: pa.array(values.tolist()),
    "large": lambda values: pa.array(values.tolist(), pa.large_list(pa.float64())),
    "single": lambda values: pa.array(values.astype(np.float32).tolist(), pa.list_(pa.float32())),
}


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("kind", LISTS)
def test_lists_are_features(tmp_path: Path, scan: Callable[..., Samples], kind: str) -> None:
    values = X.astype(np.float32) if kind == "single" else X
    table = pa.table({"s": X[:, 0] + 1, "x": LISTS[kind](X), "y": Y})
    samples = scan(tmp_path, table)
    assert samples.columns == ("s", "x[0]", "x[1]", "x[2]")
    found, y, _ = gather(samples)
    np.testing.assert_array_equal(found, np.c_[X[:, 0] + 1, values])
    np.testing.assert_array_equal(y, Y)
    chosen = scan(tmp_path, table, columns=["x[2]", "s", "x[0]"])
    assert chosen.columns == ("x[2]", "s", "x[0]")
    np.testing.assert_array_equal(gather(chosen)[0], np.c_[values[:, 2], X[:, 0] + 1, values[:, 0]])
    assert scan(tmp_path, table, columns=["x"]).dtype == values.dtype
    np.testing.assert_array_equal(gather(scan(tmp_path, table, target="x[1]", columns=["x[0]"]))[1], values[:, 1])
    sums, expected = InputMoments(3), InputMoments(3)
    scan(tmp_path, table, columns=["x"]).sweep([sums])
    scan_array(values, Y).sweep([expected])
    assert sums.to_bytes() == expected.to_bytes()


def test_tensors_of_extension_types(tmp_path: Path) -> None:
    kind = pa.fixed_shape_tensor(pa.float64(), [3])
    tensors = pa.ExtensionArray.from_storage(kind, pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 3))
    np.testing.assert_array_equal(gather(scan_arrow(pa.table({"x": tensors, "y": Y}), target="y"))[0], X)


def test_lists_of_pandas() -> None:
    frame = pd.DataFrame({"x": X.tolist(), "v": list(X), "y": Y})
    np.testing.assert_array_equal(gather(scan_arrow(frame, target="y"))[0], np.c_[X, X])


def test_lists_of_duckdb() -> None:
    query = (
        "select [i, 2 * i]::double[2] as x, [i, i + 1]::double[] as v, i::double as y from range(3000) t(i) order by i"
    )
    found, y, _ = gather(scan_arrow(duckdb.connect().sql(query), target="y"))
    i = np.arange(3000.0)
    np.testing.assert_array_equal(found, np.c_[i, 2 * i, i, i + 1])
    np.testing.assert_array_equal(y, i)


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1.0, 2.0], ["column 'x'", "a list of 2", "3 "]),
        ([1.0, 2.0, 3.0, 4.0], ["column 'x'", "a list of 4", "3 "]),
        ([], ["column 'x'", "list"]),
        (None, ["column 'x'", "list"]),
        ([1.0, None, 3.0], ["column 'x[1]'", "null"]),
        ([1.0, 2.0, np.nan], ["column 'x[2]'", "NaN"]),
    ],
)
def test_lists_that_cannot_be_features(
    tmp_path: Path, scan: Callable[..., Samples], value: Any, words: list[str]
) -> None:
    rows = X.tolist()
    rows[333] = value
    if scan is from_parquet and value is not None and len(value) == 4:
        rows[334] = value[:2]  # as many values as there would be in lists of one length
    samples = scan(tmp_path, pa.table({"x": pa.array(rows, pa.list_(pa.float64())), "y": Y}))
    with pytest.raises(DataError) as raised:
        gather(samples)
    assert "row 333" in str(raised.value)
    assert all(word in str(raised.value) for word in words)


@pytest.mark.parametrize("scan", SCANS)
def test_lists_are_no_weights(tmp_path: Path, scan: Callable[..., Samples]) -> None:
    table = pa.table({"x": pa.array(X.tolist()), "y": Y})
    with pytest.raises(ArgumentError, match="^weight: column 'x' holds lists of 3 numbers; expected one a row"):
        scan(tmp_path, table, target="y", weight="x")
    with pytest.raises(ArgumentError, match="element 3 of column 'x'"):
        scan(tmp_path, table, columns=["x[3]"])
    nested = pa.table({"x": pa.array([[[1.0]]] * 4), "y": [1.0] * 4})
    with pytest.raises(DataError, match="column 'x'"):
        scan(tmp_path, nested)


def test_lists_that_begin_empty() -> None:
    table = pa.table({"x": pa.array([[], [1.0]], pa.list_(pa.float64())), "z": [1.0, 2.0], "y": [1.0, 2.0]})
    with pytest.raises(DataError, match="column 'x' holds lists of 0 numbers"):
        scan_arrow(table, target="y")


def test_lists_of_other_lengths_in_another_file(tmp_path: Path) -> None:
    for name, n_elements in (("a", 3), ("b", 2)):
        lists = pa.array([[1.0] * n_elements] * 10)
        pq.write_table(pa.table({"x": lists, "y": [0.0] * 10}), tmp_path / f"{name}.parquet")
    with pytest.raises(DataError, match="b.parquet, row 0, column 'x': a list of 2 values where 3 were expected"):
        gather(scan_parquet(tmp_path, target="y"))


# --- numbers of other types ------------------------------------------------------------------------


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("digits", [(7, 2), (18, 4), (38, 20), (38, 0)])
def test_decimals_are_what_their_digits_say(
    tmp_path: Path, scan: Callable[..., Samples], digits: tuple[int, int]
) -> None:
    precision, scale = digits
    rng = np.random.default_rng(precision)
    texts = [
        f"{'-' if i % 3 else ''}{''.join(map(str, rng.integers(0, 10, precision - scale)))}"
        f"{'.' if scale else ''}{''.join(map(str, rng.integers(0, 10, scale)))}"
        for i in range(N_ROWS)
    ]
    values = pa.array([Decimal(text) for text in texts], pa.decimal128(precision, scale))
    found, _, _ = gather(scan(tmp_path, pa.table({"x": values, "y": Y})))
    np.testing.assert_array_equal(found[:, 0], [float(text) for text in texts])


def test_wide_decimals(tmp_path: Path) -> None:
    texts = ["1" * 60 + ".25", "-" + "7" * 59 + ".5", "0.01"]
    table = pa.table({"x": pa.array([Decimal(text) for text in texts], pa.decimal256(76, 4)), "y": [0.0] * 3})
    for scan in (from_parquet, from_arrow):
        np.testing.assert_array_equal(gather(scan(tmp_path, table))[0][:, 0], [float(text) for text in texts])


@pytest.mark.parametrize("scan", [from_arrow, from_parquet])
def test_dictionaries_of_numbers(tmp_path: Path, scan: Callable[..., Samples]) -> None:
    coarse = X.round(1)
    columns = {f"x{i}": pa.array(coarse[:, i]).dictionary_encode() for i in range(3)}
    np.testing.assert_array_equal(gather(scan(tmp_path, pa.table(columns | {"y": Y})))[0], coarse)
    keys = pa.array([0, 1] * 240 + [1, None] + [0] * 18, pa.int8())
    table = pa.table({"x": pa.DictionaryArray.from_arrays(keys, pa.array([1.5, 2.5])), "y": Y})
    with pytest.raises(DataError, match="row 481, column 'x': null"):
        gather(scan(tmp_path, table))
    if scan is from_arrow:
        values = pa.DictionaryArray.from_arrays(pa.array([0] * 400 + [1] * 100), pa.array([1.5, None]))
        with pytest.raises(DataError, match="row 400, column 'x': null"):
            gather(scan(tmp_path, pa.table({"x": values, "y": Y})))
        words = pa.array(["a", "b"] * 250).dictionary_encode()
        with pytest.raises(DataError, match="column 'x' is of type .*Utf8.*expected real numbers"):
            scan(tmp_path, pa.table({"x": words, "y": Y}))


@pytest.mark.parametrize("kind", ["Int64", "Float64", "boolean", "Float32", "double[pyarrow]", "int16[pyarrow]"])
def test_nullable_columns_of_pandas(tmp_path: Path, kind: str) -> None:
    values = (X[:, 0] > 0) if kind == "boolean" else (10 * X[:, 0]).round()
    frame = pd.DataFrame({"a": pd.array(values, kind), "b": X[:, 1]})
    expected = np.c_[values.astype(float), X[:, 1]]
    np.testing.assert_array_equal(gather(scan_array(frame))[0], expected)
    np.testing.assert_array_equal(gather(scan_arrow(frame, target=None))[0], expected)
    frame.to_parquet(tmp_path / "t.parquet")
    np.testing.assert_array_equal(gather(scan_parquet(tmp_path / "t.parquet", target=None))[0], expected)
    frame.loc[77, "a"] = pd.NA
    frame.to_parquet(tmp_path / "t.parquet")
    for samples in (scan_arrow(frame, target=None), scan_parquet(tmp_path / "t.parquet", target=None)):
        with pytest.raises(DataError, match="row 77, column 'a': null"):
            gather(samples)
    with pytest.raises(DataError, match="X, row 77, column 'a': "):
        gather(scan_array(frame))


def test_objects_that_are_no_numbers_are_named_by_row_and_column() -> None:
    frame = pd.DataFrame({"a": X[:, 0], "city": ["1"] * 400 + ["Rome"] * 100})
    with pytest.raises(DataError, match="^X, row 400, column 'city': 'Rome' of type str; expected real numbers"):
        scan_array(frame)
    with pytest.raises(DataError, match="^y, row 1: None of type NoneType"):
        scan_array(X[:3], [1.0, None, "x"])


def test_extension_types_that_are_no_numbers() -> None:
    frame = pd.DataFrame({"when": pd.period_range("2020", periods=4, freq="D"), "y": [1.0] * 4})
    with pytest.raises(DataError, match="column 'when' is of type pandas.period"):
        scan_arrow(frame, target="y")


def test_half_precisions(tmp_path: Path) -> None:
    half = X.astype(np.float16)
    brain = X.astype(ml_dtypes.bfloat16)
    for values, name in ((half, "half"), (brain, "brain")):
        np.save(tmp_path / f"{name}.npy", values)
        for samples in (scan_array(values), scan_npy(tmp_path / f"{name}.npy"), scan_batches(lambda: iter([values]))):  # noqa: B023
            np.testing.assert_array_equal(gather(samples)[0], values.astype(np.float64))
            assert samples.dtype == np.float64
    np.save(tmp_path / "raw.npy", np.zeros((3, 2), "V2"))
    with pytest.raises(DataError, match="raw dtype"):
        scan_npy(tmp_path / "raw.npy")
    with pytest.raises(DataError, match="expected real numbers"):
        scan_array(np.zeros((3, 2), "V2"))


def test_tensors_of_torch() -> None:
    class Tensor:
        """What tensors of PyTorch have, without PyTorch."""

        def __init__(self, values: Any, dtype: str, attached: bool = True) -> None:
            self.values, self.dtype, self.shape, self.attached = values, dtype, values.shape, attached

        def detach(self) -> Tensor:
            return Tensor(self.values, self.dtype, attached=False)

        def cpu(self) -> Tensor:
            return self

        def float(self) -> Tensor:
            return Tensor(self.values.astype(np.float32), "torch.float32", self.attached)

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            if self.attached:
                raise RuntimeError("Can't call numpy() on Tensor that requires grad")
            if self.dtype == "torch.bfloat16":
                raise TypeError("Got unsupported ScalarType BFloat16")
            return self.values

    for values, name in ((X, "torch.float64"), (X.astype(ml_dtypes.bfloat16), "torch.bfloat16")):
        np.testing.assert_array_equal(gather(scan_array(Tensor(values, name)))[0], values.astype(np.float64))


# --- queries ---------------------------------------------------------------------------------------


def test_queries() -> None:
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": Y})
    lazy = polars.from_pandas(frame).lazy()
    for samples in (scan_arrow(lazy, target="y"), scan_array(lazy.select("a", "b"), frame["y"])):
        assert samples.columns == ("a", "b")
        np.testing.assert_array_equal(gather(samples)[0], X[:, :2])
        np.testing.assert_array_equal(gather(samples)[1], Y)
    relation = duckdb.connect().from_df(frame)
    for samples in (scan_arrow(relation, target="y"), scan_array(relation.select("a", "b"), frame["y"])):
        assert samples.columns == ("a", "b")
        np.testing.assert_array_equal(gather(samples)[0], X[:, :2])


# --- batches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("container", [tuple, list])
@pytest.mark.parametrize("indexed", [True, False])
def test_batches_as_loaders_give_them(container: Callable[[Any], Any], indexed: bool) -> None:
    parts = [container((X[i : i + 200], Y[i : i + 200], np.ones(len(Y[i : i + 200])))) for i in range(0, N_ROWS, 200)]
    for width in (1, 2, 3):
        cut = [container(part[:width]) for part in parts]
        found = gather(scan_batches(cut if indexed else lambda: iter(cut)))  # noqa: B023
        np.testing.assert_array_equal(found[0], X)
        assert [part is not None for part in found] == [True, width > 1, width > 2]


def test_batches_that_are_rows() -> None:
    rows = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    np.testing.assert_array_equal(gather(scan_batches([rows]))[0], rows)
    np.testing.assert_array_equal(gather(scan_batches([[rows, [7.0, 8.0]]]))[1], [7.0, 8.0])
    with pytest.raises(DataError, match="batch 0: a dict; expected X"):
        scan_batches([{"x": rows}])
    with pytest.raises(DataError, match="a list of 4"):
        scan_batches([[X, Y, Y, Y]])


# --- paths -----------------------------------------------------------------------------------------


def test_several_npy_files(tmp_path: Path) -> None:
    cuts, label_cuts = [0, 100, 101, 350, N_ROWS], [0, 260, N_ROWS]
    for i, (start, stop) in enumerate(pairwise(cuts)):
        values = X[start:stop].astype(np.float32) if i == 1 else X[start:stop]
        np.save(tmp_path / f"x{i}.npy", np.asfortranarray(values) if i == 2 else values)
        np.save(tmp_path / f"xy{i}.npy", np.c_[X, Y][start:stop])
    for i, (start, stop) in enumerate(pairwise(label_cuts)):
        np.save(tmp_path / f"y{i}.npy", Y[start:stop, None] if i else Y[start:stop])
    expected = X.copy()
    expected[100] = X[100].astype(np.float32)
    x, y = [tmp_path / f"x{i}.npy" for i in range(4)], [tmp_path / f"y{i}.npy" for i in range(2)]
    for samples in (scan_npy(x, y), scan_npy(str(tmp_path / "x?.npy"), str(tmp_path / "y*.npy"), weight=None)):
        assert samples.dtype == np.float64
        for size in (1, 70, 999):
            found, labels, _ = gather(samples, size)
            np.testing.assert_array_equal(found, expected)
            np.testing.assert_array_equal(labels, Y)
    found, labels, weight = gather(scan_npy(str(tmp_path / "xy*.npy"), target=-1, columns=[2, 0], weight=y[:0] or None))
    np.testing.assert_array_equal(found, X[:, [2, 0]])
    np.testing.assert_array_equal(labels, Y)
    assert weight is None
    with pytest.raises(DataError, match="y0.npy: 260 values for the 500 rows of .*x0.npy and 3 more"):
        scan_npy(x, y[0])
    np.save(tmp_path / "x9.npy", X[:, :2])
    with pytest.raises(DataError, match="x9.npy: shape .500, 2.; expected 3 columns as in .*x0.npy"):
        scan_npy([*x, tmp_path / "x9.npy"])
    bad = X[:50].copy()
    bad[7, 1] = np.nan
    np.save(tmp_path / "x1.npy", bad)
    with pytest.raises(DataError, match="x1.npy, row 7, column 1: NaN"):
        gather(scan_npy(x))


def test_home_folder_and_brackets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "run [1]"
    folder.mkdir()
    pd.DataFrame(np.c_[X, Y], columns=[*"abc", "y"]).to_csv(folder / "t[2].csv", index=False)
    np.save(folder / "x[3].npy", X)
    for path in (
        "~/run [1]/t[2].csv",
        "~/run [1]/*.csv",
        folder / "t[2].csv",
        f"{folder}/t*.csv",
        "~/run [[]1]/t?2].csv",
    ):
        np.testing.assert_array_equal(gather(scan_csv(path, target="y"))[1], Y)
    np.testing.assert_array_equal(gather(scan_npy("~/run [1]/x[3].npy"))[0], X)


@pytest.mark.parametrize("opened", [io.StringIO("a,y\n1,2\n"), io.BytesIO(b"a,y\n1,2\n"), 3])
def test_open_files_are_refused(opened: Any) -> None:
    for scan in (scan_csv, scan_parquet):
        with pytest.raises(ArgumentError, match=f"^path: {type(opened).__name__}; expected a path"):
            scan(opened, target="y")
    with pytest.raises(ArgumentError, match="^x: .*expected a path"):
        scan_npy(opened)


@pytest.mark.parametrize("path", ["s3://bucket/x.parquet", "gs://b/*.csv", "http://a.b/x.csv", "https://a.b/x.csv"])
def test_paths_of_other_machines_are_refused(path: str) -> None:
    for scan in (scan_csv, scan_parquet):
        with pytest.raises(ArgumentError, match="not on this machine.*Download it first.*scan_arrow"):
            scan(path, target="y")
    with pytest.raises(ArgumentError, match="^x: .*not on this machine"):
        scan_npy(path)


# --- Parquet files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["snappy", "gzip", "brotli", "lz4", "zstd", "none"])
def test_compressions(tmp_path: Path, compression: str) -> None:
    pq.write_table(pa.table({"a": X[:, 0], "y": Y}), tmp_path / "t.parquet", compression=compression)
    found, y, _ = gather(scan_parquet(tmp_path / "t.parquet", target="y"))
    np.testing.assert_array_equal(np.c_[found, y], np.c_[X[:, 0], Y])


@pytest.mark.parametrize("plaintext_footer", [False])
def test_encrypted_files_are_refused(tmp_path: Path, plaintext_footer: bool) -> None:
    encryption = pytest.importorskip("pyarrow.parquet.encryption")

    class Kms(encryption.KmsClient):  # type: ignore[misc, name-defined]
        def wrap_key(self, key: bytes, _: str) -> bytes:
            return key.hex().encode()

        def unwrap_key(self, wrapped: bytes, _: str) -> bytes:
            return bytes.fromhex(wrapped.decode())

    configuration = encryption.EncryptionConfiguration(
        footer_key="k", column_keys={"k": ["a", "y"]}, plaintext_footer=plaintext_footer
    )
    properties = encryption.CryptoFactory(lambda _: Kms()).file_encryption_properties(
        encryption.KmsConnectionConfig(), configuration
    )
    path = tmp_path / "t.parquet"
    with pq.ParquetWriter(
        path, pa.schema({"a": pa.float64(), "y": pa.float64()}), encryption_properties=properties
    ) as w:
        w.write_table(pa.table({"a": X[:, 0], "y": Y}))
    with pytest.raises(FileError, match="is encrypted.*scan_arrow"):
        gather(scan_parquet(path, target="y"))


# --- CSV files -------------------------------------------------------------------------------------


def csv_text(values: Any, header: str | None = "a,b,c,y", delimiter: str = ",") -> str:
    rows = [delimiter.join(map(repr, row)) for row in values.tolist()]
    return "\n".join(([] if header is None else [header.replace(",", delimiter)]) + rows) + "\n"


def test_gzip(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((40_000, 4))
    text = csv_text(values).encode()
    path = tmp_path / "t.csv.gz"
    half = text.index(b"\n", len(text) // 2) + 1
    path.write_bytes(gzip.compress(text[:half]) + gzip.compress(text[half:]))  # two members, one after another
    samples = scan_csv(path, target="y")
    for size in (7000, 65_536):
        np.testing.assert_array_equal(gather(samples, size)[0], values[:, :3])
    sums, expected = InputMoments(3), InputMoments(3)
    samples.sweep([sums])
    scan_array(values[:, :3], values[:, 3]).sweep([expected])
    assert sums.to_bytes() == expected.to_bytes()
    assert samples.identity() == scan_csv(tmp_path, target="y").identity()
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(FileError, match="t.csv.gz: is damaged: gzip"):
        scan_csv(path, target="y")


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_delimiters(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(csv_text(np.c_[X, Y], delimiter=delimiter))
    np.testing.assert_array_equal(gather(scan_csv(path, target="y", delimiter=delimiter))[0], X)
    for target in ("y", -1, None):
        with pytest.raises(ArgumentError, match="^delimiter: the first row of .* is a single field.*is the delimiter"):
            scan_csv(path, target=target)
    with pytest.raises(DataError, match="1 fields where 4 were expected.*is the delimiter"):
        scan_csv(path, target="y", names=[*"abc", "y"])
    path.write_text(csv_text(np.c_[X, Y]))
    with pytest.raises(ArgumentError, match="^delimiter: .*is the delimiter ','"):
        scan_csv(path, target="y", delimiter=delimiter)


def test_files_without_header(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = csv_text(np.c_[X, Y], header=None).splitlines()
    path.write_text("\n".join(f"{row},s{i}" for i, row in enumerate(rows)) + "\n")
    wanted: dict[str, Any] = {"target": 3, "columns": [0, 1, 2]}
    with pytest.raises(ArgumentError, match="^names: the first row of .* holds the number .*header=True"):
        scan_csv(path, **wanted)
    named = scan_csv(path, **wanted, names=["a", "b", "c", "y", "id"])
    plain = scan_csv(path, **wanted, header=False)
    assert (named.columns, named.feature_names) == (("a", "b", "c"), ("a", "b", "c"))  # type: ignore[attr-defined]
    assert (plain.columns, plain.feature_names) == (("x0", "x1", "x2"), None)  # type: ignore[attr-defined]
    for samples in (named, plain):
        found, y, _ = gather(samples)
        np.testing.assert_array_equal(found, X)
        np.testing.assert_array_equal(y, Y)
    assert scan_csv(path, **wanted, header=True).n_rows == N_ROWS - 1
    with pytest.raises(ArgumentError, match="has no column 'y'"):
        scan_csv(path, target="y")


def test_names_that_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(csv_text(np.c_[X, Y], header="2019,2020,2021,y"))
    with pytest.raises(ArgumentError, match="^names: .*holds the number 2019"):
        scan_csv(path, target=-1)
    for wanted in ({"target": "y"}, {"target": -1, "header": True}):
        assert scan_csv(path, **wanted).columns == ("2019", "2020", "2021")  # type: ignore[arg-type]
    other = scan_csv(path, target="w", names=["u", "v", "z", "w"], header=True)
    assert other.columns == ("u", "v", "z")
    np.testing.assert_array_equal(gather(other)[0], X)


def test_header_of_gzip_files_without_names(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(csv_text(np.c_[X, Y], header=None).encode()))
    np.testing.assert_array_equal(gather(scan_csv(os.fspath(path), target=3, header=False))[0], X)

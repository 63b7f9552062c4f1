"""Samples: the same rows from every source and layout, and a clear error for every invalid row."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from relunet import Samples, scan_array, scan_npy
from relunet._relunet import ArraySource
from relunet.errors import ArgumentError, DataError, FileError, RelunetError

Array = np.ndarray[Any, np.dtype[Any]]


def table(n_rows: int = 103, n_columns: int = 5) -> Array:
    """Small integers, exact in every number type."""
    return (np.arange(n_rows * n_columns).reshape(n_rows, n_columns) * 7 % 101).astype(np.float64)


def gather(samples: Samples, size: int = 17) -> tuple[Array, Array | None, Array | None]:
    parts: Iterator[tuple[Any, ...]] = zip(*samples.blocks(size), strict=True)
    X, y, weight = (None if part[0] is None else np.concatenate(part) for part in parts)
    assert X is not None
    return X, y, weight


def save(path: Path, array: Array) -> Path:
    np.save(path, array, allow_pickle=True)
    return path


def header(text: bytes, version: int = 1) -> bytes:
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + text


def strided(X: Array) -> Array:
    room = np.full((2 * X.shape[0], 3 * X.shape[1]), np.nan, X.dtype)
    room[::2, ::3] = X
    return room[::2, ::3]


def negative(X: Array) -> Array:
    return X[::-1, ::-1].copy()[::-1, ::-1]


def read_only(X: Array) -> Array:
    X = X.copy()
    X.flags.writeable = False
    return X


def field_of_packed_records(X: Array) -> Array:
    records = np.zeros(X.shape, np.dtype([("flag", "i1"), ("value", X.dtype)]))
    records["value"] = X
    return records["value"]


LAYOUTS: list[Callable[[Array], Array]] = [
    np.ascontiguousarray,
    np.asfortranarray,
    strided,
    negative,
    read_only,
    field_of_packed_records,
    lambda X: X.T.copy().T,
    lambda X: X.astype(X.dtype.newbyteorder()),
]


class TestArray:
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_layouts(self, layout: Callable[[Array], Array], dtype: type) -> None:
        X = table()
        samples = scan_array(layout(X.astype(dtype)), layout(X[:, :1].astype(dtype)), layout(X[:, 1:2].astype(dtype)))
        got_X, y, weight = gather(samples)
        np.testing.assert_array_equal(got_X, X)
        np.testing.assert_array_equal(y, X[:, 0])
        np.testing.assert_array_equal(weight, X[:, 1])

    @pytest.mark.parametrize(
        "code", ["f2", "f4", "f8", "g", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "O", ">f4", ">i8"]
    )
    def test_number_types(self, code: str) -> None:
        samples = scan_array(table().astype(code), table()[:, 0].astype(code))
        X, y, _ = gather(samples)
        np.testing.assert_array_equal(X, table())
        np.testing.assert_array_equal(y, table()[:, 0])
        expected = np.float32 if code in ("f4", ">f4") else np.float64
        assert samples.dtype == X.dtype == expected

    def test_booleans(self) -> None:
        X, _, _ = gather(scan_array(table() > 50))
        np.testing.assert_array_equal(X, table() > 50)

    @pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
    def test_matrices(self) -> None:
        np.testing.assert_array_equal(gather(scan_array(np.asmatrix(table())))[0], table())

    def test_lists_and_broadcasts(self) -> None:
        X, y, weight = gather(scan_array([[1, 2], [3, 4]], [5, 6]))
        assert (X.tolist(), y is not None and y.tolist(), weight) == ([[1, 2], [3, 4]], [5, 6], None)
        X, _, _ = gather(scan_array(np.broadcast_to(np.arange(3.0), (40, 3))))
        np.testing.assert_array_equal(X, np.tile(np.arange(3.0), (40, 1)))

    def test_memory_map(self, tmp_path: Path) -> None:
        path = save(tmp_path / "x.npy", table())
        X, _, _ = gather(scan_array(np.load(path, mmap_mode="r")))
        np.testing.assert_array_equal(X, table())

    def test_data_frame_keeps_its_names(self) -> None:
        class Frame:
            columns = ("height", 7)

            def to_numpy(self) -> Array:
                return table(4, 2)

        samples = scan_array(Frame())
        assert samples.columns == ("height", "7")
        assert scan_array(table(4, 2)).columns == ("x0", "x1")

    def test_properties(self) -> None:
        samples = scan_array(table(), table()[:, 0])
        assert isinstance(samples, Samples)
        assert (samples.n_rows, samples.n_columns, samples.has_labels) == (103, 5, True)
        assert not scan_array(table()).has_labels
        assert "103 labelled rows" in repr(samples)

    def test_no_copy_of_doubles(self) -> None:
        X = table()
        samples = scan_array(X)
        X[0, 0] = 55.0
        assert next(samples.blocks())[0][0, 0] == 55.0

    def test_shape_of_the_callers_array_may_change(self) -> None:
        X = table()
        samples = scan_array(X)
        X.shape = (5, 103)
        assert gather(samples)[0].shape == (103, 5)

    @given(size=st.integers(1, 300), n_rows=st.integers(1, 200), n_columns=st.integers(1, 9))
    def test_cuts_do_not_matter(self, size: int, n_rows: int, n_columns: int) -> None:
        X = table(n_rows, n_columns)
        for layout in (np.ascontiguousarray, np.asfortranarray):
            blocks = [block[0] for block in scan_array(layout(X)).blocks(size)]
            assert [len(block) for block in blocks[:-1]] == [size] * (len(blocks) - 1)
            np.testing.assert_array_equal(np.concatenate(blocks), X)

    @pytest.mark.parametrize(
        ("X", "word"),
        [
            (table() + 0j, "Complex data not supported"),
            (table().astype(str), "dtype <U"),
            (table().astype(bytes), "dtype |S"),
            (table().astype("M8[s]"), "datetime64"),
            (np.zeros((3, 2), [("a", "f8")]), "real numbers"),
            ([[1.0], [2.0, 3.0]], "no array"),
            (table()[0], "Reshape your data"),
            (np.float64(3), "2 dimensions"),
            (np.zeros((2, 3, 4)), "(2, 3, 4)"),
            (np.zeros((0, 3)), "0 rows"),
            (np.zeros((3, 0)), "0 feature(s) (shape=(3, 0))"),
            (np.ma.masked_greater(table(), 50), "masked"),
        ],
    )
    def test_inputs_that_are_refused(self, X: Any, word: str) -> None:
        with pytest.raises(DataError) as error:
            scan_array(X)
        assert str(error.value).startswith("X: ")
        assert word in str(error.value)

    @pytest.mark.parametrize("value", ["high", {}, (1, 2)])
    def test_objects_that_are_no_numbers(self, value: Any) -> None:
        told = f"^X, row 1, column 1: {re.escape(repr(value))} of type .*expected real numbers"
        with pytest.raises(DataError, match=told):
            scan_array(np.array([[1.0, 2.0], [3.0, value]], dtype=object))

    def test_sparse_is_refused(self) -> None:
        with pytest.raises(DataError, match="X: sparse"):
            scan_array(sparse.csr_array(table()))

    @pytest.mark.parametrize("name", ["y", "sample_weight"])
    def test_vectors_that_are_refused(self, name: str) -> None:
        X = table()
        bad_shape = X[:, :2] if name == "sample_weight" else X[:, :2, None]
        for bad, word in [
            (bad_shape, r"shape \(103, 2"),
            (X[:-1, 0], "102 values for 103 rows"),
            (X[:, 0] * 1j, "Complex"),
            (np.float64(1), r"shape \(\)"),
        ]:
            with pytest.raises(DataError, match=f"^{name}: .*{word}"):
                scan_array(X, **{name: bad})

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_place_of_a_bad_value(self, layout: Callable[[Array], Array], dtype: type, value: float) -> None:
        good: Array = table().astype(dtype)
        bad = good.copy()
        bad[71, 3] = value
        with pytest.raises(DataError, match=r"^X, row 71, column 3: (NaN|-?inf) "):
            gather(scan_array(layout(bad)))
        for name in ("y", "sample_weight"):
            with pytest.raises(DataError, match=rf"^{name}, row 71: (NaN|-?inf) "):
                gather(scan_array(good, **{name: layout(bad[:, 3:4])}))

    def test_negative_weight(self) -> None:
        weight = np.ones(103)
        weight[40] = -0.5
        with pytest.raises(DataError, match=r"^sample_weight, row 40: -0.5 "):
            gather(scan_array(table(), None, weight))

    def test_size_of_blocks(self) -> None:
        with pytest.raises(ArgumentError, match="size: 0"):
            scan_array(table()).blocks(0)


class TestCompiledSource:
    def test_rows_out_of_range(self) -> None:
        source = ArraySource(table())
        for rows in [(0, 104), (5, 4), (104, 104)]:
            with pytest.raises(ArgumentError, match="rows: "):
                source.read(*rows)
        assert source.read(103, 103)[0].shape == (0, 5)

    @pytest.mark.parametrize(
        "X", [table()[0], table().astype(int), table().tolist(), field_of_packed_records(table()), None]
    )
    def test_other_objects(self, X: Any) -> None:
        with pytest.raises((ArgumentError, DataError), match="^X: "):
            ArraySource(X)

    def test_array_that_changes_its_shape(self) -> None:
        X = table()
        source = ArraySource(X)
        X.shape = (-1,)
        with pytest.raises(ArgumentError, match="^X: "):
            source.read(0, 1)

    def test_many_threads(self) -> None:
        source = ArraySource(np.asfortranarray(table(4000)))
        wrong = []

        def work() -> None:
            for start in range(0, 4000, 10):
                if not np.array_equal(source.read(start, start + 10)[0], table(4000)[start : start + 10]):
                    wrong.append(start)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


class TestNpy:
    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize(
        "code", [o + c for o in "<>" for c in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")]
    )
    def test_equals_the_array(self, tmp_path: Path, code: str, order: Any) -> None:
        rng = np.random.default_rng(0)
        values = rng.normal(size=(103, 5)) if "f" in code else rng.integers(0, 2 if "?" in code else 120, (103, 5))
        X = np.asarray(values.astype(code), order=order)
        y = X[:, 2]
        x_path, y_path = save(tmp_path / "x.npy", X), save(tmp_path / "y.npy", y)
        array, files = scan_array(X, y, np.abs(y)), scan_npy(x_path, y_path, weight=save(tmp_path / "w.npy", np.abs(y)))
        assert (files.n_rows, files.columns, files.dtype) == (103, array.columns, array.dtype)
        for got, expected in zip(gather(files), gather(array, 31), strict=True):
            assert got is not None
            assert expected is not None
            np.testing.assert_array_equal(got, expected, strict=True)

    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("dtype", ["<f8", "<f4", ">i4"])
    def test_labels_and_weights_as_columns(self, tmp_path: Path, dtype: str, order: Any) -> None:
        data = table()
        path = save(tmp_path / "t.npy", np.asarray(data.astype(dtype), order=order))
        X, y, weight = gather(scan_npy(path, target=1, weight=-1))
        np.testing.assert_array_equal(X, data[:, [0, 2, 3]])
        np.testing.assert_array_equal(y, data[:, 1])
        np.testing.assert_array_equal(weight, data[:, 4])
        samples = scan_npy(path, save(tmp_path / "y.npy", data[:, :1]), columns=[3, -5, 2], weight=4)
        X, y, weight = gather(samples)
        assert samples.columns == ("x3", "x0", "x2")
        np.testing.assert_array_equal(X, data[:, [3, 0, 2]])
        np.testing.assert_array_equal(y, data[:, 0])
        np.testing.assert_array_equal(weight, data[:, 4])
        X, y, _ = gather(scan_npy(path, target=0, weight=save(tmp_path / "w.npy", data[:, 1])))
        np.testing.assert_array_equal(X, data[:, 1:])

    def test_every_column_in_another_order(self, tmp_path: Path) -> None:
        X, _, _ = gather(scan_npy(save(tmp_path / "x.npy", table()), columns=[4, 3, 2, 1, 0]))
        np.testing.assert_array_equal(X, table()[:, ::-1])

    @settings(max_examples=40)
    @given(data=st.data())
    def test_ragged_cuts(self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
        X = table(data.draw(st.integers(1, 150)), data.draw(st.integers(1, 8)))
        X = np.asarray(
            X.astype(data.draw(st.sampled_from(["<f8", ">f8", "<f4", "<u2"]))), order=data.draw(st.sampled_from("CF"))
        )
        path = save(tmp_path_factory.mktemp("cuts") / "x.npy", X)
        got, _, _ = gather(scan_npy(path), data.draw(st.integers(1, 200)))
        np.testing.assert_array_equal(got, X)

    @pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
    def test_versions(self, tmp_path: Path, version: tuple[int, int]) -> None:
        path = tmp_path / "x.npy"
        with path.open("wb") as file:
            np.lib.format.write_array(file, table(), version)
        np.testing.assert_array_equal(gather(scan_npy(str(path)))[0], table())

    def test_replaced_file_keeps_its_rows(self, tmp_path: Path) -> None:
        path = save(tmp_path / "x.npy", table())
        samples = scan_npy(path)
        os.replace(save(tmp_path / "other.npy", table() + 1), path)
        np.testing.assert_array_equal(gather(samples)[0], table())

    @pytest.mark.parametrize(
        ("array", "word"),
        [
            (table().astype(object), "object dtype '|O'"),
            (table() + 0j, "complex dtype '<c16'"),
            (table().astype(str), "string dtype '<U"),
            (table().astype(bytes), "string dtype '|S"),
            (table().astype("M8[s]"), "date or time dtype '<M8[s]'"),
            (np.zeros((3, 2), [("a", "f8"), ("b", "i4")]), "structured dtype"),
            (table()[0], "shape (5,); expected (rows, columns)"),
            (np.array(3.0), "shape ()"),
            (np.zeros((2, 3, 4)), "shape (2, 3, 4)"),
            (np.zeros((0, 3)), "0 rows (shape (0, 3))"),
            (np.zeros((3, 0)), "0 columns (shape (3, 0))"),
        ],
    )
    def test_arrays_that_are_refused(self, tmp_path: Path, array: Array, word: str) -> None:
        path = save(tmp_path / "x.npy", array)
        with pytest.raises(DataError) as error:
            scan_npy(path)
        assert str(error.value).startswith(f"{path}: ")
        assert word in str(error.value)

    @pytest.mark.skipif(np.dtype("g").itemsize == 8, reason="long double is double here")
    def test_long_double_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="extended-precision dtype '<f16'"):
            scan_npy(save(tmp_path / "x.npy", table().astype("g")))

    @pytest.mark.parametrize("argument", ["y", "weight"])
    def test_vectors_that_are_refused(self, tmp_path: Path, argument: str) -> None:
        x_path = save(tmp_path / "x.npy", table())
        bad_shape = table()[:, :2] if argument == "weight" else table()[:, :0]
        for bad, word in [(bad_shape, "shape (103, "), (table()[:-1, 0], "102 values for the 103 rows of")]:
            vector: dict[str, Any] = {argument: save(tmp_path / "v.npy", bad)}
            with pytest.raises(DataError) as error:
                scan_npy(x_path, **vector)
            assert str(error.value).startswith(f"{tmp_path / 'v.npy'}: ")
            assert word in str(error.value)
        missing: dict[str, Any] = {argument: tmp_path / "none.npy"}
        with pytest.raises(FileError, match=r"none\.npy: No such file"):
            scan_npy(x_path, **missing)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"target": 5}, "target: column 5 of "),
            ({"target": -6}, "target: column -6 of "),
            ({"weight": 99}, "weight: column 99"),
            ({"columns": [0, 7]}, "columns: column 7"),
            ({"columns": [0, 1, -5]}, "columns: column -5 is used twice"),
            ({"columns": [0, 1], "target": 1}, "columns: column 1 is used twice"),
            ({"target": 1, "weight": -4}, "weight: the same column as target"),
            ({"y": "y.npy", "target": 1}, "target: labels come from"),
        ],
    )
    def test_columns_that_are_refused(self, tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(ArgumentError) as error:
            scan_npy(save(tmp_path / "x.npy", table()), **arguments)
        assert str(error.value).startswith(message)

    def test_no_input_column(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no input column is left"):
            scan_npy(save(tmp_path / "x.npy", table(4, 1)), target=0)
        with pytest.raises(DataError, match="no input column is left"):
            scan_npy(save(tmp_path / "x.npy", table()), columns=[])

    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<f2"])
    def test_place_of_a_bad_value(self, tmp_path: Path, dtype: str, order: Any) -> None:
        bad = np.asarray(table().astype(dtype), order=order)
        bad[71, 3] = np.nan
        path = save(tmp_path / "x.npy", bad)
        arguments: dict[str, Any]
        for arguments in ({}, {"columns": [4, 3]}, {"target": 3}, {"weight": 3}):
            with pytest.raises(DataError) as error:
                gather(scan_npy(path, **arguments))
            assert str(error.value).startswith(f"{path}, row 71, column 3: NaN ")
        good, y_path = save(tmp_path / "good.npy", table()), save(tmp_path / "y.npy", bad[:, 3])
        for argument in ("y", "weight"):
            arguments = {argument: y_path}
            with pytest.raises(DataError) as error:
                gather(scan_npy(good, **arguments))
            assert str(error.value).startswith(f"{y_path}, row 71: NaN ")

    def test_negative_weight(self, tmp_path: Path) -> None:
        weight = np.ones((103, 1))
        weight[12] = -3
        path = save(tmp_path / "w.npy", weight)
        with pytest.raises(DataError, match=r"w\.npy, row 12, column 0: -3 "):
            gather(scan_npy(save(tmp_path / "x.npy", table()), weight=path))


GOOD = header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (4, 2), }\n") + bytes(64)


class TestDamagedFiles:
    @pytest.mark.parametrize(
        ("content", "word"),
        [
            (b"", "is empty"),
            (b"\x93NUM", "is truncated"),
            (GOOD[:9], "is truncated"),
            (GOOD[:40], "is truncated: its header ends"),
            (GOOD[:-1], "is truncated: shape (4, 2) of 8-byte values needs 64 bytes after the header, found 63"),
            (GOOD + b"\0", "is too long: shape (4, 2)"),
            (b"x,y\n1,2\n" * 50, "does not start with"),
            (b"PK\x03\x04" + bytes(100), ".npz archive"),
            (GOOD[:6] + b"\x09" + GOOD[7:], "version 9.0"),
            (GOOD[:6] + b"\x00" + GOOD[7:], "version 0.0"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(100), "has a header of 4294967295 bytes"),
            (header(b"\xff" * 50), "damaged header"),
            (header(b"{'descr': '<f8', 'fortran_order': False}"), "damaged header"),
            (header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-4, 2), }"), "damaged header"),
            (
                header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4), }") + bytes(64),
                "is truncated",
            ),
        ],
    )
    def test_content(self, tmp_path: Path, content: bytes, word: str) -> None:
        path = tmp_path / "x.npy"
        path.write_bytes(content)
        with pytest.raises(FileError) as error:
            scan_npy(path)
        assert str(error.value).startswith(f"{path}: ")
        assert word in str(error.value)
        assert isinstance(error.value, OSError)

    def test_good_content_is_good(self, tmp_path: Path) -> None:
        (tmp_path / "x.npy").write_bytes(GOOD)
        assert not gather(scan_npy(tmp_path / "x.npy"))[0].any()

    def test_every_truncation(self, tmp_path: Path) -> None:
        path = tmp_path / "x.npy"
        for length in range(len(GOOD)):
            path.write_bytes(GOOD[:length])
            with pytest.raises(FileError):
                scan_npy(path)

    @given(place=st.integers(0, len(GOOD) - 65), byte=st.integers(0, 255))
    def test_flipped_bytes_of_the_header(self, tmp_path_factory: pytest.TempPathFactory, place: int, byte: int) -> None:
        path = tmp_path_factory.mktemp("flipped") / "x.npy"
        path.write_bytes(GOOD[:place] + bytes([byte]) + GOOD[place + 1 :])
        try:
            X, _, _ = gather(scan_npy(path))
        except RelunetError as error:
            assert str(path) in str(error)
        else:
            np.testing.assert_array_equal(X, np.load(path))

    def test_places_that_are_no_files(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        places: list[tuple[Path | str, str]] = [
            (tmp_path / "missing.npy", "No such file"),
            (tmp_path, "no .npy file in this folder"),
            (tmp_path / "pipe", "not a regular file"),
            ("a\0b", "NUL"),
        ]
        for path, word in places:
            with pytest.raises(FileError, match=word):
                scan_npy(path)

    def test_unreadable(self, tmp_path: Path) -> None:
        path = save(tmp_path / "x.npy", table())
        path.chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # root reads every file, nobody does not
        try:
            with pytest.raises(FileError, match="Permission denied"):
                scan_npy(path)
        finally:
            os.seteuid(user)

    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("dtype", ["<f8", "<f4"])
    def test_shrinks_after_opening(self, tmp_path: Path, dtype: str, order: Any) -> None:
        path = save(tmp_path / "x.npy", np.asarray(table(5000).astype(dtype), order=order))
        blocks = scan_npy(path).blocks(1000)
        next(blocks)
        os.truncate(path, 1200)
        with pytest.raises(FileError) as error:
            next(blocks)
        assert str(error.value).startswith(f"{path}: holds 1200 bytes, but held ")

    def test_shrinks_beyond_the_rows_that_are_read(self, tmp_path: Path) -> None:
        path = save(tmp_path / "x.npy", table(5000))
        blocks = scan_npy(path).blocks(10)
        next(blocks)
        os.truncate(path, 100_000)
        with pytest.raises(FileError, match="holds 100000 bytes, but held 200128 when it was opened"):
            next(blocks)

    @pytest.mark.parametrize("changed", ["x.npy", "y.npy"])
    def test_is_written_to_after_opening(self, tmp_path: Path, changed: str) -> None:
        x_path, y_path = save(tmp_path / "x.npy", table()), save(tmp_path / "y.npy", table()[:, 0])
        samples = scan_npy(x_path, y_path)
        gather(samples)
        with (tmp_path / changed).open("r+b") as file:
            file.seek(200)
            file.write(b"\x01")
        os.utime(tmp_path / changed, (1, 1))
        with pytest.raises(FileError, match=f"{changed}: has been written to since it was opened"):
            gather(samples)

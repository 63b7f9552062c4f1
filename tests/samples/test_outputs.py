"""Samples with several labels a row: the same rows from every source, errors that name row and column, refusals."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from relunet import Samples, scan_array, scan_arrow, scan_batches, scan_csv, scan_npy, scan_parquet
from relunet.errors import ArgumentError, DataError
from relunet.moments import GradientMoments, InputMoments, LabelMap, RowSample, sweep
from relunet.network import ReLUNetwork
from relunet.samples.names import feature_names
from relunet.samples.protocol import n_outputs
from relunet.samples.reordered import reordered

N, D, M = 517, 4, 3
RNG = np.random.default_rng(0)
X, Y, W = RNG.standard_normal((N, D)), RNG.standard_normal((N, M)), RNG.integers(0, 3, N).astype(float)
FRAME = pd.DataFrame(X, columns=list("abcd")).assign(**{f"y{i}": Y[:, i] for i in range(M)}, w=W)
TARGETS = [f"y{i}" for i in range(M)]


class Sliced:
    """An array that is read by slices."""

    def __init__(self, values: Any) -> None:
        self._values, self.shape, self.dtype, self.chunks = values, values.shape, values.dtype, (50,)

    def __getitem__(self, rows: Any) -> Any:
        return self._values[rows]


def npy(folder: Path, *, labels_in_x: bool, fortran: bool = False) -> Samples:
    order = np.asfortranarray if fortran else np.ascontiguousarray
    if labels_in_x:
        np.save(folder / "all.npy", order(np.column_stack([X, Y, W])))
        return scan_npy(folder / "all.npy", target=[D, D + 1, -2], weight=-1)
    for name, values in (("x", X), ("y", Y), ("w", W)):
        np.save(folder / f"{name}.npy", order(values))
    return scan_npy(folder / "x.npy", folder / "y.npy", weight=folder / "w.npy")


def parquet(folder: Path) -> Samples:
    FRAME.to_parquet(folder / "all.parquet", row_group_size=100)
    return scan_parquet(folder / "all.parquet", target=TARGETS, weight="w")


def csv(folder: Path) -> Samples:
    FRAME.to_csv(folder / "all.csv", index=False, float_format="%.17g")
    return scan_csv(folder / "all.csv", target=TARGETS, weight="w")


def lists(folder: Path) -> Samples:
    table = pa.Table.from_pandas(FRAME[[*"abcd", "w"]]).append_column("y", pa.array(Y.tolist()))
    return scan_arrow(table, target="y", weight="w")


def batches() -> Any:
    for start in range(0, N, 100):
        yield X[start : start + 100], Y[start : start + 100], W[start : start + 100]


SOURCES: dict[str, Callable[[Path], Samples]] = {
    "array": lambda folder: scan_array(X, Y, W),
    "fortran": lambda folder: scan_array(np.asfortranarray(X), np.asfortranarray(Y), W),
    "lists": lambda folder: scan_array(X.tolist(), Y.tolist(), W.tolist()),
    "frames": lambda folder: scan_array(FRAME[list("abcd")], FRAME[TARGETS], FRAME["w"]),
    "sliced": lambda folder: scan_array(Sliced(X), Sliced(Y), Sliced(W)),
    "npy": lambda folder: npy(folder, labels_in_x=False),
    "npy, Fortran": lambda folder: npy(folder, labels_in_x=False, fortran=True),
    "npy, columns": lambda folder: npy(folder, labels_in_x=True),
    "parquet": parquet,
    "csv": csv,
    "arrow": lambda folder: scan_arrow(FRAME, target=TARGETS, weight="w"),
    "list column": lists,
    "batches": lambda folder: scan_batches(batches),
    "spilled": lambda folder: scan_batches(batches(), spill=folder / "spilled"),
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_the_same_rows_and_bits(tmp_path: Path, source: str) -> None:
    samples = SOURCES[source](tmp_path)
    assert n_outputs(samples) == M
    assert samples.has_labels
    assert f"{M} outputs" in repr(samples)
    blocks = list(samples.blocks(100))
    for values, part in zip((X, Y, W), zip(*blocks, strict=True), strict=True):
        np.testing.assert_array_equal(np.concatenate(part), values)
    sums = [InputMoments(D, M), RowSample(D, 2**63, 0, n_outputs=M)]
    sweep(samples, sums)
    twins = [each.empty() for each in sums]
    sweep(scan_array(X, Y, W), twins)
    assert [each.to_bytes() for each in sums] == [each.to_bytes() for each in twins]
    assert samples.identity() == scan_array(X, Y, W).identity() != scan_array(X, Y[:, :2], W).identity()


@pytest.mark.parametrize("source", ["array", "npy", "parquet", "csv", "list column"])
def test_samples_can_be_pickled(tmp_path: Path, source: str) -> None:
    samples = SOURCES[source](tmp_path)
    np.testing.assert_array_equal(next(pickle.loads(pickle.dumps(samples)).blocks())[1], Y)


def test_a_single_column_is_one_label(tmp_path: Path) -> None:
    samples = scan_array(X, Y[:, :1])
    assert n_outputs(samples) == 1
    np.testing.assert_array_equal(next(samples.blocks())[1], Y[:, 0])
    FRAME.to_parquet(tmp_path / "all.parquet")
    with pytest.raises(ArgumentError, match=r"target: \['y0'\]; expected a column, or a sequence of at least two"):
        scan_parquet(tmp_path / "all.parquet", target=["y0"])


def test_columns_in_another_order_keep_their_labels() -> None:
    samples = reordered(scan_array(FRAME[list("abcd")], Y), "dcba")
    assert feature_names(samples) == tuple("dcba")
    rows, labels, _ = next(samples.blocks())
    np.testing.assert_array_equal(rows, X[:, ::-1])
    np.testing.assert_array_equal(labels, Y)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (Y, r"^y, row 200, column 1: (nan|NaN)"),
        (pd.DataFrame(Y, columns=TARGETS), r"^y, row 200, column 'y1': (nan|NaN)"),
    ],
    ids=["by number", "by name"],
)
def test_bad_labels_are_named_by_row_and_column(labels: Any, message: str) -> None:
    bad = labels.copy()
    if isinstance(bad, pd.DataFrame):
        bad.iloc[200, 1] = np.nan
    else:
        bad[200, 1] = np.nan
    with pytest.raises(DataError, match=message):
        sweep(scan_array(X, bad), [InputMoments(D, M)])


def test_bad_labels_in_files_are_named_by_row_and_column(tmp_path: Path) -> None:
    bad = FRAME.copy()
    bad.loc[300, "y2"] = np.inf
    bad.to_parquet(tmp_path / "bad.parquet")
    samples = scan_parquet(tmp_path / "bad.parquet", target=TARGETS)
    with pytest.raises(DataError, match=r"row 300, column 'y2'"):
        sweep(samples, [InputMoments(D + 1, M)])
    labels = Y.copy()
    labels[17, 2] = np.nan
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", labels)
    with pytest.raises(DataError, match=r"y\.npy, row 17, column 2"):
        sweep(scan_npy(tmp_path / "x.npy", tmp_path / "y.npy"), [InputMoments(D, M)])


def test_targets_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "all.parquet")
    path = tmp_path / "all.parquet"
    for target, message in (
        (["y0", "y0"], "^target: column 'y0' is used twice"),
        ([], "^target: "),
        (["y0", None], "^target: "),
        (["y0", "none"], "^target: .* has no column 'none'"),
        (3.5, "^target: 3.5"),
    ):
        with pytest.raises(ArgumentError, match=message):
            scan_parquet(path, target=target)
    with pytest.raises(ArgumentError, match="^weight: the same column as target"):
        scan_parquet(path, target=TARGETS, weight="y1")
    with pytest.raises(DataError, match=r"^y: shape \(517, 0\)"):
        scan_array(X, Y[:, :0])
    with pytest.raises(DataError, match=r"^y: 516 values for 517 rows"):
        scan_array(X, Y[:-1])
    with pytest.raises(DataError, match=r"^y: shape \(517, 3, 1\)"):
        scan_array(X, Y[:, :, None])
    with pytest.raises(DataError, match="batch 1: .*2 labels a row.*expected.*3 labels a row"):
        sweep(scan_batches([(X, Y), (X, Y[:, :2])]), [InputMoments(D, M)])


def test_accumulators_refuse_another_number_of_labels() -> None:
    samples, one = scan_array(X, Y), ReLUNetwork(np.zeros((0, D)), [])
    for accumulator in (
        GradientMoments(one),
        InputMoments(D),
        RowSample(D, 1, 0),
        LabelMap(InputMoments(D), [[1.0, 2.0]]),
    ):
        with pytest.raises(ArgumentError, match="^y: .* takes [12] labels a row, the samples have 3"):
            sweep(samples, [accumulator])

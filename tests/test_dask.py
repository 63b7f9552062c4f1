"""Dask: sweeps and fits equal those on one machine for any partitions, also if a worker dies."""

from __future__ import annotations

import os
import signal
import threading
import time

import dask
import dask.array as da
import dask.dataframe as dd
import distributed
import numpy as np
import pandas as pd
import pytest

import relunet
from relunet.dask import scan_dask
from relunet.errors import ArgumentError, DataError
from relunet.moments import GradientMoments, InputMoments, RowSample, SliceMoments, sweep
from relunet.samples.reordered import reordered

D = 6


@pytest.fixture(scope="module")
def teacher():
    return relunet.teachers.biased(D, 2, rng=0)


@pytest.fixture(scope="module")
def data(teacher):
    X, y = teacher.sample(5000, rng=1)
    return X, y, np.random.default_rng(2).uniform(0.5, 2, len(y))


def accumulators():
    network = relunet.ReLUNetwork(np.eye(D)[:2], [1.0, -1.0])
    return [InputMoments(D), SliceMoments(D, [0.0]), GradientMoments(network), RowSample(D, 2**60, 0)]


def assert_same_sums(samples, expected):
    found, whole = accumulators(), accumulators()
    sweep(samples, found)
    sweep(expected, whole)
    assert [sums.n_rows for sums in found] == [expected.n_rows] * 4
    np.testing.assert_allclose(found[0].mean, whole[0].mean, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found[0].cov, whole[0].cov, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found[1].grams, whole[1].grams, rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(found[2].gradient, whole[2].gradient, rtol=1e-10, atol=1e-12)
    for mine, theirs in zip(found[3].rows(), whole[3].rows(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_arrays_of_any_chunks(data, scheduler):
    X, y, weight = data
    with dask.config.set(scheduler=scheduler):
        chunks = ((1, 0, 2999, 1500, 500), (4, 2))
        samples = scan_dask(da.from_array(X, chunks=chunks), da.from_array(y, chunks=777), da.from_array(weight))
        assert (samples.n_rows, samples.n_columns, samples.dtype) == (5000, D, np.float64)
        assert isinstance(samples, relunet.Samples)
        assert_same_sums(samples, relunet.scan_array(X, y, weight))
        single = scan_dask(da.from_array(X.astype(np.float32), chunks=(1000, D)))
        assert (single.dtype, single.has_labels) == (np.float32, False)


def test_arrays_of_unknown_lengths(data):
    X, y, _ = data
    chosen = X[:, 0] > 0.3
    lazy = da.from_array(X, chunks=(1000, D)), da.from_array(y, chunks=1000)
    samples = scan_dask(lazy[0][lazy[0][:, 0] > 0.3], lazy[1][lazy[0][:, 0] > 0.3])
    assert_same_sums(samples, relunet.scan_array(X[chosen], y[chosen]))


def test_data_frames_with_empty_partitions(data):
    X, y, weight = data
    frame = pd.DataFrame(X, columns=list("abcdef")).assign(label=y, weight=weight)
    lazy = dd.from_pandas(frame, npartitions=5)
    lazy = lazy.map_partitions(lambda part: part[(part.index < 1000) | (part.index >= 3000)])
    kept = np.r_[0:1000, 3000:5000]
    samples = scan_dask(lazy, target="label", weight="weight")
    assert samples.columns == tuple("abcdef")
    assert_same_sums(samples, relunet.scan_array(X[kept], y[kept], weight[kept]))
    some = scan_dask(lazy, lazy["label"], columns=["b", "a"])
    assert some.columns == ("b", "a")


def test_delayed_partitions_and_blocks(data):
    X, y, _ = data

    @dask.delayed
    def part(i):
        return X[i * 1000 : (i + 1) * 1000], y[i * 1000 : (i + 1) * 1000]

    samples = scan_dask([part(i) for i in range(7)])  # two of them are empty
    assert_same_sums(samples, relunet.scan_array(X, y))
    np.testing.assert_array_equal(np.concatenate([x for x, *_ in samples.blocks(300)]), X)
    rows = []
    sweep(samples, [InputMoments(D)], progress=rows.append)
    assert rows == [1000, 2000, 3000, 4000, 5000]


def test_partitions_with_columns_in_other_orders(data):
    X, y, _ = data
    frame = pd.DataFrame(X, columns=list("abcdef")).assign(label=y)
    names = [["a", "b", "c", "d", "e", "f", "label"], ["label", "f", "e", "d", "c", "b", "a"]]
    parts = [dask.delayed(frame[:3000][names[0]]), dask.delayed(frame[3000:][names[1]])]
    samples = scan_dask(parts, target="label")
    assert samples.columns == samples.feature_names == tuple("abcdef")
    assert scan_dask(da.from_array(X)).feature_names is None
    assert_same_sums(samples, relunet.scan_array(X, y))
    with pytest.raises(DataError, match="X: partition 1: other columns than expected: missing 'f', not expected 'g'"):
        scan_dask([parts[0], dask.delayed(frame.rename(columns={"f": "g"}))], target="label")
    with pytest.raises(ArgumentError, match="^target: .*expected a column, or a sequence of at least two"):
        scan_dask(parts, target=["label"])


def test_reordered_partitions(data):
    X, y, _ = data
    frame = pd.DataFrame(X, columns=list("abcdef")).assign(label=y)
    samples = reordered(scan_dask([dask.delayed(frame)], target="label"), "fedcba")
    np.testing.assert_array_equal(np.concatenate([block[0] for block in samples.blocks(900)]), X[:, ::-1])


def test_what_cannot_be_used_is_refused(data):
    X, y, _ = data
    lazy = da.from_array(X, chunks=(1000, D))
    with pytest.raises(ArgumentError, match="ndarray"):
        scan_dask(X)
    with pytest.raises(DataError, match="y: 4999 rows, expected 5000"):
        scan_dask(lazy, da.from_array(y[1:]))
    with pytest.raises(ArgumentError, match="checkpoint"):
        sweep(scan_dask(lazy), [InputMoments(D)], checkpoint="kept")
    with pytest.raises(DataError, match="no rows in 1 partitions"):
        scan_dask(lazy[:0])
    bad = X.copy()
    bad[3210, 2] = np.nan
    with pytest.raises(DataError, match=r"partition 3: X, row 210, column 2"):
        sweep(scan_dask(da.from_array(bad, chunks=(1000, D))), [InputMoments(D)])
    frame = dd.from_pandas(pd.DataFrame(X, columns=list("abcdef")), npartitions=2)
    with pytest.raises(DataError, match="partition . has no column 'label'"):
        scan_dask(frame, target="label")
    other = dask.delayed(X[:5, :4])
    with pytest.raises(DataError, match="partition 1 has columns x0, x1, x2, x3 and no labels, partition 0"):
        scan_dask([dask.delayed(X[:5]), other])


@pytest.fixture(scope="module")
def cluster():
    quiet = {"distributed.worker.daemon": False, "distributed.admin.log-length": 0}
    with (
        dask.config.set(quiet),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_a_fit_on_a_cluster_is_that_of_one_machine(cluster, data, teacher):
    X, y, _ = data
    samples = scan_dask(da.from_array(X, chunks=(900, D)), da.from_array(y, chunks=900))
    there = relunet.learn(samples, n_neurons=2)
    here = relunet.learn(relunet.scan_array(X, y), n_neurons=2)
    assert there.report.status == "exact"
    assert there.network.gaussian_distance(here.network) <= 1e-10 * here.network.gaussian_norm()
    model = relunet.ReLUNetRegressor(n_neurons=2).fit(samples)
    np.testing.assert_allclose(model.network_.weights, there.network.weights, rtol=1e-10, atol=1e-10)


def test_a_worker_killed_in_mid_sweep_is_made_up_for(cluster, data, tmp_path):
    X, y, _ = data

    def slowly(i, folder):
        (folder / f"{i}-{time.monotonic_ns()}").touch()
        time.sleep(0.1)
        return X[i * 500 : (i + 1) * 500], y[i * 500 : (i + 1) * 500]

    samples = scan_dask([dask.delayed(slowly)(i, tmp_path) for i in range(10)])
    counted = len(list(tmp_path.iterdir()))
    victim = next(iter(cluster.run(os.getpid).values()))

    def kill():
        while len(list(tmp_path.iterdir())) < counted + 5:
            time.sleep(0.005)
        os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    rows = []
    found, whole = [InputMoments(D)], [InputMoments(D)]
    sweep(samples, found, progress=rows.append)
    killer.join()
    sweep(relunet.scan_array(X, y), whole)
    assert found[0].n_rows == rows[-1] == 5000
    np.testing.assert_allclose(found[0].cov, whole[0].cov, rtol=1e-10, atol=1e-12)
    assert victim not in cluster.run(os.getpid).values(), "a worker was killed"
    assert len(list(tmp_path.iterdir())) > counted + 10, "some partitions were read again"

"""Estimators in other processes and threads: after a fork, under joblib, with a bound on threads."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from joblib import Parallel, delayed

import relunet
from relunet import ReLUNetRegressor, ReLUNetwork
from relunet.threads import bounded

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, forks")


@pytest.fixture(scope="module")
def fitted():
    X = np.random.default_rng(0).standard_normal((3000, 3))
    y = np.maximum(X[:, 0] - X[:, 1], 0)
    return ReLUNetRegressor(1).fit(X, y), X, y


def _again(model, X, y):
    """Use the compiled code in every way, and say whether the results are those of the parent."""
    values = model.predict(X).tobytes()
    distance = model.network_.gaussian_distance(ReLUNetwork([[1.0, 0.0, 0.0]], [1.0]))
    return values, distance, ReLUNetRegressor(1).fit(X, y).predict(X).tobytes()


@linux
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_compute_the_same(fitted, method):
    expected = _again(*fitted)
    context = multiprocessing.get_context(method)
    with context.Pool(1) as pool:
        assert pool.apply_async(_again, fitted).get(timeout=120) == expected


@linux
def test_children_of_children_have_threads_of_their_own(fitted):
    def grandchild():
        child = multiprocessing.get_context("fork").Process(target=_again, args=fitted)
        child.start()
        child.join(60)
        os._exit(child.exitcode if child.exitcode is not None else 1)

    child = multiprocessing.get_context("fork").Process(target=grandchild)
    child.start()
    child.join(90)
    assert child.exitcode == 0


@linux
@pytest.mark.parametrize("backend", ["multiprocessing", "loky", "threading"])
def test_joblib(fitted, backend):
    expected = _again(*fitted)
    assert Parallel(n_jobs=2, backend=backend)(delayed(_again)(*fitted) for _ in range(2)) == [expected, expected]


THREADS = """
import os, numpy as np
from relunet import ReLUNetRegressor

def names():
    tasks = (f"/proc/self/task/{task}/comm" for task in os.listdir("/proc/self/task"))
    return sorted(open(task).read().strip() for task in tasks)

X = np.random.default_rng(0).standard_normal((3000, 3))
y = np.maximum(X[:, 0] - X[:, 1], 0)
model = ReLUNetRegressor(1, n_jobs=1).fit(X, y)
model.predict(X)
model.score(X, y)
workers = [name for name in names() if name.startswith("relunet-")]
assert workers == ["relunet-0"], workers
for n in range(1, 9):
    ReLUNetRegressor(1, n_jobs=n).set_params(max_neurons=1).fit(X[:500], y[:500])
import time
time.sleep(0.5)
workers = [name for name in names() if name.startswith("relunet-")]
assert len(workers) <= 8 + 7, workers
"""


@linux
def test_n_jobs_bounds_every_thread_and_pools_are_let_go():
    subprocess.run([sys.executable, "-c", THREADS], check=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})


def test_bounds_are_nested_and_restored():
    from relunet._relunet import bound_threads

    with bounded(3):
        with bounded(None):
            assert bound_threads(3) == 3
        with bounded(1):
            assert bound_threads(1) == 1
        assert bound_threads(3) == 3
    assert bound_threads(None) is None


def _work_and_wait(work):
    """Work, and wait for the signal if the work ends before it comes."""
    work()
    time.sleep(10)


RNG = np.random.default_rng(0)


def _norm():
    ReLUNetwork(RNG.standard_normal((3000, 20)), RNG.standard_normal(3000), RNG.standard_normal(3000)).gaussian_norm()


def _match():
    networks = [ReLUNetwork(RNG.standard_normal((1500, 10)), RNG.standard_normal(1500)) for _ in range(2)]
    networks[0].match(networks[1])


def _eigh():
    from relunet._relunet import eigh

    eigh(np.full((3000, 3000), 0.5) + np.diag(np.arange(3000.0)))


def _search():
    X, y = relunet.teachers.generic(24, 24, rng=0).sample(20_000, rng=1, noise=0.1)
    relunet.learn(relunet.scan_array(X, y), 24)


@pytest.fixture(scope="module")
def wide_file(tmp_path_factory):
    """A file with a footer of many columns and row groups."""
    path = tmp_path_factory.mktemp("wide") / "wide.parquet"
    pq.write_table(pa.table({str(number): [1.0] * 20 for number in range(4000)}), path, row_group_size=4)
    return path


@pytest.mark.slow
@linux
@pytest.mark.parametrize("work", [_norm, _match, _eigh, _search, "footers"])
def test_ctrl_c_is_heard(work, wide_file):
    if isinstance(work, str):
        work = partial(relunet.scan_parquet, [wide_file] * 400, target=0)
    sent = []
    # A process that a shell started in the background ignores the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt():
        time.sleep(1.0)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            _work_and_wait(work)
        assert time.monotonic() - sent[0] < 2.0
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)


def test_searches_and_polishes_in_memory_tell_their_progress():
    told = []
    X, y = relunet.teachers.generic(6, 3, rng=0).sample(10_000, rng=1, noise=0.1)
    relunet.learn(relunet.scan_array(X, y), 3, progress=lambda *event: told.append(event), n_jobs=1)
    assert {task for task, _, _ in told} >= {"search"}
    assert all(0 <= done <= total for _, done, total in told)

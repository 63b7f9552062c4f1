"""Checkpoints: sweeps and fits that are killed at any moment resume and give the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import relunet
from relunet.errors import ArgumentError, FileError
from relunet.moments import CurvatureMoments, InputMoments, SliceMoments, sweep
from relunet.moments.checkpoint import CheckpointedSamples

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    return relunet.scan_array(rng.standard_normal((3000, 4)), rng.standard_normal(3000))


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout


KILLED = """
    import os, random, signal, sys, time
    import numpy as np
    from pathlib import Path

    def killed(work, seconds):
        '''Do work in a process of its own that is killed after so many seconds; tell whether it had ended by then.'''
        child = os.fork()
        if child == 0:
            work()
            os._exit(0)
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        return os.WIFEXITED(os.waitpid(child, 0)[1])
"""


@pytest.mark.slow
@needs_fork
def test_fifty_kills_and_the_same_bits(tmp_path):
    script = """
        from relunet import scan_npy
        from relunet.moments import InputMoments, SliceMoments, sweep

        folder = Path(sys.argv[1])
        rng = np.random.default_rng(0)
        np.save(folder / "x.npy", rng.standard_normal((36_000, 130), dtype=np.float32))
        np.save(folder / "y.npy", rng.standard_normal(36_000))

        def sums(checkpoint=None, n_jobs=2):
            found = [InputMoments(130), SliceMoments(130, [0.0])]
            samples = scan_npy(folder / "x.npy", folder / "y.npy")
            sweep(samples, found, n_jobs=n_jobs, checkpoint=checkpoint, every=0.002)
            return [moments.to_bytes() for moments in found]

        start = time.perf_counter()
        whole = sums()
        seconds = time.perf_counter() - start
        choice, n_killed, n_left = random.Random(0), 0, 0
        for i in range(50):
            checkpoint = folder / f"{i}.sweep"
            n_killed += not killed(lambda: sums(checkpoint), choice.uniform(0, 2 * seconds))
            n_left += checkpoint.exists()
            assert sums(checkpoint, n_jobs=1 + i % 3) == whole, i
        print(n_killed, n_left)
    """
    n_killed, n_left = map(int, run(textwrap.dedent(KILLED) + textwrap.dedent(script), str(tmp_path)).split())
    assert n_killed >= 10, "some were killed before they ended"
    assert n_left >= 10, "some had left a checkpoint"


@pytest.mark.slow
@needs_fork
def test_a_killed_fit_goes_on(tmp_path):
    script = """
        from relunet import learn, scan_array, teachers

        teacher = teachers.biased(6, 2, rng=0)
        X, y = teacher.sample(3_000, rng=1)
        y = y + 0.1 * np.random.default_rng(2).standard_normal(len(y))

        def fit(checkpoint=None):
            network, report, *_ = learn(scan_array(X, y), n_neurons=2, n_jobs=1, checkpoint=checkpoint)
            parameters = (network.weights, network.output_weights, network.biases, network.linear)
            return [values.tobytes() for values in parameters], report.risk

        start = time.perf_counter()
        whole = fit()
        seconds = time.perf_counter() - start
        for share in (0.3, 0.8):
            folder = Path(sys.argv[1]) / str(share)
            killed(lambda: fit(folder), share * seconds)
            assert fit(folder) == whole
            assert not list(folder.glob("*.sweep")), "sweeps that are finished are kept as sums alone"
        print(len(list(folder.glob("*.moments"))))
    """
    assert int(run(textwrap.dedent(KILLED) + textwrap.dedent(script), str(tmp_path))) > 3


def test_a_finished_sweep_reads_no_rows(samples, tmp_path):
    first, again = InputMoments(4), InputMoments(4)
    sweep(samples, [first], checkpoint=tmp_path / "kept")
    rows = []
    sweep(samples, [again], checkpoint=tmp_path / "kept", progress=rows.append)
    assert again.to_bytes() == first.to_bytes()
    # Sums are added to what the accumulator has seen already.
    sweep(samples, [again], checkpoint=tmp_path / "kept")
    assert again.n_rows == 6000


def test_an_interrupt_keeps_what_was_accumulated(tmp_path):
    stopped = []

    def stop(done):
        if done > 0:
            stopped.append(done)
            raise TimeoutError

    rng = np.random.default_rng(0)
    samples = relunet.scan_array(rng.standard_normal((30_000, 30)))
    network = relunet.ReLUNetwork(rng.standard_normal((16, 30)), np.ones(16))
    sums, whole = CurvatureMoments(network), CurvatureMoments(network)
    with pytest.raises(TimeoutError):
        sweep(samples, [sums], n_jobs=1, checkpoint=tmp_path / "kept", progress=stop)
    assert sums.n_rows == 0
    seen = []
    sweep(samples, [sums], n_jobs=1, checkpoint=tmp_path / "kept", progress=seen.append)
    sweep(samples, [whole])
    assert sums.to_bytes() == whole.to_bytes()
    assert all(done >= stopped[0] for done in seen if done > 0), "it began with the rows that were done"


def test_other_samples_and_accumulators_are_refused(samples, tmp_path):
    kept = tmp_path / "kept"
    sweep(samples, [InputMoments(4)], checkpoint=kept)
    rng = np.random.default_rng(1)
    others = relunet.scan_array(rng.standard_normal((3000, 4)), rng.standard_normal(3000))
    with pytest.raises(ArgumentError, match=r"checkpoint: .*kept: of a sweep over other samples"):
        sweep(others, [InputMoments(4)], checkpoint=kept)
    with pytest.raises(ArgumentError, match="of other accumulators"):
        sweep(samples, [SliceMoments(4, [0.0])], checkpoint=kept)
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(FileError, match=r"kept: not a checkpoint that can be used, damaged"):
        sweep(samples, [InputMoments(4)], checkpoint=kept)
    with pytest.raises(FileError, match="nowhere"):
        sweep(samples, [InputMoments(4)], checkpoint=tmp_path / "nowhere" / "kept")
    with pytest.raises(ArgumentError, match="every: -1"):
        sweep(samples, [InputMoments(4)], checkpoint=tmp_path / "other", every=-1)


def test_identity_is_that_of_the_rows(samples, tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((3000, 4)), rng.standard_normal(3000)
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", y)
    assert relunet.scan_npy(tmp_path / "x.npy", tmp_path / "y.npy").identity() == samples.identity()
    last = X.copy()
    last[-1, -1] += 1
    others = [(X, None), (X, y + 1), (X[:-1], y[:-1]), (last, y), (X.astype(np.float32), y), (X, y, np.ones(3000))]
    assert samples.identity() not in {relunet.scan_array(*other).identity() for other in others}


def test_damaged_files_of_a_folder_are_named(samples, tmp_path):
    CheckpointedSamples(samples, tmp_path).sweep([InputMoments(4)])
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-3] + b"abc")
    with pytest.raises(FileError, match=rf"{file.name}: .*delete it to sweep again"):
        CheckpointedSamples(samples, tmp_path).sweep([InputMoments(4)])


def test_only_missing_sums_are_swept(samples, tmp_path):
    kept = CheckpointedSamples(samples, tmp_path)
    slices = SliceMoments(4, [0.0])
    assert kept.sweep([InputMoments(4)]) == 3000
    assert kept.sweep([InputMoments(4), slices]) == 3000
    assert kept.sweep([InputMoments(4)]) == 0
    assert len(list(tmp_path.iterdir())) == 2
    alone = SliceMoments(4, [0.0])
    sweep(samples, [alone])
    assert slices.to_bytes() == alone.to_bytes()


@pytest.mark.parametrize("rows", [slice(100, 110), slice(199, 200)])
def test_a_checkpoint_of_other_labels_is_not_used(tmp_path, rows):
    """Whichever rows have changed since: the fit is that of a fresh folder."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 2))
    y = np.abs(X[:, 0]) + 1
    spoilt = y.copy()
    spoilt[rows] = 50.0

    def fit(labels, folder):
        return relunet.learn(relunet.scan_array(X, labels), n_neurons=1, checkpoint=folder, n_jobs=1)

    for first, second in ((y, spoilt), (spoilt, y)):
        folder = tmp_path / str(first is y)
        fit(first, folder)
        again, fresh = fit(second, folder), fit(second, None)
        assert again.report.status == fresh.report.status
        assert again.network.predict(X).tobytes() == fresh.network.predict(X).tobytes()


@pytest.mark.slow
def test_two_processes_with_one_folder_both_end_right(tmp_path):
    script = """
        import sys, numpy as np
        from relunet import learn, scan_array
        rng = np.random.default_rng(3)
        X = rng.standard_normal((4_000, 4))
        y = np.maximum(X @ rng.standard_normal((4, 2)) + 0.2, 0) @ [1.0, -1.0] + 0.1 * rng.standard_normal(4_000)
        fitted = learn(scan_array(X, y), n_neurons=2, checkpoint=sys.argv[1] or None, n_jobs=1)
        print(fitted.report.status, fitted.network.predict(X).tobytes()[:800].hex())
    """
    commands = [
        [sys.executable, "-c", textwrap.dedent(script), folder] for folder in (str(tmp_path), str(tmp_path), "")
    ]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for command in commands
    ]
    done = [process.communicate(timeout=300) for process in started]
    assert not any(process.returncode for process in started), done
    assert len({out for out, _ in done}) == 1

"""Sweeps: the same bits from every source and for any number of threads, and no effect after an interrupt."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from relunet import scan_array, scan_npy
from relunet._relunet import sweep
from support.kinds import KINDS, data


class TestSameBits:
    @pytest.mark.slow
    def test_threads_sources_and_layouts(self, tmp_path):
        n, d = 7001, 63  # four blocks
        X, y, w = data(n, d)
        paths = [tmp_path / f"{name}.npy" for name in ("x", "y", "w", "fortran", "table")]
        for path, array in zip(paths, [X, y, w, np.asfortranarray(X), np.column_stack([w, X, y])], strict=True):
            np.save(path, array)
        room = np.zeros((2 * n, d + 5))
        room[::2, 5:] = X
        samples = [
            scan_array(X, y, w),
            scan_array(np.asfortranarray(X), y, w),
            scan_array(room[::2, 5:], y, w),
            scan_npy(paths[0], paths[1], weight=paths[2]),
            scan_npy(paths[3], paths[1], weight=paths[2]),
            scan_npy(paths[4], target=-1, weight=0),
        ]
        expected = self.bits(samples[0], 1)
        alone = KINDS["gradient"](d)
        sweep(samples[0].source, [alone])
        assert alone.to_bytes() in expected, "accumulators do not see each other"
        alone = KINDS["gradient"](d)
        alone.update(X, y, w)
        assert alone.to_bytes() in expected, "an update is a sweep"
        for each, threads in itertools.product(samples, [1, 2, 3, None]):
            assert self.bits(each, threads) == expected, (each, threads)

    def bits(self, samples, n_threads):
        accumulators = [make(samples.n_columns) for make in KINDS.values()]
        sweep(samples.source, accumulators, n_threads=n_threads)
        return [accumulator.to_bytes() for accumulator in accumulators]

    @pytest.mark.slow
    def test_thread_variables(self):
        script = textwrap.dedent("""
            import hashlib
            import sys
            sys.path.insert(0, sys.argv[1])
            from support.kinds import KINDS, data
            digest = hashlib.sha256()
            X, y, w = data(5000, 40)
            for make in KINDS.values():
                accumulator = make(40)
                accumulator.update(X, y, w)
                digest.update(accumulator.to_bytes())
            print(digest.hexdigest())
        """)
        digests = set()
        for threads in "123":
            variables = dict.fromkeys(["RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"], threads)
            command = [sys.executable, "-c", script, str(Path(__file__).parents[1])]
            result = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=True)
            digests.add(result.stdout)
        assert len(digests) == 1


class TestInterruption:
    """A sweep over more rows than any machine can process, in an array that takes no memory."""

    ROWS = 10**13

    def endless(self):
        X, y = np.broadcast_to(1.0, (self.ROWS, 3)), np.broadcast_to(1.0, self.ROWS)
        return scan_array(X, y)

    def test_by_an_exception_of_the_progress_callback(self):
        class EnoughError(Exception):
            pass

        told = []

        def progress(rows):
            told.append(rows)
            if len(told) == 2:
                raise EnoughError

        accumulators = [make(3) for kind, make in KINDS.items() if not kind.endswith("rows")]
        for accumulator in accumulators:
            accumulator.update(*data(9, 3))
        before = [accumulator.to_bytes() for accumulator in accumulators]
        with pytest.raises(EnoughError):
            sweep(self.endless().source, accumulators, progress=progress)
        assert [accumulator.to_bytes() for accumulator in accumulators] == before
        assert told == sorted(told)
        assert 0 < told[-1] < self.ROWS

    @pytest.mark.skipif(os.name == "nt", reason="no SIGINT for other processes")
    @pytest.mark.parametrize("call", ["sweep(samples.source, [moments], progress=tell)", "moments.update(X, y)"])
    def test_by_the_keyboard(self, call):
        script = textwrap.dedent(f"""
            import numpy as np
            from relunet import scan_array
            from relunet._relunet import sweep
            from relunet.moments import InputMoments
            def tell(rows):
                print("ready", flush=True)
            X, y = np.broadcast_to(1.0, ({self.ROWS}, 3)), np.broadcast_to(1.0, {self.ROWS})
            samples, moments = scan_array(X, y), InputMoments(3)
            moments.update([[1.0, 2.0, 3.0]])
            before = moments.to_bytes()
            try:
                tell(0)
                {call}
            except KeyboardInterrupt:
                print("interrupted", moments.to_bytes() == before, flush=True)
                moments.update([[1.0, 2.0, 3.0]])
                print(moments.n_rows, flush=True)
        """)
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
            try:
                assert child.stdout is not None
                assert child.stdout.readline() == "ready\n"
                if "progress" in call:
                    assert child.stdout.readline() == "ready\n", "told from within the sweep"
                child.send_signal(signal.SIGINT)
                output, _ = child.communicate(timeout=60)
            finally:
                child.kill()
        assert output.replace("ready\n", "").splitlines() == ["interrupted True", "2"]

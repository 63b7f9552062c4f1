"""Keyboard interrupts: they end a search like a sweep, and the interpreter remains usable."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no SIGINT for other processes")


def test_search_is_interrupted():
    script = textwrap.dedent("""
        import numpy as np
        from relunet.fitting.stages.discovery import find_neurons
        z = np.random.default_rng(0).standard_normal((40_000, 16))
        y = np.sin(3 * z[:, 0]) * z[:, 1] + np.cos(2 * z[:, 2] * z[:, 3])
        try:
            print("ready", flush=True)
            find_neurons(z, y, 64, budget=10**18)
            print("finished", flush=True)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        print(len(find_neurons(z[:2000, :2], np.abs(z[:2000, 0]), 1)), flush=True)
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            child.send_signal(signal.SIGINT)
            output, _ = child.communicate(timeout=60)
        finally:
            child.kill()
    assert output.splitlines() == ["interrupted", "2"]

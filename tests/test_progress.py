"""The progress line: its contents, and when it is hidden."""

from __future__ import annotations

import io
import sys
import time
import types

import numpy as np

import relunet
from relunet import progress
from relunet.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_silent_for_a_second_then_drawn_and_cleared():
    terminal, clock = Terminal(), Clock()
    with ProgressLine(terminal, clock=clock) as line:
        line("polish", 0, 100)
        clock.now = 0.9
        line("polish", 20, 100)
        assert terminal.getvalue() == ""
        clock.now = 2.0
        line("polish", 50, 100)
        assert "polish       [############............]  50% of 100 rows, 2 s left" in terminal.getvalue()
        drawn = terminal.getvalue()
        clock.now = 2.05
        line("polish", 51, 100)
        assert terminal.getvalue() == drawn, "no more than ten drawings a second"
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_next_task_starts_its_own_clock():
    terminal, clock = Terminal(), Clock()
    line = ProgressLine(terminal, clock=clock)
    line("inputs", 1, 2)
    clock.now = 10.0
    line("polish", 1, 4)
    clock.now = 11.0
    line("polish", 2, 4)
    assert terminal.getvalue().endswith("2 s left")
    clock.now = 12.0
    line("polish", 4, 4)
    assert "100% of 4 rows, 0 s left" in terminal.getvalue()


def test_nothing_to_do_is_done():
    terminal, clock = Terminal(), Clock()
    line = ProgressLine(terminal, clock=clock)
    clock.now = 5.0
    line("empty", 0, 0)
    assert "100%" in terminal.getvalue()


def test_silent_where_nobody_looks():
    stream, clock = io.StringIO(), Clock()
    with ProgressLine(stream, clock=clock) as line:
        clock.now = 5.0
        line("polish", 1, 2)
    assert stream.getvalue() == ""


def test_rate_and_time_left_are_of_the_rows_read_now():
    terminal, clock = Terminal(), Clock()
    line = ProgressLine(terminal, row_bytes=1000, clock=clock)
    line("inputs", 400_000, 1_000_000)  # these were done before, by a checkpoint
    clock.now = 2.0
    line("inputs", 500_000, 1_000_000)
    assert "50% of 1,000,000 rows, 50 MB/s, 10 s left" in terminal.getvalue()
    clock.now = 5_002.0
    line("inputs", 500_100, 1_000_000_000)
    assert terminal.getvalue().endswith("20 kB/s, 13873 h 37 min left")


def test_closed_it_can_be_drawn_again():
    terminal, clock = Terminal(), Clock()
    line = ProgressLine(terminal, clock=clock)
    clock.now = 2.0
    line("polish", 1, 2)
    line.close()
    line.close()
    assert terminal.getvalue().count("\r\x1b[K") == 2
    clock.now = 3.0
    line("polish", 2, 2)
    assert terminal.getvalue().endswith("0 s left")


def test_drawn_below_the_cell_of_a_notebook(monkeypatch):
    shown = []

    class Handle:
        def update(self, line):
            shown.append(("update", line))

    def display(line, *, display_id):
        assert display_id
        shown.append(("display", line))
        return Handle()

    shell = types.SimpleNamespace(kernel=object())
    package = types.ModuleType("IPython")
    package.get_ipython = lambda: shell
    module = types.ModuleType("IPython.display")
    module.Pretty, module.display = str, display
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    clock = Clock()
    with ProgressLine(clock=clock) as line:
        for clock.now, done in (2.0, 1), (3.0, 2):
            line("polish", done, 4)
    assert [(how, text[:6]) for how, text in shown] == [("display", "polish"), ("update", "polish"), ("update", "")]
    del shell.kernel  # a plain IPython is a terminal
    assert progress._notebook_cell() is None


def test_a_fit_shows_its_sweeps_only_if_told_to(monkeypatch):
    drawn = []
    monkeypatch.setattr(ProgressLine, "__call__", lambda self, task, done, total: drawn.append((task, total)))
    X = np.random.default_rng(0).standard_normal((1000, 3))

    def batches():
        for part in np.split(X, 10):
            # All of them take longer than progress is told of.
            time.sleep(0.03)
            yield part, part[:, 0]

    samples = relunet.scan_batches(batches)
    relunet.learn(samples, n_jobs=1)
    assert drawn == []
    relunet.learn(samples, n_jobs=1, verbose=1)
    assert ("inputs", 1000) in drawn

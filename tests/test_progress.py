"""The progress line: what it draws and when it is silent."""

from __future__ import annotations

import io

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
    assert terminal.getvalue().endswith("1 s left")
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

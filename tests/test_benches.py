"""Benchmarks: every script documents its command line, and tables in documents are replaced completely or not."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

BENCHES = Path(__file__).resolve().parent.parent / "benches"
# What others import, and no command.
SCRIPTS = sorted(path for path in BENCHES.rglob("*.py") if path.name != "rivals.py")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_has_help(path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {path.name}")


@pytest.fixture(scope="module")
def figures():
    return runpy.run_path(str(BENCHES / "figures.py"))


class TestFigures:
    HEAD, OTHER = "| a | b |\n|---|---|\n", "| c |\n|---|\n"
    TEXT = (
        f"# One\n\n    python benches/x.py --n 1\n\n{HEAD}| 1 | 2 |\n\nText.\n\n{OTHER}| 3 |\n\n"
        f"# Two\n\n{HEAD}| 4 | 5 |\n"
    )

    def test_tables_under_a_command_are_replaced(self, figures):
        printed = f"{self.OTHER}| 30 |\n| 31 |\nseconds\n\n{self.HEAD}| 10 | 20 |\n"
        expected = self.TEXT.replace("| 1 | 2 |", "| 10 | 20 |").replace("| 3 |", "| 30 |\n| 31 |")
        assert figures["with_tables"](self.TEXT, "benches/x.py --n 1", printed) == expected
        assert figures["with_tables"](self.TEXT, "benches/x.py", printed) == self.TEXT, "another command"

    @pytest.mark.parametrize("printed", ["", HEAD + "| 10 | 20 |\n", HEAD + "| 10 | 20 |\n" + OTHER])
    def test_a_table_without_rows_is_refused(self, figures, printed):
        with pytest.raises(ValueError, match=r"printed no rows of the table \| (a|c) \|"):
            figures["with_tables"](self.TEXT, "benches/x.py --n 1", printed)

    @pytest.mark.parametrize("status", [0, 1])
    def test_a_command_that_fails_changes_nothing(self, figures, tmp_path, monkeypatch, status):
        monkeypatch.chdir(tmp_path)
        document, script = Path("x.md"), Path("benches/x.py")
        document.write_text(self.TEXT)
        script.parent.mkdir()
        printed = f"{self.HEAD}| 10 | 20 |\n\n{self.OTHER}| 30 |"
        script.write_text(f"import sys\nprint({printed!r})\nsys.exit({status})\n")
        assert figures["redraw"]([document], "benches/x.py --n 1") is (status == 0)
        assert (document.read_text() == self.TEXT) is (status == 1)

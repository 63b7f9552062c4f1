"""The README: its code runs, its commands parse and its links are valid."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest

from relunet import cli

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
COMMANDS = re.findall(r"^\$ relunet (.*)$", TEXT, flags=re.MULTILINE)


@pytest.mark.slow
def test_code_and_commands_do_what_they_say(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert (len(CODE), len(COMMANDS)) == (2, 3)
    space = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(CODE[0], space)
    assert space["model"].network_.n_neurons == 3
    assert np.abs(space["model"].predict(space["X"]) - space["y"]).max() < 1e-9
    assert printed.getvalue().startswith("exact: ")

    np.save("x.npy", space["X"])
    np.save("y.npy", space["y"])
    np.save("new_x.npy", space["X"][:100])
    exec(CODE[1], {})
    for command in COMMANDS:
        assert cli.main(command.split()) == 0
    assert np.abs(np.load("new_y.npy") - space["y"][:100]).max() < 1e-9


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)(.*?)\)", TEXT))
def test_links_lead_somewhere(target):
    assert (ROOT / target).is_file()


def test_make_targets_exist():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert set(re.findall(r"^\$ make (\w+)", TEXT, flags=re.MULTILINE)) <= set(targets)

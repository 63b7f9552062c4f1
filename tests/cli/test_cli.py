"""The command line, called in this process and in a separate process."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import relunet
from relunet import cli
from relunet.cli import commands, options

WEIGHTS = np.array([[1.0, 0.0, -2.0], [0.0, 1.0, 1.0]])


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Make x.npy, y.npy and a folder to work in."""
    monkeypatch.chdir(tmp_path)
    X = np.random.default_rng(0).standard_normal((3000, 3))
    y = np.maximum(X @ WEIGHTS[0], 0) - 2 * np.maximum(X @ WEIGHTS[1], 0)
    np.save("x.npy", X)
    np.save("y.npy", y)
    return X, y


def test_fit_inspect_predict(files, capsys):
    X, y = files
    options = "--x x.npy --y y.npy -k 2 --no-bias -o net.safetensors --report report.json --picture fit.png"
    assert cli.main(["fit", *options.split()]) == 0
    printed = capsys.readouterr()
    assert "exact: the labels are this network" in printed.out
    assert "ReLUNetwork: 2 neurons, 3 features" in printed.out
    assert printed.err == ""
    with open("report.json") as file:
        report = json.load(file)
    assert (report["status"], report["n_rows"], report["n_neurons"]) == ("exact", 3000, 2)
    with open("fit.png", "rb") as file:
        assert file.read(4) == b"\x89PNG"

    assert cli.main(["inspect", "net.safetensors"]) == 0
    assert capsys.readouterr().out in printed.out

    assert cli.main(["predict", "net.safetensors", "x.npy", "predicted.npy"]) == 0
    predicted = np.load("predicted.npy")
    assert predicted.dtype == np.float64
    assert predicted.tobytes() == relunet.ReLUNetwork.load("net.safetensors").predict(X).tobytes()
    assert np.abs(predicted - y).max() < 1e-9


@pytest.mark.parametrize(("column", "target"), [(3, "3"), (3, "-1"), (0, "0")])
def test_labels_in_a_column(files, capsys, column, target):
    X, y = files
    np.save("both.npy", np.insert(X, column, y, axis=1))
    assert (
        cli.main(["fit", "--x", "both.npy", f"--target={target}", "-k", "2", "--no-bias", "-o", "a.safetensors"]) == 0
    )
    assert cli.main(["fit", "--x", "x.npy", "--y", "y.npy", "-k", "2", "--no-bias", "-o", "b.safetensors"]) == 0
    assert relunet.ReLUNetwork.load("a.safetensors") == relunet.ReLUNetwork.load("b.safetensors")


def test_options_reach_the_learner(files, monkeypatch):
    seen = {}

    def learn_with(loss, samples, n_neurons, **options):
        seen.update(options, loss=loss, n_neurons=n_neurons)
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "learn_with", learn_with)
    options = ["-q", "-k", "3", "--max-neurons", "9", "--no-bias", "--linear", "yes", "--seed", "7", "--jobs", "2"]
    options += ["--checkpoint", "kept", "--loss", "huber"]
    assert cli.main(["fit", "--x", "x.npy", "--y", "y.npy", *options]) == 130
    assert seen == {
        "loss": "huber",
        "n_neurons": 3,
        "max_neurons": 9,
        "fit_bias": False,
        "fit_linear": True,
        "random_state": 7,
        "n_jobs": 2,
        "progress": None,
        "checkpoint": "kept",
    }


@pytest.mark.slow
def test_demo(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = "--size 4MB --features 5 --directory . --picture demo.png"
    assert cli.main(["demo", *options.split()]) == 0
    printed = capsys.readouterr().out
    assert "83,334 rows of 5 Gaussian features" in printed
    assert "exact: the labels are this network" in printed
    distance = float(printed.split("Distance of the two networks, relative:")[1].split()[0])
    assert distance < 1e-9
    assert "peak memory" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["demo.png"], "the samples are gone"


@pytest.mark.slow
def test_demo_keeps_samples_on_demand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = "--size 1MB --features 5 --directory . --picture demo.png --keep"
    assert cli.main(["demo", *options.split()]) == 0
    (folder,) = tmp_path.glob("relunet-demo-*")
    X, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
    assert X.shape == (len(y), 5)
    assert X.nbytes + y.nbytes >= 1_000_000


def test_demo_without_room_says_so(tmp_path, capsys):
    assert cli.main(["demo", "--size", "900TB", "--directory", str(tmp_path)]) == 2
    assert "needed: see --directory and --size" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_inspect_arrays(files, capsys):
    np.save("f.npy", np.asfortranarray(np.zeros((4, 6), dtype=np.float32)))
    for path, text in (
        ("x.npy", "3,000 x 3 values of float64, row by row, 72 kB\n"),
        ("y.npy", "3,000 values of float64, row by row, 24 kB\n"),
        ("f.npy", "4 x 6 values of float32, column by column, 96 bytes\n"),
    ):
        assert cli.main(["inspect", path]) == 0
        assert capsys.readouterr().out == text


@pytest.fixture
def broken(files):
    with open("x.npy", "rb") as file:
        content = file.read()
    with open("short.npy", "wb") as file:
        file.write(content[:-1000])
    with open("junk.npy", "wb") as file:
        file.write(b"not an array at all")
    with open("junk.safetensors", "wb") as file:
        file.write(b"not a network at all")
    np.save("four.npy", np.zeros((10, 4)))
    np.save("nan.npy", np.full((10, 3), np.nan))
    relunet.ReLUNetwork(WEIGHTS, [1.0, -2.0]).save("net.safetensors")


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("inspect missing.npy", "missing.npy"),
        ("inspect junk.npy", "junk.npy"),
        ("inspect short.npy", "short.npy"),
        ("inspect missing.safetensors", "missing.safetensors"),
        ("inspect junk.safetensors", "junk.safetensors"),
        ("fit --x missing.npy --y y.npy", "missing.npy"),
        ("fit --x junk.npy --y y.npy", "junk.npy"),
        ("fit --x short.npy --y y.npy", "short.npy"),
        ("fit --x x.npy --y four.npy", "four.npy"),
        ("fit --x x.npy --y y.npy -k 0", "n_neurons"),
        ("fit --x x.npy --target 3", "target"),
        ("predict missing.safetensors x.npy out.npy", "missing.safetensors"),
        ("predict net.safetensors missing.npy out.npy", "missing.npy"),
        ("predict net.safetensors four.npy out.npy", "4"),
        ("predict net.safetensors nan.npy out.npy", "row 0"),
        ("predict net.safetensors x.npy nowhere/out.npy", "nowhere"),
    ],
)
def test_one_line_says_what_is_wrong(broken, capsys, tmp_path, command, named):
    before = sorted(tmp_path.iterdir())
    assert cli.main(command.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"relunet {command.split()[0]}: ")
    assert error.count("\n") == 1
    assert named in error
    assert sorted(tmp_path.iterdir()) == before, "nothing half-written is left"


def test_predictions_replace_a_file_only_when_whole(broken):
    with open("out.npy", "wb") as file:
        file.write(b"as it was")
    assert cli.main(["predict", "net.safetensors", "nan.npy", "out.npy"]) == 2
    with open("out.npy", "rb") as file:
        assert file.read() == b"as it was"
    assert cli.main(["predict", "net.safetensors", "x.npy", "out.npy"]) == 0
    assert np.load("out.npy").shape == (3000,)


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500_000_000), ("2GiB", 2**31), ("1.5kB", 1500), ("100", 100), (" 1 TB ", 10**12)]
)
def test_sizes(text, size):
    assert options.size(text) == size


@pytest.mark.parametrize(
    "option", ["--size=0", "--size=2XB", "--size=GB", "--features=3", "--features=4.5", "--jobs=-1"]
)
def test_arguments_that_are_none(option, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["demo", option])
    assert exit_.value.code == 2
    assert option.split("=")[1] in capsys.readouterr().err


def test_as_a_process(files):
    run = [sys.executable, "-m", "relunet"]
    done = subprocess.run([*run, "inspect", "x.npy"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("3,000 x 3 values")
    done = subprocess.run([*run, "inspect", "nothing.npy"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr

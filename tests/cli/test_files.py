"""Files of the command line: inputs by name, checks before work begins, and outputs."""

from __future__ import annotations

import numpy as np
import pandas
import pytest

import relunet
from relunet import cli
from relunet.cli import commands

NAMES = ["heat", "flow", "age"]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Make a table in several formats, a network of its columns, and a folder to work in."""
    monkeypatch.chdir(tmp_path)
    X = np.random.default_rng(0).standard_normal((900, 3))
    network = relunet.ReLUNetwork(
        [[1.0, 0.0, -2.0], [0.0, 1.0, 1.0]], [1.0, -2.0], biases=[0.5, 0.0], feature_names=NAMES
    )
    frame = pandas.DataFrame(X, columns=NAMES)
    frame.assign(y=network.predict(X)).to_csv("t.csv", index=False)
    frame.to_csv("x.csv", index=False)
    frame.to_parquet("x.parquet")
    np.save("x.npy", X)
    network.save("net.safetensors")
    return frame, network


def test_features_have_their_names_in_what_is_printed(table, capsys):
    assert cli.main(["fit", "-q", "t.csv", "--target", "y", "-k", "2", "-o", "found.safetensors"]) == 0
    printed = capsys.readouterr().out
    assert "heat" in printed
    assert "flow" in printed
    assert relunet.ReLUNetwork.load("found.safetensors").feature_names == tuple(NAMES)
    assert cli.main(["inspect", "found.safetensors"]) == 0
    assert "age" in capsys.readouterr().out


@pytest.mark.parametrize("columns", [["age", "flow", "heat"], ["y", "flow", "age", "extra", "heat"]])
def test_columns_are_matched_by_name(table, columns):
    frame, network = table
    frame.assign(y=7.0, extra=8.0)[columns].to_csv("new.csv", index=False)
    assert cli.main(["predict", "-q", "net.safetensors", "new.csv", "p.npy"]) == 0
    assert np.load("p.npy").tobytes() == network.predict(pandas.read_csv("new.csv")[NAMES].to_numpy()).tobytes()


def test_columns_that_are_missing_are_named(table, capsys):
    frame, _ = table
    frame.rename(columns={"heat": "cold"}).to_csv("new.csv", index=False)
    assert cli.main(["predict", "-q", "net.safetensors", "new.csv", "p.npy"]) == 2
    assert "heat" in capsys.readouterr().err
    assert cli.main(["predict", "-q", "net.safetensors", "new.csv", "p.npy", "--columns", "cold,flow,age"]) == 0


def test_arrays_are_taken_in_order_with_a_warning_of_one_line(table, capsys):
    assert cli.main(["predict", "-q", "net.safetensors", "x.npy", "p.npy"]) == 0
    error = capsys.readouterr().err
    assert error.startswith("relunet predict: warning: arrays have no names")
    assert error.count("\n") == 1


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".parquet"])
def test_predictions_in_the_format_of_their_suffix(table, suffix):
    _, network = table
    assert cli.main(["predict", "-q", "net.safetensors", "x.csv", "x.parquet", f"p{suffix}", "--format", "csv"]) == 2
    assert cli.main(["predict", "-q", "net.safetensors", "x.csv", "x.csv", f"p{suffix}"]) == 0
    read = {".npy": np.load, ".csv": pandas.read_csv, ".parquet": pandas.read_parquet}[suffix]
    found = read(f"p{suffix}")
    values = found if suffix == ".npy" else found["prediction"].to_numpy()
    expected = network.predict(pandas.read_csv("x.csv").to_numpy())
    assert np.array_equal(values, np.concatenate([expected, expected]))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("-o nowhere/n.safetensors", "nowhere"),
        ("-o .", "is a folder"),
        ("-o n.bin", "has the suffix .bin, expected .safetensors"),
        ("--report nowhere/r.json", "nowhere"),
        ("--report r.txt", "expected .json"),
        ("--picture fit.bmp", "bmp"),
        ("-o /dev/null", "suffix"),
        ("--report same.json --picture same.json", "expected .png"),
    ],
)
def test_outputs_are_checked_before_the_fit(table, monkeypatch, capsys, options, named):
    monkeypatch.setattr(commands, "learn_with", None)  # calling it would be an unexpected error
    assert cli.main(["fit", "t.csv", "--target", "y", *options.split()]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        "predict net.safetensors x.npy x.npy",
        "predict net.safetensors x.csv ./x.csv",
        "predict net.safetensors *.csv x.csv",
        "predict net.safetensors link.npy x.npy",
    ],
)
def test_inputs_are_never_overwritten(table, tmp_path, capsys, command):
    (tmp_path / "link.npy").symlink_to("x.npy")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert cli.main(command.split()) == 2
    assert "is an input" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_prediction_inside_a_folder_that_is_read_is_refused(table, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "x.csv").rename(tmp_path / "data" / "x.csv")
    assert cli.main(["predict", "-q", "net.safetensors", "data", "data/p.csv"]) == 2
    assert "is an input" in capsys.readouterr().err
    assert cli.main(["predict", "-q", "net.safetensors", "data", "p.csv"]) == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("fit t.txt --target y", "the suffix .txt does not tell the format"),
        ("fit nothing --target y", "a name without suffix"),
        ("fit x.csv x.parquet --target age", "different formats (csv, parquet)"),
        ("fit x.parquet --target age --delimiter ;", "only CSV files have it"),
        ("fit x.npy --target age", "because the columns of .npy files have no names"),
        ("fit --target y", "expected SAMPLES or --x"),
        ("fit t.csv --x x.npy --target y", "expected SAMPLES or --x"),
        ("predict net.safetensors x.csv p.txt", "expected .npy or .csv or .parquet"),
        ("predict net.safetensors x.npy p.npy --columns 0,1", "the network has 3 features (heat, flow, age)"),
        ("export net.safetensors net.pt", "expected .onnx"),
    ],
)
def test_errors_say_what_to_try(table, capsys, arguments, named):
    assert cli.main(["-q" if word == "!" else word for word in arguments.split()]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert named in error


@pytest.mark.parametrize(
    "arguments",
    [
        "fit t.csv --target y --seed -1",
        "fit t.csv --target y --seed 99999999999999999999999999",
        "fit t.csv --target y --jobs 0",
        "fit t.csv --target y --delimiter ab",
        "fit t.csv --target y --columns ,",
        "demo --size 9e999GB",
        "plan --rows 1e999 --columns 3 -k 2",
        "plan --rows 1e300 --columns 3 -k 2",
        "plan --rows 5 --columns 3 -k 2 --deadline 0s",
    ],
)
def test_arguments_that_cannot_be_parsed(table, capsys, arguments):
    with pytest.raises(SystemExit) as exit_:
        cli.main(arguments.split())
    assert exit_.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_delimiters_names_and_several_files(table, capsys):
    frame = pandas.read_csv("t.csv")
    frame.to_csv("s.csv", index=False, sep=";")
    frame.to_csv("h.csv", index=False, header=False)
    frame[:400].to_csv("1.csv", index=False)
    frame[400:].to_csv("2.csv", index=False)
    reports = []
    for arguments in (
        "t.csv",
        "s.csv --delimiter ;",
        "h.csv --names heat,flow,age,y",
        "1.csv 2.csv",
    ):
        assert cli.main(["fit", "-q", *arguments.split(), "--target", "y", "-k", "2", "-o", "n.safetensors"]) == 0
        reports.append(relunet.ReLUNetwork.load("n.safetensors"))
    assert all(network == reports[0] for network in reports)


def test_version(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"relunet {relunet.__version__}\n"


def test_an_unexpected_error_has_no_traceback(table, monkeypatch, capsys):
    def broken(*_, **__):
        raise ZeroDivisionError("of a kind")

    monkeypatch.setattr(commands, "learn_with", broken)
    assert cli.main(["fit", "t.csv", "--target", "y"]) == 1
    assert capsys.readouterr().err == (
        "relunet fit: unexpected ZeroDivisionError: of a kind: please report it with the arguments\n"
    )

"""The commands of the command line: fit, predict, inspect, export and plan."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from relunet.atomic import replacing
from relunet.cli.inputs import InputFiles
from relunet.cli.options import column
from relunet.cli.outputs import PICTURES, PREDICTIONS, check_outputs, require, write_predictions
from relunet.distillation import distill as distilled
from relunet.distillation import open_onnx
from relunet.errors import ArgumentError, FileError, warn
from relunet.fitting.learn import FitResult
from relunet.fitting.robust import Loss, learn_with
from relunet.moments import InputMoments
from relunet.network import ReLUNetwork
from relunet.plan import METHODS
from relunet.progress import ProgressLine, as_bytes, row_bytes
from relunet.samples import Samples

__all__ = ["distill", "draw", "export", "fit", "inspect", "learn_with_progress", "norm", "plan", "predict"]


def fit(arguments: argparse.Namespace) -> None:
    """Fit a network to the samples in files."""
    if bool(arguments.x) == bool(arguments.samples):
        raise ArgumentError("expected SAMPLES or --x, one of them: name the files to read once")
    inputs = InputFiles(
        paths=arguments.x or arguments.samples,
        labels=arguments.y or (),
        target=arguments.target or (),
        columns=_columns(arguments.columns),
        weight=arguments.weight,
        format=arguments.format,
        delimiter=arguments.delimiter,
        names=arguments.names,
    )
    outputs = (
        ("--output", arguments.output, (".safetensors",)),
        ("--report", arguments.report, (".json",)),
        ("--picture", arguments.picture, PICTURES),
    )
    check_outputs(outputs, inputs)
    if arguments.picture:
        require("matplotlib", '"relunet[plots]"', "--picture")
    result = learn_with_progress(
        inputs.scan(),
        arguments,
        max_neurons=arguments.max_neurons,
        loss=arguments.loss,
        checkpoint=arguments.checkpoint,
        fit_bias=not arguments.no_bias,
        fit_linear={"auto": "auto", "yes": True, "no": False}[arguments.linear],
    )
    # The report comes first: what it says must not be lost if a file cannot be written after all.
    print(result.report)
    print(_table(result.network), flush=True)
    if arguments.output:
        result.network.save(arguments.output)
    if arguments.report:
        with replacing(arguments.report) as file:
            file.write(json.dumps(dataclasses.asdict(result.report), indent=2).encode() + b"\n")
    if arguments.picture:
        draw(result, arguments.picture)


def _columns(names: Sequence[str] | None) -> list[str | int] | None:
    """Return the columns that an option names, or numbers."""
    return None if names is None else [column(name) for name in names]


def learn_with_progress(
    samples: Samples, arguments: argparse.Namespace, loss: Loss = "squared", **options: Any
) -> FitResult:
    """Learn from samples with the options that `fit` and `demo` share."""
    with ProgressLine(row_bytes=row_bytes(samples)) as line:
        return learn_with(
            loss,
            samples,
            arguments.neurons,
            random_state=arguments.seed,
            n_jobs=arguments.jobs,
            progress=None if arguments.quiet else line,
            **options,
        )


def predict(arguments: argparse.Namespace) -> None:
    """Write the predictions of a saved network."""
    inputs = InputFiles(
        paths=arguments.x,
        columns=_columns(arguments.columns),
        format=arguments.format,
        delimiter=arguments.delimiter,
        names=arguments.names,
    )
    check_outputs([("y", arguments.y, PREDICTIONS)], inputs, arguments.network)
    if Path(arguments.y).suffix.lower() == ".parquet":
        require("pyarrow", "pyarrow", "a .parquet file of predictions")
    network = ReLUNetwork.load(arguments.network)
    samples = _inputs_of(network, inputs)
    with ProgressLine(row_bytes=row_bytes(samples)) as line:

        def blocks() -> Iterator[npt.NDArray[np.float64]]:
            done = 0
            for X, *_ in samples.blocks():
                yield network.predict(X)
                done += len(X)
                if not arguments.quiet:
                    line("predict", done, samples.n_rows)

        write_predictions(arguments.y, samples.n_rows, np.shape(network.intercept), blocks())


def _inputs_of(network: ReLUNetwork, inputs: InputFiles) -> Samples:
    """Return samples whose columns are the features of a network: chosen by name if both have names.

    Columns that the user names are taken as they are.
    """
    names = network.feature_names
    if inputs.columns is None and names is not None:
        if inputs.kind != "npy":
            return dataclasses.replace(inputs, columns=names).scan()
        warn(f"arrays have no names: columns are taken in the order of the features, {_shortened(names)}")
    samples = inputs.scan()
    if samples.n_columns != network.n_features:
        wanted = "" if names is None else f" ({_shortened(names)})"
        raise ArgumentError(
            f"the inputs have {samples.n_columns} columns, but the network has {network.n_features} features{wanted}: "
            "choose the columns with --columns"
        )
    return samples


def _shortened(names: Sequence[str], largest: int = 8) -> str:
    return ", ".join(names[:largest]) + (", ..." if len(names) > largest else "")


def inspect(arguments: argparse.Namespace) -> None:
    """Print the content of a saved network or an array."""
    path = arguments.path
    if path.suffix.lower() != ".npy":
        print(_table(ReLUNetwork.load(path)))
        return
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
            short = math.prod(shape) * dtype.itemsize - (os.fstat(file.fileno()).st_size - file.tell())
    except ValueError as error:
        raise FileError(
            f"{path}: not an .npy file ({error}): is it a network, with the suffix .safetensors?"
        ) from error
    size = as_bytes(math.prod(shape) * dtype.itemsize)
    order = "column by column" if fortran else "row by row"
    print(f"{' x '.join(f'{n:,}' for n in shape) or 'a single'} values of {dtype.name}, {order}, {size}")
    if short > 0:
        raise FileError(
            f"{path}: {as_bytes(short)} of the {size} that its header promises are missing: write or copy it again"
        )


def export(arguments: argparse.Namespace) -> None:
    """Write a saved network as ONNX."""
    check_outputs([("onnx", arguments.onnx, (".onnx",))], None, arguments.network)
    ReLUNetwork.load(arguments.network).to_onnx(arguments.onnx, arguments.names)


def distill(arguments: argparse.Namespace) -> None:
    """Find the narrowest network with the values of an ONNX model."""
    like = None
    if arguments.like:
        like = InputFiles(
            paths=arguments.like,
            columns=_columns(arguments.columns),
            format=arguments.format,
            delimiter=arguments.delimiter,
            names=arguments.names,
        )
    check_outputs([("--output", arguments.output, (".safetensors",))], like, arguments.model)
    onnx = open_onnx(arguments.model)
    if onnx.n_features is None:
        raise ArgumentError(f"{arguments.model}: expected an input of shape (n, d) with a known d")
    distribution: dict[str, Any] = {}
    if like is not None:
        inputs = InputMoments(onnx.n_features)
        like.scan().sweep([inputs], n_jobs=arguments.jobs)
        distribution = {"mean": inputs.mean, "cov": inputs.cov}
    with ProgressLine() as line:
        result = distilled(
            onnx,
            onnx.n_features,
            arguments.neurons,
            n_rows=arguments.rows,
            max_neurons=arguments.max_neurons,
            random_state=arguments.seed,
            n_jobs=arguments.jobs,
            progress=None if arguments.quiet else line,
            **distribution,
        )
    print(result.report)
    print(_table(result.network), flush=True)
    result.network.save(arguments.output)


def plan(arguments: argparse.Namespace) -> None:
    """Print the estimated cost of a fit."""
    found = METHODS[arguments.method](
        arguments.rows,
        arguments.columns,
        arguments.neurons,
        noisy=not arguments.clean,
        row_bytes=arguments.row_bytes,
        n_jobs=arguments.jobs,
        read_rate=arguments.read or math.inf,
        deadline=arguments.deadline,
    )
    print(found)


def _table(network: ReLUNetwork, largest: int = 4) -> str:
    """Return a network as text: its sizes, then a line for each neuron, with features by name."""
    names = network.feature_names or [f"x{i}" for i in range(network.n_features)]

    def entries(values: npt.NDArray[np.float64]) -> str:
        order = np.argsort(-np.abs(values), kind="stable")[:largest]
        return ", ".join(f"{names[i]}: {values[i]:.3g}" for i in order if values[i])

    lines = [
        repr(network).splitlines()[0],
        f"intercept {np.array2string(np.asarray(network.intercept), precision=6)}",
        *(
            f"linear part, norm {norm(linear):.4g}: {entries(linear) or 'none'}"
            for linear in np.atleast_2d(network.linear)
        ),
    ]
    if network.n_neurons:
        lines.append("neuron  output weight          bias  |weights|  largest weights")
    outputs = np.atleast_2d(network.output_weights).T
    for i, (w, c, b) in enumerate(zip(network.weights, outputs, network.biases, strict=True)):
        lines.append(f"{i:6d}  {', '.join(f'{v:13.6g}' for v in c)}  {b:12.6g}  {norm(w):9.4g}  {entries(w)}")
    return "\n".join(lines)


def norm(values: npt.NDArray[np.float64]) -> float:
    """Return the Euclidean norm."""
    return float(np.sqrt(np.sum(values**2)))


def draw(result: FitResult, path: str) -> None:
    """Draw the figure of a fit without a display."""
    import matplotlib

    from relunet import plots

    matplotlib.use("Agg")
    plots.fit_report(result, path)

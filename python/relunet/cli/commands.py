"""The commands of the command line: fit, predict, inspect, export and plan."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import math
import os
import re
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from relunet.atomic import replacing
from relunet.cli.options import column, column_number
from relunet.errors import ArgumentError, FileError
from relunet.fitting.learn import FitResult, learn
from relunet.network import ReLUNetwork
from relunet.plan import METHODS
from relunet.progress import ProgressLine, as_bytes, row_bytes
from relunet.samples import Samples, scan_csv, scan_npy, scan_parquet

__all__ = [
    "draw",
    "export",
    "fit",
    "inspect",
    "learn_with_progress",
    "norm",
    "plan",
    "predict",
    "require_matplotlib",
    "write_header",
]


def fit(arguments: argparse.Namespace) -> None:
    """Fit a network to the samples in files."""
    if arguments.picture:
        require_matplotlib()
    samples = _scan(
        arguments.samples or arguments.x,
        arguments.y,
        target=arguments.target,
        columns=arguments.columns,
        weight=arguments.weight,
    )
    result = learn_with_progress(
        samples,
        arguments,
        max_neurons=arguments.max_neurons,
        checkpoint=arguments.checkpoint,
        fit_bias=not arguments.no_bias,
        fit_linear={"auto": "auto", "yes": True, "no": False}[arguments.linear],
    )
    if arguments.output:
        result.network.save(arguments.output)
    if arguments.report:
        with replacing(arguments.report) as file:
            file.write(json.dumps(dataclasses.asdict(result.report), indent=2).encode() + b"\n")
    if arguments.picture:
        draw(result, arguments.picture)
    print(result.report)
    print(_table(result.network))


def _scan(
    path: str, y: str | None = None, *, target: str | None = None, columns: str | None = None, weight: str | None = None
) -> Samples:
    """Return the samples in files, whose kind their names tell."""
    text = columns.split(",") if columns is not None else None
    kind = Path(path).suffix.lower()
    if Path(path).is_dir():
        kinds = {found.suffix.lower() for found in Path(path).rglob("*")} & {".parquet", ".pq", ".csv"}
        if len(kinds) != 1:
            raise ArgumentError(
                f"{path}: expected a folder of .parquet or of .csv files, found {sorted(kinds) or 'none'}"
            )
        kind = kinds.pop()
    if kind in (".parquet", ".pq", ".csv", ".tsv"):
        if y is not None:
            raise ArgumentError(f"--y: labels are a column of {path}: name it by --target")
        wanted: dict[str, Any] = {"target": column(target), "weight": column(weight)}
        wanted["columns"] = None if text is None else [column(name) for name in text]
        if kind in (".csv", ".tsv"):
            return scan_csv(path, delimiter="\t" if kind == ".tsv" else ",", **wanted)
        return scan_parquet(path, **wanted)
    return scan_npy(
        path,
        y,
        target=column_number(target, "--target"),
        columns=None if text is None else [column_number(name, "--columns") for name in text],
        weight=weight if weight is None or not re.fullmatch(r"-?\d+", weight) else int(weight),
    )


def learn_with_progress(samples: Samples, arguments: argparse.Namespace, **options: Any) -> FitResult:
    """Learn from samples with the options that `fit` and `demo` share."""
    with ProgressLine(row_bytes=row_bytes(samples)) as line:
        return learn(
            samples,
            arguments.neurons,
            random_state=arguments.seed,
            n_jobs=arguments.jobs,
            progress=None if arguments.quiet else line,
            **options,
        )


def predict(arguments: argparse.Namespace) -> None:
    """Write the predictions of a saved network."""
    network = ReLUNetwork.load(arguments.network)
    samples = _scan(arguments.x, columns=arguments.columns)
    done = 0
    with ProgressLine(row_bytes=row_bytes(samples)) as line, replacing(arguments.y) as file:
        write_header(file, (samples.n_rows, *np.shape(network.intercept)), np.float64)
        for X, *_ in samples.blocks():
            file.write(network.predict(X).data)
            done += len(X)
            if not arguments.quiet:
                line("predict", done, samples.n_rows)


def inspect(arguments: argparse.Namespace) -> None:
    """Print what a saved network or an array holds."""
    if arguments.path.suffix != ".npy":
        print(_table(ReLUNetwork.load(arguments.path)))
        return
    try:
        with arguments.path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
            short = math.prod(shape) * dtype.itemsize - (os.fstat(file.fileno()).st_size - file.tell())
    except ValueError as error:
        raise FileError(f"{arguments.path}: not an .npy file: {error}") from error
    size = as_bytes(math.prod(shape) * dtype.itemsize)
    order = "column by column" if fortran else "row by row"
    print(f"{' x '.join(f'{n:,}' for n in shape) or 'a single'} values of {dtype.name}, {order}, {size}")
    if short > 0:
        raise FileError(f"{arguments.path}: {as_bytes(short)} of the {size} that its header promises are missing")


def export(arguments: argparse.Namespace) -> None:
    """Write a saved network as ONNX."""
    names = arguments.names.split(",") if arguments.names is not None else None
    ReLUNetwork.load(arguments.network).to_onnx(arguments.onnx, names)


def plan(arguments: argparse.Namespace) -> None:
    """Print what a fit takes."""
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
    """Return a network as text: its sizes, then a line a neuron."""
    intercept = np.array2string(np.asarray(network.intercept), precision=6)
    lines = [
        repr(network).splitlines()[0],
        f"intercept {intercept}, norm of the linear part {norm(network.linear):.4g}",
    ]
    if network.n_neurons:
        lines.append("neuron  output weight          bias  |weights|  largest weights")
    outputs = np.atleast_2d(network.output_weights).T
    for i, (w, c, b) in enumerate(zip(network.weights, outputs, network.biases, strict=True)):
        order = np.argsort(-np.abs(w), kind="stable")[:largest]
        shown = ", ".join(f"x{j}: {w[j]:.3g}" for j in order)
        lines.append(f"{i:6d}  {', '.join(f'{v:13.6g}' for v in c)}  {b:12.6g}  {norm(w):9.4g}  {shown}")
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


def require_matplotlib() -> None:
    """Fail before the computation rather than after it."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError('--picture needs matplotlib: pip install "relunet[plots]"')


def write_header(file: IO[bytes], shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
    """Write the header of a C-ordered .npy file."""
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})

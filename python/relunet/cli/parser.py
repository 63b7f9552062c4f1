"""The command line: learn from files, predict into files, look at and convert them, plan a fit, and a demonstration."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import math
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Self, overload

import numpy as np
import numpy.typing as npt

from relunet.atomic import replacing
from relunet.errors import ArgumentError, FileError, RelunetError
from relunet.fitting.learn import FitResult, learn
from relunet.network import ReLUNetwork
from relunet.plan import METHODS
from relunet.progress import ProgressLine, as_bytes, row_bytes
from relunet.samples import Samples, scan_csv, scan_npy, scan_parquet

__all__ = ["main"]

_BLOCK = 1 << 16


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, default None
        Arguments; None means those of the process.

    Returns
    -------
    int
        Exit status: 0 for success, 2 for arguments, data or files that cannot be used, 130 for Ctrl-C.
    """
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (RelunetError, OSError, ImportError) as error:
        print(f"relunet {arguments.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"relunet {arguments.command}: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="relunet", description="Learns narrow one-hidden-layer ReLU networks.")
    commands = parser.add_subparsers(dest="command", required=True)

    quiet = argparse.ArgumentParser(add_help=False)
    quiet.add_argument("-q", "--quiet", action="store_true", help="no progress on standard error")

    demo = commands.add_parser(
        "demo", parents=[quiet], help="write samples of a planted network to disk and find the network from them"
    )
    demo.add_argument("--size", type=_size, default="2.1GB", help="size of the samples (default %(default)s)")
    demo.add_argument(
        "--features", type=_four_or_more, default=64, metavar="D", help="features, at least 4 (default %(default)s)"
    )
    demo.add_argument("--seed", type=int, default=0, help="which network and samples (default %(default)s)")
    demo.add_argument("--jobs", type=_positive, metavar="N", help="threads (default: one a core)")
    demo.add_argument("--directory", type=Path, help="where the samples go (default: the folder for temporary files)")
    demo.add_argument("--keep", action="store_true", help="leave the samples there")
    demo.add_argument("--picture", help="where to save the picture (default: relunet-demo.png, if matplotlib is there)")
    demo.set_defaults(run=_demo)

    fit = commands.add_parser("fit", parents=[quiet], help="find the network that made the samples in files")
    inputs = fit.add_mutually_exclusive_group(required=True)
    inputs.add_argument(
        "samples",
        nargs="?",
        metavar="SAMPLES",
        help="inputs and labels: .npy, .parquet or .csv, a folder of them or a pattern in quotes",
    )
    inputs.add_argument("--x", metavar="FILE", help="the same, or inputs alone, (rows, features), .npy")
    labels = fit.add_mutually_exclusive_group(required=True)
    labels.add_argument("--y", metavar="FILE", help="labels, (rows,), .npy, beside inputs in .npy")
    labels.add_argument("--target", metavar="COLUMN", help="the column that holds the labels, by name or number")
    fit.add_argument("--columns", metavar="A,B,...", help="columns that are the inputs (default: all the others)")
    fit.add_argument("--weight", metavar="COLUMN", help="weights of the rows: a column, or (rows,) in a file .npy")
    fit.add_argument("-k", "--neurons", type=int, metavar="K", help="at most so many neurons")
    fit.add_argument("--max-neurons", type=int, default=32, metavar="K", help="bound without -k (default %(default)s)")
    fit.add_argument("--no-bias", action="store_true", help="no biases and no intercept")
    fit.add_argument(
        "--linear",
        choices=["auto", "yes", "no"],
        default="auto",
        help="a linear part beside the neurons (default auto)",
    )
    fit.add_argument("--seed", type=int, default=0, help="random_state of the learner (default %(default)s)")
    fit.add_argument("--jobs", type=_positive, metavar="N", help="threads (default: one a core)")
    fit.add_argument(
        "--checkpoint",
        metavar="FOLDER",
        help="where to keep what sweeps find: the same command, killed and begun again, goes on from there",
    )
    fit.add_argument("-o", "--output", metavar="FILE", help="where to save the network, .safetensors")
    fit.add_argument("--report", type=Path, metavar="FILE", help="where to save the report, .json")
    fit.add_argument("--picture", metavar="FILE", help='where to draw the fit (needs the extra "plots")')
    fit.set_defaults(run=_fit)

    predict = commands.add_parser("predict", parents=[quiet], help="apply a saved network to inputs in files")
    predict.add_argument("network", help="network, .safetensors")
    predict.add_argument("x", help="inputs: .npy, .parquet or .csv, a folder of them or a pattern in quotes")
    predict.add_argument("--columns", metavar="A,B,...", help="columns that are the inputs (default: all)")
    predict.add_argument("y", type=Path, help="where the predictions go, .npy; written whole or not at all")
    predict.set_defaults(run=_predict)

    inspect = commands.add_parser("inspect", help="say what a saved network or a .npy file holds")
    inspect.add_argument("path", type=Path, help="network, .safetensors, or array, .npy")
    inspect.set_defaults(run=_inspect)

    export = commands.add_parser("export", help='write a saved network as ONNX (needs the extra "onnx")')
    export.add_argument("network", help="network, .safetensors")
    export.add_argument("--names", metavar="A,B,...", help="names of the inputs, to be kept in the file")
    export.add_argument("onnx", help="where it goes, .onnx; written whole or not at all")
    export.set_defaults(run=_export)

    planned = commands.add_parser("plan", help="say what a fit will take: sweeps, bytes, memory, time, machines")
    planned.add_argument("--rows", type=_count, required=True, metavar="N", help="rows, such as 1e9")
    planned.add_argument("--columns", type=_count, required=True, metavar="D", help="input columns")
    planned.add_argument("-k", "--neurons", type=_count, required=True, metavar="K", help="neurons expected")
    planned.add_argument("--clean", action="store_true", help="labels without noise")
    planned.add_argument("--row-bytes", type=_count, metavar="N", help="bytes of a row as stored (default: 8 a value)")
    planned.add_argument("--read", type=_size, metavar="SIZE", help="bytes a second that the storage delivers")
    planned.add_argument("--deadline", type=_duration, metavar="TIME", help="time it may take, such as 30s, 2h or 3d")
    planned.add_argument("--jobs", type=_positive, metavar="N", help="threads (default: one a core)")
    planned.add_argument("--method", choices=sorted(METHODS), default="default", help="learner (default %(default)s)")
    planned.set_defaults(run=_plan)
    return parser


def _fit(arguments: argparse.Namespace) -> None:
    if arguments.picture:
        _require_matplotlib()
    samples = _scan(
        arguments.samples or arguments.x,
        arguments.y,
        target=arguments.target,
        columns=arguments.columns,
        weight=arguments.weight,
    )
    result = _learn(
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
        _draw(result, arguments.picture)
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
        wanted: dict[str, Any] = {"target": _column(target), "weight": _column(weight)}
        wanted["columns"] = None if text is None else [_column(column) for column in text]
        if kind in (".csv", ".tsv"):
            return scan_csv(path, delimiter="\t" if kind == ".tsv" else ",", **wanted)
        return scan_parquet(path, **wanted)
    return scan_npy(
        path,
        y,
        target=_number(target, "--target"),
        columns=None if text is None else [_number(column, "--columns") for column in text],
        weight=weight if weight is None or not re.fullmatch(r"-?\d+", weight) else int(weight),
    )


@overload
def _column(text: None) -> None: ...
@overload
def _column(text: str) -> int | str: ...
def _column(text: str | None) -> int | str | None:
    """Parse a column: a number where the text is one, else a name."""
    return int(text) if text is not None and re.fullmatch(r"-?\d+", text) else text


@overload
def _number(text: None, option: str) -> None: ...
@overload
def _number(text: str, option: str) -> int: ...
def _number(text: str | None, option: str) -> int | None:
    """Parse a column of an array, which has no names."""
    column = _column(text) if text is not None else None
    if isinstance(column, str):
        raise ArgumentError(f"{option}: {column!r}; expected the number of a column, for those of .npy have no names")
    return column


def _learn(samples: Samples, arguments: argparse.Namespace, **options: Any) -> FitResult:
    with ProgressLine(row_bytes=row_bytes(samples)) as line:
        return learn(
            samples,
            arguments.neurons,
            random_state=arguments.seed,
            n_jobs=arguments.jobs,
            progress=None if arguments.quiet else line,
            **options,
        )


def _predict(arguments: argparse.Namespace) -> None:
    network = ReLUNetwork.load(arguments.network)
    samples = _scan(arguments.x, columns=arguments.columns)
    done = 0
    with ProgressLine(row_bytes=row_bytes(samples)) as line, replacing(arguments.y) as file:
        _write_header(file, (samples.n_rows, *np.shape(network.intercept)), np.float64)
        for X, *_ in samples.blocks():
            file.write(network.predict(X).data)
            done += len(X)
            if not arguments.quiet:
                line("predict", done, samples.n_rows)


def _inspect(arguments: argparse.Namespace) -> None:
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


def _export(arguments: argparse.Namespace) -> None:
    names = arguments.names.split(",") if arguments.names is not None else None
    ReLUNetwork.load(arguments.network).to_onnx(arguments.onnx, names)


def _plan(arguments: argparse.Namespace) -> None:
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


def _demo(arguments: argparse.Namespace) -> None:
    if arguments.picture:
        _require_matplotlib()
    arguments.neurons = None  # the learner is not told how many there are
    n_rows = math.ceil(arguments.size / (8 * (arguments.features + 1)))
    rng = np.random.Generator(np.random.PCG64(arguments.seed))
    truth = _planted(arguments.features, rng)
    with _folder(arguments.directory, arguments.keep, arguments.size) as folder:
        print(_PLANTED)
        print(
            f"Writing {n_rows:,} rows of {arguments.features} Gaussian features and their labels, "
            f"{as_bytes(arguments.size)}, under {folder}",
            flush=True,
        )
        start = time.perf_counter()
        with ProgressLine() as line:
            _write_samples(folder, truth, n_rows, rng, None if arguments.quiet else line)
        print(f"Written in {time.perf_counter() - start:.1f} s. Streaming them back, told nothing else ...", flush=True)
        start = time.perf_counter()
        with _PeakMemory() as memory:
            result = _learn(scan_npy(folder / "x.npy", folder / "y.npy"), arguments)
        seconds = time.perf_counter() - start
    print(f"\n{result.report}\n\n{_comparison(truth, result.network)}\n")
    print(f"Found in {seconds:.1f} s{memory}.")
    if arguments.picture or importlib.util.find_spec("matplotlib"):
        path = arguments.picture or "relunet-demo.png"
        _draw(result, path)
        print(f"Picture in {path}")


_PLANTED = """Planted: 8 neurons in 4 of the dimensions, made to be hard to see.
  Six lie in a plane: +1 at the corners of a triangle, -1 at those of the same triangle turned by 30 degrees. No moment
  linear in the labels below degree 6 sees any of them: not their mean, not E[y x], not E[y (x x' - 1)].
  Two, 0.1 rad apart and with output weights 2 and -2, all but cancel."""


def _planted(n_features: int, rng: np.random.Generator) -> ReLUNetwork:
    """Return the network that `_PLANTED` describes, its four dimensions in random position."""
    corners = 2 * np.pi * np.arange(3) / 3
    turned = np.concatenate([corners, corners + np.pi / 6])
    weights = np.zeros((8, 4))
    weights[:6, :2] = np.column_stack([np.cos(turned), np.sin(turned)])
    weights[6:, 2:] = [[1.0, 0.0], [math.cos(0.1), math.sin(0.1)]]
    axes = np.linalg.qr(rng.standard_normal((n_features, 4)))[0].T
    return ReLUNetwork(weights @ axes, [1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 2.0, -2.0], intercept=0.25)


def _write_samples(
    folder: Path, network: ReLUNetwork, n_rows: int, rng: np.random.Generator, line: ProgressLine | None
) -> None:
    """Write Gaussian inputs to x.npy and the network's labels to y.npy, a block at a time."""
    with (folder / "x.npy").open("wb") as inputs, (folder / "y.npy").open("wb") as labels:
        _write_header(inputs, (n_rows, network.n_features), np.float64)
        _write_header(labels, (n_rows,), np.float64)
        for start in range(0, n_rows, _BLOCK):
            X = rng.standard_normal((min(_BLOCK, n_rows - start), network.n_features))
            inputs.write(X.data)
            labels.write(network.predict(X).data)
            if line is not None:
                line("write", start + len(X), n_rows)


def _comparison(truth: ReLUNetwork, estimate: ReLUNetwork) -> str:
    """Return the planted neurons beside those found, and the distance of the two networks."""
    truth, estimate = truth.canonical(), estimate.canonical()
    lines = [
        "              output weight                        bias              weights",
        "neuron      planted           found       planted      found       off by",
    ]
    matched = truth.match(estimate).permutation
    for i, j in enumerate(matched):
        planted = f"{i:6d}  {truth.output_weights[i]:15.12f} "
        if j < 0:
            lines.append(f"{planted} {'not found':>15}")
            continue
        off = _norm(truth.weights[i] - estimate.weights[j])
        bias = round(estimate.biases[j], 9) + 0.0  # no -0.000000
        found = f"{estimate.output_weights[j]:15.12f}  {truth.biases[i]:9.6f}  {bias:9.6f}"
        lines.append(f"{planted} {found} {off:12.1e}")
    for j in sorted(set(range(estimate.n_neurons)) - set(matched.tolist())):
        lines.append(f"{'':>6}  {'none':>15}  {estimate.output_weights[j]:15.12f}")
    distance = truth.gaussian_distance(estimate) / truth.gaussian_norm()
    lines.append(f"Distance of the two networks, relative: {distance:.1e}")
    return "\n".join(lines)


def _table(network: ReLUNetwork, largest: int = 4) -> str:
    """Return a network as text: its sizes, then a line a neuron."""
    intercept = np.array2string(np.asarray(network.intercept), precision=6)
    lines = [
        repr(network).splitlines()[0],
        f"intercept {intercept}, norm of the linear part {_norm(network.linear):.4g}",
    ]
    if network.n_neurons:
        lines.append("neuron  output weight          bias  |weights|  largest weights")
    outputs = np.atleast_2d(network.output_weights).T
    for i, (w, c, b) in enumerate(zip(network.weights, outputs, network.biases, strict=True)):
        order = np.argsort(-np.abs(w), kind="stable")[:largest]
        shown = ", ".join(f"x{j}: {w[j]:.3g}" for j in order)
        lines.append(f"{i:6d}  {', '.join(f'{v:13.6g}' for v in c)}  {b:12.6g}  {_norm(w):9.4g}  {shown}")
    return "\n".join(lines)


def _norm(values: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.sum(values**2)))


def _draw(result: FitResult, path: str) -> None:
    import matplotlib

    from relunet import plots

    matplotlib.use("Agg")
    plots.fit_report(result, path)


def _require_matplotlib() -> None:
    """Fail before the computation rather than after it."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError('--picture needs matplotlib: pip install "relunet[plots]"')


def _write_header(file: IO[bytes], shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})


@contextlib.contextmanager
def _folder(directory: Path | None, keep: bool, size: int) -> Iterator[Path]:
    """Make a folder with room for `size` bytes, and delete it in the end unless it is to be kept."""
    folder = Path(tempfile.mkdtemp(prefix="relunet-demo-", dir=directory))
    try:
        free = shutil.disk_usage(folder).free
        if free < 1.05 * size:
            raise FileError(f"{folder}: {as_bytes(free)} free, {as_bytes(size)} needed: see --directory and --size")
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder)


class _PeakMemory:
    """The most memory that this process holds while the context lasts, as text; empty where the system does not tell.

    Anonymous memory is what the process has made itself; the rest are pages of files, the libraries above all.
    """

    def __init__(self) -> None:
        self._status = Path("/proc/self/status")
        self._anonymous = self._all = 0
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._done.wait(0.02):
            self._read()

    def _read(self) -> None:
        found = dict(re.findall(r"^(VmRSS|RssAnon):\s+(\d+) kB", self._status.read_text(), flags=re.MULTILINE))
        self._anonymous = max(self._anonymous, 1024 * int(found.get("RssAnon", 0)))
        self._all = max(self._all, 1024 * int(found.get("VmRSS", 0)))

    def __enter__(self) -> Self:
        if self._status.is_file():
            self._watch.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        if self._status.is_file():
            self._watch.join()
            self._read()

    def __str__(self) -> str:
        if not self._all:
            return ""
        return f"; peak memory {as_bytes(self._anonymous)}, {as_bytes(self._all)} with libraries"


def _size(text: str) -> int:
    """Parse a number of bytes such as 500MB, 2GB or 2GiB."""
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([kMGT]?)(i?)B?\s*", text)
    if match is None or float(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a size such as 500MB or 2GiB")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** " kMGT".index(match[2] or " "))


def _count(text: str) -> int:
    """Parse a positive integer, which may be written like 1e9."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not (number >= 1 and number.is_integer()):
        raise argparse.ArgumentTypeError(f"{text!r}, expected an integer of at least 1")
    return int(text) if text.isdecimal() else int(number)


def _duration(text: str) -> float:
    """Parse a time such as 30s, 10min, 2h or 3d."""
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(s|min|h|d)\s*", text)
    if match is None or float(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a time such as 30s, 10min, 2h or 3d")
    return float(match[1]) * {"s": 1, "min": 60, "h": 3600, "d": 86400}[match[2]]


def _positive(text: str, least: int = 1) -> int:
    """Parse an integer of at least `least`."""
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r}, expected an integer of at least {least}")
    return int(text)


def _four_or_more(text: str) -> int:
    return _positive(text, 4)

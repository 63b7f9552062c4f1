"""The parser of the command line and its entry point."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

from relunet.cli import commands, demo, options
from relunet.cli.inputs import FORMATS
from relunet.errors import RelunetError
from relunet.plan import METHODS

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Warnings are printed as one line each, and errors as one line that names the command, without a traceback.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments; None means those of the process.

    Returns
    -------
    int
        Exit status: 0 for success, 2 for arguments, data or files that cannot be used, 1 for anything else that fails,
        130 for Ctrl-C.
    """
    arguments = _parser().parse_args(argv)
    with warnings.catch_warnings():
        warnings.showwarning = partial(_print_warning, arguments.command)
        if not sys.warnoptions:
            warnings.simplefilter("default", UserWarning)
        try:
            arguments.run(arguments)
            sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read the output, such as head, has seen enough; the interpreter must not flush it again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except (RelunetError, OSError, ImportError) as error:
            return _failed(arguments.command, str(error), 2)
        except KeyboardInterrupt:
            return _failed(arguments.command, "interrupted", 130)
        except MemoryError:
            return _failed(arguments.command, "not enough memory: try fewer columns or fewer neurons", 1)
        except Exception as error:
            kind = type(error).__name__
            return _failed(arguments.command, f"unexpected {kind}: {error}: please report it with the arguments", 1)
    return 0


def _failed(command: str, message: str, status: int) -> int:
    _print_line(f"relunet {command}: {message}")
    return status


def _print_warning(command: str, message: Warning | str, *where: object, **options: object) -> None:
    _print_line(f"relunet {command}: warning: {message}")


def _print_line(text: str) -> None:
    """Print one line on standard error, in place of a progress line."""
    start = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(start + " ".join(text.split()), file=sys.stderr)


class _Version(argparse.Action):
    """Print the version of the package and exit; it is read only then."""

    def __call__(self, parser: argparse.ArgumentParser, *arguments: object, **options: object) -> None:
        print(f"relunet {version('relunet')}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="relunet", description="Learn narrow one-hidden-layer ReLU networks.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    subparsers = parser.add_subparsers(dest="command", required=True)

    quiet = argparse.ArgumentParser(add_help=False)
    quiet.add_argument("-q", "--quiet", action="store_true", help="no progress on standard error")
    files = argparse.ArgumentParser(add_help=False)
    files.add_argument("--format", choices=list(FORMATS), help="format of the input files (default: by their suffix)")
    files.add_argument(
        "--delimiter",
        type=options.delimiter,
        metavar="C",
        help="delimiter of CSV files, a character or tab (default ,)",
    )
    files.add_argument(
        "--names", type=options.names, metavar="A,B,...", help="names of all columns of CSV files without a header"
    )

    demonstration = subparsers.add_parser(
        "demo", parents=[quiet], help="write samples of a planted network to disk and find the network from them"
    )
    demonstration.add_argument(
        "--size", type=options.size, default="2.1GB", help="size of the samples (default %(default)s)"
    )
    demonstration.add_argument(
        "--features",
        type=options.four_or_more,
        default=64,
        metavar="D",
        help="number of features, at least 4 (default %(default)s)",
    )
    demonstration.add_argument(
        "--seed", type=options.seed, default=0, help="seed of the network and the samples (default %(default)s)"
    )
    demonstration.add_argument(
        "--jobs", type=options.positive, metavar="N", help="number of threads (default: one for each core)"
    )
    demonstration.add_argument(
        "--directory", type=Path, help="folder of the samples (default: that of temporary files)"
    )
    demonstration.add_argument("--keep", action="store_true", help="do not delete the samples")
    demonstration.add_argument(
        "--picture", help="file of the picture (default: relunet-demo.png, if matplotlib is installed)"
    )
    demonstration.set_defaults(run=demo.demo)

    fit = subparsers.add_parser("fit", parents=[quiet, files], help="find the network that made the samples in files")
    fit.add_argument(
        "samples",
        nargs="*",
        metavar="SAMPLES",
        help="files with inputs and labels: .npy, .parquet or .csv, folders of them or patterns in quotes",
    )
    fit.add_argument("--x", nargs="+", metavar="FILE", help="the same, or inputs alone, (rows, features), .npy")
    labels = fit.add_mutually_exclusive_group(required=True)
    labels.add_argument(
        "--y", nargs="+", metavar="FILE", help="labels, (rows,) or (rows, outputs), .npy, beside inputs in .npy"
    )
    labels.add_argument(
        "--target",
        action="append",
        metavar="COLUMN",
        help="column of the labels, by name or number; once for each of several outputs",
    )
    fit.add_argument(
        "--columns", type=options.names, metavar="A,B,...", help="columns of the inputs (default: all the others)"
    )
    fit.add_argument("--weight", metavar="COLUMN", help="weights of the rows: a column, or a file .npy, (rows,)")
    fit.add_argument("-k", "--neurons", type=int, metavar="K", help="largest number of neurons")
    fit.add_argument(
        "--max-neurons", type=int, default=32, metavar="K", help="largest number without -k (default %(default)s)"
    )
    fit.add_argument("--no-bias", action="store_true", help="no biases and no intercept")
    fit.add_argument(
        "--linear",
        choices=["auto", "yes", "no"],
        default="auto",
        help="a linear part beside the neurons (default %(default)s)",
    )
    fit.add_argument(
        "--loss",
        choices=["squared", "huber"],
        default="squared",
        help="loss of the residuals; huber is for labels with outliers (default %(default)s)",
    )
    fit.add_argument("--seed", type=options.seed, default=0, help="random_state of the learner (default %(default)s)")
    fit.add_argument(
        "--jobs", type=options.positive, metavar="N", help="number of threads (default: one for each core)"
    )
    fit.add_argument(
        "--checkpoint",
        metavar="FOLDER",
        help="folder for the sums of sweeps: the same command, killed and started again, continues from them",
    )
    fit.add_argument("-o", "--output", metavar="FILE", help="file of the network, .safetensors")
    fit.add_argument("--report", metavar="FILE", help="file of the report, .json")
    fit.add_argument("--picture", metavar="FILE", help='file of a picture of the fit (needs the extra "plots")')
    fit.set_defaults(run=commands.fit)

    predict = subparsers.add_parser(
        "predict", parents=[quiet, files], help="apply a saved network to inputs in files, columns matched by name"
    )
    predict.add_argument("network", help="network, .safetensors")
    predict.add_argument("x", nargs="+", help="inputs: .npy, .parquet or .csv, folders of them or patterns in quotes")
    predict.add_argument(
        "--columns",
        type=options.names,
        metavar="A,B,...",
        help="columns of the inputs, in the order of the features (default: those of the features' names, or all)",
    )
    predict.add_argument("y", help="file of the predictions, .npy, .csv or .parquet; it appears whole or not at all")
    predict.set_defaults(run=commands.predict)

    inspect = subparsers.add_parser("inspect", help="print the content of a saved network or a .npy file")
    inspect.add_argument("path", type=Path, help="network, .safetensors, or array, .npy")
    inspect.set_defaults(run=commands.inspect)

    export = subparsers.add_parser("export", help='write a saved network as ONNX (needs the extra "onnx")')
    export.add_argument("network", help="network, .safetensors")
    export.add_argument(
        "--names",
        type=options.names,
        metavar="A,B,...",
        help="names of the inputs, kept in the file (default: those of the network)",
    )
    export.add_argument("onnx", help="file of the model, .onnx; it appears whole or not at all")
    export.set_defaults(run=commands.export)

    distill = subparsers.add_parser(
        "distill",
        parents=[quiet, files],
        help='find the smallest network with the values of a model (the extra "onnx")',
    )
    distill.add_argument("model", help="model with one output, .onnx")
    distill.add_argument("-k", "--neurons", type=options.positive, metavar="K", help="largest number of neurons")
    distill.add_argument(
        "--max-neurons", type=options.positive, default=32, metavar="K", help="bound without -k (default %(default)s)"
    )
    distill.add_argument(
        "--rows", type=options.count, metavar="N", help="rows to ask the model for (default: until the fit is settled)"
    )
    distill.add_argument(
        "--like",
        nargs="+",
        metavar="FILE",
        help="files of inputs whose mean and covariance the Gaussian rows have (default: standard ones)",
    )
    distill.add_argument(
        "--columns",
        type=options.names,
        metavar="A,B,...",
        help="columns of these files that are the inputs (default: all)",
    )
    distill.add_argument("--seed", type=options.seed, default=0, help="seed of the rows (default %(default)s)")
    distill.add_argument(
        "--jobs", type=options.positive, metavar="N", help="number of threads (default: one for each core)"
    )
    distill.add_argument("-o", "--output", metavar="FILE", required=True, help="file of the network, .safetensors")
    distill.set_defaults(run=commands.distill)

    planned = subparsers.add_parser("plan", help="estimate the cost of a fit: sweeps, bytes, memory, time, machines")
    planned.add_argument("--rows", type=options.count, required=True, metavar="N", help="number of rows, such as 1e9")
    planned.add_argument("--columns", type=options.count, required=True, metavar="D", help="number of input columns")
    planned.add_argument(
        "-k", "--neurons", type=options.count, required=True, metavar="K", help="expected number of neurons"
    )
    planned.add_argument("--clean", action="store_true", help="labels without noise")
    planned.add_argument(
        "--row-bytes", type=options.count, metavar="N", help="bytes of a stored row (default: 8 for each value)"
    )
    planned.add_argument("--read", type=options.size, metavar="SIZE", help="bytes per second that the storage delivers")
    planned.add_argument(
        "--deadline", type=options.duration, metavar="TIME", help="time available, such as 30s, 2h or 3d"
    )
    planned.add_argument(
        "--jobs", type=options.positive, metavar="N", help="number of threads (default: one for each core)"
    )
    planned.add_argument("--method", choices=sorted(METHODS), default="default", help="learner (default %(default)s)")
    planned.set_defaults(run=commands.plan)
    return parser

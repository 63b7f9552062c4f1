"""The parser of the command line and its entry point."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from relunet.cli import commands, demo, options
from relunet.errors import RelunetError
from relunet.plan import METHODS

__all__ = ["main"]


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
    subparsers = parser.add_subparsers(dest="command", required=True)

    quiet = argparse.ArgumentParser(add_help=False)
    quiet.add_argument("-q", "--quiet", action="store_true", help="no progress on standard error")

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
        help="features, at least 4 (default %(default)s)",
    )
    demonstration.add_argument("--seed", type=int, default=0, help="which network and samples (default %(default)s)")
    demonstration.add_argument("--jobs", type=options.positive, metavar="N", help="threads (default: one a core)")
    demonstration.add_argument(
        "--directory", type=Path, help="where the samples go (default: the folder for temporary files)"
    )
    demonstration.add_argument("--keep", action="store_true", help="leave the samples there")
    demonstration.add_argument(
        "--picture", help="where to save the picture (default: relunet-demo.png, if matplotlib is there)"
    )
    demonstration.set_defaults(run=demo.demo)

    fit = subparsers.add_parser("fit", parents=[quiet], help="find the network that made the samples in files")
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
    fit.add_argument("--jobs", type=options.positive, metavar="N", help="threads (default: one a core)")
    fit.add_argument(
        "--checkpoint",
        metavar="FOLDER",
        help="where to keep what sweeps find: the same command, killed and begun again, goes on from there",
    )
    fit.add_argument("-o", "--output", metavar="FILE", help="where to save the network, .safetensors")
    fit.add_argument("--report", type=Path, metavar="FILE", help="where to save the report, .json")
    fit.add_argument("--picture", metavar="FILE", help='where to draw the fit (needs the extra "plots")')
    fit.set_defaults(run=commands.fit)

    predict = subparsers.add_parser("predict", parents=[quiet], help="apply a saved network to inputs in files")
    predict.add_argument("network", help="network, .safetensors")
    predict.add_argument("x", help="inputs: .npy, .parquet or .csv, a folder of them or a pattern in quotes")
    predict.add_argument("--columns", metavar="A,B,...", help="columns that are the inputs (default: all)")
    predict.add_argument("y", type=Path, help="where the predictions go, .npy; written whole or not at all")
    predict.set_defaults(run=commands.predict)

    inspect = subparsers.add_parser("inspect", help="say what a saved network or a .npy file holds")
    inspect.add_argument("path", type=Path, help="network, .safetensors, or array, .npy")
    inspect.set_defaults(run=commands.inspect)

    export = subparsers.add_parser("export", help='write a saved network as ONNX (needs the extra "onnx")')
    export.add_argument("network", help="network, .safetensors")
    export.add_argument("--names", metavar="A,B,...", help="names of the inputs, to be kept in the file")
    export.add_argument("onnx", help="where it goes, .onnx; written whole or not at all")
    export.set_defaults(run=commands.export)

    planned = subparsers.add_parser("plan", help="say what a fit will take: sweeps, bytes, memory, time, machines")
    planned.add_argument("--rows", type=options.count, required=True, metavar="N", help="rows, such as 1e9")
    planned.add_argument("--columns", type=options.count, required=True, metavar="D", help="input columns")
    planned.add_argument("-k", "--neurons", type=options.count, required=True, metavar="K", help="neurons expected")
    planned.add_argument("--clean", action="store_true", help="labels without noise")
    planned.add_argument(
        "--row-bytes", type=options.count, metavar="N", help="bytes of a row as stored (default: 8 a value)"
    )
    planned.add_argument("--read", type=options.size, metavar="SIZE", help="bytes a second that the storage delivers")
    planned.add_argument(
        "--deadline", type=options.duration, metavar="TIME", help="time it may take, such as 30s, 2h or 3d"
    )
    planned.add_argument("--jobs", type=options.positive, metavar="N", help="threads (default: one a core)")
    planned.add_argument("--method", choices=sorted(METHODS), default="default", help="learner (default %(default)s)")
    planned.set_defaults(run=commands.plan)
    return parser

"""The command `relunet demo`, which writes samples of a planted network to disk and recovers the network from them."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import math
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np

from relunet.cli.commands import draw, learn_with_progress, norm
from relunet.cli.outputs import PICTURES, check_outputs, require, write_header
from relunet.errors import FileError
from relunet.network import ReLUNetwork
from relunet.progress import ProgressLine, as_bytes
from relunet.samples import scan_npy

__all__ = ["demo"]

_BLOCK = 1 << 16


def demo(arguments: argparse.Namespace) -> None:
    """Run the demonstration."""
    check_outputs([("--picture", arguments.picture, PICTURES)], None)
    if arguments.picture:
        require("matplotlib", '"relunet[plots]"', "--picture")
    arguments.neurons = None  # the number of neurons is not passed to the learner
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
            result = learn_with_progress(scan_npy(folder / "x.npy", folder / "y.npy"), arguments)
        seconds = time.perf_counter() - start
    print(f"\n{result.report}\n\n{_comparison(truth, result.network)}\n")
    print(f"Found in {seconds:.1f} s{memory}.")
    if arguments.picture or importlib.util.find_spec("matplotlib"):
        path = arguments.picture or "relunet-demo.png"
        draw(result, path)
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
        write_header(inputs, (n_rows, network.n_features), np.float64)
        write_header(labels, (n_rows,), np.float64)
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
        off = norm(truth.weights[i] - estimate.weights[j])
        bias = round(estimate.biases[j], 9) + 0.0  # no -0.000000
        found = f"{estimate.output_weights[j]:15.12f}  {truth.biases[i]:9.6f}  {bias:9.6f}"
        lines.append(f"{planted} {found} {off:12.1e}")
    for j in sorted(set(range(estimate.n_neurons)) - set(matched.tolist())):
        lines.append(f"{'':>6}  {'none':>15}  {estimate.output_weights[j]:15.12f}")
    distance = truth.gaussian_distance(estimate) / truth.gaussian_norm()
    lines.append(f"Distance of the two networks, relative: {distance:.1e}")
    return "\n".join(lines)


@contextlib.contextmanager
def _folder(directory: Path | None, keep: bool, size: int) -> Iterator[Path]:
    """Make a folder with room for `size` bytes, and delete it at the end unless it should be kept."""
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
    """The peak memory of this process while the context lasts, as text; empty if the system does not report it.

    Anonymous memory is allocated by the process itself; the rest are pages of files, mostly of libraries.
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

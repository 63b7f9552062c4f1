"""Compare the error of the subspace for slices of the labels and for slices of the affine residual.

    python benches/slices.py [--features 30] [--rows 20000] [--seeds 5]

The script prints the sine of the largest angle between the span of the planted weights and the same number of leading
directions of the slices, as the median over seeds, which determine the network and the rows.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np

from relunet import ReLUNetwork, scan_array, teachers
from relunet.fitting.stages.inputs import Inputs, inputs_of
from relunet.fitting.stages.subspace import find_subspace, slice_edges
from relunet.moments import InputMoments, SliceMoments

# Row of the table: family and number of neurons.
CASES = {
    "generic, 4 neurons": ("generic", 4),
    "with biases and a linear part, 4 neurons": ("biased", 4),
    "fan, 2 neurons": ("fan", 2),
    "close pair, 3 neurons": ("close_pair", 3),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=30)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    print("| labels | slices of y | slices of the residual |\n|---|---|---|")
    for case, (family, k) in CASES.items():
        errors = [compare(family, k, arguments.features, arguments.rows, seed) for seed in range(arguments.seeds)]
        of_labels, of_residual = (statistics.median(column) for column in zip(*errors, strict=True))
        print(f"| {case} | {of_labels:.2f} | {of_residual:.2f} |", flush=True)


def compare(family: str, n_neurons: int, d: int, n_rows: int, seed: int) -> tuple[float, float]:
    """Return the error of the subspace without and with the affine fit subtracted first."""
    teacher = teachers.FAMILIES[family](d, n_neurons, seed)
    x, y = teacher.sample(n_rows, rng=seed + 1000)
    samples = scan_array(x, y)

    moments = InputMoments(d)
    samples.sweep([moments])
    inputs = inputs_of(moments, n_rows, fit_bias=True)
    truth = np.linalg.qr(teacher.network.weights.T)[0]

    def error(subtracted: ReLUNetwork) -> float:
        slices = SliceMoments(d, slice_edges(y - subtracted.predict(x), n_rows, d), subtracted)
        samples.sweep([slices])
        return off(truth, inputs, find_subspace(slices, inputs).directions[:, :n_neurons])

    return error(ReLUNetwork(np.zeros((0, d)), np.zeros(0))), error(inputs.affine_network())


def off(truth: np.ndarray, inputs: Inputs, directions: np.ndarray) -> float:
    """Return the sine of the largest angle between two subspaces, the second given in whitened coordinates."""
    found = np.linalg.qr(inputs.whiten @ directions)[0]
    return float(np.linalg.norm(truth - found @ (found.T @ truth), 2))


if __name__ == "__main__":
    main()

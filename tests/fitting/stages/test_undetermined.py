"""Pairs of neurons with too few rows between their kinks."""

from __future__ import annotations

import numpy as np
import pytest

from relunet.fitting.stages.validation import undetermined_pair

X = np.random.default_rng(0).standard_normal((400, 3))
WEIGHT = np.ones(400)


def active(*biases):
    return np.stack([X[:, 0] > bias for bias in biases], axis=1)


@pytest.mark.parametrize(("gap", "is_determined"), [(0.0, False), (1e-3, False), (0.2, True)])
def test_close_kinks(gap, is_determined):
    message = undetermined_pair(active(0.0, gap), WEIGHT, np.ones((1, 2)), 4, linear=False)
    assert (message is None) == is_determined
    assert is_determined or message.startswith("neurons 0 and 1: ")


def test_outputs_that_are_not_parallel_tell_neurons_apart():
    outer = np.array([[1.0, 1.0], [2.0, 2.0]])
    assert undetermined_pair(active(0.0, 0.0), WEIGHT, outer, 4, linear=False) is not None
    outer[1, 1] = 3.0
    assert undetermined_pair(active(0.0, 0.0), WEIGHT, outer, 4, linear=False) is None


@pytest.mark.parametrize("linear", [True, False])
def test_opposite_sides_need_a_linear_part_to_be_undetermined(linear):
    opposite = np.stack([X[:, 0] > 0, X[:, 0] < 0], axis=1)
    assert (undetermined_pair(opposite, WEIGHT, np.ones((1, 2)), 4, linear=linear) is not None) == linear


def test_weights_count_rows():
    few = active(0.0, 0.05)
    assert undetermined_pair(few, WEIGHT, np.ones((1, 2)), 10, linear=False) is not None
    assert undetermined_pair(few, 20 * WEIGHT, np.ones((1, 2)), 10, linear=False) is None
    assert undetermined_pair(few[:, :1], WEIGHT, np.ones((1, 1)), 10, linear=False) is None

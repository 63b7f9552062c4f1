"""The polish: damping where a normal matrix is singular, and optima that gradients alone do not reach."""

from __future__ import annotations

import numpy as np
import pytest

from relunet import NumericalError, ReLUNetwork, teachers
from relunet.fitting.rows import HeldRows
from relunet.fitting.stages import polish as stage
from relunet.fitting.stages.inputs import Inputs
from relunet.fitting.stages.polish import Free, accelerate, newton
from relunet.linalg import solve_spd
from relunet.moments import InputMoments


def law_of(x, y):
    moments = InputMoments(x.shape[1])
    moments.update(x, y)
    roots = np.sqrt(np.diag(moments.cov))
    return Inputs(
        mean=moments.mean,
        whiten=1 / roots,
        unwhiten=roots,
        n_rows=len(y),
        fit_bias=True,
        label_mean=moments.label_mean,
        label_var=moments.label_var,
        label_cov=moments.label_cov / roots,
    )


def held(x, y):
    return HeldRows(x, y, np.ones(len(y)))


def accelerated(start, x, y, free):
    """Polish on rows in memory, the preconditioner from all of them."""
    return accelerate(start, held(x, y), law_of(x, y), free, label_rms=float(y.std()), steps=60)


def test_matrices_that_are_not_positive_definite_have_an_error_of_their_own():
    with pytest.raises(NumericalError, match="a: expected a positive definite matrix"):
        solve_spd(np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones(2))
    assert issubclass(NumericalError, RuntimeError)


def test_equal_neurons_are_damped():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 3))
    network = ReLUNetwork([[1.0, 0, 0], [1.0, 0, 0]], [1.0, 1.0])
    y = np.maximum(2.2 * x[:, 0], 0)
    polished = newton(network, held(x, y), Free(False, False), label_rms=1.0)
    assert np.sqrt(polished.risk) < 1e-12


@pytest.mark.parametrize("neurons", [0, 3])
def test_steps_by_scaled_gradients_reach_the_optimum(neurons):
    teacher = teachers.biased(12, 3, 1)
    x, y = teacher.sample(4000, rng=2)
    x = 1 + x * np.linspace(0.5, 2, 12)
    if neurons == 0:
        y = x @ np.arange(12.0) + 3
        start = ReLUNetwork(np.zeros((0, 12)), np.zeros(0))
    else:
        truth = teacher.network
        y = truth.predict(x)
        start = ReLUNetwork(1.02 * truth.weights, truth.output_weights, truth.biases, truth.linear, truth.intercept)
    free = Free(True, True)

    polished = accelerated(start, x, y, free)
    assert np.sqrt(polished.risk) < 1e-12 * y.std()
    assert len(polished.history) < 60


@pytest.mark.parametrize("rows_per_parameter", [6.4, 20.0])
def test_each_sweep_contracts_the_error_by_the_root_of_parameters_over_rows(rows_per_parameter):
    teacher = teachers.generic(40, 3, 1)
    truth, n_parameters = teacher.network, 3 * 40
    x, y = teacher.sample(int(rows_per_parameter * n_parameters), rng=2)
    off = np.random.default_rng(3).standard_normal(truth.weights.shape) / np.sqrt(40)
    start = ReLUNetwork(
        truth.weights + 0.1 * np.linalg.norm(truth.weights, axis=1, keepdims=True) * off, truth.output_weights
    )
    free = Free(False, False)

    polished = accelerated(start, x, y, free)
    # √(p/N) a sweep, with a few more before the gates are those of the truth: plain steps take 2 √(p/N).
    n_sweeps = 1.25 * np.log(1e-9) / np.log(rows_per_parameter**-0.5)
    relative = np.array(polished.history) / y.std()
    assert relative[0] > 0.05
    assert np.flatnonzero(relative < 1e-10)[0] < n_sweeps


def test_a_step_that_is_not_finite_ends_the_polish(monkeypatch):
    teacher = teachers.generic(5, 2, 1)
    x, y = teacher.sample(500, rng=2)
    start = ReLUNetwork(1.1 * teacher.network.weights, teacher.network.output_weights)
    monkeypatch.setattr(stage, "preconditioner", lambda *_: lambda gradient: np.full_like(gradient, np.inf))
    polished = accelerated(start, x, y, Free(True, True))
    assert len(polished.history) == 1
    assert polished.risk == pytest.approx(np.mean((start.predict(x) - y) ** 2))

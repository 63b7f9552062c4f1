"""Networks found in all dimensions at once from few rows."""

from __future__ import annotations

import numpy as np
import pytest

from relunet import ReLUNetRegressor, ReLUNetwork, scan_array, teachers
from relunet.errors import ArgumentError
from relunet.fitting.learn import learn
from relunet.fitting.stages.direct import find_directly, is_determined


def planted(n, d, k, *, bias=False, linear=False, seed=0):
    """Return rows, labels and the network that made them."""
    rng = np.random.default_rng(seed)
    biases = rng.normal(0, 0.3, k) if bias else None
    slope = rng.standard_normal(d) if linear else None
    weights, output_weights = rng.standard_normal((k, d)), np.where(np.arange(k) % 2, 1.0, -1.0)
    network = ReLUNetwork(weights, output_weights, biases, slope, 0.3 if bias else 0.0)
    x = rng.standard_normal((n, d))
    return x, network.predict(x), network


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("linear", [False, True])
def test_a_few_rows_for_each_parameter_show_the_network(bias, linear):
    x, y, network = planted(120, 8, 3, bias=bias, linear=linear)
    fit = find_directly(x, y, 3, fit_bias=bias, linear=linear, floor=1e-22)
    assert fit.loss <= 1e-22
    z = np.c_[x, np.ones(len(x))] if bias else x
    assert np.abs(np.maximum(z @ fit.vectors.T, 0) @ fit.signs + z @ fit.linear - y).max() < 1e-9
    assert is_determined(network, x, fit_bias=bias)


def test_bits_do_not_depend_on_threads():
    x, y, _ = planted(60, 8, 3)
    one, three = (find_directly(x, y, 3, fit_bias=False, linear=False, floor=1e-22, n_jobs=n) for n in (1, 3))
    assert np.array_equal(one.vectors, three.vectors)


def test_weights_are_repetitions():
    x, y, _ = planted(80, 6, 2)
    y = y + 0.1 * np.random.default_rng(1).standard_normal(len(y))
    weight = np.where(np.arange(80) % 3, 1.0, 2.0)
    twice = np.repeat(np.arange(80), weight.astype(int))
    a = find_directly(x, y, 2, fit_bias=True, linear=False, sample_weight=weight, budget=10**8)
    b = find_directly(x[twice], y[twice], 2, fit_bias=True, linear=False, budget=10**8)
    assert a.loss == pytest.approx(b.loss, rel=1e-2)


def test_half_seen_directions_give_starts():
    rng = np.random.default_rng(3)
    angles = np.pi * np.arange(4) / 4
    plane = np.linalg.qr(rng.standard_normal((12, 2)))[0]
    weights = np.c_[np.cos(angles), np.sin(angles)] @ plane.T
    x = rng.standard_normal((300, 12))
    y = np.abs(x @ weights.T) @ [1.0, -1.0, 1.0, -1.0]
    seen = np.linalg.qr(plane + 0.15 * rng.standard_normal((12, 2)))[0]
    fit = find_directly(x, y, 4, fit_bias=False, linear=True, directions=seen, floor=1e-22, budget=4 * 10**9)
    assert fit.loss <= 1e-22


def test_rows_on_one_side_of_a_kink_do_not_determine_a_neuron():
    x, _, network = planted(100, 5, 2)
    assert is_determined(network, x, fit_bias=False)
    few = x[: 2 * 5]
    assert not is_determined(network, few, fit_bias=False)
    # A kink through as many rows as there are features is held by them alone.
    through = np.linalg.svd(x[:4])[2][-1]
    held = ReLUNetwork(np.stack([network.weights[0], through]), network.output_weights)
    active = np.flatnonzero(x @ through > 1e-6)
    assert not is_determined(held, np.delete(x, active[4:], axis=0), fit_bias=False)
    # A neuron that is active on three of 100 rows only.
    height = np.sort(x @ network.weights[0])[-3]
    rare = ReLUNetwork(network.weights, network.output_weights, [-height + 1e-9, 0.0])
    assert not is_determined(rare, x, fit_bias=True)


@pytest.mark.parametrize("told", [True, False])
def test_fits_from_two_rows_for_each_parameter_are_exact(told):
    teacher = teachers.generic(15, 3, rng=0)
    x, y = teacher.sample(90, rng=1)
    result = learn(scan_array(x, y), n_neurons=3 if told else None, fit_bias=False)
    assert (result.report.status, result.network.n_neurons) == ("exact", 3)
    assert result.network.gaussian_distance(teacher.network) < 1e-9


def test_networks_that_the_rows_do_not_determine_are_not_called_exact():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((120, 10))
    # One neuron is active on three rows: any neuron through these labels fits as well.
    w = rng.standard_normal((2, 10))
    threshold = np.sort(x @ w[1])[-3] - 1e-3
    y = np.maximum(x @ w[0], 0) + np.maximum(x @ w[1] - threshold, 0)
    model = ReLUNetRegressor(2).fit(x, y)
    assert model.report_.status != "exact"
    if np.allclose(model.predict(x), y, atol=1e-9):
        assert "several networks fit all rows exactly" in str(model.report_)


def test_bad_arguments_are_errors():
    x, y, _ = planted(30, 4, 1)
    with pytest.raises(ArgumentError, match="one neuron"):
        find_directly(x, y, 0, fit_bias=False, linear=False)

"""Fits of several outputs: planted networks, mixtures of outputs, noise, refusals, the parts against NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from relunet import ReLUNetRegressor, ReLUNetwork, ReLUSubspace, scan_array, scan_npy
from relunet.errors import ArgumentError, DataError
from relunet.fitting.joint.choice import coarser_networks, orient_jointly
from relunet.fitting.joint.outputs import outputs_of, single_output
from relunet.fitting.joint.polish import _Layout, _preconditioner, polish_jointly
from relunet.fitting.joint.search import projected_search, telling_combinations
from relunet.fitting.learn import learn
from relunet.fitting.rows import HeldRows
from relunet.fitting.settings import DEFAULTS, Settings
from relunet.fitting.stages.inputs import Inputs, inputs_of
from relunet.fitting.stages.polish import Free
from relunet.moments import InputMoments, JointGradientMoments, sweep
from relunet.theory import SampleMoments

Array = np.ndarray
# Searches of noisy labels go on until their budget is spent.
SHORT = replace(DEFAULTS, efforts=(20_000_000, 40_000_000), last_effort=40_000_000)


def planted(d: int, k: int, m: int, n: int, *, seed: int = 0, bias: bool = True) -> tuple[Array, Array, ReLUNetwork]:
    """Rows of a network of which some neurons do not reach some outputs."""
    rng = np.random.default_rng([seed, d, k, m])
    weights = rng.standard_normal((k, d))
    weights /= np.linalg.norm(weights, axis=1)[:, None]
    outer = rng.standard_normal((m, k)) * (rng.uniform(size=(m, k)) < 0.7)
    outer[0] += 0.3
    network = ReLUNetwork(weights, outer, rng.normal(0, 0.5, k) * bias)
    x = rng.standard_normal((n, d))
    return x, network.predict(x), network


def error(found: ReLUNetwork, truth: ReLUNetwork) -> float:
    return found.gaussian_distance(truth) / truth.gaussian_norm()


def law_of(x: Array, *, fit_bias: bool = True) -> Inputs:
    moments = InputMoments(x.shape[1])
    sweep(scan_array(x), [moments])
    return inputs_of(moments, len(x), fit_bias=fit_bias)


@pytest.mark.parametrize(("d", "k", "m", "bias"), [(8, 3, 2, True), (8, 3, 5, False), (10, 5, 3, True)])
def test_planted_networks_come_back(d: int, k: int, m: int, bias: bool) -> None:
    x, y, truth = planted(d, k, m, 6000, bias=bias)
    result = learn(scan_array(x, y), k, fit_bias=bias)
    assert result.report.status == "exact"
    assert error(result.network, truth) < 1e-11
    network = result.network
    assert network.output_weights.shape == (m, k)
    assert network.linear.shape == (m, d)
    assert np.shape(network.intercept) == (m,)
    np.testing.assert_allclose(np.linalg.norm(network.weights, axis=1), 1.0)
    assert np.max(network.match(truth).distances) < 1e-10
    assert len(result.report.output_risks) == m
    assert result.report.risk == pytest.approx(sum(result.report.output_risks))


def test_the_number_of_neurons_need_not_be_told() -> None:
    x, y, truth = planted(8, 3, 3, 8000, seed=1)
    result = learn(scan_array(x, y))
    assert (result.report.status, result.network.n_neurons) == ("exact", 3)
    assert error(result.network, truth) < 1e-11


def test_many_neurons_are_searched_at_once() -> None:
    x, y, truth = planted(8, 3, 3, 6000, seed=16)
    result = learn(scan_array(x, y), 3, settings=Settings(wide_neurons=2))
    assert result.report.status == "exact"
    assert "subspace" not in {stage.name for stage in result.report.stages}
    assert error(result.network, truth) < 1e-11


def test_mixtures_and_units_of_outputs_do_not_matter() -> None:
    x, y, _ = planted(6, 3, 3, 4000, seed=2)
    rng = np.random.default_rng(0)
    y = y + 0.1 * y.std(axis=0) * rng.standard_normal(y.shape)
    mix, shift = rng.standard_normal((3, 3)) * [1e-6, 1.0, 1e6], np.array([1e3, -1.0, 1e5])
    plain = learn(scan_array(x, y), 3, settings=SHORT).network
    mixed = learn(scan_array(x, y @ mix + shift), 3, settings=SHORT).network
    assert mixed.n_neurons == plain.n_neurons == 3
    scale = (y @ mix).std(axis=0)
    expected = plain.predict(x) @ mix + shift
    assert np.max(np.abs(mixed.predict(x) - expected) / scale) < 5e-3


def test_all_outputs_together_are_more_precise_than_each_alone() -> None:
    x, clean, truth = planted(15, 4, 4, 6000, seed=3)
    y = clean + 0.3 * clean.std(axis=0) * np.random.default_rng(1).standard_normal(clean.shape)
    together = learn(scan_array(x, y), 4, settings=SHORT)
    bound = 1.5 * 0.3 * np.sqrt(4 * 16 / (len(x) * 4)) * np.sqrt(np.mean(clean.var(axis=0)) * 4)
    assert together.network.n_neurons == 4
    assert together.network.gaussian_distance(truth) < 1.5 * bound
    alone = [learn(scan_array(x, column), 4, settings=SHORT).network for column in y.T]
    apart = np.sqrt(sum(net.gaussian_distance(single_output(truth, i)) ** 2 for i, net in enumerate(alone)))
    assert together.network.gaussian_distance(truth) < 0.8 * apart


def test_fewer_rows_are_needed_where_outputs_share_neurons() -> None:
    # 4 neurons in 12 dimensions have 48 parameters and 4 for each output; 40 rows are less than one output has.
    x, y, truth = planted(12, 4, 6, 40, seed=4, bias=False)
    result = learn(scan_array(x, y), 4, fit_bias=False, fit_linear=False)
    assert result.report.status == "exact"
    assert error(result.network, truth) < 1e-9


def test_affine_outputs_and_outputs_that_repeat_are_fitted() -> None:
    x, y, _ = planted(6, 2, 2, 3000, seed=5)
    labels = np.column_stack([y, x @ np.arange(6.0) + 2.0, np.full(len(x), 3.0), y[:, 0] - y[:, 1]])
    result = learn(scan_array(x, labels), 2)
    assert result.report.status == "exact"
    assert result.network.n_neurons == 2
    np.testing.assert_allclose(result.network.predict(x), labels, atol=1e-10)
    affine = learn(scan_array(x, labels[:, 2:4]))
    assert (affine.report.status, affine.network.n_neurons) == ("exact", 0)
    np.testing.assert_allclose(affine.network.predict(x), labels[:, 2:4], atol=1e-10)


def test_noise_alone_gets_no_neuron() -> None:
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((3000, 5)), rng.standard_normal((3000, 3))
    result = learn(scan_array(x, y))
    assert (result.report.status, result.network.n_neurons) == ("no structure", 0)
    assert result.network.output_weights.shape == (3, 0)


def test_a_column_of_one_output_is_one_output() -> None:
    x, y, _ = planted(5, 2, 2, 2000, seed=7)
    one, column = (ReLUNetRegressor(n_neurons=2).fit(x, labels) for labels in (y[:, 0], y[:, :1]))
    assert column.network_ == one.network_
    assert column.predict(x).shape == (2000,)


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_the_number_of_threads_and_the_source_do_not_change_the_bits(n_jobs: int, tmp_path) -> None:
    x, y, _ = planted(5, 2, 3, 3000, seed=8)
    y = y + 0.2 * np.random.default_rng(2).standard_normal(y.shape)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    there = learn(scan_npy(tmp_path / "x.npy", tmp_path / "y.npy"), 2, n_jobs=n_jobs, settings=SHORT)
    assert there.network == learn(scan_array(np.asfortranarray(x), y), 2, settings=SHORT).network


def test_a_fit_that_was_interrupted_resumes_from_its_checkpoint(tmp_path) -> None:
    x, y, _ = planted(5, 2, 3, 3000, seed=8)
    first = learn(scan_array(x, y), 2, checkpoint=tmp_path / "kept")
    again = learn(scan_array(x, y), 2, checkpoint=tmp_path / "kept")
    assert again.network == first.network
    assert again.report.rows_read == 0


def test_a_fit_begins_with_a_network() -> None:
    x, y, truth = planted(6, 3, 2, 4000, seed=9)
    result = learn(scan_array(x, y), 3, start=truth)
    assert result.report.status == "exact"
    assert "discovery" not in {stage.name for stage in result.report.stages}
    with pytest.raises(ArgumentError, match="^start: 2 outputs, expected one"):
        learn(scan_array(x, y[:, 0]), 3, start=truth)
    with pytest.raises(ArgumentError, match="^start: 2 outputs, expected 3"):
        learn(scan_array(x, np.column_stack([y, y[:, 0]])), 3, start=truth)


def test_what_is_not_supported_is_refused() -> None:
    x, y, _ = planted(6, 2, 2, 500, seed=10)
    with pytest.raises(ArgumentError, match="^X: 6 features with 2 outputs, expected at most max_dense=5"):
        learn(scan_array(x, y), 2, max_dense=5)
    with pytest.raises(DataError, match="^samples: 2 labels a row, expected one"):
        SampleMoments(scan_array(x, y))


def test_the_subspace_is_that_of_all_outputs() -> None:
    x, y, truth = planted(8, 3, 3, 20_000, seed=11)
    found = ReLUSubspace().fit(x, y)
    inside = found.subspace_ @ (found.subspace_.T @ truth.weights.T)
    assert found.n_components_ == 3
    np.testing.assert_allclose(inside, truth.weights.T, atol=0.1)


def test_standard_errors_and_deviations_have_their_shapes_and_size() -> None:
    x, clean, truth = planted(5, 2, 3, 3000, seed=12)
    deviations, misses, told = [], [], []
    for seed in range(4):
        y = clean + 0.2 * np.random.default_rng(seed).standard_normal(clean.shape)
        model = ReLUNetRegressor(n_neurons=2, fit_linear=False).fit(x, y)
        predicted, spread = model.predict(x[:200], return_std=True)
        assert predicted.shape == spread.shape == (200, 3)
        deviations.append(spread)
        misses.append(predicted - clean[:200])
        errors = model.standard_errors_
        assert errors is not None
        assert errors.weights.shape == (2, 5)
        assert errors.biases.shape == (2,)
        assert errors.output_weights is not None
        assert errors.output_weights.shape == (3, 2)
        assert errors.linear.shape == (3, 5)
        assert np.shape(errors.intercept) == (3,)
        match = truth.match(model.network_).permutation
        told.append(
            (np.abs(model.network_.output_weights[:, match]) - np.abs(truth.output_weights))
            / errors.output_weights[:, match]
        )
    share = np.sqrt(np.mean(np.square(misses)) / np.mean(np.square(deviations)))
    assert 0.75 < share < 1.3
    assert 0.5 < np.sqrt(np.mean(np.square(told))) < 1.6


# The parts.


def test_coordinates_invert_and_are_white() -> None:
    rng = np.random.default_rng(0)
    residual = rng.standard_normal((500, 2)) @ rng.standard_normal((2, 4)) * [1.0, 1e-5, 1e4, 1.0]
    affine = ReLUNetwork(np.zeros((0, 3)), np.zeros((4, 0)), None, rng.standard_normal((4, 3)), rng.standard_normal(4))
    shift, weight = rng.standard_normal(4), rng.uniform(1, 2, 500)
    outputs = outputs_of(affine, shift, residual, weight, np.sqrt(np.mean(residual**2, axis=0)))
    assert outputs.rank == 2
    np.testing.assert_allclose(outputs.whiten @ outputs.unwhiten, np.eye(2), atol=1e-8)
    white = residual @ outputs.whiten.T
    np.testing.assert_allclose((white * (weight / weight.sum())[:, None]).T @ white, np.eye(2), atol=1e-8)
    np.testing.assert_allclose(white @ outputs.unwhiten.T, residual, rtol=1e-6)
    network = ReLUNetwork(
        rng.standard_normal((3, 3)), rng.standard_normal((2, 3)), None, rng.standard_normal((2, 3)), [1.0, 2.0]
    )
    x = rng.standard_normal((20, 3))
    whole = outputs.network(network)
    np.testing.assert_allclose(outputs.of_network(whole).predict(x), network.predict(x), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(outputs.coordinates(whole.predict(x)), network.predict(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("free", [Free(True, True), Free(True, False), Free(False, True), Free(False, False)])
def test_a_step_is_that_of_gauss_and_newton(free: Free) -> None:
    rng = np.random.default_rng(1)
    n, d, k, m = 3000, 4, 3, 2
    x, bias = rng.standard_normal((n, d)), float(free.biases)
    start = ReLUNetwork(
        rng.standard_normal((k, d)),
        rng.standard_normal((m, k)),
        bias * rng.standard_normal(k),
        free.linear * rng.standard_normal((m, d)),
        bias * rng.standard_normal(m),
    )
    y = rng.standard_normal((n, m))
    layout, law = _Layout(k, d, m), law_of(x, fit_bias=free.biases)
    sums = JointGradientMoments(start)
    sweep(scan_array(x, y), [sums])
    gradient = layout.mask(free) * layout.join(sums.hidden, sums.output_weights, sums.affine)
    hidden = np.column_stack([start.weights, start.biases])
    parts = hidden, start.output_weights, np.column_stack([start.linear, np.asarray(start.intercept)])
    solve = _preconditioner(parts, layout, HeldRows(x, y, np.ones(n)), law, free, 1e-13, None, True)
    step = layout.mask(free) * solve(gradient)
    extended = np.column_stack([x, np.ones(n)])
    on = extended @ hidden.T > 0
    values = np.maximum(extended @ hidden.T, 0)
    rows = []
    for o in range(m):
        own = np.zeros((n, m, k)), np.zeros((n, m, d + 1))
        own[0][:, o], own[1][:, o] = values, extended
        inner = (start.output_weights[o][:, None] * on[:, :, None] * extended[:, None, :]).reshape(n, -1)
        rows.append(np.column_stack([inner, own[0].reshape(n, -1), own[1].reshape(n, -1)]))
    jacobian = np.concatenate(rows) * layout.mask(free)
    target = (y - start.predict(x)).T.ravel()
    best = np.linalg.lstsq(jacobian, target, rcond=1e-10)[0]
    np.testing.assert_allclose(jacobian @ step, jacobian @ best, atol=1e-6 * np.abs(jacobian @ best).max())
    # Neurons keep their length as functions of whitened inputs, to first order.
    mean = law.mean * bias
    before, after = (
        np.column_stack([law.z_weights(np.ascontiguousarray(h[:, :-1])), h[:, -1] + h[:, :-1] @ mean])
        for h in (hidden, layout.split(step)[0])
    )
    np.testing.assert_allclose((before * after).sum(axis=1), 0.0, atol=1e-6)


def test_a_polish_reaches_the_network_that_made_the_labels() -> None:
    x, y, truth = planted(6, 3, 3, 5000, seed=13)
    rng = np.random.default_rng(2)
    start = ReLUNetwork(
        truth.weights + 0.02 * rng.standard_normal(truth.weights.shape),
        truth.output_weights + 0.02,
        truth.biases + 0.02,
        None,
        np.zeros(3),
    )
    polished = polish_jointly(
        start, HeldRows(x, y, np.ones(5000)), law_of(x), Free(True, True), label_rms=float(np.std(y)), steps=40
    )
    assert error(polished.network, truth) < 1e-9


def test_orientation_leaves_the_function_and_the_least_linear_parts() -> None:
    _, _, truth = planted(5, 4, 3, 10, seed=14)
    turned = np.array([True, False, True, True])
    sign = np.where(turned, -1.0, 1.0)
    same = ReLUNetwork(
        truth.weights * sign[:, None],
        truth.output_weights,
        truth.biases * sign,
        truth.output_weights[:, turned] @ truth.weights[turned],
        truth.output_weights[:, turned] @ truth.biases[turned],
    )
    x = np.random.default_rng(3).standard_normal((300, 5))
    oriented = orient_jointly(same, law_of(x))
    np.testing.assert_allclose(oriented.predict(x), truth.predict(x), atol=1e-12)
    np.testing.assert_allclose(oriented.linear, 0.0, atol=1e-12)


def test_equal_neurons_are_fused_without_a_change() -> None:
    _, _, truth = planted(4, 2, 3, 10, seed=15)
    doubled = ReLUNetwork(
        np.concatenate([truth.weights, -2.0 * truth.weights[:1]]),
        np.column_stack([truth.output_weights, [1.0, 2.0, 3.0]]),
        np.append(truth.biases, -2.0 * truth.biases[0]),
    )
    x = np.random.default_rng(4).standard_normal((400, 4))
    heights = x @ doubled.weights.T + doubled.biases
    options = coarser_networks(doubled, law_of(x), heights, np.full(400, 1 / 400))
    angle, fused = options[1]
    assert angle < 1e-7
    assert fused.n_neurons == 2
    np.testing.assert_allclose(fused.predict(x), doubled.predict(x), atol=1e-12)


def test_combinations_that_tell_most_come_first() -> None:
    rng = np.random.default_rng(5)
    z = rng.standard_normal((5000, 3))
    residual = rng.standard_normal((5000, 4))
    direction = np.array([0.0, 0.6, 0.8, 0.0])
    residual += 2 * np.abs(z[:, :1]) * direction
    combinations = telling_combinations(z, residual)
    np.testing.assert_allclose(combinations @ combinations.T, np.eye(4), atol=1e-12)
    assert abs(combinations[0] @ direction) > 0.99


@pytest.mark.parametrize("linear", [True, False])
def test_variable_projection_finds_networks_of_few_rows(linear: bool) -> None:
    rng = np.random.default_rng(6)
    z, a, outer = rng.standard_normal((60, 6)), rng.standard_normal((2, 6)), rng.standard_normal((4, 2))
    slopes = linear * rng.standard_normal((4, 6))
    y = np.maximum(z @ a.T, 0) @ outer.T + z @ slopes.T
    found = projected_search(z, y, 2, constant=False, linear=linear, floor=1e-20, starts=40, seed=0)
    assert found is not None
    np.testing.assert_allclose(found.predict(z), y, atol=1e-8)

"""Fits from stored accumulators, and updates of an old fit by new rows."""

from __future__ import annotations

import numpy as np
import pytest

import relunet
from relunet import saved
from relunet.errors import ArgumentError, DataError
from relunet.moments import (
    ContractionMoments,
    CurvatureMoments,
    GradientMoments,
    InputMoments,
    RowSample,
    SliceMoments,
    sweep,
)


@pytest.fixture(scope="module")
def teacher():
    return relunet.teachers.anisotropic(6, 2, rng=0)


def sums_at(network, teacher, places, rows=3000, noise=0.0):
    gradient, curvature = GradientMoments(network), CurvatureMoments(network)
    for place in places:
        X, y = teacher.sample(rows, rng=place)
        y = y + noise * np.random.default_rng(place).standard_normal(rows)
        gradient.update(X, y)
        curvature.update(X)
    return gradient, curvature


@pytest.mark.slow
def test_a_thousand_random_splits_merge_to_the_same_sums():
    rng = np.random.default_rng(0)
    n, d = 600, 5
    X, y, weight = rng.standard_normal((n, d)), rng.standard_normal(n), rng.uniform(0, 2, n)
    empties = [
        InputMoments(d),
        ContractionMoments(d, np.eye(d)[0], (2, 4)),
        SliceMoments(d, [0.0]),
        GradientMoments(relunet.ReLUNetwork(np.eye(d)[:2], [1.0, -1.0])),
    ]

    def read(sums):
        inputs, contractions, slices, gradient = sums
        values = [inputs.mean, inputs.cov, inputs.label_cov, *contractions.contractions().values(), slices.grams]
        return [*values, gradient.gradient]

    whole = [sums.empty() for sums in empties]
    for sums in whole:
        sums.update(X, y, weight)
    expected = read(whole)
    worst = 0.0
    for _ in range(1000):
        cuts = np.sort(rng.integers(0, n + 1, rng.integers(0, 6)))
        parts = []
        for start, stop in zip([0, *cuts], [*cuts, n], strict=True):
            part = [sums.empty() for sums in empties]
            for sums in part:
                sums.update(X[start:stop], y[start:stop], weight[start:stop])
            parts.append(part)
        while len(parts) > 1:
            a, b = (parts.pop(rng.integers(len(parts))) for _ in range(2))
            parts.append([x + type(z).from_bytes(z.to_bytes()) for x, z in zip(a, b, strict=True)])
        for found, want in zip(read(parts[0]), expected, strict=True):
            worst = max(worst, np.abs(found - want).max() / np.abs(want).max())
    assert worst <= 1e-12


def test_subspace_of_merged_sums_is_that_of_the_rows(teacher):
    inputs, slices = InputMoments(6), SliceMoments(6, np.linspace(-1, 1, 8))
    for place in range(4):
        X, y = teacher.sample(10_000, rng=place)
        for sums in (part := [inputs.empty(), slices.empty()]):
            sums.update(X, y)
        inputs.merge(part[0])
        slices.merge(part[1])
    found = saved.subspace(inputs, slices)
    # Directions are those of whitened inputs turned back: weights lie in their span.
    weights = teacher.network.weights.T / np.linalg.norm(teacher.network.weights, axis=1)
    assert np.linalg.norm(weights - found.basis @ (found.basis.T @ weights), axis=0).max() < 0.2
    assert found.spectrum[1] > found.bulk_edge > found.spectrum[2]
    with pytest.raises(ArgumentError, match="slices: 40000 rows of 6 features, expected 10000"):
        saved.subspace(part[0], slices)


def test_fit_to_kept_rows_says_what_it_saw(teacher):
    inputs, rows = InputMoments(6), RowSample(6, 2**61, 7)
    for place in range(4):
        sweep(relunet.scan_array(*teacher.sample(20_000, rng=place)), [inputs, rows])
    result = saved.fit(inputs, rows, n_neurons=2)
    assert result.report.status == "exact"
    assert result.network.gaussian_distance(teacher.network) < 1e-9
    kept = len(rows.rows()[0])
    assert f"fitted to a sample of {kept:,} of 80,000 rows" in result.report.messages[-1]
    with pytest.raises(ArgumentError, match="rows: 5 features, expected 6"):
        saved.fit(inputs, RowSample(5, 1, 0))
    with pytest.raises(DataError, match="rows: none of 0 rows were kept"):
        saved.fit(inputs, rows.empty())


def test_rounds_of_sums_converge_to_the_least_squares_fit(teacher):
    truth = teacher.network
    network = relunet.ReLUNetwork(truth.weights * 1.01, truth.output_weights, truth.biases + 0.01)
    for _ in range(4):
        network = saved.step(network, *sums_at(network, teacher, range(5)))
    assert network.gaussian_distance(truth) < 1e-12


def test_old_sums_and_new_rows_make_the_fit_of_both(teacher):
    old = relunet.ReLUNetwork(teacher.network.weights, teacher.network.output_weights)
    for _ in range(6):
        old = saved.step(old, *sums_at(old, teacher, range(5), noise=0.1))
    gradient, curvature = sums_at(old, teacher, range(5), noise=0.1)
    more = sums_at(old, teacher, range(5, 8), noise=0.1)
    joined = saved.step(old, gradient + more[0], curvature + more[1])
    both = old
    for _ in range(6):
        both = saved.step(both, *sums_at(both, teacher, range(8), noise=0.1))
    # The gates of the old rows hardly move: what is left is of second order in the step.
    assert joined.gaussian_distance(both) < 0.1 * old.gaussian_distance(both)


def test_sums_at_another_network_are_refused(teacher):
    gradient, curvature = sums_at(teacher.network, teacher, [0])
    other = relunet.ReLUNetwork(teacher.network.weights + 1, teacher.network.output_weights)
    with pytest.raises(ArgumentError, match="gradient: accumulated at another network"):
        saved.step(other, gradient, curvature)
    more, _ = sums_at(teacher.network, teacher, [0, 1])
    with pytest.raises(ArgumentError, match="curvature: 3000 rows, expected 6000"):
        saved.step(teacher.network, more, curvature)


def test_a_fit_begins_with_a_network(teacher):
    X, y = teacher.sample(4000, rng=0)
    samples = relunet.scan_array(X, y)
    plain = relunet.learn(samples, n_neurons=2)
    begun = relunet.learn(samples, n_neurons=2, start=plain.network)
    assert begun.report.status == "exact"
    assert begun.network.gaussian_distance(teacher.network) < 1e-9
    done = {stage.name: stage.sweeps for stage in begun.report.stages}
    assert "discovery" not in done, "there was nothing to search"
    useless = relunet.ReLUNetwork(np.ones((1, 6)), [100.0])
    assert relunet.learn(samples, n_neurons=2, start=useless).report.status == "exact"
    with pytest.raises(ArgumentError, match="start: 6 features and 2 neurons, expected 6 features and at most 1"):
        relunet.learn(samples, n_neurons=1, start=plain.network)


@pytest.mark.slow
def test_a_fit_with_noise_begins_with_a_network(teacher):
    X, y = teacher.sample(8000, rng=0)
    y = y + 0.05 * np.random.default_rng(1).standard_normal(len(y))
    old = relunet.learn(relunet.scan_array(X[:4000], y[:4000]), n_neurons=2).network
    joined = relunet.learn(relunet.scan_array(X, y), n_neurons=2, start=old)
    alone = relunet.learn(relunet.scan_array(X, y), n_neurons=2)
    assert joined.network.gaussian_distance(alone.network) < 1e-3

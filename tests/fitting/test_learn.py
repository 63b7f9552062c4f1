"""`learn` as users call it: it recovers planted networks for all kinds of samples and options, and reports failures."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from relunet import (
    ArgumentError,
    DataError,
    ReLUNetRegressor,
    ReLUNetwork,
    _relunet,
    learn,
    scan_array,
    scan_npy,
    teachers,
)
from relunet.fitting.settings import Settings

# Searches of noisy labels spend their whole budget; a small one suffices for these small networks.
SMALL_BUDGET = {"efforts": (100_000_000, 200_000_000), "last_effort": 100_000_000}


def exactly(result, teacher, at_most=1e-11):
    """Require that the planted network was recovered, with the same number of neurons."""
    truth, found = teacher.network, result.network
    assert result.report.status == "exact"
    assert found.n_neurons == truth.n_neurons
    distance = found.gaussian_distance(truth, teacher.mean, teacher.cov)
    assert distance < at_most * truth.gaussian_norm(teacher.mean, teacher.cov)


def fitted(teacher, n_rows, *, rng=1, noise=0.0, **options):
    x, y = teacher.sample(n_rows, rng=rng, noise=noise)
    return learn(scan_array(x, y), **options)


@pytest.fixture(scope="module")
def generic():
    teacher = teachers.generic(6, 3, rng=0)
    return teacher, *teacher.sample(6000, rng=1)


def same_bits(first, second):
    tensors = ("weights", "biases", "output_weights", "linear", "intercept")
    for name in tensors:
        assert np.asarray(getattr(first, name)).tobytes() == np.asarray(getattr(second, name)).tobytes(), name


# Planted networks.


@pytest.mark.parametrize(("features", "neurons"), [(2, 1), (5, 2), (12, 4), (30, 5)])
@pytest.mark.parametrize("family", ["generic", "positive", "biased", "anisotropic"])
def test_plain_families_come_back(family, features, neurons):
    teacher = teachers.FAMILIES[family](features, neurons, neurons)
    exactly(fitted(teacher, 10_000), teacher)


@pytest.mark.parametrize("family", ["generic", "positive"])
def test_sides_are_found(family):
    teacher = teachers.FAMILIES[family](8, 4, 3)
    found = fitted(teacher, 20_000).network
    assert not found.linear.any()
    assert not teacher.network.match(found).flipped.any()


@pytest.mark.parametrize("family", ["generic", "positive"])
def test_homogeneous_networks(family):
    teacher = teachers.FAMILIES[family](7, 3, 5)
    result = fitted(teacher, 8000, fit_bias=False)
    exactly(result, teacher)
    assert not result.network.biases.any()
    assert result.network.intercept == 0


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_units_of_inputs_and_labels_do_not_matter(generic, factor):
    _, x, y = generic
    result = learn(scan_array(x * factor, y * 1e3))
    assert result.report.status == "exact"
    assert np.abs(result.network.predict(x * factor) - y * 1e3).max() < 1e-9 * np.abs(y * 1e3).max()
    assert result.network.n_neurons == 3


def test_one_feature():
    x = np.random.default_rng(0).standard_normal((4000, 1))
    y = np.maximum(x[:, 0] - 0.5, 0) - 2 * np.maximum(x[:, 0] + 0.3, 0) + 1
    result = learn(scan_array(x, y))
    assert (result.report.status, result.network.n_neurons) == ("exact", 2)
    kinks = np.sort(-result.network.biases / result.network.weights[:, 0])
    assert kinks == pytest.approx([-0.3, 0.5], abs=1e-9)


# Many features.


@pytest.mark.parametrize("family", ["generic", "plane", "level_fan", "biased"])
def test_sketches_find_what_covariances_find(family):
    teacher = teachers.FAMILIES[family](60, 4, 3)
    x, y = teacher.sample(6000, rng=1)
    fit_bias = bool(teacher.network.biases.any())
    if fit_bias:
        x = 3 * x + 1
    result = learn(scan_array(x, y), 4, fit_bias=fit_bias, max_dense=59)
    assert (result.report.status, result.network.n_neurons) == ("exact", 4)
    assert np.abs(result.network.predict(x) - y).max() < 1e-10
    assert result.subspace.shape[0] == 60


@pytest.mark.slow
def test_sketches_are_as_good_on_noisy_labels():
    teacher = teachers.generic(60, 3, 5)
    x, y = teacher.sample(8000, rng=2)
    settings = Settings(**SMALL_BUDGET)
    y += 0.2 * y.std() * np.random.default_rng(3).standard_normal(len(y))
    errors = []
    for max_dense in (1000, 10):
        result = learn(scan_array(x, y), fit_bias=False, max_dense=max_dense, settings=settings)
        assert (result.report.status, result.network.n_neurons) == ("noise floor", 3)
        errors.append(result.network.gaussian_distance(teacher.network))
    assert errors[1] < 1.05 * errors[0]
    assert result.report.risk_interval is None


def test_sketches_of_correlated_features():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((8000, 50)) + rng.standard_normal((8000, 1)) / 2
    y = np.maximum(x @ rng.standard_normal((50, 3)) / 7, 0) @ [1.0, -1.0, 1.0]
    result = learn(scan_array(x, y), 3, fit_bias=False, max_dense=10)
    assert result.report.status == "exact"


def test_sketches_of_noise_and_of_affine_labels():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((3000, 40))
    with pytest.warns(UserWarning, match="nothing but an affine function stands out"):
        result = learn(scan_array(x, rng.standard_normal(3000)), max_dense=10)
    assert (result.report.status, result.network.n_neurons) == ("no structure", 0)
    slope = rng.standard_normal(40)
    result = learn(scan_array(x, x @ slope + 2), max_dense=10)
    assert (result.report.status, result.network.n_neurons) == ("exact", 0)
    np.testing.assert_allclose(result.network.linear, slope, rtol=0, atol=1e-10)


def test_sketches_of_features_that_are_far_from_zero_or_constant():
    teacher = teachers.generic(30, 2, 4)
    x, y = teacher.sample(5000, rng=5)
    x = np.column_stack([1e3 + x * np.logspace(-2, 2, 30), np.full(5000, 1000.1)])
    result = learn(scan_array(x, y + 1e4), max_dense=10)
    assert (result.report.status, result.network.n_neurons) == ("exact", 2)
    assert not result.network.weights[:, -1].any()


def test_sketches_have_the_same_bits_for_any_threads():
    x, y = teachers.generic(40, 2, 0).sample(5000, rng=0)
    first, second = (learn(scan_array(x, y), 2, n_jobs=n_jobs, max_dense=10) for n_jobs in (1, 3))
    same_bits(first.network, second.network)


# The number of neurons.


@pytest.mark.parametrize("n_neurons", [3, 4, 7, 12, None])
def test_neurons_are_not_invented(generic, n_neurons):
    teacher, x, y = generic
    exactly(learn(scan_array(x, y), n_neurons), teacher)


def test_neurons_that_no_row_bends_are_not_kept(generic):
    teacher, x, y = generic
    network, units = teacher.network, np.eye(x.shape[1])[:2]
    # The first is off on all rows, the second on; with the linear part it is the same network there.
    with_both = ReLUNetwork(
        np.concatenate([network.weights, units]),
        np.append(network.output_weights, [1.0, 1.0]),
        np.append(network.biases, [-50.0, 50.0]),
        network.linear - units[1],
        network.intercept - 50.0,
    )
    assert np.abs(with_both.predict(x) - y).max() < 1e-12
    exactly(learn(scan_array(x, y), start=with_both), teacher)


def test_fewer_neurons_than_the_truth(generic):
    _, x, y = generic
    with pytest.warns(UserWarning, match="2 neurons do not explain the labels"):
        result = learn(scan_array(x, y), 2, settings=Settings(**SMALL_BUDGET))
    assert (result.report.status, result.network.n_neurons, len(result.report.messages)) == ("budget", 2, 1)
    affine = np.column_stack([x, np.ones(len(x))])
    rest = y - affine @ np.linalg.lstsq(affine, y, rcond=None)[0]
    assert np.mean((result.network.predict(x) - y) ** 2) < 0.5 * np.mean(rest**2)


@pytest.mark.parametrize("n_neurons", [0, -1, 2.0, "3", True, np.nan, [2]])
def test_numbers_of_neurons_that_are_none(generic, n_neurons):
    _, x, y = generic
    with pytest.raises(ArgumentError, match="n_neurons: "):
        learn(scan_array(x, y), n_neurons)
    with pytest.raises(ArgumentError, match="max_neurons: "):
        learn(scan_array(x, y), max_neurons=n_neurons)


def test_other_arguments_that_are_none(generic):
    _, x, y = generic
    with pytest.raises(ArgumentError, match="fit_linear: 'yes'"):
        learn(scan_array(x, y), fit_linear="yes")
    with pytest.raises(DataError, match="y: the samples have no labels"):
        learn(scan_array(x))


# The affine part.


@pytest.mark.slow
def test_linear_part_is_kept_where_the_data_demand_it(generic):
    teacher, x, y = generic
    slope = np.array([1.0, 0.5, 0.0, -0.3, 0.2, 0.1])
    tilted = teachers.Teacher(ReLUNetwork(teacher.network.weights, teacher.network.output_weights, linear=slope))
    for fit_linear in ("auto", True):
        result = learn(scan_array(x, y + x @ slope), fit_linear=fit_linear)
        exactly(result, tilted)
        assert result.network.linear.any()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        without = learn(scan_array(x, y + x @ slope), 3, fit_linear=False)
    assert without.report.status != "exact"
    assert not without.network.linear.any()


@pytest.mark.slow
def test_linear_part_that_is_not_there(generic):
    teacher, x, y = generic
    for fit_linear in ("auto", False):
        found = learn(scan_array(x, y), fit_linear=fit_linear).network
        assert not found.linear.any()
    result = learn(scan_array(x, y), fit_linear=True)
    exactly(result, teacher)


@pytest.mark.parametrize(
    ("labels", "fit_bias"),
    [
        (lambda x: np.zeros(len(x)), True),
        (lambda x: np.zeros(len(x)), False),
        (lambda x: np.full(len(x), 4.5), True),
        (lambda x: x @ [1.0, -2.0, 3.0], False),
        (lambda x: x @ [1.0, -2.0, 3.0] + 4.5, True),
    ],
)
def test_affine_labels_have_no_neurons(labels, fit_bias):
    x = np.random.default_rng(0).standard_normal((3000, 3))
    y = labels(x)
    result = learn(scan_array(x, y), fit_bias=fit_bias)
    assert (result.report.status, result.network.n_neurons) == ("exact", 0)
    assert np.abs(result.network.predict(x) - y).max() < 1e-12


# Weights of rows.


def test_rows_of_weight_zero_do_not_matter(generic):
    teacher, x, y = generic
    rng = np.random.default_rng(7)
    weight = (rng.uniform(size=len(y)) < 0.7).astype(float)
    corrupted = np.where(weight > 0, y, 1e3 * rng.standard_normal(len(y)))
    exactly(learn(scan_array(x, corrupted, weight)), teacher)


def test_weight_two_is_a_row_given_twice(generic):
    _, x, y = generic
    weight = np.random.default_rng(8).integers(0, 3, len(y))
    repeated = np.repeat(np.arange(len(y)), weight)
    first = learn(scan_array(x, y, weight.astype(float))).network
    second = learn(scan_array(x[repeated], y[repeated])).network
    assert first.n_neurons == second.n_neurons
    assert np.abs(first.predict(x) - second.predict(x)).max() < 1e-9


def test_weights_that_are_all_zero(generic):
    _, x, y = generic
    with pytest.raises(DataError, match="sample_weight: "):
        learn(scan_array(x, y, np.zeros(len(y))))


# Inputs of awkward shapes and types.


def test_constant_columns(generic):
    _, x, y = generic
    wide = np.insert(x, [0, 3, 6], [2.0, 0.0, -1e6], axis=1)
    result = learn(scan_array(wide, y))
    assert (result.report.status, result.network.n_neurons) == ("exact", 3)
    assert np.abs(result.network.predict(wide) - y).max() < 1e-9


def test_duplicated_columns(generic):
    _, x, y = generic
    wide = np.concatenate([x, x[:, :2]], axis=1)
    result = learn(scan_array(wide, y))
    assert (result.report.status, result.network.n_neurons) == ("exact", 3)
    assert np.abs(result.network.predict(wide) - y).max() < 1e-9


def test_single_precision(generic):
    teacher, x, _ = generic
    x = x.astype(np.float32)
    y = teacher.network.predict(x.astype(np.float64))
    exactly(learn(scan_array(x, y)), teacher)
    result = learn(scan_array(x, y.astype(np.float32)))
    assert (result.report.status, result.network.n_neurons) == ("exact", 3)
    assert result.network.gaussian_distance(teacher.network) < 1e-7


def test_integers_are_numbers(generic):
    teacher, x, _ = generic
    x = np.round(100 * x).astype(np.int64)
    y = teacher.network.predict(x.astype(np.float64))
    result = learn(scan_array(x, y))
    assert (result.report.status, result.network.n_neurons) == ("exact", 3)


def test_too_few_rows_for_a_neuron():
    teacher = teachers.generic(10, 2, rng=0)
    with pytest.warns(UserWarning, match="12 rows are too few for a neuron, about"):
        result = fitted(teacher, 12)
    assert result.network.n_neurons == 0
    assert result.report.status == "no structure"


def test_one_row_is_too_few_for_anything():
    x = np.random.default_rng(0).standard_normal((1, 5))
    with pytest.raises(DataError, match="X: 1 sample, at least 2 are needed"):
        learn(scan_array(x, x[:, 0]))


@pytest.mark.parametrize("n_rows", [3, 6, 30])
def test_fewer_rows_than_features_give_a_regularised_affine_function(n_rows):
    x = np.random.default_rng(0).standard_normal((n_rows + 200, 40))
    y = x[:, 0] + 0.1 * np.random.default_rng(1).standard_normal(len(x))
    with pytest.warns(UserWarning, match=f"{n_rows} rows are too few for a neuron"):
        network = learn(scan_array(x[:n_rows], y[:n_rows])).network
    assert network.n_neurons == 0
    fresh = np.mean((network.predict(x[n_rows:]) - y[n_rows:]) ** 2)
    assert fresh < 1.1 * np.mean((np.mean(y[:n_rows]) - y[n_rows:]) ** 2)


@pytest.mark.parametrize(("place", "value"), [("X", np.nan), ("X", -np.inf), ("y", np.inf), ("y", np.nan)])
def test_values_that_are_not_finite(generic, place, value):
    _, x, y = generic
    x, y = x.copy(), y.copy()
    if place == "X":
        x[1234, 5] = value
    else:
        y[1234] = value
    with pytest.raises(DataError, match=f"{place}.*row 1234"):
        learn(scan_array(x, y))


# Noise.


@pytest.mark.slow
def test_noise_alone_has_no_structure():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((4000, 5))
        result = learn(scan_array(x, rng.standard_normal(4000)))
        assert (result.report.status, result.network.n_neurons) == ("no structure", 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_noisy_labels_are_fitted_as_well_as_from_the_truth(seed):
    teacher = teachers.generic(10, 3, rng=seed)
    x, y = teacher.sample(20_000, rng=seed + 10, noise=0.2)
    result = learn(scan_array(x, y), fit_bias=False)
    assert result.report.status == "noise floor"
    assert result.network.n_neurons == 3
    # Least squares with the true gates: what the error would be if these were known.
    gates = (x @ teacher.network.weights.T > 0).astype(float)
    columns = (gates[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    oracle = columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
    truth = teacher.network.predict(x)
    assert np.mean((result.network.predict(x) - truth) ** 2) < 1.3 * np.mean((oracle - truth) ** 2)
    low, high = result.report.risk_interval
    assert low < 0.042
    assert high > 0.038


# The same answer.


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_bits_do_not_depend_on_threads_or_source(tmp_path, noise):
    teacher = teachers.biased(5, 2, rng=4)
    x, y = teacher.sample(9000, rng=5, noise=noise)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(x))

    def found(samples, n_jobs):
        return learn(samples, 3, n_jobs=n_jobs, settings=Settings(**SMALL_BUDGET)).network

    reference = found(scan_array(x, y), 1)
    assert reference.n_neurons == 2
    for n_jobs in (2, 3, None):
        same_bits(reference, found(scan_array(x, y), n_jobs))
    same_bits(reference, found(scan_array(np.asfortranarray(x), y), 2))
    same_bits(reference, found(scan_array(np.repeat(x, 2, axis=1)[:, ::2], y[::-1].copy()[::-1]), None))
    same_bits(reference, found(scan_npy(tmp_path / "x.npy", tmp_path / "y.npy"), 2))
    same_bits(reference, found(scan_npy(tmp_path / "fortran.npy", tmp_path / "y.npy"), None))


def test_the_estimator_has_the_bits_of_the_driver(generic):
    _, x, y = generic
    same_bits(learn(scan_array(x, y)).network, ReLUNetRegressor().fit(x, y).network_)


@pytest.mark.parametrize("random_state", [1, 2, 12345])
def test_seed_changes_nothing_where_labels_are_clean(generic, random_state):
    teacher, x, y = generic
    exactly(learn(scan_array(x, y), random_state=random_state), teacher)


# The report.


def test_report_tells_what_happened(generic):
    _, x, y = generic
    report = learn(scan_array(x, y)).report
    assert (report.n_rows, report.n_features, report.n_neurons) == (*x.shape, 3)
    assert report.rank >= 3
    assert len(report.spectrum) == 6
    assert np.all(np.diff(report.spectrum) <= 0)
    assert sum(stage.sweeps for stage in report.stages) == report.sweeps
    assert report.rows_read == report.sweeps * len(y)
    assert report.label_rms == pytest.approx(np.std(y))
    assert report.errors_per_sweep[-1] < 1e-12
    assert [level.n_clumps for level in report.scales if level.chosen] == [3]


def test_the_error_of_the_affine_function_is_the_first_that_is_recorded(generic):
    _, x, y = generic
    report = learn(scan_array(x, y), 3).report
    affine = np.column_stack([x, np.ones(len(x))])
    residual = y - affine @ np.linalg.lstsq(affine, y, rcond=None)[0]
    # It is measured on the rows that are fitted, seven in eight.
    assert report.errors_on_sample[0] == pytest.approx(np.sqrt(np.mean(residual**2)), rel=0.05)


def test_sums_that_are_restored_are_not_counted_as_read(generic, tmp_path):
    _, x, y = generic
    first, again = (learn(scan_array(x, y), 3, checkpoint=tmp_path).report for _ in range(2))
    assert first.rows_read == first.sweeps * len(y) > 0
    assert (again.sweeps, again.rows_read) == (0, 0)
    assert again.risk == first.risk


@pytest.mark.parametrize("switch", [{"clumping": False}, {"polish": False}, {"blur_widths": ()}, {"max_rounds": 1}])
def test_settings_switch_ideas_off(generic, switch):
    _, x, y = generic
    noisy = y + 0.1 * np.random.default_rng(0).standard_normal(len(y))
    whole, without = (
        learn(scan_array(x, noisy), 3, settings=Settings(**SMALL_BUDGET, **s)).report for s in ({}, switch)
    )
    if switch == {"polish": False}:
        assert without.risk > whole.risk
        assert len(without.errors_per_sweep) == 1
    if switch == {"clumping": False}:
        assert len(without.scales) == 1 < len(whole.scales)
    assert "polish" in {stage.name for stage in without.stages}


def test_progress_counts_the_rows(generic):
    _, x, y = generic
    seen = []
    learn(scan_array(x, y), progress=lambda *state: seen.append(state))
    assert all(0 <= done <= total for _, done, total in seen)
    stages = {stage.name for stage in learn(scan_array(x, y)).report.stages}
    # Sweeps are counted in rows; searches and polishes in memory have units of their own.
    assert {stage for stage, _, total in seen if total == len(y)} <= stages
    assert {stage for stage, _, total in seen if total != len(y)} <= {"search", "first polish"}


@pytest.mark.slow
def test_no_structure_tells_the_rows_that_would_show_some():
    def fitted(n_rows, share, seed):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((n_rows, 10))
        # |u·x| explains 1 - 2/π beside an affine function, and is not correlated with one.
        signal = np.abs(x[:, 0]) * np.sqrt(share / (1 - 2 / np.pi))
        return learn(scan_array(x, signal + np.sqrt(1 - share) * rng.standard_normal(n_rows)), n_neurons=1)

    share = 0.004
    few = [fitted(3000, share, seed).report for seed in range(4)]
    hidden = [report for report in few if report.status == "no structure"]
    assert hidden
    assert all(report.visible_share > share for report in hidden)
    assert all("rows" in report.messages[-1] for report in hidden)
    enough = int(np.mean([report.rows_for(share) for report in hidden]))
    assert all(fitted(2 * enough, share, seed).network.n_neurons == 1 for seed in range(4))


def test_a_share_of_the_variance_is_checked():
    rng = np.random.default_rng(0)
    report = learn(scan_array(rng.standard_normal((2000, 3)), rng.standard_normal(2000))).report
    for share in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(ArgumentError, match="share"):
            report.rows_for(share)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_neurons_that_noise_nearly_hides_are_found_where_they_cancel(seed):
    rng = np.random.default_rng([seed, 30, 5, 7])
    angles = np.array([0.0, 0.6, 0.66, 0.666, 1.6])
    axes = _relunet.svd(rng.standard_normal((30, 2)))[0].T
    network = ReLUNetwork(np.column_stack([np.cos(angles), np.sin(angles)]) @ axes, [1.0, -1.0, 2.0, -1.5, 1.0])
    x = rng.standard_normal((40_000, 30))
    f = network.predict(x)
    noise = 0.1 * f.std()
    result = learn(scan_array(x, f + noise * rng.standard_normal(len(f))), n_neurons=5, fit_bias=False)
    # -1 and 2 - 1.5 at 0.06 rad are resolved, 2 and -1.5 at 0.006 rad are not: four neurons of 30 weights.
    assert result.network.n_neurons == 4
    error = np.mean((result.network.predict(x) - f) ** 2)
    assert error < 1.5 * noise**2 * 4 * 30 / len(f)

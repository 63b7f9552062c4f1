"""`learn` on unusual samples and arguments: it either raises a clear error or returns a sensible fit."""

from __future__ import annotations

import warnings

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relunet import ArgumentError, DataError, ReLUNetRegressor, ReLUNetwork, _relunet, learn, scan_array, teachers
from relunet.errors import FileError, RelunetError
from relunet.fitting.in_memory import InMemoryFit
from relunet.fitting.settings import Settings
from relunet.fitting.sketched import SketchedFit
from relunet.fitting.trace import Trace
from relunet.moments import RiskMoments, sweep, threads

# Noisy labels spend the budgets of all searches; these are small.
QUICK = Settings(direct_budget=400_000_000, efforts=(50_000_000, 100_000_000), last_effort=50_000_000)
DENSE_OR_SKETCHED = pytest.mark.parametrize("max_dense", [1000, 1])


@pytest.fixture(scope="module")
def planted():
    teacher = teachers.generic(6, 3, rng=0)
    return teacher, *teacher.sample(4000, rng=1)


# Types of numbers.


@pytest.mark.slow
@DENSE_OR_SKETCHED
@pytest.mark.parametrize("x_type", ["f2", "f4", "f8", "i4"])
@pytest.mark.parametrize("y_type", ["f4", "f8"])
def test_neurons_are_as_many_for_every_type(planted, x_type, y_type, max_dense):
    teacher, x, _ = planted
    x = (1000 * x if x_type == "i4" else x).astype(x_type)
    y = teacher.network.predict(x.astype(np.float64)).astype(y_type)
    for labels in (y, y.astype(np.float64)):
        samples = scan_array(x, labels)
        # Of samples in double precision, labels with the digits of single precision are rounded ones.
        rounded = y_type == "f4" and samples.dtype != np.float32 and max_dense > 1
        report = learn(samples, max_dense=max_dense).report
        assert (report.status, report.n_neurons) == ("noise floor" if rounded else "exact", 3)
        assert any("few digits" in message for message in report.messages) == rounded


@pytest.mark.slow
def test_labels_in_single_precision_of_a_larger_network():
    x, y = teachers.generic(10, 3, rng=0).sample(20_000, rng=1)
    report = learn(scan_array(x, y.astype(np.float32))).report
    assert (report.status, report.n_neurons) == ("noise floor", 3)
    assert any("few digits" in message for message in report.messages)


# Sizes of numbers.


@DENSE_OR_SKETCHED
@pytest.mark.parametrize("factor", [1e-310, 1e-200, 1e-170, 1e-60, 1e60, 1e160, 1e200])
def test_values_too_large_or_too_small(planted, factor, max_dense):
    _, x, y = planted
    for name, samples in {
        "X": scan_array(x * factor, y),
        "y": scan_array(x, y * factor),
        "sample_weight": scan_array(x, y, np.full(len(y), factor)),
    }.items():
        with pytest.raises(DataError, match=f"^{name}: values of size .*expected sizes between 1e-50 and 1e.50"):
            learn(samples, 3, max_dense=max_dense)


@DENSE_OR_SKETCHED
@pytest.mark.parametrize(("of_x", "of_y"), [(1e45, 1e45), (1e45, 1e-45), (1e-45, 1e45), (1e-45, 1e-45)])
def test_values_that_are_not_too_large_or_too_small(planted, of_x, of_y, max_dense):
    _, x, y = planted
    report = learn(scan_array(x * of_x, y * of_y, np.full(len(y), 1e-45)), 3, max_dense=max_dense).report
    assert (report.status, report.n_neurons) == ("exact", 3)


@DENSE_OR_SKETCHED
@pytest.mark.parametrize("offset", [0.0, 1 / 3, 1e9 / 7])
def test_constant_labels_with_weights(offset, max_dense):
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((30_000, 3)), rng.uniform(size=30_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = learn(scan_array(x, np.full(len(x), offset), weight), max_dense=max_dense).report
    assert (report.status, report.n_neurons) == ("exact", 0)
    assert report.label_rms < 1e-10 * max(offset, 1)


@pytest.mark.parametrize("offset", [1e7, 1e8, 1e12])
def test_means_far_from_zero_are_told_and_do_not_break_the_polish(planted, offset):
    _, x, y = planted
    with pytest.warns(UserWarning, match=r"X: means are up to .* standard deviations from zero.*: subtract them"):
        result = learn(scan_array(x[:3000] + offset, y[:3000]), 2, settings=QUICK)
    assert np.isfinite(result.network.weights).all()


def test_constant_features_of_many_rows_are_constant_in_sketches():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.standard_normal((300_000, 2)), np.full((300_000, 2), [1000.1, 1 / 3])])
    result = learn(scan_array(x, x[:, 0] + 1), max_dense=1)
    assert result.report.status == "exact"
    assert not result.network.linear[2:].any()


# Weights of rows.


@DENSE_OR_SKETCHED
def test_rows_without_weight_are_not_counted(max_dense):
    rng = np.random.default_rng(0)
    x, y, weight = rng.standard_normal((3000, 4)), rng.standard_normal(3000), np.zeros(3000)
    weight[:1] = 1.0
    with pytest.raises(DataError, match="sample_weight: 1 of 3000 rows have a weight above zero, at least 2 are"):
        learn(scan_array(x, y, weight), max_dense=max_dense)
    weight[:9] = 1.0
    with pytest.warns(UserWarning, match="9 rows are too few for a neuron, about"):
        result = learn(scan_array(x, y, weight), max_dense=max_dense)
    assert (result.report.status, result.network.n_neurons) == ("no structure", 0)


@pytest.mark.slow
@DENSE_OR_SKETCHED
@pytest.mark.parametrize("kind", ["few", "exponential", "lognormal"])
def test_weights_do_not_make_structure_of_noise(kind, max_dense):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        x, y = rng.standard_normal((4000, 5)), rng.standard_normal(4000)
        weight = {
            "few": (rng.uniform(size=4000) < 0.1).astype(float),
            "exponential": rng.exponential(size=4000),
            "lognormal": rng.lognormal(sigma=1.5, size=4000),
        }[kind]
        with pytest.warns(UserWarning, match="nothing but an affine function stands out"):
            report = learn(scan_array(x, y, weight), 4, max_dense=max_dense).report
        assert (report.status, report.n_neurons) == ("no structure", 0)


@DENSE_OR_SKETCHED
def test_one_row_that_outweighs_all(planted, max_dense):
    _, x, y = planted
    weight = np.where(np.arange(len(y)) == 5, 1e20, 1.0)
    with pytest.warns(UserWarning, match="1 rows are too few for a neuron"):
        network = learn(scan_array(x, y, weight), max_dense=max_dense).network
    assert abs(network.predict(x[5:6])[0] - y[5]) < 1e-6


# Arguments.


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("random_state", -1, "random_state: -1, expected an integer of at least 0"),
        ("random_state", None, "random_state: None, expected"),
        ("random_state", 10**30, "random_state: "),
        ("fit_bias", "no", "fit_bias: 'no', expected True or False"),
        ("fit_bias", 2, "fit_bias: 2"),
        ("fit_linear", 1, "fit_linear: 1, expected True, False or 'auto'"),
        ("fit_linear", np.array([1.0, 2.0]), "fit_linear: "),
        ("verbose", "2", "verbose: '2', expected an integer"),
        ("max_dense", 0, "max_dense: 0"),
        ("n_jobs", 2.0, "n_jobs: 2.0, expected an integer or None"),
        ("n_jobs", "all", "n_jobs: 'all'"),
        ("n_jobs", True, "n_jobs: True"),
        ("progress", "bar", "progress: 'bar', expected a function"),
        ("start", 3, "start: int, expected a ReLUNetwork"),
        ("start", ReLUNetwork(np.ones((1, 6)), np.ones((2, 1))), "start: 2 outputs, expected one"),
        ("start", ReLUNetwork(np.ones((1, 5)), [1.0]), "start: 5 features and 1 neurons, expected 6 features"),
    ],
)
def test_arguments_are_named_before_a_row_is_read(planted, name, value, message):
    _, x, y = planted
    seen = []
    with pytest.raises(ArgumentError, match=f"^{message}"):
        learn(scan_array(x, y), **{"progress": lambda *state: seen.append(state), name: value})
    assert not seen


def test_samples_are_named(planted):
    _, x, y = planted
    for call in (lambda: learn(x, 2), lambda: learn(None), lambda: sweep(x, [])):
        with pytest.raises(ArgumentError, match=r"^samples: (ndarray|NoneType), expected Samples, as scan_array"):
            call()
    with pytest.raises(ArgumentError, match="^n_jobs: 'a', expected an integer or None"):
        sweep(scan_array(x, y), [], n_jobs="a")
    for sums in (RiskMoments(ReLUNetwork(np.ones((1, 6)), [1.0])), [3], "ab"):
        with pytest.raises(ArgumentError, match="^accumulators: .*expected a list of accumulators"):
            sweep(scan_array(x, y), sums)
    with pytest.raises(FileError, match="^checkpoint: .* is no folder"):
        learn(scan_array(x, y), checkpoint=__file__)
    with pytest.raises(ArgumentError, match="^network: int, expected a ReLUNetwork"):
        RiskMoments(3)


def test_booleans_of_numpy_are_booleans(planted):
    _, x, y = planted
    samples = scan_array(x[:3000], y[:3000] + x[:3000] @ np.arange(6.0))
    for flag in (True, False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            first, second = (
                learn(samples, 3, fit_bias=kind(False), fit_linear=kind(flag), settings=QUICK).network
                for kind in (bool, np.bool_)
            )
        assert first == second
        assert first.linear.any() == flag


def test_threads_are_counted(planted):
    _, x, y = planted
    assert [threads(n) for n in (None, 0, -1, 3, np.int64(2), 10**30)] == [None, None, None, 3, 2, 256]
    networks = [learn(scan_array(x, y), 3, n_jobs=n_jobs).network for n_jobs in (1, -1, 10**9)]
    assert networks[0] == networks[1] == networks[2]


def test_every_sweep_takes_the_threads_that_it_is_given(planted, monkeypatch):
    _, x, y = planted
    asked, original = [], _relunet.sweep

    def counted(*arguments, n_threads=None, **options):
        asked.append(n_threads)
        return original(*arguments, n_threads=n_threads, **options)

    monkeypatch.setattr(_relunet, "sweep", counted)
    for max_dense in (1000, 1):
        learn(scan_array(x, y), 3, n_jobs=2, max_dense=max_dense)
    assert len(asked) > 20
    assert set(asked) == {2}


# What the user is told.


@pytest.mark.slow
def test_warnings_point_to_the_line_of_the_user(planted):
    _, x, y = planted
    labels = np.random.default_rng(0).standard_normal(len(y))
    for call in (
        lambda: learn(scan_array(x, labels)),
        lambda: learn(scan_array(x, labels), max_dense=1),
        lambda: learn(scan_array(x[:15], labels[:15])),
        lambda: ReLUNetRegressor().fit(x, labels),
    ):
        with pytest.warns(UserWarning, match="nothing but an affine|too few for a neuron") as caught:
            call()
        assert {(w.filename, w.lineno) for w in caught} == {(__file__, call.__code__.co_firstlineno)}
    model = ReLUNetRegressor(1).fit(pandas.DataFrame(x, columns=list("abcdef")), np.maximum(x[:, 0], 0))
    for call in (
        lambda: model.predict(x),
        lambda: model.score(x, y[:, None]),
        lambda: ReLUNetRegressor(1).fit(x, np.maximum(x[:, :1], 0)),
    ):
        with pytest.warns(UserWarning, match="feature names|column-vector") as caught:
            call()
        assert {(w.filename, w.lineno) for w in caught} == {(__file__, call.__code__.co_firstlineno)}


@pytest.mark.parametrize("kind", [InMemoryFit, SketchedFit])
def test_a_spent_budget_says_what_to_try(planted, kind):
    teacher, x, y = planted
    trace = Trace(scan_array(x, y), 1, None)
    with trace.stage("validation"):
        fit = kind(trace, 3, fit_bias=True, fit_linear="auto", seed=0)
        poor = ReLUNetwork(teacher.network.weights[:2], teacher.network.output_weights[:2])
        with pytest.warns(UserWarning, match="structure is left .*: more rows or another seed may"):
            assert fit.status(poor, 3, None) == "budget"
        with pytest.warns(UserWarning, match="2 neurons do not explain the labels"):
            assert fit.status(poor, 2, None) == "budget"
    assert any("structure is left" in message for message in trace.messages)


def test_the_network_of_the_risk_is_named(planted):
    _, x, y = planted
    dense, sketched = (learn(scan_array(x, y), 3, max_dense=max_dense).report for max_dense in (1000, 1))
    assert dense.risk_network == "the network that is returned"
    assert sketched.risk_network == "the network fitted to all rows"


# Sweeps.


def test_what_a_polish_has_told_is_not_swept_again(planted):
    _, x, y = planted
    trace = Trace(scan_array(x, y), 1, None)
    with trace.stage("polish"):
        fit = SketchedFit(trace, 3, fit_bias=True, fit_linear="auto", seed=0)
        network = fit.polished(teachers.generic(6, 3, rng=0).network, linear=False)
        swept = trace.n_sweeps
        assert fit.polished_on_all(network) is network
        assert fit.is_exact(network)
        assert fit.status(network, 3, None) == "exact"
        assert trace.n_sweeps == swept
        # A linear part is more to fit.
        fit.polished(network, linear=True)
        assert trace.n_sweeps > swept


def test_the_last_network_is_not_measured_again(planted):
    _, x, y = planted
    report = learn(scan_array(x, y), 3).report
    assert [stage.sweeps for stage in report.stages if stage.name == "validation"] == [0]
    assert report.errors_per_sweep[-1] == pytest.approx(report.risk**0.5, rel=10)


# Whatever comes.


@pytest.mark.slow
@settings(max_examples=200)
@given(
    n_rows=st.integers(1, 150),
    n_columns=st.integers(1, 4),
    seed=st.integers(0, 2**16),
    kind=st.sampled_from(["gaussian", "integers", "repeated", "constant", "binary", "lopsided"]),
    weights=st.sampled_from(["none", "zeros and ones", "tiny and huge"]),
    options=st.fixed_dictionaries(
        {
            "fit_bias": st.booleans(),
            "fit_linear": st.sampled_from([True, False, "auto"]),
            "max_dense": st.sampled_from([1, 1000]),
            "n_neurons": st.sampled_from([None, 1, 3]),
        }
    ),
)
def test_few_rows_of_any_kind_end_in_a_network_or_in_an_error_of_our_own(
    n_rows, n_columns, seed, kind, weights, options
):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n_rows, n_columns))
    x = {
        "gaussian": x,
        "integers": np.round(2 * x),
        "repeated": np.repeat(x[:1], n_rows, axis=0) + np.arange(n_rows)[:, None] % 2,
        "constant": np.full_like(x, 7.1),
        "binary": (x > 0).astype(float),
        "lopsided": x * 10.0 ** -np.arange(0, 4 * n_columns, 4),
    }[kind]
    y = np.abs(x[:, 0]) + (rng.standard_normal(n_rows) if seed % 2 else 0)
    weight = {
        "none": None,
        "zeros and ones": rng.integers(0, 2, n_rows).astype(float),
        "tiny and huge": 10.0 ** rng.uniform(-12, 12, n_rows),
    }[weights]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", UserWarning)
        try:
            result = learn(scan_array(x, y, weight), n_jobs=1, settings=QUICK, **options)
        except RelunetError as error:
            assert str(error).startswith(("X: ", "sample_weight: "))
        else:
            assert np.isfinite(result.network.predict(x)).all()
            assert np.isfinite(result.report.risk)
            assert result.network.n_neurons <= (options["n_neurons"] or 32)

"""Leave-one-out residuals against fits without each row, and their differences."""

from __future__ import annotations

import numpy as np
import pytest

from relunet import ReLUNetwork
from relunet.fitting.leaving_out import is_improved, left_out, lowered, winsorised
from relunet.fitting.rows import SampledRows, effective_rows, own_weight
from relunet.fitting.settings import DEFAULTS
from relunet.fitting.stages.inputs import inputs_of, shrunk
from relunet.fitting.stages.validation import Linearised
from relunet.moments import InputMoments


@pytest.fixture(scope="module")
def fit():
    """Return rows, weights that count repetitions, and the least-squares optimum with one neuron's gates fixed."""
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((60, 3)) + 1, rng.integers(1, 4, 60).astype(float)
    y = np.maximum(x[:, 0] - 1, 0) + rng.standard_normal(60)
    on = x[:, 0] > 1
    design = np.column_stack([x * on[:, None], on, x, np.ones(60)])
    return x, y, weight, design


def optimum(design, y, weight):
    root = np.sqrt(weight)
    return np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]


def test_leave_one_out_residuals_are_those_of_fits_without_a_copy_of_the_row(fit):
    x, y, weight, design = fit
    moments = InputMoments(3)
    moments.update(x, y, weight)
    inputs = inputs_of(moments, 60.0, fit_bias=True)
    network = ReLUNetwork([[1.0, 0.0, 0.0]], [1.0], [-1.0], linear=[0.0, 0.1, 0.0])
    linearised = Linearised(network, inputs, True, True)
    assert linearised.n_parameters == design.shape[1]
    leverage = linearised.leverages(x, weight)
    assert np.sum(leverage * weight) == pytest.approx(design.shape[1])
    residual = y - design @ optimum(design, y, weight)
    squares = left_out(residual, leverage, y)
    for i in (0, 7, 30):
        without = weight - (np.arange(60) == i)
        assert squares[i] == pytest.approx((y[i] - design[i] @ optimum(design, y, without)) ** 2)


def test_the_sandwich_covariance_is_that_of_the_textbook(fit):
    x, y, _, design = fit
    ones = np.ones(60)
    moments = InputMoments(3)
    moments.update(x, y)
    network = ReLUNetwork([[1.0, 0.0, 0.0]], [1.0], [-1.0], linear=[0.0, 0.1, 0.0])
    linearised = Linearised(network, inputs_of(moments, 60.0, fit_bias=True), True, True)
    squares = (y - design @ optimum(design, y, ones)) ** 2
    root = linearised.covariance_root(x, squares, ones, 1.0)
    spread = linearised.jacobian(x) @ root
    bread = np.linalg.inv(design.T @ design)
    expected = design @ bread @ (design.T * squares) @ design @ bread @ design.T
    np.testing.assert_allclose(spread @ spread.T, expected, atol=1e-10)


def test_rows_that_determine_a_parameter_alone_count_as_unexplained():
    squares = left_out(np.array([1e-9, 0.5]), np.array([1.0, 0.5]), np.array([3.0, 2.0]))
    np.testing.assert_allclose(squares, [9.0, 1.0])


def test_repeated_rows_weigh_as_their_number():
    rng = np.random.default_rng(0)
    before, after, weight = rng.exponential(size=50), rng.exponential(size=50), rng.integers(1, 5, 50)
    each = np.repeat(np.arange(50), weight)
    told = lowered(before, after, weight.astype(float))
    assert told == pytest.approx(lowered(before[each], after[each], np.ones(len(each))))
    assert effective_rows(weight.astype(float)) == len(each)
    assert effective_rows(np.full(10, 0.5)) == pytest.approx(10)
    np.testing.assert_array_equal(own_weight(np.array([2.0, 3.0])), [1, 1])


def test_the_penalty_of_the_affine_function_is_that_of_leave_one_out_ridge():
    from sklearn.linear_model import RidgeCV

    rng = np.random.default_rng(3)
    x = rng.standard_normal((40, 30))
    y = x[:, :3].sum(axis=1) + 2 * rng.standard_normal(40)
    moments = InputMoments(30)
    moments.update(x, y)
    rows = SampledRows(x, y, np.ones(40), 35, 40.0, 1)
    network = shrunk(inputs_of(moments, 40.0, fit_bias=True), rows).affine_network()
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    ridge = RidgeCV(40 * np.logspace(-6, 3, 28)).fit(scaled, y)
    # Leverages here count the mean, which RidgeCV fits with the slopes.
    np.testing.assert_allclose(network.predict(x), ridge.predict(scaled), atol=0.05)


def test_a_handful_of_rows_does_not_decide_a_comparison():
    """Ten rows of 1000 lower the mean of squares, while all others are a little worse."""
    rng = np.random.default_rng(0)
    before = rng.standard_normal(1000) ** 2
    before[:900:90] = 400.0
    after = np.where(before == 400.0, 100.0, before * 1.5)
    assert np.mean(after) < np.mean(before)
    assert not is_improved(before, after, np.ones(1000), 900, DEFAULTS)
    assert is_improved(before, before * 0.9, np.ones(1000), 900, DEFAULTS)


def test_rows_held_out_must_favour_a_fit_where_the_noise_is_uneven():
    """The fitted rows speak for a fit, those held out very slightly against it: enough for noise of even size only."""
    even, uneven = np.ones(1000), np.ones(1000)
    uneven[:900:45] = 100.0
    unseen = 1.001 + 0.1 * np.tile([1.0, -1.0], 50)
    for before, is_enough in ((even, True), (uneven, False)):
        after = np.append(before[:900] * 0.97, unseen)
        assert is_improved(before, after, np.ones(1000), 900, DEFAULTS) == is_enough


def test_huber_loss():
    np.testing.assert_allclose(winsorised(np.array([0.0, 4.0, 9.0, 100.0]), 9.0), [0.0, 4.0, 9.0, 2 * 3 * 10 - 9])

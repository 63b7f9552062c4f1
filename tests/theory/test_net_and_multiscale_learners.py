"""The learners of [CDGKM23] and [CN24]: on exact moments and samples they reach the requested error or raise `Fail`."""

from __future__ import annotations

import numpy as np
import pytest

from relunet import ArgumentError, ReLUNetwork, scan_array, teachers
from relunet.theory import (
    AbsoluteForm,
    Fail,
    MultiScaleLearner,
    MultiScaleOverrides,
    NetLearner,
    NetOverrides,
    PopulationMoments,
    SampleMoments,
)
from relunet.theory.paths import SearchLimits

LEARNERS = [MultiScaleLearner, NetLearner]
HOMOGENEOUS = [
    ("generic", 10, 2),
    ("generic", 10, 3),
    ("positive", 10, 3),
    ("plane", 6, 3),
    ("close_pair", 10, 2),
    ("close_pair", 6, 3),
    ("level_fan", 8, 2),
    ("level_fan", 6, 4),
]


def relative_error(found: ReLUNetwork, teacher: ReLUNetwork) -> float:
    return found.gaussian_distance(teacher) / AbsoluteForm.of(teacher).residual_norm()


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize(("family", "n_features", "n_neurons"), HOMOGENEOUS)
def test_exact_moments(learner, family, n_features, n_neurons):
    teacher = teachers.FAMILIES[family](n_features, n_neurons, 7).network
    found = learner(n_neurons, random_state=1).learn(PopulationMoments(teacher))
    assert relative_error(found.network, teacher) < 0.01
    assert found.error == pytest.approx(relative_error(found.network, teacher), abs=1e-7)
    assert found.network.n_neurons <= n_neurons
    assert found.cost.tried > 0
    assert found.cost.log10_paths > np.log10(found.cost.tried) - 1, "the whole tree has more paths than were tried"


@pytest.mark.slow
@pytest.mark.parametrize("learner", LEARNERS)
def test_more_tuples_than_can_be_tried_go_through_a_beam(learner):
    teacher = teachers.generic(10, 4, 3).network
    found = learner(4).learn(PopulationMoments(teacher))
    assert relative_error(found.network, teacher) < 0.01
    assert not found.cost.exhaustive


def test_neurons_closer_than_the_coarse_net_are_told_apart():
    teacher = teachers.arc_scales(5, 4, 0).network  # gaps of 0.5, 0.05 and 0.005
    clumped = MultiScaleLearner(4).learn(PopulationMoments(teacher))
    apart = MultiScaleLearner(4, epsilon=1e-3).learn(PopulationMoments(teacher))
    assert clumped.network.n_neurons < apart.network.n_neurons == 4
    assert relative_error(apart.network, teacher) < 1e-3


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize(
    "network",
    [
        teachers.generic(5, 3, 0).network,
        teachers.level_fan(5, 4, 0).network,
        teachers.biased(3, 1, 0).network,
        ReLUNetwork([[1.0, 0.0]], [1.0], intercept=1.0),
        ReLUNetwork(np.zeros((0, 2)), [], intercept=1.0),
    ],
    ids=["three", "fan", "biased", "intercept", "constant"],
)
def test_a_broken_promise_is_a_fail(learner, network):
    with pytest.raises(Fail, match="no estimate with a relative error of") as failure:
        learner(2).learn(PopulationMoments(network))
    best = failure.value.best
    assert best is not None
    assert best.risk == pytest.approx(network.gaussian_distance(best.network) ** 2, abs=1e-12)


@pytest.mark.parametrize("learner", LEARNERS)
def test_networks_that_need_no_search(learner):
    linear = learner(2).learn(PopulationMoments(ReLUNetwork(np.zeros((0, 3)), [], linear=[1.0, -2.0, 0.0])))
    assert linear.network.n_neurons == 0
    np.testing.assert_allclose(linear.network.linear, [1.0, -2.0, 0.0])
    opposite = learner(2).learn(PopulationMoments(ReLUNetwork([[1.0, 0.0], [-2.0, 0.0]], [1.0, 3.0])))
    assert opposite.network.n_neurons == 1, "opposite neurons are one direction and a linear part"
    assert opposite.risk < 1e-20


@pytest.mark.slow
@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize(("family", "n_neurons", "epsilon"), [("close_pair", 2, 0.1), ("level_fan", 4, 0.3)])
def test_samples(learner, family, n_neurons, epsilon):
    teacher = teachers.FAMILIES[family](4, n_neurons, 1)
    samples, fresh = (scan_array(*teacher.sample(n, rng=n)) for n in (100_000, 20_000))
    moments = SampleMoments(samples, fresh, search_rows=1000)
    found = learner(n_neurons, epsilon).learn(moments)
    assert relative_error(found.network, teacher.network) < epsilon


@pytest.mark.parametrize("learner", LEARNERS)
def test_too_few_samples_are_a_fail(learner):
    teacher = teachers.generic(6, 2, 0)
    with pytest.raises(Fail):
        learner(2).learn(SampleMoments(scan_array(*teacher.sample(300, rng=1))))


@pytest.mark.parametrize("learner", LEARNERS)
def test_rows_that_any_network_fits_validate_none(learner):
    with pytest.raises(Fail, match="2 rows are too few to validate it"):
        learner(2).learn(SampleMoments(scan_array([[1.0, 0.5], [2.0, -1.0]], [1.0, 2.0])))


@pytest.mark.slow
def test_noise_is_allowed_for_where_its_variance_is_known():
    teacher = teachers.generic(4, 2, 0)
    samples = scan_array(*teacher.sample(100_000, rng=1, noise=0.1))
    with pytest.raises(Fail):
        MultiScaleLearner(2).learn(SampleMoments(samples))
    found = MultiScaleLearner(2).learn(SampleMoments(samples, noise_variance=0.01))
    assert relative_error(found.network, teacher.network) < 0.05


def test_a_later_round_sees_what_the_variance_of_the_first_hid():
    rng = np.random.default_rng(0)
    u = np.linalg.qr(rng.standard_normal((5, 2)))[0].T
    teacher = ReLUNetwork(u, [4.0, 0.12])
    x = rng.standard_normal((50_000, 5))
    samples = scan_array(x, teacher.predict(x))
    swept = MultiScaleLearner(2, 0.025).learn(SampleMoments(samples))
    assert (swept.cost.rounds, swept.network.n_neurons) == (2, 2)
    with pytest.raises(Fail):
        MultiScaleLearner(2, 0.025).learn(SampleMoments(samples, subtract=True))


def test_weights_from_the_net_of_the_paper():
    teacher = teachers.generic(5, 2, 0).network
    limits = SearchLimits(bound=2.0, weight_net=0.01)
    for learner in (
        NetLearner(2, overrides=NetOverrides(net=limits)),
        MultiScaleLearner(2, overrides=MultiScaleOverrides(net=limits)),
    ):
        found = learner.learn(PopulationMoments(teacher))
        np.testing.assert_allclose(found.form.lam, np.round(found.form.lam, 2), atol=1e-12)
        assert relative_error(found.network, teacher) < 0.05


def test_weights_beyond_the_bound_are_no_guess():
    teacher = teachers.close_pair(4, 2, 0).network  # λ = ±2.5
    with pytest.raises(Fail):
        NetLearner(2, overrides=NetOverrides(net=SearchLimits(bound=1.0))).learn(PopulationMoments(teacher))


def test_the_span_of_the_lemma_runs_where_it_is_not_all_of_space():
    teacher = teachers.generic(9, 2, 0).network
    found = MultiScaleLearner(2, overrides=MultiScaleOverrides(cut=None)).learn(PopulationMoments(teacher))
    assert relative_error(found.network, teacher) < 0.05


def test_sharp_degrees_suffice():
    learner = NetLearner(3, overrides=NetOverrides(sharp_degrees=True))
    assert (list(learner.degrees), NetLearner(3).degrees[-1]) == ([2, 4, 6], 20)
    teacher = teachers.close_pair(6, 3, 2).network
    assert relative_error(learner.learn(PopulationMoments(teacher)).network, teacher) < 0.05


def test_the_estimate_tells_its_scales():
    teacher = teachers.close_pair(5, 3, 1).network
    found = MultiScaleLearner(3).learn(PopulationMoments(teacher))
    assert found.scales is not None
    assert all(found.scales.gapped_scales(i) for i in range(3))
    assert all(found.scales.is_detectable(i, found.scales.gapped_scales(i)[-1]) for i in range(3))


@pytest.mark.parametrize("learner", LEARNERS)
def test_same_bits(learner):
    teacher = teachers.plane(5, 2, 0)
    x, y = teacher.sample(30_000, rng=0)
    forms = [
        learner(2, 0.2).learn(SampleMoments(scan_array(given, y), n_jobs=jobs)).form
        for given, jobs in ((x, 1), (np.asfortranarray(x), 2))
    ]
    for a, b in zip(*forms, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("learner", LEARNERS)
def test_arguments(learner):
    moments = PopulationMoments(teachers.generic(3, 1, 0).network)
    with pytest.raises(ArgumentError, match="n_neurons: 0"):
        learner(0)
    with pytest.raises(ArgumentError, match=r"epsilon: 1\.5"):
        learner(1, 1.5).learn(moments)
    with pytest.raises(ArgumentError, match=r"delta: 0\.0"):
        learner(1, delta=0.0).learn(moments)

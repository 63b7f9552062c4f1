"""Scales: coarser networks are near the finer ones, and blurred kinks show where they are blurred."""

from __future__ import annotations

import numpy as np
import pytest

from relunet import ReLUNetwork
from relunet.fitting.stages.scales import blurred, coarser
from relunet.fitting.stages.whitening import Whitening


def isotropic(mean):
    return Whitening(mean, np.eye(len(mean)), np.eye(len(mean)))


def pair(d, angle, signs, rng):
    axes = np.linalg.qr(rng.standard_normal((d, 2)))[0].T
    weights = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]]) @ axes
    return ReLUNetwork(weights, signs), axes


@pytest.mark.parametrize("signs", [[1.0, 1.0], [2.0, -0.7]])
def test_two_neurons_differ_from_their_centroid_by_the_angle_to_three_halves(signs):
    rng = np.random.default_rng(0)
    errors = []
    for angle in (0.2, 0.02):
        network, _ = pair(6, angle, signs, rng)
        fused = next(level for level in coarser(network, isotropic(np.zeros(6))) if level.pair == (0, 1))
        assert fused.scale == pytest.approx(angle)
        assert fused.merged((0, 1)) == (0, 0)
        errors.append(network.gaussian_distance(fused.network))
    assert errors[0] / errors[1] == pytest.approx(10**1.5, rel=0.15)


@pytest.mark.parametrize("bias", [0.0, 0.5])
@pytest.mark.parametrize("signs", [[1.0, 1.0], [2.0, -0.7]])
def test_the_direction_between_two_neurons_is_found(bias, signs):
    d, angle = 20, 0.15
    rng = np.random.default_rng(1)
    network, axes = pair(d, angle, signs, rng)
    network = ReLUNetwork(network.weights, network.output_weights, [bias, bias])
    mean = rng.standard_normal(d)
    shifted = ReLUNetwork(network.weights, network.output_weights, network.biases - network.weights @ mean)
    z = rng.standard_normal((30_000, d))
    one = next(level for level in coarser(shifted, isotropic(mean)) if level.pair == (0, 1)).network
    residual = shifted.predict(z + mean) - one.predict(z + mean)
    noise = 0.02 * rng.standard_normal(len(z))
    found = blurred(one, z, residual + noise, isotropic(mean))
    u = one.weights[0] / np.linalg.norm(one.weights[0])
    off = axes[1] - (axes[1] @ u) * u
    assert found.shape[1] == 1
    assert abs(found[:, 0] @ off) / np.linalg.norm(off) > 0.95


def test_noise_blurs_nothing():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        network = ReLUNetwork(rng.standard_normal((3, 15)), [1.0, -1.0, 2.0], rng.standard_normal(3))
        z = rng.standard_normal((5000, 15))
        assert blurred(network, z, rng.standard_normal(5000), isotropic(np.zeros(15))).shape == (15, 0)


def test_few_rows_and_empty_kinks_show_nothing():
    rng = np.random.default_rng(0)
    network = ReLUNetwork(np.array([[1.0, 0.0], [0.0, 0.0]]), [1.0, 1.0], [9.0, 1.0])
    assert blurred(network, rng.standard_normal((50, 2)), rng.standard_normal(50), isotropic(np.zeros(2))).shape[1] == 0

"""Minimal width in one dimension: n kinks need n, n + 1 or n + 2 neurons (Dereich and Kassing, arXiv 2108.05643)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from relunet import ReLUNetwork, distill


def fewest(kinks, changes, slope):
    """Fewest neurons without a linear part, from the slopes at both ends and those that neurons may have there.

    A neuron bends at one place, so that n kinks need n neurons. It adds its change of slope on its right or takes it
    away on its left: n neurons are enough if and only if some choice of sides gives the slope at the left end. Two
    neurons that bend at one place make any slope, so that n + 1 are enough if there is a kink; without one, a slope
    needs two.
    """
    n = len(kinks)
    left = [-sum(c for c, flip in zip(changes, sides, strict=True) if flip) for sides in np.ndindex(*(2,) * n)]
    if any(abs(value - slope) < 1e-9 for value in left):
        return n
    return n + 1 if n else n + 2


def function_of(kinks, changes, slope):
    """A network with the given kinks, changes of slope there, and slope at the left end."""
    return ReLUNetwork(np.ones((len(kinks), 1)), changes, -np.asarray(kinks), [slope], 0.25)


SIGNED = st.floats(0.25, 2).flatmap(lambda size: st.sampled_from([size, -size]))


@given(arrays(float, st.integers(0, 4), elements=SIGNED), SIGNED, st.booleans())
def test_one_dimensional_networks_have_minimal_width(changes, slope, attained):
    kinks = np.linspace(-1, 1, len(changes) + 2)[1:-1]
    slope = -float(np.sum(changes[::2])) if attained else slope
    network = function_of(kinks, changes, slope)
    perceptron = network.to_sklearn()
    canonical = network.canonical()
    assert canonical.n_neurons == len(kinks)
    width = len(perceptron.coefs_[0].T)
    assert width <= len(kinks) + 2
    assert width >= fewest(kinks, changes, slope)
    if len(kinks) and not attained:
        assert width == max(fewest(kinks, changes, slope), len(kinks) + bool(np.any(network.linear)))
    x = np.linspace(-3, 3, 101)[:, None]
    np.testing.assert_allclose(perceptron.predict(x), network.predict(x), atol=1e-9)


@pytest.mark.parametrize("attained", [True, False])
def test_distilled_functions_of_one_input_have_minimal_width(attained):
    kinks, changes = np.array([-0.8, 0.1, 0.9]), np.array([1.0, -2.0, 0.7])
    slope = -(changes[0] + changes[2]) if attained else 0.4
    wide = function_of(kinks, changes, slope)
    found = distill(wide.predict, 1)
    assert found.report.status == "exact"
    width = len(found.network.to_sklearn().coefs_[0].T)
    assert width == fewest(kinks, changes, slope) == 3 + (not attained)

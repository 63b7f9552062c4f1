"""Planted networks: families of examples from easy to as hard as narrow networks get, with the inputs they act on.

Every family is a function ``family(n_features, n_neurons, rng=None) -> Teacher``; `FAMILIES` names them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from relunet._typing import Array
from relunet.errors import ArgumentError
from relunet.network import ReLUNetwork

__all__ = [
    "FAMILIES",
    "Teacher",
    "anisotropic",
    "arc_scales",
    "biased",
    "close_pair",
    "fan",
    "generic",
    "level_fan",
    "overcomplete",
    "plane",
    "positive",
]

Random = int | Sequence[int] | np.random.Generator | None


@dataclass(frozen=True, eq=False)
class Teacher:
    """A planted network and the distribution ``N(mean, factor @ factor.T)`` of its inputs.

    Attributes
    ----------
    network : ReLUNetwork
        The network.
    mean : ndarray of shape (d,) or None
        Mean of the inputs; None is zero.
    factor : ndarray of shape (d, d) or None
        A factor of the covariance; None is the identity.

    Examples
    --------
    >>> from relunet import teachers
    >>> teacher = teachers.generic(20, 4, rng=0)
    >>> X, y = teacher.sample(1000, rng=1)
    >>> X.shape, y.shape
    ((1000, 20), (1000,))
    >>> bool((teacher.network.predict(X) == y).all())
    True
    """

    network: ReLUNetwork
    mean: Array | None = None
    factor: Array | None = None

    @property
    def cov(self) -> Array | None:
        """Covariance of the inputs, (d, d); None is the identity."""
        if self.factor is None:
            return None
        rows = ReLUNetwork(*_no_neurons(len(self.factor)), linear=self.factor)
        return rows.predict(self.factor)

    def sample(self, n_rows: int, rng: Random = None, noise: float = 0.0) -> tuple[Array, Array]:
        """Draw inputs and the labels that the network gives them.

        Parameters
        ----------
        n_rows : int
            Number of rows.
        rng : int, sequence of int, Generator or None, default None
            Source of random numbers, or its seed; equal seeds give equal bits.
        noise : float, default 0.0
            Standard deviation of Gaussian noise on the labels.

        Returns
        -------
        X : ndarray of float64, shape (n_rows, d)
        y : ndarray of float64, shape (n_rows,)
        """
        rng = np.random.default_rng(rng)
        X = rng.standard_normal((n_rows, self.network.n_features))
        if self.factor is not None:
            X = ReLUNetwork(*_no_neurons(len(self.factor)), linear=self.factor).predict(X)
        if self.mean is not None:
            X += self.mean
        y = self.network.predict(X)
        return X, y + noise * rng.standard_normal(n_rows) if noise else y


def generic(n_features: int, n_neurons: int, rng: Random = None) -> Teacher:
    """Independent directions, output weights of both signs and sizes from 0.5 to 1.5; no biases."""
    rng = _check(n_features, n_neurons, rng)
    return Teacher(ReLUNetwork(_directions(n_neurons, n_features, rng), _both_signs(n_neurons, rng)))


def positive(n_features: int, n_neurons: int, rng: Random = None) -> Teacher:
    """Independent directions, all output weights positive: the subspace shows in the second moment."""
    rng = _check(n_features, n_neurons, rng)
    return Teacher(ReLUNetwork(_directions(n_neurons, n_features, rng), rng.uniform(0.5, 1.5, n_neurons)))


def biased(n_features: int, n_neurons: int, rng: Random = None) -> Teacher:
    """Independent directions with biases N(0, 0.7**2), a linear part and an intercept."""
    rng = _check(n_features, n_neurons, rng)
    network = ReLUNetwork(
        _directions(n_neurons, n_features, rng),
        _both_signs(n_neurons, rng),
        biases=rng.normal(0.0, 0.7, n_neurons),
        linear=0.3 * _directions(1, n_features, rng)[0],
        intercept=rng.uniform(-0.5, 0.5),
    )
    return Teacher(network)


def anisotropic(n_features: int, n_neurons: int, rng: Random = None) -> Teacher:
    """A biased network on inputs N(mean, cov), cov of condition number 1000 in directions of its own.

    Every neuron sees an input of standard deviation 1, so that none is always on or always off.
    """
    rng = _check(n_features, n_neurons, rng)
    axes = _orthonormal(n_features, n_features, rng)
    scales = 10.0 ** np.linspace(-0.75, 0.75, n_features)
    mean = rng.standard_normal(n_features)
    # weights.x = directions.z for x = mean + sum_j scales_j z_j axes_j
    to_inputs = ReLUNetwork(*_no_neurons(n_features), linear=axes.T / scales)
    weights = to_inputs.predict(_directions(n_neurons, n_features, rng))
    biases = rng.normal(0.0, 0.7, n_neurons) - (weights * mean).sum(axis=1)
    network = ReLUNetwork(weights, _both_signs(n_neurons, rng), biases=biases, intercept=rng.uniform(-0.5, 0.5))
    return Teacher(network, mean=mean, factor=axes.T * scales)


def fan(n_features: int, n_neurons: int, rng: Random = None) -> Teacher:
    """Lines fanned evenly over a plane with alternating signs: no even moment of y below degree k sees them.

    The hard case of Diakonikolas, Kane, Kontonis, Zarifis (COLT 2020), for an even number of neurons. Its linear part
    leaks the plane.
    """
    rng = _check(n_features, n_neurons, rng, even=True, plane=True)
    angles = np.pi * np.arange(n_neurons) / n_neurons
    return Teacher(ReLUNetwork(_in_plane(angles, n_features, rng), (-1.0) ** np.arange(n_neurons)))


def level_fan(n_features: int, n_neurons: int, rng: Random = None) -> Teacher:
    """A fan whose linear part is cancelled: no moment linear in y below degree k sees anything at all."""
    rng = _check(n_features, n_neurons, rng, even=True, plane=True)
    network = fan(n_features, n_neurons, rng).network
    linear = -0.5 * (network.output_weights[:, None] * network.weights).sum(axis=0)
    return Teacher(ReLUNetwork(network.weights, network.output_weights, linear=linear))


def plane(n_features: int, n_neurons: int, rng: Random = None) -> Teacher:
    """Lines at irregular angles in one plane, neighbours at least a third of the even spacing apart."""
    rng = _check(n_features, n_neurons, rng, plane=True)
    gaps = 1.0 / 3.0 + 2.0 / 3.0 * n_neurons * rng.dirichlet(np.ones(n_neurons))
    lines = rng.uniform(0.0, np.pi) + np.cumsum(gaps) * np.pi / n_neurons
    angles = lines + np.pi * rng.integers(0, 2, n_neurons)
    return Teacher(ReLUNetwork(_in_plane(angles, n_features, rng), _both_signs(n_neurons, rng)))


def close_pair(n_features: int, n_neurons: int, rng: Random = None) -> Teacher:
    """Two neurons 0.1 rad apart with output weights 5 and -5, which nearly cancel; the others generic."""
    rng = _check(n_features, n_neurons, rng, plane=True, at_least=2)
    pair = _in_plane(np.array([0.0, 0.1]), n_features, rng)
    others = _directions(n_neurons - 2, n_features, rng)
    output_weights = np.concatenate([[5.0, -5.0], _both_signs(n_neurons - 2, rng)])
    return Teacher(ReLUNetwork(np.concatenate([pair, others]), output_weights))


def arc_scales(n_features: int, n_neurons: int, rng: Random = None) -> Teacher:
    """Neurons on an arc with gaps 0.5, 0.05, 0.005 and then 0.6 each: no single scale separates them all."""
    rng = _check(n_features, n_neurons, rng, plane=True, at_most=7)
    angles = np.cumsum([0.0, 0.5, 0.05, 0.005, 0.6, 0.6, 0.6])[:n_neurons]
    output_weights = np.array([1.0, -1.2, 2.0, -1.6, 0.8, -0.9, 1.1])[:n_neurons]
    return Teacher(ReLUNetwork(_in_plane(angles, n_features, rng), output_weights))


def overcomplete(n_features: int, n_neurons: int, rng: Random = None) -> Teacher:
    """Neurons that span only a third as many dimensions (at least two): directions far from independent."""
    rng = _check(n_features, n_neurons, rng, plane=True)
    rank = min(max(2, n_neurons // 3), n_features)
    basis = ReLUNetwork(*_no_neurons(rank, n_features), linear=_orthonormal(rank, n_features, rng).T)
    weights = basis.predict(_directions(n_neurons, rank, rng))
    return Teacher(ReLUNetwork(weights, _both_signs(n_neurons, rng)))


FAMILIES: dict[str, Callable[[int, int, Random], Teacher]] = {
    family.__name__: family
    for family in (
        generic,
        positive,
        biased,
        anisotropic,
        fan,
        level_fan,
        plane,
        close_pair,
        arc_scales,
        overcomplete,
    )
}
"""Every family by its name."""


def _check(
    n_features: int,
    n_neurons: int,
    rng: Random,
    *,
    even: bool = False,
    plane: bool = False,
    at_least: int = 1,
    at_most: int | None = None,
) -> np.random.Generator:
    """The generator of an admissible call; ArgumentError for another."""
    if n_features < (2 if plane else 1):
        raise ArgumentError(f"n_features: {n_features}, expected at least {2 if plane else 1} for this family")
    if n_neurons < at_least or (at_most is not None and n_neurons > at_most):
        bounds = f"at least {at_least}" + ("" if at_most is None else f" and at most {at_most}")
        raise ArgumentError(f"n_neurons: {n_neurons}, expected {bounds} for this family")
    if even and n_neurons % 2:
        raise ArgumentError(f"n_neurons: {n_neurons}, expected an even number for this family")
    return np.random.default_rng(rng)


def _no_neurons(n_features: int, n_outputs: int | None = None) -> tuple[Array, Array]:
    """Weights and output weights of a linear map, which a network without neurons evaluates."""
    return np.zeros((0, n_features)), np.zeros((n_features if n_outputs is None else n_outputs, 0))


def _directions(n: int, n_features: int, rng: np.random.Generator) -> Array:
    """Independent uniform unit vectors, as rows."""
    rows = rng.standard_normal((n, n_features))
    rows /= np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return rows


def _both_signs(n: int, rng: np.random.Generator) -> Array:
    """Output weights from 0.5 to 1.5 in size and never all of one sign, where there are two."""
    signs = rng.choice([-1.0, 1.0], n)
    signs[:2] = [1.0, -1.0][:n]
    return signs * rng.uniform(0.5, 1.5, n)


def _orthonormal(n: int, n_features: int, rng: np.random.Generator) -> Array:
    """Random orthonormal rows, by Gram-Schmidt, twice for accuracy."""
    rows = rng.standard_normal((n, n_features))
    for _ in range(2):
        for i in range(n):
            rows[i] /= np.sqrt((rows[i] * rows[i]).sum())
            rows[i + 1 :] -= (rows[i + 1 :] * rows[i]).sum(axis=1, keepdims=True) * rows[i]
    return rows


def _in_plane(angles: Array, n_features: int, rng: np.random.Generator) -> Array:
    """Unit vectors at these angles in a random plane."""
    first, second = _orthonormal(2, n_features, rng)
    rows: Array = np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second
    return rows

"""Planted networks for tests, examples and benchmarks: ten families of increasing difficulty.

Each family is a function ``family(n_features, n_neurons, rng=None)`` that returns a `Teacher`, a network together with
the distribution of its inputs. `FAMILIES` maps names to functions. In all families ``n_features`` is the number of
inputs, ``n_neurons`` is the number of neurons, and ``rng`` is a seed or a `numpy.random.Generator`; equal seeds give
equal bits. An `ArgumentError` is raised for numbers that a family does not allow.
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
        The planted network.
    mean : ndarray of shape (d,) or None
        Mean of the inputs; None means zero.
    factor : ndarray of shape (d, d) or None
        Factor of the covariance of the inputs; None means the identity.

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
        """Covariance of the inputs, ndarray of shape (d, d); None means the identity."""
        if self.factor is None:
            return None
        rows = ReLUNetwork(*_no_neurons(len(self.factor)), linear=self.factor)
        return rows.predict(self.factor)

    def sample(self, n_rows: int, rng: Random = None, noise: float = 0.0) -> tuple[Array, Array]:
        """Draw inputs and evaluate the network on them.

        Parameters
        ----------
        n_rows : int
            Number of rows.
        rng : int, sequence of int, Generator or None, default=None
            Random number generator, or its seed; equal seeds give equal bits.
        noise : float, default=0.0
            Standard deviation of the Gaussian noise that is added to the labels.

        Returns
        -------
        X : ndarray of shape (n_rows, d)
            Inputs.
        y : ndarray of shape (n_rows,)
            Labels.
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
    """Plant independent random directions and output weights of both signs with sizes in [0.5, 1.5], without biases."""
    rng = _check(n_features, n_neurons, rng)
    return Teacher(ReLUNetwork(_directions(n_neurons, n_features, rng), _both_signs(n_neurons, rng)))


def positive(n_features: int, n_neurons: int, rng: Random = None) -> Teacher:
    """Plant independent random directions with positive output weights.

    The second moment of the label then reveals the subspace.
    """
    rng = _check(n_features, n_neurons, rng)
    return Teacher(ReLUNetwork(_directions(n_neurons, n_features, rng), rng.uniform(0.5, 1.5, n_neurons)))


def biased(n_features: int, n_neurons: int, rng: Random = None) -> Teacher:
    """Plant independent random directions with biases from N(0, 0.7²), a linear part and an intercept."""
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
    """Plant a network with biases for inputs from N(mean, cov), where cov has random axes and condition number 1000.

    Each w_i·x has standard deviation 1, so that no neuron is always active or always inactive.
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
    """Plant neurons at equal angles in a plane, with alternating signs.

    No even Hermite moment of y of degree below k = n_neurons depends on the plane; the linear moment does. This is the
    hard case of Diakonikolas, Kane, Kontonis, Zarifis (COLT 2020), and needs an even number of neurons.
    """
    rng = _check(n_features, n_neurons, rng, even=True, plane=True)
    angles = np.pi * np.arange(n_neurons) / n_neurons
    return Teacher(ReLUNetwork(_in_plane(angles, n_features, rng), (-1.0) ** np.arange(n_neurons)))


def level_fan(n_features: int, n_neurons: int, rng: Random = None) -> Teacher:
    """Plant a `fan` whose linear part is cancelled.

    No Hermite moment of y of degree from 1 to below k = n_neurons shows any direction.
    """
    rng = _check(n_features, n_neurons, rng, even=True, plane=True)
    network = fan(n_features, n_neurons, rng).network
    linear = -0.5 * (network.output_weights[:, None] * network.weights).sum(axis=0)
    return Teacher(ReLUNetwork(network.weights, network.output_weights, linear=linear))


def plane(n_features: int, n_neurons: int, rng: Random = None) -> Teacher:
    """Plant neurons at irregular angles in a plane.

    Neighbouring lines are at least a third of the even spacing π / n_neurons apart.
    """
    rng = _check(n_features, n_neurons, rng, plane=True)
    gaps = 1.0 / 3.0 + 2.0 / 3.0 * n_neurons * rng.dirichlet(np.ones(n_neurons))
    lines = rng.uniform(0.0, np.pi) + np.cumsum(gaps) * np.pi / n_neurons
    angles = lines + np.pi * rng.integers(0, 2, n_neurons)
    return Teacher(ReLUNetwork(_in_plane(angles, n_features, rng), _both_signs(n_neurons, rng)))


def close_pair(n_features: int, n_neurons: int, rng: Random = None) -> Teacher:
    """Plant two neurons 0.1 rad apart that nearly cancel, with output weights 5 and -5, and `generic` others."""
    rng = _check(n_features, n_neurons, rng, plane=True, at_least=2)
    pair = _in_plane(np.array([0.0, 0.1]), n_features, rng)
    others = _directions(n_neurons - 2, n_features, rng)
    output_weights = np.concatenate([[5.0, -5.0], _both_signs(n_neurons - 2, rng)])
    return Teacher(ReLUNetwork(np.concatenate([pair, others]), output_weights))


def arc_scales(n_features: int, n_neurons: int, rng: Random = None) -> Teacher:
    """Plant up to seven neurons on an arc, with gaps 0.5, 0.05, 0.005 and then 0.6.

    No single scale separates all of them.
    """
    rng = _check(n_features, n_neurons, rng, plane=True, at_most=7)
    angles = np.cumsum([0.0, 0.5, 0.05, 0.005, 0.6, 0.6, 0.6])[:n_neurons]
    output_weights = np.array([1.0, -1.2, 2.0, -1.6, 0.8, -0.9, 1.1])[:n_neurons]
    return Teacher(ReLUNetwork(_in_plane(angles, n_features, rng), output_weights))


def overcomplete(n_features: int, n_neurons: int, rng: Random = None) -> Teacher:
    """Plant neurons whose directions are dependent: they span n_neurons // 3 dimensions, but at least two."""
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
"""The families by name."""


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
    """Check the arguments of a family and return the random number generator."""
    if n_features < (2 if plane else 1):
        raise ArgumentError(f"n_features: {n_features}, expected at least {2 if plane else 1} for this family")
    if n_neurons < at_least or (at_most is not None and n_neurons > at_most):
        bounds = f"at least {at_least}" + ("" if at_most is None else f" and at most {at_most}")
        raise ArgumentError(f"n_neurons: {n_neurons}, expected {bounds} for this family")
    if even and n_neurons % 2:
        raise ArgumentError(f"n_neurons: {n_neurons}, expected an even number for this family")
    return np.random.default_rng(rng)


def _no_neurons(n_features: int, n_outputs: int | None = None) -> tuple[Array, Array]:
    """Return empty weights and output weights, for a network without neurons that evaluates a linear map."""
    return np.zeros((0, n_features)), np.zeros((n_features if n_outputs is None else n_outputs, 0))


def _directions(n: int, n_features: int, rng: np.random.Generator) -> Array:
    """Draw independent, uniformly distributed unit vectors, as rows."""
    rows = rng.standard_normal((n, n_features))
    rows /= np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return rows


def _both_signs(n: int, rng: np.random.Generator) -> Array:
    """Draw output weights with sizes in [0.5, 1.5], of both signs if there are at least two."""
    signs = rng.choice([-1.0, 1.0], n)
    signs[:2] = [1.0, -1.0][:n]
    return signs * rng.uniform(0.5, 1.5, n)


def _orthonormal(n: int, n_features: int, rng: np.random.Generator) -> Array:
    """Draw random orthonormal rows, by Gram-Schmidt orthogonalisation, applied twice for accuracy."""
    rows = rng.standard_normal((n, n_features))
    for _ in range(2):
        for i in range(n):
            rows[i] /= np.sqrt((rows[i] * rows[i]).sum())
            rows[i + 1 :] -= (rows[i + 1 :] * rows[i]).sum(axis=1, keepdims=True) * rows[i]
    return rows


def _in_plane(angles: Array, n_features: int, rng: np.random.Generator) -> Array:
    """Return unit vectors at the given angles in a random plane, as rows."""
    first, second = _orthonormal(2, n_features, rng)
    rows: Array = np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second
    return rows

"""Moments E[(y - f̂(x)) H_l(x)] of the unknown function, contracted with directions, exact or estimated from samples.

The papers estimate tensors T_l = Σ λ_i u_i^{⊗l} with d^l entries and contract l - 2 modes with a direction g. The
contraction is linear, and the contraction of the Hermite tensor is a polynomial in g·x times parts of x xᵀ. Its mean is
the same matrix M_l(g) = Σ λ_i <u_i, g>^(l-2) u_i u_iᵀ, entry by entry, in O(d²) memory (`ContractionMoments`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from relunet._typing import Array
from relunet.errors import ArgumentError, DataError
from relunet.linalg import matmul
from relunet.moments import (
    Accumulator,
    ContractionMoments,
    GradientMoments,
    InputMoments,
    RiskMoments,
    RowSample,
    sweep,
)
from relunet.network import ReLUNetwork
from relunet.samples import Samples
from relunet.samples.protocol import n_outputs
from relunet.theory.form import absolute_products

__all__ = ["Correlations", "Moments", "PopulationMoments", "SampleMoments"]


# Largest degree of `ContractionMoments`; the papers need more for k ≥ 6 ([CN24]) and k ≥ 32 ([CDGKM23]).
MAX_DEGREE = 64
# Rounding error of exact moments, relative to the sum of |λ|.
ROUNDING = 64 * float(np.finfo(np.float64).eps)


class Correlations(NamedTuple):
    """Coefficients of the squared loss of f̂ + Σ λ_i |u_i·x|, which is power - 2 label·λ + λᵀ net λ.

    Attributes
    ----------
    power : float
        E(y - f̂(x))².
    label : ndarray of shape (m,)
        E[(y - f̂(x)) |u_i·x|].
    net : ndarray of shape (m, m)
        E[|u_i·x| |u_j·x|].
    """

    power: float
    label: Array
    net: Array

    def loss(self, lam: Array) -> float:
        """Return E(y - f̂(x) - Σ λ_i |u_i·x|)²."""
        return self.power - float(np.sum(lam * (2 * self.label - np.sum(self.net * lam, axis=1))))


class Moments(Protocol):
    """Protocol of the moments of an unknown f, which `PopulationMoments` and `SampleMoments` implement.

    In all methods, `estimate` is the current f̂, which is subtracted from the labels (Lemma 8); None subtracts nothing.
    """

    @property
    def n_features(self) -> int:
        """Number d of inputs."""

    @property
    def n_rows(self) -> int | None:
        """Number of samples, or None if the moments are exact."""

    @property
    def n_validation_rows(self) -> int | None:
        """Number of samples over which `risk` is averaged, or None if it is exact."""

    def moments(
        self, degrees: Sequence[int], directions: ArrayLike, estimate: ReLUNetwork | None = None
    ) -> dict[int, Array]:
        """Return the moments of y - f̂(x), contracted to matrices from degree 2 on (Lemmas 7, 8).

        Parameters
        ----------
        degrees : sequence of int
            Degrees l, which are 0, 1 or even.
        directions : array_like of shape (d,) or (m, d)
            Unit vectors g.
        estimate : ReLUNetwork, default=None
            The current f̂.

        Returns
        -------
        dict of int to ndarray
            For degree 0 the mean, of shape (). For degree 1, w = E[(y - f̂) x] of shape (d,). For l ≥ 2, the matrix
            M_l(g) = Σ λ_i <u_i, g>^(l-2) u_i u_iᵀ of the |·| form, of shape (d, d) for one direction and (m, d, d) for
            several.
        """

    def noise(self, degrees: Sequence[int], estimate: ReLUNetwork | None = None) -> dict[int, float]:
        """Return the approximate standard deviation of gᵀ M_l(g) g, or the rounding error if moments are exact.

        gᵀ M_l(g) g is the entry of M_l(g) with the largest variance.

        Parameters
        ----------
        degrees : sequence of int
            Even degrees of at least 2.
        estimate : ReLUNetwork, default=None
            The current f̂.

        Returns
        -------
        dict of int to float
            Standard deviation for each degree.
        """

    def correlations(self, directions: Array, estimate: ReLUNetwork | None = None) -> Correlations:
        """Return the correlations of y - f̂ and |u_i·x| for unit vectors u_i, given as rows."""

    def risk(self, *estimates: ReLUNetwork | None) -> list[float]:
        """Return E(y - f̂(x))² of each estimate, from fresh samples if available (Lemma 20); None stands for f̂ = 0."""


class PopulationMoments:
    """Exact moments of a known network for x ~ N(0, I), which give a learner input without sampling error.

    For a neuron μ relu(u·x + b), the moment tensor E[μ relu(u·x + b) H_l(x)] is μ κ_l(b) u^{⊗l} with
    κ_l(b) = φ(b) He_{l-2}(-b) for l ≥ 2, which is κ_l = (-1)^(l/2+1) (l-3)!!/√(2π) without bias. Matrices are divided
    by 2κ_l, the coefficient of |·|.

    Parameters
    ----------
    network : ReLUNetwork
        The network f, with one output. Biases are allowed, although they violate the assumptions of the papers, so that
        the failure of learners can be tested.

    Raises
    ------
    ArgumentError
        The network has several outputs.

    Examples
    --------
    >>> from relunet import ReLUNetwork
    >>> from relunet.theory import PopulationMoments
    >>> moments = PopulationMoments(ReLUNetwork([[0.6, 0.8]], [2.0]))
    >>> moments.moments((1, 4), [1.0, 0.0])  # w = u, M_4(g) = <u, g>² u uᵀ
    {1: array([0.6, 0.8]), 4: array([[0.1296, 0.1728],
           [0.1728, 0.2304]])}
    >>> moments.risk(None)
    [2.0]
    """

    def __init__(self, network: ReLUNetwork) -> None:
        if network.output_weights.ndim != 1:
            raise ArgumentError(f"network: {network.n_outputs} outputs, expected one")
        self.network = network
        # The last estimate passed to `correlations`, and its risk.
        self._residual: tuple[ReLUNetwork | None, float] = None, self.risk(None)[0]

    @property
    def n_features(self) -> int:
        """Number d of inputs."""
        return self.network.n_features

    @property
    def n_rows(self) -> None:
        """None, because the moments are exact."""
        return

    @property
    def n_validation_rows(self) -> None:
        """None, because the risk is exact."""
        return

    def moments(
        self, degrees: Sequence[int], directions: ArrayLike, estimate: ReLUNetwork | None = None
    ) -> dict[int, Array]:
        """Return the moments of f - f̂; see `Moments.moments`."""
        _check_degrees(degrees)
        g = _unit_rows("directions", directions, self.n_features)
        out = _network_moments(self.network, degrees, g)
        if estimate is not None:
            known = _network_moments(estimate, degrees, g)
            out = {degree: out[degree] - known[degree] for degree in out}
        single = np.ndim(directions) == 1
        return {degree: value[0] if single and degree > 1 else value for degree, value in out.items()}

    def noise(self, degrees: Sequence[int], estimate: ReLUNetwork | None = None) -> dict[int, float]:
        """Return the rounding error of an entry of M_l(g); see `Moments.noise`."""
        size = _total_weight(self.network) + (0.0 if estimate is None else _total_weight(estimate))
        return dict.fromkeys(degrees, max(ROUNDING * size, float(np.finfo(np.float64).tiny)))

    def correlations(self, directions: Array, estimate: ReLUNetwork | None = None) -> Correlations:
        """Return the correlations of f - f̂ and elements of a net; see `Moments.correlations`."""
        if self._residual[0] is not estimate:
            self._residual = estimate, self.risk(estimate)[0]
        label = _network_correlations(self.network, directions)
        if estimate is not None:
            label = label - _network_correlations(estimate, directions)
        return Correlations(self._residual[1], label, absolute_products(directions, directions))

    def risk(self, *estimates: ReLUNetwork | None) -> list[float]:
        """Return E(f - f̂)² of each estimate; see `Moments.risk`."""
        return [
            (self.network.gaussian_norm() if estimate is None else self.network.gaussian_distance(estimate)) ** 2
            for estimate in estimates
        ]


class SampleMoments:
    """Moments estimated from samples, whose inputs should be N(0, I).

    Each call of `moments`, `noise` or `risk` takes at most one sweep; `correlations` uses rows in memory.

    Parameters
    ----------
    samples : Samples
        Labelled samples from one of the ``scan_*`` functions.
    validation : Samples, default=None
        Fresh samples for `risk` (Lemma 20). None means the rows of `samples`: with many more rows than parameters, the
        bias of the risk is of the order of their ratio.
    subtract : bool, default=False
        If False, residual moments are averages of (y - f̂(x)) H_l(x), which take a sweep (Lemma 8). If True, y H_l(x) is
        averaged once and the exact moments of f̂ are subtracted, which takes no further sweep but has more variance.
    noise_variance : float, default=0.0
        Known variance of the noise of the labels, which is subtracted from every risk. Noise does not bias moments
        (Remark 9), but it is added to the validated loss.
    search_rows : int, default=4096
        Approximate number of rows that are kept in memory for `correlations`; they are chosen by a hash of their
        content.
    n_jobs : int, default=None
        Number of threads; None or a number below 1 means one thread per core.

    Attributes
    ----------
    n_sweeps : int
        Number of sweeps made so far.

    Raises
    ------
    ArgumentError
        A number is out of range.
    DataError
        Samples have no labels, or validation samples have another number of columns.

    Examples
    --------
    >>> import numpy as np
    >>> from relunet import scan_array, teachers
    >>> from relunet.theory import PopulationMoments, SampleMoments
    >>> teacher = teachers.generic(3, 2, rng=0)
    >>> sampled = SampleMoments(scan_array(*teacher.sample(100_000, rng=1)))
    >>> exact = PopulationMoments(teacher.network)
    >>> g = np.array([0.0, 0.6, 0.8])
    >>> error = sampled.moments((4,), g)[4] - exact.moments((4,), g)[4]
    >>> bool(np.abs(error).max() < 5 * sampled.noise((4,))[4])
    True
    """

    def __init__(
        self,
        samples: Samples,
        validation: Samples | None = None,
        *,
        subtract: bool = False,
        noise_variance: float = 0.0,
        search_rows: int = 4096,
        n_jobs: int | None = None,
    ) -> None:
        if not noise_variance >= 0.0:
            raise ArgumentError(f"noise_variance: {noise_variance}, expected a number of at least 0")
        if search_rows < 1:
            raise ArgumentError(f"search_rows: {search_rows}, expected at least 1")
        for name, given in (("samples", samples), ("validation", validation)):
            if given is not None and n_outputs(given) > 1:
                raise DataError(
                    f"{name}: {n_outputs(given)} labels a row, expected one: the published learners have one output; "
                    "pass the columns of y one after another"
                )
            if given is not None and not given.has_labels:
                raise DataError(f"{name}: no labels, expected labelled samples")
        if validation is not None and validation.n_columns != samples.n_columns:
            raise DataError(f"validation: {validation.n_columns} columns, expected {samples.n_columns} as in samples")
        self.samples, self.validation, self.subtract, self.n_jobs = samples, validation, subtract, n_jobs
        self.noise_variance = noise_variance
        self.n_sweeps = 0
        self._labels = InputMoments(samples.n_columns)
        share = min(1.0, search_rows / samples.n_rows)
        chosen = RowSample(samples.n_columns, min(int(share * 2.0**64), 2**64 - 1), 0)
        self._sweep(self._labels, chosen)
        _, self._x, self._y, self._weight = chosen.rows()
        # The last estimate passed to `correlations`, and its residuals on these rows.
        self._residual: tuple[ReLUNetwork | None, Array] = None, self._y
        self._known: dict[tuple[object, ...], dict[int, Array]] = {}

    @property
    def n_features(self) -> int:
        """Number d of inputs."""
        return self.samples.n_columns

    @property
    def n_rows(self) -> int:
        """Number of samples."""
        return self.samples.n_rows

    @property
    def n_validation_rows(self) -> int:
        """Number of samples over which `risk` is averaged."""
        return (self.samples if self.validation is None else self.validation).n_rows

    def moments(
        self, degrees: Sequence[int], directions: ArrayLike, estimate: ReLUNetwork | None = None
    ) -> dict[int, Array]:
        """Return the mean of (y - f̂(x)) H_l(x), contracted; see `Moments.moments`."""
        _check_degrees(degrees)
        g = _unit_rows("directions", directions, self.n_features)
        if estimate is None or self.subtract:
            key = (tuple(degrees), g.tobytes())
            if key not in self._known:
                self._known[key] = self._moments(degrees, g, None)
            out = self._known[key]
            if estimate is not None:
                known = _network_moments(estimate, degrees, g)
                out = {degree: out[degree] - known[degree] for degree in out}
        else:
            out = self._moments(degrees, g, estimate)
        single = np.ndim(directions) == 1
        return {degree: value[0] if single and degree > 1 else value for degree, value in out.items()}

    def noise(self, degrees: Sequence[int], estimate: ReLUNetwork | None = None) -> dict[int, float]:
        """Return √(E(y - f̂)² l!/N) / 2|κ_l|, since gᵀ H_l(x)[g,..,g,:,:] g = He_l(g·x); see `Moments.noise`."""
        risk = self.risk(None if self.subtract else estimate)[0] + self.noise_variance
        return {
            degree: math.sqrt(risk * math.factorial(degree) / self.n_rows) / abs(2 * _kappa(degree, 0.0))
            for degree in degrees
        }

    def correlations(self, directions: Array, estimate: ReLUNetwork | None = None) -> Correlations:
        """Return the correlations on the rows in memory; see `Moments.correlations`."""
        if self._residual[0] is not estimate:
            self._residual = estimate, self._y if estimate is None else self._y - estimate.predict(self._x)
        net = np.abs(matmul(self._x, directions.T))
        columns = np.concatenate([self._residual[1][:, None], net], axis=1)
        weighted = np.ascontiguousarray((columns * self._weight[:, None]).T)
        products = matmul(weighted, columns) / float(np.sum(self._weight))
        return Correlations(
            float(products[0, 0]) - self.noise_variance, products[0, 1:].copy(), products[1:, 1:].copy()
        )

    def risk(self, *estimates: ReLUNetwork | None) -> list[float]:
        """Return the mean squared residual of each estimate; see `Moments.risk`."""
        zero = ReLUNetwork(np.zeros((0, self.n_features)), np.zeros(0))
        risks = [RiskMoments(zero if estimate is None else estimate) for estimate in estimates]
        self._sweep(*risks, samples=self.validation)
        return [risk.risk - self.noise_variance for risk in risks]

    def _sweep(self, *accumulators: Accumulator, samples: Samples | None = None) -> None:
        self.n_sweeps += 1
        sweep(self.samples if samples is None else samples, accumulators, n_jobs=self.n_jobs)

    def _moments(self, degrees: Sequence[int], g: Array, estimate: ReLUNetwork | None) -> dict[int, Array]:
        high = [degree for degree in degrees if degree >= 2]
        sums: list[Accumulator] = []
        contraction = ContractionMoments(self.n_features, g, high, estimate) if high else None
        if contraction is not None:
            sums.append(contraction)
        gradient = GradientMoments(estimate) if estimate is not None and len(high) < len(degrees) else None
        if gradient is not None:
            sums.append(gradient)
        if sums:
            self._sweep(*sums)
        if gradient is not None:
            affine = gradient.gradient[-1]
            mean, linear = affine[-1], affine[:-1]
        else:
            mean = np.asarray(self._labels.label_mean)
            linear = self._labels.label_cov + self._labels.label_mean * self._labels.mean
        low = {0: np.asarray(mean), 1: np.asarray(linear)}
        # `ContractionMoments` divides by the coefficient of relu; that of |·| is twice as large.
        matrices = {} if contraction is None else contraction.matrices()
        return {degree: matrices[degree] / 2 if degree >= 2 else low[degree].copy() for degree in degrees}


def _check_degrees(degrees: Sequence[int]) -> None:
    for degree in degrees:
        if degree < 0 or (degree > 1 and degree % 2):
            raise ArgumentError(f"degrees: {degree}, expected 0, 1 or an even number: other moments of |·| are zero")


def _unit_rows(name: str, directions: ArrayLike, n_features: int) -> Array:
    rows = np.atleast_2d(np.asarray(directions, dtype=np.float64))
    if rows.ndim != 2 or rows.shape[1] != n_features:
        raise ArgumentError(f"{name}: shape {np.shape(directions)}, expected ({n_features},) or (m, {n_features})")
    if np.any(np.abs(np.sum(rows**2, axis=1) - 1.0) > 1e-8):
        raise ArgumentError(f"{name}: expected unit vectors, but not all norms are 1")
    return np.ascontiguousarray(rows)


def _kappa(degree: int, bias: float) -> float:
    """Return κ_l(b) = E[relu(t + b) He_l(t)]: φ(b) + b Φ(b) for l = 0, Φ(b) for l = 1, φ(b) He_{l-2}(-b) for l ≥ 2."""
    density = math.exp(-(bias**2) / 2) / math.sqrt(2 * math.pi)
    below = math.erfc(-bias / math.sqrt(2)) / 2
    if degree < 2:
        return below if degree else density + bias * below
    previous, current = 0.0, 1.0
    for j in range(degree - 2):
        previous, current = current, -bias * current - j * previous
    return density * current


def _neurons(network: ReLUNetwork) -> tuple[Array, Array, Array]:
    """Return μ_i, u_i and b_i of the neurons μ_i relu(u_i·x + b_i), |u_i| = 1, without neurons of zero weights."""
    norms = np.sqrt(np.sum(network.weights**2, axis=1))
    keep = norms > 0.0
    norms = norms[keep]
    return network.output_weights[keep] * norms, network.weights[keep] / norms[:, None], network.biases[keep] / norms


def _total_weight(network: ReLUNetwork) -> float:
    mu, _, _ = _neurons(network)
    return float(np.sum(np.abs(mu))) / 2 + float(np.sqrt(np.sum(network.linear**2)))


def _network_moments(network: ReLUNetwork, degrees: Sequence[int], g: Array) -> dict[int, Array]:
    """Return the moments of a known network by degree, of shapes (), (d,) and (m, d, d)."""
    mu, u, bias = _neurons(network)
    inner = matmul(g, u.T)
    out: dict[int, Array] = {}
    for degree in degrees:
        weight = mu * np.array([_kappa(degree, b) for b in bias])
        if degree == 0:
            idle = network.output_weights * np.maximum(network.biases, 0.0) * ~network.weights.any(axis=1)
            out[0] = np.asarray(network.intercept + np.sum(idle) + np.sum(weight))
        elif degree == 1:
            out[1] = network.linear + np.sum(weight[:, None] * u, axis=0)
        else:
            scaled = weight / (2 * _kappa(degree, 0.0)) * inner ** (degree - 2)
            rows = (scaled[:, None, :] * u.T).reshape(len(g) * g.shape[1], len(u))
            out[degree] = matmul(rows, u).reshape(len(g), g.shape[1], g.shape[1])
    return out


def _network_correlations(network: ReLUNetwork, directions: Array) -> Array:
    """Return E[f(x) |u·x|] for unit vectors u."""
    mu, u, bias = _neurons(network)
    if not bias.any() and len(u) == network.n_neurons and not network.intercept:
        products: Array = np.sum(absolute_products(directions, u) * (mu / 2), axis=1)
        return products
    probes = (ReLUNetwork(np.stack([v, -v]), [1.0, 1.0]) for v in directions)
    return np.array([network.gaussian_inner(probe) for probe in probes])

"""LEARN-ONE-HIDDEN-LAYER-NETWORKS of [DK24]: the subspace of the moments of order up to 4k, and a polynomial in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from relunet._typing import Array
from relunet.errors import ArgumentError, DataError
from relunet.linalg import eigh, matmul, svd
from relunet.samples import Samples
from relunet.theory.estimate import Fail, Target, Validated, target_error
from relunet.theory.learner import Learner
from relunet.theory.moments import Moments, PopulationMoments, SampleMoments

__all__ = ["Polynomial", "PolynomialEstimate", "PolynomialLearner", "relu_coefficients", "relu_tail"]


# Largest number of coefficients of a polynomial, 128 MB, and largest degree.
MAX_COEFFICIENTS, MAX_DEGREE = 2**24, 4000
# Largest number of coefficients that are estimated from samples, and largest order.
MAX_ESTIMATED, MAX_ORDER = 4096, 256
# Largest number of values in memory while rows are evaluated.
BLOCK = 2**22


def relu_tail(degree: int) -> float:
    """Return Σ_{m > degree} c_m², the part of E relu(t)² = 1/2 in Hermite degrees above `degree`.

    c_m = E[relu(t) h_m(t)] is κ_m/√m! (Lemma 5), with c_m² = C(m-2, (m-2)/2)/(2^(m-2) 2π m (m-1)) for even m ≥ 2.
    [DK24] uses the degree D = C ε^(-4/3), because the tail is O(D^(-3/2)); this function returns the tail itself.

    Parameters
    ----------
    degree : int
        Degree, at least 0.

    Returns
    -------
    float
        The tail.

    Examples
    --------
    >>> from relunet.theory.polynomial import relu_tail
    >>> [round(relu_tail(degree), 4) for degree in (1, 2, 4, 32)]
    [0.0908, 0.0113, 0.0046, 0.0002]
    """
    tail = 0.5 - 1 / (2 * math.pi) - (0.25 if degree >= 1 else 0.0)
    square = 1 / (4 * math.pi)
    for m in range(2, degree + 1, 2):
        tail -= square
        # c_{m+2}²/c_m² = (m-1)²/((m+1)(m+2))
        square *= (m - 1) ** 2 / ((m + 1) * (m + 2))
    return max(tail, 0.0)


@dataclass(frozen=True)
class Polynomial:
    """A polynomial that is the sum of an affine function of x and a polynomial of degree D in z = Vᵀx.

    F̃(x) = intercept + linear·x + Σ_{|α| ≤ D} coefficients_α h_{α_1}(z_1) ⋯ h_{α_r}(z_r), where h_n = He_n/√n!. It is
    not a network, because the learner is improper.

    Attributes
    ----------
    intercept : float
        Constant term.
    linear : ndarray of shape (d,)
        Linear term.
    basis : ndarray of shape (d, r)
        Orthonormal basis V, as columns.
    degree : int
        Degree D, at least 1.
    coefficients : ndarray of shape (C(D + r, r),)
        Coefficients in lexicographic order of α; they are zero for |α| < 2.
    """

    intercept: float
    linear: Array
    basis: Array
    degree: int
    coefficients: Array

    @property
    def gaussian_norm(self) -> float:
        """The norm √E F̃(x)² for x ~ N(0, I), by Parseval's identity."""
        square = self.intercept**2 + float(np.sum(self.linear**2)) + float(np.sum(self.coefficients**2))
        return math.sqrt(square)

    def predict(self, X: ArrayLike) -> Array:
        """Evaluate F̃ at the rows of X.

        Parameters
        ----------
        X : array_like of shape (n, d)
            Inputs.

        Returns
        -------
        ndarray of shape (n,)
            Values of F̃.

        Raises
        ------
        DataError
            `X` has the wrong shape.
        """
        x = np.ascontiguousarray(X, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.linear):
            raise DataError(f"X: shape {x.shape}, expected (n, {len(self.linear)})")
        values = self.intercept + np.sum(x * self.linear, axis=1)
        r = self.basis.shape[1]
        size = max(BLOCK // ((self.degree + 1) * max(r, 1)), 1)
        for start in range(0, len(x) if r else 0, size):
            z = matmul(x[start : start + size], self.basis)
            values[start : start + size] += _sum(self.coefficients, hermite_tables(z, self.degree), self.degree)
        return np.asarray(values)


@dataclass(frozen=True, kw_only=True)
class PolynomialEstimate(Validated):
    """A validated polynomial; it has the attributes of `Validated`, too.

    Attributes
    ----------
    hypothesis : Polynomial
        The polynomial F̃.
    spectrum : ndarray of shape (d,)
        Singular values of the stacked moments, in descending order, which are the square roots of the eigenvalues of
        the quadratic form Q.
    """

    hypothesis: Polynomial
    spectrum: Array


class PolynomialLearner(Learner):
    """LEARN-ONE-HIDDEN-LAYER-NETWORKS of [DK24], followed by a validation that the paper does not have.

    The algorithm has three steps:

    1. Estimate T_m = E[y H_m(x)] for m = 1, .., 4k (Lemma 8; H_m has the factor 1/√m!).
    2. Let V be spanned by the k leading eigenvectors of Q(v) = Σ_m ‖T_m v‖². Then f is close to a function of Vᵀx,
       because error tensors of higher order are bounded by those of order up to 4k (Corollary 16, Proposition 18).
    3. Let F̃ be the Hermite expansion of f in Vᵀx up to a degree D above which the tail is small (Lemma 5).

    The learner is improper: F̃ is a polynomial and not a network, and it gives no neurons.

    The implementation differs from the paper in these equivalent or stronger ways:

    - T_m is never formed. Let M_m(g) be its contraction with g in m-2 modes. Then ‖T_m v‖² is the squared norm of M_m v
      in Sym^{m-2} ⊗ R^d. For directions g_a whose powers span Sym^{m-2}, it equals
      Σ_ab (G⁺)_ab <M_m(g_a) v, M_m(g_b) v> with G_ab = <g_a, g_b>^{m-2}, so that C(d+m-3, m-2) directions give Q
      exactly. Fewer directions give the norm of the part of T_m v in the span of their powers. Even for a single random
      direction, this part vanishes for m = 2, .., 4k only if Q does: the at most k different <u_i, g>² are distinct
      with probability 1, and by their Vandermonde matrix the λ_i u_i u_iᵀ are linear combinations of the M_m(g). More
      directions reduce only the noise.
    - Odd orders from 3 on are omitted, because they vanish for every f of the class.
    - The eigenvectors of Q are computed as right singular vectors of the stacked moments, which avoids squaring errors.
    - The affine part, orders 0 and 1, is estimated in all of R^d, so that the linear part is unrestricted.
    - D is the least degree for which the tail E f² - ‖F̃‖² (Parseval) is small enough, instead of C ε^(-4/3). From
      samples, an order is included if its coefficients explain more than their noise adds.

    Parameters
    ----------
    n_neurons : int
        Upper bound k on the number of neurons, from 1 to 16.
    epsilon : float, default=0.05
        Requested error, relative to the norm of the part of f that is not affine.
    n_directions : int, default=8
        Number of directions g_a, which is an override as described above.
    spectral_cut : float, default=None
        Singular vectors of the moments with a singular value up to this cut are excluded from V, even if V then has
        fewer than k dimensions, because noise carries no information and the number of coefficients grows with the
        dimension. None means the norm of the noise; 0.0 gives the published algorithm.
    degree : int, default=None
        Degree D; None means that it is chosen as described above.
    random_state : int, default=0
        Seed of the random directions.

    Raises
    ------
    ArgumentError
        A parameter is out of range.

    Examples
    --------
    >>> from relunet import teachers
    >>> from relunet.theory import PolynomialLearner, PopulationMoments
    >>> network = teachers.level_fan(6, 4, rng=0).network  # M_2 = 0
    >>> found = PolynomialLearner(4).learn(PopulationMoments(network))
    >>> found.hypothesis.basis.shape, found.hypothesis.degree, found.error < 0.05
    ((6, 2), 176, True)
    """

    # The core contracts degrees up to 64.
    MOST_NEURONS = 16

    def __init__(
        self,
        n_neurons: int,
        epsilon: float = 0.05,
        *,
        n_directions: int = 8,
        spectral_cut: float | None = None,
        degree: int | None = None,
        random_state: int = 0,
    ) -> None:
        super().__init__(n_neurons, epsilon, random_state)
        if n_directions < 1:
            raise ArgumentError(f"n_directions: {n_directions}, expected at least 1")
        if degree is not None and degree < 1:
            raise ArgumentError(f"degree: {degree}, expected at least 1")
        self.n_directions, self.spectral_cut, self.degree = n_directions, spectral_cut, degree

    def learn(self, moments: Moments) -> PolynomialEstimate:
        """Learn a polynomial that approximates the network from its moments.

        Parameters
        ----------
        moments : PopulationMoments or SampleMoments
            Moments of the unknown f.

        Returns
        -------
        PolynomialEstimate
            A validated polynomial.

        Raises
        ------
        Fail
            The polynomial does not have the requested error.
        """
        target = target_error(moments, self.epsilon)
        basis, spectrum = self.subspace(moments)
        if isinstance(moments, PopulationMoments):
            hypothesis = self._expanded(moments, basis, target)
            # F̃ is a projection of f, so that Parseval's identity gives the risk.
            risk = max(moments.risk(None)[0] - hypothesis.gaussian_norm**2, 0.0)
            passed = risk <= 2 * target.risk
        elif isinstance(moments, SampleMoments):
            hypothesis = self._estimated(moments, basis)
            risk = _mean_square(moments.samples if moments.validation is None else moments.validation, hypothesis)
            passed = risk <= target.risk
        else:
            raise ArgumentError(f"moments: {type(moments).__name__}, expected PopulationMoments or SampleMoments")
        error = target.relative(risk)
        estimate = PolynomialEstimate(hypothesis=hypothesis, risk=risk, error=error, spectrum=spectrum)
        if not passed:
            found = f"the polynomial of degree {hypothesis.degree} in {basis.shape[1]} dimensions"
            raise Fail(f"{found} has a relative error of {error:.3g}, expected {self.epsilon:.3g}", estimate)
        return estimate

    def subspace(self, moments: Moments) -> tuple[Array, Array]:
        """Return V, of shape (d, r), and the singular values of the stacked moments (steps 2 to 4 of the paper)."""
        d = moments.n_features
        g = np.random.default_rng(self.random_state).standard_normal((self.n_directions, d))
        g /= np.sqrt(np.sum(g**2, axis=1, keepdims=True))
        inner = matmul(g, g.T)
        orders = (1, *range(2, 4 * self.n_neurons + 1, 2))
        contracted = moments.moments(orders, g)
        c = relu_coefficients(0.0, orders[-1])
        noise = moments.noise(orders[1:])
        stacked, largest_noise = [contracted[1][None, :]], 0.0
        for m in orders[1:]:
            # T_m is 2 c_m times M_m of the |·| form.
            scale = 2 * abs(c[m])
            values, vectors = eigh(inner ** (m - 2))
            kept = values > 1e-10 * values[-1]
            roots = np.ascontiguousarray((vectors[:, kept] / np.sqrt(values[kept])).T)
            rows = matmul(roots, contracted[m].reshape(len(g), -1))
            stacked.append(scale * rows.reshape(-1, d))
            largest_noise = max(largest_noise, scale * noise[m])
        stack = np.concatenate(stacked)
        _, spectrum, vt = svd(stack)
        cut = self.spectral_cut
        if cut is None:
            cut = largest_noise * (math.sqrt(len(stack)) + math.sqrt(d))
        rank = min(int(np.sum(spectrum > cut)), self.n_neurons)
        return np.ascontiguousarray(vt[:rank].T), spectrum

    def _expanded(self, moments: PopulationMoments, basis: Array, target: Target) -> Polynomial:
        """Return the projection of the network on polynomials in Vᵀx, with an affine part in x (step 5).

        For a neuron μ relu(u·x + b), the coefficient of h_α with |α| = m is μ E[relu(t + b) h_m(t)] √(m!/α!) z^α, where
        z = Vᵀu.
        """
        low = moments.moments((0, 1), np.eye(moments.n_features)[0])
        norms = np.sqrt(np.sum(moments.network.weights**2, axis=1))
        kept = norms > 0
        mu, u = moments.network.output_weights[kept] * norms[kept], moments.network.weights[kept]
        bias = moments.network.biases[kept] / norms[kept]
        z = matmul(u / norms[kept, None], basis)
        r = basis.shape[1] if len(mu) else 0
        highest = 1
        while r and highest < MAX_DEGREE and math.comb(highest + 1 + r, r) <= MAX_COEFFICIENTS:
            highest += 1
        c = mu[:, None] * np.array([relu_coefficients(b, highest) for b in bias]).reshape(len(mu), highest + 1)
        # Parseval's identity gives the risk at each degree before any coefficient is computed.
        inner = np.clip(matmul(z, z.T), -1.0, 1.0)
        tail = moments.risk(None)[0] - float(low[0]) ** 2 - float(np.sum(low[1] ** 2))
        # With exact moments, no part of the error has to be reserved for validation.
        degree, power, allowed = 1, inner, 1.999 * target.risk
        while degree < highest and (tail > allowed if self.degree is None else degree < self.degree):
            degree, power = degree + 1, power * inner
            tail -= float(np.sum(c[:, degree, None] * power * c[None, :, degree]))
        return Polynomial(float(low[0]), low[1], basis[:, :r], degree, _expand(z[:, :r], c, degree))

    def _estimated(self, moments: SampleMoments, basis: Array) -> Polynomial:
        """Return the polynomial whose coefficients are means of (y - ŵ·x) h_α(Vᵀx) (step 5, Lemma 8).

        Least squares on rows, which the introduction of the paper mentions, has less variance inside the sample but is
        undetermined outside, because h_m is largest near 2√m, where a Gaussian sample has no rows. Each mean has a
        variance of O(m) (Lemma 8 with t = m).
        """
        low = moments.moments((0, 1), np.eye(moments.n_features)[0])
        affine = Polynomial(float(low[0]), low[1], basis[:, :0], 1, np.zeros(1))
        r = basis.shape[1]
        highest = 1
        while r and math.comb(highest + 1 + r, r) <= MAX_ESTIMATED and highest not in (self.degree, MAX_ORDER):
            highest += 1
        # Rows are the exponents of all variables but the last, and columns are the degrees of the last variable, which
        # gives the lexicographic order of α.
        prefix = _exponents(max(r - 1, 0), highest)
        order = np.sum(prefix, axis=1)[:, None] + np.arange(highest + 1)
        first, second, total = np.zeros(order.shape), np.zeros(order.shape), []
        for x, y, weight in moments.samples.blocks(max(BLOCK // len(prefix), 1)):
            assert y is not None, "the samples are labelled"
            tables = hermite_tables(matmul(np.ascontiguousarray(x, dtype=np.float64), basis), highest)
            rows = np.tile((y - affine.predict(x)) * (1.0 if weight is None else weight), (len(prefix), 1))
            for table, exponents in zip(tables, prefix.T, strict=False):
                rows *= table[exponents]
            last = np.ascontiguousarray(tables[-1].T) if r else np.ones((len(y), highest + 1))
            first += matmul(rows, last)
            second += matmul(rows**2, last**2)
            total.append(float(len(y) if weight is None else np.sum(weight)))
        coefficients = first / math.fsum(total)
        noise = second / math.fsum(total) ** 2
        # A coefficient changes the risk by about noise - (coefficient² - noise); orders without gain are omitted.
        change = np.zeros(highest + 1)
        for m in range(2, highest + 1):
            change[m] = np.sum((2 * noise - coefficients**2)[order == m])
        kept = np.flatnonzero(change < 0) if self.degree is None else np.arange(2, highest + 1)
        degree = max(int(kept[-1]) if r and len(kept) else 1, 1)
        coefficients[~np.isin(order, kept)] = 0.0
        return Polynomial(affine.intercept, affine.linear, basis, degree, coefficients[order <= (degree if r else 0)])


def relu_coefficients(bias: float, degree: int) -> Array:
    """Return E[relu(t + b) h_m(t)] for m = 0, .., degree, which extends Lemma 5 to biases.

    For m ≥ 2 it is φ(b) h_{m-2}(-b)/√(m(m-1)).
    """
    density = math.exp(-(bias**2) / 2) / math.sqrt(2 * math.pi)
    below = math.erfc(-bias / math.sqrt(2)) / 2
    out = np.zeros(degree + 1)
    out[:2] = np.array([density + bias * below, below])[: degree + 1]
    if degree >= 2:
        m = np.arange(2, degree + 1)
        out[2:] = density * hermite_tables(np.array([[-bias]]), degree - 2)[0][:, 0] / np.sqrt(m * (m - 1.0))
    return out


def hermite_tables(z: Array, degree: int) -> list[Array]:
    """Return h_n(z_j) = He_n(z_j)/√n! for each column j of z, as arrays of shape (degree + 1, n_rows)."""
    tables = []
    for column in z.T:
        table = np.ones((degree + 1, len(z)))
        if degree >= 1:
            table[1] = column
        for n in range(1, degree):
            table[n + 1] = (column * table[n] - math.sqrt(n) * table[n - 1]) / math.sqrt(n + 1)
        tables.append(table)
    return tables


def _exponents(r: int, degree: int) -> NDArray[np.intp]:
    """Return all α in N^r with |α| ≤ degree as rows, in lexicographic order; for r = 0 there is one empty row."""
    if r == 0:
        return np.zeros((1, 0), dtype=np.intp)
    parts = [_exponents(r - 1, degree - a) for a in range(degree + 1)]
    return np.concatenate([np.insert(part, 0, a, axis=1) for a, part in enumerate(parts)])


def _sum(coefficients: Array, tables: list[Array], degree: int) -> Array:
    """Return Σ_{|α| ≤ degree} coefficients_α Π_j tables_j[α_j], summed one variable after another."""
    first, rest = tables[0][: degree + 1], tables[1:]
    if not rest:
        return np.asarray(matmul(coefficients, first))
    if len(rest) == 1:
        order = np.arange(degree + 1)
        square = np.zeros((degree + 1, degree + 1))
        square[order[:, None] + order <= degree] = coefficients
        return np.asarray(np.sum(first * matmul(square, rest[0][: degree + 1]), axis=0))
    out, start = np.zeros(first.shape[1]), 0
    for a in range(degree + 1):
        size = math.comb(degree - a + len(rest), len(rest))
        out += first[a] * _sum(coefficients[start : start + size], rest, degree - a)
        start += size
    return out


def _expand(z: Array, c: Array, degree: int) -> Array:
    """Return Σ_i c_i,m √(m!/α!) z_i^α for all |α| = m ≤ degree, in lexicographic order of α, with zeros for m < 2.

    These are the tensors Σ_i c_i,m z_i^{⊗m} of each order m in the basis of the Hermite polynomials h_α.
    """
    r = z.shape[1]
    order = np.arange(degree + 1)
    powers = z[:, :, None] ** order
    half_log = np.array([math.lgamma(m + 1) / 2 for m in order])
    weight = np.where(order >= 2, c[:, : degree + 1], 0.0)
    out = np.zeros(math.comb(degree + r, r))
    start = 0
    # Each prefix α_1, .., α_{r-1} gives a run of consecutive α.
    for prefix in _exponents(r - 1, degree) if r else ():
        m = int(np.sum(prefix))
        rest = order[: degree + 1 - m]
        before = np.prod(powers[:, np.arange(r - 1), prefix], axis=1)
        terms = weight[:, m:] * powers[:, -1, : len(rest)] * before[:, None]
        multinomial = np.exp(half_log[m:] - half_log[: len(rest)] - np.sum(half_log[prefix]))
        out[start : start + len(rest)] = np.sum(terms, axis=0) * multinomial
        start += len(rest)
    return out


def _mean_square(samples: Samples, hypothesis: Polynomial) -> float:
    """Return the weighted mean of (y - F̃(x))² over samples."""
    sums, weights = [], []
    for x, y, weight in samples.blocks():
        assert y is not None, "the samples are labelled"
        square = (y - hypothesis.predict(x)) ** 2
        sums.append(float(np.sum(square if weight is None else square * weight)))
        weights.append(float(len(y) if weight is None else np.sum(weight)))
    return math.fsum(sums) / math.fsum(weights)

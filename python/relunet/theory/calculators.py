"""Requirements of the theorems: numbers of samples, nets and computation paths in the lemmas, as log10.

The numbers overflow every floating-point format, so that all of them are logarithms. A constant that a proof hides in
O(·), Θ(·), poly(·) or ≲ is taken as 1, a polynomial as the product of its arguments, and the requirement is marked "up
to a constant": it shows the order of an exponent but not an actual number of rows. Requirements that are marked
"explicit" are bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

from relunet.errors import ArgumentError
from relunet.theory.polynomial import relu_tail

__all__ = [
    "METHODS",
    "Requirement",
    "beside",
    "hermite_samples",
    "moment_samples",
    "multiscale",
    "net",
    "polynomial",
    "requirements",
    "validation_samples",
]

Constants = Literal["explicit", "up to a constant"]

LN10 = math.log(10.0)


class Requirement(NamedTuple):
    """A requirement of a theorem, one row of the table.

    Attributes
    ----------
    name : str
        Name of the quantity.
    log10 : float
        Decimal logarithm of the quantity.
    formula : str
        Formula of the quantity.
    source : str
        Lemma, equation or step that contains the formula.
    constants : {"explicit", "up to a constant"}
        Whether the formula is a bound, or holds up to constants that the proof does not give.
    """

    name: str
    log10: float
    formula: str
    source: str
    constants: Constants

    def __str__(self) -> str:
        return f"{self.name}: 10^{self.log10:.4g} = {self.formula} [{self.source}; {self.constants}]"


def moment_samples(d: int, degree: int, error: float, bound: float = 1.0, failure: float = 0.1) -> float:
    """Return log10 of a number of rows for which the mean of y H_l(x) is within `error` of T_l (Lemma 7, explicit).

    This is an explicit form of l^{O(l)} d^{2l} R²/ξ² in the lemma. For f = Σ μ_i relu(u_i·x) with Σ |μ_i| ≤ R, Hölder's
    inequality gives E f² ‖H_l‖_F² ≤ ‖f‖₄² ‖‖H_l‖_F‖₄² with ‖f‖₄ ≤ R (3/2)^{1/4}, and hypercontractivity gives
    ‖‖H_l‖_F‖₄² ≤ 3^l E‖H_l‖_F² = 3^l l! C(d+l-1, l). By Markov's inequality,
    N = √(3/2) 3^l l! C(d+l-1, l) R²/(κ_l² ξ² δ) rows are sufficient.

    Parameters
    ----------
    d : int
        Number of inputs.
    degree : int
        Degree l, an even number of at least 2.
    error : float
        Error ξ in the Frobenius norm of T_l = Σ μ_i u_i^{⊗l}.
    bound : float, default=1.0
        Bound R of Σ |μ_i|.
    failure : float, default=0.1
        Allowed probability δ of a larger error.

    Returns
    -------
    float
        log10 of the number of rows.

    Raises
    ------
    ArgumentError
        A number is out of range.

    Examples
    --------
    >>> from relunet.theory.calculators import moment_samples
    >>> round(moment_samples(d=10, degree=6, error=0.1), 1)
    12.4
    """
    _positive(d=d, error=error, bound=bound, failure=failure)
    if degree < 2 or degree % 2:
        raise ArgumentError(f"degree: {degree}, expected an even number of at least 2")
    return _log_moment(d, degree, math.log10(error), bound, failure)


def validation_samples(
    k: int, error: float, bound: float = 1.0, log10_candidates: float = 0.0, failure: float = 0.1
) -> float:
    """Return log10 of the number of rows that validate all candidates at once (Lemma 20, up to a constant).

    The number is N = (μ + 4R²k)² log(M/δ)/t² with t = ε²/2, M candidates and μ = E F² ≤ 4R²/2 for F = f̂ - f, by the
    union bound.

    Parameters
    ----------
    k : int
        Number of neurons.
    error : float
        Error ε; losses are estimated to ε²/2.
    bound : float, default=1.0
        Bound R of Σ |λ_i|.
    log10_candidates : float, default=0.0
        log10 of the number M of candidates.
    failure : float, default=0.1
        Allowed probability δ of failure.

    Returns
    -------
    float
        log10 of the number of rows.

    Raises
    ------
    ArgumentError
        A number is not positive.

    Examples
    --------
    >>> from relunet.theory.calculators import validation_samples
    >>> round(validation_samples(k=2, error=0.1), 1)
    7.0
    """
    _positive(k=k, error=error, bound=bound, failure=failure)
    log_count = log10_candidates * LN10 - math.log(failure)
    return 2 * math.log10((2 + 4 * k) * bound**2 / (error**2 / 2)) + math.log10(max(log_count, 1.0))


def multiscale(d: int, k: int, error: float = 0.05, bound: float = 1.0, failure: float = 0.1) -> list[Requirement]:
    """Return the requirements of [CDGKM23] (Theorem 1, section 4).

    Parameters
    ----------
    d, k : int
        Numbers of inputs and neurons.
    error : float, default=0.05
        Error ε.
    bound : float, default=1.0
        Bound R of Σ |λ_i|.
    failure : float, default=0.1
        Allowed probability δ of failure.

    Returns
    -------
    list of Requirement
        Parameters, nets, paths and numbers of rows.

    Raises
    ------
    ArgumentError
        A number is not positive.

    Examples
    --------
    >>> from relunet.theory.calculators import multiscale
    >>> print(multiscale(d=10, k=2)[-2])
    rows for moments: 10^... = 3^l l! C(d+l-1, l) R²/(κ_l² ξ² δ), l = 2k+2 [Lemma 7; up to a constant]
    """
    _positive(d=d, k=k, error=error, bound=bound, failure=failure)
    log_k = math.log2(k) if k > 1 else 0.0
    ratio = math.log10(bound * d / error)
    # ξ = (ε/Rd)^{k^{log² k}}; equations 3 to 5 then give Λ, γ, T and υ of the first round.
    xi = -ratio * k ** (log_k**2)
    detectable = xi / k**log_k
    finest = (detectable - ratio) * k**log_k
    close = 10 * detectable - 2 * math.log10(bound) + k * (finest - math.log10(d))
    dimensions = min(k * (k + 1), d)
    mesh = detectable
    directions = _log_net(dimensions, mesh)
    weights = _log_interval(bound, mesh)
    per_round = _log_sum([m * (directions + weights) for m in range(1, k + 1)])
    rounds = 2 * math.ceil(log_k) + 1
    paths = rounds * _log_sum([per_round, math.log10(2)])
    rows = _log_moment(d, 2 * k + 2, xi, bound, failure)
    hidden: Constants = "up to a constant"
    return [
        Requirement("error of the moments ξ", xi, "(ε/Rd)^(k^(log² k))", "equation 13", hidden),
        Requirement("detectable weight Λ", detectable, "ξ^(1/k^(log k))", "equation 3", hidden),
        Requirement("smallest scale γ", finest, "(Λε/Rd)^(k^(log k))", "equation 3", hidden),
        Requirement("closeness T(γ)", close, "(Λ^10/R²)(γ/d)^k", "equation 4", hidden),
        Requirement("dimensions of V", math.log10(dimensions), "min(k(k+1), d)", "Algorithm 1", "explicit"),
        Requirement("net over V", directions, "(1 + 2/υ)^dim V, υ = Λ", "Lemmas 13, 14", hidden),
        Requirement("net over [-R, R]", weights, "1 + 2R/υ", "Lemma 16", hidden),
        Requirement("rounds", math.log10(rounds), "2⌈log2 k⌉ + 1", "Lemmas 18, 30, 33", "explicit"),
        Requirement("computation paths", paths, "(2 + Σ_m (net net)^m)^rounds", "Lemma 19", hidden),
        Requirement("rows for moments", rows, "3^l l! C(d+l-1, l) R²/(κ_l² ξ² δ), l = 2k+2", "Lemma 7", hidden),
        Requirement(
            "rows for validation",
            validation_samples(k, error, bound, paths, failure),
            "(μ + 4R²k)² log(paths/δ)/(ε²/2)²",
            "Lemma 20",
            hidden,
        ),
    ]


def net(d: int, k: int, error: float = 0.05, bound: float = 1.0, failure: float = 0.1) -> list[Requirement]:
    """Return the requirements of NetLearn ([CN24], Algorithm 1), with its constant C = 1.

    The coefficients O(1/Δ)^{O(k²)} of the polynomial in Lemma 7 are bounded by (1 + (2/Δ²)^{|I|})^{k-|I|}, because the
    absolute values of the coefficients of each factor (x - x_i)/(x_j - x_i) sum to at most 2/Δ², where Δ² is a gap of
    squares.

    Parameters
    ----------
    d, k, error, bound, failure
        See `multiscale`.

    Returns
    -------
    list of Requirement
        Parameters, nets, candidates and numbers of rows.

    Raises
    ------
    ArgumentError
        A number is not positive.

    Examples
    --------
    >>> from relunet.theory.calculators import net
    >>> [round(row.log10) for row in net(d=10, k=2) if row.name.startswith("rows")]
    [111, 105, 7]
    """
    _positive(d=d, k=k, error=error, bound=bound, failure=failure)
    tau, xi = math.log10(error / k), math.log10(error / (k * bound))
    delta = 2 * xi + tau + math.log10(error / (2 * k**4 * d**1.5 * bound))
    # (2/Δ²)^|I| dominates 1.
    coefficients = max(i * (k - i) for i in range(1, k + 1)) * (math.log10(2) - 2 * delta)
    eta_prime = 2 * xi + tau - coefficients - math.log10(d * bound)
    eta = 2 * eta_prime
    degree = 2 * k * k + 2
    rows = _log_moment(d, degree, eta, bound, failure)
    sharp = _log_moment(d, 2 * (k * k // 4) + 2, eta, bound, failure)
    directions = _log_net(k, xi - math.log10(2))
    weights = _log_interval(bound, xi)
    candidates = _log_sum([m * (directions + weights) for m in range(k + 1)])
    hidden: Constants = "up to a constant"
    return [
        Requirement("weight of a cluster τ", tau, "ε/k", "Algorithm 1", hidden),
        Requirement("error of a neuron ξ", xi, "ε/(kR)", "Algorithm 1", hidden),
        Requirement("width of a cluster Δ", delta, "ξ²τε/(2k⁴d^(3/2)R)", "Algorithm 1", hidden),
        Requirement("thresholds η' = ν", eta_prime, "ξ²τ/(dR) (Δ²/2)^⌊k²/4⌋", "equation 35", hidden),
        Requirement("error of the moments η", eta, "η'²", "equation 35", hidden),
        Requirement("net over V", directions, "(1 + 4/ξ)^k", "equation 37", hidden),
        Requirement("net over [-R, R]", weights, "1 + 2R/ξ", "equation 37", hidden),
        Requirement("candidates", candidates, "Σ_m (net net)^m", "Algorithm 1", hidden),
        Requirement("rows for moments", rows, "3^l l! C(d+l-1, l) R²/(κ_l² η² δ), l = 2k²+2", "Lemma 4", hidden),
        Requirement("rows, sharp degree", sharp, "the same, l = 2⌊k²/4⌋+2", "Lemma 7's proof", hidden),
        Requirement(
            "rows for validation",
            math.log10(k**2 * (bound / error) ** 4) + math.log10(candidates * LN10 - math.log(failure)),
            "k²(R/ε)⁴ log(candidates/δ)",
            "Lemma 6",
            hidden,
        ),
    ]


def polynomial(d: int, k: int, error: float = 0.05, bound: float = 1.0, failure: float = 0.1) -> list[Requirement]:
    """Return the requirements of LEARN-ONE-HIDDEN-LAYER-NETWORKS ([DK24]), with its constant C = 1.

    Parameters
    ----------
    d, k, error, bound, failure
        See `multiscale`; here R bounds Σ |w_i| over ReLUs, and the theorem scales f to R = 1.

    Returns
    -------
    list of Requirement
        Orders, degrees and numbers of coefficients and rows.

    Raises
    ------
    ArgumentError
        A number is not positive.

    Examples
    --------
    >>> from relunet.theory.calculators import polynomial
    >>> [round(row.log10, 1) for row in polynomial(d=10, k=2) if row.name == "degree D"]
    [1.1]
    """
    _positive(d=d, k=k, error=error, bound=bound, failure=failure)
    relative = error / bound
    order = 4 * k
    tensor_error = k * math.log10(relative / k)
    degree = _least_degree(relative**2 / 2)
    expansion_error = math.log10(relative**2 / (2 * degree))
    terms = _log_binomial(k + degree, degree) / LN10
    hidden: Constants = "up to a constant"
    return [
        Requirement("order of the moments", math.log10(order), "4k", "step 2", "explicit"),
        Requirement("error of the tensors", tensor_error, "(ε/k)^k", "step 2", hidden),
        Requirement(
            "rows for the subspace",
            hermite_samples(d, order, tensor_error, failure),
            "C(d+m-1, m) ((t+2)/(t-2))^m ‖relu‖_t²/(δ error²), t = m+2 = 4k+2",
            "Lemma 8",
            hidden,
        ),
        Requirement("degree D", math.log10(degree), "least with R² Σ_{m>D} c_m² ≤ ε²/2", "Lemma 5", "explicit"),
        Requirement("degree in the paper", math.log10(relative ** (-4 / 3)), "ε^(-4/3)", "step 5", hidden),
        Requirement("coefficients", terms, "C(k+D, D)", "step 5", "explicit"),
        Requirement(
            "rows for the coefficients",
            hermite_samples(k, degree, expansion_error / 2, failure),
            "the same for d = k, m = D, error² = ε²/2D",
            "Lemma 8",
            "explicit",
        ),
    ]


def hermite_samples(d: int, order: int, log10_error: float, failure: float = 0.1) -> float:
    """Return log10 of a number of rows for which E[y H_m(x)] has a given error ([DK24], Lemma 8, explicit).

    Let y = Σ w_i relu(v_i·x) with Σ |w_i| ≤ 1, let H_m have the factor 1/√m!, and let t = m + 2. Each of the
    C(d+m-1, m) coefficients has a variance of at most ‖y‖_t² ((t+2)/(t-2))^m/N, where ‖y‖_t ≤ ‖relu(G)‖_t, and Markov's
    inequality gives the number of rows.

    Parameters
    ----------
    d, order : int
        Dimension d and order m ≥ 1.
    log10_error : float
        log10 of the error.
    failure : float, default=0.1
        Allowed probability δ of a larger error.

    Returns
    -------
    float
        log10 of the number of rows.
    """
    t = order + 2
    # E relu(G)^t = E|G|^t/2 = 2^{t/2} Γ((t+1)/2)/(2√π)
    log_norm = (t / 2 * math.log(2) + math.lgamma((t + 1) / 2) - math.log(2 * math.sqrt(math.pi))) / t
    log = _log_binomial(d + order - 1, order) + order * math.log((t + 2) / (t - 2)) + 2 * log_norm
    return (log - math.log(failure)) / LN10 - 2 * log10_error


def requirements(
    method: str,
    d: int,
    k: int,
    error: float = 0.05,
    bound: float = 1.0,
    failure: float = 0.1,
) -> list[Requirement]:
    """Return the requirements of a method, which is named as on the command line.

    Parameters
    ----------
    method : {"multiscale", "net", "polynomial"}
        [CDGKM23], [CN24] or [DK24].
    d, k, error, bound, failure
        See `multiscale`.

    Returns
    -------
    list of Requirement
        The requirements of the method.

    Raises
    ------
    ArgumentError
        The method is unknown, or a number is not positive.
    """
    if method not in METHODS:
        raise ArgumentError(f"method: {method!r}, expected one of {', '.join(METHODS)}")
    return METHODS[method](d, k, error, bound, failure)


METHODS: dict[str, Callable[[int, int, float, float, float], list[Requirement]]] = {
    "multiscale": multiscale,
    "net": net,
    "polynomial": polynomial,
}
"""The functions by the names of their methods."""


def beside(
    method: str, default: Callable[..., object], n_rows: int, n_columns: int, n_neurons: int, **options: object
) -> str:
    """Compare the requirements of a theorem with those of the default method on the same samples.

    Parameters
    ----------
    method : {"multiscale", "net", "polynomial"}
        [CDGKM23], [CN24] or [DK24], for an error of 0.05 and R = 1.
    default : callable
        Function that plans the default method; it is called with the arguments that follow.
    n_rows, n_columns, n_neurons : int
        Size of the samples, and expected number of neurons.
    **options
        Keyword arguments for `default`.

    Returns
    -------
    str
        Both requirements as text.

    Examples
    --------
    >>> from relunet.theory.calculators import beside
    >>> text = beside("net", lambda n, d, k: f"{n} rows of {d} columns, {k} neurons: half a minute", 10**6, 10, 2)
    >>> print(text.splitlines()[-4])
      rows for validation        10^7.3   k²(R/ε)⁴ log(candidates/δ)  [Lemma 6; up to a constant]
    >>> print(text.splitlines()[-1])
    1000000 rows of 10 columns, 2 neurons: half a minute
    """
    rows = requirements(method, n_columns, n_neurons)
    asked = [
        f"  {row.name:<26} 10^{row.log10:<8.4g} {row.formula}  [{row.source}; {row.constants}]".rstrip() for row in rows
    ]
    enough = max(row.log10 for row in rows if row.name.startswith("rows for"))
    verdict = f"The theorem requires 10^{enough:.4g} rows; there are {n_rows:,}."
    head = f"The theorem behind {method!r}, {n_columns} columns, {n_neurons} neurons, error 0.05, R = 1:"
    return "\n".join(
        [head, *asked, verdict, "The default method:", str(default(n_rows, n_columns, n_neurons, **options))]
    )


def _positive(**numbers: float) -> None:
    for name, value in numbers.items():
        if not (value > 0 and math.isfinite(value)):
            raise ArgumentError(f"{name}: {value}, expected a positive number")


def _log_binomial(n: float, m: float) -> float:
    return math.lgamma(n + 1) - math.lgamma(m + 1) - math.lgamma(n - m + 1)


def _log_kappa(degree: int) -> float:
    """Return log |κ_l| = log (l-3)!!/√(2π) for even l ≥ 2; (2n-1)!! = 2^n Γ(n + 1/2)/√π."""
    n = degree // 2 - 1
    double_factorial = n * math.log(2) + math.lgamma(n + 0.5) - math.log(math.pi) / 2 if n else 0.0
    return double_factorial - math.log(2 * math.pi) / 2


def _least_degree(tail: float) -> int:
    """Return the least even D with Σ_{m>D} c_m² at most `tail`, or an upper bound of it above 2^14.

    Since C(2n, n) ≤ 4^n/√(πn), the sum is at most √(2/π)/(2π) (D^(-3/2)/3 + D^(-5/2)).
    """
    low, high = 0, 1
    while high < 2**13 and relu_tail(2 * high) > tail:
        low, high = high, 2 * high
    if relu_tail(2 * high) > tail:
        factor = math.sqrt(2 / math.pi) / (2 * math.pi) * (1 / 3 + 1 / (2 * high))
        return 2 * math.ceil(math.pow(factor / tail, 2 / 3) / 2)
    while high > low + 1:
        middle = (low + high) // 2
        low, high = (low, middle) if relu_tail(2 * middle) <= tail else (middle, high)
    return 2 * high


def _log_one_plus(log10: float) -> float:
    """Return log10(1 + 10^log10)."""
    return log10 if log10 > 16 else math.log10(1 + 10.0**log10)


def _log_sum(log10s: list[float]) -> float:
    largest = max(log10s)
    return largest + math.log10(math.fsum(10.0 ** max(value - largest, -300.0) for value in log10s))


def _log_net(r: int, log10_granularity: float) -> float:
    """Return log10 (1 + 2/υ)^r, an upper bound of the smallest net over the unit vectors of R^r."""
    return r * _log_one_plus(math.log10(2) - log10_granularity)


def _log_interval(bound: float, log10_granularity: float) -> float:
    """Return log10 (1 + 2R/υ), the approximate size of a net over [-R, R]."""
    return _log_one_plus(math.log10(2 * bound) - log10_granularity)


def _log_moment(d: int, degree: int, log10_error: float, bound: float, failure: float) -> float:
    tensor = math.lgamma(degree + 1) + _log_binomial(d + degree - 1, degree)
    log = math.log(1.5) / 2 + degree * math.log(3) + tensor - 2 * _log_kappa(degree)
    return (log + 2 * math.log(bound) - math.log(failure)) / LN10 - 2 * log10_error

"""Polish: the least-squares optimum in all d dimensions, from a start in its basin of attraction.

For fixed gates g_i = 1(w_i·x + b_i > 0), f = θ_0·x̃ + Σ g_i θ_i·x̃ with x̃ = (x, 1) is linear in its parameters. A
Gauss-Newton step solves N Δθ = E[r g x̃] with the normal matrix N = E[g gᵀ ⊗ x̃ x̃ᵀ], which is accumulated completely
if there are few parameters. For many parameters, N is approximated: outside the span of the neurons it is C ⊗ I in
whitened coordinates with C = E[g gᵀ], and inside it is small and computed from sampled rows. A step then needs only the
gradient, one sweep of O(N d k) operations, and Anderson acceleration compensates for the approximation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relunet._typing import Array
from relunet.errors import NumericalError
from relunet.fitting.rows import FittedRows
from relunet.fitting.settings import DEFAULTS, Settings
from relunet.fitting.stages.whitening import Whitening
from relunet.linalg import matmul, solve_spd, svd
from relunet.moments import CurvatureMoments, GradientMoments
from relunet.network import ReLUNetwork
from relunet.samples import scan_array

__all__ = ["Free", "Polished", "accelerate", "combined", "gauss_newton", "newton", "polish", "preconditioner"]

# Range of the relative damping of a normal matrix.
MIN_DAMPING, MAX_DAMPING = 1e-13, 1e4
# Residuals below this share of the labels are rounding errors, at which the steps end.
ROUNDING = 1e-14
# Number of columns of the gradient that are solved for at once.
COLUMNS = 4096
# Singular values of the directions of neurons below this share of the largest do not count as a dimension.
SPAN_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Free:
    """The parameters of a network that are fitted besides the weights of its neurons.

    Attributes
    ----------
    biases : bool
        Whether the biases of the neurons and the intercept are fitted.
    linear : bool
        Whether the linear part is fitted; otherwise it is zero.
    """

    biases: bool
    linear: bool

    def mask(self, n_neurons: int, n_features: int) -> NDArray[np.bool_]:
        """Return which entries of the parameters (k + 1, d + 1) are free: neurons by row, the affine part last."""
        free = np.ones((n_neurons + 1, n_features + 1), dtype=bool)
        free[:, n_features] = self.biases
        free[n_neurons, :n_features] = self.linear
        return free


@dataclass(frozen=True)
class Polished:
    """A polished network.

    Attributes
    ----------
    network : ReLUNetwork
        The best network found.
    risk : float
        Its mean squared residual on the rows of the polish.
    history : tuple of float
        RMS residual in each sweep.
    """

    network: ReLUNetwork
    risk: float
    history: tuple[float, ...]


def _parameters(network: ReLUNetwork) -> tuple[Array, Array]:
    """Return θ (k + 1, d + 1), neurons by row and the affine part last, and the signs of the neurons."""
    signs = np.where(network.output_weights < 0, -1.0, 1.0)
    neurons = np.concatenate([network.weights, network.biases[:, None]], axis=1) * network.output_weights[:, None]
    affine = np.append(network.linear, network.intercept)
    return np.concatenate([neurons, affine[None, :]]), signs


def _network(parameters: Array, signs: Array) -> ReLUNetwork:
    """Return the network with these parameters, whose output weights are ±1."""
    neurons, affine = parameters[:-1] * signs[:, None], parameters[-1]
    return ReLUNetwork(neurons[:, :-1], signs, neurons[:, -1], affine[:-1], float(affine[-1]))


def polish(
    network: ReLUNetwork,
    rows: FittedRows,
    whitening: Whitening,
    free: Free,
    *,
    label_rms: float,
    steps: int,
    n_jobs: int | None = None,
    settings: Settings = DEFAULTS,
) -> Polished:
    """Return the least-squares optimum on rows, by `accelerate` and, if that does not converge, by `newton`.

    Parameters
    ----------
    network : ReLUNetwork
        The start.
    rows : FittedRows
        The rows to fit.
    whitening : Whitening
        Mean and covariance of the inputs.
    free : Free
        The parameters that are fitted.
    label_rms : float
        RMS of the labels, which sets the size of rounding errors.
    steps : int
        Largest number of sweeps of `accelerate`.
    n_jobs : int, default=None
        Number of threads; None means one per core.
    settings : Settings, default=DEFAULTS
        Termination criteria.
    """
    # A share of the predicted statistical error, relative to the risk.
    tolerance = settings.precision_goal * network.weights.size / rows.n_rows
    polished = accelerate(
        network,
        rows,
        whitening,
        free,
        label_rms=label_rms,
        tolerance=tolerance,
        steps=steps,
        n_jobs=n_jobs,
        settings=settings,
    )
    n_parameters = (network.n_neurons + 1) * (network.n_features + 1)
    if len(polished.history) < steps or n_parameters > settings.max_newton:
        return polished
    last = newton(polished.network, rows, free, label_rms=label_rms, tolerance=tolerance, settings=settings)
    return Polished(last.network, last.risk, polished.history + last.history)


def newton(
    network: ReLUNetwork,
    rows: FittedRows,
    free: Free,
    *,
    label_rms: float,
    tolerance: float = 0.0,
    steps: int = 30,
    settings: Settings = DEFAULTS,
) -> Polished:
    """Polish by Gauss-Newton steps with the exact normal matrix and Levenberg-Marquardt damping.

    Parameters
    ----------
    network : ReLUNetwork
        The start.
    rows : FittedRows
        The rows to fit.
    free : Free
        The parameters that are fitted.
    label_rms : float
        RMS of the labels, which sets the size of rounding errors.
    tolerance : float, default=0.0
        Predicted relative decrease of the risk at which the steps end.
    steps : int, default=30
        Largest number of sweeps.
    settings : Settings, default=DEFAULTS
        Initial damping.
    """
    theta, signs = _parameters(network)
    mask = free.mask(*network.weights.shape)
    theta = np.where(mask, theta, 0.0)
    damping, history = settings.newton_damping, []
    best: tuple[float, Array] = (np.inf, theta)
    normal, gradient = np.zeros((0, 0)), np.zeros(0)
    for _ in range(steps):
        if not np.all(np.isfinite(theta)):
            break
        trial = _network(theta, signs)
        gradients, curvature = GradientMoments(trial), CurvatureMoments(trial)
        rows.sweep([gradients, curvature])
        risk, previous = gradients.risk, best[0]
        history.append(float(np.sqrt(risk)))
        if risk < previous:
            best = (risk, theta)
            if np.sqrt(risk) < ROUNDING * label_rms:
                break
            damping = max(damping / 10, MIN_DAMPING)
            at = np.flatnonzero(mask)
            normal = curvature.normal_matrix[at[:, None], at]
            gradient = gradients.gradient.ravel()[at]
        elif np.sqrt(previous) < 100 * ROUNDING * label_rms or damping >= MAX_DAMPING:
            break
        else:
            damping *= 10
        step, damping = _damped_step(normal, gradient, damping)
        if np.sum(step * gradient) <= tolerance * best[0]:
            break
        theta = best[1].copy()
        theta[mask] += step
    return Polished(_network(best[1], signs), best[0], tuple(history))


def gauss_newton(
    network: ReLUNetwork, gradients: GradientMoments, curvature: CurvatureMoments, free: Free
) -> ReLUNetwork:
    """Return the network after one Gauss-Newton step, from sums at `network` alone.

    Parameters
    ----------
    network : ReLUNetwork
        The network of both accumulators.
    gradients, curvature : GradientMoments, CurvatureMoments
        The sums.
    free : Free
        The parameters that are fitted.
    """
    theta, signs = _parameters(network)
    mask = free.mask(*network.weights.shape)
    theta = np.where(mask, theta, 0.0)
    at = np.flatnonzero(mask)
    normal, gradient = curvature.normal_matrix[at[:, None], at], gradients.gradient.ravel()[at]
    theta[mask] += _damped_step(normal, gradient, MIN_DAMPING)[0]
    return _network(theta, signs)


def _damped_step(normal: Array, gradient: Array, damping: float) -> tuple[Array, float]:
    """Return the solution x of (N + damping diag N) x = gradient, and the damping, increased until it is solvable."""
    scale = np.sqrt(np.diagonal(normal))
    scale = np.where(scale > 0, scale, 1.0)
    correlation = normal / scale / scale[:, None]
    while True:
        try:
            damped = correlation + damping * np.eye(len(scale))
            return solve_spd(damped, gradient / scale) / scale, damping
        except NumericalError:
            # Rounding errors made the matrix indefinite. An error with the largest damping is passed to the caller.
            if damping > MAX_DAMPING:
                raise
            damping = max(10 * damping, 1e-12)


Precondition = Callable[[Array], Array]


def preconditioner(
    network: ReLUNetwork,
    rows: FittedRows,
    whitening: Whitening,
    free: Free,
    damping: float,
    n_jobs: int | None = None,
) -> Precondition:
    """Return the map from a gradient (k + 1, d + 1) to an approximate Gauss-Newton step.

    Parameters
    ----------
    network : ReLUNetwork
        The network whose gates determine the normal matrix.
    rows : FittedRows
        The rows, a sample of which gives the normal matrix in the span of the neurons.
    whitening : Whitening
        Mean and covariance of the inputs.
    free : Free
        The parameters that are fitted.
    damping : float
        Damping of the normal matrix in the span of the neurons, relative to its diagonal.
    n_jobs : int, default=None
        Number of threads; None means one per core.
    """
    k = network.n_neurons
    neurons = whitening.z_weights(network.weights)
    # A homogeneous network is a function of z + origin, whose second moment is not isotropic along the origin.
    spanning = neurons if free.biases else np.concatenate([neurons, whitening.origin[None, :]])
    norms = np.sqrt(np.sum(spanning**2, axis=1))
    _, size, vt = svd(spanning[norms > 0] / norms[norms > 0, None])
    basis = vt[size > SPAN_TOLERANCE * size.max(initial=0.0)].T.copy()
    q = basis.shape[1]
    shift = whitening.mean if free.biases else np.zeros_like(whitening.mean)
    weights = matmul(neurons, basis)
    # Only the gates matter; with biases they are those of w·z + (b + w·mean).
    biases = network.biases + matmul(network.weights, shift)
    normal = np.eye(k + 1)
    if q:
        inside, weight = rows.project(whitening.x_weights(basis.T), shift)
        gates = ReLUNetwork(weights, network.output_weights, biases)
        normal = _normal_matrix(gates, inside, weight, n_jobs)
    mask = free.mask(k, q)
    at = np.flatnonzero(mask)
    together = np.arange(k + 1) * (q + 1) + q
    overlap = normal[together[:, None], together]
    outside_gates = np.arange(k + 1) if free.linear else np.arange(k)

    def solve(gradient: Array) -> Array:
        # The gradient with x̃ is converted to one with (z, 1) or, without biases, with z + origin.
        along_z = whitening.transform(gradient[:, :-1] - gradient[:, -1:] * shift)
        in_span = matmul(along_z, basis)
        outside = along_z - matmul(in_span, basis.T)
        right = np.concatenate([in_span, gradient[:, -1:]], axis=1).ravel()[at]
        step_inside = np.zeros((k + 1, q + 1))
        step_inside[mask] = _damped_step(normal[at[:, None], at], right, damping)[0]
        step = matmul(step_inside[:, :-1], basis.T)
        if len(outside_gates):
            block = overlap[outside_gates[:, None], outside_gates]
            for column in range(0, outside.shape[1], COLUMNS):
                part = outside[outside_gates, column : column + COLUMNS]
                step[outside_gates, column : column + COLUMNS] += _columns(block, part)
        weights = whitening.x_weights(step)
        constant = step_inside[:, -1] - matmul(weights, shift)
        return np.concatenate([weights, constant[:, None]], axis=1)

    return solve


def _normal_matrix(network: ReLUNetwork, x: Array, weight: Array, n_jobs: int | None) -> Array:
    """Return E[g gᵀ ⊗ x̃ x̃ᵀ] over rows."""
    curvature = CurvatureMoments(network)
    scan_array(x, None, weight).sweep([curvature], n_jobs=n_jobs)
    return curvature.normal_matrix


def _columns(matrix: Array, right: Array) -> Array:
    """Solve with a slightly damped matrix for several right-hand sides."""
    damped = matrix + 1e-10 * np.diag(np.diagonal(matrix) + 1e-300)
    return solve_spd(damped, right.copy())


def accelerate(
    network: ReLUNetwork,
    rows: FittedRows,
    whitening: Whitening,
    free: Free,
    *,
    label_rms: float,
    tolerance: float = 0.0,
    steps: int = 30,
    n_jobs: int | None = None,
    settings: Settings = DEFAULTS,
) -> Polished:
    """Polish by preconditioned gradients with Anderson acceleration, one sweep of O(N d k) operations per step.

    Anderson acceleration takes the affine combination of the last iterates whose predicted step is smallest, here in
    the norm of the preconditioner. For a quadratic risk it converges like conjugate gradients: errors decrease by a
    factor of about √(p/N) per sweep, where p is the number of parameters.

    Parameters
    ----------
    network : ReLUNetwork
        The start.
    rows : FittedRows
        The rows to fit.
    whitening : Whitening
        Mean and covariance of the inputs.
    free : Free
        The parameters that are fitted.
    label_rms : float
        RMS of the labels, which sets the size of rounding errors.
    tolerance : float, default=0.0
        Predicted relative decrease of the risk at which the steps end.
    steps : int, default=30
        Largest number of sweeps.
    n_jobs : int, default=None
        Number of threads; None means one per core.
    settings : Settings, default=DEFAULTS
        Memory, damping and termination criteria.
    """
    theta, signs = _parameters(network)
    mask = free.mask(*network.weights.shape)
    theta = np.where(mask, theta, 0.0)
    best: tuple[float, Array, Array] = (np.inf, theta, theta)
    past: list[tuple[Array, Array, Array]] = []
    history: list[float] = []
    damping, idle, built_at = settings.gradient_damping, 0, np.inf

    def precondition_at(theta: Array) -> Precondition:
        return preconditioner(_network(theta, signs), rows, whitening, free, damping, n_jobs)

    precondition = precondition_at(theta)
    for _ in range(steps):
        if not np.all(np.isfinite(theta)):
            break
        gradients = GradientMoments(_network(theta, signs))
        rows.sweep([gradients])
        risk = gradients.risk
        history.append(float(np.sqrt(risk)))
        idle = 0 if risk < 0.7 * best[0] else idle + 1
        if idle > (0 if np.sqrt(best[0]) < 100 * ROUNDING * label_rms else settings.polish_patience):
            break
        if not risk < settings.exploded * best[0]:
            # The sampled curvature was too small in some direction, or the step changed too many gates.
            damping *= 1e3
            theta, past = best[1], []
            precondition = precondition_at(theta)
            theta = theta + np.where(mask, precondition(best[2]), 0.0)
            continue
        if np.isinf(built_at):
            built_at = risk
        elif risk < settings.rebuild * built_at and np.sqrt(risk) > 1e-6 * label_rms:
            precondition, built_at, past = precondition_at(theta), risk, []
        gradient = np.where(mask, gradients.gradient, 0.0)
        step = np.where(mask, precondition(gradient), 0.0)
        if risk < best[0]:
            best = (risk, theta, gradient)
        if np.sum(step * gradient) <= tolerance * risk or np.sqrt(risk) < ROUNDING * label_rms:
            break
        past = [*past[-settings.anderson_memory :], (theta, step, gradient)]
        theta = combined(past)
    return Polished(_network(best[1], signs), best[0], tuple(history))


def combined(past: list[tuple[Array, Array, Array]]) -> Array:
    """Return Σ α_i (θ_i + step_i) for the α with Σ α_i = 1 that minimise Σ α_i step_i in the norm <step, gradient>."""
    theta, step, gradient = past[-1]
    earlier = past[:-1]
    if not earlier:
        return theta + step
    steps = np.stack([(s - step).ravel() for _, s, _ in earlier])
    gradients = np.stack([(g - gradient).ravel() for _, _, g in earlier])
    products = matmul(steps, gradients.T)
    right = matmul(gradients, step.ravel())
    alpha = -_damped_step((products + products.T) / 2, right, 1e-12)[0]
    out: Array = theta + step
    for a, (t, s, _) in zip(alpha, earlier, strict=True):
        out = out + a * ((t + s) - (theta + step))
    return out

"""The least-squares optimum of all outputs in all dimensions, from a start in its basin.

f = C relu(W x̃) + L x̃ is linear in (C, L) and, gates fixed, in W. The normal matrix of a Gauss-Newton step has the
blocks E[g_i g_j x̃ x̃ᵀ] (CᵀC)_ij for W, E[Φ Φᵀ] for each output with Φ = (relu(W x̃), x̃), and E[g_i x̃ Φᵀ] C_oi between
them: all follow from E[g gᵀ ⊗ x̃ x̃ᵀ], whatever the number of outputs. Eliminating (C, L) leaves the matrix of variable
projection in W (Golub and Pereyra, 1973; Kaufman, 1975).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from relunet._typing import Array
from relunet.errors import NumericalError
from relunet.fitting.rows import FittedRows
from relunet.fitting.settings import DEFAULTS, Settings
from relunet.fitting.stages.polish import MAX_DAMPING, MIN_DAMPING, ROUNDING, SPAN_TOLERANCE, Free, combined
from relunet.fitting.stages.whitening import Whitening
from relunet.linalg import matmul, solve_spd, svd
from relunet.moments import CurvatureMoments, JointGradientMoments
from relunet.network import ReLUNetwork
from relunet.samples import scan_array

__all__ = ["JointlyPolished", "polish_jointly", "solved"]

# Earlier iterates are combined as long as their risk is at most so many times the present one.
NEAR = 100.0


@dataclass(frozen=True)
class JointlyPolished:
    """A polished network of several outputs.

    Attributes
    ----------
    network : ReLUNetwork
        The best network met.
    risk : float
        Sum over outputs of its mean squared residual on the rows it was polished on.
    history : tuple of float
        Root of that sum as each sweep found it.
    """

    network: ReLUNetwork
    risk: float
    history: tuple[float, ...]


@dataclass(frozen=True)
class _Layout:
    """How parameters W (k, d + 1), C (m, k) and L (m, d + 1) lie in one vector."""

    k: int
    d: int
    m: int

    def split(self, vector: Array) -> tuple[Array, Array, Array]:
        k, d, m = self.k, self.d, self.m
        hidden, outer, affine = np.split(vector, [k * (d + 1), k * (d + 1) + m * k])
        return hidden.reshape(k, d + 1), outer.reshape(m, k), affine.reshape(m, d + 1)

    def join(self, hidden: Array, outer: Array, affine: Array) -> Array:
        return np.concatenate([hidden.ravel(), outer.ravel(), affine.ravel()])

    def mask(self, free: Free) -> Array:
        hidden, outer, affine = self.split(np.ones(self.k * (self.d + 1) + self.m * (self.k + self.d + 1)))
        hidden[:, -1] = affine[:, -1] = float(free.biases)
        affine[:, :-1] = float(free.linear)
        return self.join(hidden, outer, affine)

    def network(self, vector: Array) -> ReLUNetwork:
        hidden, outer, affine = self.split(vector)
        return ReLUNetwork(hidden[:, :-1], outer, hidden[:, -1], affine[:, :-1], affine[:, -1])


def polish_jointly(
    network: ReLUNetwork,
    rows: FittedRows,
    whitening: Whitening,
    free: Free,
    *,
    label_rms: float,
    steps: int,
    n_jobs: int | None = None,
    settings: Settings = DEFAULTS,
) -> JointlyPolished:
    """Return the least-squares optimum on rows: by preconditioned gradients, and by Gauss-Newton steps after them.

    Parameters
    ----------
    network : ReLUNetwork
        The start, of m outputs.
    rows : FittedRows
        The rows to fit, with m labels each.
    whitening : Whitening
        Mean and covariance of the inputs.
    free : Free
        What is fitted beside the weights of neurons and outputs.
    label_rms : float
        RMS of the labels over all outputs, for what counts as a rounding error.
    steps : int
        Most sweeps of the gradients.
    n_jobs : int, default=None
        Threads; None means one for each core.
    settings : Settings, default=DEFAULTS
        When the steps end.
    """
    # Columns of C of norm 1: the scale of a neuron is free.
    size = np.sqrt(np.sum(network.output_weights**2, axis=0))
    size = np.where(size > 0, size, 1.0)
    layout = _Layout(network.n_neurons, network.n_features, network.n_outputs)
    hidden = np.concatenate([network.weights, network.biases[:, None]], axis=1) * size[:, None]
    affine = np.concatenate([network.linear, np.asarray(network.intercept)[:, None]], axis=1)
    theta = layout.join(hidden, network.output_weights / size, affine)
    n_parameters = network.weights.size + network.output_weights.size
    tolerance = settings.precision_goal * n_parameters / (rows.n_rows * layout.m)
    first = _descended(theta, layout, rows, whitening, free, label_rms, tolerance, steps, n_jobs, settings)
    is_small = layout.k * (whitening.rank + 1) <= settings.max_newton and whitening.whiten.ndim == 2
    if len(first.history) < steps or not is_small:
        return first
    start = layout.join(*_parts(first.network))
    last = _descended(
        start, layout, rows, whitening, free, label_rms, tolerance, steps, n_jobs, settings, everything=True
    )
    best = last if last.risk <= first.risk else first
    return JointlyPolished(best.network, best.risk, first.history + last.history)


def _parts(network: ReLUNetwork) -> tuple[Array, Array, Array]:
    hidden = np.concatenate([network.weights, network.biases[:, None]], axis=1)
    affine = np.concatenate([network.linear, np.asarray(network.intercept)[:, None]], axis=1)
    return hidden, network.output_weights, affine


def _descended(
    theta: Array,
    layout: _Layout,
    rows: FittedRows,
    whitening: Whitening,
    free: Free,
    label_rms: float,
    tolerance: float,
    steps: int,
    n_jobs: int | None,
    settings: Settings,
    everything: bool = False,
) -> JointlyPolished:
    """Descend by accelerated preconditioned gradients; with `everything` by damped Gauss-Newton steps."""
    mask = layout.mask(free)
    theta = theta * mask
    best: tuple[float, Array, Array] = (np.inf, theta, theta)
    past: list[tuple[float, Array, Array, Array]] = []
    history: list[float] = []
    damping, idle, built_at = settings.newton_damping if everything else settings.gradient_damping, 0, np.inf
    is_plain, length = True, 1.0

    def precondition_at(theta: Array) -> Callable[[Array], Array]:
        return _preconditioner(layout.split(theta), layout, rows, whitening, free, damping, n_jobs, everything)

    precondition = precondition_at(theta)
    for _ in range(steps):
        if not np.all(np.isfinite(theta)):
            break
        sums = JointGradientMoments(layout.network(theta))
        rows.sweep([sums])
        risk = float(np.trace(sums.squares))
        history.append(float(np.sqrt(risk)))
        idle = 0 if risk < 0.7 * best[0] else idle + 1
        if idle > (0 if np.sqrt(best[0]) < 100 * ROUNDING * label_rms else settings.polish_patience):
            break
        if not risk < best[0]:
            # A step that combined earlier ones is tried again without them. One on its own was too long for the gates
            # or for products of parameters: it is shortened, a Gauss-Newton step by damping.
            if is_plain and everything:
                if damping >= MAX_DAMPING:
                    break
                damping *= 10.0
                precondition = precondition_at(best[1])
            elif is_plain:
                length /= 4.0
            theta, past, is_plain = best[1] + length * mask * precondition(best[2]), [], True
            continue
        length = min(2.0 * length, 1.0)
        gradient = mask * layout.join(sums.hidden, sums.output_weights, sums.affine)
        if np.isinf(built_at):
            built_at = risk
        elif everything or (risk < settings.rebuild * built_at and np.sqrt(risk) > 1e-6 * label_rms):
            damping = max(damping / 10, MIN_DAMPING) if everything else damping
            precondition, built_at, past = precondition_at(theta), risk, []
        step = mask * precondition(gradient)
        best = (risk, theta, gradient)
        if np.sum(step * gradient) <= tolerance * risk or np.sqrt(risk) < ROUNDING * label_rms:
            break
        # Products of parameters make far iterates useless for a linear model.
        near = [entry for entry in past if entry[0] < NEAR * risk][-settings.anderson_memory :]
        past = [] if everything else [*near, (risk, theta, step, gradient)]
        is_plain = len(past) <= 1
        theta = theta + length * step if is_plain else combined([entry[1:] for entry in past])
    return JointlyPolished(layout.network(best[1]), best[0], tuple(history))


def solved(normal: Array, right: Array, damping: float) -> Array:
    """Return x (p, q) with (N + damping diag N) x = right, the damping increased until that is solvable."""
    if len(normal) == 0:
        return np.zeros(right.shape)
    scale = np.sqrt(np.maximum(np.diagonal(normal), 0.0))
    scale = np.where(scale > 0, scale, 1.0)
    correlation = normal / scale / scale[:, None]
    # A parameter that no row sees stays as it is.
    unseen = np.diagonal(correlation) <= 0
    correlation = correlation + np.diag(unseen.astype(np.float64))
    while True:
        try:
            damped = (correlation + correlation.T) / 2 + damping * np.eye(len(scale))
            return solve_spd(damped, right / scale[:, None]) / scale[:, None]
        except NumericalError:
            # Rounding errors made the matrix indefinite. An error that no damping mends is the caller's.
            if damping > MAX_DAMPING:
                raise
            damping = max(10 * damping, 1e-12)


def _preconditioner(
    parameters: tuple[Array, Array, Array],
    layout: _Layout,
    rows: FittedRows,
    whitening: Whitening,
    free: Free,
    damping: float,
    n_jobs: int | None,
    everything: bool,
) -> Callable[[Array], Array]:
    """Return the map from a gradient to the Gauss-Newton step, its normal matrix from sampled rows.

    Outside the span of the neurons inputs count as isotropic and independent of the gates, unless `everything` counts
    as the span.
    """
    hidden, outer, _ = parameters
    k, r = layout.k, whitening.rank
    neurons = whitening.z_weights(np.ascontiguousarray(hidden[:, :-1]))
    shift = whitening.mean if free.biases else np.zeros_like(whitening.mean)
    biases = hidden[:, -1] + matmul(np.ascontiguousarray(hidden[:, :-1]), shift)
    if everything:
        basis = np.eye(r)
    else:
        spanning = neurons if free.biases else np.concatenate([neurons, whitening.origin[None, :]])
        norms = np.sqrt(np.sum(spanning**2, axis=1))
        _, size, vt = svd(spanning[norms > 0] / norms[norms > 0, None])
        basis = vt[size > SPAN_TOLERANCE * size.max(initial=0.0)].T.copy()
    q = basis.shape[1]
    inner = np.concatenate([matmul(neurons, basis), biases[:, None]], axis=1)
    inside, weight = rows.project(whitening.x_weights(basis.T.copy()), shift)
    curvature = CurvatureMoments(ReLUNetwork(inner[:, :-1], np.ones(k), biases))
    scan_array(inside, None, weight).sweep([curvature], n_jobs=n_jobs)
    normal = curvature.normal_matrix.reshape(k + 1, q + 1, k + 1, q + 1)
    # E[g_i x̃ relu_j] for neurons j and, last, for the affine gate i.
    against = np.sum(normal[:, :, :k, :] * inner, axis=3)
    between = np.concatenate([against[:k], normal[:k, :, k, :]], axis=2)
    top = np.concatenate([np.sum(inner[:, :, None] * against[:k], axis=1), against[k].T], axis=1)
    outer_normal = np.concatenate([top, np.concatenate([against[k], normal[k, :, k, :]], axis=1)])
    fitted = np.flatnonzero(np.concatenate([np.ones(k), np.full(q, free.linear), [free.biases]]))
    between, outer_normal = between[:, :, fitted], outer_normal[fitted[:, None], fitted]
    columns = np.arange(q + bool(free.biases))
    at = (np.arange(k)[:, None] * (q + 1) + columns).ravel()
    flat = between.reshape(k * (q + 1), len(fitted))
    eliminated = solved(outer_normal, flat.T.copy(), damping)
    shared = matmul(outer.T, outer)
    left = normal[:k, :, :k, :].reshape(k * (q + 1), -1) - matmul(flat, eliminated)
    reduced = left.reshape(k, q + 1, k, q + 1) * shared[:, None, :, None]
    for i in range(k):
        # A longer neuron with a smaller output weight is the same function: the step along it is zero.
        length = float(np.sum(inner[i] ** 2))
        stiffness = float(np.trace(reduced[i, :, i, :])) / (q + 1)
        if length > 0:
            reduced[i, :, i, :] += stiffness / length * inner[i][:, None] * inner[i]
    reduced = reduced.reshape(k * (q + 1), -1)[at[:, None], at]
    gates, means = normal[:k, q, :k, q], normal[:k, q, k, q]
    outside_normal = shared * (gates - means[:, None] * means if free.linear else gates)

    def against_z(gradient: Array) -> tuple[Array, Array]:
        """Return a gradient against x̃ inside the span and off it."""
        z = whitening.transform(gradient[:, :-1] - gradient[:, -1:] * shift)
        within = matmul(z, basis)
        return np.concatenate([within, gradient[:, -1:]], axis=1), z - matmul(within, basis.T)

    def raw(inside: Array, outside: Array) -> Array:
        slopes = whitening.x_weights(matmul(np.ascontiguousarray(inside[:, :-1]), basis.T) + outside)
        return np.concatenate([slopes, (inside[:, -1] - matmul(slopes, shift))[:, None]], axis=1)

    def solve(gradient: Array) -> Array:
        g_hidden, g_outer, g_affine = layout.split(gradient)
        (hidden_in, hidden_out), (affine_in, affine_out) = against_z(g_hidden), against_z(g_affine)
        right = np.concatenate([g_outer, affine_in], axis=1)[:, fitted]
        own = solved(outer_normal, right.T.copy(), damping)
        carried = np.sum(between * matmul(own, outer).T[:, None, :], axis=2)
        step_hidden = np.zeros((k, q + 1))
        step_hidden.ravel()[at] = solved(reduced, (hidden_in - carried).ravel()[at][:, None], damping)[:, 0]
        back = matmul(outer, np.sum(between * step_hidden[:, :, None], axis=1))
        step_outputs = np.zeros((layout.m, k + q + 1))
        step_outputs[:, fitted] = (own - solved(outer_normal, back.T.copy(), damping)).T
        if free.linear:
            out = solved(outside_normal, hidden_out - means[:, None] * matmul(outer.T, affine_out), 1e-10)
            affine_step = affine_out - matmul(outer * means, out)
        else:
            out, affine_step = solved(outside_normal, hidden_out, 1e-10), np.zeros_like(affine_out)
        return layout.join(raw(step_hidden, out), step_outputs[:, :k], raw(step_outputs[:, k:], affine_step))

    return solve

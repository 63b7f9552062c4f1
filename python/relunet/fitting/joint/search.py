"""Search for the hidden layer of several outputs: informative combinations of outputs, and variable projection."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relunet._typing import Array
from relunet.errors import NumericalError
from relunet.fitting.joint.polish import solved
from relunet.linalg import eigh, matmul
from relunet.network import ReLUNetwork

__all__ = ["fitted_outputs", "projected_search", "telling_combinations"]

# Rows, and the most features, from which combinations of outputs that show most are found.
ROWS, FEATURES = 20_000, 200
# Relative damping of the normal matrix of the output weights.
DAMPING = 1e-12
# Range of the relative damping of a step, most steps of a descent, and least relative decrease of the loss in one.
LEAST, MOST, STEPS, DECREASE = 1e-13, 1e6, 200, 1e-3


def telling_combinations(z: Array, residual: Array) -> Array:
    """Return orthonormal combinations of outputs, as rows (q, q), by how much E[r (z zᵀ - I)] of them shows.

    Parameters
    ----------
    z : ndarray of shape (n, r)
        Whitened rows.
    residual : ndarray of shape (n, q)
        Residuals of the outputs, times the roots of the rows' weights.
    """
    q = residual.shape[1]
    z, residual = z[:ROWS, :FEATURES], residual[:ROWS]
    # <E[r_o (z zᵀ - I)], E[r_o' (z zᵀ - I)]> over pairs of outputs.
    moments = np.stack(
        [(matmul((z * r[:, None]).T, z) - np.sum(r) * np.eye(z.shape[1])).ravel() / len(z) for r in residual.T]
    )
    _, vectors = eigh(matmul(moments, moments.T))
    return np.ascontiguousarray(vectors[:, ::-1].T) if q else np.zeros((0, 0))


def fitted_outputs(weights: Array, biases: Array, x: Array, z: Array, y: Array, weight: Array, constant: bool) -> Array:
    """Return the least-squares coefficients of hidden values, z and, with `constant`, 1: (k + r + 1, q).

    Parameters
    ----------
    weights, biases : ndarray of shape (k, d) and (k,)
        The hidden layer.
    x, z : ndarray of shape (n, d) and (n, r)
        Rows, and the columns of the linear part.
    y : ndarray of shape (n, q)
        Labels.
    weight : ndarray of shape (n,)
        Row weights.
    constant : bool
        Whether there is an intercept; without, its coefficient is 0.
    """
    hidden = np.maximum(matmul(x, weights.T) + biases, 0.0)
    design = np.concatenate([hidden, z, np.ones((len(z), int(constant)))], axis=1)
    weighted = design * weight[:, None]
    found = solved(matmul(weighted.T, design), matmul(weighted.T, y), DAMPING)
    return found if constant else np.concatenate([found, np.zeros((1, y.shape[1]))])


def projected_search(
    z: Array,
    y: Array,
    n_neurons: int,
    *,
    constant: bool,
    linear: bool,
    floor: float,
    starts: int,
    seed: int,
    directions: Array | None = None,
) -> ReLUNetwork | None:
    """Search for a network of whitened rows in all dimensions, by variable projection from random starts.

    Given the weights, output weights and the affine part are a least-squares problem; Levenberg-Marquardt steps move
    the weights with that solution kept (Golub and Pereyra, 1973; Kaufman, 1975).

    Parameters
    ----------
    z : ndarray of shape (n, r)
        Whitened rows, times the roots of their weights.
    y : ndarray of shape (n, q)
        Labels, times the roots of the rows' weights.
    n_neurons : int
        Number of neurons.
    constant : bool
        Whether the last column of z is a constant.
    linear : bool
        Whether there is a linear part.
    floor : float
        Mean squared residual, summed over outputs, at which the search ends.
    starts : int
        Most starts.
    seed : int
        Seed of the starts.
    directions : ndarray of shape (r, s), optional
        Directions that are seen in part: every other start lies in their span.

    Returns
    -------
    ReLUNetwork or None
        The best network of z, its last weight the bias where there is a constant; None if no start could be fitted.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    best: tuple[float, Array, Array] | None = None
    r = z.shape[1] - constant
    affine = z if linear else z[:, r:]
    for start in range(starts):
        a = rng.standard_normal((n_neurons, z.shape[1]))
        if directions is not None and directions.shape[1] and start % 2:
            span = directions[:, : 1 + (start // 2) % directions.shape[1]]
            a[:, :r] = matmul(matmul(a[:, :r], span), span.T)
        a[:, r:] *= 0.5
        found = _descended(z, y, affine, a / np.sqrt(np.sum(a**2, axis=1))[:, None], floor)
        if found is not None and (best is None or found[0] < best[0]):
            best = found
        if best is not None and best[0] <= floor:
            break
    if best is None:
        return None
    _, a, coefficients = best
    outputs, rest = coefficients[:n_neurons].T, np.zeros((y.shape[1], z.shape[1]))
    rest[:, z.shape[1] - affine.shape[1] :] = coefficients[n_neurons:].T
    return ReLUNetwork(a, outputs, None, rest, np.zeros(y.shape[1]))


def _descended(z: Array, y: Array, affine: Array, a: Array, floor: float) -> tuple[float, Array, Array] | None:
    """Return loss, weights and coefficients after a descent from the weights `a`."""
    k, p = a.shape
    damping, slow = 1e-2, 0

    def fitted(a: Array) -> tuple[float, NDArray[np.bool_], Array, Array, Array]:
        height = matmul(z, a.T)
        on = height > 0
        design = np.concatenate([np.where(on, height, 0.0), affine], axis=1)
        normal = matmul(design.T, design)
        coefficients = solved(normal, matmul(design.T, y), DAMPING)
        residual = y - matmul(design, coefficients)
        return float(np.sum(residual**2)) / len(y), on, design, coefficients, residual

    try:
        loss, on, design, coefficients, residual = fitted(a)
        for _ in range(STEPS):
            if loss <= floor:
                break
            outer = coefficients[:k]
            jacobian = (on[:, :, None] * z[:, None, :]).reshape(len(z), k * p)
            between = matmul(jacobian.T, design)
            off = matmul(between, solved(matmul(design.T, design), between.T.copy(), DAMPING))
            shared = matmul(outer, outer.T)
            normal = ((matmul(jacobian.T, jacobian) - off).reshape(k, p, k, p) * shared[:, None, :, None]).reshape(
                k * p, k * p
            )
            against = matmul(jacobian.T, residual).reshape(k, p, -1)
            gradient = np.sum(against * outer[:, None, :], axis=2).reshape(k * p, 1)
            accepted = False
            while damping < MOST and not accepted:
                step = solved(normal, gradient, damping).reshape(k, p)
                moved = a + step
                trial = fitted(moved)
                if trial[0] < loss:
                    accepted = True
                    slow = slow + 1 if trial[0] > (1 - DECREASE) * loss else 0
                    damping = max(damping / 10, LEAST)
                    size = np.sqrt(np.sum(moved**2, axis=1))[:, None]
                    a, (loss, on, design, coefficients, residual) = moved, trial
                    a = a / size
                    coefficients = np.concatenate([coefficients[:k] * size, coefficients[k:]])
                    design = np.concatenate([design[:, :k] / size.T, design[:, k:]], axis=1)
                else:
                    damping *= 8
            if not accepted or slow > 5:
                break
    except NumericalError:
        return None
    return loss, a, coefficients

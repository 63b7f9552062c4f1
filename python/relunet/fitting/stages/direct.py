"""Search for neurons in all dimensions at once, for few rows: least-squares fits from many starts, with exchanges.

More rows are needed to see the subspace of the neurons than to determine the neurons. For few rows, a
Levenberg-Marquardt step in all dimensions is cheap, so that no subspace is needed; directions that are partly visible
are used for starts. If a fit has a residual of zero on more rows than there are parameters, it is the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relunet import _relunet
from relunet._typing import Array
from relunet.linalg import eigh, matmul
from relunet.network import ReLUNetwork

__all__ = ["DirectFit", "find_directly", "is_determined"]

# Eigenvalues of the normal matrix of normalised columns below this share of the largest are rounding errors.
SINGULAR = 1e-13
# A kink passes through a row if its distance is below this share of the RMS distance.
AT_KINK = 1e-8


@dataclass(frozen=True, slots=True)
class DirectFit:
    """A function ``linear·z + Σ signs_i relu(vectors_i·z)`` of rows z.

    Attributes
    ----------
    linear : ndarray of shape (q,)
        The affine part; with biases its last entry is the intercept.
    vectors : ndarray of shape (k, q)
        One row per neuron; with biases its last entry is the bias.
    signs : ndarray of shape (k,)
        1 or -1 per neuron.
    loss : float
        Mean squared residual.
    """

    linear: Array
    vectors: Array
    signs: Array
    loss: float


def find_directly(
    z: Array,
    y: Array,
    n_neurons: int,
    *,
    fit_bias: bool,
    linear: bool,
    sample_weight: Array | None = None,
    directions: Array | None = None,
    floor: float = 0.0,
    budget: int = 1_000_000_000,
    seed: int = 0,
    n_jobs: int | None = None,
) -> DirectFit:
    """Search for the global minimum of ``mean (y - w·z - Σ_i s_i relu(a_i·z))²`` in all dimensions.

    Parameters
    ----------
    z : ndarray of shape (n, r)
        Whitened rows.
    y : ndarray of shape (n,)
        Labels.
    n_neurons : int
        Number of neurons.
    fit_bias : bool
        Whether neurons have biases and w an intercept.
    linear : bool
        Whether there is a linear part w.
    sample_weight : ndarray of shape (n,), optional
        Row weights.
    directions : ndarray of shape (r, m), optional
        Orthonormal directions in the order in which they stand out, whose spans give starts.
    floor : float, default=0.0
        Mean squared residual at which the search ends.
    budget : int, default=1e9
        Budget in floating-point operations.
    seed : int, default=0
        Seed of the starts.
    n_jobs : int, optional
        Number of threads; None means one per core. The result does not depend on it.

    Returns
    -------
    DirectFit
        The best fit.

    Raises
    ------
    ArgumentError
        `n_neurons` is less than 1.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.random.default_rng(0).standard_normal((40, 10))
    >>> y = np.maximum(z[:, 0], 0) - np.maximum(z @ np.full(10, 0.5), 0)
    >>> fit = find_directly(z, y, 2, fit_bias=False, linear=False, floor=1e-20)
    >>> fit.loss < 1e-20
    True
    """
    constant = np.ones((len(z), int(fit_bias)))
    root = np.ones((len(z), 1)) if sample_weight is None else np.sqrt(sample_weight / np.mean(sample_weight))[:, None]
    labels = np.ascontiguousarray(y * root[:, 0])

    def fitted(rows: Array, starts: Sequence[tuple[Array, Array, Array]], budget: int) -> DirectFit:
        q = rows.shape[1] + fit_bias
        affine = (0 if linear else q - fit_bias, q)
        columns = np.ascontiguousarray(np.concatenate([rows, constant], axis=1) * root)
        part, vectors, signs, loss, _ = _relunet.search_directly(
            columns,
            labels,
            n_neurons,
            affine=affine,
            floor=floor,
            budget=budget,
            starts=list(starts),
            constant=fit_bias,
            seed=seed,
            n_threads=n_jobs,
        )
        return DirectFit(np.concatenate([np.zeros(affine[0]), part]), vectors, signs, loss)

    starts = []
    r = z.shape[1]
    directions = np.zeros((r, 0)) if directions is None else directions
    for rank in range(1, min(n_neurons, directions.shape[1] + 1, r)):
        span = directions[:, :rank]
        flat = fitted(matmul(z, span), (), budget // 1000)
        lifted = np.concatenate([flat.linear[None, :], flat.vectors])
        raised = np.concatenate([matmul(lifted[:, :rank], span.T), lifted[:, rank:]], axis=1)
        starts.append((raised[0] if linear else raised[0, r:], raised[1:], flat.signs))
    return fitted(z, starts, budget)


def is_determined(network: ReLUNetwork, x: Array, *, fit_bias: bool) -> bool:
    """Return whether rows x determine the parameters of a network that fits them exactly.

    For fixed gates the network is linear in its parameters. They are determined if there are fewer parameters than rows
    and if no change of the parameters leaves all predictions unchanged. Rows on a kink do not count: they hold a neuron
    at the boundary of the set of networks that fit, which may contain others.

    Parameters
    ----------
    network : ReLUNetwork
        The network.
    x : ndarray of shape (n, d)
        The rows.
    fit_bias : bool
        Whether biases and the intercept are parameters.
    """
    height = matmul(x, network.weights.T) + network.biases
    off_kinks = np.all(np.abs(height) > AT_KINK * np.sqrt(np.mean(height**2, axis=0)), axis=1)
    x, active = x[off_kinks], height[off_kinks] > 0
    ones = np.ones((len(x), int(fit_bias)))
    inputs = np.concatenate([x, ones], axis=1)
    columns = [inputs * active[:, i, None] for i in range(network.n_neurons)]
    columns.append(inputs if np.any(network.linear) else ones)
    design = np.concatenate(columns, axis=1)
    size = np.sqrt(np.sum(design**2, axis=0))
    if design.shape[1] >= len(x) or np.any(size == 0):
        return False
    design = design / size
    values = eigh(matmul(design.T, design))[0]
    return bool(values[0] > SINGULAR * values[-1])

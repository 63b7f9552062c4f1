"""The second stage where features are many: directions by block iteration, with thin products of moments in place of d x d ones.

Contractions C_n = E[He_n(c(y)) (z zᵀ - I)], c(y) the normal score of the label, are those of `subspace`. A sweep gives
C_n V for a thin V, and the leading left singular vectors of all C_n V, each in units of its edge, are the next V: what
neurons span grows against noise by its eigenvalue over the edge, a sweep. O(N d s) for s columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from relunet import _relunet
from relunet.inputs import Inputs
from relunet.moments import Accumulator, SketchMoments
from relunet.network import ReLUNetwork
from relunet.subspace import Subspace, contraction_edges, normal_scores, slice_edges, standing_out

__all__ = ["sketch_subspace"]

Array = NDArray[np.float64]
Sweep = Callable[[Sequence[Accumulator]], None]

# Sweeps: the fewest, for a direction that V hardly has at first, and the most.
FEWEST, MOST = 5, 16
# Directions that move by less, or values that grow by less where none stands out, have converged.
MOVED, GROWN = 0.05, 0.02


def sketch_subspace(
    sweep: Sweep, inputs: Inputs, network: ReLUNetwork, residual: Array, n_columns: int, seed: int
) -> Subspace:
    """Find the directions that contractions with the residual y - f(x) show.

    Parameters
    ----------
    sweep : callable
        Sweeps all rows through accumulators.
    inputs : Inputs
        Mean and scales of the inputs.
    network : ReLUNetwork
        What is subtracted from labels.
    residual : ndarray of shape (n,)
        Residuals of sampled rows, for slices and their scores.
    n_columns : int
        Columns of V: more than directions may show.
    seed : int
        Chooses the first V.
    """
    r = inputs.rank
    edges = slice_edges(residual, inputs.n_rows, 1)
    share = np.bincount(np.searchsorted(edges, residual, side="right"), minlength=len(edges) + 1) / len(residual)
    scores = normal_scores(share)
    functions = np.concatenate([np.ones((len(share), 1)), scores], axis=1)
    radii = contraction_edges(share, scores, r, inputs.n_rows)
    rng = np.random.Generator(np.random.PCG64(seed))
    v = _orthonormal(rng.standard_normal((min(n_columns, r), r)))
    directions, spectrum, n_visible = v, np.zeros(len(v)), -1
    for step in range(MOST):
        sums = SketchMoments(len(inputs.mean), inputs.raw(v), edges, functions, network)
        sweep([sums])
        images = [image / radius for image, radius in zip(_images(sums, v, inputs), radii, strict=True)]
        # C_n restricted to the span of V, and what stands out there.
        within = np.stack([_relunet.matmul(image, v.T.copy()) for image in images])
        before, visible_before, largest_before = directions[: max(n_visible, 0)], n_visible, spectrum[0]
        within = (within + within.transpose(0, 2, 1)) / 2
        n_visible = standing_out(within)
        values, axes = _relunet.eigh(np.sum([_relunet.matmul(c, c) for c in within], axis=0))
        spectrum, directions = values[::-1].copy(), _relunet.matmul(axes.T[::-1].copy(), v)
        if step + 1 >= FEWEST and n_visible == visible_before:
            kept = _relunet.matmul(before, directions[:n_visible].T.copy())
            moved = np.sqrt(max(n_visible - float(np.sum(kept**2)), 0.0))
            if moved < MOVED and (n_visible or spectrum[0] < (1 + GROWN) * largest_before):
                break
        v = _orthonormal(np.concatenate(images), len(v))
    # The squares of m independent semicircles add up to a Marchenko-Pastur law of ratio m.
    bulk_edge = ((1 + np.sqrt(len(radii))) / 2) ** 2
    visible_share = float(radii[0] ** 2 * (np.pi / 2 - 1))
    return Subspace(spectrum, directions.T.copy(), float(bulk_edge), n_visible, visible_share)


def _images(sums: SketchMoments, v: Array, inputs: Inputs) -> list[Array]:
    """Return C_n V as rows (s, r), from sums against raw x and directions."""
    mean, total = inputs.mean, sums.weights[0]
    along = _relunet.matmul(mean[None, :], inputs.raw(v).T.copy())[0]
    seconds = []
    for weight, vector, products in zip(sums.weights, sums.vectors, sums.products, strict=True):
        against_v = _relunet.matmul(inputs.raw(v), vector[:, None])
        centred = products - against_v * mean - along[:, None] * (vector - weight * mean)
        seconds.append(inputs.against(centred) / total)
    shares = sums.weights / total
    return [second - share * seconds[0] for second, share in zip(seconds[1:], shares[1:], strict=True)]


def _orthonormal(rows: Array, most: int | None = None) -> Array:
    """Return orthonormal rows that span the leading directions of given rows."""
    _, _, vt = _relunet.svd(rows)
    return np.ascontiguousarray(vt[:most])

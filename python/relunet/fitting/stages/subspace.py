"""Second stage: the directions on which labels or the residuals of a fit depend, from slices of the label.

Let m_h be the mean of the whitened inputs z, and M_h that of z zᵀ - I, in slice h of the label. The statistic
K = Σ p_h [m_h m_hᵀ + M_h²/2] shows the span of the neurons, even if every moment that is linear in the label vanishes.
It combines all functions of the label, but also the noise of all of them. The single contractions
C_n = E[He_n(c(y)) (z zᵀ - I)] = Σ p_h He_n(c_h) M_h, where c_h is the normal score of slice h, therefore show more in
small residuals: C_1 shows weak neurons under noise, and C_2 neurons that cancel in every moment linear in the label.

With too many features for d x d matrices, a sweep computes C_n V for a thin V, and the leading left singular vectors of
all C_n V are the next V. In each sweep the directions of neurons grow relative to noise by the ratio of their
eigenvalue to the edge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from relunet._typing import Array
from relunet.fitting.settings import DEFAULTS, Settings
from relunet.fitting.stages.whitening import Whitening
from relunet.linalg import eigh, matmul, svd
from relunet.moments import Accumulator, SketchMoments, SliceMoments
from relunet.network import ReLUNetwork

__all__ = [
    "Subspace",
    "find_joint_subspace",
    "find_subspace",
    "joint_span",
    "orthonormal",
    "resolved_span",
    "sketch_subspace",
    "slice_edges",
    "span",
    "with_slope",
]


# Share of the squared slope that may lie off the visible directions because of their errors.
TURNED = 1e-2
# A column depends on earlier ones if its part off their span, relative to the column, is below this.
DEPENDENT = 1e-6


@dataclass(frozen=True)
class Subspace:
    """Directions in which the inputs in slices of a label differ.

    K is the statistic of all slices and C_n are single contractions. A sketch has no K, and only s of the r directions.

    Attributes
    ----------
    spectrum : ndarray of shape (r,) or (s,)
        Eigenvalues of K, descending; for a sketch, Σ |C_n v|² of each direction v with each C_n in units of its edge.
    directions : ndarray of shape (r, r) or (r, s)
        Eigenvectors, as columns, in whitened coordinates, of K + Σ C_n² with each in units of its edge; for a sketch,
        those of Σ C_n² restricted to a subspace.
    bulk_edge : float
        Largest value of the spectrum to expect if labels and inputs were independent.
    n_visible : int
        Number of directions that stand out, a lower bound of the dimension.
    visible_share : float
        Share of the variance, off the best affine function, that a single neuron must explain to stand out.
    """

    spectrum: Array
    directions: Array
    bulk_edge: float
    n_visible: int
    visible_share: float


def slice_edges(labels: Array, n_rows: float, n_features: int, settings: Settings = DEFAULTS) -> Array:
    """Return the edges of slices with approximately equal numbers of rows, from sampled labels.

    Equal labels are in the same slice. A label that many rows share has its own slice, since it shows where neurons are
    inactive.
    """
    n_slices = int(np.clip(n_rows // (settings.rows_per_dimension * (n_features + 1)), 2, settings.max_slices))
    edges = np.quantile(labels, np.arange(1, n_slices) / n_slices, method="inverted_cdf")
    values, counts = np.unique(labels, return_counts=True)
    atoms = values[counts > max(settings.atom * len(labels) / n_slices, 1)]
    edges = np.unique(np.concatenate([edges, atoms, np.nextafter(atoms, np.inf)]))
    return np.asarray(edges[edges > labels.min()], dtype=np.float64)


def find_subspace(
    slices: SliceMoments, whitening: Whitening, n_rows: float | None = None, settings: Settings = DEFAULTS
) -> Subspace:
    """Find the directions that the slices show.

    Parameters
    ----------
    slices : SliceMoments
        Moments of the inputs x in slices of the label.
    whitening : Whitening
        Mean and covariance of the inputs.
    n_rows : float, default=None
        Effective number of rows; None means the number of rows.
    settings : Settings, default=DEFAULTS
        The statistics that are used.
    """
    return find_joint_subspace([slices], whitening, n_rows, settings)


def find_joint_subspace(
    all_slices: Sequence[SliceMoments], whitening: Whitening, n_rows: float | None = None, settings: Settings = DEFAULTS
) -> Subspace:
    """Find the directions that the slices of several labels of the same rows show together.

    Parameters
    ----------
    all_slices : sequence of SliceMoments
        Moments of the raw inputs x in slices of each label, the labels about uncorrelated.
    whitening : Whitening
        Mean and covariance of the inputs.
    n_rows : float, default=None
        How many rows of equal weight tell as much; None means that weights are equal.
    settings : Settings, default=DEFAULTS
        Which statistics are used.
    """
    n_rows = all_slices[0].n_rows if n_rows is None else n_rows
    r, mean = whitening.rank, whitening.mean
    if r == 0:
        return Subspace(np.zeros(0), np.zeros((0, 0)), 0.0, 0, np.inf)
    used, n_labels = [], len(all_slices)
    k, edge, n_filled, radius = np.zeros((r, r)), 0.0, 0, np.inf
    for slices in all_slices:
        weights, vectors, grams = slices.weights, slices.vectors, slices.grams
        filled = np.flatnonzero(weights > 0)
        share = weights[filled] / weights.sum()
        contractions = np.zeros((2, r, r))
        scores = _normal_scores(share)
        for h, p, score in zip(filled, share, scores, strict=True):
            v = vectors[h] / weights[h]
            centred = grams[h] / weights[h] - v[:, None] * mean - mean[:, None] * v + mean[:, None] * mean
            excess = whitening.transform(whitening.transform(centred).T.copy()) - np.eye(r)
            m = whitening.transform((v - mean)[None, :])[0]
            k += p * (m[:, None] * m + matmul(excess, excess) / 2)
            contractions += (p * score)[:, None, None] * excess
            # For n_h rows without structure E[M_h²] = (r + 1)/n_h I and E[m_h m_hᵀ] = I/n_h.
            edge += p * ((r + 1) / 2 + 1) / (p * n_rows)
        radii = _contraction_edges(share, scores, r, n_rows)
        used += [
            c / radius
            for name, c, radius in zip(("C_1", "C_2"), contractions, radii, strict=True)
            if name in settings.statistics
        ]
        n_filled, radius = n_filled + len(filled), min(radius, float(radii[0]))
    if n_labels > 1:
        k, edge = k / n_labels, edge / n_labels
    # The squares of independent matrices average: their eigenvalues spread by a semicircle of radius 2/√H.
    edge *= 1 + 2 / np.sqrt(n_filled) + 3 * r ** (-2 / 3)
    directions, n_visible = _standing_out(used, k / edge if "K" in settings.statistics else np.zeros((r, r)))
    spectrum, _ = eigh((k + k.T) / 2)
    # E[y (z zᵀ - I)] = λ √(2/π) u uᵀ for the neuron λ |u·z|, which explains λ² (1 - 2/π) beside an affine function.
    visible_share = float(min(edge * (np.pi - 2), radius**2 * (np.pi / 2 - 1)))
    return Subspace(spectrum[::-1].copy(), directions, edge, n_visible, visible_share)


def sketch_subspace(
    sweep: Callable[[Sequence[Accumulator]], None],
    whitening: Whitening,
    n_rows: float,
    network: ReLUNetwork,
    residual: Array,
    n_columns: int,
    seed: int,
    settings: Settings = DEFAULTS,
) -> Subspace:
    """Find the directions that contractions with the residual y - f(x) show.

    Parameters
    ----------
    sweep : callable
        Adds all rows to accumulators.
    whitening : Whitening
        Mean and scales of the inputs.
    n_rows : float
        Effective number of rows.
    network : ReLUNetwork
        The network f.
    residual : ndarray of shape (n,)
        Residuals of sampled rows, from which slices and their scores are computed.
    n_columns : int
        Number of columns of V, larger than the expected number of directions.
    seed : int
        Seed of the initial V.
    settings : Settings, default=DEFAULTS
        Termination criteria of the iteration.
    """
    r = whitening.rank
    edges = slice_edges(residual, n_rows, 1, settings)
    share = np.bincount(np.searchsorted(edges, residual, side="right"), minlength=len(edges) + 1) / len(residual)
    filled = share > 0
    functions = np.ones((len(share), 3))
    functions[filled, 1:] = _normal_scores(share[filled])
    radii = _contraction_edges(share[filled], functions[filled, 1:], r, n_rows)
    rng = np.random.Generator(np.random.PCG64(seed))
    v = _orthonormal(rng.standard_normal((min(n_columns, r), r)))
    directions, spectrum, n_visible = v, np.zeros(len(v)), -1
    fewest, most = settings.block_sweeps
    for step in range(most):
        sums = SketchMoments(len(whitening.mean), whitening.x_weights(v), edges, functions, network)
        sweep([sums])
        images = [image / radius for image, radius in zip(_images(sums, v, whitening), radii, strict=True)]
        # C_n restricted to the span of V, and the directions that stand out in it.
        within = np.stack([matmul(image, v.T) for image in images])
        before, visible_before, largest_before = directions[: max(n_visible, 0)], n_visible, spectrum[0]
        axes, n_visible = _standing_out((within + within.transpose(0, 2, 1)) / 2, np.zeros((len(v), len(v))))
        directions = matmul(axes.T, v)
        spectrum = np.sum([matmul(image, directions.T) ** 2 for image in images], axis=(0, 1))
        if step + 1 >= fewest and n_visible == visible_before:
            kept = matmul(before, directions[:n_visible].T)
            moved = np.sqrt(max(n_visible - float(np.sum(kept**2)), 0.0))
            if moved < settings.block_moved and (
                n_visible or spectrum[0] < (1 + settings.block_grown) * largest_before
            ):
                break
        v = _orthonormal(np.concatenate(images), len(v))
    # The squares of m independent semicircles add up to a Marchenko-Pastur law of ratio m.
    bulk_edge = ((1 + np.sqrt(len(radii))) / 2) ** 2
    visible_share = float(radii[0] ** 2 * (np.pi / 2 - 1))
    return Subspace(spectrum, directions.T.copy(), float(bulk_edge), n_visible, visible_share)


def _images(sums: SketchMoments, v: Array, whitening: Whitening) -> list[Array]:
    """Return C_n V as rows (s, r), from sums of products with the inputs x."""
    mean, total = whitening.mean, sums.weights[0]
    along = matmul(mean, whitening.x_weights(v).T)
    seconds = []
    for weight, vector, products in zip(sums.weights, sums.vectors, sums.products, strict=True):
        sums_along_v = matmul(whitening.x_weights(v), vector)[:, None]
        centred = products - sums_along_v * mean - along[:, None] * (vector - weight * mean)
        seconds.append(whitening.transform(centred) / total)
    shares = sums.weights / total
    return [second - share * seconds[0] for second, share in zip(seconds[1:], shares[1:], strict=True)]


def _orthonormal(rows: Array, most: int | None = None) -> Array:
    """Return orthonormal rows that span the leading directions of given rows."""
    _, _, vt = svd(rows)
    return np.ascontiguousarray(vt[:most])


def _contraction_edges(share: Array, scores: Array, r: int, n_rows: float) -> Array:
    """Return the largest eigenvalues (m,) of contractions with `scores` (H, m) of slices without structure.

    The eigenvalues follow approximately a semicircle law, more exactly a free compound Poisson law with the cumulants
    (r/n)^(m-1) E[He^m], whose edge is at 2 κ_2^(1/2) + κ_3/κ_2 + κ_4/κ_2^(3/2).
    """
    aspect = r / n_rows
    third, fourth = np.abs(np.sum(share[:, None] * scores**3, axis=0)), np.sum(share[:, None] * scores**4, axis=0)
    edges: Array = 2 * np.sqrt(aspect) * (1 + 2 * r ** (-2 / 3)) + aspect * third + aspect**1.5 * fourth
    return edges


def _standing_out(contractions: Sequence[Array] | Array, k: Array) -> tuple[Array, int]:
    """Return the directions that contractions (r, r) and K show together, and how many of them stand out.

    Each statistic is in units of its edge, and is tested off the directions that earlier ones have shown. The
    directions are those of K + Σ C_n², since each statistic alone misses some of them.
    """
    unseen = np.eye(len(k))
    for statistic in (*contractions, k):
        rest = matmul(matmul(unseen.T, statistic), unseen)
        values, axes = eigh((rest + rest.T) / 2)
        unseen = matmul(unseen, axes[:, np.abs(values) <= 1])
    together = k + sum(matmul(c, c) for c in contractions)
    _, directions = eigh((together + together.T) / 2)
    return directions[:, ::-1].copy(), len(k) - unseen.shape[1]


def _normal_scores(share: Array) -> Array:
    """Return standardised He_1 and He_2 of the normal score of each slice (H, 2), in the order of the labels."""
    quantiles = np.array(
        [NormalDist().inv_cdf(float(q)) for q in np.clip(np.cumsum(share) - share / 2, 1e-15, 1 - 1e-15)]
    )
    scores = np.stack([quantiles, quantiles**2 - 1], axis=1)
    scores -= np.sum(share[:, None] * scores, axis=0)
    standardised: Array = scores / np.maximum(np.sqrt(np.sum(share[:, None] * scores**2, axis=0)), 1e-9)
    return standardised


def span(columns: Array) -> Array:
    """Return an orthonormal basis, as columns, of the span of columns, whatever their lengths."""
    norms = np.sqrt(np.sum(columns**2, axis=0))
    if not np.any(norms > 0):
        return columns[:, :0]
    u, s, _ = svd(columns[:, norms > 0] / norms[norms > 0])
    return u[:, s > 1e-9 * s[0]]


def joint_span(basis: Array, visible: Array) -> Array:
    """Return an orthonormal basis of a span, extended to include visible directions."""
    beyond = visible - matmul(basis, matmul(basis.T, visible))
    kept = np.sum(beyond**2, axis=0) > 1e-4
    return np.concatenate([basis, span(beyond[:, kept])], axis=1)


def with_slope(directions: Array, n_visible: int, slope: Array, error: float) -> tuple[Array, int]:
    """Return directions of which the first is the slope of the labels, and how many of them stand out.

    The visible directions and the slope span the central mean subspace. A slope that lies in the span of the visible
    directions up to its error is replaced by its projection, so that it adds no dimension.

    Parameters
    ----------
    directions : ndarray of shape (r, s)
        Orthonormal directions, as columns, in the order in which they stand out.
    n_visible : int
        Number of them that stand out.
    slope : ndarray of shape (r,)
        Slope of the best affine function, in whitened coordinates.
    error : float
        Standard error of each coordinate of the slope.
    """
    visible = directions[:, :n_visible]
    inside = matmul(visible, matmul(visible.T, slope))
    size, beyond = float(np.sum(slope**2)), float(np.sum((slope - inside) ** 2))
    n_off = len(slope) - n_visible
    # Due to errors of the visible directions, a part of the slope lies off their span.
    new = beyond > max(error**2 * (n_off + 3 * np.sqrt(2 * n_off)), TURNED * size)
    first = inside if n_visible and not new else slope
    n_shown = n_visible + new if n_visible else int(size > 0)
    return orthonormal([first, *directions.T]), int(n_shown)


def orthonormal(columns: Sequence[Array]) -> Array:
    """Return columns made orthonormal one after another, without those that depend on earlier ones."""
    kept: list[Array] = []
    for column in columns:
        off = column - sum((np.sum(column * other) * other for other in kept), np.zeros(len(column)))
        norm = float(np.sqrt(np.sum(off**2)))
        if norm > DEPENDENT * np.sqrt(np.sum(column**2)):
            kept.append(off / norm)
    return np.stack(kept[: len(columns[0])], axis=1)


def resolved_span(neurons: Array, gates: Array, weight: Array, rms: float, n_rows: float) -> Array:
    """Return an orthonormal basis of the span of fitted neurons beyond their errors.

    Off their span, the weights W of neurons with gates g have errors of covariance C⁻¹ σ²/n with C = cov(g). The errors
    of C^{1/2} W are independent, so that without neurons its largest singular value would be about σ (√k + √r)/√n.

    Parameters
    ----------
    neurons : ndarray of shape (k, r)
        Weights times output weights, in whitened coordinates.
    gates : ndarray of shape (m, k)
        Gates of the neurons, 0 or 1, on rows.
    weight : ndarray of shape (m,)
        Weights of these rows.
    rms : float
        RMS residual σ.
    n_rows : float
        Number n of rows that were fitted.
    """
    k, r = neurons.shape
    share = weight / weight.sum()
    centred = (gates - np.sum(gates * share[:, None], axis=0)) * np.sqrt(share)[:, None]
    values, vectors = eigh(matmul(centred.T, centred))
    roots = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    _, s, vt = svd(matmul(roots, neurons))
    error = rms * (np.sqrt(k) + np.sqrt(r)) / np.sqrt(n_rows)
    resolved: Array = vt[s > error + 1e-12 * s.max(initial=0.0)].T.copy()
    return resolved

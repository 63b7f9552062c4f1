"""The subspace of the first round of a fit, which `ReLUSubspace` uses: the directions on which labels depend."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from relunet._typing import Array
from relunet.errors import DataError
from relunet.fitting.arguments import check_counts, check_labelled
from relunet.fitting.in_memory import InMemoryFit
from relunet.fitting.joint.look import look_jointly
from relunet.fitting.rows import effective_rows
from relunet.fitting.settings import DEFAULTS
from relunet.fitting.sketched import SketchedFit
from relunet.fitting.stages.gradients import gradient_directions
from relunet.fitting.stages.subspace import Subspace, orthonormal, span, with_slope
from relunet.fitting.trace import Trace
from relunet.linalg import matmul
from relunet.progress import Progress
from relunet.samples import Samples
from relunet.samples.protocol import n_outputs

__all__ = ["FirstLook", "look"]

# Fewer rows than so many for each slope take a penalty of the slopes, in units of the variance of a feature.
FREE, RIDGE = 2, 0.01


class FirstLook(NamedTuple):
    """Result of `look`: q directions in the order in which they stand out.

    Attributes
    ----------
    mean : ndarray of shape (d,)
        Mean of the inputs.
    components : ndarray of shape (q, d)
        The scores (x - mean)·component are uncorrelated with variance 1.
    basis : ndarray of shape (d, q)
        Orthonormal basis, as columns, of their span.
    spectrum : ndarray
        Eigenvalues of the matrix that shows the directions, descending.
    bulk_edge : float
        Largest eigenvalue to expect if the residual of the best affine function were independent of the inputs.
    n_visible : int
        Number of directions that stand out.
    """

    mean: Array
    components: Array
    basis: Array
    spectrum: Array
    bulk_edge: float
    n_visible: int


def look(
    samples: Samples,
    n_components: int | None = None,
    *,
    fit_linear: bool = True,
    random_state: int = 0,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    max_dense: int = DEFAULTS.max_dense,
    smooth_rows: int = DEFAULTS.smooth_rows,
) -> FirstLook:
    """Find the directions on which labels depend, as in the first round of `learn`.

    Parameters
    ----------
    samples : Samples
        Labelled samples.
    n_components : int, default=None
        Number of directions; None means those that stand out.
    fit_linear : bool, default=True
        Whether the direction of the best affine function belongs to the subspace, as the first component.
    random_state : int, default=0
        Nonnegative seed.
    n_jobs : int, default=None
        Number of threads; None, 0 or less means one per core.
    progress : callable, default=None
        Called with the stage, the rows done and the number of rows.
    max_dense : int, default=1000
        Above this number of features, sketching is used: memory is linear in n_features.
    smooth_rows : int, default=2048
        Up to this number of rows, directions are those of the gradients of a smooth fit.

    Returns
    -------
    FirstLook

    Raises
    ------
    ArgumentError
        An argument is invalid.
    DataError
        There are NaN or infinity, no labels, too few rows, or fewer visible directions than components.

    Examples
    --------
    >>> import numpy as np
    >>> from relunet import scan_array, teachers
    >>> from relunet.fitting.look import look
    >>> found = look(scan_array(*teachers.generic(10, 3, rng=0).sample(20_000, rng=1)))
    >>> found.n_visible, bool(np.all(found.spectrum[:3] > found.bulk_edge))
    (3, True)
    """
    check_labelled(samples)
    check_counts(
        {"n_components": n_components}, max_dense=max_dense, random_state=random_state, smooth_rows=smooth_rows
    )
    trace = Trace(samples, n_jobs, progress)
    if n_outputs(samples) > 1:
        joint = look_jointly(trace, n_components, fit_linear=fit_linear, random_state=random_state, max_dense=max_dense)
        return FirstLook(*joint)
    with trace.stage("inputs"):
        kind = SketchedFit if samples.n_columns > max_dense else InMemoryFit
        fit = kind(trace, n_components or samples.n_columns, fit_bias=True, fit_linear="auto", seed=random_state)
    with trace.stage("subspace"):
        affine = fit.affine()
        found = fit.residual_subspace(affine)
        # Slices of rounding errors differ as well, so that nothing is visible in the residual of an exact fit.
        n_visible = 0 if fit.is_exact(affine) else found.n_visible
    directions, n_shown = found.directions, n_visible
    if isinstance(fit, InMemoryFit) and _held_rows(fit) <= smooth_rows and not fit.is_exact(affine):
        with trace.stage("gradients"):
            directions, n_visible, n_shown = _of_smooth_fit(fit, found, n_visible, fit_linear)
    elif fit_linear:
        slope = fit.inputs.z_weights(affine.linear[None, :])[0]
        error = fit.rms(affine) / np.sqrt(fit.inputs.n_rows)
        directions, n_shown = with_slope(directions, n_visible, slope, error)
    if n_components is None and n_visible == 0:
        kept = "only that of the affine function is kept" if n_shown else "no component is kept"
        trace.warn(f"no direction stands out beyond an affine function: {kept}")
    n_kept = n_shown if n_components is None else n_components
    if n_kept > directions.shape[1]:
        raise DataError(f"n_components: {n_kept}, expected at most {directions.shape[1]}: more are not seen")
    components = fit.inputs.x_weights(directions[:, :n_kept].T.copy())
    # Constant features have no part in any direction, not even by rounding.
    components = np.where(np.any(np.atleast_2d(fit.inputs.unwhiten) != 0, axis=0), components, 0.0)
    # The sign of a direction is arbitrary; its largest entry is made positive.
    largest = np.abs(components).argmax(axis=1)
    components *= np.sign(components[np.arange(n_kept), largest])[:, None]
    return FirstLook(fit.inputs.mean, components, span(components.T), found.spectrum, found.bulk_edge, n_visible)


def _held_rows(fit: InMemoryFit) -> float:
    """Return the number of different rows of positive weight; infinity if not all of them are in memory."""
    complete = fit.inputs.n_rows <= (1 + 1e-9) * effective_rows(fit.rows.weight)
    return len(fit.rows.y) if complete else np.inf


def _of_smooth_fit(fit: InMemoryFit, found: Subspace, n_visible: int, fit_linear: bool) -> tuple[Array, int, int]:
    """Return whitened directions of the gradients of a smooth fit to few rows, and how many stand out.

    The first number counts directions beyond an affine function, the second those that are shown by default.
    """
    inputs, rows = fit.inputs, fit.rows
    scale = np.sqrt(np.sum(inputs.unwhiten**2, axis=0))
    varies = scale > 0
    z = (rows.x - inputs.mean)[:, varies] / scale[varies]
    weight = rows.weight / np.mean(rows.weight)
    starts = []
    if n_visible:
        # What slices show is one of the starts: they see directions that cancel in a smooth fit.
        shown = inputs.x_weights(found.directions[:, :n_visible].T.copy())[:, varies] * scale[varies]
        starts.append(matmul(shown.T.copy(), shown))
    ridge = RIDGE if len(z) < FREE * (z.shape[1] + 1) else 0.0
    labels = (rows.y - inputs.label_mean) / np.sqrt(inputs.label_var)
    smooth = gradient_directions(z, labels, weight, ridge, starts)
    # Slices are a second witness: under noise they may see directions that vary less than the noise.
    n_visible = max(smooth.n_beyond, n_visible)
    directions, n_shown = smooth.directions, max(smooth.n_needed, n_visible, 1)
    if not fit_linear:
        directions, n_shown = smooth.beyond, n_visible
    raw = np.zeros((directions.shape[1], len(scale)))
    raw[:, varies] = directions.T / scale[varies]
    return orthonormal([*inputs.z_weights(raw), *found.directions.T]), n_visible, n_shown

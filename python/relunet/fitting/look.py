"""The subspace of the first round of a fit, which `ReLUSubspace` uses: the directions on which labels depend."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from relunet._typing import Array
from relunet.errors import DataError
from relunet.fitting.arguments import check_counts, check_labelled
from relunet.fitting.in_memory import InMemoryFit
from relunet.fitting.settings import DEFAULTS
from relunet.fitting.sketched import SketchedFit
from relunet.fitting.stages.subspace import span, with_slope
from relunet.fitting.trace import Trace
from relunet.progress import Progress
from relunet.samples import Samples

__all__ = ["FirstLook", "look"]


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
    check_counts({"n_components": n_components}, max_dense=max_dense, random_state=random_state)
    trace = Trace(samples, n_jobs, progress)
    with trace.stage("inputs"):
        kind = SketchedFit if samples.n_columns > max_dense else InMemoryFit
        fit = kind(trace, n_components or samples.n_columns, fit_bias=True, fit_linear="auto", seed=random_state)
    with trace.stage("subspace"):
        affine = fit.affine()
        found = fit.residual_subspace(affine)
        # Slices of rounding errors differ as well, so that nothing is visible in the residual of an exact fit.
        n_visible = 0 if fit.is_exact(affine) else found.n_visible
    directions, n_shown = found.directions, n_visible
    if fit_linear:
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
    # The sign of a direction is arbitrary; its largest entry is made positive.
    largest = np.abs(components).argmax(axis=1)
    components *= np.sign(components[np.arange(n_kept), largest])[:, None]
    return FirstLook(fit.inputs.mean, components, span(components.T), found.spectrum, found.bulk_edge, n_visible)

"""The directions on which any of several outputs depends, as in the first round of a fit."""

from __future__ import annotations

import numpy as np

from relunet._typing import Array
from relunet.errors import DataError
from relunet.fitting.joint.fit import JointFit, check_dense
from relunet.fitting.settings import DEFAULTS
from relunet.fitting.stages.subspace import span, with_slope
from relunet.fitting.trace import Trace

__all__ = ["look_jointly"]


def look_jointly(
    trace: Trace, n_components: int | None, *, fit_linear: bool, random_state: int, max_dense: int
) -> tuple[Array, Array, Array, Array, float, int]:
    """Find the directions on which any output depends; return the fields of `relunet.fitting.look.FirstLook`.

    Parameters
    ----------
    trace : Trace
        The samples, whose sweeps are counted.
    n_components, fit_linear, random_state, max_dense
        As for `relunet.fitting.look.look`. The slopes of all outputs, in units of their standard deviations, are
        directions if `fit_linear`.
    """
    check_dense(trace.samples, max_dense)
    with trace.stage("inputs"):
        most = n_components or trace.samples.n_columns
        fit = JointFit(trace, most, fit_bias=True, fit_linear="auto", seed=random_state, settings=DEFAULTS)
    with trace.stage("subspace"):
        found, n_visible = fit.first_look()
    directions, n_shown = found.directions, n_visible
    if fit_linear:
        slopes, error = fit.resolved_slopes()
        # Each slope is put first, so that the strongest comes last.
        for slope in slopes[::-1]:
            directions, n_shown = with_slope(directions, n_shown, slope, error)
    if n_components is None and n_visible == 0:
        kept = "only those of the affine functions are kept" if n_shown else "no component is kept"
        trace.warn(f"no direction stands out beyond affine functions: {kept}")
    n_kept = n_shown if n_components is None else n_components
    if n_kept > directions.shape[1]:
        raise DataError(f"n_components: {n_kept}, expected at most {directions.shape[1]}: more are not seen")
    components = fit.inputs.x_weights(directions[:, :n_kept].T.copy())
    largest = np.abs(components).argmax(axis=1)
    components *= np.sign(components[np.arange(n_kept), largest])[:, None]
    return fit.inputs.mean, components, span(components.T), found.spectrum, found.bulk_edge, n_visible

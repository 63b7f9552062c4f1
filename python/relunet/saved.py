"""Fits from stored accumulators, for rows that are no longer available or that lie on other machines.

Accumulators of several machines are merged and then describe all rows. `subspace` needs `InputMoments` and
`SliceMoments`, `fit` needs `InputMoments` and `RowSample` and fits to the rows that the sample kept, and `step` needs
`GradientMoments` and `CurvatureMoments` at a network and returns the least-squares optimum for fixed gates. The gates,
that is, which neurons are active on which row, change with the network. Further steps, the risk of another network and
the choice of clumps by that risk therefore need the rows, or another pass of accumulators at the new network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from relunet._typing import Array
from relunet.errors import ArgumentError, DataError
from relunet.fitting.learn import FitResult, learn
from relunet.fitting.stages.inputs import inputs_of
from relunet.fitting.stages.polish import Free, gauss_newton
from relunet.fitting.stages.subspace import find_subspace, span
from relunet.moments import Accumulator, CurvatureMoments, GradientMoments, InputMoments, RowSample, SliceMoments
from relunet.network import ReLUNetwork
from relunet.samples import Rows, scan_array
from relunet.samples.protocol import SweepFile, n_outputs

__all__ = ["SavedSubspace", "fit", "step", "subspace"]


class SavedSubspace(NamedTuple):
    """The subspace on which the labels depend, as found by `subspace`.

    Attributes
    ----------
    basis : ndarray of shape (d, r)
        Orthonormal basis of the subspace, as columns.
    spectrum : ndarray of shape (rank,)
        Eigenvalues of the matrix K of `subspace`, in descending order; rank is that of the covariance of the inputs.
    bulk_edge : float
        Expected largest eigenvalue of K if labels and inputs were independent.
    """

    basis: Array
    spectrum: Array
    bulk_edge: float


def subspace(inputs: InputMoments, slices: SliceMoments) -> SavedSubspace:
    """Find the subspace on which the labels depend, from accumulators of all rows.

    The subspace is spanned by the eigenvectors of

        K = Σ_h p_h [m_h m_hᵀ + M_h²/2]

    whose eigenvalues exceed the bulk edge. Here p_h is the share of the rows in slice h of the label, and m_h and M_h
    are the means of z and of z zᵀ - I in that slice, for whitened inputs z [Damian, Lee, Bruna 2025].

    Parameters
    ----------
    inputs : InputMoments
        Mean and covariance of the inputs.
    slices : SliceMoments
        Moments of the same rows in slices of the label, or of the residual of a network.

    Returns
    -------
    SavedSubspace
        Basis of the subspace, spectrum of K and its bulk edge.

    Raises
    ------
    ArgumentError
        The accumulators differ in their number of rows or of features.

    Examples
    --------
    >>> import numpy as np
    >>> from relunet.moments import InputMoments, SliceMoments
    >>> from relunet.saved import subspace
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((20_000, 5))
    >>> inputs, slices = InputMoments(5), SliceMoments(5, edges=[0.5, 1.0, 1.5])
    >>> for part in np.split(X, 4):  # for example one part per machine
    ...     inputs.update(part)
    ...     slices.update(part, np.abs(part[:, 0]))
    >>> found = subspace(inputs, slices)
    >>> found.basis.shape, bool(abs(found.basis[0, 0]) > 0.99)
    ((5, 1), True)
    """
    if inputs.n_features != slices.n_features or inputs.n_rows != slices.n_rows:
        rows = f"{slices.n_rows} rows of {slices.n_features} features"
        raise ArgumentError(f"slices: {rows}, expected {inputs.n_rows} of {inputs.n_features} as in inputs")
    whitening = inputs_of(inputs, max(inputs.n_rows, 1), fit_bias=True)
    found = find_subspace(slices, whitening)
    visible = found.directions[:, : found.n_visible]
    return SavedSubspace(span(whitening.x_weights(visible.T).T), found.spectrum, found.bulk_edge)


def fit(inputs: InputMoments, rows: RowSample, n_neurons: int | None = None, **options: Any) -> FitResult:
    """Fit a network to the rows that a sample kept.

    Whitening uses the mean and covariance of all rows; everything else is `relunet.learn` on the kept rows, and a
    message in the report says so. The final polish on all rows is missing, so parameters are less accurate than those
    of a fit to all rows. The polish needs the rows, or further passes with `step`.

    Parameters
    ----------
    inputs : InputMoments
        Mean and covariance of all rows.
    rows : RowSample
        A sample of the same rows, chosen by hash. Samples of several machines can be merged if they have the same
        threshold and seed.
    n_neurons : int, default=None
        Upper bound on the number of neurons; None leaves the number to `relunet.learn`.
    **options
        Further keyword arguments of `relunet.learn`.

    Returns
    -------
    FitResult
        The network and the report of the fit.

    Raises
    ------
    ArgumentError
        The accumulators differ in their number of features, or `rows` holds projections instead of inputs.
    DataError
        The sample holds too few rows.

    Examples
    --------
    >>> from relunet import teachers
    >>> from relunet.moments import InputMoments, RowSample
    >>> from relunet.saved import fit
    >>> teacher = teachers.generic(5, 2, rng=0)
    >>> inputs, rows = InputMoments(5), RowSample(5, threshold=2**62, seed=0)
    >>> for place in range(3):
    ...     X, y = teacher.sample(20_000, rng=place)
    ...     inputs.update(X, y)
    ...     rows.update(X, y)
    >>> result = fit(inputs, rows, n_neurons=2, fit_bias=False)
    >>> result.network.gaussian_distance(teacher.network) < 1e-10
    True
    """
    if rows.rows()[1].shape[1] != rows.n_features:
        raise ArgumentError("rows: sample of projections, expected a RowSample without directions")
    if inputs.n_features != rows.n_features:
        raise ArgumentError(f"rows: {rows.n_features} features, expected {inputs.n_features} as in inputs")
    kept = _KeptRows(inputs, rows)
    result = learn(kept, n_neurons, **options)
    note = (
        f"fitted to a sample of {kept.n_rows:,} of {inputs.n_rows:,} rows; to refine the fit on all rows, "
        "sweep them or use relunet.saved.step"
    )
    return result._replace(report=replace(result.report, messages=(*result.report.messages, note)))


def step(
    network: ReLUNetwork,
    gradient: GradientMoments,
    curvature: CurvatureMoments,
    *,
    fit_bias: bool = True,
    fit_linear: bool = False,
) -> ReLUNetwork:
    """Make one Gauss-Newton step from accumulators at a network.

    The step returns the least-squares optimum over all accumulated rows with the gates 1(w_i·x + b_i > 0) of `network`
    held fixed. Near the optimum the gates hardly change and steps converge quadratically, so that a fit over several
    machines takes a few passes, each with accumulators at the network of the previous pass. To add new rows to an old
    fit, accumulate them at the old network, merge them into its accumulators, and make a step.

    Parameters
    ----------
    network : ReLUNetwork
        Network at which both accumulators were made.
    gradient : GradientMoments
        Gradient at the network, merged over all rows.
    curvature : CurvatureMoments
        Curvature at the network, merged over all rows.
    fit_bias : bool, default=True
        Whether biases and the intercept are fitted.
    fit_linear : bool, default=False
        Whether the linear part is fitted; it is zero otherwise.

    Returns
    -------
    ReLUNetwork
        The network after the step.

    Raises
    ------
    ArgumentError
        The accumulators were made at another network, or differ in their number of rows.

    Examples
    --------
    >>> from relunet import ReLUNetwork, teachers
    >>> from relunet.moments import CurvatureMoments, GradientMoments
    >>> from relunet.saved import step
    >>> teacher = teachers.generic(5, 2, rng=0)
    >>> truth = teacher.network
    >>> network = ReLUNetwork(1.001 * truth.weights, truth.output_weights)
    >>> for round in range(3):
    ...     gradient, curvature = GradientMoments(network), CurvatureMoments(network)
    ...     for place in range(4):
    ...         X, y = teacher.sample(1000, rng=place)
    ...         gradient.update(X, y)
    ...         curvature.update(X)
    ...     network = step(network, gradient, curvature)
    >>> network.gaussian_distance(truth) < 1e-12
    True
    """
    at_network: tuple[tuple[str, Accumulator, Accumulator], ...] = (
        ("gradient", GradientMoments(network), gradient),
        ("curvature", CurvatureMoments(network), curvature),
    )
    for name, expected, sums in at_network:
        if expected.to_bytes() != sums.empty().to_bytes():
            raise ArgumentError(f"{name}: accumulated at another network, expected the given one")
    if gradient.n_rows != curvature.n_rows:
        raise ArgumentError(f"curvature: {curvature.n_rows} rows, expected {gradient.n_rows} as in gradient")
    return gauss_newton(network, gradient, curvature, Free(fit_bias, fit_linear))


class _KeptRows:
    """The rows of a `RowSample` as `Samples`, whose `InputMoments` are those of all rows."""

    def __init__(self, inputs: InputMoments, rows: RowSample) -> None:
        _, x, y, weight = rows.rows()
        if len(x) == 0:
            raise DataError(f"rows: none of {rows.n_rows} rows were kept")
        self._inputs = inputs
        self._rows = scan_array(x, y, weight)
        self.n_rows, self.n_columns, self.columns = self._rows.n_rows, self._rows.n_columns, self._rows.columns
        self.dtype, self.has_labels, self.can_resume = self._rows.dtype, True, False
        self.n_outputs = n_outputs(self._rows)

    def blocks(self, size: int = 65_536) -> Iterator[Rows]:
        return self._rows.blocks(size)

    def identity(self) -> bytes:
        return self._rows.identity()

    def sweep(
        self,
        accumulators: Sequence[Accumulator],
        *,
        n_jobs: int | None = None,
        progress: Callable[[int], None] | None = None,
        checkpoint: SweepFile | None = None,
    ) -> int:
        others = [sums for sums in accumulators if not isinstance(sums, InputMoments)]
        self._rows.sweep(others, n_jobs=n_jobs, progress=progress, checkpoint=checkpoint)
        for sums in accumulators:
            if isinstance(sums, InputMoments):
                sums.merge(self._inputs)
        return self.n_rows

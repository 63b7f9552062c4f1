"""What accumulators alone determine, once the rows are gone or somewhere else: a subspace, a fit, a step of a fit.

Sums of several places are merged and serve as those of all rows. From `InputMoments` and `SliceMoments` follows the
subspace, from `InputMoments` and `RowSample` a fit to the rows that the sample kept, from `GradientMoments` and
`CurvatureMoments` at a network the least-squares optimum with the neurons that are on fixed row by row. Which neurons
are on changes with the network: so each further step, the risk of a network and the choice of clumps by it need the
rows, or another round of sums at the new network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from relunet._typing import Array
from relunet.errors import ArgumentError, DataError
from relunet.fitting.learn import FitResult, learn
from relunet.fitting.stages.inputs import Inputs, inputs_of
from relunet.fitting.stages.polish import Free, gauss_newton
from relunet.fitting.stages.subspace import find_subspace, span
from relunet.moments import Accumulator, CurvatureMoments, GradientMoments, InputMoments, RowSample, SliceMoments
from relunet.network import ReLUNetwork
from relunet.samples import Rows, scan_array
from relunet.samples.protocol import SweepFile

__all__ = ["SavedSubspace", "fit", "step", "subspace"]


class SavedSubspace(NamedTuple):
    """Directions that the labels of saved sums depend on.

    Attributes
    ----------
    basis : ndarray of shape (d, r)
        Orthonormal basis, as columns, of the directions that stand out.
    spectrum : ndarray
        Eigenvalues of the matrix that finds them, descending.
    bulk_edge : float
        What the largest eigenvalue would be if labels and inputs were independent.
    """

    basis: Array
    spectrum: Array
    bulk_edge: float


def subspace(inputs: InputMoments, slices: SliceMoments) -> SavedSubspace:
    """Find the directions that labels depend on, from the sums of all rows.

    K = Σ p_h [m_h m_hᵀ + M_h²/2] over slices h of the label, m_h the mean of the whitened inputs z in a slice and M_h
    that of z zᵀ - I [Damian, Lee, Bruna 2025]; its eigenvectors beyond the edge of the bulk are returned.

    Parameters
    ----------
    inputs : InputMoments
        Mean and covariance of the inputs.
    slices : SliceMoments
        Sums of the same rows by slices of the label, or of the residual of some network.

    Raises
    ------
    ArgumentError
        Accumulators of different rows.

    Examples
    --------
    >>> import numpy as np
    >>> from relunet.moments import InputMoments, SliceMoments
    >>> from relunet.saved import subspace
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((20_000, 5))
    >>> inputs, slices = InputMoments(5), SliceMoments(5, edges=[0.5, 1.0, 1.5])
    >>> for part in np.split(X, 4):  # four machines, say
    ...     inputs.update(part)
    ...     slices.update(part, np.abs(part[:, 0]))
    >>> found = subspace(inputs, slices)
    >>> found.basis.shape, bool(abs(found.basis[0, 0]) > 0.99)
    ((5, 1), True)
    """
    if inputs.n_features != slices.n_features or inputs.n_rows != slices.n_rows:
        rows = f"{slices.n_rows} rows of {slices.n_features} features"
        raise ArgumentError(f"slices: {rows}, expected {inputs.n_rows} of {inputs.n_features} as in inputs")
    law = _law(inputs)
    found = find_subspace(slices, law)
    visible = found.directions[:, : found.n_visible]
    return SavedSubspace(span(law.raw(visible.T).T), found.spectrum, found.bulk_edge)


def fit(inputs: InputMoments, rows: RowSample, n_neurons: int | None = None, **options: Any) -> FitResult:
    """Find the network that made the labels of the rows that a sample kept.

    The law of the inputs is that of all rows, the rest is `relunet.learn` on the kept ones, whose report says so. What
    is lost is the last digit: the polish on all rows, which needs them, or rounds of `step`.

    Parameters
    ----------
    inputs : InputMoments
        Mean and covariance of all rows.
    rows : RowSample
        Some of them, chosen by their hash: the samples of several places, with one threshold and seed, are merged.
    n_neurons : int, default None
        At most so many neurons.
    **options
        Those of `relunet.learn`.

    Raises
    ------
    ArgumentError
        Accumulators of different features.
    DataError
        Too few rows in the sample.

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
        raise ArgumentError("rows: projections of inputs, expected inputs")
    if inputs.n_features != rows.n_features:
        raise ArgumentError(f"rows: {rows.n_features} features, expected {inputs.n_features} as in inputs")
    kept = _KeptRows(inputs, rows)
    result = learn(kept, n_neurons, **options)
    note = f"fitted to {kept.n_rows:,} kept rows of {inputs.n_rows:,}: a fit to all needs them, or sums at this network"
    return result._replace(report=replace(result.report, messages=(*result.report.messages, note)))


def step(
    network: ReLUNetwork,
    gradient: GradientMoments,
    curvature: CurvatureMoments,
    *,
    fit_bias: bool = True,
    fit_linear: bool = False,
) -> ReLUNetwork:
    """Return the least-squares optimum of all rows that sums at a network have seen, its gates fixed.

    Gates are 1(w_i·x + b_i > 0), as `network` has them. Near the optimum they hardly change, and steps converge
    quadratically: a fit over many places takes a few rounds of sums at the network of the round before. Rows that join
    an old fit are added to its sums at the old network, and the step makes the fit of both.

    Parameters
    ----------
    network : ReLUNetwork
        The network of both accumulators.
    gradient : GradientMoments
        Gradient at the network, merged over all places.
    curvature : CurvatureMoments
        Curvature at the network, merged over all places.
    fit_bias : bool, default True
        Whether biases and the intercept move.
    fit_linear : bool, default False
        Whether the linear part moves; it is zero otherwise.

    Raises
    ------
    ArgumentError
        Accumulators of another network or of different rows.

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
            raise ArgumentError(f"{name}: sums at another network")
    if gradient.n_rows != curvature.n_rows:
        raise ArgumentError(f"curvature: {curvature.n_rows} rows, expected {gradient.n_rows} as in gradient")
    return gauss_newton(network, gradient, curvature, Free(fit_bias, fit_linear))


def _law(inputs: InputMoments) -> Inputs:
    """Return what follows from the mean and covariance of inputs and labels."""
    return inputs_of(inputs, max(inputs.n_rows, 1), fit_bias=True)


class _KeptRows:
    """The rows of a sample, as `Samples` whose mean and covariance are those of all rows."""

    def __init__(self, inputs: InputMoments, rows: RowSample) -> None:
        _, x, y, weight = rows.rows()
        if len(x) == 0:
            raise DataError(f"rows: none of {rows.n_rows} rows were kept")
        self._inputs = inputs
        self._rows = scan_array(x, y, weight)
        self.n_rows, self.n_columns, self.columns = self._rows.n_rows, self._rows.n_columns, self._rows.columns
        self.dtype, self.has_labels, self.can_resume = self._rows.dtype, True, False

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

"""`ReLUNetRegressor`, the learner as a regressor that follows the conventions of scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from relunet.errors import DataError
from relunet.estimators.base import Estimator, seed_of
from relunet.estimators.metadata import ScoreRequest
from relunet.fitting.report import ClumpLevel, Report, StandardErrors
from relunet.fitting.robust import Loss, learn_with
from relunet.fitting.stages.validation import Uncertainty
from relunet.network import ReLUNetwork
from relunet.network.sensitivity import SobolIndices
from relunet.progress import ProgressLine, row_bytes
from relunet.samples import Samples, scan_array
from relunet.samples.protocol import is_samples
from relunet.threads import bounded

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["ReLUNetRegressor"]

_Column: TypeAlias = npt.NDArray[np.float64]


class ReLUNetRegressor(ScoreRequest, Estimator):
    r"""Regression by a narrow one-hidden-layer ReLU network whose neurons are found rather than trained.

    The estimator learns

    .. math:: f(x) = c + \langle a, x\rangle + \sum_{i=1}^{k} \lambda_i \operatorname{relu}(\langle w_i, x\rangle + b_i)

    from samples whose inputs are Gaussian, or nearly so, with any mean and covariance. It finds the subspace of the
    neurons from label slices and moments, the neurons inside it by multi-scale analysis [CDGKM23]_, and then fits them
    to all rows. Inputs of another distribution give a network that fits as well as least squares can make it, without a
    guarantee.

    Parameters
    ----------
    n_neurons : int, default=None
        Largest number of neurons; None means `max_neurons`. The network has fewer if the data show fewer.
    fit_bias : bool, default=True
        Whether neurons have biases and the network has an intercept. With False, the network is homogeneous in the raw
        inputs, whatever their mean.
    fit_linear : {"auto", True, False}, default="auto"
        Whether the network has a linear part beside its neurons; "auto" keeps one only if the data demand it.
    loss : {"squared", "huber"}, default="squared"
        Loss of the residuals. ``"huber"`` bounds the influence of single rows, for labels with outliers or heavy tails:
        residuals above 1.345 standard deviations, estimated from their median, count in proportion to their size. It
        keeps all rows in memory, takes several fits, and supports one output.
    max_neurons : int, default=32
        Largest number of neurons if `n_neurons` is None. A larger bound costs time only if the data show that many.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default=0
        Seed. The same seed and samples give the same bits for any number of threads; None draws a new seed.
    n_jobs : int, default=None
        Number of threads of `fit`, `predict` and `score`; None, 0 or less means one for each core.
    verbose : int, default=0
        0 is silent, 1 shows progress if standard error is a terminal, 2 also prints the report.
    max_dense : int, default=1000
        Above this number of features, sketching is used: memory is linear in n_features, and correlated features take
        more sweeps.

    Attributes
    ----------
    network_ : ReLUNetwork
        The network that was found, with the names of the features if these have names. Its neurons are oriented so that
        the linear part vanishes where some choice of orientations allows that, and is smallest otherwise;
        `network_.canonical()` has unit weights in a fixed order.
    subspace_ : ndarray of shape (n_features, rank), float64
        Orthonormal basis of the subspace in which neurons were searched.
    spectrum_ : ndarray of float64
        Eigenvalues of the matrix that found the subspace, descending.
    scales_ : list of ClumpLevel
        The clumps of neurons, from the finest scale to the coarsest.
    report_ : Report
        How the fit ended and what it saw; `print` it.
    standard_errors_ : StandardErrors or None
        Standard errors of the parameters of `network_`, its neurons scaled so that output weights are 1 or -1, or with
        several outputs so that weights have length 1, from a
        sandwich covariance that is right for noise of uneven size. None where the fit is exact, or has too many
        features or parameters.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Names of the features, if the inputs of `fit` had names: those of data frames, Arrow tables, Parquet and CSV.

    References
    ----------
    .. [CDGKM23] Chen, Dou, Goel, Klivans, Meka, "Learning Narrow One-Hidden-Layer ReLU Networks", COLT 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from relunet import ReLUNetRegressor
    >>> X = np.random.default_rng(0).standard_normal((5000, 4))
    >>> y = np.maximum(X[:, 0] - X[:, 2], 0) - 2 * np.maximum(X[:, 1], 0)
    >>> model = ReLUNetRegressor(n_neurons=2, fit_bias=False).fit(X, y)
    >>> model.report_.status, model.network_.n_neurons
    ('exact', 2)
    >>> float(np.abs(model.predict(X) - y).max()) < 1e-9
    True
    """

    network_: ReLUNetwork
    subspace_: npt.NDArray[np.float64]
    spectrum_: npt.NDArray[np.float64]
    scales_: list[ClumpLevel]
    report_: Report
    standard_errors_: StandardErrors | None

    _fitted = "network_"

    def __init__(
        self,
        n_neurons: int | None = None,
        *,
        fit_bias: bool = True,
        fit_linear: bool | Literal["auto"] = "auto",
        loss: Loss = "squared",
        max_neurons: int = 32,
        random_state: int | np.random.Generator | np.random.RandomState | None = 0,
        n_jobs: int | None = None,
        verbose: int = 0,
        max_dense: int = 1000,
    ) -> None:
        self.n_neurons = n_neurons
        self.fit_bias = fit_bias
        self.fit_linear = fit_linear
        self.loss = loss
        self.max_neurons = max_neurons
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.max_dense = max_dense

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find the network.

        Parameters
        ----------
        X : array_like of shape (n_rows, n_features), data frame, Arrow table or Samples
            Inputs. `Samples`, which the `scan_*` functions return, carry their labels and weights, and are streamed if
            they are larger than memory.
        y : array_like of shape (n_rows,) or (n_rows, n_outputs), default=None
            Labels; required unless `X` is `Samples`. Several outputs share one hidden layer.
        sample_weight : array_like of shape (n_rows,), default=None
            Weights, not negative. A row of weight 2 counts as two rows.

        Returns
        -------
        ReLUNetRegressor
            This estimator.

        Raises
        ------
        ArgumentError
            For a parameter that is invalid whatever the data are, or if `y` is missing.
        DataError
            For wrong shapes, lengths or dtypes, NaN or infinity, and for too few rows.
        FileError
            For a file that cannot be read.
        """
        samples = self._labelled(X, y, sample_weight)
        with ProgressLine(row_bytes=row_bytes(samples)) as line:
            result = learn_with(
                self.loss,
                samples,
                self.n_neurons,
                fit_bias=self.fit_bias,
                fit_linear=self.fit_linear,
                max_neurons=self.max_neurons,
                random_state=seed_of(self.random_state),
                n_jobs=self.n_jobs,
                verbose=self.verbose,
                progress=line if self.verbose else None,
                max_dense=self.max_dense,
            )
        self.network_ = result.network
        self.subspace_ = result.subspace
        self.spectrum_ = result.spectrum
        self.scales_ = result.scales
        self.report_ = result.report
        self._uncertainty = result.uncertainty
        self.standard_errors_ = None if result.uncertainty is None else result.uncertainty.standard_errors()
        self._keep_features(X, result.network.n_features)
        return self

    @overload
    def predict(self, X: Any, return_std: Literal[False] = False) -> _Column: ...
    @overload
    def predict(self, X: Any, return_std: Literal[True]) -> tuple[_Column, _Column]: ...
    def predict(self, X: Any, return_std: bool = False) -> _Column | tuple[_Column, _Column]:
        """Return the network at the rows of `X`.

        Parameters
        ----------
        X : array_like of shape (n_rows, n_features), data frame, Arrow table or Samples
            Inputs; labels of `Samples` are ignored.
        return_std : bool, default=False
            Whether the standard errors of f(x) are returned as well: those of the mean of the labels at x, without the
            noise of a single label.

        Returns
        -------
        ndarray of shape (n_rows,) or (n_rows, n_outputs), float64
            f(x) for each row.
        ndarray of shape (n_rows,) or (n_rows, n_outputs), float64
            Standard error of f(x) for each row, if `return_std`: zero where the fit is exact, NaN where it has too many
            features or parameters for their covariance.

        Raises
        ------
        NotFittedError
            Before `fit`.
        DataError
            If the number or the names of the features differ from those of `fit`, and for a wrong dtype, NaN or
            infinity.
        """
        self._check_fitted()
        samples = self._features_of(X, X if is_samples(X) else scan_array(X))
        predicted = np.concatenate([predicted for _, predicted, _ in self._predictions(samples)])
        if not return_std:
            return predicted
        if self._uncertainty is None:
            return predicted, np.full(predicted.shape, 0.0 if self.report_.status == "exact" else np.nan)
        uncertainty = self._uncertainty
        blocks = (np.asarray(X, dtype=np.float64) for X, *_ in samples.blocks())
        return predicted, np.concatenate([uncertainty.deviations(block) for block in blocks])

    def sobol_indices(
        self,
        mean: npt.ArrayLike | None = None,
        scale: npt.ArrayLike | None = None,
        groups: Sequence[str] | Mapping[str, Sequence[str | int]] | None = None,
        *,
        problem: Mapping[str, Any] | None = None,
    ) -> SobolIndices:
        """Return the Sobol indices of the fitted network with standard errors.

        The indices are the closed forms of `ReLUNetwork.sobol_indices`. The standard errors follow from the sandwich
        covariance of the parameters by the delta method: they tell how far noise in the labels moves the indices, and
        hold for the width that was chosen. They are zero where the fit is exact, and None for several outputs and
        where the fit has too many features or parameters for their covariance.

        Parameters
        ----------
        mean : float or array_like of shape (n_features,), default=None
            Means of the inputs; None is zero.
        scale : float or array_like of shape (n_features,), default=None
            Standard deviations of the inputs; None is one.
        groups : sequence of str or mapping, default=None
            Groups of features, as for `ReLUNetwork.sobol_indices`.
        problem : mapping, default=None
            Problem dictionary of SALib, in place of the other arguments.

        Returns
        -------
        SobolIndices

        Raises
        ------
        NotFittedError
            Before `fit`.
        ArgumentError
            For a distribution or groups that do not fit the features.
        """
        self._check_fitted()
        indices = self.network_.sobol_indices(mean, scale, groups, problem=problem)
        if self.report_.status == "exact":
            none = 0.0 if indices.first.ndim == 1 else np.zeros(len(indices.first))
            zeros = np.zeros_like(indices.first)
            return replace(indices, first_errors=zeros, total_errors=zeros.copy(), variance_error=none, mean_error=none)
        if not isinstance(self._uncertainty, Uncertainty):
            return indices

        def stacked(shifted: ReLUNetwork) -> npt.NDArray[np.float64]:
            network = ReLUNetwork(
                shifted.weights,
                shifted.output_weights,
                shifted.biases,
                shifted.linear,
                shifted.intercept,
                self.network_.feature_names,
            )
            each = network.sobol_indices(mean, scale, groups, problem=problem)
            return np.concatenate([each.first, each.total, [each.variance, each.mean]])

        errors, n = self._uncertainty.delta_errors(stacked), len(indices.names)
        return replace(
            indices,
            first_errors=errors[:n],
            total_errors=errors[n : 2 * n],
            variance_error=float(errors[-2]),
            mean_error=float(errors[-1]),
        )

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        r"""Return the coefficient of determination, 1 - E[(y - f(x))²] / Var(y).

        Parameters
        ----------
        X : array_like of shape (n_rows, n_features), data frame, Arrow table or Samples
            Inputs.
        y : array_like of shape (n_rows,) or (n_rows, n_outputs), default=None
            Labels; required unless `X` is `Samples`.
        sample_weight : array_like of shape (n_rows,), default=None
            Weights, not negative.

        Returns
        -------
        float
            At most 1; with several outputs the mean over them, as in scikit-learn. For constant labels it is 1 if the
            predictions equal them exactly, and 0 otherwise.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ArgumentError, DataError
            As for `fit` and `predict`, and for weights that are all zero.
        """
        self._check_fitted()
        samples = self._features_of(X, self._labelled(X, y, sample_weight))
        columns = zip(*self._predictions(samples), strict=True)
        labels, predicted, weight = (np.concatenate(column) for column in columns)
        counted = weight > 0
        if not np.any(counted):
            raise DataError("sample_weight: all weights are zero, expected some positive ones")
        labels, predicted, weight = labels[counted], predicted[counted], weight[counted] / weight.max()
        if labels.shape != predicted.shape:
            raise DataError(f"y: shape {labels.shape}, expected {predicted.shape} as in the fit")
        if labels.ndim == 1:
            return _determination(labels, predicted, weight)
        return float(np.mean([_determination(*pair, weight) for pair in zip(labels.T, predicted.T, strict=True)]))

    def __sklearn_tags__(self) -> Tags:
        """Return the tags of scikit-learn: a regressor of one or several outputs."""
        from sklearn.utils import RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True, multi_output=True),
            regressor_tags=RegressorTags(),
        )

    def _predictions(self, samples: Samples) -> Iterator[tuple[_Column, _Column, _Column]]:
        """Yield labels, predictions and weights block by block; absent labels are zeros, absent weights are ones."""
        for X, y, weight in samples.blocks():
            with bounded(self.n_jobs):
                predicted = self.network_.predict(X)
            yield (
                np.zeros(predicted.shape) if y is None else y,
                predicted,
                np.ones(len(X)) if weight is None else weight,
            )


def _determination(labels: _Column, predicted: _Column, weight: _Column) -> float:
    """Return the coefficient of determination of one output."""
    # In units of their range: the squares of the labels themselves may overflow or underflow.
    unit = np.ptp(labels)
    if unit == 0.0:
        return float(np.array_equal(labels, predicted))
    off_mean = (labels - np.average(labels, weights=weight)) / unit
    return 1.0 - float(np.sum(weight * ((labels - predicted) / unit) ** 2) / np.sum(weight * off_mean**2))

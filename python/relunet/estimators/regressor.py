"""The learner as a scikit-learn estimator, which needs scikit-learn only where scikit-learn itself asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from relunet.errors import DataError
from relunet.estimators.base import Estimator, feature_names, seed_of
from relunet.fitting.learn import learn
from relunet.fitting.report import ClumpLevel, Report
from relunet.network import ReLUNetwork
from relunet.progress import ProgressLine, row_bytes
from relunet.samples import Samples, scan_array

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["ReLUNetRegressor"]

_Column: TypeAlias = npt.NDArray[np.float64]


class ReLUNetRegressor(Estimator):
    r"""Regression by a narrow one-hidden-layer ReLU network, found rather than trained.

    Learns the neurons of

    .. math:: f(x) = c + \langle a, x\rangle + \sum_{i=1}^{k} \lambda_i \operatorname{relu}(\langle w_i, x\rangle + b_i)

    from samples whose inputs are Gaussian with any mean and covariance, or near it: the subspace of the neurons from
    label slices and moments, the neurons inside it by multi-scale analysis [CDGKM23]_, then a polish on all rows.
    Inputs of another law give a network that fits as well as the polish can make it, without a guarantee.

    Parameters
    ----------
    n_neurons : int, default None
        At most so many neurons; None means up to `max_neurons`. Fewer are returned where the data show fewer.
    fit_bias : bool, default True
        Whether neurons have biases and the network an intercept. False: homogeneous in the raw inputs, whatever
        their mean.
    fit_linear : {"auto", True, False}, default "auto"
        Whether the network has a linear part beside its neurons. "auto" keeps one only if the data demand it.
    max_neurons : int, default 32
        Upper bound where `n_neurons` is None.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default 0
        Seed. The same seed and samples give the same bits for any number of threads. None draws a new seed.
    n_jobs : int, default None
        Threads; None, 0 or less means one a core.
    verbose : int, default 0
        0 is silent, 1 shows progress where standard error is a terminal, 2 prints the report as well.
    max_dense : int, default 1000
        Beyond so many features nothing is kept that is quadratic in them; correlated features then take more sweeps.

    Attributes
    ----------
    network_ : ReLUNetwork
        The network that was found, in canonical form.
    subspace_ : ndarray of shape (n_features, rank), float64
        Orthonormal basis of the subspace in which neurons were searched.
    spectrum_ : ndarray of float64
        Eigenvalues of the matrix that found the subspace, descending.
    scales_ : list of ClumpLevel
        The clumps of neurons, from the finest scale to the coarsest.
    report_ : Report
        How the fit ended and what it saw; `print` it.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Names of the features, where `fit` was given a data frame whose column names are all strings.

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

    _fitted = "network_"

    def __init__(
        self,
        n_neurons: int | None = None,
        *,
        fit_bias: bool = True,
        fit_linear: bool | Literal["auto"] = "auto",
        max_neurons: int = 32,
        random_state: int | np.random.Generator | np.random.RandomState | None = 0,
        n_jobs: int | None = None,
        verbose: int = 0,
        max_dense: int = 1000,
    ) -> None:
        self.n_neurons = n_neurons
        self.fit_bias = fit_bias
        self.fit_linear = fit_linear
        self.max_neurons = max_neurons
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.max_dense = max_dense

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find the network.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features), data frame or Samples
            Inputs; `Samples`, as the `scan_*` functions give, carry their labels and weights with them and are
            streamed where they are larger than memory.
        y : array-like of shape (n_rows,), default None
            Labels; needed unless `X` is `Samples`.
        sample_weight : array-like of shape (n_rows,), default None
            Weights, not negative. A weight of 2 is a row given twice.

        Returns
        -------
        ReLUNetRegressor
            This estimator.

        Raises
        ------
        ArgumentError
            A parameter that no data could make right, or `y` missing.
        DataError
            Wrong shapes, lengths or dtypes, NaN or infinity, too few rows.
        FileError
            A file that cannot be read.
        """
        names = feature_names(X)
        samples = self._samples(X, y, sample_weight)
        with ProgressLine(row_bytes=row_bytes(samples)) as line:
            result = learn(
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
        self._keep_features(names, result.network.n_features)
        return self

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the network at the rows of `X`.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features), data frame or Samples
            Inputs; labels of `Samples` are not looked at.

        Returns
        -------
        ndarray of shape (n_rows,), float64
            f(x) for each row.

        Raises
        ------
        DataError
            Another number or other names of features than `fit` saw, a wrong dtype, NaN or infinity.
        """
        self._check_names(X)
        samples = X if isinstance(X, Samples) else scan_array(X)
        return np.concatenate([predicted for _, predicted, _ in self._predictions(samples)])

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        r"""Return the coefficient of determination, 1 - E[(y - f(x))²] / Var(y).

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features), data frame or Samples
            Inputs.
        y : array-like of shape (n_rows,), default None
            Labels; needed unless `X` is `Samples`.
        sample_weight : array-like of shape (n_rows,), default None
            Weights, not negative.

        Returns
        -------
        float
            At most 1; where the labels are constant, 1 if they are met exactly and else 0.

        Raises
        ------
        ArgumentError, DataError
            As `fit` and `predict`, and weights that are all zero.
        """
        self._check_names(X)
        columns = zip(*self._predictions(self._samples(X, y, sample_weight)), strict=True)
        labels, predicted, weight = (np.concatenate(column) for column in columns)
        counted = weight > 0
        if not np.any(counted):
            raise DataError("sample_weight: all weights are zero, expected some positive ones")
        labels, predicted, weight = labels[counted], predicted[counted], weight[counted] / weight.max()
        # In units of their range: squares of labels themselves may be too large or too small for numbers.
        unit = np.ptp(labels)
        if unit == 0.0:
            return float(np.array_equal(labels, predicted))
        off_mean = (labels - np.average(labels, weights=weight)) / unit
        return 1.0 - float(np.sum(weight * ((labels - predicted) / unit) ** 2) / np.sum(weight * off_mean**2))

    def __sklearn_tags__(self) -> Tags:
        """Return what scikit-learn wants to know of an estimator: here, that it is a regressor of one output."""
        from sklearn.utils import RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True),
            regressor_tags=RegressorTags(),
        )

    def _predictions(self, samples: Samples) -> Iterator[tuple[_Column, _Column, _Column]]:
        """Yield labels, predictions and weights a block at a time; no labels are zeros, no weights ones."""
        self._check_n_features(samples)
        for X, y, weight in samples.blocks():
            predicted = self.network_.predict(X)
            yield np.zeros(len(X)) if y is None else y, predicted, np.ones(len(X)) if weight is None else weight

"""`ReLUSubspace`, a transformer that projects rows on the subspace of the neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from relunet.errors import ArgumentError, DataError
from relunet.estimators.base import Estimator, seed_of
from relunet.estimators.containers import Output, contained
from relunet.estimators.metadata import FitRequest
from relunet.fitting.look import look
from relunet.linalg import matmul
from relunet.progress import ProgressLine, row_bytes
from relunet.samples import scan_array
from relunet.samples.protocol import is_samples
from relunet.threads import bounded

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["ReLUSubspace"]


class ReLUSubspace(Output, FitRequest, Estimator):
    r"""Supervised dimension reduction: the directions that labels depend on, the central mean subspace.

    The residual of the best affine function is cut into slices h. With z the whitened inputs, m_h their mean in a slice
    and M_h the mean of z zᵀ - I,

    .. math:: K = \sum_h p_h \left[m_h m_h^\top + M_h^2 / 2\right],

    and two contractions of the M_h, show the span of the neurons' weights if the labels are those of a ReLU network of
    (nearly) Gaussian inputs [CDGKM23]_. They show the span of any function of few directions, because slices of the
    label need no model.

    This is the first step of `ReLUNetRegressor`: two sweeps over the rows (tens above `max_dense` features), without
    the search for neurons. It estimates the subspace up to noise and its dimension from below. The slope of the best
    affine function belongs to the subspace, and is its first direction; `fit_linear=False` leaves it out. If a fit of
    the regressor is exact, the weights of its `network_` span the subspace exactly.

    Few rows, at most `smooth_rows`, show more through a regression that needs no Gaussian inputs: an affine function
    plus a Gaussian kernel, whose metric is the mean outer product of its own gradients, iterated [RBPB24]_. The
    directions are then the eigenvectors of

    .. math:: C = \frac{1}{n} \sum_i \nabla f(x_i) \nabla f(x_i)^\top

    for features in units of their standard deviations, by decreasing eigenvalue; with `fit_linear=False` those of the
    covariance of the gradient. Those are kept whose eigenvalue exceeds the mean squared leave-one-out residual, and at
    least as many as slices show.

    Parameters
    ----------
    n_components : int, default=None
        Dimension of the subspace; None keeps the directions that stand out of the noise, and the slope. If there are
        none, as for constant labels, `fit` warns and `transform` raises an error.
    fit_linear : bool, default=True
        Whether the slope of the best affine function is the first direction. False keeps only directions on which the
        labels depend beyond an affine function.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default=0
        Seed. The same seed and samples give the same bits for any number of threads; None draws a new seed.
    n_jobs : int, default=None
        Number of threads of `fit` and `transform`; None, 0 or less means one for each core.
    verbose : int, default=0
        0 is silent, 1 shows progress if standard error is a terminal.
    max_dense : int, default=1000
        Above this number of features, sketching is used: memory is linear in n_features. Correlations between features
        then blur the directions, and may show one on which the labels depend linearly.
    smooth_rows : int, default=2048
        Up to this number of rows, the directions are those of the gradients of a smooth fit, which takes seconds. More
        rows cost in proportion; raise it for inputs that are far from Gaussian. 0 always uses slices.

    Attributes
    ----------
    components_ : ndarray of shape (n_components_, n_features_in_), float64
        Directions: the slope, then the others in the order in which they stand out; those of a smooth fit by what the
        labels vary along them. On the rows of the fit,
        (x - mean_)·component has variance 1 and no two are correlated; above `max_dense` features this holds only if
        the features are uncorrelated.
    subspace_ : ndarray of shape (n_features_in_, n_components_), float64
        Orthonormal basis of their span.
    mean_ : ndarray of shape (n_features_in_,), float64
        Mean of the inputs.
    spectrum_ : ndarray of float64
        Eigenvalues of K, descending; above `max_dense` features, squared singular values of the contractions.
    bulk_edge_ : float
        The largest of them that noise alone would give.
    n_visible_ : int
        Number of directions that stand out beyond the affine function.
    n_components_ : int
        Number of directions that are kept.
    n_features_in_ : int
        Number of features seen by `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Names of the features, if the inputs of `fit` had names: those of data frames, Arrow tables, Parquet and CSV.

    References
    ----------
    .. [RBPB24] Radhakrishnan, Beaglehole, Pandit, Belkin, "Mechanism for feature learning in neural networks and
       backpropagation-free machine learning models", Science 383, 2024.
    .. [CDGKM23] Chen, Dou, Goel, Klivans, Meka, "Learning Narrow One-Hidden-Layer ReLU Networks", COLT 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from relunet import ReLUSubspace
    >>> X = np.random.default_rng(0).standard_normal((20_000, 6))
    >>> y = np.maximum(X[:, 0] - X[:, 2], 0) - 2 * np.abs(X[:, 1])
    >>> subspace = ReLUSubspace().fit(X, y)
    >>> subspace.transform(X).shape
    (20000, 2)
    >>> bool(np.abs(subspace.subspace_.T @ [1, 0, 1, 0, 0, 0]).max() < 0.05)
    True
    """

    components_: npt.NDArray[np.float64]
    subspace_: npt.NDArray[np.float64]
    mean_: npt.NDArray[np.float64]
    spectrum_: npt.NDArray[np.float64]
    bulk_edge_: float
    n_visible_: int
    n_components_: int

    _fitted = "components_"

    def __init__(
        self,
        n_components: int | None = None,
        *,
        fit_linear: bool = True,
        random_state: int | np.random.Generator | np.random.RandomState | None = 0,
        n_jobs: int | None = None,
        verbose: int = 0,
        max_dense: int = 1000,
        smooth_rows: int = 2048,
    ) -> None:
        self.n_components = n_components
        self.fit_linear = fit_linear
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.max_dense = max_dense
        self.smooth_rows = smooth_rows

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find the subspace.

        Parameters
        ----------
        X : array_like of shape (n_rows, n_features), data frame, Arrow table or Samples
            Inputs. `Samples`, which the `scan_*` functions return, carry their labels and weights, and are streamed if
            they are larger than memory.
        y : array_like of shape (n_rows,) or (n_rows, n_outputs), default=None
            Labels; the directions are those that any of them depends on. Required unless `X` is `Samples`.
        sample_weight : array_like of shape (n_rows,), default=None
            Weights, not negative. They count in every mean and in the noise level, but not in the edges of slices.

        Returns
        -------
        ReLUSubspace
            This estimator.

        Raises
        ------
        ArgumentError
            For a parameter that is invalid whatever the data are, or if `y` is missing.
        DataError
            For wrong shapes, lengths or dtypes, NaN or infinity, too few rows, and for more components than the inputs
            have directions.
        FileError
            For a file that cannot be read.
        """
        samples = self._labelled(X, y, sample_weight)
        with ProgressLine(row_bytes=row_bytes(samples)) as line:
            found = look(
                samples,
                self.n_components,
                fit_linear=self.fit_linear,
                random_state=seed_of(self.random_state),
                n_jobs=self.n_jobs,
                progress=line if self.verbose else None,
                max_dense=self.max_dense,
                smooth_rows=self.smooth_rows,
            )
        self.components_ = found.components
        self.subspace_ = found.basis
        self.mean_ = found.mean
        self.spectrum_ = found.spectrum
        self.bulk_edge_ = found.bulk_edge
        self.n_visible_ = found.n_visible
        self.n_components_ = len(found.components)
        self._keep_features(X, samples.n_columns)
        return self

    def transform(self, X: Any) -> Any:
        """Return the coordinates of the rows along the components, (X - mean_) @ components_.T.

        Parameters
        ----------
        X : array_like of shape (n_rows, n_features), data frame, Arrow table or Samples
            Inputs; labels of `Samples` are ignored.

        Returns
        -------
        ndarray of shape (n_rows, n_components_), float64
            Coordinates; a data frame if `set_output` asks for one.

        Raises
        ------
        NotFittedError
            Before `fit`.
        DataError
            If the number or the names of the features differ from those of `fit`, for a wrong dtype, NaN or infinity,
            and if the fit has kept no component.
        """
        self._check_fitted()
        samples = self._features_of(X, X if is_samples(X) else scan_array(X))
        if self.n_components_ == 0:
            raise DataError(
                f"{type(self).__name__}: no direction stood out of the noise in the fit, so there is no component to "
                "project on: the labels may be constant, affine in the features with fit_linear=False, or the rows too "
                "few. Set n_components to keep directions all the same, or fit to more rows"
            )
        along = self.components_.T.copy()
        with bounded(self.n_jobs):
            rows = np.concatenate([matmul(x - self.mean_, along) for x, *_ in samples.blocks()])
        return contained(rows, self._container(), self.get_feature_names_out().tolist(), X)

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Find the subspace and return the coordinates of the same rows: `fit`, then `transform`.

        Parameters
        ----------
        X : array_like of shape (n_rows, n_features), data frame, Arrow table or Samples
            Inputs.
        y : array_like of shape (n_rows,), default=None
            Labels; required unless `X` is `Samples`.
        sample_weight : array_like of shape (n_rows,), default=None
            Weights, not negative.

        Returns
        -------
        ndarray of shape (n_rows, n_components_), float64
            Coordinates; a data frame if `set_output` asks for one.

        Raises
        ------
        ArgumentError, DataError, FileError
            As for `fit` and `transform`.
        """
        return self.fit(X, y, sample_weight).transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return names of the components: relusubspace0, relusubspace1, ...

        Parameters
        ----------
        input_features : array_like of str, default=None
            Names of the features, which are only compared with those of `fit`.

        Returns
        -------
        ndarray of shape (n_components_,), object

        Raises
        ------
        NotFittedError
            Before `fit`.
        ArgumentError
            For names of other features.
        """
        self._check_fitted()
        if input_features is not None:
            seen = getattr(self, "feature_names_in_", None)
            if len(input_features) != self.n_features_in_:
                raise ArgumentError(
                    f"input_features should have length equal to number of features ({self.n_features_in_}), "
                    f"got {len(input_features)}"
                )
            if seen is not None and list(input_features) != list(seen):
                raise ArgumentError("input_features is not equal to feature_names_in_")
        prefix = type(self).__name__.lower()
        return np.array([f"{prefix}{i}" for i in range(self.n_components_)], dtype=object)

    def __sklearn_tags__(self) -> Tags:
        """Return the tags of scikit-learn: a transformer that needs labels."""
        from sklearn.utils import Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="transformer",
            target_tags=TargetTags(required=True),
            transformer_tags=TransformerTags(),
        )

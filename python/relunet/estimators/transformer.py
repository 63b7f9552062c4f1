"""The subspace of the neurons as a scikit-learn transformer: what a fit sees first, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from relunet.errors import ArgumentError
from relunet.estimators.base import Estimator, feature_names, seed_of
from relunet.fitting.look import look
from relunet.linalg import matmul
from relunet.progress import ProgressLine, row_bytes
from relunet.samples import Samples, scan_array

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["ReLUSubspace"]


class ReLUSubspace(Estimator):
    r"""Supervised dimension reduction: the directions that labels depend on beyond an affine function.

    The residual of the best affine function is cut into slices h. With z the whitened inputs, m_h their mean in a slice
    and M_h the mean of z zᵀ - I,

    .. math:: K = \sum_h p_h \left[m_h m_h^\top + M_h^2 / 2\right],

    and two contractions of the M_h, show the span of the neurons' weights where the labels are those of a ReLU network
    of (near) Gaussian inputs [CDGKM23]_, and that of any function of few directions: slices of the label need no model.

    This is the first look of `ReLUNetRegressor`, two sweeps over the rows (tens beyond `max_dense` features), without
    its search for neurons. It knows the subspace up to noise, sees a lower bound of its dimension, and leaves out a
    direction that the labels only depend on linearly. Where a fit of the regressor is exact, the weights of its
    `network_` span the subspace exactly.

    Parameters
    ----------
    n_components : int, default None
        Dimension of the subspace; None keeps the directions that stand out, which may be none.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default 0
        Seed. The same seed and samples give the same bits for any number of threads. None draws a new seed.
    n_jobs : int, default None
        Threads; None, 0 or less means one a core.
    verbose : int, default 0
        0 is silent, 1 shows progress where standard error is a terminal.
    max_dense : int, default 1000
        Beyond so many features nothing is kept that is quadratic in them; correlations between them then blur the
        directions, and may show one that the labels depend on linearly.

    Attributes
    ----------
    components_ : ndarray of shape (n_components_, n_features_in_), float64
        Directions, those that stand out first. On the rows of the fit (x - mean_)·component has variance 1 and no two
        are correlated; beyond `max_dense` features only where these are uncorrelated themselves.
    subspace_ : ndarray of shape (n_features_in_, n_components_), float64
        Orthonormal basis of their span.
    mean_ : ndarray of shape (n_features_in_,), float64
        Mean of the inputs.
    spectrum_ : ndarray of float64
        Eigenvalues of K, descending; beyond `max_dense` features squared singular values of the contractions.
    bulk_edge_ : float
        What the largest of them would be if nothing were there to see.
    n_visible_ : int
        How many directions stand out.
    n_components_ : int
        How many are kept.
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
        random_state: int | np.random.Generator | np.random.RandomState | None = 0,
        n_jobs: int | None = None,
        verbose: int = 0,
        max_dense: int = 1000,
    ) -> None:
        self.n_components = n_components
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.max_dense = max_dense

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find the subspace.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features), data frame or Samples
            Inputs; `Samples`, as the `scan_*` functions give, carry their labels and weights with them and are
            streamed where they are larger than memory.
        y : array-like of shape (n_rows,), default None
            Labels; needed unless `X` is `Samples`.
        sample_weight : array-like of shape (n_rows,), default None
            Weights, not negative. They count in every mean and in what stands out, but not in the edges of slices.

        Returns
        -------
        ReLUSubspace
            This estimator.

        Raises
        ------
        ArgumentError
            A parameter that no data could make right, or `y` missing.
        DataError
            Wrong shapes, lengths or dtypes, NaN or infinity, too few rows, more components than directions are seen.
        FileError
            A file that cannot be read.
        """
        names = feature_names(X)
        samples = self._samples(X, y, sample_weight)
        with ProgressLine(row_bytes=row_bytes(samples)) as line:
            found = look(
                samples,
                self.n_components,
                random_state=seed_of(self.random_state),
                n_jobs=self.n_jobs,
                progress=line if self.verbose else None,
                max_dense=self.max_dense,
            )
        self.components_ = found.components
        self.subspace_ = found.basis
        self.mean_ = found.mean
        self.spectrum_ = found.spectrum
        self.bulk_edge_ = found.bulk_edge
        self.n_visible_ = found.n_visible
        self.n_components_ = len(found.components)
        self._keep_features(names, samples.n_columns)
        return self

    def transform(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the rows of `X` along the components, (X - mean_) @ components_.T.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features), data frame or Samples
            Inputs; labels of `Samples` are not looked at.

        Returns
        -------
        ndarray of shape (n_rows, n_components_), float64

        Raises
        ------
        DataError
            Another number or other names of features than `fit` saw, a wrong dtype, NaN or infinity.
        """
        self._check_names(X)
        samples = X if isinstance(X, Samples) else scan_array(X)
        self._check_n_features(samples)
        along = self.components_.T.copy()
        return np.concatenate([matmul(x - self.mean_, along) for x, *_ in samples.blocks()])

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> npt.NDArray[np.float64]:
        """Find the subspace and return the rows along its components: `fit`, then `transform` of the same rows."""
        return self.fit(X, y, sample_weight).transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return names of the components: relusubspace0, relusubspace1, ...

        Parameters
        ----------
        input_features : array-like of str, default None
            Names of the features, only compared with those that `fit` saw.

        Raises
        ------
        ArgumentError
            Names of other features.
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
        """Return what scikit-learn wants to know of an estimator: here, that it is a transformer that needs labels."""
        from sklearn.utils import Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="transformer",
            target_tags=TargetTags(required=True),
            transformer_tags=TransformerTags(),
        )

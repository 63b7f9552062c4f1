"""Base class of the estimators, which implements the conventions of scikit-learn without depending on it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from functools import cache
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from relunet.errors import ArgumentError, DataError, NotFittedError, warn
from relunet.samples import Samples, scan_array
from relunet.samples.names import feature_names
from relunet.samples.protocol import is_samples
from relunet.samples.reordered import reordered

__all__ = ["Estimator", "not_fitted_error", "seed_of"]


class Estimator:
    """Parameters, names of features and the checks that tools of scikit-learn expect of an estimator."""

    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]

    # An attribute that `fit` sets.
    _fitted: ClassVar[str]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of the constructor.

        Parameters
        ----------
        deep : bool, default=True
            Without effect: no parameter is an estimator itself.

        Returns
        -------
        dict
            Values by name.
        """
        return {
            name: getattr(self, name) for name in inspect.signature(type(self).__init__).parameters if name != "self"
        }

    def set_params(self, **params: Any) -> Self:
        """Set parameters of the constructor.

        Parameters
        ----------
        **params : object
            Values by name.

        Returns
        -------
        Self
            This estimator.

        Raises
        ------
        ArgumentError
            For a name that the constructor does not have; no parameter is then set.
        """
        known = self.get_params()
        for name in params:
            if name not in known:
                raise ArgumentError(f"{name}: no parameter of {type(self).__name__}, which has {', '.join(known)}")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """Return the call that makes this estimator, without parameters that have their default."""
        defaults = inspect.signature(type(self).__init__).parameters
        shown = [f"{name}={value!r}" for name, value in self.get_params().items() if value != defaults[name].default]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, str]:
        """Return what notebooks show: the diagram of scikit-learn if it is loaded, else text."""
        shown = {"text/plain": repr(self)}
        if "sklearn" in sys.modules:
            from sklearn import get_config
            from sklearn.utils import estimator_html_repr

            if get_config()["display"] == "diagram":
                shown["text/html"] = estimator_html_repr(self)
        return shown

    def _repr_html_(self) -> str | None:
        """Return the diagram alone, for viewers that do not take `_repr_mimebundle_`."""
        return self._repr_mimebundle_().get("text/html")

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether `fit` has succeeded."""
        return hasattr(self, self._fitted)

    def _labelled(self, X: Any, y: Any, sample_weight: Any) -> Samples:
        """Return labelled samples: `X` itself, or its rows with `y` and the weights."""
        if is_samples(X):
            if y is not None or sample_weight is not None:
                raise ArgumentError("y, sample_weight: expected None beside Samples, which carry their own")
            if not X.has_labels:
                raise ArgumentError(
                    "X: Samples without labels, expected labelled ones: the y or the target of a scan_* function"
                )
            return X
        if y is None:
            raise ArgumentError(f"y: {type(self).__name__} requires y to be passed, but the target y is None")
        if len(getattr(y, "shape", ())) == 2 and y.shape[1] == 1:
            warn(
                "A column-vector y was passed when a 1d array was expected: its only column is used",
                _of_sklearn("DataConversionWarning", UserWarning),
            )
        return scan_array(X, y, sample_weight)

    def _keep_features(self, X: Any, n_features: int) -> None:
        """Remember number and names of the features of a fit."""
        self.n_features_in_ = n_features
        names = feature_names(X)
        if names is not None and len(names) == n_features:
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _features_of(self, X: Any, samples: Samples) -> Samples:
        """Return the samples of `X`, whose features have to be those of the fit in number and, if named, in name.

        Columns of `Samples` are matched by name; a data frame has to have those of the fit in the same order, as
        scikit-learn has it.

        Raises
        ------
        DataError
            For features of another number or of other names.
        """
        seen, names = getattr(self, "feature_names_in_", None), feature_names(X)
        owner = type(self).__name__
        if seen is None:
            if names is not None:
                warn(f"X has feature names, but {owner} was fitted without feature names")
        elif names is None:
            warn(f"X does not have valid feature names, but {owner} was fitted with feature names")
        elif list(names) != list(seen):
            if not is_samples(X) or sorted(names) != sorted(seen):
                raise _mismatch(names, seen)
            samples = reordered(samples, seen.tolist())
        if samples.n_columns != self.n_features_in_:
            raise DataError(
                f"X has {samples.n_columns} features, but {owner} is expecting {self.n_features_in_} features as input"
            )
        return samples

    def _check_fitted(self) -> None:
        """Require that `fit` has succeeded.

        Raises
        ------
        NotFittedError
            If it has not.
        """
        if not self.__sklearn_is_fitted__():
            name = type(self).__name__
            raise not_fitted_error(
                f"This {name} instance is not fitted yet. Call 'fit' with appropriate arguments before using this "
                "estimator."
            )


def seed_of(random_state: Any) -> int:
    """Return a seed: the integer itself, or one drawn from the generator.

    Raises
    ------
    ArgumentError
        For anything else.
    """
    if isinstance(random_state, Integral):
        return int(random_state)
    if random_state is None:
        return int(np.random.default_rng().integers(2**32))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**32))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**32, dtype=np.uint64))
    raise ArgumentError(
        f"random_state: {random_state!r}, expected an integer, a numpy Generator, a numpy RandomState or None"
    )


def not_fitted_error(message: str) -> NotFittedError:
    """Return the error for an estimator that is not fitted, which is also that of scikit-learn if it is installed.

    Examples
    --------
    >>> from relunet.errors import NotFittedError
    >>> isinstance(not_fitted_error("call fit first"), NotFittedError)
    True
    """
    return _not_fitted_class()(message)


@cache
def _not_fitted_class() -> type[NotFittedError]:
    try:
        # Imported only when the error is raised, so that importing relunet does not import scikit-learn.
        from sklearn.exceptions import NotFittedError as OfSklearn
    except ImportError:
        return NotFittedError

    def reduced(error: NotFittedError) -> tuple[Any, ...]:
        return not_fitted_error, error.args

    members = {"__doc__": NotFittedError.__doc__, "__module__": "relunet.errors", "__reduce__": reduced}
    return type("NotFittedError", (NotFittedError, OfSklearn), members)


def _of_sklearn(name: str, otherwise: type[Any]) -> type[Any]:
    """Return the class of that name in sklearn.exceptions if scikit-learn is loaded, for its users to catch."""
    found: type[Any] = getattr(sys.modules.get("sklearn.exceptions"), name, otherwise)
    return found


def _mismatch(names: Sequence[str], seen: Sequence[str]) -> DataError:
    """Return the error for names of features that differ from those of the fit, in the words of scikit-learn."""
    lines = ["The feature names should match those that were passed during fit."]
    unseen = sorted(set(names) - set(seen))
    missing = sorted(set(seen) - set(names))
    for title, group in (
        ("Feature names unseen at fit time:", unseen),
        ("Feature names seen at fit time, yet now missing:", missing),
    ):
        lines += [title, *(f"- {name}" for name in group)] if group else []
    if not unseen and not missing:
        lines.append("Feature names must be in the same order as they were in fit.")
    return DataError("\n".join(lines) + "\n")

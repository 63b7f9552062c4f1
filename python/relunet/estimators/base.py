"""What the estimators have in common: scikit-learn's conventions, without inheriting from scikit-learn."""

from __future__ import annotations

import inspect
import sys
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from relunet.errors import ArgumentError, DataError, RelunetError, warn
from relunet.samples import Samples, scan_array

__all__ = ["Estimator", "feature_names", "seed_of"]


class Estimator:
    """Parameters, names of features and the checks that scikit-learn's tools expect of an estimator."""

    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]

    # An attribute that `fit` sets.
    _fitted: ClassVar[str]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of the constructor by name; `deep` is there for scikit-learn and changes nothing."""
        return {
            name: getattr(self, name) for name in inspect.signature(type(self).__init__).parameters if name != "self"
        }

    def set_params(self, **params: Any) -> Self:
        """Set parameters of the constructor by name and return this estimator.

        Raises
        ------
        ArgumentError
            A name that the constructor does not have.
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ArgumentError(f"{name}: no parameter of {type(self).__name__}, which has {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """Return the call that makes this estimator, defaults left out."""
        defaults = inspect.signature(type(self).__init__).parameters
        shown = [f"{name}={value!r}" for name, value in self.get_params().items() if value != defaults[name].default]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether `fit` has succeeded."""
        return hasattr(self, self._fitted)

    def _samples(self, X: Any, y: Any, sample_weight: Any) -> Samples:
        """Return labelled samples: `X` itself, or its rows with `y` and the weights."""
        if isinstance(X, Samples):
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

    def _keep_features(self, names: npt.NDArray[np.object_] | None, n_features: int) -> None:
        """Remember number and names of the features that `fit` was given."""
        self.n_features_in_ = n_features
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _check_n_features(self, samples: Samples) -> None:
        """Require samples of as many features as `fit` was given."""
        if samples.n_columns != self.n_features_in_:
            raise DataError(
                f"X has {samples.n_columns} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )

    def _check_fitted(self) -> None:
        """Require that `fit` has succeeded."""
        if not self.__sklearn_is_fitted__():
            error = _of_sklearn("NotFittedError", RelunetError)
            raise error(f"this {type(self).__name__} instance is not fitted yet: call fit first")

    def _check_names(self, X: Any) -> None:
        """Require that `fit` has succeeded, on features of the same names as those of `X`."""
        self._check_fitted()
        if not isinstance(X, Samples):
            self._check_feature_names(feature_names(X))

    def _check_feature_names(self, names: npt.NDArray[np.object_] | None) -> None:
        """Compare the names of features at hand with those that `fit` saw, in scikit-learn's words."""
        seen = getattr(self, "feature_names_in_", None)
        if seen is None:
            if names is not None:
                warn(f"X has feature names, but {type(self).__name__} was fitted without feature names")
        elif names is None:
            warn(f"X does not have valid feature names, but {type(self).__name__} was fitted with feature names")
        elif list(names) != list(seen):
            lines = ["The feature names should match those that were passed during fit."]
            unseen, missing = sorted(set(names) - set(seen)), sorted(set(seen) - set(names))
            for title, group in (
                ("Feature names unseen at fit time:", unseen),
                ("Feature names seen at fit time, yet now missing:", missing),
            ):
                lines += [title, *(f"- {name}" for name in group)] if group else []
            if not unseen and not missing:
                lines.append("Feature names must be in the same order as they were in fit.")
            raise DataError("\n".join(lines) + "\n")


def feature_names(X: Any) -> npt.NDArray[np.object_] | None:
    """Return the names of a data frame's columns if all are strings; None where X has no names of that kind."""
    columns = getattr(X, "columns", None)
    if columns is None or isinstance(X, Samples):
        return None
    names = list(columns)
    strings = [isinstance(name, str) for name in names]
    if any(strings) and not all(strings):
        kinds = sorted({type(name).__name__ for name in names})
        raise TypeError(f"Feature names are only supported if all input features have string names, got {kinds}")
    return np.array(names, dtype=object) if names and all(strings) else None


def seed_of(random_state: Any) -> int:
    """Return a seed: the integer itself, or one drawn from the generator."""
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


def _of_sklearn(name: str, otherwise: type[Any]) -> type[Any]:
    """Return the class of that name in sklearn.exceptions if scikit-learn is loaded, for its users to catch."""
    found: type[Any] = getattr(sys.modules.get("sklearn.exceptions"), name, otherwise)
    return found

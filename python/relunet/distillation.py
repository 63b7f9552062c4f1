"""Distillation: the narrowest network that agrees with a model, from the values of the model at Gaussian inputs."""

from __future__ import annotations

import copy
import json
import os
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from relunet import linalg
from relunet._typing import Array
from relunet.errors import ArgumentError, DataError, warn
from relunet.fitting.arguments import check_counts
from relunet.fitting.learn import FitResult, learn
from relunet.network import ReLUNetwork
from relunet.network.imports import load_onnx
from relunet.network.parameters import as_distribution, as_names
from relunet.progress import Progress
from relunet.samples import scan_array

__all__ = ["distill", "open_onnx"]

Labels = NDArray[Any]
Function = Callable[[Array], Any]

# Rows of the first fit per parameter of a neuron, and their smallest number.
FIRST_ROWS_PER_FEATURE, FIRST_ROWS = 30, 1000
# Smallest number of new rows on which a fit is evaluated.
JUDGING_ROWS = 2**14
# The number of rows is doubled until the error decreases by less than this share.
PROGRESS = 0.1
# Sine of the angle between kinks below which a fit with one neuron fewer is tried.
NEAR_KINKS = 1e-3
# Rows for which the model is asked at a time.
BLOCK = 65_536


def distill(
    model: Any,
    n_features: int,
    n_neurons: int | None = None,
    *,
    n_rows: int | None = None,
    mean: ArrayLike | None = None,
    cov: ArrayLike | None = None,
    random_state: int = 0,
    max_neurons: int = 32,
    max_rows: int = 2**18,
    fit_bias: bool = True,
    fit_linear: bool | Literal["auto"] = "auto",
    feature_names: Sequence[str] | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    progress: Progress | None = None,
) -> FitResult:
    """Return a narrow network with the values of a model, which is evaluated at random Gaussian rows.

    If the model is a one-hidden-layer ReLU network of any width, the result is the network with the fewest neurons that
    computes the same function, and the status is ``"exact"``. Other models are approximated as well as the number of
    neurons allows.

    The number of rows is chosen sequentially. Each fit is evaluated on new rows, whose number is that of the fitted
    rows or 16,384 if that is more. A fit is final if it is exact and the new rows confirm it, or if twice the number of
    rows no longer decreases the error on new rows by a tenth. Otherwise the next fit uses twice as many rows, or all
    rows if the new ones have refuted an exact fit. A kink with none of the rows on one side is not found.

    Parameters
    ----------
    model : callable, object with a method ``predict``, torch.nn.Module, or path of an ONNX file
        A function of arrays of shape (n, d) with values of shape (n,) or (n, 1). A module of PyTorch is copied and
        evaluated in double precision on the CPU.
    n_features : int
        Number d of inputs.
    n_neurons : int, default=None
        Largest number of neurons; None means up to `max_neurons`.
    n_rows : int, default=None
        Number of rows, which are then evaluated at once; None chooses the number.
    mean, cov : array_like of shapes (d,) and (d, d), default=None
        Mean and covariance of the rows; None means zero and the identity. The network agrees with the model on inputs
        of this distribution.
    random_state : int, default=0
        Nonnegative seed of the rows.
    max_neurons : int, default=32
        Largest number of neurons if `n_neurons` is None.
    max_rows : int, default=262144
        Largest total number of rows if `n_rows` is None.
    fit_bias, fit_linear, n_jobs, verbose, progress
        As in `learn`.
    feature_names : sequence of str, default=None
        Names of the inputs, for the network; None means those of the model, if it has any.

    Returns
    -------
    FitResult
        As `learn` returns it.

    Raises
    ------
    ArgumentError
        For a model that is none of these, or another parameter that does not fit.
    DataError
        When the model's values are not finite numbers, one for each row.
    FileError
        For an ONNX file that cannot be read.

    Examples
    --------
    >>> from relunet import ReLUNetwork, distill
    >>> wide = ReLUNetwork([[1.0, 2.0], [2.0, 4.0], [-1.0, 1.0]], [0.5, 0.25, -1.0])
    >>> result = distill(wide, n_features=2)
    >>> result.report.status, result.network.n_neurons
    ('exact', 2)
    >>> result.network.gaussian_distance(wide) < 1e-10
    True
    """
    check_counts(
        {"n_neurons": n_neurons, "n_rows": n_rows},
        n_features=n_features,
        random_state=random_state,
        max_neurons=max_neurons,
        max_rows=max_rows,
    )
    if isinstance(model, str | os.PathLike):
        model = open_onnx(model)
    function, dtype = _function(model)
    if feature_names is None:
        feature_names = _names_of(model, n_features)
    names = as_names(feature_names, n_features)
    rows = _Rows(function, dtype, n_features, *as_distribution(mean, cov, n_features), random_state)

    def fitted(X: Array, y: Labels, at_most: int | None = n_neurons) -> FitResult:
        return learn(
            scan_array(X, y),
            at_most,
            max_neurons=max_neurons,
            fit_bias=fit_bias,
            fit_linear=fit_linear,
            random_state=random_state,
            n_jobs=n_jobs,
            verbose=verbose,
            progress=progress,
        )

    if n_rows is not None:
        return _named(fitted(*rows.draw(n_rows)), names)

    X, y = rows.draw(min(max(FIRST_ROWS_PER_FEATURE * (n_features + 2), FIRST_ROWS), max_rows))
    n_fitted, before = len(X), np.inf
    while True:
        with warnings.catch_warnings():
            # Warnings of a fit to too few rows need not apply to the next one.
            warnings.simplefilter("ignore")
            result = fitted(X[:n_fitted], y[:n_fitted])
        wanted = min(n_fitted + max(n_fitted, JUDGING_ROWS), max_rows)
        if wanted > len(X):
            more_X, more_y = rows.draw(wanted - len(X))
            X, y = np.concatenate([X, more_X]), np.concatenate([y, more_y])
        if n_fitted == len(X):
            break
        here, there = (_rms(result.network, X[part], y[part]) for part in (slice(n_fitted), slice(n_fitted, None)))
        if result.report.status == "exact":
            if there <= 10.0 * max(here, _rounding(y)):
                return _named(_narrowest(result, rows, X[:n_fitted], y[:n_fitted], fitted), names)
            n_fitted = len(X)
        elif there >= (1.0 - PROGRESS) * before:
            break
        else:
            n_fitted = min(2 * n_fitted, len(X))
        before = there
    for message in result.report.messages:
        warn(message)
    return _named(result, names)


class _Rows:
    """Gaussian rows, and the values of a function there."""

    def __init__(
        self,
        function: Function,
        dtype: type[np.floating[Any]],
        d: int,
        mean: Array | None,
        cov: Array | None,
        random_state: int,
    ) -> None:
        self.function, self.dtype, self.d = function, dtype, d
        self.mean = np.zeros(d) if mean is None else mean
        self.factor: Array | None = None
        if cov is not None:
            values, vectors = linalg.eigh(cov)
            if values[0] < -1e-10 * max(values[-1], 0.0):
                raise ArgumentError("cov: not positive semi-definite")
            self.factor = vectors * np.sqrt(np.maximum(values, 0.0))
        self.rng = np.random.default_rng(random_state)

    def has_doubtful_kinks(self, network: ReLUNetwork, X: Array) -> bool:
        """Return whether two kinks almost coincide, or one has too few of the rows on a side to be determined."""
        on = np.count_nonzero(linalg.matmul(network.weights, X.T.astype(np.float64)) > -network.biases[:, None], axis=1)
        if np.minimum(on, len(X) - on).min() <= self.d:
            return True
        spread = network.weights if self.factor is None else linalg.matmul(network.weights, self.factor)
        seen = np.concatenate([spread, (network.biases + linalg.matmul(network.weights, self.mean))[:, None]], axis=1)
        unit = seen / np.sqrt(np.sum(seen**2, axis=1, keepdims=True))
        cosine = linalg.matmul(unit, unit.T)
        off = np.sqrt(np.sum((unit[:, None, :] - cosine[:, :, None] * unit[None, :, :]) ** 2, axis=2))
        return bool(off[np.triu_indices(len(off), 1)].min() < NEAR_KINKS)

    def draw(self, n: int) -> tuple[Array, Labels]:
        X = self.rng.standard_normal((n, self.d))
        if self.factor is not None:
            X = linalg.matmul(X, self.factor.T)
        # The fit sees the rows that the model sees, rounded to its precision.
        X = (X + self.mean).astype(self.dtype, copy=False)
        blocks = [self.values(X[start : start + BLOCK]) for start in range(0, n, BLOCK)]
        return X, np.concatenate(blocks)

    def values(self, X: Array) -> Labels:
        y = np.asarray(self.function(X))
        if y.dtype.kind not in "biuf":
            raise DataError(f"model: values of dtype {y.dtype}, expected real numbers")
        if y.shape == (len(X), 1):
            y = y[:, 0]
        if y.shape != (len(X),):
            raise DataError(f"model: values of shape {y.shape} for {len(X)} rows, expected ({len(X)},)")
        if not np.isfinite(y).all():
            row = int(np.argmin(np.isfinite(y)))
            raise DataError(f"model: {y[row]} at the row {X[row].tolist()}, expected finite numbers")
        return y


def _narrowest(
    result: FitResult, rows: _Rows, X: Array, y: Labels, fitted: Callable[[Array, Labels, int | None], FitResult]
) -> FitResult:
    """Return an exact fit with fewer neurons where there may be one.

    Kinks that differ, with rows on both sides, make an exact network the only one with so few neurons [CDGKM23, Lemma
    2]. Two kinks that almost coincide may be one, and a kink beyond the rows is none.
    """
    while result.network.n_neurons > 1 and rows.has_doubtful_kinks(result.network, X):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            narrower = fitted(X, y, result.network.n_neurons - 1)
        if narrower.report.status != "exact":
            break
        result = narrower
    return result


def _rms(network: ReLUNetwork, X: Array, y: Labels) -> float:
    return float(np.sqrt(np.mean((network.predict(X) - y) ** 2)))


def _rounding(y: Labels) -> float:
    """Return the rounding error of the stored labels."""
    eps = np.finfo(y.dtype if y.dtype.kind == "f" else np.float64).eps
    return float(eps * np.abs(y).max(initial=0.0))


def _named(result: FitResult, names: tuple[str, ...] | None) -> FitResult:
    """Return the result with a network whose features have names."""
    return result._replace(network=result.network.with_feature_names(names))


def _names_of(model: Any, n_features: int) -> Sequence[str] | None:
    """Return the feature names that a model has been fitted with or carries, if they fit."""
    for attribute in ("feature_names_in_", "feature_names"):
        names = getattr(model, attribute, None)
        if names is not None and not callable(names) and len(names) == n_features:
            return [str(name) for name in names]
    return None


def _function(model: Any) -> tuple[Function, type[np.floating[Any]]]:
    """Return the function of arrays that a model is, and the dtype of its inputs."""
    if isinstance(model, OnnxModel):
        return model.__call__, model.dtype
    if hasattr(model, "state_dict") and hasattr(model, "forward"):
        return _of_torch(model), np.float64
    if hasattr(model, "predict"):
        return _without_names(model.predict), np.float64
    if callable(model):
        return model, np.float64
    raise ArgumentError(
        f"model: {type(model).__name__}, expected a callable, an object with a method predict, a module of PyTorch, or "
        "the path of an ONNX file"
    )


def _without_names(predict: Function) -> Function:
    """Return a method that does not warn of arrays where a model was fitted to a data frame."""

    def values(X: Array) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            return predict(X)

    return values


def _of_torch(module: Any) -> Function:
    torch = import_module("torch")
    double = copy.deepcopy(module).double().cpu().eval()

    def values(X: Array) -> Any:
        with torch.no_grad():
            return double(torch.from_numpy(X)).numpy()

    return values


class OnnxModel(NamedTuple):
    """An ONNX file to be evaluated, and what its input is.

    Attributes
    ----------
    session : onnxruntime.InferenceSession or onnx.reference.ReferenceEvaluator
        The evaluator.
    name : str
        Name of the input.
    dtype : type
        Floating-point type of the input.
    n_features : int or None
        Number of features, where the file tells.
    feature_names : list of str or None
        Names of the features in the file's metadata.
    """

    session: Any
    name: str
    dtype: type[np.floating[Any]]
    n_features: int | None
    feature_names: list[str] | None

    def __call__(self, X: Array) -> Any:
        return self.session.run(None, {self.name: X})[0]


def open_onnx(path: str | os.PathLike[str]) -> OnnxModel:
    """Return the model in an ONNX file with one input."""
    onnx, model = load_onnx(path)
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    dtypes: dict[int, type[np.floating[Any]]] = {
        onnx.TensorProto.FLOAT: np.float32,
        onnx.TensorProto.DOUBLE: np.float64,
    }
    kind = inputs[0].type.tensor_type if len(inputs) == 1 else None
    if kind is None or kind.elem_type not in dtypes:
        raise ArgumentError(f"model: {os.fspath(path)} has not one input of floating-point numbers")
    try:
        session = import_module("onnxruntime").InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    except ImportError:
        session = import_module("onnx.reference").ReferenceEvaluator(model)
    size = [dim.dim_value for dim in kind.shape.dim]
    n_features = size[1] if len(size) == 2 and size[1] else None
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    names = json.loads(metadata["feature_names"]) if "feature_names" in metadata else None
    return OnnxModel(session, inputs[0].name, dtypes[kind.elem_type], n_features, names)

"""One-hidden-layer ReLU networks: what relunet learns, and exact comparisons of one with another."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from relunet import _relunet
from relunet._typing import Array
from relunet.atomic import replacing
from relunet.errors import ArgumentError, DataError, FileError
from relunet.network import exports

if TYPE_CHECKING:
    from sklearn.neural_network import MLPRegressor
    from torch.nn import Module

__all__ = ["NeuronMatch", "ReLUNetwork"]

Parameters = tuple[Array, Array, Array, Array, Array]

_FORMAT = "relunet.ReLUNetwork"
_FORMAT_VERSION = 1
_TENSORS = ("weights", "output_weights", "biases", "linear", "intercept")

_SAME_LINE = 16 * np.finfo(np.float64).eps
"""Kinks whose normalised parameters differ by no more are one kink: what rounding does to a rescaled neuron."""

_WRITTEN_OUT = 24
"""Up to so many weights, the text of a network is its formula."""


class NeuronMatch(NamedTuple):
    """How the neurons of one network correspond to those of another; see `ReLUNetwork.match`.

    Attributes
    ----------
    permutation : ndarray of intp, shape (k,)
        Index of the other network's neuron for each neuron of this one; -1 where there is none.
    flipped : ndarray of bool, shape (k,)
        Whether the matched neuron points the other way: its active side is this neuron's inactive one.
    distances : ndarray of float64, shape (k,)
        Distance of each neuron from its match, ``sqrt(E | output_weights |weights.x + bias| / 2 - ... |**2)``; from
        zero, hence its own norm, where there is none.
    """

    permutation: NDArray[np.intp]
    flipped: NDArray[np.bool_]
    distances: Array


class ReLUNetwork:
    """A one-hidden-layer ReLU network.

    ``f(x) = intercept + linear . x + sum_i output_weights[i] * relu(weights[i] . x + biases[i])``

    With several outputs, they share the hidden layer: ``output_weights``, ``linear`` and ``intercept`` gain a leading
    axis. Networks are immutable; two are equal (``==``) when all their parameters are.

    Parameters
    ----------
    weights : array-like, shape (k, d)
        Weights of the neurons; k may be 0, for an affine function.
    output_weights : array-like, shape (k,) or (m, k)
        Output weights. Two axes make a network with m outputs.
    biases : array-like, shape (k,), default None
        Biases of the neurons; None is zero.
    linear : array-like, shape (d,) or (m, d), default None
        Linear part (a skip connection); None is zero.
    intercept : float or array-like, shape (m,), default 0.0
        Constant term.

    Raises
    ------
    ArgumentError
        For shapes that do not fit, entries that are not real numbers, NaN or infinity.

    Examples
    --------
    >>> from relunet import ReLUNetwork
    >>> bump = ReLUNetwork([[1.0], [1.0], [1.0]], [1.0, -2.0, 1.0], biases=[1.0, 0.0, -1.0])
    >>> bump.predict([[-2.0], [0.0], [0.5]])
    array([0. , 1. , 0.5])
    >>> bump
    ReLUNetwork: 3 neurons, 1 feature
      f(x) = relu(x0 + 1) - 2 relu(x0) + relu(x0 - 1)
    """

    __slots__ = ("_biases", "_intercept", "_linear", "_output_weights", "_weights")

    def __init__(
        self,
        weights: ArrayLike,
        output_weights: ArrayLike,
        biases: ArrayLike | None = None,
        linear: ArrayLike | None = None,
        intercept: ArrayLike = 0.0,
    ) -> None:
        self._weights = _real("weights", weights)
        if self._weights.ndim != 2 or self._weights.shape[1] == 0:
            raise ArgumentError(f"weights: shape {self._weights.shape}, expected (k, d) with d >= 1")
        k, d = self._weights.shape
        self._output_weights = _real("output_weights", output_weights)
        outputs = self._output_weights.shape[:-1]
        if self._output_weights.ndim not in (1, 2) or self._output_weights.shape[-1] != k or 0 in outputs:
            raise ArgumentError(
                f"output_weights: shape {self._output_weights.shape}, expected ({k},) or (m, {k}) for {k} neurons"
            )
        self._biases = _real("biases", np.zeros(k) if biases is None else biases, (k,))
        self._linear = _real("linear", np.zeros((*outputs, d)) if linear is None else linear, (*outputs, d))
        if outputs and np.ndim(intercept) == 0:
            intercept = np.full(outputs, intercept)
        self._intercept = _real("intercept", intercept, outputs)

    @property
    def weights(self) -> Array:
        """Weights of the neurons, (k, d), read-only."""
        return self._weights

    @property
    def output_weights(self) -> Array:
        """Output weights, (k,) or (m, k), read-only."""
        return self._output_weights

    @property
    def biases(self) -> Array:
        """Biases of the neurons, (k,), read-only; zeros for a homogeneous network."""
        return self._biases

    @property
    def linear(self) -> Array:
        """Linear part, (d,) or (m, d), read-only; zeros where there is none."""
        return self._linear

    @property
    def intercept(self) -> float | Array:
        """Constant term: a float, or (m,) for a network made with m outputs, read-only."""
        return self._intercept if self._intercept.ndim else float(self._intercept)

    @property
    def n_neurons(self) -> int:
        """Number k of neurons."""
        return len(self._weights)

    @property
    def n_features(self) -> int:
        """Number d of inputs."""
        return int(self._weights.shape[1])

    @property
    def n_outputs(self) -> int:
        """Number m of outputs."""
        return self._intercept.size

    def predict(self, X: ArrayLike) -> Array:
        """Values of the network, computed in parallel; the bits do not depend on the number of threads.

        Parameters
        ----------
        X : array-like, shape (n, d)
            Inputs.

        Returns
        -------
        ndarray of float64, shape (n,) or (n, m)

        Raises
        ------
        DataError
            For a wrong shape, entries that are not real numbers, NaN or infinity.

        Examples
        --------
        >>> from relunet import ReLUNetwork
        >>> ReLUNetwork([[1.0, -1.0]], [2.0]).predict([[3.0, 1.0], [1.0, 3.0]])
        array([4., 0.])
        """
        try:
            given = np.asarray(X)
        except ValueError as error:
            raise DataError(f"X: {error}") from error
        if given.dtype.kind not in "biuf":
            raise DataError(f"X: dtype {given.dtype}, expected real numbers")
        if given.ndim != 2 or given.shape[1] != self.n_features:
            raise DataError(f"X: shape {given.shape}, expected (n, {self.n_features})")
        values = _relunet.predict(self._parameters(), np.ascontiguousarray(given, dtype=np.float64))
        return values.reshape(len(given), *self._intercept.shape)

    def canonical(self) -> ReLUNetwork:
        """The same function with the fewest neurons, in a form that only depends on the function.

        Every neuron has weights of Euclidean norm 1, of which the first that is not zero is positive, whatever the
        units of the features; neurons are sorted by weights, then bias, in lexicographic order; no two kinks lie on
        one hyperplane. Flipping a neuron moves an affine function into ``linear`` and ``intercept``, by
        ``relu(-t) = relu(t) - t``, and so does fusing two opposite ones. Neurons without weights are constants.
        The values are the same up to rounding.

        Returns
        -------
        ReLUNetwork

        Examples
        --------
        >>> from relunet import ReLUNetwork
        >>> ReLUNetwork([[2.0, 0.0], [-1.0, 0.0]], [1.0, 3.0]).canonical()
        ReLUNetwork: 1 neuron, 2 features
          f(x) = -3 x0 + 5 relu(x0)
        """
        weights, biases, output_weights, linear, intercept = (array.copy() for array in self._parameters())
        scales = _norms(weights)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            keep = (scales > 0.0) & np.isfinite(biases / scales)
        intercept += (output_weights * np.where(keep, 0.0, np.maximum(biases, 0.0))).sum(axis=1)
        scales = scales[keep]
        weights, biases = weights[keep] / scales[:, None], biases[keep] / scales
        output_weights = output_weights[:, keep] * scales

        first = weights[np.arange(len(weights)), (weights != 0.0).argmax(axis=1)] if len(weights) else scales
        flip = first < 0.0
        flipped = output_weights * flip
        linear += (flipped[:, :, None] * weights).sum(axis=1)
        intercept += (flipped * biases).sum(axis=1)
        weights, biases = np.where(flip[:, None], -weights, weights) + 0.0, np.where(flip, -biases, biases) + 0.0

        fused: dict[int, list[int]] = {}
        for i in np.lexsort((biases, *weights.T[::-1])):
            same = next((j for j in fused if _same_line(weights, biases, i, j)), i)
            fused.setdefault(same, []).append(i)
        for i, group in fused.items():
            total = output_weights[:, group].sum(axis=1)
            rounding = _SAME_LINE * np.abs(output_weights[:, group]).sum(axis=1)
            output_weights[:, i] = np.where((np.abs(total) <= rounding) & (len(group) > 1), 0.0, total)
        kinks = [i for i in fused if output_weights[:, i].any()]
        return self._like(weights[kinks], biases[kinks], output_weights[:, kinks], linear, intercept)

    def match(self, other: ReLUNetwork, mean: ArrayLike | None = None, cov: ArrayLike | None = None) -> NeuronMatch:
        """The correspondence of this network's neurons with another's that is best in total distance.

        The distance of two neurons is that of the functions ``output_weights |weights.x + bias| / 2`` under
        x ~ N(mean, cov), computed exactly: what is left of a neuron when affine functions, which do not determine its
        orientation, are taken away. The assignment is optimal (Kuhn 1955). Where the numbers of neurons differ, the
        surplus is left unmatched.

        Parameters
        ----------
        other : ReLUNetwork
            Network with as many inputs and outputs.
        mean, cov : array-like, shapes (d,) and (d, d), default None
            Distribution of the inputs; None is the standard one.

        Returns
        -------
        NeuronMatch

        Raises
        ------
        ArgumentError
            For networks or a distribution of different dimensions.

        Examples
        --------
        >>> from relunet import ReLUNetwork
        >>> a = ReLUNetwork([[1.0, 0.0], [0.0, 1.0]], [1.0, -1.0])
        >>> b = ReLUNetwork([[0.0, -2.0], [1.0, 0.0]], [-0.5, 1.0])
        >>> found = a.match(b)
        >>> found.permutation, found.flipped, found.distances
        (array([1, 0]), array([False,  True]), array([0., 0.]))
        """
        self._check_like(other)
        cost, norms = _relunet.neuron_distances(self._parameters(), other._parameters(), *self._distribution(mean, cov))
        if self.n_neurons <= other.n_neurons:
            rows, columns = np.arange(self.n_neurons), _assignment(cost)
        else:
            rows, columns = _assignment(cost.T), np.arange(other.n_neurons)
        permutation = np.full(self.n_neurons, -1, dtype=np.intp)
        permutation[rows] = columns
        flipped, distances = np.zeros(len(cost), dtype=bool), norms.copy()
        distances[rows] = cost[rows, columns]
        inner = (self._weights[rows] * other._weights[columns]).sum(axis=1)
        flipped[rows] = inner + self._biases[rows] * other._biases[columns] < 0.0
        return NeuronMatch(permutation, flipped, distances)

    def gaussian_inner(self, other: ReLUNetwork, mean: ArrayLike | None = None, cov: ArrayLike | None = None) -> float:
        """The exact inner product ``E[f(x) g(x)]`` under x ~ N(mean, cov), summed over outputs.

        Without biases and for N(0, I) it is the arc-cosine kernel, ``E[relu(u.x) relu(v.x)] =
        (sqrt(1 - r**2) + r (pi - acos r)) / 2 pi`` for unit u, v and ``r = u.v``; in general it takes a bivariate
        normal probability.

        Parameters
        ----------
        other : ReLUNetwork
            Network with as many inputs and outputs.
        mean, cov : array-like, shapes (d,) and (d, d), default None
            Distribution of the inputs; None is the standard one.

        Returns
        -------
        float

        Raises
        ------
        ArgumentError
            For networks or a distribution of different dimensions; for a covariance that is not symmetric or not
            positive semi-definite.

        Examples
        --------
        >>> from relunet import ReLUNetwork
        >>> relu = ReLUNetwork([[1.0]], [1.0])
        >>> relu.gaussian_inner(relu)
        0.5
        >>> relu.gaussian_inner(relu, mean=[1.0], cov=[[0.0]])
        1.0
        """
        self._check_like(other)
        return _relunet.gaussian_inner(self._parameters(), other._parameters(), *self._distribution(mean, cov))

    def gaussian_norm(self, mean: ArrayLike | None = None, cov: ArrayLike | None = None) -> float:
        """The exact norm ``sqrt(E f(x)**2)`` under x ~ N(mean, cov); see `gaussian_inner`.

        Examples
        --------
        >>> from relunet import ReLUNetwork
        >>> ReLUNetwork([[3.0, 4.0], [-3.0, -4.0]], [1.0, 1.0]).gaussian_norm()
        5.0
        """
        zero = ReLUNetwork(np.zeros((0, self.n_features)), np.zeros((*self._intercept.shape, 0)))
        return self.gaussian_distance(zero, mean, cov)

    def gaussian_distance(
        self, other: ReLUNetwork, mean: ArrayLike | None = None, cov: ArrayLike | None = None
    ) -> float:
        """The exact distance ``sqrt(E (f(x) - g(x))**2)`` under x ~ N(mean, cov), over all outputs.

        It is computed with 32 digits, so that the cancellation of close networks leaves a relative error of about
        1e-7 at a distance of 1e-12 times the size of the networks, and less at any larger one.

        Parameters
        ----------
        other : ReLUNetwork
            Network with as many inputs and outputs.
        mean, cov : array-like, shapes (d,) and (d, d), default None
            Distribution of the inputs; None is the standard one.

        Returns
        -------
        float

        Raises
        ------
        ArgumentError
            As `gaussian_inner`.

        Examples
        --------
        >>> from relunet import ReLUNetwork
        >>> a, b = ReLUNetwork([[1.0]], [1.0]), ReLUNetwork([[1.0]], [1.0 + 2.0**-40])
        >>> a.gaussian_distance(b) == 2.0**-40 * a.gaussian_norm()
        True
        """
        self._check_like(other)
        return _relunet.gaussian_distance(self._parameters(), other._parameters(), *self._distribution(mean, cov))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a safetensors file, which appears at `path` complete or not at all.

        Parameters
        ----------
        path : path-like
            File to write; one that exists is replaced.

        Raises
        ------
        FileError
            When the file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> from relunet import ReLUNetwork
        >>> network = ReLUNetwork([[1.0, 2.0]], [3.0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     network.save(f"{folder}/network.safetensors")
        ...     ReLUNetwork.load(f"{folder}/network.safetensors") == network
        True
        """
        tensors = {name: np.asarray(getattr(self, name)) for name in _TENSORS}
        metadata = {"format": _FORMAT, "format_version": str(_FORMAT_VERSION)}
        with replacing(path) as file:
            file.write(_serialized(tensors, metadata))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ReLUNetwork:
        """Read a network that `save` wrote.

        Parameters
        ----------
        path : path-like
            File to read.

        Returns
        -------
        ReLUNetwork

        Raises
        ------
        FileError
            When the file cannot be read, is damaged, is not a network, or was written by a newer version.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        except (OSError, SafetensorError) as error:
            raise FileError(f"{os.fspath(path)}: not a readable safetensors file ({error})") from error
        version = metadata.get("format_version", "")
        if metadata.get("format") != _FORMAT or not version.isdecimal():
            raise FileError(f"{os.fspath(path)}: a safetensors file, but not a network that relunet saved")
        if int(version) > _FORMAT_VERSION:
            raise FileError(f"{os.fspath(path)}: format version {version}, this relunet reads up to {_FORMAT_VERSION}")
        if set(tensors) != set(_TENSORS):
            raise FileError(f"{os.fspath(path)}: tensors {sorted(tensors)}, expected {sorted(_TENSORS)}")
        try:
            return cls(**tensors)
        except ArgumentError as error:
            raise FileError(f"{os.fspath(path)}: {error}") from error

    def to_torch(self) -> Module:
        """The network as a module of PyTorch in double precision, to apply or to train further.

        Its parameters have the names and shapes of this network's, so that ``ReLUNetwork(**{name: tensor.numpy() for
        name, tensor in module.state_dict().items()})`` is the network again. Inputs are tensors of float64, (..., d);
        outputs are shaped as those of `predict`, (...,) or (..., m). ``module.float()`` makes it one of single
        precision.

        Returns
        -------
        torch.nn.Module

        Raises
        ------
        ImportError
            Without PyTorch, the extra ``relunet[torch]``.
        """
        return exports.to_torch(self)

    def to_onnx(self, path: str | os.PathLike[str], feature_names: Sequence[str] | None = None) -> None:
        """Write the network to an ONNX file, which appears at `path` complete or not at all.

        The graph computes in double precision, from an input ``x``, (n, d), an output ``y``, shaped as that of
        `predict`, with the operators Gemm and Relu of opset 14, and Squeeze for a network without an axis of outputs.

        Parameters
        ----------
        path : path-like
            File to write; one that exists is replaced.
        feature_names : sequence of str, default None
            Names of the inputs, for the file's metadata: ``feature_names``, a JSON list.

        Raises
        ------
        ArgumentError
            As many names as there are features are expected.
        FileError
            When the file cannot be written.
        ImportError
            Without the package onnx, the extra ``relunet[onnx]``.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from onnx.reference import ReferenceEvaluator
        >>> from relunet import ReLUNetwork
        >>> network = ReLUNetwork([[1.0, -1.0]], [2.0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     network.to_onnx(f"{folder}/network.onnx")
        ...     ReferenceEvaluator(f"{folder}/network.onnx").run(None, {"x": np.array([[3.0, 1.0]])})
        [array([4.])]
        """
        exports.to_onnx(self, path, feature_names)

    def to_sklearn(self) -> MLPRegressor:
        """The network as a fitted multilayer perceptron of scikit-learn.

        A perceptron has no linear part: ``t = relu(t) - relu(-t)`` makes two hidden units of that of each output, after
        those of the neurons. Its ``predict`` gives the values of this network's up to rounding, (n,) where there is one
        output. It was never trained: its loss means nothing.

        Returns
        -------
        sklearn.neural_network.MLPRegressor

        Raises
        ------
        ImportError
            Without scikit-learn, the extra ``relunet[sklearn]``.

        Examples
        --------
        >>> from relunet import ReLUNetwork
        >>> perceptron = ReLUNetwork([[1.0, -1.0]], [2.0], linear=[1.0, 0.0]).to_sklearn()
        >>> perceptron.predict([[3.0, 1.0], [1.0, 3.0]])
        array([7., 1.])
        >>> perceptron.hidden_layer_sizes
        (3,)
        """
        return exports.to_sklearn(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReLUNetwork):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in _TENSORS)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type[ReLUNetwork], tuple[object, ...]]:
        return type(self), (self.weights, self.output_weights, self.biases, self.linear, self.intercept)

    def __repr__(self) -> str:
        k, d, m = self.n_neurons, self.n_features, self.n_outputs
        counts = [_count(k, "neuron"), _count(d, "feature")]
        if self._output_weights.ndim == 2:
            counts.append(_count(m, "output"))
        elif k * d <= _WRITTEN_OUT:
            neurons = [
                f"relu({_affine(weights, bias)})" for weights, bias in zip(self._weights, self._biases, strict=True)
            ]
            affine = _affine_terms(self._linear, float(self._intercept))
            formula = _sum([*affine, *zip(self._output_weights, neurons, strict=True)])
            return f"ReLUNetwork: {', '.join(counts)}\n  f(x) = {formula}"
        parts = {"biases": self._biases, "linear part": self._linear, "intercept": self._intercept}
        absent = [name for name, array in parts.items() if not array.any()]
        return f"ReLUNetwork: {', '.join(counts)}" + (f"; no {', no '.join(absent)}" if absent else "")

    def _parameters(self) -> Parameters:
        """Parameters as the compiled module takes them: weights, biases, and one row an output of the others."""
        m, k, d = self.n_outputs, self.n_neurons, self.n_features
        return (
            self._weights,
            self._biases,
            self._output_weights.reshape(m, k),
            self._linear.reshape(m, d),
            self._intercept.reshape(m),
        )

    def _like(
        self, weights: Array, biases: Array, output_weights: Array, linear: Array, intercept: Array
    ) -> ReLUNetwork:
        """The network with these parameters, laid out as `_parameters`, and outputs shaped like this one's."""
        outputs = self._intercept.shape
        return ReLUNetwork(
            weights,
            output_weights.reshape(*outputs, len(weights)),
            biases,
            linear.reshape(*outputs, self.n_features),
            intercept.reshape(outputs),
        )

    def _check_like(self, other: ReLUNetwork) -> None:
        if not isinstance(other, ReLUNetwork):
            raise ArgumentError(f"other: {type(other).__name__}, expected a ReLUNetwork")
        if (other.n_features, other.n_outputs) != (self.n_features, self.n_outputs):
            raise ArgumentError(
                f"other: {other.n_features} features and {other.n_outputs} outputs, "
                f"expected {self.n_features} and {self.n_outputs}"
            )

    def _distribution(self, mean: ArrayLike | None, cov: ArrayLike | None) -> tuple[Array | None, Array | None]:
        d = self.n_features
        centre = None if mean is None else _real("mean", mean, (d,))
        spread = None if cov is None else _real("cov", cov, (d, d))
        if spread is not None and np.abs(spread - spread.T).max() > 1e-10 * np.abs(spread).max():
            raise ArgumentError("cov: not symmetric")
        return centre, spread


def _real(name: str, value: ArrayLike, shape: tuple[int, ...] | None = None) -> Array:
    """A read-only copy in double precision of an argument, which must be finite and have the shape, where given."""
    try:
        given = np.asarray(value)
    except ValueError as error:
        raise ArgumentError(f"{name}: {error}") from error
    if given.dtype.kind not in "biuf":
        raise ArgumentError(f"{name}: dtype {given.dtype}, expected real numbers")
    if shape is not None and given.shape != shape:
        raise ArgumentError(f"{name}: shape {given.shape}, expected {shape}")
    array = np.array(given, dtype=np.float64, order="C")
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ArgumentError(f"{name}: {array[place]} at index {place}, expected finite numbers")
    array.setflags(write=False)
    return array


def _norms(rows: Array) -> Array:
    """Euclidean norms of the rows, safe from overflow and underflow."""
    largest = np.abs(rows).max(axis=1)
    units = rows / np.where(largest > 0.0, largest, 1.0)[:, None]
    norms: Array = largest * np.sqrt((units * units).sum(axis=1))
    return norms


def _same_line(weights: Array, biases: Array, i: int, j: int) -> bool:
    """Whether two neurons with unit weights kink on one hyperplane, up to rounding."""
    near = np.abs(biases[i] - biases[j]) <= _SAME_LINE * max(1.0, abs(biases[i]))
    return bool(near and (np.abs(weights[i] - weights[j]) <= _SAME_LINE).all())


def _assignment(cost: Array) -> NDArray[np.intp]:
    """Column of each row in a cheapest assignment of all rows to different columns, of which there are enough.

    One shortest augmenting path a row, on reduced costs (Jonker and Volgenant 1987).
    """
    n_rows, n_columns = cost.shape
    row_price, column_price = np.zeros(n_rows), np.zeros(n_columns)
    column_of = np.full(n_rows, -1, dtype=np.intp)
    row_of = np.full(n_columns, -1, dtype=np.intp)
    for start in range(n_rows):
        length = np.full(n_columns, np.inf)
        before = np.full(n_columns, -1, dtype=np.intp)
        done = np.zeros(n_columns, dtype=bool)
        row, shortest, column = start, 0.0, -1
        while row >= 0:
            step = shortest + cost[row] - row_price[row] - column_price
            better = ~done & (step < length)
            length[better], before[better] = step[better], row
            column = int(np.where(done, np.inf, length).argmin())
            shortest = length[column]
            done[column] = True
            row = int(row_of[column])
        row_price[start] += shortest
        taken = done & (row_of >= 0)
        row_price[row_of[taken]] += shortest - length[taken]
        column_price[done] -= shortest - length[done]
        row = -1
        while row != start:
            row = int(before[column])
            row_of[column] = row
            column_of[row], column = column, int(column_of[row])
    return column_of


def _serialized(tensors: dict[str, Array], metadata: dict[str, str]) -> bytes:
    """Return the bytes of a safetensors file, the same each time: the library writes metadata in no certain order."""
    data = to_safetensors(tensors, metadata)
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":"))
    return data[:8] + header.encode().ljust(end - 8) + data[end:]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _affine_terms(weights: Array, constant: float) -> list[tuple[float, str]]:
    return [*((weight, f"x{i}") for i, weight in enumerate(weights)), (constant, "")]


def _affine(weights: Array, constant: float) -> str:
    return _sum(_affine_terms(weights, constant))


def _sum(terms: Iterable[tuple[float, str]]) -> str:
    """The sum of coefficients times symbols as text, without zeros and ones."""
    text = ""
    for coefficient, symbol in terms:
        size = f"{abs(coefficient):.4g}"
        product = symbol if symbol and size == "1" else f"{size} {symbol}".rstrip()
        if coefficient != 0.0:
            sign = "-" if coefficient < 0.0 else "+"
            text = f"{text} {sign} {product}" if text else product if sign == "+" else f"-{product}"
    return text or "0"

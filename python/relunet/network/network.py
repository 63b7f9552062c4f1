"""The class `ReLUNetwork`: a one-hidden-layer ReLU network, its values, and exact comparisons with another one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from relunet import _relunet
from relunet._typing import Array
from relunet.errors import ArgumentError, DataError, FileError
from relunet.network import canonical, exports, matching, storage, text
from relunet.network.matching import NeuronMatch
from relunet.network.parameters import Parameters, as_distribution, as_names, as_real

if TYPE_CHECKING:
    from sklearn.neural_network import MLPRegressor
    from torch.nn import Module

__all__ = ["ReLUNetwork"]


class ReLUNetwork:
    """A one-hidden-layer ReLU network.

    ``f(x) = intercept + linear . x + sum_i output_weights[i] * relu(weights[i] . x + biases[i])``

    With several outputs, they share the hidden layer: ``output_weights``, ``linear`` and ``intercept`` gain a leading
    axis. Networks are immutable. Two are equal (``==``) when all their parameters are; names of features, which label
    the inputs and do not change the function, are not compared.

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
    feature_names : sequence of str, default None
        Names of the inputs, one for each. They are kept by every method that returns a network, saved with it, and used
        in text, tables and exports. Without names, the inputs are called x0, x1, and so on.

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

    __slots__ = ("_biases", "_feature_names", "_intercept", "_linear", "_output_weights", "_weights")

    def __init__(
        self,
        weights: ArrayLike,
        output_weights: ArrayLike,
        biases: ArrayLike | None = None,
        linear: ArrayLike | None = None,
        intercept: ArrayLike = 0.0,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        self._weights = as_real("weights", weights)
        if self._weights.ndim != 2 or self._weights.shape[1] == 0:
            raise ArgumentError(f"weights: shape {self._weights.shape}, expected (k, d) with d >= 1")
        k, d = self._weights.shape
        self._output_weights = as_real("output_weights", output_weights)
        outputs = self._output_weights.shape[:-1]
        if self._output_weights.ndim not in (1, 2) or self._output_weights.shape[-1] != k or 0 in outputs:
            raise ArgumentError(
                f"output_weights: shape {self._output_weights.shape}, expected ({k},) or (m, {k}) for {k} neurons"
            )
        self._biases = as_real("biases", np.zeros(k) if biases is None else biases, (k,))
        self._linear = as_real("linear", np.zeros((*outputs, d)) if linear is None else linear, (*outputs, d))
        if outputs and np.ndim(intercept) == 0:
            intercept = np.full(outputs, intercept)
        self._intercept = as_real("intercept", intercept, outputs)
        self._feature_names = as_names(feature_names, d)

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
    def feature_names(self) -> tuple[str, ...] | None:
        """Names of the inputs, or None."""
        return self._feature_names

    @property
    def parameters(self) -> Parameters:
        """Parameters as arrays whose outputs always have an axis, the form in which networks are passed to Rust."""
        m, k, d = self.n_outputs, self.n_neurons, self.n_features
        return Parameters(
            self._weights,
            self._biases,
            self._output_weights.reshape(m, k),
            self._linear.reshape(m, d),
            self._intercept.reshape(m),
        )

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
        values = _relunet.predict(self.parameters, np.ascontiguousarray(given, dtype=np.float64))
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
        return self._like(canonical.canonical(self.parameters))

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
        return matching.match(self.parameters, other.parameters, *as_distribution(mean, cov, self.n_features))

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
        return _relunet.gaussian_inner(self.parameters, other.parameters, *as_distribution(mean, cov, self.n_features))

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
        return _relunet.gaussian_distance(
            self.parameters, other.parameters, *as_distribution(mean, cov, self.n_features)
        )

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
        tensors = {name: np.asarray(getattr(self, name)) for name in storage.TENSORS}
        storage.write(path, tensors, self._feature_names)

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
        arguments = storage.read(path)
        try:
            return cls(**arguments)
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
        return exports.to_torch(self.parameters, self._intercept.shape)

    def to_onnx(self, path: str | os.PathLike[str], feature_names: Sequence[str] | None = None) -> None:
        """Write the network to an ONNX file, which appears at `path` complete or not at all.

        The graph computes in double precision, from an input ``x``, (n, d), an output ``y``, shaped as that of
        `predict`, with the operators Gemm and Relu of opset 14, and Squeeze for a network without an axis of outputs.

        Parameters
        ----------
        path : path-like
            File to write; one that exists is replaced.
        feature_names : sequence of str, default None
            Names of the inputs, for the file's metadata: ``feature_names``, a JSON list. None means those of the
            network.

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
        names = self._feature_names if feature_names is None else as_names(feature_names, self.n_features)
        exports.to_onnx(self.parameters, self._intercept.shape, path, names)

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
        return exports.to_sklearn(self.parameters)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReLUNetwork):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in storage.TENSORS)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type[ReLUNetwork], tuple[object, ...]]:
        names = self._feature_names
        return type(self), (self.weights, self.output_weights, self.biases, self.linear, self.intercept, names)

    def __repr__(self) -> str:
        return text.summary(self.parameters, self._intercept.shape, self._feature_names)

    def _like(self, parameters: Parameters) -> ReLUNetwork:
        """Return the network with these parameters, and with outputs shaped and features named like this one's."""
        outputs = self._intercept.shape
        weights, biases, output_weights, linear, intercept = parameters
        return ReLUNetwork(
            weights,
            output_weights.reshape(*outputs, len(weights)),
            biases,
            linear.reshape(*outputs, self.n_features),
            intercept.reshape(outputs),
            self._feature_names,
        )

    def _check_like(self, other: ReLUNetwork) -> None:
        if not isinstance(other, ReLUNetwork):
            raise ArgumentError(f"other: {type(other).__name__}, expected a ReLUNetwork")
        if (other.n_features, other.n_outputs) != (self.n_features, self.n_outputs):
            raise ArgumentError(
                f"other: {other.n_features} features and {other.n_outputs} outputs, "
                f"expected {self.n_features} and {self.n_outputs}"
            )
        if None not in (self._feature_names, other._feature_names) and self._feature_names != other._feature_names:
            raise ArgumentError(f"other: features {other._feature_names}, expected {self._feature_names}")

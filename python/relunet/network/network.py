"""The class `ReLUNetwork`: a one-hidden-layer ReLU network, its values, and exact comparisons with another one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from relunet import _relunet
from relunet._typing import Array
from relunet.errors import ArgumentError, DataError, FileError
from relunet.network import canonical, exports, imports, matching, sensitivity, storage, text
from relunet.network.matching import NeuronMatch
from relunet.network.parameters import Parameters, as_distribution, as_names, as_real
from relunet.network.sensitivity import ActiveSubspace, SobolIndices
from relunet.network.text import Form, Hinges

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

    def with_feature_names(self, names: Sequence[str] | None) -> ReLUNetwork:
        """Return the same network with other feature names.

        Parameters
        ----------
        names : sequence of str of length d, or None
            One name for each input; None for inputs without names.

        Raises
        ------
        ArgumentError
            For a number of names other than d, and for names that are not strings.

        Examples
        --------
        >>> ReLUNetwork([[1.0, 2.0]], [1.0]).with_feature_names(["width", "depth"])
        ReLUNetwork: 1 neuron, 2 features
          f(x) = relu(width + 2 depth)
        """
        return ReLUNetwork(
            self._weights, self._output_weights, self._biases, self._linear, self._intercept, feature_names=names
        )

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
        """Return the same function with the fewest neurons, in a form that only depends on the function.

        - Every neuron has weights of Euclidean norm 1, and no two kinks lie on one hyperplane. Neurons without weights
          become part of the intercept.
        - A neuron can be flipped, by ``relu(t) = relu(-t) + t``, which moves an affine function to ``linear`` and
          ``intercept``. If some choice of orientations leaves no linear part up to rounding, it is used: the function
          is then a sum of its neurons and a constant. Of several such choices, the one with the smallest intercept is
          used, and then the first in lexicographic order. If there is none, the first nonzero weight of every neuron is
          positive.
        - Neurons are sorted by weights, then bias, in lexicographic order of the positive orientation.

        The values are the same up to rounding. Orientations are compared exhaustively for up to 40 neurons, and for any
        number whose slopes, ``output_weights[i] * weights[i]``, are linearly independent; beyond that, every neuron is
        oriented positively unless this leaves no linear part.

        Returns
        -------
        ReLUNetwork

        Examples
        --------
        >>> from relunet import ReLUNetwork
        >>> ReLUNetwork([[2.0, 0.0], [-1.0, 0.0]], [1.0, 3.0]).canonical()
        ReLUNetwork: 1 neuron, 2 features
          f(x) = -3 x0 + 5 relu(x0)
        >>> ReLUNetwork([[1.0, -1.0]], [3.0], linear=[-3.0, 3.0]).canonical()
        ReLUNetwork: 1 neuron, 2 features
          f(x) = 4.243 relu(-0.7071 x0 + 0.7071 x1)
        """
        return self._like(canonical.canonical(self.parameters))

    def match(self, other: ReLUNetwork, mean: ArrayLike | None = None, cov: ArrayLike | None = None) -> NeuronMatch:
        """The correspondence of this network's neurons with another's that is best in total distance.

        The distance of two neurons is that of the functions ``output_weights |weights.x + bias| / 2`` under
        x ~ N(mean, cov), computed exactly. These functions do not depend on the orientation of a neuron. The assignment
        is optimal (Kuhn 1955). If the numbers of neurons differ, the surplus is left unmatched.

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

    def sobol_indices(
        self,
        mean: ArrayLike | None = None,
        scale: ArrayLike | None = None,
        groups: Sequence[str] | Mapping[str, Sequence[str | int]] | None = None,
        *,
        problem: Mapping[str, Any] | None = None,
    ) -> SobolIndices:
        """Return the exact Sobol indices of the features under independent Gaussian inputs.

        The part of the variance that the features in S explain is ``Var E[f(x) | x_S] = Cov(f(x), f(x'))``, where x and
        x' share the features in S and are independent elsewhere. For a ReLU network it is a sum over pairs of neurons
        of a bivariate normal integral. Nothing is sampled. The first-order index is that part divided by ``Var f(x)``;
        the total index is one minus the first-order index of all other features.

        Parameters
        ----------
        mean : float or array_like of shape (d,), default=None
            Means of the inputs; None is zero.
        scale : float or array_like of shape (d,), default=None
            Standard deviations of the inputs; None is one.
        groups : sequence of str or mapping, default=None
            Groups of features: one label for each feature, or a mapping from names of groups to names or numbers of
            features. None makes each feature a group.
        problem : mapping, default=None
            Problem dictionary of SALib, in place of the other arguments: its ``dists`` have to be ``"norm"``, with
            ``bounds`` of mean and standard deviation.

        Returns
        -------
        SobolIndices
            `first` and `total`, with one entry for each group and a leading axis for several outputs, `variance`,
            `mean` and `names`.

        Raises
        ------
        ArgumentError
            For a distribution or groups that do not fit the features.

        Examples
        --------
        >>> from relunet import ReLUNetwork
        >>> network = ReLUNetwork([[3.0, 0.0], [0.0, 4.0]], [1.0, 1.0], feature_names=["a", "b"])
        >>> indices = network.sobol_indices()
        >>> indices.names, indices.first, indices.total
        (('a', 'b'), array([0.36, 0.64]), array([0.36, 0.64]))
        """
        names: Sequence[str] = self._names()
        if problem is not None:
            if (mean, scale, groups) != (None, None, None):
                raise ArgumentError("problem: expected None beside mean, scale or groups")
            arguments = sensitivity.problem_arguments(problem)
            mean, scale, groups = arguments["mean"], arguments["scale"], arguments["groups"]
            given = names if arguments["names"] is None else list(map(str, arguments["names"]))
            if len(given) != self.n_features or (self._feature_names is not None and list(given) != list(names)):
                raise ArgumentError(f"problem: names {list(given)}, expected those of the features, {list(names)}")
            names = given
        return sensitivity.sobol_indices(self.parameters, self._intercept.shape, names, mean, scale, groups)

    def conditional_mean(
        self,
        features: str | int | Sequence[str | int],
        values: ArrayLike,
        mean: ArrayLike | None = None,
        scale: ArrayLike | None = None,
    ) -> Array:
        """Return the effect of features, ``E[f(x) | x_S = values]``, under independent Gaussian inputs.

        The other features are averaged over exactly. For one feature, this is its partial dependence.

        Parameters
        ----------
        features : str, int, or sequence of these
            Names or numbers of the features in S.
        values : array_like of shape (n,) or (n, s)
            Values of the features; with one axis for a single feature that is not in a sequence.
        mean, scale : float or array_like of shape (d,), default=None
            Means and standard deviations of the inputs, as in `sobol_indices`.

        Returns
        -------
        ndarray of shape (n,) or (n, m)

        Raises
        ------
        ArgumentError
            For features that the network does not have, or shapes that do not fit.

        Examples
        --------
        >>> from relunet import ReLUNetwork
        >>> network = ReLUNetwork([[1.0, 0.0], [0.0, 1.0]], [1.0, 1.0])
        >>> network.conditional_mean(0, [-1.0, 0.0, 1.0]) - network.conditional_mean(0, [-1.0])
        array([0., 0., 1.])
        """
        names, outputs = self._names(), self._intercept.shape
        return sensitivity.conditional_mean(self.parameters, outputs, names, features, values, mean, scale)

    def active_subspace(self, mean: ArrayLike | None = None, cov: ArrayLike | None = None) -> ActiveSubspace:
        """Return eigenvalues and eigenvectors of ``E[grad f(x) grad f(x)^T]`` under x ~ N(mean, cov).

        The matrix is the sum over pairs of neurons of ``output_weights[i] output_weights[j] weights[i] weights[j]^T``
        times the probability that both are active, and is computed exactly. For several outputs, it is summed over
        them. Gradients are with respect to the features as they are; for features in different units, scale the
        network's inputs first.

        Parameters
        ----------
        mean, cov : array_like of shapes (d,) and (d, d), default=None
            Distribution of the inputs; None is the standard one.

        Returns
        -------
        ActiveSubspace
            `eigenvalues`, descending, and `vectors`, as columns.

        Raises
        ------
        ArgumentError
            As `gaussian_inner`.

        Examples
        --------
        >>> from relunet import ReLUNetwork
        >>> ReLUNetwork([[3.0, 4.0]], [1.0]).active_subspace().eigenvalues
        array([12.5,  0. ])
        """
        return sensitivity.active_subspace(self.parameters, mean, cov)

    def hinges(self) -> Hinges:
        """Return a table of the kinks, one row for each neuron that has weights.

        A neuron contributes ``output_weight * relu(normal . x - offset)``, where the normal has unit length: the slope
        of f along the normal grows by ``output_weight`` at the hyperplane ``normal . x = offset``.

        Returns
        -------
        Hinges
            A dictionary of columns: ``output_weight``, or ``output_weight_0`` and so on for several outputs, one column
            for each feature with the entries of the normals, and ``offset``. Printed, it reads as a table;
            ``pandas.DataFrame(network.hinges())`` makes a data frame of it.

        Raises
        ------
        ArgumentError
            For feature names that are not different from each other and from the names of the other columns.

        Examples
        --------
        >>> from relunet import ReLUNetwork
        >>> network = ReLUNetwork([[3.0, 4.0]], [2.0], [-10.0], feature_names=["width", "depth"])
        >>> print(network.hinges())
        output_weight  width  depth  offset
                   10    0.6    0.8       2
        """
        return text.hinges(self.parameters, self._intercept.shape, self._names())

    def to_text(self, form: Form = "python", *, digits: int | None = None) -> str:
        """Return the network as code, whose numbers read as exactly the parameters of this network.

        Parameters
        ----------
        form : {"python", "sql", "latex"}, default="python"
            - ``"python"``: a function ``f`` of one number for each feature, which needs no import.
            - ``"sql"``: an expression of the columns that are named like the features. It is null where one of the
              columns that it contains is null. For several outputs, there is one expression each, ``AS y0`` and so on.
            - ``"latex"``: a formula.
        digits : int, default=None
            Significant digits of the numbers; None writes as many as are needed to compute the same values.

        Returns
        -------
        str

        Raises
        ------
        ArgumentError
            For another form or number of digits, and for equal names of features in SQL.

        Examples
        --------
        >>> from relunet import ReLUNetwork
        >>> network = ReLUNetwork([[0.1, -2.0]], [3.0], feature_names=["width", "depth"])
        >>> print(network.to_text())
        def f(width, depth):
            return 3.0 * max(0.1 * width - 2.0 * depth, 0.0)
        <BLANKLINE>
        >>> network.to_text("sql")
        '3.0e0 * 0.5e0 * (0.1e0 * "width" - 2.0e0 * "depth" + ABS(0.1e0 * "width" - 2.0e0 * "depth"))'
        """
        return text.to_text(self.parameters, self._names(), form, digits)

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

    def to_torch_sequential(self) -> Module:
        """Return the network as ``torch.nn.Sequential`` of Linear, ReLU and Linear, in double precision.

        Tools that read PyTorch networks layer by layer, such as gurobi-machinelearning, accept this form. A linear part
        becomes hidden units, as in `to_sklearn`. Outputs have shape (n, m), also for m = 1.

        Returns
        -------
        torch.nn.Sequential

        Raises
        ------
        ImportError
            Without PyTorch, the extra ``relunet[torch]``.
        """
        return exports.to_torch_sequential(self.parameters)

    def to_onnx(
        self,
        path: str | os.PathLike[str],
        feature_names: Sequence[str] | None = None,
        *,
        bounds: ArrayLike | None = None,
    ) -> None:
        """Write the network to an ONNX file, which appears at `path` complete or not at all.

        The graph is Gemm, Relu, Gemm in double precision, opset 14, from an input ``x``, (n, d), to an output ``y``,
        (n, m), also for m = 1: the form that OMLT, gurobi-machinelearning and PySCIPOpt-ML read. A linear part becomes
        hidden units: as in `to_sklearn`, or one for each output where `bounds` are given.

        Parameters
        ----------
        path : path-like
            File to write; one that exists is replaced.
        feature_names : sequence of str, default=None
            Names of the inputs, for the file's metadata: ``feature_names``, a JSON list. None means those of the
            network.
        bounds : array_like of shape (d, 2), default=None
            Lower and upper bounds of the inputs. The linear part of each output becomes a single unit that is active
            inside the bounds; **the file computes this network inside the bounds only**, and they are kept in its
            metadata as ``bounds``.

        Raises
        ------
        ArgumentError
            For names or bounds that do not fit the features.
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
        [array([[4.]])]
        """
        names = self._feature_names if feature_names is None else as_names(feature_names, self.n_features)
        exports.to_onnx(self.parameters, path, names, bounds)

    def to_omlt(self, bounds: ArrayLike) -> Any:
        """Return the network as a definition of OMLT, for formulations inside Pyomo models.

        Parameters
        ----------
        bounds : array_like of shape (d, 2)
            Lower and upper bounds of the inputs, which the formulations need. A linear part becomes one hidden unit for
            each output, which is right inside the bounds.

        Returns
        -------
        omlt.neuralnet.NetworkDefinition

        Raises
        ------
        ArgumentError
            For bounds that do not fit the features.
        ImportError
            Without OMLT, the extra ``relunet[omlt]``.
        """
        return exports.to_omlt(self.parameters, bounds)

    def to_openturns(self) -> Any:
        """Return the network as a function of OpenTURNS, with its exact gradient.

        The gradient at a kink is that of the side on which the neuron is off.

        Returns
        -------
        openturns.PythonFunction

        Raises
        ------
        ImportError
            OpenTURNS, the extra ``relunet[openturns]``, is not installed.
        """
        return exports.to_openturns(self.parameters, self._names())

    def to_sklearn(self) -> MLPRegressor:
        """The network as a fitted multilayer perceptron of scikit-learn.

        A perceptron has no linear part: by ``t = relu(t) - relu(-t)``, the linear part of each output becomes two
        hidden units after those of the neurons, or one unit if a neuron is parallel to all linear parts and serves as
        the other. ``predict`` returns the values of this network up to rounding, of shape (n,) for one output. The
        perceptron was not trained, so that its loss has no meaning.

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

    @classmethod
    def from_sklearn(cls, model: Any) -> ReLUNetwork:
        """Return the network of a fitted perceptron of scikit-learn with one hidden layer of ReLUs.

        Parameters
        ----------
        model : MLPRegressor or Pipeline
            The perceptron, or a pipeline of StandardScaler and the perceptron, whose scaling the weights then contain.

        Returns
        -------
        ReLUNetwork
            With the neurons in the order of the perceptron, and its names of features, if it has any.

        Raises
        ------
        ArgumentError
            For another model, activation or number of layers.

        Examples
        --------
        >>> from relunet import ReLUNetwork
        >>> network = ReLUNetwork([[1.0, -1.0]], [2.0], [0.5])
        >>> ReLUNetwork.from_sklearn(network.to_sklearn()) == network
        True
        """
        return cls._from_parameters(*imports.from_sklearn(model))

    @classmethod
    def from_torch(cls, module: Any) -> ReLUNetwork:
        """Return the network of a module of PyTorch with one hidden layer of ReLUs.

        Parameters
        ----------
        module : torch.nn.Module
            A Sequential of Linear, ReLU and Linear, possibly nested, or a module that `to_torch` made.

        Returns
        -------
        ReLUNetwork
            With the neurons in the order of the module. A single output has no axis.

        Raises
        ------
        ArgumentError
            For other layers.
        """
        return cls._from_parameters(*imports.from_torch(module))

    @classmethod
    def from_onnx(cls, path: str | os.PathLike[str]) -> ReLUNetwork:
        """Return the network in an ONNX file with one hidden layer of ReLUs.

        The graph may consist of Gemm, MatMul, Add, Sub, Mul, Div, Relu, Identity, Cast, and Reshape or Squeeze of a
        single output, with skip connections.

        Parameters
        ----------
        path : path-like
            File to read.

        Returns
        -------
        ReLUNetwork
            With the neurons in the order of the graph. A single output has no axis.

        Raises
        ------
        FileError
            When the file cannot be read, or its graph is not such a network.
        ImportError
            Without the package onnx, the extra ``relunet[onnx]``.
        """
        return cls._from_parameters(*imports.from_onnx(path))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReLUNetwork):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in storage.TENSORS)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type[ReLUNetwork], tuple[object, ...]]:
        names = self._feature_names
        return type(self), (self.weights, self.output_weights, self.biases, self.linear, self.intercept, names)

    def __repr__(self) -> str:
        return text.summary(self.parameters, self._intercept.shape, self._names())

    def _names(self) -> tuple[str, ...]:
        """Return the names of the features, or x0, x1, and so on."""
        names = self._feature_names
        return tuple(f"x{i}" for i in range(self.n_features)) if names is None else names

    @classmethod
    def _from_parameters(cls, parameters: Parameters, feature_names: Sequence[str] | None) -> ReLUNetwork:
        """Return the network with these parameters, whose single output has no axis."""
        weights, biases, output_weights, linear, intercept = parameters
        if len(intercept) == 1:
            return cls(weights, output_weights[0], biases, linear[0], intercept[0], feature_names)
        return cls(weights, output_weights, biases, linear, intercept, feature_names)

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

"""Sensitivity of a network to its inputs in closed form: Sobol indices, conditional means, the active subspace."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from relunet import _relunet
from relunet._typing import Array
from relunet.errors import ArgumentError
from relunet.linalg import eigh
from relunet.network.parameters import Parameters, as_distribution, as_real

__all__ = ["ActiveSubspace", "SobolIndices", "active_subspace", "conditional_mean", "sobol_indices"]

Groups = Sequence[str] | Mapping[str, Sequence[str | int]]


@dataclass(frozen=True, eq=False)
class SobolIndices:
    """Mean and variance of a network under independent Gaussian inputs, and the parts that features explain.

    Attributes
    ----------
    names : tuple of str
        Names of the features or groups.
    first : ndarray of shape (g,) or (m, g)
        First-order indices, ``Var E[f(x) | x_S] / Var f(x)`` for each group S. Zero where the variance is.
    total : ndarray of shape (g,) or (m, g)
        Total indices, ``1 - Var E[f(x) | x_{not S}] / Var f(x)``. Zero where the variance is.
    variance : float or ndarray of shape (m,)
        Variance ``Var f(x)``.
    mean : float or ndarray of shape (m,)
        Mean ``E f(x)``.
    first_errors, total_errors : ndarray of shape (g,) or (m, g) or None
        Standard errors of the indices of a fitted network by the delta method; None for a network that is known.
    variance_error, mean_error : float or ndarray of shape (m,) or None
        The same for variance and mean.
    """

    names: tuple[str, ...]
    first: Array
    total: Array
    variance: float | Array
    mean: float | Array
    first_errors: Array | None = None
    total_errors: Array | None = None
    variance_error: float | Array | None = None
    mean_error: float | Array | None = None

    def to_salib(self) -> dict[str, Any]:
        """Return the indices in the form of SALib's results, for a network with one output.

        The keys are ``S1``, ``S1_conf``, ``ST``, ``ST_conf`` and ``names``. The confidence intervals of level 0.95 come
        from the standard errors; they have zero width for a network that is known, because nothing is sampled.
        ``SALib.util.ResultDict(indices.to_salib())`` gives data frames and plots.

        Returns
        -------
        dict

        Raises
        ------
        ArgumentError
            For several outputs, which SALib analyses one at a time.

        Examples
        --------
        >>> from relunet import ReLUNetwork
        >>> indices = ReLUNetwork([[1.0, 0.0], [0.0, 1.0]], [1.0, 1.0]).sobol_indices()
        >>> indices.to_salib()["S1"]
        array([0.5, 0.5])
        """
        if self.first.ndim != 1:
            raise ArgumentError(f"to_salib: {len(self.first)} outputs, expected one")

        def half_width(errors: Array | None) -> Array:
            return np.zeros(len(self.names)) if errors is None else NormalDist().inv_cdf(0.975) * errors

        return {
            "S1": self.first,
            "S1_conf": half_width(self.first_errors),
            "ST": self.total,
            "ST_conf": half_width(self.total_errors),
            "names": list(self.names),
        }


class ActiveSubspace(NamedTuple):
    """Eigenvalues and eigenvectors of ``E[grad f(x) grad f(x)^T]``; see `ReLUNetwork.active_subspace`.

    Attributes
    ----------
    eigenvalues : ndarray of shape (d,)
        Eigenvalues, descending.
    vectors : ndarray of shape (d, d)
        Eigenvectors as columns, in the order of the eigenvalues.
    """

    eigenvalues: Array
    vectors: Array


def sobol_indices(
    network: Parameters,
    outputs: tuple[int, ...],
    names: Sequence[str],
    mean: ArrayLike | None,
    scale: ArrayLike | None,
    groups: Groups | None,
) -> SobolIndices:
    """Return Sobol indices of features or groups; see `ReLUNetwork.sobol_indices`."""
    centre, spread = _independent(len(names), mean, scale)
    members = {name: [i] for i, name in enumerate(names)} if groups is None else _members(groups, names)
    if groups is None and len(members) != len(names):
        raise ArgumentError("feature_names: some names occur twice, expected names that tell the features apart")
    means, variances, first, total = _relunet.sobol(network, centre, spread, list(members.values()))
    shape = (*outputs, len(members))
    return SobolIndices(
        tuple(members),
        first.T.reshape(shape),
        total.T.reshape(shape),
        variances if outputs else float(variances[0]),
        means if outputs else float(means[0]),
    )


def conditional_mean(
    network: Parameters,
    outputs: tuple[int, ...],
    names: Sequence[str],
    features: str | int | Sequence[str | int],
    values: ArrayLike,
    mean: ArrayLike | None,
    scale: ArrayLike | None,
) -> Array:
    """Return E[f(x) | x_S = values]; see `ReLUNetwork.conditional_mean`."""
    centre, spread = _independent(len(names), mean, scale)
    single = np.ndim(features) == 0
    listed: list[str | int] = list(np.atleast_1d(np.asarray(features, dtype=object)))
    chosen = [_index("features", feature, names) for feature in listed]
    if not chosen or len(set(chosen)) < len(chosen):
        raise ArgumentError(f"features: {features!r}, expected one or more different features")
    rows = as_real("values", values)
    if single:
        rows = rows[..., None]
    if rows.ndim != 2 or rows.shape[1] != len(chosen):
        expected = "(n,)" if single else f"(n, {len(chosen)})"
        raise ArgumentError(f"values: shape {np.shape(values)}, expected {expected}")
    found = _relunet.conditional_mean(network, centre, spread, chosen, np.ascontiguousarray(rows))
    return found.reshape(len(rows), *outputs)


def active_subspace(network: Parameters, mean: ArrayLike | None, cov: ArrayLike | None) -> ActiveSubspace:
    """Return the spectrum of the second moment of the gradient; see `ReLUNetwork.active_subspace`."""
    moment = _relunet.gradient_moment(network, *as_distribution(mean, cov, network.weights.shape[1]))
    values, vectors = eigh(moment)
    return ActiveSubspace(np.maximum(values[::-1], 0.0), np.ascontiguousarray(vectors[:, ::-1]))


def problem_arguments(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Return mean, scale and groups of a problem dictionary of SALib, whose distributions have to be normal."""
    count = len(problem["bounds"])
    dists = problem.get("dists") or ["unif"] * count
    for i, dist in enumerate(dists):
        if dist != "norm":
            raise ArgumentError(f"problem: dists[{i}] is {dist!r}, expected 'norm' with bounds [mean, sd]")
    bounds = as_real("problem['bounds']", problem["bounds"], (count, 2))
    return {"mean": bounds[:, 0], "scale": bounds[:, 1], "groups": problem.get("groups"), "names": problem.get("names")}


def _independent(d: int, mean: ArrayLike | None, scale: ArrayLike | None) -> tuple[Array | None, Array | None]:
    """Return mean and standard deviations of independent inputs, checked; a number stands for all features."""

    def of(name: str, value: ArrayLike | None) -> Array | None:
        if value is None:
            return None
        return as_real(name, np.full(d, value) if np.ndim(value) == 0 else value, (d,))

    centre, spread = of("mean", mean), of("scale", scale)
    if spread is not None and (spread < 0.0).any():
        feature = int(np.argmax(spread < 0.0))
        raise ArgumentError(f"scale: {spread[feature]} at index {feature}, expected standard deviations, not negative")
    return centre, spread


def _members(groups: Groups, names: Sequence[str]) -> dict[str, list[int]]:
    """Return the features of each group, from one label for each feature or from lists of features."""
    if isinstance(groups, Mapping):
        return {str(name): sorted({_index("groups", f, names) for f in group}) for name, group in groups.items()}
    if isinstance(groups, str) or len(groups) != len(names):
        raise ArgumentError(f"groups: {groups!r}, expected one label for each of the {len(names)} features")
    members: dict[str, list[int]] = {}
    for i, label in enumerate(groups):
        members.setdefault(str(label), []).append(i)
    return members


def _index(argument: str, feature: str | int, names: Sequence[str]) -> int:
    if isinstance(feature, str):
        if list(names).count(feature) != 1:
            raise ArgumentError(f"{argument}: {feature!r}, expected the name of one of the features {list(names)}")
        return list(names).index(feature)
    try:
        index = operator.index(feature)
    except TypeError as error:
        raise ArgumentError(f"{argument}: {feature!r}, expected the name or the number of a feature") from error
    if not 0 <= index < len(names):
        raise ArgumentError(f"{argument}: {index}, expected a feature from 0 to {len(names) - 1}")
    return index

"""Neurons inside the subspace: the best few-term networks on projected rows, for every number of neurons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from relunet import _relunet
from relunet._typing import Array
from relunet.fitting.settings import DEFAULTS, Settings

__all__ = ["Candidate", "choose", "find_many_neurons", "find_neurons"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A function ``linear·z + Σ signs_i |vectors_i·z|`` of projected rows z.

    Attributes
    ----------
    linear : ndarray of shape (q,)
        The linear part; with biases its last entry is the intercept.
    vectors : ndarray of shape (k, q)
        One row per neuron; with biases its last entry is the bias.
    signs : ndarray of shape (k,)
        1 or -1 per neuron.
    train_loss, heldout_loss : float
        Mean squared residual on the rows that were fitted and on the others.
    """

    linear: Array
    vectors: Array
    signs: Array
    train_loss: float
    heldout_loss: float

    @property
    def n_neurons(self) -> int:
        """Number of terms."""
        return len(self.signs)


def find_neurons(
    z: Array,
    y: Array,
    n_neurons: int,
    *,
    fit_bias: bool = False,
    sample_weight: Array | None = None,
    starts: Sequence[Candidate] = (),
    tolerance: float = 1e-20,
    least_gain: float = 0.0,
    budget: int = 20_000_000_000,
    seed: int = 0,
    n_jobs: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Candidate]:
    """Search for the global minimum of ``mean (y - w·z - Σ_i s_i |a_i·z|)²`` with at most `n_neurons` terms.

    Terms are added where the residual correlates most with |a·z| once what the present terms can follow is projected
    out, slid by Levenberg-Marquardt, and exchanged; growth ends at `n_neurons`, at the tolerance, or where the
    residual shows nothing more [CDGKM23, section 4, asks the same question of its moments].

    Parameters
    ----------
    z : ndarray of shape (n, r)
        Projected rows, about whitened, in an order that says nothing about them: the first four fifths are fitted and
        the others held out.
    y : ndarray of shape (n,)
        Labels.
    n_neurons : int
        Most terms.
    fit_bias : bool, default=False
        Whether a constant column is appended to z, so that terms have biases and w an intercept.
    sample_weight : ndarray of shape (n,), optional
        Row weights.
    starts : sequence of Candidate, default=()
        Models to begin from; the best of them is extended.
    tolerance : float, default=1e-20
        Loss, relative to the best linear fit's, at which the search ends.
    least_gain : float, default=0.0
        Part of the loss that a term must explain, or two more after it, for growth to go on.
    budget : int, default=2e10
        Floating-point operations that exchanges may spend, beside those of the growth.
    seed : int, default=0
        Seed of the directions tried.
    n_jobs : int, optional
        Threads; None is every core. The result does not depend on it.
    progress : callable, optional
        Called about ten times a second with the floating-point operations done, those of the growth included.

    Returns
    -------
    list of Candidate
        The best networks found, by increasing number of neurons, from the linear fit on.

    Raises
    ------
    ArgumentError
        Shapes that do not fit together, or fewer than ten rows.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.random.default_rng(0).standard_normal((4000, 2))
    >>> found = find_neurons(z, np.abs(z[:, 0]) - 2 * np.abs(z @ [0.6, 0.8]), 4)
    >>> choose(found, 3200).signs.sum()
    np.float64(0.0)
    """
    columns = [z, np.ones((len(z), 1))] if fit_bias else [z]
    found = _relunet.search(
        np.ascontiguousarray(np.hstack(columns), dtype=np.float64),
        np.ascontiguousarray(y, dtype=np.float64),
        n_neurons,
        weights=None if sample_weight is None else np.ascontiguousarray(sample_weight, dtype=np.float64),
        starts=[(start.linear, start.vectors, start.signs) for start in starts],
        constant=fit_bias,
        seed=seed,
        n_threads=n_jobs,
        tolerance=tolerance,
        least_gain=least_gain,
        budget=budget,
        progress=progress,
    )
    return [Candidate(*candidate) for candidate in found]


def find_many_neurons(
    z: Array,
    y: Array,
    n_neurons: int,
    *,
    fit_bias: bool = False,
    sample_weight: Array | None = None,
    floor: float = 0.0,
    visits_per_parameter: int = 1000,
    rounds: int = 3,
    seed: int = 0,
    n_jobs: int | None = None,
) -> Candidate:
    """Search for many neurons at once, by stochastic gradients on half as many more and Gauss-Newton steps.

    The time grows like the square of the number of parameters, with `find_neurons` like its cube.

    Parameters
    ----------
    z : ndarray of shape (n, r)
        Whitened rows, in an order that says nothing about them.
    y : ndarray of shape (n,)
        Labels.
    n_neurons : int
        Most neurons.
    fit_bias : bool, default=False
        Whether a constant column is appended to z, so that terms have biases and w an intercept.
    sample_weight : ndarray of shape (n,), optional
        Row weights.
    floor : float, default=0.0
        Mean squared residual at which the search ends.
    visits_per_parameter : int, default=1000
        Rows that stochastic gradients visit, with repetition, for each parameter.
    rounds : int, default=3
        Searches for neurons in what the first one has left.
    seed : int, default=0
        Seed of the random neurons and of the order of the rows.
    n_jobs : int, optional
        Threads; None is every core. The result does not depend on it.

    Returns
    -------
    Candidate
        The best network found, its held-out loss not known.

    Raises
    ------
    ArgumentError
        Shapes that do not fit together, or fewer than ten rows.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> z, a = rng.standard_normal((3000, 6)), rng.standard_normal((6, 6))
    >>> found = find_many_neurons(z, np.abs(z @ a.T).sum(axis=1), 6, floor=1e-20)
    >>> found.n_neurons, found.train_loss < 1e-20
    (6, True)
    """
    columns = np.concatenate([z, np.ones((len(z), int(fit_bias)))], axis=1)
    if sample_weight is not None:
        root = np.sqrt(sample_weight / np.mean(sample_weight))
        columns, y = columns * root[:, None], y * root
    linear, vectors, signs, loss = _relunet.search_wide(
        np.ascontiguousarray(columns, dtype=np.float64),
        np.ascontiguousarray(y, dtype=np.float64),
        n_neurons,
        floor=floor,
        visits=visits_per_parameter * n_neurons * columns.shape[1],
        rounds=rounds,
        constant=fit_bias,
        seed=seed,
        n_threads=n_jobs,
    )
    return Candidate(linear, vectors, signs, loss, np.nan)


def choose(
    candidates: Sequence[Candidate], n_rows: float, least_gain: float = 0.0, settings: Settings = DEFAULTS
) -> Candidate:
    """Return the fewest neurons that explain as much as more would, from losses on `n_rows` fitted rows.

    p additional parameters lower the loss by p/n of itself by chance, and by more as the best of many that were tried.
    Neurons that gain less than `settings.selection` times as much, or than `least_gain` of the loss each, are left out.
    """
    rounding = 1e-24 * candidates[0].train_loss

    def explains(fewer: Candidate, more: Candidate) -> bool:
        extra = more.n_neurons - fewer.n_neurons
        gain = extra * (least_gain + settings.selection * len(fewer.linear) / n_rows)
        return fewer.train_loss <= more.train_loss * (1 + gain) + rounding

    return next(c for i, c in enumerate(candidates) if all(explains(c, more) for more in candidates[i + 1 :]))

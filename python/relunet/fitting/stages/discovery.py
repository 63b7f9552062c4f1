"""Search for neurons inside the subspace: the best networks on projected rows, for every number of neurons."""

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

    Terms |a·z| are added that correlate most with the residual after the tangent space of the present terms is
    projected out, refined by Levenberg-Marquardt, and exchanged. Growth ends at `n_neurons`, at the tolerance, or when
    the residual shows no further term, the criterion that [CDGKM23, section 4] applies to its moments.

    Parameters
    ----------
    z : ndarray of shape (n, r)
        Projected rows, approximately whitened, in an order that does not depend on their values: the first four fifths
        are fitted and the others held out.
    y : ndarray of shape (n,)
        Labels.
    n_neurons : int
        Largest number of terms.
    fit_bias : bool, default=False
        Whether a constant column is appended to z, so that terms have biases and w an intercept.
    sample_weight : ndarray of shape (n,), optional
        Row weights.
    starts : sequence of Candidate, default=()
        Initial models; the best of them is extended.
    tolerance : float, default=1e-20
        Loss, relative to that of the best linear fit, at which the search ends.
    least_gain : float, default=0.0
        Share of the loss that a term, or two more after it, must explain for growth to continue.
    budget : int, default=2e10
        Budget of exchanges in floating-point operations, without those of the growth.
    seed : int, default=0
        Seed of the directions tried.
    n_jobs : int, optional
        Number of threads; None means one per core. The result does not depend on it.
    progress : callable, optional
        Called about ten times per second with the number of floating-point operations done, including the growth.

    Returns
    -------
    list of Candidate
        The best networks found, by increasing number of neurons, starting with the linear fit.

    Raises
    ------
    ArgumentError
        Shapes do not match, or there are fewer than ten rows.

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
    """Search for many neurons at once: stochastic gradients on 1.5 times as many neurons, then Gauss-Newton steps.

    The time grows like the square of the number of parameters, and that of `find_neurons` like its cube.

    Parameters
    ----------
    z : ndarray of shape (n, r)
        Whitened rows, in an order that does not depend on their values.
    y : ndarray of shape (n,)
        Labels.
    n_neurons : int
        Largest number of neurons.
    fit_bias : bool, default=False
        Whether a constant column is appended to z, so that terms have biases and w an intercept.
    sample_weight : ndarray of shape (n,), optional
        Row weights.
    floor : float, default=0.0
        Mean squared residual at which the search ends.
    visits_per_parameter : int, default=1000
        Rows per parameter that stochastic gradients visit, counted with repetition.
    rounds : int, default=3
        Number of searches for neurons in the residual of the first search.
    seed : int, default=0
        Seed of the random neurons and of the order of the rows.
    n_jobs : int, optional
        Number of threads; None means one per core. The result does not depend on it.

    Returns
    -------
    Candidate
        The best network found; its held-out loss is NaN.

    Raises
    ------
    ArgumentError
        Shapes do not match, or there are fewer than ten rows.

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
    """Return the smallest network that explains as much as larger ones, from losses on `n_rows` fitted rows.

    By chance, p additional parameters decrease the loss by the share p/n, and by more if they are the best of many
    tried. Neurons that decrease it by less than `settings.selection` times this, or less than `least_gain` each, are
    left out.
    """
    rounding = 1e-24 * candidates[0].train_loss

    def explains(fewer: Candidate, more: Candidate) -> bool:
        extra = more.n_neurons - fewer.n_neurons
        gain = extra * (least_gain + settings.selection * len(fewer.linear) / n_rows)
        return fewer.train_loss <= more.train_loss * (1 + gain) + rounding

    return next(c for i, c in enumerate(candidates) if all(explains(c, more) for more in candidates[i + 1 :]))

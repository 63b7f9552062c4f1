"""The report of a fit: status, diagnostics, and the certified error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from relunet._typing import Array
from relunet.errors import ArgumentError

__all__ = ["ClumpLevel", "Report", "Stage", "StandardErrors", "Status"]

Status = Literal["exact", "noise floor", "budget", "no structure"]

# Outputs whose errors are printed.
SHOWN_OUTPUTS = 12

_MEANING = {
    "exact": "the labels are this network up to rounding",
    "noise floor": "what is left of the labels shows no structure",
    "budget": "structure is left that the allowed neurons or sweeps did not reach",
    "no structure": "no neuron stands out of the noise: the network is affine",
}


class Stage(NamedTuple):
    """One stage of a fit.

    Attributes
    ----------
    name : str
        Name of the stage: a module of the package, such as ``"subspace"``.
    seconds : float
        Time spent in it, over all its calls.
    sweeps : int
        Number of its sweeps over all rows.
    """

    name: str
    seconds: float
    sweeps: int


class StandardErrors(NamedTuple):
    """Standard errors of the parameters of a network whose neurons are scaled so that output weights are 1 or -1.

    With several outputs, neurons are scaled so that weights have length 1, and output weights have errors of their own.

    Attributes
    ----------
    weights : ndarray of shape (k, d)
        Those of the weights, neuron by neuron.
    biases : ndarray of shape (k,)
        Those of the biases.
    linear : ndarray of shape (d,) or (m, d)
        Those of the linear part.
    intercept : float or ndarray of shape (m,)
        That of the intercept.
    output_weights : ndarray of shape (m, k) or None
        Those of the output weights of several outputs; None for one output.
    """

    weights: Array
    biases: Array
    linear: Array
    intercept: float | Array
    output_weights: Array | None = None


@dataclass(frozen=True)
class ClumpLevel:
    """Clumps of neurons at one scale: neurons closer than the scale form a clump ([CDGKM23], section 4).

    Attributes
    ----------
    scale : float
        Angle between directions, in radians, below which neurons are one clump.
    labels : tuple of int
        Clump of each neuron of the finest level, counted from 0 in the order of the neurons.
    risk : float
        Mean squared leave-one-out residual of the network fitted with one neuron per clump.
    chosen : bool
        Whether the fit continued with this level.

    Examples
    --------
    >>> ClumpLevel(scale=0.1, labels=(0, 0, 1), risk=2e-4).n_clumps
    2
    """

    scale: float
    labels: tuple[int, ...]
    risk: float
    chosen: bool = False

    @property
    def n_clumps(self) -> int:
        """Number of clumps."""
        return len(set(self.labels))


@dataclass(frozen=True, kw_only=True)
class Report:
    """Status and diagnostics of a fit, which print as text.

    Attributes
    ----------
    status : {"exact", "noise floor", "budget", "no structure"}
        How the fit ended.

        - ``"exact"``: the labels are the network up to rounding. Constant and affine labels are exact, with no neurons.
        - ``"noise floor"``: an error is left whose mean does not depend on the inputs as far as the rows can tell.
        - ``"budget"``: structure is left that the allowed number of neurons, sweeps or restarts did not reach, the
          network is the best found. A message says what to try.
        - ``"no structure"``: the labels are not affine, but no neuron stands out of the noise: the network is the best
          affine function. More rows may change that: `visible_share` and `rows_for` tell how many.
    n_rows, n_features : int
        Size of the samples.
    n_neurons : int
        Neurons of the network that was returned.
    rank : int
        Dimension of the subspace in which neurons were searched, residual rounds included.
    spectrum : tuple of float
        Eigenvalues of the matrix that finds the subspace, descending.
    bulk_edge : float
        What the largest eigenvalue would be with no structure in the labels; eigenvalues above it are directions seen.
    visible_share : float
        Share of the variance of the residual of the best affine function that a single neuron must explain to be
        visible with this number of rows; above 1 if no neuron could be visible.
    scales : tuple of ClumpLevel
        The clumps of neurons from the finest scale to the coarsest; empty for a network without neurons.
    risk : float
        Mean squared error of `risk_network`, from leave-one-out residuals if rows are kept in memory; with several
        outputs the sum over them.
    output_risks : tuple of float
        Mean squared error of each output, if there are several.
    risk_interval : tuple of float or None
        Lower and upper end of the interval for the risk at `risk_level`; None if no rows are kept in memory, or if the
        network fits all rows and they do not determine it.
    risk_level : float
        Confidence level of `risk_interval`.
    risk_network : str
        The network that `risk` is of: ``"the network that is returned"``, or ``"the network fitted to all rows"`` if
        there are too many features to keep rows; `risk` is then the mean squared residual of the fit.
    sweeps : int
        Number of sweeps over all rows.
    rows_read : int
        Number of rows read, including partial reads.
    stages : tuple of Stage
        Seconds and sweeps per stage, in the order of their first call.
    errors_per_sweep : tuple of float
        RMS residual in each polishing sweep over all rows.
    errors_on_sample : tuple of float
        The same for the earlier sweeps over rows in memory: first of the affine function, then of each round.
    label_rms : float
        Standard deviation of the labels, to which errors are compared.
    messages : tuple of str
        Messages to the user, which were also issued as warnings.

    Examples
    --------
    >>> report = Report(
    ...     status="exact", n_rows=1000, n_features=5, n_neurons=1, rank=1, spectrum=(0.5, 0.02), bulk_edge=0.05,
    ...     risk=1e-30, risk_network="the network fitted to all rows", sweeps=4, rows_read=4000, label_rms=1.0,
    ... )
    >>> print(report)
    exact: the labels are this network up to rounding
      samples    1,000 rows of 5 features; 4 sweeps, 4,000 rows read
      network    1 neuron in a subspace of 1 dimension
      spectrum   0.5 | 0.02   (bulk edge 0.05)
      risk       1e-30, on the rows of the fit (the network fitted to all rows)
      error      rms 1e-15, 1e-15 of the labels'
    """

    status: Status
    n_rows: int
    n_features: int
    n_neurons: int
    rank: int
    spectrum: tuple[float, ...] = ()
    bulk_edge: float = 0.0
    visible_share: float = 0.0
    scales: tuple[ClumpLevel, ...] = ()
    risk: float
    risk_interval: tuple[float, float] | None = None
    risk_level: float = 0.95
    risk_network: str
    output_risks: tuple[float, ...] = ()
    sweeps: int
    rows_read: int
    stages: tuple[Stage, ...] = ()
    errors_per_sweep: tuple[float, ...] = ()
    errors_on_sample: tuple[float, ...] = ()
    label_rms: float = 0.0
    messages: tuple[str, ...] = ()

    def rows_for(self, share: float) -> int:
        """Return the approximate number of rows that would show a neuron that explains a share of the variance.

        The number is N visible_share / share, since the noise of the statistics is proportional to 1/N. The variance is
        that of the residual of the best affine function. Neurons that cancel each other may need many times as many
        rows.

        Parameters
        ----------
        share : float
            Share of the variance, above 0 and at most 1.

        Raises
        ------
        ArgumentError
            The share is not in this range.
        """
        if not 0 < share <= 1:
            raise ArgumentError(f"share: {share!r}, expected a number above 0 and at most 1")
        return math.ceil(self.n_rows * self.visible_share / share)

    def __str__(self) -> str:
        """Return the report as text with one line per subject."""
        lines = [
            f"{self.status}: {_MEANING[self.status]}",
            f"  samples    {_count(self.n_rows, 'row')} of {_count(self.n_features, 'feature')}; "
            f"{_count(self.sweeps, 'sweep')}, {_count(self.rows_read, 'row')} read",
            f"  network    {_count(self.n_neurons, 'neuron')} in a subspace of {_count(self.rank, 'dimension')}",
        ]
        if self.spectrum:
            lines.append(f"  spectrum   {self._spectrum_text()}   (bulk edge {self.bulk_edge:.3g})")
        risk = "risk" if self.risk_interval is None else "held-out risk"
        lines += [
            f"  clumps     {level.n_clumps} at {level.scale:.2e} rad, {risk} {level.risk:.3g}"
            + (" (chosen)" if level.chosen else "")
            for level in self.scales
        ]
        lines.append(f"  risk       {self._risk_text()}")
        rms = self.risk**0.5
        relative = f", {rms / self.label_rms:.2g} of the labels'" if self.label_rms > 0 else ""
        lines.append(f"  error      rms {rms:.2g}{relative}")
        if self.output_risks:
            errors = [f"{risk**0.5:.2g}" for risk in self.output_risks[:SHOWN_OUTPUTS]]
            more = ", ..." if len(self.output_risks) > SHOWN_OUTPUTS else ""
            lines.append(f"  outputs    {len(self.output_risks)}, rms {', '.join(errors)}{more}")
        if self.stages:
            total = sum(stage.seconds for stage in self.stages)
            each = ", ".join(f"{stage.name} {stage.seconds:.2g} s" for stage in self.stages)
            lines.append(f"  time       {total:.2f} s: {each}")
        lines += [f"  note       {message}" for message in self.messages]
        return "\n".join(lines)

    def _spectrum_text(self, beyond: int = 3, at_most: int = 12) -> str:
        """Return the eigenvalues above the bulk edge and a few below it, with a bar between."""
        above = [f"{value:.3g}" for value in self.spectrum if value > self.bulk_edge]
        below = [f"{value:.3g}" for value in self.spectrum if value <= self.bulk_edge]
        shown = [*above[:at_most], *(["..."] if len(above) > at_most else [])]
        shown += ["|", *below[:beyond], *(["..."] if len(below) > beyond else [])]
        return " ".join(shown)

    def _risk_text(self) -> str:
        if self.risk_interval is None:
            return f"{self.risk:.3g}, on the rows of the fit ({self.risk_network})"
        low, high = self.risk_interval
        return f"{self.risk:.3g}, between {low:.3g} and {high:.3g} at level {self.risk_level:g} ({self.risk_network})"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"

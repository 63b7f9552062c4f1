"""The driver `learn`, with the structure of Algorithm 1 of [CDGKM23]: find neurons in the residual, fit, and repeat."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np

from relunet._typing import Array
from relunet.fitting.arguments import check_counts, check_labelled, check_start, checked_choice
from relunet.fitting.fit import Fit
from relunet.fitting.in_memory import InMemoryFit
from relunet.fitting.joint.driver import learn_jointly
from relunet.fitting.joint.uncertainty import JointUncertainty
from relunet.fitting.report import ClumpLevel, Report, Status
from relunet.fitting.rounds import Rounds
from relunet.fitting.settings import DEFAULTS, Settings
from relunet.fitting.sketched import SketchedFit
from relunet.fitting.stages.subspace import Subspace, joint_span, span
from relunet.fitting.stages.validation import Risk, Uncertainty
from relunet.fitting.trace import Trace
from relunet.network import ReLUNetwork
from relunet.progress import Progress, ProgressLine, row_bytes
from relunet.samples import Samples
from relunet.samples.names import feature_names
from relunet.samples.protocol import n_outputs

__all__ = ["FitResult", "learn"]


class FitResult(NamedTuple):
    """Result of `learn`.

    Attributes
    ----------
    network : ReLUNetwork
        The network.
    report : Report
        Status and diagnostics of the fit.
    subspace : ndarray of shape (d, r)
        Orthonormal basis, as columns, of the space in which weights of neurons were searched.
    spectrum : ndarray
        Eigenvalues of the matrix that shows the subspace, descending.
    scales : list of ClumpLevel
        The clumps of neurons from the finest scale to the coarsest that was tried.
    uncertainty : Uncertainty, JointUncertainty or None
        Covariance of the parameters; None if the fit is exact or has too many features or parameters.
    """

    network: ReLUNetwork
    report: Report
    subspace: Array
    spectrum: Array
    scales: list[ClumpLevel]
    uncertainty: Uncertainty | JointUncertainty | None = None


def learn(
    samples: Samples,
    n_neurons: int | None = None,
    *,
    fit_bias: bool = True,
    fit_linear: bool | Literal["auto"] = "auto",
    max_neurons: int = 32,
    random_state: int = 0,
    n_jobs: int | None = None,
    verbose: int = 0,
    progress: Progress | None = None,
    start: ReLUNetwork | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    max_dense: int = DEFAULTS.max_dense,
    settings: Settings = DEFAULTS,
) -> FitResult:
    """Find the network that generated the labels of samples, or else the best network found.

    Rows are divided into slices by the residual of the best affine function; the moments of the inputs in the slices
    show a subspace. Neurons are searched in it on rows kept in memory and then polished in all dimensions. Directions
    that the residual of this fit shows are added to the subspace, until it shows no more. Orientations of neurons and
    clumps of close neurons are then chosen, and the network is fitted to all rows.

    With more than `max_dense` features, the subspace comes from block iteration and every polish uses all rows. Memory
    and the time of a sweep are then linear in the number of features, but a fit takes dozens of sweeps, and more if
    features are correlated, because their covariance is not used.

    Parameters
    ----------
    samples : Samples
        Labelled samples from a ``scan_*`` function.
    n_neurons : int, default=None
        Largest number of neurons; None means up to `max_neurons`.
    fit_bias : bool, default=True
        Whether neurons have biases and the network an intercept.
    fit_linear : {"auto", True, False}, default="auto"
        Whether the network has a linear part; "auto" keeps one only if the data require it.
    max_neurons : int, default=32
        Largest number of neurons if `n_neurons` is None.
    random_state : int, default=0
        Nonnegative seed; the same seed and samples give the same bits for any number of threads.
    n_jobs : int, default=None
        Number of threads; None, 0 or less means one per core.
    verbose : int, default=0
        0 is silent, 1 shows progress on a terminal and in a notebook, 2 prints the report as well.
    progress : callable, default=None
        Called with the stage, the rows done and the number of rows, about ten times per second, in place of the
        display.
    start : ReLUNetwork, default=None
        An initial network, such as that of an earlier fit to fewer rows.
    checkpoint : path, default=None
        Folder in which the sums of sweeps are stored. If the fit is killed and repeated, it continues from these sums
        and returns the same bits. The folder is not deleted.
    max_dense : int, default=1000
        Above this number of features, sketching is used: memory is linear in n_features.
    settings : Settings, default=DEFAULTS
        Constants of the method.

    Returns
    -------
    FitResult
        The network, the report, the subspace with its spectrum, and the clumps over scales.

    Raises
    ------
    ArgumentError
        An argument is invalid.
    DataError
        There are NaN or infinity, values too large or too small to compute with, no labels, or too few rows.
    FileError
        A file cannot be read.

    Examples
    --------
    >>> from relunet import scan_array, teachers
    >>> from relunet.fitting.learn import learn
    >>> teacher = teachers.generic(10, 3, rng=0)
    >>> x, y = teacher.sample(20_000, rng=1)
    >>> result = learn(scan_array(x, y), n_neurons=3, fit_bias=False)
    >>> result.report.status, result.network.n_neurons
    ('exact', 3)
    >>> result.network.gaussian_distance(teacher.network) < 1e-12
    True
    """
    check_labelled(samples)
    others = {"max_dense": max_dense, "random_state": random_state, "verbose": verbose}
    check_counts({"n_neurons": n_neurons}, max_neurons=max_neurons, **others)
    at_most = int(max_neurons if n_neurons is None else n_neurons)
    fit_bias = checked_choice("fit_bias", fit_bias, True, False)
    fit_linear = checked_choice("fit_linear", fit_linear, True, False, "auto")
    check_start(start, samples.n_columns, at_most, n_outputs(samples))
    if progress is None and verbose:
        progress = ProgressLine(row_bytes=row_bytes(samples))
    trace = Trace(samples, n_jobs, progress, checkpoint)
    if n_outputs(samples) > 1:
        joint = learn_jointly(
            trace,
            n_neurons,
            fit_bias=fit_bias,
            fit_linear=fit_linear,
            max_neurons=int(max_neurons),
            random_state=random_state,
            start=start,
            settings=replace(settings, max_dense=int(max_dense)),
        )
        if verbose >= 2:
            print(joint.report)  # noqa: T201
        return FitResult(*joint._replace(network=joint.network.with_feature_names(feature_names(samples))))

    with trace.stage("inputs"):
        kind = SketchedFit if samples.n_columns > max_dense else InMemoryFit
        fit = kind(trace, at_most, fit_bias=fit_bias, fit_linear=fit_linear, seed=random_state, settings=settings)
        network = fit.affine()
        trace.errors_on_sample.append(fit.rms(network))
    if start is not None and start.n_neurons:
        with trace.stage("polish"):
            network = min(network, fit.supported(fit.polished(start, linear=True)), key=fit.cost)
    if not fit.is_explained(network) and (widths := fit.widths(at_most, told=n_neurons is not None)):
        # Rows are few: all dimensions are searched at once.
        with trace.stage("discovery"):
            network = fit.found_directly(network, widths)
    is_found = network.n_neurons > 0 and fit.is_explained(network)
    limit = at_most if is_found else min(at_most, fit.affordable_neurons())
    many = limit > settings.wide_neurons and n_neurons is not None
    if many and not fit.is_explained(network):
        with trace.stage("discovery"):
            network = fit.found_wide(network, limit)
    directions = fit.resolved_span(network)
    looks: list[Subspace] = []
    efforts = settings.efforts[:0] if many else settings.efforts
    rounds = Rounds(settings, efforts, limit, told=n_neurons is not None)
    while not rounds.is_over and len(looks) < settings.max_rounds and not fit.is_explained(network):
        # The directions that the residual shows and the span of the present neurons are the space to search.
        with trace.stage("subspace"):
            # Residuals on all rows contain the error of a fit to a subset; where that may dominate, refit on all rows
            # first.
            fit_is_final = rounds.idle == 0 or fit.inputs.n_rows < 2 * fit.n_fitted
            subspace = fit.residual_subspace(network if fit_is_final else fit.polished_on_all(network))
            visible = subspace.directions[:, : min(subspace.n_visible, limit)]
            looks.append(subspace)
        # Where no new direction is visible, search in the span of the neurons and of the blur of their kinks, as long
        # as each search gains more than the parameters of one neuron would by chance.
        last = visible.shape[1] == 0
        if last and network.n_neurons == 0:
            break
        if last:
            with trace.stage("scales"):
                visible = fit.blurred(network)[:, :limit]
        with trace.stage("discovery"):
            directions = joint_span(fit.resolved_span(network), visible)
            most, effort = rounds.most_neurons(network.n_neurons), rounds.effort(last=last)
            found = fit.search(directions, network, most, effort, closer=last or rounds.idle > 0)
        with trace.stage("polish"):
            better = min((fit.supported(fit.polished(candidate, linear=True)) for candidate in found), key=fit.cost)
            # Slices see the whole distribution of the residual and propose; the mean decides.
            gain = 1 - fit.cost(better) / fit.cost(network) if fit.improves(better, network) else 0.0
            if rounds.is_accepted(gain, network.n_neurons, better.n_neurons):
                network = better
        if last and gain < fit.inputs.rank / fit.n_fitted:
            break
    # Clumps and orientations are chosen in memory; then the remaining parameters are fitted to all rows.
    with trace.stage("scales"):
        network, levels = fit.clumped(network)
    with trace.stage("polish"):
        network = fit.polished_on_all(network)
    with trace.stage("validation"):
        certified = fit.certified(network)
        status = fit.status(network, limit, looks[0] if looks else None, told=n_neurons is not None)
        uncertainty = None if status == "exact" else fit.uncertainty(network)
        if status == "budget" and fit.is_exact(network):
            # Residuals say nothing about a kink that the rows do not determine.
            certified = replace(certified, interval=None)

    report = _report(fit, network, status, directions.shape[1], looks, levels, certified)
    if verbose >= 2:
        print(report)  # noqa: T201
    network = network.with_feature_names(feature_names(samples))
    basis = span(fit.inputs.x_weights(directions.T).T)
    return FitResult(network, report, basis, looks[0].spectrum if looks else np.zeros(0), levels, uncertainty)


def _report(
    fit: Fit,
    network: ReLUNetwork,
    status: Status,
    rank: int,
    looks: Sequence[Subspace],
    levels: Sequence[ClumpLevel],
    certified: Risk,
) -> Report:
    """Return what the user is told of a fit."""
    trace, n_rows = fit.trace, fit.samples.n_rows
    return Report(
        status=status,
        n_rows=n_rows,
        n_features=fit.samples.n_columns,
        n_neurons=network.n_neurons,
        rank=rank,
        spectrum=tuple(float(v) for v in looks[0].spectrum) if looks else (),
        bulk_edge=looks[0].bulk_edge if looks else 0.0,
        visible_share=fit.visible_share(looks),
        scales=tuple(levels),
        risk=certified.mean,
        risk_interval=certified.interval,
        risk_level=certified.level,
        risk_network=certified.network,
        sweeps=trace.n_sweeps,
        rows_read=trace.rows_read,
        stages=trace.stages,
        errors_per_sweep=tuple(trace.errors),
        errors_on_sample=tuple(trace.errors_on_sample),
        label_rms=float(np.sqrt(fit.inputs.label_var)),
        messages=tuple(trace.messages),
    )

"""The driver of fits of several outputs: find neurons in the residuals of all outputs, fit, and repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np

from relunet._typing import Array
from relunet.fitting.joint.fit import JointFit, check_dense
from relunet.fitting.joint.uncertainty import JointUncertainty
from relunet.fitting.report import ClumpLevel, Report
from relunet.fitting.rounds import Rounds
from relunet.fitting.settings import Settings
from relunet.fitting.stages.subspace import Subspace, joint_span, span
from relunet.fitting.trace import Trace
from relunet.network import ReLUNetwork

__all__ = ["JointResult", "learn_jointly"]


class JointResult(NamedTuple):
    """What `learn_jointly` returns; the fields are those of `relunet.fitting.learn.FitResult`."""

    network: ReLUNetwork
    report: Report
    subspace: Array
    spectrum: Array
    scales: list[ClumpLevel]
    uncertainty: JointUncertainty | None


def learn_jointly(
    trace: Trace,
    n_neurons: int | None,
    *,
    fit_bias: bool,
    fit_linear: bool | Literal["auto"],
    max_neurons: int,
    random_state: int,
    start: ReLUNetwork | None,
    settings: Settings,
) -> JointResult:
    """Find the network of several outputs over one hidden layer.

    Outputs are whitened by what the best affine function leaves of them, so that neither units nor mixtures of outputs
    matter. Each round cuts the residuals of the most telling combinations of outputs into slices, searches for neurons
    on one combination that sees them all, fits the output weights of all outputs to them, and polishes everything
    together. Then outputs count by the noise that is left of them.

    Parameters
    ----------
    trace : Trace
        The samples, whose sweeps are counted.
    n_neurons, fit_bias, fit_linear, max_neurons, random_state, start, settings
        As for `relunet.learn`.

    Raises
    ------
    ArgumentError
        More features than a dense fit takes.
    """
    samples = trace.samples
    check_dense(samples, settings.max_dense)
    at_most = int(max_neurons if n_neurons is None else n_neurons)
    told = n_neurons is not None
    with trace.stage("inputs"):
        fit = JointFit(trace, at_most, fit_bias=fit_bias, fit_linear=fit_linear, seed=random_state, settings=settings)
        limit = min(at_most, fit.affordable_neurons())
        whole = fit.affine_of_labels()
        looks: list[Subspace] = []
        levels: list[ClumpLevel] = []
        directions = np.zeros((fit.inputs.rank, 0))
    if fit.outputs.rank:
        whole, directions, looks, levels = _found(fit, whole, limit, at_most, told=told, start=start)
    with trace.stage("validation"):
        certified, each = fit.certified(whole)
        status = fit.status(whole, limit, told=told)
        uncertainty = None if status == "exact" else fit.uncertainty(whole)
        if status == "budget" and fit.outputs.rank and fit.is_exact(fit.outputs.of_network(whole)):
            # Residuals say nothing about a kink that the rows do not determine.
            certified = replace(certified, interval=None)
    report = Report(
        status=status,
        n_rows=samples.n_rows,
        n_features=samples.n_columns,
        n_neurons=whole.n_neurons,
        rank=directions.shape[1],
        spectrum=tuple(float(v) for v in looks[0].spectrum) if looks else (),
        bulk_edge=looks[0].bulk_edge if looks else 0.0,
        visible_share=_visible_share(fit, looks),
        scales=tuple(levels),
        risk=certified.mean,
        risk_interval=certified.interval,
        risk_level=certified.level,
        risk_network=certified.network,
        output_risks=tuple(float(risk) for risk in each),
        sweeps=trace.n_sweeps,
        rows_read=trace.rows_read,
        stages=trace.stages,
        errors_per_sweep=tuple(trace.errors),
        errors_on_sample=tuple(trace.errors_on_sample),
        label_rms=float(np.sqrt(np.sum(fit.label_var))),
        messages=tuple(trace.messages),
    )
    basis = span(fit.inputs.x_weights(directions.T.copy()).T) if directions.size else np.zeros((samples.n_columns, 0))
    return JointResult(whole, report, basis, looks[0].spectrum if looks else np.zeros(0), levels, uncertainty)


def _found(
    fit: JointFit, affine: ReLUNetwork, limit: int, at_most: int, *, told: bool, start: ReLUNetwork | None
) -> tuple[ReLUNetwork, Array, list[Subspace], list[ClumpLevel]]:
    """Return the network of the labels, the directions that were searched last, the looks and the levels of clumps."""
    trace, settings, network = fit.trace, fit.settings, fit.affine()
    if start is not None and start.n_neurons and limit:
        with trace.stage("polish"):
            begun = fit.supported(fit.polished(fit.outputs.of_network(start), linear=True))
            network = begun if fit.improves(begun, network) else network
    if limit and not fit.is_explained(network) and (widths := fit.widths(at_most, told=told)):
        with trace.stage("discovery"):
            network = fit.found_directly(network, widths)
    if told and limit > settings.wide_neurons and not fit.is_explained(network):
        with trace.stage("discovery"):
            network = fit.found_wide(network, limit)
    looks: list[Subspace] = []
    directions = fit.resolved_span(network)
    rounds = Rounds(settings, settings.efforts, limit, told=told)
    while not rounds.is_over and len(looks) < settings.max_rounds and not fit.is_explained(network):
        with trace.stage("subspace"):
            subspace = fit.residual_subspace(network)
            visible = subspace.directions[:, : min(subspace.n_visible, limit)]
            looks.append(subspace)
        last = visible.shape[1] == 0
        if last and network.n_neurons == 0:
            break
        with trace.stage("discovery"):
            directions = joint_span(fit.resolved_span(network), visible)
            most, effort = rounds.most_neurons(network.n_neurons), rounds.effort(last=last)
            found = fit.search(directions, network, most, effort, closer=last or rounds.idle > 0)
        with trace.stage("polish"):
            best = network
            for candidate in found:
                better = fit.supported(fit.polished(candidate, linear=True))
                if fit.improves(better, best):
                    best = better
                if fit.is_explained(best):
                    break
            gain = 1 - fit.cost(best) / fit.cost(network)
            if rounds.is_accepted(gain, network.n_neurons, best.n_neurons):
                network = best
        if last and gain < settings.least_progress:
            break
    if network.n_neurons and not fit.is_exact(network):
        with trace.stage("polish"):
            network = fit.reweighted(network)
    with trace.stage("scales"):
        network, levels = fit.clumped(network)
    with trace.stage("polish"):
        network = fit.polished_on_all(network)
    if network.n_neurons == 0:
        return affine, directions, looks, levels
    return _unit(fit.outputs.network(network)), directions, looks, levels


def _visible_share(fit: JointFit, looks: Sequence[Subspace]) -> float:
    if looks:
        return looks[0].visible_share
    return float((np.pi / 2 - 1) * 4 * max(fit.inputs.rank, 1) / fit.inputs.n_rows)


def _unit(network: ReLUNetwork) -> ReLUNetwork:
    """Return the same function with weights of length 1."""
    size = np.sqrt(np.sum(network.weights**2, axis=1))
    size = np.where(size > 0, size, 1.0)
    return ReLUNetwork(
        network.weights / size[:, None],
        network.output_weights * size,
        network.biases / size,
        network.linear,
        network.intercept,
    )

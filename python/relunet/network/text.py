"""Networks as text: a summary with the formula where it is short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from relunet.network.parameters import Parameters

__all__ = ["summary"]

_WRITTEN_OUT = 24
"""Largest number of weights for which the summary of a network contains its formula."""


def summary(parameters: Parameters, outputs: tuple[int, ...], feature_names: Sequence[str] | None) -> str:
    """Return the sizes of a network and, for one output and few weights, its formula with four digits."""
    k, d = parameters.weights.shape
    counts = [_count(k, "neuron"), _count(d, "feature")]
    if outputs:
        counts.append(_count(outputs[0], "output"))
    elif k * d <= _WRITTEN_OUT:
        names = [f"x{i}" for i in range(d)] if feature_names is None else feature_names
        neurons = [
            f"relu({_sum([*zip(weights, names, strict=True), (bias, '')])})"
            for weights, bias in zip(parameters.weights, parameters.biases, strict=True)
        ]
        affine = [*zip(parameters.linear[0], names, strict=True), (float(parameters.intercept[0]), "")]
        formula = _sum([*affine, *zip(parameters.output_weights[0], neurons, strict=True)])
        return f"ReLUNetwork: {', '.join(counts)}\n  f(x) = {formula}"
    parts = {"biases": parameters.biases, "linear part": parameters.linear, "intercept": parameters.intercept}
    absent = [name for name, array in parts.items() if not array.any()]
    return f"ReLUNetwork: {', '.join(counts)}" + (f"; no {', no '.join(absent)}" if absent else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _sum(terms: Iterable[tuple[float, str]]) -> str:
    """Return the sum of coefficients times symbols as text, without zeros and ones."""
    text = ""
    for coefficient, symbol in terms:
        size = f"{abs(coefficient):.4g}"
        product = symbol if symbol and size == "1" else f"{size} {symbol}".rstrip()
        if coefficient != 0.0:
            sign = "-" if coefficient < 0.0 else "+"
            text = f"{text} {sign} {product}" if text else product if sign == "+" else f"-{product}"
    return text or "0"

"""Networks as text: a summary, a table of hinges, and code that computes them in Python, SQL and LaTeX."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np

from relunet._typing import Array
from relunet.errors import ArgumentError
from relunet.network.parameters import Parameters

__all__ = ["Form", "Hinges", "hinges", "summary", "to_text"]

Form = Literal["python", "sql", "latex"]
Term = tuple[float, str]

_WRITTEN_OUT = 24
"""Largest number of weights for which the summary of a network contains its formula."""


def summary(parameters: Parameters, outputs: tuple[int, ...], names: Sequence[str]) -> str:
    """Return the sizes of a network and, for one output and few weights, its formula with four digits."""
    k, d = parameters.weights.shape
    counts = [_count(k, "neuron"), _count(d, "feature")]
    if outputs:
        counts.append(_count(outputs[0], "output"))
    elif k * d <= _WRITTEN_OUT:
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


class Hinges(dict[str, Array]):
    """Columns of a table of hinges by name; printed, it reads as a table, and data frames are made from it directly."""

    def __str__(self) -> str:
        """Return the table with six digits, one line a hinge."""
        cells = [[name, *(f"{value:.6g}" for value in column)] for name, column in self.items()]
        widths = [max(map(len, column)) for column in cells]
        rows = zip(*cells, strict=True)
        return "\n".join("  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows)


def hinges(parameters: Parameters, outputs: tuple[int, ...], names: Sequence[str]) -> Hinges:
    """Return the table of hinges; see `ReLUNetwork.hinges`."""
    m = len(parameters.intercept)
    sizes = np.sqrt((parameters.weights**2).sum(axis=1))
    kinks = np.flatnonzero(sizes > 0.0)
    slopes = ["output_weight"] if not outputs else [f"output_weight_{i}" for i in range(m)]
    columns = [*slopes, *names, "offset"]
    for name in columns:
        if columns.count(name) > 1:
            raise ArgumentError(f"feature_names: {name!r} would name two columns of the table of hinges")
    sizes = sizes[kinks]
    normals = parameters.weights[kinks] / sizes[:, None]
    arrays = [*(parameters.output_weights[:, kinks] * sizes), *normals.T, -parameters.biases[kinks] / sizes + 0.0]
    return Hinges((name, array.copy()) for name, array in zip(columns, arrays, strict=True))


def to_text(parameters: Parameters, names: Sequence[str], form: Form, digits: int | None) -> str:
    """Return a network as code; see `ReLUNetwork.to_text`."""
    if form not in ("python", "sql", "latex"):
        raise ArgumentError(f"form: {form!r}, expected 'python', 'sql' or 'latex'")
    if digits is not None and not (isinstance(digits, int | np.integer) and 1 <= digits <= 17):
        raise ArgumentError(f"digits: {digits!r}, expected None or a number from 1 to 17")
    writer = {"python": _python, "sql": _sql, "latex": _latex}[form]
    return writer(parameters, names, digits)


def _terms(parameters: Parameters, output: int, symbols: Sequence[str], neurons: Sequence[str]) -> list[Term]:
    affine = [(float(parameters.intercept[output]), ""), *zip(parameters.linear[output].tolist(), symbols, strict=True)]
    return affine + list(zip(parameters.output_weights[output].tolist(), neurons, strict=True))


def _pre_activations(parameters: Parameters, symbols: Sequence[str]) -> list[list[Term]]:
    """Return the terms of each neuron's argument."""
    rows = zip(parameters.weights.tolist(), parameters.biases.tolist(), strict=True)
    return [[(bias, ""), *zip(weights, symbols, strict=True)] for weights, bias in rows]


def _python(parameters: Parameters, names: Sequence[str], digits: int | None) -> str:
    usable = all(name.isidentifier() and not keyword.iskeyword(name) for name in names)
    distinct = len(set(names)) == len(names) and not {"max", "f"} & set(names)
    arguments = list(names) if usable and distinct else [f"x{i}" for i in range(len(names))]

    def combined(terms: Iterable[Term]) -> str:
        return _combined(terms, lambda value: _number(value, digits), " * ")

    neurons = [f"max({combined(terms)}, 0.0)" for terms in _pre_activations(parameters, arguments)]
    values = [combined(_terms(parameters, output, arguments, neurons)) for output in range(len(parameters.intercept))]
    lines = [f"def f({', '.join(arguments)}):"]
    if arguments != list(names):
        lines += [f"    # {argument}: {name!r}" for argument, name in zip(arguments, names, strict=True)]
    lines.append(f"    return {values[0] if len(values) == 1 else '(' + ', '.join(values) + ')'}")
    return "\n".join(lines) + "\n"


def _sql(parameters: Parameters, names: Sequence[str], digits: int | None) -> str:
    if len(set(names)) < len(names):
        raise ArgumentError("feature_names: some names occur twice, expected names that tell the columns apart")
    columns = ['"' + name.replace('"', '""') + '"' for name in names]

    def number(value: float) -> str:
        # With an exponent, databases read a literal as a double and not as a decimal.
        text = _number(value, digits)
        return text if "e" in text else f"{text}e0"

    def combined(terms: Iterable[Term]) -> str:
        return _combined(terms, number, " * ")

    # relu(t) = (t + |t|) / 2, exactly, and null where t is.
    neurons = [f"0.5e0 * ({terms} + ABS({terms}))" for terms in map(combined, _pre_activations(parameters, columns))]
    values = [combined(_terms(parameters, output, columns, neurons)) for output in range(len(parameters.intercept))]
    return values[0] if len(values) == 1 else ",\n".join(f"{value} AS y{i}" for i, value in enumerate(values))


def _latex(parameters: Parameters, names: Sequence[str], digits: int | None) -> str:
    special = {"\\": r"\backslash ", "{": r"\{", "}": r"\}", "^": r"\hat{}", "~": r"\sim ", "\n": " "}
    special |= {character: f"\\{character}" for character in "_%&#$"}
    plain = [f"x{i}" for i in range(len(names))]
    symbols = (
        [f"x_{{{i}}}" for i in range(len(names))]
        if list(names) == plain
        else ["\\mathrm{" + "".join(special.get(c, c) for c in name) + "}" for name in names]
    )

    def number(value: float) -> str:
        mantissa, _, exponent = _number(value, digits).partition("e")
        return f"{mantissa} \\cdot 10^{{{int(exponent)}}}" if exponent else mantissa

    def combined(terms: Iterable[Term]) -> str:
        return _combined(terms, number, r" \, ")

    neurons = [rf"\max\left(0, {combined(terms)}\right)" for terms in _pre_activations(parameters, symbols)]
    values = [combined(_terms(parameters, output, symbols, neurons)) for output in range(len(parameters.intercept))]
    if len(values) == 1:
        return f"f(x) = {values[0]}"
    lines = [f"f_{{{i}}}(x) &= {value}" for i, value in enumerate(values)]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _number(value: float, digits: int | None) -> str:
    """Return the shortest text that reads as the same double, or so many significant digits."""
    return repr(float(value) if digits is None else float(f"{value:.{digits}g}"))


def _combined(terms: Iterable[Term], number: Callable[[float], str], times: str) -> str:
    """Return a linear combination as an expression, without terms whose coefficient is zero."""
    text = ""
    for coefficient, symbol in terms:
        if coefficient == 0.0:
            continue
        sign = "-" if coefficient < 0.0 else "+"
        size = number(abs(coefficient))
        product = f"{size}{times}{symbol}" if symbol else size
        text = f"{text} {sign} {product}" if text else product if sign == "+" else f"-{product}"
    return text or number(0.0)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _sum(terms: Iterable[Term]) -> str:
    """Return the sum of coefficients times symbols with four digits, without zeros and ones."""
    text = ""
    for coefficient, symbol in terms:
        size = f"{abs(coefficient):.4g}"
        product = symbol if symbol and size == "1" else f"{size} {symbol}".rstrip()
        if coefficient != 0.0:
            sign = "-" if coefficient < 0.0 else "+"
            text = f"{text} {sign} {product}" if text else product if sign == "+" else f"-{product}"
    return text or "0"

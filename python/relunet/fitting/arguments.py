"""Checks of the arguments of a fit, made before any row is read."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np

from relunet.errors import ArgumentError, DataError
from relunet.network import ReLUNetwork
from relunet.samples.protocol import Samples, check_samples

__all__ = ["check_counts", "check_labelled", "check_start", "checked_choice"]


def check_labelled(samples: Samples) -> None:
    """Require samples with labels and at least two rows."""
    check_samples(samples)
    if not samples.has_labels:
        raise DataError("y: the samples have no labels, expected labelled ones")
    if samples.n_rows < 2:
        raise DataError(f"X: {samples.n_rows} sample, at least 2 are needed, many more for neurons")


def check_counts(optional: Mapping[str, int | None], **counts: object) -> None:
    """Require integers that are large enough; counts in `optional` may be None."""
    for name, value in {**counts, **{name: n for name, n in optional.items() if n is not None}}.items():
        least = 0 if name in ("random_state", "verbose", "smooth_rows") else 1
        boolean = isinstance(value, bool) and name != "verbose"
        if boolean or not isinstance(value, Integral) or not least <= int(value) < 2**63:
            raise ArgumentError(f"{name}: {value!r}, expected an integer of at least {least}")


def checked_choice(name: str, value: object, *choices: Any) -> Any:
    """Return the element of `choices` that equals a value; booleans of NumPy are accepted."""
    plain = bool(value) if isinstance(value, np.bool_) else value
    for choice in choices:
        if type(plain) is type(choice) and plain == choice:
            return choice
    raise ArgumentError(f"{name}: {value!r}, expected {', '.join(map(repr, choices[:-1]))} or {choices[-1]!r}")


def check_start(start: ReLUNetwork | None, n_features: int, at_most: int, n_outputs: int = 1) -> None:
    """Require a network from which a fit of these samples can start."""
    if start is None:
        return
    if not isinstance(start, ReLUNetwork):
        raise ArgumentError(f"start: {type(start).__name__}, expected a ReLUNetwork")
    outputs = () if n_outputs == 1 else (n_outputs,)
    if start.output_weights.shape[:-1] != outputs:
        expected = "one" if n_outputs == 1 else str(n_outputs)
        raise ArgumentError(f"start: {start.n_outputs} outputs, expected {expected}")
    if start.n_features != n_features or start.n_neurons > at_most:
        expected = f"{n_features} features and at most {at_most} neurons"
        raise ArgumentError(f"start: {start.n_features} features and {start.n_neurons} neurons, expected {expected}")

"""Names of features that differ from those of a fit."""

from __future__ import annotations

from collections.abc import Sequence

from relunet.errors import DataError

__all__ = ["mismatch"]


def mismatch(names: Sequence[str], seen: Sequence[str]) -> DataError:
    """Return the error for names of features that differ from those of the fit, in the words of scikit-learn."""
    lines = ["The feature names should match those that were passed during fit."]
    unseen = sorted(set(names) - set(seen))
    missing = sorted(set(seen) - set(names))
    for title, group in (
        ("Feature names unseen at fit time:", unseen),
        ("Feature names seen at fit time, yet now missing:", missing),
    ):
        lines += [title, *(f"- {name}" for name in group)] if group else []
    if not unseen and not missing:
        lines.append("Feature names must be in the same order as they were in fit.")
    return DataError("\n".join(lines) + "\n")

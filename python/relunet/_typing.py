"""The types that modules share."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Rows"]

Array: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = tuple[NDArray[Any], Array | None, Array | None]
"""Inputs (n, d), labels (n,) or None, and weights (n,) or None of consecutive rows."""

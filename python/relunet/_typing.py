"""Type aliases that several modules share."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Rows"]

Array: TypeAlias = NDArray[np.float64]
"""An array of doubles, of any shape."""
Rows: TypeAlias = tuple[NDArray[Any], Array | None, Array | None]
"""Consecutive rows: inputs of shape (n, d), labels of shape (n,), (n, m) or None, and weights of shape (n,) or None."""

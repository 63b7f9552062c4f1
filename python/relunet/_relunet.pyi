import os
from collections.abc import Sequence
from typing import Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

_Array: TypeAlias = NDArray[np.float64]
_Network: TypeAlias = tuple[_Array, _Array, _Array, _Array, _Array]

# source
@final
class ArraySource:
    def __new__(
        cls,
        X: NDArray[np.float32] | NDArray[np.float64],
        y: NDArray[np.float32] | NDArray[np.float64] | None = None,
        sample_weight: NDArray[np.float32] | NDArray[np.float64] | None = None,
    ) -> ArraySource: ...
    @property
    def n_rows(self) -> int: ...
    @property
    def n_columns(self) -> int: ...
    @property
    def dtype(self) -> Literal["float32", "float64"]: ...
    @property
    def has_labels(self) -> bool: ...
    def read(
        self, start: int, stop: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, NDArray[np.float64] | None]: ...

@final
class NpySource:
    def __new__(
        cls,
        x_path: str | os.PathLike[str],
        y_path: str | os.PathLike[str] | None = None,
        *,
        target: int | None = None,
        columns: Sequence[int] | None = None,
        weight: int | str | os.PathLike[str] | None = None,
    ) -> NpySource: ...
    @property
    def n_rows(self) -> int: ...
    @property
    def n_columns(self) -> int: ...
    @property
    def columns(self) -> list[int]: ...
    @property
    def dtype(self) -> Literal["float32", "float64"]: ...
    @property
    def has_labels(self) -> bool: ...
    def read(
        self, start: int, stop: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, NDArray[np.float64] | None]: ...

# network, gaussian

def predict(network: _Network, x: _Array) -> _Array: ...
def gaussian_inner(f: _Network, g: _Network, mean: _Array | None = None, cov: _Array | None = None) -> float: ...
def gaussian_distance(f: _Network, g: _Network, mean: _Array | None = None, cov: _Array | None = None) -> float: ...
def neuron_distances(
    f: _Network, g: _Network, mean: _Array | None = None, cov: _Array | None = None
) -> tuple[_Array, _Array]: ...

# lm
def search(
    zt: _Array,
    y: _Array,
    k_max: int,
    *,
    weights: _Array | None = None,
    starts: Sequence[tuple[_Array, _Array, _Array]] = ...,
    constant: bool = False,
    seed: int = 0,
    n_threads: int | None = None,
    tolerance: float = 1e-20,
    budget: int = 20_000_000_000,
) -> list[tuple[_Array, _Array, _Array, float, float]]: ...

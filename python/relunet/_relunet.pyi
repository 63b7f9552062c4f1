import os
from collections.abc import Callable, Sequence
from typing import Literal, Self, TypeAlias, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import disjoint_base

from relunet.network import ReLUNetwork
from relunet.network.parameters import Parameters

__all__ = [
    "Accumulator",
    "ArraySource",
    "ArrowStream",
    "ContractionMoments",
    "CurvatureMoments",
    "GradientMoments",
    "InputMoments",
    "JointGradientMoments",
    "LabelMap",
    "NpySource",
    "RiskMoments",
    "RowReader",
    "RowSample",
    "SketchMoments",
    "SliceMoments",
    "TableSource",
    "bound_threads",
    "conditional_mean",
    "eigh",
    "gaussian_distance",
    "gaussian_inner",
    "gradient_moment",
    "lstsq",
    "matmul",
    "neuron_distances",
    "open_csv",
    "open_parquet",
    "predict",
    "search",
    "search_directly",
    "search_wide",
    "sobol",
    "solve_spd",
    "svd",
    "sweep",
]

_Array: TypeAlias = NDArray[np.float64]

# source

class _Source:
    @property
    def n_rows(self) -> int: ...
    @property
    def n_columns(self) -> int: ...
    @property
    def dtype(self) -> Literal["float32", "float64"]: ...
    @property
    def has_labels(self) -> bool: ...
    @property
    def n_outputs(self) -> int: ...
    def read(
        self, start: int, stop: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, NDArray[np.float64] | None]: ...

@final
class ArraySource(_Source):
    def __new__(
        cls,
        X: NDArray[np.float32] | NDArray[np.float64],
        y: NDArray[np.float32] | NDArray[np.float64] | None = None,
        sample_weight: NDArray[np.float32] | NDArray[np.float64] | None = None,
        *,
        names: Sequence[str] | None = None,
        label_names: Sequence[str] | None = None,
    ) -> ArraySource: ...

@final
class NpySource(_Source):
    def __new__(
        cls,
        x_paths: Sequence[str | os.PathLike[str]],
        y_paths: Sequence[str | os.PathLike[str]] | None = None,
        *,
        target: int | Sequence[int] | None = None,
        columns: Sequence[int] | None = None,
        weight: int | Sequence[str | os.PathLike[str]] | None = None,
    ) -> NpySource: ...
    @property
    def columns(self) -> list[int]: ...

@final
class TableSource(_Source):
    @property
    def columns(self) -> list[str]: ...
    @property
    def is_sequential(self) -> bool: ...

def open_parquet(
    files: Sequence[tuple[str, Sequence[tuple[str, str]]]],
    *,
    target: int | str | Sequence[int | str] | None = None,
    columns: Sequence[int | str] | None = None,
    weight: int | str | None = None,
) -> TableSource: ...
def open_csv(
    files: Sequence[tuple[str, Sequence[tuple[str, str]]]],
    delimiter: int,
    names: Sequence[str] | None = None,
    header: bool | None = None,
    *,
    target: int | str | Sequence[int | str] | None = None,
    columns: Sequence[int | str] | None = None,
    weight: int | str | None = None,
) -> TableSource: ...

@final
class ArrowStream:
    def __new__(
        cls,
        capsule: object,
        origin: str,
        *,
        target: int | str | Sequence[int | str] | None = None,
        columns: Sequence[int | str] | None = None,
        weight: int | str | None = None,
    ) -> ArrowStream: ...
    def next_table(self) -> tuple[TableSource, int] | None: ...
    def table(self) -> TableSource: ...

@final
class RowReader(_Source):
    def __new__(
        cls,
        read: Callable[[int, int], object],
        origin: str,
        *,
        n_rows: int,
        n_columns: int,
        single: bool,
        n_outputs: int,
        sequential: bool,
        names: Sequence[str] | None = None,
    ) -> RowReader: ...

# moments, sweep

@disjoint_base
class Accumulator:
    @property
    def n_features(self) -> int: ...
    @property
    def n_rows(self) -> int: ...
    def update(self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> None: ...
    def merge(self, other: Self) -> None: ...
    def empty(self) -> Self: ...
    def __add__(self, value: Self, /) -> Self: ...
    def __radd__(self, value: Self, /) -> Self: ...
    def to_bytes(self) -> bytes: ...
    @classmethod
    def from_bytes(cls, data: bytes) -> Self: ...
    def __reduce__(self) -> tuple[Callable[[bytes], Self], tuple[bytes]]: ...

@final
class InputMoments(Accumulator):
    def __new__(cls, n_features: int, n_outputs: int = 1) -> Self: ...
    @property
    def weight(self) -> float: ...
    @property
    def mean(self) -> _Array: ...
    @property
    def cov(self) -> _Array: ...
    @property
    def label_mean(self) -> float: ...
    @property
    def label_var(self) -> float: ...
    @property
    def label_cov(self) -> _Array: ...
    @property
    def label_means(self) -> _Array: ...
    @property
    def label_covariance(self) -> _Array: ...
    @property
    def cross_covariance(self) -> _Array: ...

@final
class JointGradientMoments(Accumulator):
    def __new__(cls, network: ReLUNetwork) -> Self: ...
    @property
    def squares(self) -> _Array: ...
    @property
    def hidden(self) -> _Array: ...
    @property
    def output_weights(self) -> _Array: ...
    @property
    def affine(self) -> _Array: ...

@final
class LabelMap(Accumulator):
    def __new__(cls, accumulator: Accumulator, vectors: ArrayLike) -> Self: ...
    @property
    def accumulator(self) -> Accumulator: ...

@final
class ContractionMoments(Accumulator):
    def __new__(
        cls,
        n_features: int,
        directions: ArrayLike,
        degrees: Sequence[int],
        network: ReLUNetwork | None = None,
        *,
        precision: str = "double",
    ) -> Self: ...
    @property
    def precision(self) -> str: ...
    @property
    def degrees(self) -> list[int]: ...
    def contractions(self) -> dict[int, _Array]: ...
    def matrices(self) -> dict[int, _Array]: ...

@final
class SliceMoments(Accumulator):
    def __new__(
        cls, n_features: int, edges: ArrayLike, network: ReLUNetwork | None = None, *, precision: str = "double"
    ) -> Self: ...
    @property
    def precision(self) -> str: ...
    @property
    def weights(self) -> _Array: ...
    @property
    def vectors(self) -> _Array: ...
    @property
    def grams(self) -> _Array: ...

@final
class GradientMoments(Accumulator):
    def __new__(cls, network: ReLUNetwork) -> Self: ...
    @property
    def risk(self) -> float: ...
    @property
    def gradient(self) -> _Array: ...

@final
class CurvatureMoments(Accumulator):
    def __new__(cls, network: ReLUNetwork) -> Self: ...
    @property
    def normal_matrix(self) -> _Array: ...

@final
class RiskMoments(Accumulator):
    def __new__(cls, network: ReLUNetwork) -> Self: ...
    @property
    def weight(self) -> float: ...
    @property
    def risk(self) -> float: ...
    @property
    def risk_variance(self) -> float: ...
    @property
    def largest_residual(self) -> float: ...

@final
class RowSample(Accumulator):
    def __new__(
        cls,
        n_features: int,
        threshold: int,
        seed: int,
        directions: ArrayLike | None = None,
        n_outputs: int = 1,
    ) -> Self: ...
    def rows(self, *, held_out: int | None = None) -> tuple[NDArray[np.uint64], _Array, _Array, _Array]: ...

@final
class SketchMoments(Accumulator):
    def __new__(
        cls,
        n_features: int,
        directions: ArrayLike,
        edges: ArrayLike,
        values: ArrayLike,
        network: ReLUNetwork | None = None,
    ) -> Self: ...
    @property
    def weights(self) -> _Array: ...
    @property
    def vectors(self) -> _Array: ...
    @property
    def products(self) -> _Array: ...
    @property
    def squares(self) -> _Array: ...

def sweep(
    source: ArraySource | NpySource | TableSource | RowReader,
    accumulators: Sequence[Accumulator],
    *,
    n_threads: int | None = None,
    progress: Callable[[int], object] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    every: float = 60.0,
    identity: bytes = ...,
) -> int: ...

# threads

def bound_threads(n_threads: int | None) -> int | None: ...

# linalg

def eigh(a: _Array) -> tuple[_Array, _Array]: ...
def svd(a: _Array) -> tuple[_Array, _Array, _Array]: ...
def solve_spd(a: _Array, b: _Array) -> _Array: ...
def lstsq(a: _Array, b: _Array) -> _Array: ...
def matmul(a: _Array, b: _Array) -> _Array: ...

# network, gaussian

def predict(network: Parameters, x: _Array) -> _Array: ...
def gaussian_inner(f: Parameters, g: Parameters, mean: _Array | None = None, cov: _Array | None = None) -> float: ...
def gaussian_distance(f: Parameters, g: Parameters, mean: _Array | None = None, cov: _Array | None = None) -> float: ...
def neuron_distances(
    f: Parameters, g: Parameters, mean: _Array | None = None, cov: _Array | None = None
) -> tuple[_Array, _Array]: ...
def sobol(
    network: Parameters, mean: _Array | None, scale: _Array | None, groups: Sequence[Sequence[int]]
) -> tuple[_Array, _Array, _Array, _Array]: ...
def conditional_mean(
    network: Parameters, mean: _Array | None, scale: _Array | None, features: Sequence[int], values: _Array
) -> _Array: ...
def gradient_moment(network: Parameters, mean: _Array | None, cov: _Array | None) -> _Array: ...

# search
def search(
    z: _Array,
    y: _Array,
    k_max: int,
    *,
    weights: _Array | None = None,
    starts: Sequence[tuple[_Array, _Array, _Array]] = ...,
    constant: bool = False,
    seed: int = 0,
    n_threads: int | None = None,
    tolerance: float = 1e-20,
    least_gain: float = 0.0,
    budget: int = 20_000_000_000,
    progress: Callable[[int], object] | None = None,
) -> list[tuple[_Array, _Array, _Array, float, float]]: ...
def search_directly(
    z: _Array,
    y: _Array,
    k: int,
    *,
    affine: tuple[int, int],
    floor: float,
    budget: int,
    starts: Sequence[tuple[_Array, _Array, _Array]] = ...,
    constant: bool = False,
    seed: int = 0,
    n_threads: int | None = None,
) -> tuple[_Array, _Array, _Array, float, int]: ...
def search_wide(
    z: _Array,
    y: _Array,
    k: int,
    *,
    floor: float,
    visits: int,
    rounds: int,
    constant: bool = False,
    seed: int = 0,
    n_threads: int | None = None,
) -> tuple[_Array, _Array, _Array, float]: ...

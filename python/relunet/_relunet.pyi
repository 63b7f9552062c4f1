from typing import TypeAlias

from numpy import float64
from numpy.typing import NDArray

_Array: TypeAlias = NDArray[float64]
_Network: TypeAlias = tuple[_Array, _Array, _Array, _Array, _Array]

def predict(network: _Network, x: _Array) -> _Array: ...
def gaussian_inner(f: _Network, g: _Network, mean: _Array | None = None, cov: _Array | None = None) -> float: ...
def gaussian_distance(f: _Network, g: _Network, mean: _Array | None = None, cov: _Array | None = None) -> float: ...
def neuron_distances(
    f: _Network, g: _Network, mean: _Array | None = None, cov: _Array | None = None
) -> tuple[_Array, _Array]: ...

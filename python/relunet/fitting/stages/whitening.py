"""The change of coordinates after which inputs have mean zero and covariance I, which all stages share."""

from __future__ import annotations

from dataclasses import dataclass

from relunet._typing import Array
from relunet.linalg import matmul

__all__ = ["Whitening"]


@dataclass(frozen=True)
class Whitening:
    """The map z = (x - mean) @ whiten and its inverse.

    Attributes
    ----------
    mean : ndarray of shape (d,)
        Mean of the inputs.
    whiten : ndarray of shape (d, r) or (d,)
        z = (x - mean) @ whiten has covariance I; r is the rank of the covariance of the inputs. One number an input
        where these are so many that they are only scaled.
    unwhiten : ndarray of shape (r, d) or (d,)
        x - mean = z @ unwhiten.
    """

    mean: Array
    whiten: Array
    unwhiten: Array

    @property
    def rank(self) -> int:
        """Number of whitened coordinates."""
        return len(self.unwhiten)

    @property
    def origin(self) -> Array:
        """Where x = 0 lies in z, with its sign turned: the constant part of z seen by a homogeneous network."""
        return self.against(self.mean[None, :]).ravel()

    def against(self, vectors: Array) -> Array:
        """Return sums (m, r) against z for such sums (m, d) against x - mean."""
        return _mapped(vectors, self.whiten)

    def whitened(self, weights: Array) -> Array:
        """Return the weights (m, d) of functions of x as weights (m, r) of z."""
        return _mapped(weights, self.unwhiten.T)

    def raw(self, weights: Array) -> Array:
        """Return the weights (m, r) of functions of z as weights (m, d) of x."""
        return _mapped(weights, self.whiten.T)


def _mapped(rows: Array, linear_map: Array) -> Array:
    """Return rows times a linear map, given as a matrix or as the diagonal of one."""
    return rows * linear_map if linear_map.ndim == 1 else matmul(rows, linear_map.copy())

"""Whitening: the affine change of coordinates after which inputs have mean zero and covariance I."""

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
        z = (x - mean) @ whiten has covariance I; r is the rank of the covariance of the inputs. A vector if there are
        too many inputs for a covariance: each is then only divided by its standard deviation.
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
        """The image of the mean under the linear map, so that x @ whiten = z + origin."""
        return self.transform(self.mean[None, :]).ravel()

    def transform(self, centred: Array) -> Array:
        """Return the rows z of shape (m, r) for rows x - mean of shape (m, d), or linear combinations of such rows."""
        return _mapped(centred, self.whiten)

    def z_weights(self, weights: Array) -> Array:
        """Return the gradients with respect to z, shape (m, r), of functions with the gradients `weights` in x."""
        return _mapped(weights, self.unwhiten.T)

    def x_weights(self, weights: Array) -> Array:
        """Return the gradients with respect to x, shape (m, d), of functions with the gradients `weights` in z."""
        return _mapped(weights, self.whiten.T)


def _mapped(rows: Array, linear_map: Array) -> Array:
    """Return rows times a linear map, which is given as a matrix or as its diagonal."""
    return rows * linear_map if linear_map.ndim == 1 else matmul(rows, linear_map.copy())

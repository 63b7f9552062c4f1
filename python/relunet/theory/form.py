"""The identifiable form of a network, f_{w,λ,u}(x) = w·x + Σ λ_i |u_i·x| ([CDGKM23], Lemma 2)."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from relunet._typing import Array
from relunet.errors import ArgumentError
from relunet.linalg import matmul
from relunet.network import ReLUNetwork

__all__ = ["AbsoluteForm"]


class AbsoluteForm(NamedTuple):
    """The function f_{w,λ,u}(x) = w·x + Σ λ_i |u_i·x|, in which [CDGKM23] and [CN24] express networks.

    Attributes
    ----------
    w : ndarray of shape (d,)
        Linear part.
    lam : ndarray of shape (k,)
        Weights λ; the papers bound Σ |λ_i| by R.
    u : ndarray of shape (k, d)
        Unit directions, as rows.

    Examples
    --------
    >>> from relunet import ReLUNetwork
    >>> from relunet.theory import AbsoluteForm
    >>> form = AbsoluteForm.of(ReLUNetwork([[3.0, 4.0]], [2.0]))
    >>> form.w, form.lam, form.u
    (array([3., 4.]), array([5.]), array([[0.6, 0.8]]))
    >>> form.network().predict([[1.0, 1.0], [-1.0, -1.0]])
    array([14., 0.])
    """

    w: Array
    lam: Array
    u: Array

    @classmethod
    def linear(cls, w: Array) -> Self:
        """Return the form without neurons."""
        return cls(w, np.zeros(0), np.zeros((0, len(w))))

    @classmethod
    def of(cls, network: ReLUNetwork) -> Self:
        """Return the form of a network without biases: relu(z) = |z|/2 + z/2 (Lemma 2).

        Parameters
        ----------
        network : ReLUNetwork
            A network with one output and without biases and intercept.

        Returns
        -------
        AbsoluteForm
            The same function.

        Raises
        ------
        ArgumentError
            The network has several outputs, biases or an intercept.
        """
        if network.n_outputs != 1 or network.output_weights.ndim != 1:
            raise ArgumentError(f"network: {network.n_outputs} outputs, expected one")
        if np.any(network.biases) or network.intercept:
            raise ArgumentError("network: has biases or an intercept, expected a network without them")
        norms = np.sqrt(np.sum(network.weights**2, axis=1))
        keep = (norms > 0.0) & (network.output_weights != 0.0)
        mu = network.output_weights[keep] * norms[keep]
        u = network.weights[keep] / norms[keep, None]
        return cls(network.linear + np.sum(mu[:, None] * u, axis=0) / 2, mu / 2, u)

    def network(self) -> ReLUNetwork:
        """Return the same function as a network, by |z| = 2 relu(z) - z."""
        linear = self.w - np.sum(self.lam[:, None] * self.u, axis=0)
        return ReLUNetwork(self.u, 2.0 * self.lam, linear=linear)

    def residual_norm(self) -> float:
        """Return the norm of Σ λ_i (|u_i·x| - E|u_i·x|), the part of the function that is not affine."""
        centred = absolute_products(self.u, self.u) - 2 / np.pi
        square = np.sum(self.lam[:, None] * centred * self.lam[None, :])
        return float(np.sqrt(max(float(square), 0.0)))


def absolute_products(u: Array, v: Array) -> Array:
    """Return E|u_i·x||v_j·x| = (2/π)(√(1-ρ²) + ρ asin ρ), ρ = u_i·v_j, for unit vectors and x ~ N(0, I).

    Parameters
    ----------
    u : ndarray of shape (m, d)
        Unit vectors.
    v : ndarray of shape (n, d)
        Unit vectors.

    Returns
    -------
    products : ndarray of shape (m, n)
        The expectations.
    """
    rho = np.clip(matmul(u, v.T), -1.0, 1.0)
    products: Array = (2 / np.pi) * (np.sqrt(1.0 - rho**2) + rho * np.arcsin(rho))
    return products

"""Standard errors of the parameters of several outputs, and of their predictions: sandwich covariance N⁻¹ G N⁻¹.

The parameters are the weights and biases, on neurons with weights of length 1, the output weights and the affine parts.
N is the normal matrix of the fit, G that of its scores Jᵀ M r with residuals r, M the metric in which outputs count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relunet._typing import Array
from relunet.fitting.report import StandardErrors
from relunet.fitting.rows import own_weight
from relunet.fitting.stages.validation import inverse_root
from relunet.fitting.stages.whitening import Whitening
from relunet.linalg import eigh, matmul
from relunet.moments import CurvatureMoments
from relunet.network import ReLUNetwork
from relunet.samples import scan_array

__all__ = ["JointUncertainty", "JointlyLinearised"]

# Rows whose scores are held at once.
BLOCK = 4096


@dataclass(frozen=True)
class JointlyLinearised:
    """A network of several outputs as a linear function of its parameters, the gates of its neurons fixed.

    Attributes
    ----------
    network : ReLUNetwork
        The network, with weights of length 1.
    whitening : Whitening
        Mean and covariance of the inputs.
    biases, linear : bool
        Whether there are biases and intercepts, and linear parts.
    """

    network: ReLUNetwork
    whitening: Whitening
    biases: bool
    linear: bool

    @property
    def n_hidden(self) -> int:
        """Number of weights and biases of the hidden layer, in whitened coordinates."""
        return self.network.n_neurons * (self.whitening.rank + self.biases)

    @property
    def n_outer(self) -> int:
        """Number of parameters of each output."""
        return self.network.n_neurons + self.linear * self.whitening.rank + self.biases

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return self.n_hidden + self.network.n_outputs * self.n_outer

    def columns(self, x: Array) -> tuple[NDArray[np.bool_], Array, Array]:
        """Return gates (n, k), whitened rows with a constant (n, r + biases), and what outputs combine (n, n_outer)."""
        z = self.whitening.transform(x - self.whitening.mean if self.biases else x)
        ones = np.ones((len(z), int(self.biases)))
        inputs = np.concatenate([z, ones], axis=1)
        height = matmul(x, self.network.weights.T) + self.network.biases
        affine = inputs if self.linear else ones
        return height > 0, inputs, np.concatenate([np.maximum(height, 0.0), affine], axis=1)

    def normal_matrix(self, x: Array, weight: Array, metric: Array) -> Array:
        """Return the weighted mean of Jᵀ M J over rows, stiff along changes of the length of a neuron."""
        network, k, m, r = self.network, self.network.n_neurons, self.network.n_outputs, self.whitening.rank
        _, inputs, outer = self.columns(x)
        share = weight / np.sum(weight)
        size, q = r + self.biases, self.n_outer
        normal = np.zeros((self.n_parameters, self.n_parameters))
        hidden = self.n_hidden
        if k:
            shift = self.whitening.mean if self.biases else np.zeros_like(self.whitening.mean)
            biases = network.biases + matmul(network.weights, shift)
            gates = ReLUNetwork(self.whitening.z_weights(network.weights), np.ones(k), biases)
            curvature = CurvatureMoments(gates)
            scan_array(np.ascontiguousarray(inputs[:, :r]), None, weight).sweep([curvature])
            blocks = curvature.normal_matrix.reshape(k + 1, r + 1, k + 1, r + 1)[:k, :size, :k, :size]
            shared = matmul(matmul(network.output_weights.T, metric), network.output_weights)
            normal[:hidden, :hidden] = (blocks * shared[:, None, :, None]).reshape(hidden, hidden)
            on = matmul(x, network.weights.T) + network.biases > 0
            weighted = outer * share[:, None]
            against = matmul(metric, network.output_weights)
            for i in range(k):
                between = matmul((inputs * on[:, i, None]).T, weighted)
                rows = slice(i * size, (i + 1) * size)
                for o in range(m):
                    columns = slice(hidden + o * q, hidden + (o + 1) * q)
                    normal[rows, columns] = against[o, i] * between
                    normal[columns, rows] = normal[rows, columns].T
                length = self.whitening.transform(network.weights[i : i + 1])[0]
                along = length / np.sqrt(np.sum(length**2))
                stiffness = float(np.trace(normal[rows, rows])) / size
                normal[rows, rows][:r, :r] += stiffness * along[:, None] * along
        inner = matmul((outer * share[:, None]).T, outer)
        for o in range(m):
            for other in range(m):
                rows, columns = (slice(hidden + j * q, hidden + (j + 1) * q) for j in (o, other))
                normal[rows, columns] = metric[o, other] * inner
        return normal

    def scores(self, x: Array, residual: Array) -> Array:
        """Return Jᵀ r (n, p) at rows, for residuals (n, m) of the outputs."""
        on, inputs, outer = self.columns(x)
        hidden = (matmul(residual, self.network.output_weights) * on)[:, :, None] * inputs[:, None, :]
        outputs = residual[:, :, None] * outer[:, None, :]
        return np.concatenate([hidden.reshape(len(x), -1), outputs.reshape(len(x), -1)], axis=1)


@dataclass(frozen=True)
class JointUncertainty:
    """Covariance of the parameters of a network of several outputs.

    Attributes
    ----------
    linearised : JointlyLinearised
        The network as a function of its parameters.
    root : ndarray of shape (p, s)
        F with F Fᵀ the covariance.
    """

    linearised: JointlyLinearised
    root: Array

    @classmethod
    def of(
        cls, linearised: JointlyLinearised, x: Array, residual: Array, weight: Array, metric: Array, times: float
    ) -> JointUncertainty:
        """Return the covariance from residuals (n, m) at rows, in a fit to `times` as many rows."""
        inverse = inverse_root(linearised.normal_matrix(x, weight, metric))
        total, p = float(np.sum(weight)), linearised.n_parameters
        middle = np.zeros((inverse.shape[1], inverse.shape[1]))
        # Residuals of rows left out are larger by their mean leverage.
        raised = residual / (1 - min(p / (len(x) * times * residual.shape[1]), 0.98))
        spread = np.sqrt(weight * own_weight(weight))
        for start in range(0, len(x), BLOCK):
            part = slice(start, start + BLOCK)
            against = matmul(raised[part] * spread[part, None], metric)
            scores = matmul(linearised.scores(x[part], against), inverse)
            middle += matmul(scores.T, scores)
        values, vectors = eigh(middle)
        root = matmul(inverse, vectors * np.sqrt(np.maximum(values, 0.0))) / (total * np.sqrt(times))
        return cls(linearised, root)

    def deviations(self, x: Array) -> Array:
        """Return the standard errors (n, m) of predictions at rows x."""
        linearised = self.linearised
        m, hidden, q = linearised.network.n_outputs, linearised.n_hidden, linearised.n_outer
        found = np.zeros((len(x), m))
        on, inputs, outer = linearised.columns(x)
        for o, weights in enumerate(linearised.network.output_weights):
            slopes = ((on * weights)[:, :, None] * inputs[:, None, :]).reshape(len(x), -1)
            own = self.root[hidden + o * q : hidden + (o + 1) * q]
            spread = matmul(outer, own) + (matmul(slopes, self.root[:hidden]) if hidden else 0.0)
            found[:, o] = np.sqrt(np.sum(spread**2, axis=1))
        return found

    def standard_errors(self) -> StandardErrors:
        """Return the standard errors of the parameters; parameters that are not fitted have none, which is zero."""
        linearised = self.linearised
        whitening, k, m = linearised.whitening, linearised.network.n_neurons, linearised.network.n_outputs
        r, bias, d, q = whitening.rank, int(linearised.biases), len(whitening.mean), linearised.n_outer

        def affine(part: Array) -> tuple[Array, float]:
            """Return the errors of the slopes and of the constant of an affine function of the inputs."""
            n_slopes = len(part) - bias
            raw = (
                whitening.x_weights(np.ascontiguousarray(part[:n_slopes].T))
                if n_slopes
                else np.zeros((part.shape[1], d))
            )
            constant = part[n_slopes] - matmul(raw, whitening.mean) if bias else np.zeros(part.shape[1])
            return np.sqrt(np.sum(raw**2, axis=0)), float(np.sqrt(np.sum(constant**2)))

        hidden = [affine(self.root[i * (r + bias) : (i + 1) * (r + bias)]) for i in range(k)]
        outer = [self.root[linearised.n_hidden + o * q : linearised.n_hidden + (o + 1) * q] for o in range(m)]
        rests = [affine(part[k:]) for part in outer]
        return StandardErrors(
            np.array([slopes for slopes, _ in hidden]).reshape(k, d),
            np.array([constant for _, constant in hidden]),
            np.array([slopes for slopes, _ in rests]),
            np.array([constant for _, constant in rests]),
            np.array([np.sqrt(np.sum(part[:k] ** 2, axis=1)) for part in outer]).reshape(m, k),
        )

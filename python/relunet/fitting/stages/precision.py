"""Precision of stored labels and inputs: rounding of their type, and grids of values written with few digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relunet._typing import Array
from relunet.linalg import matmul
from relunet.network import ReLUNetwork

__all__ = ["EXPLAINED", "Precision", "grid"]

# Numbers of decimal places and of significant digits that are tried as grids.
PLACES, DIGITS = range(-9, 13), range(1, 10)
# A grid counts only if its spacing is at least COARSE times the rounding of the values.
COARSE = 2.0**12
# Rounding of predictions and of the arithmetic of a fit, in units of the rounding of its inputs.
ARITHMETIC = 16.0
# Accuracy to which a fit converges, relative to the residual of the best affine function.
CONVERGED = 1e-10
# Largest spacings, in standard deviations of the values, of grids that are due to rounding and not to the measurement.
FINE_LABELS, FINE_INPUTS = 0.3, 1e-3
# Number of rows from which grids of features are found.
SOME = 4096
# A residual of at most EXPLAINED times the standard deviation of rounding to a grid is explained by the grid.
EXPLAINED = 1.5
# Largest residuals, in units of the RMS of rounding, of labels on a grid of one spacing and on one of floating-point
# numbers, whose spacing grows with the label; and the distance from a multiple, in spacings, on a grid of one spacing.
LARGEST_UNIFORM, LARGEST_FLOATING, UNIFORM = 4.0, 16.0, 1e-3


@dataclass(frozen=True)
class Precision:
    """Rounding of stored labels and inputs.

    Attributes
    ----------
    labels, inputs : float
        Relative rounding of stored labels and inputs: that of single precision if their type is, else of double.
    label_grid : float
        RMS spacing of the grid on which all labels lie; 0 if there is none.
    input_grids : ndarray of shape (d,)
        The same for each feature.
    """

    labels: float
    inputs: float
    label_grid: float
    input_grids: Array

    @classmethod
    def of(cls, x: NDArray[np.floating], y: Array, dtype: np.dtype[np.generic]) -> Precision:
        """Return the precision of rows whose features are stored as `dtype`."""
        if dtype == np.float32:
            eps = float(np.finfo(np.float32).eps)
            return cls(eps, eps, 0.0, np.zeros(x.shape[1]))
        eps = float(np.finfo(np.float64).eps)
        some = slice(SOME)
        label_grid, input_grids = grid(y), np.array([grid(column[some]) for column in x.T])
        input_grids = np.where(input_grids <= FINE_INPUTS * np.std(x, axis=0), input_grids, 0.0)
        return cls(eps, eps, label_grid if label_grid <= FINE_LABELS * np.std(y) else 0.0, input_grids)

    def rounding(self, network: ReLUNetwork, x: Array, y: Array, off_affine: float) -> float:
        """Return the largest RMS residual of labels that equal a network up to rounding.

        Parameters
        ----------
        network : ReLUNetwork
            The network.
        x, y : ndarray of shape (n, d) and (n,)
            Rows.
        off_affine : float
            RMS residual of the best affine function, which neurons have to explain.
        """
        slopes = slopes_at(network, x)
        carried = float(np.sqrt(np.mean(np.sum(np.abs(slopes * x), axis=1) ** 2)))
        size = float(np.sqrt(np.mean(y**2)))
        double = float(np.finfo(np.float64).eps)
        explained = CONVERGED * off_affine if network.n_neurons else 0.0
        return self.labels * size + self.inputs * carried + ARITHMETIC * double * (size + carried) + explained

    def grid_noise(self, network: ReLUNetwork, x: Array) -> float:
        """Return the RMS residual of a network due to rounding of labels and inputs to their grids."""
        square = self.label_grid**2
        if np.any(self.input_grids):
            square += float(np.mean(matmul(slopes_at(network, x) ** 2, self.input_grids**2)))
        return float(np.sqrt(square / 12))

    def explains(self, rms: float, network: ReLUNetwork, x: Array) -> bool:
        """Return whether an RMS residual is explained by rounding to grids."""
        return rms <= EXPLAINED * self.grid_noise(network, x)

    def is_exceeded(self, residual: Array, y: Array, network: ReLUNetwork, x: Array) -> bool:
        """Return whether most residuals are those of rounding to grids, and some larger than rounding makes them.

        Rounding is bounded. Larger residuals of a few rows with labels y show structure that is left, such as two close
        kinks that were fitted as one.
        """
        noise = self.grid_noise(network, x)
        multiples = y / self.label_grid if self.label_grid else np.zeros(1)
        is_uniform = np.all(np.abs(multiples - np.rint(multiples)) < UNIFORM)
        largest = LARGEST_UNIFORM if is_uniform else LARGEST_FLOATING
        size = np.abs(residual)
        return noise > 0 and float(np.median(size)) <= EXPLAINED * noise and float(np.max(size)) > largest * noise


def slopes_at(network: ReLUNetwork, x: Array) -> Array:
    """Return the gradients (n, d) of a network at rows x."""
    on = matmul(x, network.weights.T) + network.biases > 0
    slopes: Array = matmul(on * network.output_weights, network.weights) + network.linear
    return slopes


def grid(values: Array) -> float:
    """Return the RMS spacing of the coarsest grid that contains all values, or 0 if there is no such grid.

    The grids tried are multiples of a power of ten or of the smallest difference of two values, numbers with a fixed
    number of significant digits, and numbers of half or single precision.

    Examples
    --------
    >>> grid(np.array([0.25, 0.5, 3.0])), grid(np.sqrt(np.arange(9.0)))
    (0.25, 0.0)
    """
    size = float(np.max(np.abs(values), initial=0.0))
    if size == 0 or len(values) < 3:
        return 0.0
    ulp = np.finfo(np.float64).eps * np.maximum(np.abs(values), np.finfo(np.float64).tiny)
    found = [0.0]

    def offer(spacing: Array | float, distance: Array) -> None:
        """Add a spacing to `found` if all values lie on the grid up to rounding and the grid is coarse."""
        if np.all(distance <= 4 * ulp):
            rms = float(np.sqrt(np.mean(np.broadcast_to(spacing, values.shape) ** 2)))
            if rms > COARSE * float(np.sqrt(np.mean(ulp**2))):
                found.append(rms)

    def multiples(spacing: float) -> None:
        if size / spacing < 2.0**40:
            offer(spacing, np.abs(values - np.rint(values / spacing) * spacing))

    unique = np.unique(values)
    if len(unique) > 1:
        multiples(float(np.min(np.diff(unique))))
    n_before = len(found)
    for places in PLACES:
        multiples(10.0**-places)
        if len(found) > n_before:
            break
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        for dtype in (np.float16, np.float32):
            stored = values.astype(dtype)
            if np.all(np.isfinite(stored)):
                offer(np.abs(np.spacing(stored)).astype(np.float64), np.abs(values - stored.astype(np.float64)))
        exponent = np.floor(np.log10(np.where(values == 0, 1.0, np.abs(values))))
    n_before = len(found)
    for digits in DIGITS:
        spacing = 10.0 ** (exponent - digits + 1)
        offer(np.where(values == 0, 0.0, spacing), np.abs(values - np.rint(values / spacing) * spacing))
        if len(found) > n_before:
            break
    return max(found)

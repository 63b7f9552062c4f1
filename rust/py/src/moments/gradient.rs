//! Gradients of the risk of a network as Python objects.

use pyo3::prelude::*;
use relunet_core::moments::GradientMoments as CoreGradient;

use super::{Accumulator, Matrix, init, inner, matrix};
use crate::network;

/// Risk of a network and its gradient with respect to the affine map of each neuron, with fixed gates.
///
/// With residuals r = y - f(x), the gates g_i = 1(w_i·x + b_i > 0) of the k neurons and g_{k+1} = 1 for the affine
/// part, row i of the gradient is the mean of r g_i (x, 1). Accumulating N rows takes O(N d k) operations.
///
/// Parameters
/// ----------
/// network : ReLUNetwork
///     The network f, with one output, d inputs and k neurons.
///
/// Attributes
/// ----------
/// n_features : int
///     Number of input columns d.
/// n_rows : int
///     Number of rows accumulated.
/// risk : float
///     Mean of r².
/// gradient : ndarray of shape (k + 1, d + 1)
///     Mean of r g_i (x, 1) for each neuron and, in the last row, for the affine part.
///
/// Raises
/// ------
/// ArgumentError
///     The network does not have exactly one output.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from relunet import ReLUNetwork
/// >>> from relunet.moments import GradientMoments
/// >>> moments = GradientMoments(ReLUNetwork([[1.0]], [1.0]))
/// >>> moments.update(np.array([[1.0], [-1.0]]), np.array([3.0, 1.0]))
/// >>> moments.risk
/// 2.5
/// >>> moments.gradient
/// array([[1. , 1. ],
///        [0.5, 1.5]])
#[pyclass(extends = Accumulator, module = "relunet.moments")]
pub struct GradientMoments {}

#[pymethods]
impl GradientMoments {
    #[new]
    fn new(py: Python<'_>, network: &Bound<'_, PyAny>) -> PyResult<PyClassInitializer<Self>> {
        init(py, Self {}, Ok(CoreGradient::new(network::from_python(network)?)))
    }

    /// Mean of r².
    #[getter]
    fn risk(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(inner!(slf, Gradient).risk().mean())
    }

    /// Mean of r g_i (x, 1), ndarray of shape (k + 1, d + 1), with the affine part last.
    #[getter]
    fn gradient<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let inner = inner!(slf, Gradient);
        let (values, columns) = (inner.gradient(), slf.as_super().moments.n_features() + 1);
        let shape = [values.len() / columns, columns];
        matrix(py, values, shape)
    }
}

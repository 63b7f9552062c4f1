//! Gradients of a fit as Python objects.

use pyo3::prelude::*;
use relunet_core::moments::GradientMoments as CoreGradient;

use super::{Accumulator, Matrix, init, inner, matrix};
use crate::network;

/// Gradient of a fit: residuals r = y - f(x) summed against the inputs where each neuron is on. O(N d k).
///
/// Parameters
/// ----------
/// network : ReLUNetwork
///     The fit f, with one output.
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

    /// Mean of r g_i (x, 1) for the gates g_i = 1(w_i·x + b_i > 0) and, last, g = 1: `(k + 1, d + 1)`.
    #[getter]
    fn gradient<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let inner = inner!(slf, Gradient);
        let (values, columns) = (inner.gradient(), slf.as_super().moments.n_features() + 1);
        let shape = [values.len() / columns, columns];
        matrix(py, values, shape)
    }
}

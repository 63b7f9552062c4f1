//! Gradients of the risk of networks with several outputs as Python objects.

use pyo3::prelude::*;
use relunet_core::moments::JointGradientMoments as CoreGradient;

use super::{Accumulator, Matrix, init, inner, matrix};
use crate::network;

/// Risk of a network of several outputs and its gradient with respect to all parameters, with fixed gates.
///
/// With residuals r = y - f(x) of m outputs, output weights C, hidden values h_i = relu(w_i·x + b_i) and the gates
/// g_i = 1(w_i·x + b_i > 0) of the k neurons, it holds the means of (Cᵀ r)_i g_i (x, 1), of r h and of r (x, 1).
/// Accumulating N rows takes O(N (k + m) d) operations.
///
/// Parameters
/// ----------
/// network : ReLUNetwork
///     The network f, with m outputs, d inputs and k neurons.
///
/// Attributes
/// ----------
/// n_features : int
///     Number of input columns d.
/// n_rows : int
///     Number of rows accumulated.
/// squares : ndarray of shape (m, m)
///     Mean of r rᵀ; the risk of each output is on the diagonal.
/// hidden : ndarray of shape (k, d + 1)
///     Mean of (Cᵀ r)_i g_i (x, 1) for each neuron.
/// output_weights : ndarray of shape (m, k)
///     Mean of r hᵀ.
/// affine : ndarray of shape (m, d + 1)
///     Mean of r_o (x, 1) for each output.
///
/// Raises
/// ------
/// ArgumentError
///     `network` is no network.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from relunet import ReLUNetwork
/// >>> from relunet.moments import JointGradientMoments
/// >>> moments = JointGradientMoments(ReLUNetwork([[1.0]], [[1.0], [-1.0]]))
/// >>> moments.update(np.array([[1.0], [-1.0]]), np.array([[3.0, 0.0], [1.0, 0.0]]))
/// >>> moments.squares
/// array([[2.5, 1. ],
///        [1. , 0.5]])
/// >>> moments.hidden
/// array([[0.5, 0.5]])
#[pyclass(extends = Accumulator, module = "relunet.moments")]
pub struct JointGradientMoments {}

#[pymethods]
impl JointGradientMoments {
    #[new]
    fn new(py: Python<'_>, network: &Bound<'_, PyAny>) -> PyResult<PyClassInitializer<Self>> {
        init(py, Self {}, CoreGradient::new(network::shared_from_python(network)?))
    }

    /// Mean of r rᵀ, ndarray of shape (m, m).
    #[getter]
    fn squares<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let values = inner!(slf, JointGradient).squares();
        let m = slf.as_super().moments.n_outputs();
        matrix(py, values, [m, m])
    }

    /// Mean of (Cᵀ r)_i g_i (x, 1), ndarray of shape (k, d + 1).
    #[getter]
    fn hidden<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let inner = inner!(slf, JointGradient);
        let (k, columns) = (inner.n_neurons(), slf.as_super().moments.n_features() + 1);
        let mut values = inner.gradient();
        values.truncate(k * columns);
        matrix(py, values, [k, columns])
    }

    /// Mean of r hᵀ, ndarray of shape (m, k).
    #[getter]
    fn output_weights<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let inner = inner!(slf, JointGradient);
        let shape = [slf.as_super().moments.n_outputs(), inner.n_neurons()];
        matrix(py, inner.outer(), shape)
    }

    /// Mean of r_o (x, 1), ndarray of shape (m, d + 1).
    #[getter]
    fn affine<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let inner = inner!(slf, JointGradient);
        let (k, m) = (inner.n_neurons(), slf.as_super().moments.n_outputs());
        let columns = slf.as_super().moments.n_features() + 1;
        let values = inner.gradient().split_off(k * columns);
        matrix(py, values, [m, columns])
    }
}

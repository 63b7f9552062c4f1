//! Gauss-Newton normal matrices of a network as Python objects.

use pyo3::prelude::*;
use relunet_core::moments::CurvatureMoments as CoreCurvature;

use super::{Accumulator, Matrix, init, inner, matrix};
use crate::network;

/// Gauss-Newton normal matrix of a network, with fixed gates.
///
/// With the gates g_i = 1(w_i·x + b_i > 0) of the k neurons and g_{k+1} = 1 for the affine part, block (i, j) of the
/// normal matrix is the mean of g_i g_j (x, 1)(x, 1)ᵀ. Accumulating N rows takes O(N d² k²) operations. Labels are not
/// used.
///
/// Parameters
/// ----------
/// network : ReLUNetwork
///     Network with one output, d inputs and k neurons.
///
/// Attributes
/// ----------
/// n_features : int
///     Number of input columns d.
/// n_rows : int
///     Number of rows accumulated.
/// normal_matrix : ndarray of shape ((k + 1) (d + 1), (k + 1) (d + 1))
///     Mean of the products, neuron by neuron with the affine part last.
///
/// Raises
/// ------
/// ArgumentError
///     The network does not have exactly one output, or is too large for its normal matrix to be stored.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from relunet import ReLUNetwork
/// >>> from relunet.moments import CurvatureMoments
/// >>> moments = CurvatureMoments(ReLUNetwork([[1.0]], [1.0]))
/// >>> moments.update(np.array([[1.0], [-1.0]]))
/// >>> moments.normal_matrix
/// array([[0.5, 0.5, 0.5, 0.5],
///        [0.5, 0.5, 0.5, 0.5],
///        [0.5, 0.5, 1. , 0. ],
///        [0.5, 0.5, 0. , 1. ]])
#[pyclass(extends = Accumulator, module = "relunet.moments")]
pub struct CurvatureMoments {}

#[pymethods]
impl CurvatureMoments {
    #[new]
    fn new(py: Python<'_>, network: &Bound<'_, PyAny>) -> PyResult<PyClassInitializer<Self>> {
        init(py, Self {}, CoreCurvature::new(network::from_python(network)?))
    }

    /// Mean of g_i g_j (x, 1)(x, 1)ᵀ, ndarray of shape ((k + 1) (d + 1), (k + 1) (d + 1)), with the affine part last.
    #[getter]
    fn normal_matrix<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let values = inner!(slf, Curvature).normal_matrix();
        let size = values.len().isqrt();
        matrix(py, values, [size, size])
    }
}

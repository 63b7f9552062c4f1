//! Normal matrices of a fit as Python objects.

use pyo3::prelude::*;
use relunet_core::moments::CurvatureMoments as CoreCurvature;

use super::{Accumulator, Matrix, init, inner, matrix};
use crate::network;

/// Curvature of a fit: its Gauss-Newton normal matrix. O(N d² k²).
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

    /// Mean of g_i g_j (x, 1)(x, 1)ᵀ in blocks of d + 1 rows, the affine part last: a square of (k + 1)(d + 1) rows.
    #[getter]
    fn normal_matrix<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let values = inner!(slf, Curvature).normal_matrix();
        let size = values.len().isqrt();
        matrix(py, values, [size, size])
    }
}

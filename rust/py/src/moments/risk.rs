//! Risks of a network as Python objects.

use pyo3::prelude::*;
use relunet_core::moments::RiskMoments as CoreRisk;

use super::{Accumulator, init, inner};
use crate::network;

/// Risk of a network: the mean squared residual, and how well it is known.
///
/// Parameters
/// ----------
/// network : ReLUNetwork
///     A network with one output.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from relunet import ReLUNetwork
/// >>> from relunet.moments import RiskMoments
/// >>> moments = RiskMoments(ReLUNetwork([[1.0]], [1.0]))
/// >>> moments.update(np.array([[1.0], [-1.0]]), np.array([1.0, 2.0]))
/// >>> moments.risk, moments.largest_residual
/// (2.0, 2.0)
#[pyclass(extends = Accumulator, module = "relunet.moments")]
pub struct RiskMoments {}

#[pymethods]
impl RiskMoments {
    #[new]
    fn new(py: Python<'_>, network: &Bound<'_, PyAny>) -> PyResult<PyClassInitializer<Self>> {
        init(py, Self {}, Ok(CoreRisk::new(network::from_python(network)?)))
    }

    /// Sum of the row weights.
    #[getter]
    fn weight(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(inner!(slf, Risk).sums().weight)
    }

    /// Mean of r².
    #[getter]
    fn risk(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(inner!(slf, Risk).sums().mean())
    }

    /// Variance of `risk` as an estimate of the expected r².
    #[getter]
    fn risk_variance(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(inner!(slf, Risk).sums().variance())
    }

    /// Largest |r|.
    #[getter]
    fn largest_residual(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(inner!(slf, Risk).sums().largest)
    }
}

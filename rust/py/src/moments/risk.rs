//! Risks of a network as Python objects.

use pyo3::prelude::*;
use relunet_core::moments::RiskMoments as CoreRisk;

use super::{Accumulator, init, inner};
use crate::network;

/// Mean squared residual of a network, with an estimate of its variance.
///
/// With residuals r = y - f(x) and row weights w, the risk is Σ w r² / Σ w.
///
/// Parameters
/// ----------
/// network : ReLUNetwork
///     The network f, with one output.
///
/// Attributes
/// ----------
/// n_features : int
///     Number of input columns d.
/// n_rows : int
///     Number of rows accumulated.
/// weight : float
///     Sum of the row weights.
/// risk : float
///     Mean of r².
/// risk_variance : float
///     Estimated variance of `risk` as an estimate of the expectation of r².
/// largest_residual : float
///     Largest |r|.
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

    /// Estimated variance of `risk` as an estimate of the expectation of r².
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

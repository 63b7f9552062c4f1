//! Mean and covariance of inputs and label as Python objects.

use numpy::PyArray1;
use pyo3::prelude::*;
use relunet_core::moments::InputMoments as CoreInput;

use super::{Accumulator, Matrix, Vector, count, init, inner, matrix};

/// Weighted mean and covariance of the inputs and the label.
///
/// With row weights w, which are 1 by default, and W = Σ w,
///
///     mean = Σ w x / W
///     cov = Σ w (x - mean)(x - mean)ᵀ / W
///     label_mean = Σ w y / W
///     label_var = Σ w (y - label_mean)² / W
///     label_cov = Σ w (x - mean)(y - label_mean) / W
///
/// Sums are centred, so that there is no cancellation if the mean is far from zero. Rows without labels count as rows
/// with label 0.
///
/// Parameters
/// ----------
/// n_features : int
///     Number of input columns d.
///
/// Attributes
/// ----------
/// n_features : int
///     Number of input columns d.
/// n_rows : int
///     Number of rows accumulated.
/// weight : float
///     Sum W of the row weights.
/// mean : ndarray of shape (d,)
///     Mean of the inputs.
/// cov : ndarray of shape (d, d)
///     Covariance of the inputs.
/// label_mean : float
///     Mean of the label.
/// label_var : float
///     Variance of the label.
/// label_cov : ndarray of shape (d,)
///     Covariance of each input with the label.
///
/// Raises
/// ------
/// ArgumentError
///     `n_features` is not a positive integer, or is too large.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from relunet.moments import InputMoments
/// >>> moments = InputMoments(2)
/// >>> moments.update(np.array([[0.0, 1.0], [2.0, 1.0]]), np.array([1.0, 3.0]))
/// >>> moments.mean
/// array([1., 1.])
/// >>> moments.label_cov
/// array([1., 0.])
#[pyclass(extends = Accumulator, module = "relunet.moments")]
pub struct InputMoments {}

#[pymethods]
impl InputMoments {
    #[new]
    fn new(n_features: &Bound<'_, PyAny>) -> PyResult<PyClassInitializer<Self>> {
        init(n_features.py(), Self {}, CoreInput::new(count(n_features, "n_features")? as usize))
    }

    /// Sum of the row weights.
    #[getter]
    fn weight(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(inner!(slf, Input).weight())
    }

    /// Mean of the inputs, ndarray of shape (d,).
    #[getter]
    fn mean<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Vector<'py>> {
        let inner = inner!(slf, Input);
        Ok(PyArray1::from_slice(py, &inner.mean()[..inner.mean().len() - 1]))
    }

    /// Covariance of the inputs, ndarray of shape (d, d).
    #[getter]
    fn cov<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let inner = inner!(slf, Input);
        let (c, all) = (inner.mean().len(), inner.covariance());
        let inputs = all.chunks_exact(c).take(c - 1).flat_map(|row| &row[..c - 1]).copied().collect();
        matrix(py, inputs, [c - 1, c - 1])
    }

    /// Mean of the label.
    #[getter]
    fn label_mean(slf: PyRef<'_, Self>) -> PyResult<f64> {
        let mean = inner!(slf, Input).mean();
        Ok(mean[mean.len() - 1])
    }

    /// Variance of the label.
    #[getter]
    fn label_var(slf: PyRef<'_, Self>) -> PyResult<f64> {
        let covariance = inner!(slf, Input).covariance();
        Ok(covariance[covariance.len() - 1])
    }

    /// Covariance of each input with the label, ndarray of shape (d,).
    #[getter]
    fn label_cov<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Vector<'py>> {
        let inner = inner!(slf, Input);
        let (c, all) = (inner.mean().len(), inner.covariance());
        Ok(PyArray1::from_slice(py, &all[(c - 1) * c..c * c - 1]))
    }
}

//! Mean and covariance of inputs and labels as Python objects.

use std::ops::Range;

use numpy::PyArray1;
use pyo3::prelude::*;
use relunet_core::moments::InputMoments as CoreInput;

use super::{Accumulator, Matrix, Vector, count, init, inner, matrix};

/// Weighted mean and covariance of the inputs and the labels.
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
/// n_outputs : int, default=1
///     Number m of labels of a row.
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
///     Mean of the label, of the first where there are several.
/// label_var : float
///     Variance of the same label.
/// label_cov : ndarray of shape (d,)
///     Covariance of each input with the same label.
/// label_means : ndarray of shape (m,)
///     Mean of each label.
/// label_covariance : ndarray of shape (m, m)
///     Covariance of the labels.
/// cross_covariance : ndarray of shape (m, d)
///     Covariance of each label with each input.
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
    #[pyo3(signature = (n_features, n_outputs=1))]
    fn new(n_features: &Bound<'_, PyAny>, n_outputs: usize) -> PyResult<PyClassInitializer<Self>> {
        init(n_features.py(), Self {}, CoreInput::new(count(n_features, "n_features")? as usize, n_outputs))
    }

    /// Sum of the row weights.
    #[getter]
    fn weight(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(inner!(slf, Input).weight())
    }

    /// Mean of the inputs, ndarray of shape (d,).
    #[getter]
    fn mean<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Vector<'py>> {
        let d = slf.as_super().moments.n_features();
        Ok(PyArray1::from_slice(py, &inner!(slf, Input).mean()[..d]))
    }

    /// Covariance of the inputs, ndarray of shape (d, d).
    #[getter]
    fn cov<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let d = slf.as_super().moments.n_features();
        Self::part(&slf, py, 0..d, 0..d)
    }

    /// Mean of the label, of the first where there are several.
    #[getter]
    fn label_mean(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(inner!(slf, Input).mean()[slf.as_super().moments.n_features()])
    }

    /// Variance of the label, of the first where there are several.
    #[getter]
    fn label_var(slf: PyRef<'_, Self>) -> PyResult<f64> {
        let (inner, d) = (inner!(slf, Input), slf.as_super().moments.n_features());
        Ok(inner.covariance()[d * inner.mean().len() + d])
    }

    /// Covariance of each input with the label, the first where there are several, ndarray of shape (d,).
    #[getter]
    fn label_cov<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Vector<'py>> {
        let (inner, d) = (inner!(slf, Input), slf.as_super().moments.n_features());
        let row = d * inner.mean().len();
        Ok(PyArray1::from_slice(py, &inner.covariance()[row..row + d]))
    }

    /// Mean of each label, ndarray of shape (m,).
    #[getter]
    fn label_means<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Vector<'py>> {
        let d = slf.as_super().moments.n_features();
        Ok(PyArray1::from_slice(py, &inner!(slf, Input).mean()[d..]))
    }

    /// Covariance of the labels, ndarray of shape (m, m).
    #[getter]
    fn label_covariance<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let (d, c) = (slf.as_super().moments.n_features(), inner!(slf, Input).mean().len());
        Self::part(&slf, py, d..c, d..c)
    }

    /// Covariance of each label with each input, ndarray of shape (m, d).
    #[getter]
    fn cross_covariance<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let (d, c) = (slf.as_super().moments.n_features(), inner!(slf, Input).mean().len());
        Self::part(&slf, py, d..c, 0..d)
    }
}

impl InputMoments {
    /// Some rows and columns of the covariance.
    fn part<'py>(
        slf: &PyRef<'py, Self>,
        py: Python<'py>,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> PyResult<Matrix<'py>> {
        let (all, c) = (inner!(slf, Input).covariance(), inner!(slf, Input).mean().len());
        let shape = [rows.len(), columns.len()];
        let values = rows.flat_map(|row| &all[row * c..][columns.clone()]).copied().collect();
        matrix(py, values, shape)
    }
}

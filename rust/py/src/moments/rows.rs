//! Rows chosen by their content, as Python objects.

use numpy::PyArray1;
use pyo3::prelude::*;
use relunet_core::moments::RowSample as CoreRows;

use super::{Accumulator, Matrix, Vector, count, init, inner, matrix};

/// Rows chosen by a hash of their content: the same rows whatever their order, source or split into parts.
///
/// Parameters
/// ----------
/// n_features : int
///     Number of input columns d.
/// threshold : int
///     Rows are chosen whose hash, a number below 2⁶⁴, is at most this.
/// seed : int
///     Other seeds choose other rows.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from relunet.moments import RowSample
/// >>> sample = RowSample(2, threshold=2**63, seed=0)
/// >>> sample.update(np.random.default_rng(0).standard_normal((1000, 2)))
/// >>> hashes, x, y, weight = sample.rows()
/// >>> 400 < len(x) < 600
/// True
#[pyclass(extends = Accumulator, module = "relunet.moments")]
pub struct RowSample {}

#[pymethods]
impl RowSample {
    #[new]
    fn new(
        n_features: &Bound<'_, PyAny>,
        threshold: &Bound<'_, PyAny>,
        seed: &Bound<'_, PyAny>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let (py, n_features) = (n_features.py(), count(n_features, "n_features")? as usize);
        init(py, Self {}, CoreRows::new(n_features, count(threshold, "threshold")?, count(seed, "seed")?))
    }

    /// The chosen rows, ordered by hash: hashes `(n,)`, inputs `(n, d)`, labels `(n,)`, row weights `(n,)`.
    fn rows<'py>(
        slf: PyRef<'py, Self>,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyArray1<u64>>, Matrix<'py>, Vector<'py>, Vector<'py>)> {
        let chosen = inner!(slf, Rows).chosen();
        let shape = [chosen.y.len(), slf.as_super().moments.n_features()];
        let hashes = PyArray1::from_vec(py, chosen.hashes);
        let x = matrix(py, chosen.x, shape)?;
        Ok((hashes, x, PyArray1::from_vec(py, chosen.y), PyArray1::from_vec(py, chosen.weight)))
    }
}

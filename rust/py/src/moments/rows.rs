//! Rows chosen by their content, as Python objects.

use numpy::{AllowTypeChange, PyArray1, PyArrayLike2};
use pyo3::prelude::*;
use relunet_core::moments::RowSample as CoreRows;

use super::{Accumulator, Matrix, Vector, count, init, inner, matrix, rows_of};

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
/// directions : array_like of shape (q, d), optional
///     Keep the projections x·v_j instead of the inputs; which rows are chosen does not depend on them.
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
    #[pyo3(signature = (n_features, threshold, seed, directions=None))]
    fn new(
        n_features: &Bound<'_, PyAny>,
        threshold: &Bound<'_, PyAny>,
        seed: &Bound<'_, PyAny>,
        directions: Option<PyArrayLike2<'_, f64, AllowTypeChange>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let (py, n_features) = (n_features.py(), count(n_features, "n_features")? as usize);
        let (threshold, seed) = (count(threshold, "threshold")?, count(seed, "seed")?);
        let directions = directions.map(|directions| rows_of(py, "directions", &directions, n_features)).transpose()?;
        init(py, Self {}, CoreRows::new(n_features, threshold, seed, directions))
    }

    /// The chosen rows, ordered by hash: hashes `(n,)`, inputs `(n, d)` or projections `(n, q)`, labels `(n,)`, row weights `(n,)`.
    ///
    /// With `held_out` m the rows of the hashes h for which m divides ⌊h / 8⌋, about one in m, come after the others.
    #[pyo3(signature = (*, held_out=None))]
    fn rows<'py>(
        slf: PyRef<'py, Self>,
        py: Python<'py>,
        held_out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyArray1<u64>>, Matrix<'py>, Vector<'py>, Vector<'py>)> {
        let held_out = held_out.map_or(Ok(0), |held_out| count(held_out, "held_out"))?;
        let chosen = inner!(slf, Rows).chosen(held_out);
        let shape = [chosen.y.len(), inner!(slf, Rows).n_columns()];
        let hashes = PyArray1::from_vec(py, chosen.hashes);
        let x = matrix(py, chosen.x, shape)?;
        Ok((hashes, x, PyArray1::from_vec(py, chosen.y), PyArray1::from_vec(py, chosen.weight)))
    }
}

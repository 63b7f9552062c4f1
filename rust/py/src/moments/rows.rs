//! Samples of rows, chosen by a hash of their content, as Python objects.

use numpy::{AllowTypeChange, PyArray1, PyArrayLike2, PyArrayMethods};
use pyo3::prelude::*;
use relunet_core::moments::RowSample as CoreRows;

use super::{Accumulator, Matrix, Vector, count, init, inner, matrix, rows_of};

/// Hashes, inputs, labels and weights of rows.
type Chosen<'py> = (Bound<'py, PyArray1<u64>>, Matrix<'py>, Bound<'py, PyAny>, Vector<'py>);

/// Sample of rows that is chosen by a hash of their content.
///
/// A row is kept if its hash is at most `threshold`. The choice is therefore independent of the order of the rows, of
/// their source and of how they are split into parts.
///
/// Parameters
/// ----------
/// n_features : int
///     Number of input columns d.
/// threshold : int
///     Largest hash of a row that is kept; hashes are integers below 2⁶⁴, so that a share of about threshold / 2⁶⁴ of
///     the rows is kept.
/// seed : int
///     Seed of the hash; another seed chooses other rows.
/// directions : array_like of shape (q, d), default=None
///     If given, the projections x·v_j on these vectors are stored instead of the inputs. The choice of rows does not
///     depend on them.
/// n_outputs : int, default=1
///     Number m of labels of a row.
///
/// Attributes
/// ----------
/// n_features : int
///     Number of input columns d.
/// n_rows : int
///     Number of rows accumulated, whether they are kept or not.
///
/// Raises
/// ------
/// ArgumentError
///     An argument is not an integer from 0 to 2⁶⁴ - 1, or `directions` does not have d columns of finite numbers.
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
    #[pyo3(signature = (n_features, threshold, seed, directions=None, n_outputs=1))]
    fn new(
        n_features: &Bound<'_, PyAny>,
        threshold: &Bound<'_, PyAny>,
        seed: &Bound<'_, PyAny>,
        directions: Option<PyArrayLike2<'_, f64, AllowTypeChange>>,
        n_outputs: usize,
    ) -> PyResult<PyClassInitializer<Self>> {
        let (py, n_features) = (n_features.py(), count(n_features, "n_features")? as usize);
        let (threshold, seed) = (count(threshold, "threshold")?, count(seed, "seed")?);
        let directions = directions.map(|directions| rows_of(py, "directions", &directions, n_features)).transpose()?;
        init(py, Self {}, CoreRows::new(n_features, n_outputs, threshold, seed, directions))
    }

    /// Return the kept rows, ordered by their hash.
    ///
    /// Parameters
    /// ----------
    /// held_out : int, default=None
    ///     If given as m, rows for which m divides ⌊hash / 8⌋, about one in m, come after all others.
    ///
    /// Returns
    /// -------
    /// hashes : ndarray of shape (n,)
    ///     Hash of each row.
    /// x : ndarray of shape (n, d) or (n, q)
    ///     Inputs, or their projections if `directions` were given.
    /// y : ndarray of shape (n,) or (n, m)
    ///     Labels; two dimensions for more than one label a row.
    /// weight : ndarray of shape (n,)
    ///     Row weights.
    #[pyo3(signature = (*, held_out=None))]
    fn rows<'py>(
        slf: PyRef<'py, Self>,
        py: Python<'py>,
        held_out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Chosen<'py>> {
        let held_out = held_out.map_or(Ok(0), |held_out| count(held_out, "held_out"))?;
        let chosen = inner!(slf, Rows).chosen(held_out);
        let (n, m) = (chosen.weight.len(), slf.as_super().moments.n_outputs());
        let shape = [n, inner!(slf, Rows).n_columns()];
        let hashes = PyArray1::from_vec(py, chosen.hashes);
        let x = matrix(py, chosen.x, shape)?;
        let y = PyArray1::from_vec(py, chosen.y);
        let y = if m == 1 { y.into_any() } else { y.reshape([n, m])?.into_any() };
        Ok((hashes, x, y, PyArray1::from_vec(py, chosen.weight)))
    }
}

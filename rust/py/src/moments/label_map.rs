//! Accumulators of linear combinations of the labels as Python objects.

use numpy::{AllowTypeChange, PyArrayLike2};
use pyo3::prelude::*;
use relunet_core::moments::LabelMap as CoreMap;

use super::{Accumulator, init, inner, wrap};

/// Another accumulator, which is given the labels V y in place of the labels y.
///
/// Several of them in one sweep see different combinations of the same labels, and the rows are read once.
///
/// Parameters
/// ----------
/// accumulator : Accumulator
///     What sums the combinations; it is copied.
/// vectors : array_like of shape (q, m)
///     V: a row of m coefficients for each of the q labels that `accumulator` takes.
///
/// Attributes
/// ----------
/// n_features : int
///     Number of input columns d.
/// n_rows : int
///     Number of rows accumulated.
/// accumulator : Accumulator
///     A copy of the accumulator with its sums.
///
/// Raises
/// ------
/// ArgumentError
///     `accumulator` takes no labels, or another number of them than `vectors` has rows.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from relunet.moments import InputMoments, LabelMap
/// >>> mapped = LabelMap(InputMoments(1), [[1.0, -1.0]])
/// >>> mapped.update(np.array([[0.0], [1.0]]), np.array([[3.0, 1.0], [2.0, 2.0]]))
/// >>> mapped.accumulator.label_mean
/// 1.0
#[pyclass(extends = Accumulator, module = "relunet.moments")]
pub struct LabelMap {}

#[pymethods]
impl LabelMap {
    #[new]
    fn new(
        py: Python<'_>,
        accumulator: &Bound<'_, Accumulator>,
        vectors: PyArrayLike2<'_, f64, AllowTypeChange>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let vectors = vectors.as_array();
        let map: Vec<f64> = vectors.iter().copied().collect();
        let moments = accumulator.try_borrow()?.moments.clone();
        init(py, Self {}, CoreMap::new(moments, &map, vectors.ncols()))
    }

    /// A copy of the accumulator with its sums.
    #[getter]
    fn accumulator<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wrap(py, inner!(slf, Mapped).moments().clone())
    }
}

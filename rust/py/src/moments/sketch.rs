//! Products of moments with few directions as Python objects.

use numpy::{AllowTypeChange, PyArray1, PyArray3, PyArrayLike1, PyArrayLike2, PyArrayMethods};
use pyo3::prelude::*;
use relunet_core::error::Error;
use relunet_core::moments::SketchMoments as CoreSketch;

use super::{Accumulator, Matrix, Vector, count, init, inner, matrix, optional_network, rows_of};
use crate::error::to_python;

/// Products of second moments with few directions, for inputs with too many features for d × d matrices.
///
/// The m functions ψ_n of the label y, or of the residual y - f(x) of a network, are constant on slices. For each of
/// them the accumulator sums w ψ_n, w ψ_n x and w ψ_n (x·v_j) x over the rows, where w is the row weight. The last are
/// the products of the moments Σ w ψ_n x xᵀ with the vectors v_j. It also sums w x_i². Block iteration with these
/// products finds the eigenvectors that `SliceMoments` would give. Accumulating N rows takes O(N d s) operations.
///
/// Parameters
/// ----------
/// n_features : int
///     Number of input columns d.
/// directions : array_like of shape (s, d)
///     The vectors v_j; s may be 0.
/// edges : array_like of shape (H - 1,)
///     Strictly increasing edges of the slices; slice h holds the labels in [edges[h-1], edges[h]).
/// values : array_like of shape (H, m)
///     Value of each function ψ_n on each slice.
/// network : ReLUNetwork, default=None
///     The network f whose predictions are subtracted from the labels.
///
/// Attributes
/// ----------
/// n_features : int
///     Number of input columns d.
/// n_rows : int
///     Number of rows accumulated.
/// weights : ndarray of shape (m,)
///     Σ w ψ_n.
/// vectors : ndarray of shape (m, d)
///     Σ w ψ_n x.
/// products : ndarray of shape (m, s, d)
///     Σ w ψ_n (x·v_j) x.
/// squares : ndarray of shape (d,)
///     Σ w x_i².
///
/// Raises
/// ------
/// ArgumentError
///     Shapes do not match, directions or values are not finite, the edges are not strictly increasing, or the network
///     has another number of features.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from relunet.moments import SketchMoments
/// >>> moments = SketchMoments(2, [[1.0, 1.0]], edges=[0.0], values=[[-1.0], [1.0]])
/// >>> moments.update(np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([-5.0, 5.0]))
/// >>> moments.products
/// array([[[ 6., -6.]]])
#[pyclass(extends = Accumulator, module = "relunet.moments")]
pub struct SketchMoments {}

#[pymethods]
impl SketchMoments {
    #[new]
    #[pyo3(signature = (n_features, directions, edges, values, network=None))]
    fn new(
        n_features: &Bound<'_, PyAny>,
        directions: PyArrayLike2<'_, f64, AllowTypeChange>,
        edges: PyArrayLike1<'_, f64, AllowTypeChange>,
        values: PyArrayLike2<'_, f64, AllowTypeChange>,
        network: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let (py, n_features) = (n_features.py(), count(n_features, "n_features")? as usize);
        let (edges, values) = (edges.as_array(), values.as_array());
        if values.nrows() != edges.len() + 1 {
            let message = format!("expected {} rows, one for each slice, got {}", edges.len() + 1, values.nrows());
            return Err(to_python(py, Error::argument("values", message)));
        }
        let directions = rows_of(py, "directions", &directions, n_features)?;
        let (edges, values) = (edges.to_vec(), values.iter().copied().collect());
        init(py, Self {}, CoreSketch::new(n_features, directions, edges, values, optional_network(network)?))
    }

    /// Σ w ψ_n of each function, ndarray of shape (m,).
    #[getter]
    fn weights<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Vector<'py>> {
        Ok(PyArray1::from_slice(py, inner!(slf, Sketch).weights()))
    }

    /// Σ w ψ_n x of each function, ndarray of shape (m, d).
    #[getter]
    fn vectors<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let sums = inner!(slf, Sketch);
        let d = sums.squares().len();
        let rows = sums.vectors().chunks_exact(d * (sums.n_directions() + 1));
        matrix(py, rows.flat_map(|rows| &rows[..d]).copied().collect(), [sums.weights().len(), d])
    }

    /// Σ w ψ_n (x·v_j) x of each function and direction, ndarray of shape (m, s, d).
    #[getter]
    fn products<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyArray3<f64>>> {
        let sums = inner!(slf, Sketch);
        let (d, s) = (sums.squares().len(), sums.n_directions());
        let rows = sums.vectors().chunks_exact(d * (s + 1));
        let products: Vec<f64> = rows.flat_map(|rows| &rows[d..]).copied().collect();
        PyArray1::from_vec(py, products).reshape([sums.weights().len(), s, d])
    }

    /// Σ w x_i² of each input, ndarray of shape (d,).
    #[getter]
    fn squares<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Vector<'py>> {
        Ok(PyArray1::from_slice(py, inner!(slf, Sketch).squares()))
    }
}

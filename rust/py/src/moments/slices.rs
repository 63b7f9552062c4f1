//! Moments in slices of the label as Python objects.

use numpy::{AllowTypeChange, PyArray1, PyArray3, PyArrayLike1, PyArrayMethods};
use pyo3::prelude::*;
use relunet_core::moments::SliceMoments as CoreSlice;

use super::{Accumulator, Matrix, Vector, count, init, inner, matrix, optional_network, precision_name};

/// Moments of the inputs in slices of the label.
///
/// For each slice of the label y, or of the residual y - f(x) of a network, the accumulator sums w, w x and w x xᵀ over
/// the rows of the slice, where w is the row weight. Functions of the label, such as the indicator of a slice, can
/// reveal directions that do not show in moments of the label itself [Damian, Lee, Bruna 2025].
///
/// Parameters
/// ----------
/// n_features : int
///     Number of input columns d.
/// edges : array_like of shape (H - 1,)
///     Strictly increasing edges of the slices; slice h holds the labels in [edges[h-1], edges[h]).
/// network : ReLUNetwork, default=None
///     The network f whose predictions are subtracted from the labels.
/// precision : {"double", "mixed"}, default="double"
///     "mixed" computes products and their sums over 128 rows in single precision and adds these sums in double
///     precision, which is up to 1.8 times as fast. An entry of Σ w x xᵀ then has an error of at most
///     133 · 2⁻²⁴ Σ |w x_i x_j| + 2⁻⁸⁸ n in addition to the rounding of doubles.
///
/// Attributes
/// ----------
/// n_features : int
///     Number of input columns d.
/// n_rows : int
///     Number of rows accumulated.
/// precision : {"double", "mixed"}
///     Precision of the products.
/// weights : ndarray of shape (H,)
///     Σ w of each slice.
/// vectors : ndarray of shape (H, d)
///     Σ w x of each slice.
/// grams : ndarray of shape (H, d, d)
///     Σ w x xᵀ of each slice.
///
/// Raises
/// ------
/// ArgumentError
///     The edges are not strictly increasing, or the network has another number of features.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from relunet.moments import SliceMoments
/// >>> moments = SliceMoments(1, edges=[0.0])
/// >>> moments.update(np.array([[1.0], [2.0], [3.0]]), np.array([-1.0, 0.0, 5.0]))
/// >>> moments.weights, moments.vectors
/// (array([1., 2.]), array([[1.],
///        [5.]]))
#[pyclass(extends = Accumulator, module = "relunet.moments")]
pub struct SliceMoments {}

#[pymethods]
impl SliceMoments {
    #[new]
    #[pyo3(signature = (n_features, edges, network=None, *, precision="double"))]
    fn new(
        n_features: &Bound<'_, PyAny>,
        edges: PyArrayLike1<'_, f64, AllowTypeChange>,
        network: Option<&Bound<'_, PyAny>>,
        precision: &str,
    ) -> PyResult<PyClassInitializer<Self>> {
        let edges: Vec<f64> = edges.as_array().iter().copied().collect();
        let (py, n_features) = (n_features.py(), count(n_features, "n_features")? as usize);
        init(
            py,
            Self {},
            CoreSlice::new(n_features, &edges, optional_network(network)?, super::precision(py, precision)?),
        )
    }

    /// Precision of the products, `"double"` or `"mixed"`.
    #[getter]
    fn precision(slf: PyRef<'_, Self>) -> PyResult<&'static str> {
        Ok(precision_name(inner!(slf, Slice).precision()))
    }

    /// Σ w of each slice, ndarray of shape (H,).
    #[getter]
    fn weights<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Vector<'py>> {
        let grams = inner!(slf, Slice).grams();
        Ok(PyArray1::from_iter(py, (0..grams.n_weights()).map(|h| grams.total(h))))
    }

    /// Σ w x of each slice, ndarray of shape (H, d).
    #[getter]
    fn vectors<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let grams = inner!(slf, Slice).grams();
        let all = (0..grams.n_weights()).flat_map(|h| grams.vector(h)).copied().collect();
        matrix(py, all, [grams.n_weights(), grams.n_features()])
    }

    /// Σ w x xᵀ of each slice, ndarray of shape (H, d, d).
    #[getter]
    fn grams<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyArray3<f64>>> {
        let grams = inner!(slf, Slice).grams();
        let (h, d) = (grams.n_weights(), grams.n_features());
        PyArray1::from_vec(py, (0..h).flat_map(|h| grams.matrix(h)).collect()).reshape([h, d, d])
    }
}

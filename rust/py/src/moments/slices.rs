//! Moments in slices of the label, as Python objects.

use numpy::{AllowTypeChange, PyArray1, PyArray3, PyArrayLike1, PyArrayMethods};
use pyo3::prelude::*;
use relunet_core::moments::SliceMoments as CoreSlice;

use super::{Accumulator, Matrix, Vector, count, init, inner, matrix, optional_network, precision_name};

/// Moments of the inputs in slices of the label: per slice Σ w, Σ w x, Σ w x xᵀ.
///
/// A function of the label sees directions that the label itself hides [Damian, Lee, Bruna 2025]; with `network` the
/// slices are those of the residual y - f(x).
///
/// Parameters
/// ----------
/// n_features : int
///     Number of input columns d.
/// edges : array of shape (H - 1,)
///     Strictly ascending; slice h holds the labels in [edges[h-1], edges[h]).
/// network : ReLUNetwork, optional
///     Its values are subtracted from the labels first.
/// precision : {"double", "mixed"}
///     "mixed" computes products, and their sums over 128 rows, in single precision, and adds these up in double: up to
///     1.8 times as fast. An entry of Σ w x xᵀ is then off by at most
///     133 · 2⁻²⁴ Σ |w x_i x_j| + 2⁻⁸⁸ n, besides the rounding of doubles; w is the row weight.
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

    /// The precision of the products, `"double"` or `"mixed"`.
    #[getter]
    fn precision(slf: PyRef<'_, Self>) -> PyResult<&'static str> {
        Ok(precision_name(inner!(slf, Slice).precision()))
    }

    /// Sum of the row weights of each slice, `(H,)`.
    #[getter]
    fn weights<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Vector<'py>> {
        let grams = inner!(slf, Slice).grams();
        Ok(PyArray1::from_iter(py, (0..grams.n_weights()).map(|h| grams.total(h))))
    }

    /// Σ w x of each slice, `(H, d)`.
    #[getter]
    fn vectors<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let grams = inner!(slf, Slice).grams();
        let all = (0..grams.n_weights()).flat_map(|h| grams.vector(h)).copied().collect();
        matrix(py, all, [grams.n_weights(), grams.n_features()])
    }

    /// Σ w x xᵀ of each slice, `(H, d, d)`.
    #[getter]
    fn grams<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyArray3<f64>>> {
        let grams = inner!(slf, Slice).grams();
        let (h, d) = (grams.n_weights(), grams.n_features());
        PyArray1::from_vec(py, (0..h).flat_map(|h| grams.matrix(h)).collect()).reshape([h, d, d])
    }
}

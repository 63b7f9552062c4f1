//! Contracted Hermite moments as Python objects.

use numpy::{AllowTypeChange, PyArray1, PyArrayLikeDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use relunet_core::error::Error;
use relunet_core::hermite::relu_coefficient;
use relunet_core::moments::ContractionMoments as CoreContraction;

use super::{Accumulator, count, init, inner, matrix, optional_network, precision_name};
use crate::error::to_python;

/// Contractions of Hermite moment tensors of the label with given directions.
///
/// For a unit vector g and t = g·x, the contraction of degree l is the mean over rows of y H_l(x)[g,..,g,:,:] with
///
///     H_l(x)[g,..,g,:,:] = He_{l-2}(t)(x xᵀ - I) - (l-2) He_{l-3}(t)(g xᵀ + x gᵀ) + (l-2)(l-3) He_{l-4}(t) g gᵀ
///
/// where He_n are probabilists' Hermite polynomials; the tensor H_l is never formed. For x ~ N(0, I) and
/// y = Σ λ_i relu(u_i·x) with unit vectors u_i, the expected contraction of even degree l is κ_l M_l(g) with
/// M_l(g) = Σ λ_i <u_i, g>^(l-2) u_i u_iᵀ and κ_l = (-1)^(l/2+1) (l-3)!!/√(2π)
/// [Chen, Dou, Goel, Klivans, Meka 2023, Lemma 7, with the plain Hermite tensor].
///
/// Parameters
/// ----------
/// n_features : int
///     Number of input columns d.
/// directions : array_like of shape (d,) or (m, d)
///     One unit vector g, or m of them as rows.
/// degrees : sequence of int
///     Distinct degrees l from 2 to 64.
/// network : ReLUNetwork, default=None
///     Network whose predictions are subtracted from the labels, which gives moments of the residual (Lemma 8).
/// precision : {"double", "mixed"}, default="double"
///     "mixed" computes products and their sums over 128 rows in single precision and adds these sums in double
///     precision, which is up to 1.8 times as fast. Its errors, in addition to the rounding of doubles, are bounded as
///     follows, where w_l is y He_{l-2}(t) times the row weight and ε = 133 · 2⁻²⁴. An entry of Σ w_l x xᵀ has an error
///     of at most ε Σ |w_l x_i x_j| + 2⁻⁸⁸ n. The error of an entry of the vector Σ w_{l-1} x depends on the other
///     requested degrees. It is at most ε Σ |w_{l-1} x_i| if l - 1 is among them; otherwise, if l - 2 is among them,
///     the vector is computed from the matrix of that degree and its error is at most
///     e_l = ε Σ |w_{l-2} x_i| Σ_j |x_j g_j| + (l-4) e_{l-2}; otherwise there is no further error.
///
/// Attributes
/// ----------
/// n_features : int
///     Number of input columns d.
/// n_rows : int
///     Number of rows accumulated.
/// degrees : list of int
///     The degrees l.
/// precision : {"double", "mixed"}
///     Precision of the products.
///
/// Raises
/// ------
/// ArgumentError
///     A direction is not a unit vector, a degree is out of range or repeated, or the network has another number of
///     features.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from relunet.moments import ContractionMoments
/// >>> moments = ContractionMoments(2, [1.0, 0.0], degrees=(2, 4))
/// >>> moments.update(np.array([[3.0, 2.0]]), np.array([1.0]))
/// >>> moments.contractions()[2]  # x xᵀ - I
/// array([[8., 6.],
///        [6., 3.]])
/// >>> moments.contractions()[4]  # He_4(3), He_3(3) He_1(2); He_3(3) He_1(2), He_2(3) He_2(2)
/// array([[30., 36.],
///        [36., 24.]])
#[pyclass(extends = Accumulator, module = "relunet.moments")]
pub struct ContractionMoments {}

#[pymethods]
impl ContractionMoments {
    #[new]
    #[pyo3(signature = (n_features, directions, degrees, network=None, *, precision="double"))]
    fn new(
        n_features: &Bound<'_, PyAny>,
        directions: PyArrayLikeDyn<'_, f64, AllowTypeChange>,
        degrees: Vec<Bound<'_, PyAny>>,
        network: Option<&Bound<'_, PyAny>>,
        precision: &str,
    ) -> PyResult<PyClassInitializer<Self>> {
        let (py, n_features) = (n_features.py(), count(n_features, "n_features")? as usize);
        let degrees = degrees.iter().map(|degree| count(degree, "degrees")).collect::<PyResult<Vec<_>>>()?;
        let shape = directions.shape().to_vec();
        if shape.is_empty() || shape.len() > 2 || shape[shape.len() - 1] != n_features {
            let message = format!("expected shape ({n_features},) or (m, {n_features}), got {shape:?}");
            return Err(to_python(py, Error::argument("directions", message)));
        }
        let directions: Vec<f64> = directions.as_array().iter().copied().collect();
        let (network, precision) = (optional_network(network)?, super::precision(py, precision)?);
        init(py, Self {}, CoreContraction::new(n_features, &directions, shape.len() == 1, &degrees, network, precision))
    }

    /// The degrees l.
    #[getter]
    fn degrees(slf: PyRef<'_, Self>) -> PyResult<Vec<u64>> {
        Ok(inner!(slf, Contraction).degrees().to_vec())
    }

    /// Precision of the products, `"double"` or `"mixed"`.
    #[getter]
    fn precision(slf: PyRef<'_, Self>) -> PyResult<&'static str> {
        Ok(precision_name(inner!(slf, Contraction).precision()))
    }

    /// Return the contraction of each degree.
    ///
    /// Returns
    /// -------
    /// dict of int to ndarray of shape (d, d) or (m, d, d)
    ///     For each degree l the mean of y H_l(x)[g,..,g,:,:]; the first axis is missing if `directions` was a vector.
    fn contractions<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        contractions(py, inner!(slf, Contraction), |_| 1.0)
    }

    /// Return the estimate of M_l(g) = Σ λ_i <u_i, g>^(l-2) u_i u_iᵀ for each degree, which is `contractions()` / κ_l.
    ///
    /// Returns
    /// -------
    /// dict of int to ndarray of shape (d, d) or (m, d, d)
    ///     For each degree l the estimate of M_l(g); the first axis is missing if `directions` was a vector.
    ///
    /// Raises
    /// ------
    /// ArgumentError
    ///     A degree is odd, so that κ_l = 0; use `contractions` for odd degrees.
    fn matrices<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let inner = inner!(slf, Contraction);
        if let Some(odd) = inner.degrees().iter().find(|l| *l % 2 == 1) {
            let message =
                format!("{odd} is odd and its Hermite coefficient of relu is zero; use contractions() instead");
            return Err(to_python(py, Error::argument("degrees", message)));
        }
        contractions(py, inner, relu_coefficient)
    }
}

fn contractions<'py>(
    py: Python<'py>,
    moments: &CoreContraction,
    coefficient: impl Fn(usize) -> f64,
) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    let d = moments.n_features();
    for (place, &degree) in moments.degrees().iter().enumerate() {
        let scale = coefficient(degree as usize);
        let all = (0..moments.n_directions()).flat_map(|i| moments.contraction(i, place)).map(|v| v / scale).collect();
        if moments.is_single() {
            out.set_item(degree, matrix(py, all, [d, d])?)?;
        } else {
            out.set_item(degree, PyArray1::from_vec(py, all).reshape([moments.n_directions(), d, d])?)?;
        }
    }
    Ok(out)
}

//! Accumulators as Python objects: one base class with what all can do, one class each with what it alone tells.

use numpy::{
    AllowTypeChange, PyArray1, PyArray2, PyArray3, PyArrayLike1, PyArrayLike2, PyArrayLikeDyn, PyArrayMethods,
    PyUntypedArrayMethods,
};
use pyo3::PyClass;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyType};
use relunet_core::error::{Error, Result};
use relunet_core::gram::Precision;
use relunet_core::hermite::relu_coefficient;
use relunet_core::moments::{
    ContractionMoments as CoreContraction, CurvatureMoments as CoreCurvature, GradientMoments as CoreGradient,
    InputMoments as CoreInput, Moments, RiskMoments as CoreRisk, RowSample as CoreRows, SketchMoments as CoreSketch,
    SliceMoments as CoreSlice,
};
use relunet_core::network::Network;

use crate::error::to_python;
use crate::{network, sweep};

type Vector<'py> = Bound<'py, PyArray1<f64>>;
type Matrix<'py> = Bound<'py, PyArray2<f64>>;

fn matrix(py: Python<'_>, values: Vec<f64>, shape: [usize; 2]) -> PyResult<Matrix<'_>> {
    PyArray1::from_vec(py, values).reshape(shape)
}

/// A number that counts something, as the caller wrote it.
fn count(value: &Bound<'_, PyAny>, name: &str) -> PyResult<u64> {
    value.extract().map_err(|_| {
        let message = match value.repr() {
            Ok(got) => format!("expected an integer from 0 to 2**64 - 1, got {got}"),
            Err(error) => return error,
        };
        to_python(value.py(), Error::argument(name, message))
    })
}

fn precision(py: Python<'_>, name: &str) -> PyResult<Precision> {
    match name {
        "double" => Ok(Precision::Double),
        "mixed" => Ok(Precision::Mixed),
        _ => {
            Err(to_python(py, Error::argument("precision", format!("expected \"double\" or \"mixed\", got {name:?}"))))
        }
    }
}

fn precision_name(precision: Precision) -> &'static str {
    match precision {
        Precision::Double => "double",
        Precision::Mixed => "mixed",
    }
}

fn optional_network(network: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Network>> {
    network.map(network::from_python).transpose()
}

/// Sums over rows that are updated, merged in any grouping, stored as bytes and read again.
///
/// The base of all accumulators, which say what is summed. Sums do not depend on how rows are split into parts, up to
/// rounding; they have the same bits for the same rows in the same updates, whatever the source and the number of
/// threads. Accumulators can be copied and pickled.
///
/// Attributes
/// ----------
/// n_features : int
///     Number of input columns d.
/// n_rows : int
///     Number of rows seen.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from relunet.moments import InputMoments
/// >>> here, there = InputMoments(1), InputMoments(1)
/// >>> here.update(np.array([[1.0], [2.0]]))
/// >>> there.update(np.array([[6.0]]))
/// >>> (here + there).mean
/// array([3.])
/// >>> here.merge(InputMoments.from_bytes(there.to_bytes()))
/// >>> here
/// InputMoments(n_features=1, n_rows=3)
#[pyclass(subclass, module = "relunet.moments")]
pub struct Accumulator {
    moments: Moments,
}

impl Accumulator {
    /// The core's accumulator.
    pub fn moments(&self) -> &Moments {
        &self.moments
    }

    /// Adds the sums of other rows.
    pub fn add(&mut self, py: Python<'_>, other: &Moments) -> PyResult<()> {
        self.moments.merge(other).map_err(|error| to_python(py, error))
    }
}

#[pymethods]
impl Accumulator {
    /// Number of input columns.
    #[getter]
    fn n_features(&self) -> usize {
        self.moments.n_features()
    }

    /// Number of rows seen.
    #[getter]
    fn n_rows(&self) -> u64 {
        self.moments.n_rows()
    }

    /// Add rows; none of them is added where any is refused.
    ///
    /// Parameters
    /// ----------
    /// X : array_like of shape (n, d)
    ///     Inputs.
    /// y : array_like of shape (n,), optional
    ///     Labels; needed by all accumulators but `InputMoments`, `CurvatureMoments` and `RowSample`.
    /// sample_weight : array_like of shape (n,), optional
    ///     Weights of at least 0; None gives each row the weight 1. To every mean a
    ///     weight of 2 is the row twice.
    ///
    /// Raises
    /// ------
    /// ArgumentError
    ///     A number of columns other than d, missing labels.
    /// DataError
    ///     Values that are not finite real numbers, lengths that do not fit.
    #[pyo3(signature = (X, y=None, sample_weight=None))]
    #[allow(non_snake_case, reason = "the name that users of scikit-learn expect")]
    fn update(
        slf: &Bound<'_, Self>,
        X: &Bound<'_, PyAny>,
        y: Option<&Bound<'_, PyAny>>,
        sample_weight: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let is_empty = |rows: &Bound<'_, PyAny>| rows.len().is_ok_and(|n| n == 0);
        if is_empty(X) && y.is_none_or(is_empty) && sample_weight.is_none_or(is_empty) {
            return Ok(());
        }
        let samples = py.import("relunet.samples")?.call_method1("scan_array", (X, y, sample_weight))?;
        let empty = slf.try_borrow()?.moments.empty();
        let sums = sweep::run(&samples.getattr("source")?, vec![empty], None, None, None)?;
        sums.iter().try_for_each(|sum| slf.try_borrow_mut()?.add(py, sum))
    }

    /// Add the rows that `other` has seen.
    ///
    /// Raises
    /// ------
    /// ArgumentError
    ///     An accumulator of another kind or configuration.
    fn merge(&mut self, py: Python<'_>, other: &Bound<'_, Self>) -> PyResult<()> {
        match other.try_borrow() {
            Ok(other) => self.add(py, &other.moments),
            // Only the accumulator itself is borrowed here.
            Err(_) => {
                let copy = self.moments.clone();
                self.add(py, &copy)
            }
        }
    }

    /// A new accumulator of the same configuration, without rows.
    fn empty<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        wrap(slf.py(), slf.try_borrow()?.moments.empty())
    }

    /// A new accumulator of the rows of both.
    fn __add__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let mut sum = slf.try_borrow()?.moments.clone();
        sum.merge(&other.try_borrow()?.moments).map_err(|error| to_python(slf.py(), error))?;
        wrap(slf.py(), sum)
    }

    /// Configuration and sums, in a format with a version and a checksum that is the same on every machine.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.moments.to_bytes())
    }

    /// The accumulator that `to_bytes` has written.
    ///
    /// Raises
    /// ------
    /// ArgumentError
    ///     Bytes that are damaged, of another format version or of an accumulator of another kind.
    #[classmethod]
    fn from_bytes<'py>(class: &Bound<'py, PyType>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        let py = class.py();
        let accumulator = wrap(py, Moments::from_bytes(data).map_err(|error| to_python(py, error))?)?;
        if accumulator.is_instance(class)? {
            return Ok(accumulator);
        }
        let message = format!("expected a stored {}, got {}", class.name()?, accumulator.get_type().name()?);
        Err(to_python(py, Error::argument("data", message)))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let restore = slf.get_type().getattr("from_bytes")?;
        Ok((restore, (slf.try_borrow()?.to_bytes(slf.py()),)))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let this = slf.try_borrow()?;
        let (d, n) = (this.moments.n_features(), this.moments.n_rows());
        Ok(format!("{}(n_features={d}, n_rows={n})", slf.get_type().name()?))
    }
}

/// The Python object for an accumulator of any kind.
fn wrap(py: Python<'_>, moments: Moments) -> PyResult<Bound<'_, PyAny>> {
    macro_rules! wrap {
        ($($variant:ident => $class:ident),*) => {
            match moments {
                $(Moments::$variant(_) => {
                    let base = PyClassInitializer::from(Accumulator { moments });
                    Ok(Bound::new(py, base.add_subclass($class {}))?.into_any())
                })*
            }
        };
    }
    wrap!(
        Input => InputMoments,
        Contraction => ContractionMoments,
        Slice => SliceMoments,
        Gradient => GradientMoments,
        Curvature => CurvatureMoments,
        Risk => RiskMoments,
        Rows => RowSample,
        Sketch => SketchMoments
    )
}

/// The core's accumulator behind an object whose class is made for this kind alone.
macro_rules! inner {
    ($slf:ident, $variant:ident) => {
        match &$slf.as_super().moments {
            Moments::$variant(inner) => inner,
            _ => return Err(PyTypeError::new_err(concat!("not a ", stringify!($variant), " accumulator"))),
        }
    };
}

fn init<T: PyClass<BaseType = Accumulator>>(
    py: Python<'_>,
    class: T,
    moments: Result<impl Into<Moments>>,
) -> PyResult<PyClassInitializer<T>> {
    let moments = moments.map_err(|error| to_python(py, error))?.into();
    Ok(PyClassInitializer::from(Accumulator { moments }).add_subclass(class))
}

/// Weighted mean and covariance of the inputs and the label, free of cancellation where the mean is far from zero.
///
/// With row weights w (1 where none are given) and W = Σ w: ``mean = Σ w x / W``, ``cov = Σ w (x - mean)(x - mean)ᵀ / W``,
/// ``label_cov = Σ w (x - mean)(y - label_mean) / W``.
///
/// Parameters
/// ----------
/// n_features : int
///     Number of input columns d.
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

    /// Mean of the inputs, `(d,)`.
    #[getter]
    fn mean<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Vector<'py>> {
        let inner = inner!(slf, Input);
        Ok(PyArray1::from_slice(py, &inner.mean()[..inner.mean().len() - 1]))
    }

    /// Covariance of the inputs, `(d, d)`.
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

    /// Covariances of the inputs with the label, `(d,)`.
    #[getter]
    fn label_cov<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Vector<'py>> {
        let inner = inner!(slf, Input);
        let (c, all) = (inner.mean().len(), inner.covariance());
        Ok(PyArray1::from_slice(py, &all[(c - 1) * c..c * c - 1]))
    }
}

/// Contractions of Hermite moment tensors of the label along given directions.
///
/// For a unit vector g and t = g·x the contraction of degree l is the mean of y times
///
///     H_l(x)[g,..,g,:,:] = He_{l-2}(t)(x xᵀ - I) - (l-2) He_{l-3}(t)(g xᵀ + x gᵀ) + (l-2)(l-3) He_{l-4}(t) g gᵀ
///
/// with probabilists' Hermite polynomials; the tensor is never formed. For x ~ N(0, I) and y = Σ λ_i relu(u_i·x) with unit
/// u_i it is κ_l M_l(g), M_l(g) = Σ λ_i <u_i, g>^(l-2) u_i u_iᵀ, κ_l = (-1)^(l/2+1) (l-3)!!/√(2π) for even l
/// [Chen, Dou, Goel, Klivans, Meka 2023, Lemma 7, with the plain Hermite tensor].
///
/// Parameters
/// ----------
/// n_features : int
///     Number of input columns d.
/// directions : array of shape (d,) or (m, d)
///     One or several unit vectors g.
/// degrees : sequence of int
///     Degrees l from 2 to 64.
/// network : ReLUNetwork, optional
///     Its values are subtracted from the labels: moments of the residual (Lemma 8).
/// precision : {"double", "mixed"}
///     "mixed" computes products, and their sums over 128 rows, in single precision, and adds these up in double: about
///     twice as fast where d is large. An entry of Σ w x xᵀ is then off by at most
///     131 · 2⁻²⁴ Σ |w x_i x_j| + 2⁻¹²⁶ n, besides the rounding of doubles; w is y He_{l-2}(t) times the row weight.
///
/// Raises
/// ------
/// ArgumentError
///     Directions that are not unit vectors, degrees out of range or named twice, a network of other inputs.
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
        let (network, precision) = (optional_network(network)?, self::precision(py, precision)?);
        init(py, Self {}, CoreContraction::new(n_features, &directions, shape.len() == 1, &degrees, network, precision))
    }

    /// The degrees l.
    #[getter]
    fn degrees(slf: PyRef<'_, Self>) -> PyResult<Vec<u64>> {
        Ok(inner!(slf, Contraction).degrees().to_vec())
    }

    /// The precision of the products, `"double"` or `"mixed"`.
    #[getter]
    fn precision(slf: PyRef<'_, Self>) -> PyResult<&'static str> {
        Ok(precision_name(inner!(slf, Contraction).precision()))
    }

    /// Per degree l, the mean of y H_l(x)[g,..,g,:,:]: `(d, d)`, or `(m, d, d)` for several directions.
    fn contractions<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        contractions(py, inner!(slf, Contraction), |_| 1.0)
    }

    /// Per degree l, the estimate of M_l(g) = Σ λ_i <u_i, g>^(l-2) u_i u_iᵀ: `contractions()` divided by κ_l.
    ///
    /// Raises
    /// ------
    /// ArgumentError
    ///     An odd degree above 2: there κ_l is zero, and only `contractions()` has a meaning.
    fn matrices<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let inner = inner!(slf, Contraction);
        if let Some(odd) = inner.degrees().iter().find(|l| *l % 2 == 1) {
            let message = format!("relu has no Hermite coefficient of degree {odd}; see contractions()");
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
///     "mixed" computes products, and their sums over 128 rows, in single precision, and adds these up in double: about
///     twice as fast where d is large. An entry of Σ w x xᵀ is then off by at most
///     131 · 2⁻²⁴ Σ |w x_i x_j| + 2⁻¹²⁶ n, besides the rounding of doubles; w is the row weight.
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
            CoreSlice::new(n_features, &edges, optional_network(network)?, self::precision(py, precision)?),
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

/// Gradient of a fit: residuals r = y - f(x) summed against the inputs where each neuron is on. O(N d k).
///
/// Parameters
/// ----------
/// network : ReLUNetwork
///     The fit f, with one output.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from relunet import ReLUNetwork
/// >>> from relunet.moments import GradientMoments
/// >>> moments = GradientMoments(ReLUNetwork([[1.0]], [1.0]))
/// >>> moments.update(np.array([[1.0], [-1.0]]), np.array([3.0, 1.0]))
/// >>> moments.risk
/// 2.5
/// >>> moments.gradient
/// array([[1. , 1. ],
///        [0.5, 1.5]])
#[pyclass(extends = Accumulator, module = "relunet.moments")]
pub struct GradientMoments {}

#[pymethods]
impl GradientMoments {
    #[new]
    fn new(py: Python<'_>, network: &Bound<'_, PyAny>) -> PyResult<PyClassInitializer<Self>> {
        init(py, Self {}, Ok(CoreGradient::new(network::from_python(network)?)))
    }

    /// Mean of r².
    #[getter]
    fn risk(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(inner!(slf, Gradient).risk().mean())
    }

    /// Mean of r g_i (x, 1) for the gates g_i = 1(w_i·x + b_i > 0) and, last, g = 1: `(k + 1, d + 1)`.
    #[getter]
    fn gradient<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let inner = inner!(slf, Gradient);
        let (values, columns) = (inner.gradient(), slf.as_super().moments.n_features() + 1);
        let shape = [values.len() / columns, columns];
        matrix(py, values, shape)
    }
}

/// Curvature of a fit: its Gauss-Newton normal matrix. O(N d² k²).
///
/// Parameters
/// ----------
/// network : ReLUNetwork
///     The fit f, with one output.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from relunet import ReLUNetwork
/// >>> from relunet.moments import CurvatureMoments
/// >>> moments = CurvatureMoments(ReLUNetwork([[1.0]], [1.0]))
/// >>> moments.update(np.array([[1.0], [-1.0]]))
/// >>> moments.normal_matrix
/// array([[0.5, 0.5, 0.5, 0.5],
///        [0.5, 0.5, 0.5, 0.5],
///        [0.5, 0.5, 1. , 0. ],
///        [0.5, 0.5, 0. , 1. ]])
#[pyclass(extends = Accumulator, module = "relunet.moments")]
pub struct CurvatureMoments {}

#[pymethods]
impl CurvatureMoments {
    #[new]
    fn new(py: Python<'_>, network: &Bound<'_, PyAny>) -> PyResult<PyClassInitializer<Self>> {
        init(py, Self {}, CoreCurvature::new(network::from_python(network)?))
    }

    /// Mean of g_i g_j (x, 1)(x, 1)ᵀ in blocks of d + 1 rows, the affine part last: a square of (k + 1)(d + 1) rows.
    #[getter]
    fn normal_matrix<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let values = inner!(slf, Curvature).normal_matrix();
        let size = values.len().isqrt();
        matrix(py, values, [size, size])
    }
}

/// Risk of a network: the mean squared residual, and how well it is known.
///
/// Parameters
/// ----------
/// network : ReLUNetwork
///     A network with one output.
///
/// Examples
/// --------
/// >>> import numpy as np
/// >>> from relunet import ReLUNetwork
/// >>> from relunet.moments import RiskMoments
/// >>> moments = RiskMoments(ReLUNetwork([[1.0]], [1.0]))
/// >>> moments.update(np.array([[1.0], [-1.0]]), np.array([1.0, 2.0]))
/// >>> moments.risk, moments.largest_residual
/// (2.0, 2.0)
#[pyclass(extends = Accumulator, module = "relunet.moments")]
pub struct RiskMoments {}

#[pymethods]
impl RiskMoments {
    #[new]
    fn new(py: Python<'_>, network: &Bound<'_, PyAny>) -> PyResult<PyClassInitializer<Self>> {
        init(py, Self {}, Ok(CoreRisk::new(network::from_python(network)?)))
    }

    /// Sum of the row weights.
    #[getter]
    fn weight(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(inner!(slf, Risk).sums().weight)
    }

    /// Mean of r².
    #[getter]
    fn risk(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(inner!(slf, Risk).sums().mean())
    }

    /// Variance of `risk` as an estimate of the expected r².
    #[getter]
    fn risk_variance(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(inner!(slf, Risk).sums().variance())
    }

    /// Largest |r|.
    #[getter]
    fn largest_residual(slf: PyRef<'_, Self>) -> PyResult<f64> {
        Ok(inner!(slf, Risk).sums().largest)
    }
}

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
    fn rows<'py>(
        slf: PyRef<'py, Self>,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyArray1<u64>>, Matrix<'py>, Vector<'py>, Vector<'py>)> {
        let chosen = inner!(slf, Rows).chosen();
        let shape = [chosen.y.len(), inner!(slf, Rows).n_columns()];
        let hashes = PyArray1::from_vec(py, chosen.hashes);
        let x = matrix(py, chosen.x, shape)?;
        Ok((hashes, x, PyArray1::from_vec(py, chosen.y), PyArray1::from_vec(py, chosen.weight)))
    }
}

/// The numbers of a matrix whose rows must be as long as inputs are.
fn rows_of(
    py: Python<'_>,
    name: &str,
    rows: &PyArrayLike2<'_, f64, AllowTypeChange>,
    n_columns: usize,
) -> PyResult<Vec<f64>> {
    let rows = rows.as_array();
    if rows.ncols() == n_columns {
        return Ok(rows.iter().copied().collect());
    }
    let message = format!("expected rows of {n_columns} numbers, got {}", rows.ncols());
    Err(to_python(py, Error::argument(name, message)))
}

/// Moments against few directions, for inputs too many for d × d matrices: O(N d s) for s directions.
///
/// For m functions ψ_n of y, or of y - network(x), constant on slices: Σ w ψ_n, Σ w ψ_n x and Σ w ψ_n (x·v_j) x, that is,
/// products of the moments Σ w ψ_n x xᵀ with vectors v_j; and Σ w x_i². Block iteration with them finds what
/// eigenvectors of `SliceMoments` show.
///
/// Parameters
/// ----------
/// n_features : int
///     Number of input columns d.
/// directions : array_like of shape (s, d)
///     The vectors v_j; there may be none.
/// edges : array_like of shape (H - 1,)
///     Strictly ascending edges of slices: slice h holds the labels in [edges[h-1], edges[h]).
/// values : array_like of shape (H, m)
///     The functions on each slice.
/// network : ReLUNetwork, optional
///     Network whose residuals are cut into slices.
///
/// Raises
/// ------
/// ArgumentError
///     Shapes that do not fit, numbers that are not finite, edges that do not ascend, a network of other inputs.
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
            let message = format!("expected a row for each of {} slices, got {}", edges.len() + 1, values.nrows());
            return Err(to_python(py, Error::argument("values", message)));
        }
        let directions = rows_of(py, "directions", &directions, n_features)?;
        let (edges, values) = (edges.to_vec(), values.iter().copied().collect());
        init(py, Self {}, CoreSketch::new(n_features, directions, edges, values, optional_network(network)?))
    }

    /// Σ w ψ_n of each function, `(m,)`.
    #[getter]
    fn weights<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Vector<'py>> {
        Ok(PyArray1::from_slice(py, inner!(slf, Sketch).weights()))
    }

    /// Σ w ψ_n x of each function, `(m, d)`.
    #[getter]
    fn vectors<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Matrix<'py>> {
        let sums = inner!(slf, Sketch);
        let d = sums.squares().len();
        let rows = sums.vectors().chunks_exact(d * (sums.n_directions() + 1));
        matrix(py, rows.flat_map(|rows| &rows[..d]).copied().collect(), [sums.weights().len(), d])
    }

    /// Σ w ψ_n (x·v_j) x of each function and direction, `(m, s, d)`.
    #[getter]
    fn products<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyArray3<f64>>> {
        let sums = inner!(slf, Sketch);
        let (d, s) = (sums.squares().len(), sums.n_directions());
        let rows = sums.vectors().chunks_exact(d * (s + 1));
        let products: Vec<f64> = rows.flat_map(|rows| &rows[d..]).copied().collect();
        PyArray1::from_vec(py, products).reshape([sums.weights().len(), s, d])
    }

    /// Σ w x_i² of each input, `(d,)`.
    #[getter]
    fn squares<'py>(slf: PyRef<'py, Self>, py: Python<'py>) -> PyResult<Vector<'py>> {
        Ok(PyArray1::from_slice(py, inner!(slf, Sketch).squares()))
    }
}

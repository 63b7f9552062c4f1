//! Accumulators as Python objects: their base class, and one file for each kind.

mod contraction;
mod curvature;
mod gradient;
mod input;
mod joint_gradient;
mod label_map;
mod risk;
mod rows;
mod sketch;
mod slices;

use contraction::ContractionMoments;
use curvature::CurvatureMoments;
use gradient::GradientMoments;
use input::InputMoments;
use joint_gradient::JointGradientMoments;
use label_map::LabelMap;
use risk::RiskMoments;
use rows::RowSample;
use sketch::SketchMoments;
use slices::SliceMoments;

use numpy::{AllowTypeChange, PyArray1, PyArray2, PyArrayLike2, PyArrayMethods};
use pyo3::PyClass;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};
use relunet_core::error::{Error, Result};
use relunet_core::gram::Precision;
use relunet_core::moments::Moments;
use relunet_core::network::Network;

use crate::error::to_python;
use crate::{network, python, run};

type Vector<'py> = Bound<'py, PyArray1<f64>>;
type Matrix<'py> = Bound<'py, PyArray2<f64>>;

fn matrix(py: Python<'_>, values: Vec<f64>, shape: [usize; 2]) -> PyResult<Matrix<'_>> {
    PyArray1::from_vec(py, values).reshape(shape)
}

/// Reads a nonnegative integer argument.
fn count(value: &Bound<'_, PyAny>, name: &str) -> PyResult<u64> {
    value.extract().map_err(|_| {
        let message = match value.repr() {
            Ok(got) => format!("expected an integer from 0 to 2**64 - 1, got {got}"),
            Err(error) => return error,
        };
        to_python(value.py(), Error::argument(name, message))
    })
}

/// Reads a matrix argument that must have `n_columns` columns, row-major.
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

/// Base class of all accumulators: sums over rows that can be updated, merged and stored.
///
/// An accumulator sums functions of the rows; its class says which. Accumulators of disjoint sets of rows can be merged
/// in any order and grouping: up to rounding, the result is that of one accumulator of all rows. The same rows in the
/// same updates give the same bits for every source and every number of threads. Accumulators can be copied and
/// pickled.
///
/// Attributes
/// ----------
/// n_features : int
///     Number of input columns d.
/// n_rows : int
///     Number of rows accumulated.
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

    /// Number of rows accumulated.
    #[getter]
    fn n_rows(&self) -> u64 {
        self.moments.n_rows()
    }

    /// Add rows. If any row is invalid, no row is added.
    ///
    /// Parameters
    /// ----------
    /// X : array_like of shape (n, d)
    ///     Inputs.
    /// y : array_like of shape (n,) or (n, m), default=None
    ///     Labels, as many a row as the accumulator takes. All accumulators except `InputMoments`, `CurvatureMoments` and
    ///     `RowSample` need them.
    /// sample_weight : array_like of shape (n,), default=None
    ///     Nonnegative row weights; None gives each row the weight 1. A row of weight 2 contributes to every mean like
    ///     two copies of the row.
    ///
    /// Raises
    /// ------
    /// ArgumentError
    ///     The number of columns is not d, or labels are missing.
    /// DataError
    ///     A value is not a finite real number, or lengths differ.
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
        let source = python::array_source(X, y, sample_weight)?;
        let empty = slf.try_borrow()?.moments.empty();
        let (sums, _) = run::run(&source, vec![empty], None, None, None)?;
        sums.iter().try_for_each(|sum| slf.try_borrow_mut()?.add(py, sum))
    }

    /// Add the sums of another accumulator.
    ///
    /// Parameters
    /// ----------
    /// other : Accumulator
    ///     Accumulator of the same kind and configuration; it is not changed.
    ///
    /// Raises
    /// ------
    /// ArgumentError
    ///     `other` is of another kind or configuration.
    fn merge(&mut self, py: Python<'_>, other: &Bound<'_, Self>) -> PyResult<()> {
        match other.try_borrow() {
            Ok(other) => self.add(py, &other.moments),
            // The borrow fails only if `other` is this accumulator itself.
            Err(_) => {
                let copy = self.moments.clone();
                self.add(py, &copy)
            }
        }
    }

    /// Return a new accumulator of the same configuration, without rows.
    ///
    /// Returns
    /// -------
    /// Accumulator
    ///     An accumulator of the same class.
    fn empty<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        wrap(slf.py(), slf.try_borrow()?.moments.empty())
    }

    /// Return a new accumulator of the rows of both operands.
    fn __add__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let mut sum = slf.try_borrow()?.moments.clone();
        sum.merge(&other.try_borrow()?.moments).map_err(|error| to_python(slf.py(), error))?;
        wrap(slf.py(), sum)
    }

    /// Return configuration and sums as bytes.
    ///
    /// The format has a version and a checksum and is the same on every machine.
    ///
    /// Returns
    /// -------
    /// bytes
    ///     The stored accumulator, for `from_bytes`.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.moments.to_bytes())
    }

    /// Read an accumulator from bytes.
    ///
    /// Parameters
    /// ----------
    /// data : bytes
    ///     Result of `to_bytes`.
    ///
    /// Returns
    /// -------
    /// Accumulator
    ///     The stored accumulator, of the class that was stored.
    ///
    /// Raises
    /// ------
    /// ArgumentError
    ///     The bytes are damaged, have another format version or hold an accumulator of another class.
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

/// Defines `register` and `wrap` for the Python classes of all variants of the core's `Moments`.
macro_rules! kinds {
    ($($variant:ident => $class:ident),*) => {
        /// Adds the classes of all accumulators to the compiled module.
        pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
            module.add_class::<Accumulator>()?;
            $(module.add_class::<$class>()?;)*
            Ok(())
        }

        /// Wraps an accumulator of the core in its Python class.
        fn wrap(py: Python<'_>, moments: Moments) -> PyResult<Bound<'_, PyAny>> {
            match moments {
                $(Moments::$variant(_) => {
                    let base = PyClassInitializer::from(Accumulator { moments });
                    Ok(Bound::new(py, base.add_subclass($class {}))?.into_any())
                })*
            }
        }
    };
}

kinds!(
    Input => InputMoments,
    Contraction => ContractionMoments,
    Slice => SliceMoments,
    Gradient => GradientMoments,
    Curvature => CurvatureMoments,
    Risk => RiskMoments,
    Rows => RowSample,
    Sketch => SketchMoments,
    JointGradient => JointGradientMoments,
    Mapped => LabelMap
);

/// Unwraps the core's accumulator of the given variant from a Python object.
macro_rules! inner {
    ($slf:ident, $variant:ident) => {
        match &$slf.as_super().moments {
            relunet_core::moments::Moments::$variant(inner) => inner,
            _ => {
                return Err(pyo3::exceptions::PyTypeError::new_err(concat!(
                    "not a ",
                    stringify!($variant),
                    " accumulator"
                )))
            }
        }
    };
}

use inner;

/// Initialises a Python object with an accumulator of the core.
fn init<T: PyClass<BaseType = Accumulator>>(
    py: Python<'_>,
    class: T,
    moments: Result<impl Into<Moments>>,
) -> PyResult<PyClassInitializer<T>> {
    let moments = moments.map_err(|error| to_python(py, error))?.into();
    Ok(PyClassInitializer::from(Accumulator { moments }).add_subclass(class))
}

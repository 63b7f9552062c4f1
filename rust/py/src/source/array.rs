//! NumPy arrays as a source.

use numpy::{
    PyArray1, PyArray2, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use relunet_core::error::{Error, Result};
use relunet_core::source::{self, Matrix, Vector};

use super::{Rows, dtype_name, read, with_source};
use crate::error::to_python;

/// NumPy arrays as a source, borrowed for reading only while it is read.
#[pyclass(frozen, module = "relunet._relunet")]
pub struct ArraySource {
    pub(super) x: Py<PyAny>,
    pub(super) y: Option<Py<PyAny>>,
    pub(super) weight: Option<Py<PyAny>>,
    /// Names of the columns, for messages; empty where they have none.
    pub(super) names: Vec<String>,
    /// Names of the labels, for messages; empty where they have none.
    pub(super) label_names: Vec<String>,
}

/// The arrays of a source while they are borrowed.
pub(super) struct BorrowedArrays<'py> {
    x: BorrowedMatrix<'py>,
    y: Option<BorrowedLabels<'py>>,
    weight: Option<BorrowedVector<'py>>,
}

enum BorrowedMatrix<'py> {
    F32(PyReadonlyArray2<'py, f32>),
    F64(PyReadonlyArray2<'py, f64>),
}

enum BorrowedLabels<'py> {
    One(BorrowedVector<'py>),
    Several(BorrowedMatrix<'py>),
}

enum BorrowedVector<'py> {
    F32(PyReadonlyArray1<'py, f32>),
    F64(PyReadonlyArray1<'py, f64>),
}

impl<'py> BorrowedMatrix<'py> {
    fn new(array: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        require_regular(array, name)?;
        if let Ok(array) = array.cast::<PyArray2<f64>>() {
            Ok(Self::F64(array.try_readonly()?))
        } else if let Ok(array) = array.cast::<PyArray2<f32>>() {
            Ok(Self::F32(array.try_readonly()?))
        } else {
            Err(wrong_array(array, name, "a matrix"))
        }
    }

    fn view(&self) -> Matrix<'_> {
        match self {
            Self::F32(array) => Matrix::F32(array.as_array()),
            Self::F64(array) => Matrix::F64(array.as_array()),
        }
    }
}

impl<'py> BorrowedLabels<'py> {
    fn new(array: &Bound<'py, PyAny>) -> PyResult<Self> {
        match array.cast::<PyUntypedArray>() {
            Ok(matrix) if matrix.ndim() == 2 => BorrowedMatrix::new(array, "y").map(Self::Several),
            _ => BorrowedVector::new(array, "y").map(Self::One),
        }
    }

    fn view(&self) -> Matrix<'_> {
        match self {
            Self::One(vector) => vector.view().into(),
            Self::Several(matrix) => matrix.view(),
        }
    }
}

impl<'py> BorrowedVector<'py> {
    fn new(array: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        require_regular(array, name)?;
        if let Ok(array) = array.cast::<PyArray1<f64>>() {
            Ok(Self::F64(array.try_readonly()?))
        } else if let Ok(array) = array.cast::<PyArray1<f32>>() {
            Ok(Self::F32(array.try_readonly()?))
        } else {
            Err(wrong_array(array, name, "a vector"))
        }
    }

    fn view(&self) -> Vector<'_> {
        match self {
            Self::F32(array) => Vector::F32(array.as_array()),
            Self::F64(array) => Vector::F64(array.as_array()),
        }
    }
}

/// Refuses arrays that no slice of Rust may show: misaligned ones, and strides between two values.
fn require_regular(array: &Bound<'_, PyAny>, name: &str) -> PyResult<()> {
    let Ok(array) = array.cast::<PyUntypedArray>() else {
        return Err(wrong_array(array, name, "an array"));
    };
    let item = array.dtype().itemsize() as isize;
    if array.is_aligned() && array.strides().iter().all(|stride| item > 0 && stride % item == 0) {
        return Ok(());
    }
    Err(to_python(array.py(), Error::data(name, "misaligned values; pass a copy of the array")))
}

fn wrong_array(object: &Bound<'_, PyAny>, name: &str, expected: &str) -> PyErr {
    let found = match object.cast::<PyUntypedArray>() {
        Ok(array) => format!("an array of shape {:?} and dtype {}", array.shape(), array.dtype()),
        Err(_) => format!("{}", object.get_type()),
    };
    to_python(object.py(), Error::argument(name, format!("expected {expected} of float32 or float64, not {found}")))
}

impl ArraySource {
    pub(super) fn borrow<'py>(&self, py: Python<'py>) -> PyResult<BorrowedArrays<'py>> {
        let weight = self.weight.as_ref().map(|weight| BorrowedVector::new(weight.bind(py), "sample_weight"));
        Ok(BorrowedArrays {
            x: BorrowedMatrix::new(self.x.bind(py), "X")?,
            y: self.y.as_ref().map(|y| BorrowedLabels::new(y.bind(py))).transpose()?,
            weight: weight.transpose()?,
        })
    }
}

impl BorrowedArrays<'_> {
    pub(super) fn source(&self) -> Result<source::ArraySource<'_>> {
        let y = self.y.as_ref().map(BorrowedLabels::view);
        let weight = self.weight.as_ref().map(BorrowedVector::view);
        source::ArraySource::new(self.x.view(), y, weight)
    }
}

#[pymethods]
impl ArraySource {
    #[new]
    #[pyo3(signature = (X, y=None, sample_weight=None, *, names=None, label_names=None))]
    #[allow(non_snake_case, reason = "the name that users of scikit-learn expect")]
    fn new(
        py: Python<'_>,
        X: Py<PyAny>,
        y: Option<Py<PyAny>>,
        sample_weight: Option<Py<PyAny>>,
        names: Option<Vec<String>>,
        label_names: Option<Vec<String>>,
    ) -> PyResult<Self> {
        let (names, label_names) = (names.unwrap_or_default(), label_names.unwrap_or_default());
        let new = Self { x: X, y, weight: sample_weight, names, label_names };
        new.borrow(py)?.source().map_err(|error| to_python(py, error))?;
        Ok(new)
    }

    /// Number of rows.
    #[getter]
    fn n_rows(slf: &Bound<'_, Self>) -> PyResult<u64> {
        with_source(slf.as_any(), |source| Ok(source.n_rows()))
    }

    /// Number of input columns.
    #[getter]
    fn n_columns(slf: &Bound<'_, Self>) -> PyResult<usize> {
        with_source(slf.as_any(), |source| Ok(source.n_features()))
    }

    /// `"float32"` or `"float64"`: how the inputs are stored.
    #[getter]
    fn dtype(&self, py: Python<'_>) -> PyResult<&'static str> {
        Ok(dtype_name(matches!(self.borrow(py)?.x, BorrowedMatrix::F32(_))))
    }

    /// Whether rows carry labels.
    #[getter]
    fn has_labels(&self) -> bool {
        self.y.is_some()
    }

    /// Number of labels of each row.
    #[getter]
    fn n_outputs(slf: &Bound<'_, Self>) -> PyResult<usize> {
        with_source(slf.as_any(), |source| Ok(source.n_outputs()))
    }

    /// The rows `start..stop` in double precision: inputs, labels or None, weights or None.
    fn read<'py>(slf: &Bound<'py, Self>, start: u64, stop: u64) -> PyResult<Rows<'py>> {
        read(slf.as_any(), start, stop)
    }
}

//! Sources as Python objects, and the way from such an object to the source that a sweep reads.

use std::path::PathBuf;

use numpy::{
    PyArray1, PyArray2, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::marker::Ungil;
use pyo3::prelude::*;
use relunet_core::block::BlockBuffer;
use relunet_core::error::{Error, Result};
use relunet_core::source::{self, Matrix, Source, Vector, Weights};

use crate::error::to_python;

/// What `read` returns: inputs, labels and weights.
type Rows<'py> = (Bound<'py, PyArray2<f64>>, Option<Bound<'py, PyArray1<f64>>>, Option<Bound<'py, PyArray1<f64>>>);

/// Runs `run` on the source behind a Python object, detached from the interpreter.
///
/// Arrays stay borrowed for reading meanwhile, so that no other compiled code can write to them.
///
/// # Errors
/// Objects that are no sources, arrays that changed their shape or type, and whatever `run` returns.
pub fn with_source<R: Ungil + Send>(
    source: &Bound<'_, PyAny>,
    run: impl FnOnce(&dyn Source) -> Result<R> + Ungil + Send,
) -> PyResult<R> {
    let py = source.py();
    let result = if let Ok(array) = source.cast::<ArraySource>() {
        let borrowed = array.get().borrow(py)?;
        let source = borrowed.source().map_err(|error| to_python(py, error))?;
        py.detach(|| run(&source))
    } else if let Ok(npy) = source.cast::<NpySource>() {
        let source = &npy.get().0;
        py.detach(|| run(source))
    } else {
        let message = format!("expected an ArraySource or NpySource, not {}", source.get_type().name()?);
        Err(Error::argument("source", message))
    };
    result.map_err(|error| to_python(py, error))
}

fn read<'py>(source: &Bound<'py, PyAny>, start: u64, stop: u64) -> PyResult<Rows<'py>> {
    let py = source.py();
    let (x, shape, y, weight) = with_source(source, |source| {
        let mut buffer = BlockBuffer::default();
        let block = source.block(start..stop, &mut buffer)?;
        let shape = [block.n_rows, block.n_features];
        let y = source.has_labels().then(|| block.y.to_vec());
        Ok((block.x.to_vec(), shape, y, block.weight.map(<[f64]>::to_vec)))
    })?;
    let vector = |values: Option<Vec<f64>>| values.map(|values| PyArray1::from_vec(py, values));
    Ok((PyArray1::from_vec(py, x).reshape(shape)?, vector(y), vector(weight)))
}

/// NumPy arrays as a source, borrowed for reading only while it is read.
#[pyclass(frozen, module = "relunet._relunet")]
pub struct ArraySource {
    x: Py<PyAny>,
    y: Option<Py<PyAny>>,
    weight: Option<Py<PyAny>>,
}

/// The arrays of a source while they are borrowed.
struct BorrowedArrays<'py> {
    x: BorrowedMatrix<'py>,
    y: Option<BorrowedVector<'py>>,
    weight: Option<BorrowedVector<'py>>,
}

enum BorrowedMatrix<'py> {
    F32(PyReadonlyArray2<'py, f32>),
    F64(PyReadonlyArray2<'py, f64>),
}

enum BorrowedVector<'py> {
    F32(PyReadonlyArray1<'py, f32>),
    F64(PyReadonlyArray1<'py, f64>),
}

impl<'py> BorrowedMatrix<'py> {
    fn new(array: &Bound<'py, PyAny>) -> PyResult<Self> {
        require_regular(array, "X")?;
        if let Ok(array) = array.cast::<PyArray2<f64>>() {
            Ok(Self::F64(array.try_readonly()?))
        } else if let Ok(array) = array.cast::<PyArray2<f32>>() {
            Ok(Self::F32(array.try_readonly()?))
        } else {
            Err(wrong_array(array, "X", "a matrix"))
        }
    }

    fn view(&self) -> Matrix<'_> {
        match self {
            Self::F32(array) => Matrix::F32(array.as_array()),
            Self::F64(array) => Matrix::F64(array.as_array()),
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
    fn borrow<'py>(&self, py: Python<'py>) -> PyResult<BorrowedArrays<'py>> {
        let vector = |array: &Option<Py<PyAny>>, name| {
            array.as_ref().map(|array| BorrowedVector::new(array.bind(py), name)).transpose()
        };
        Ok(BorrowedArrays {
            x: BorrowedMatrix::new(self.x.bind(py))?,
            y: vector(&self.y, "y")?,
            weight: vector(&self.weight, "sample_weight")?,
        })
    }
}

impl BorrowedArrays<'_> {
    fn source(&self) -> Result<source::ArraySource<'_>> {
        let y = self.y.as_ref().map(BorrowedVector::view);
        let weight = self.weight.as_ref().map(BorrowedVector::view);
        source::ArraySource::new(self.x.view(), y, weight)
    }
}

#[pymethods]
impl ArraySource {
    #[new]
    #[pyo3(signature = (X, y=None, sample_weight=None))]
    #[allow(non_snake_case, reason = "the name that users of scikit-learn expect")]
    fn new(py: Python<'_>, X: Py<PyAny>, y: Option<Py<PyAny>>, sample_weight: Option<Py<PyAny>>) -> PyResult<Self> {
        let new = Self { x: X, y, weight: sample_weight };
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

    /// The rows `start..stop` in double precision: inputs, labels or None, weights or None.
    fn read<'py>(slf: &Bound<'py, Self>, start: u64, stop: u64) -> PyResult<Rows<'py>> {
        read(slf.as_any(), start, stop)
    }
}

/// `.npy` files as a source.
#[pyclass(frozen, module = "relunet._relunet")]
pub struct NpySource(source::NpySource);

/// Where weights are: a column of the inputs' file, or a file.
#[derive(FromPyObject)]
enum WeightsArgument {
    Column(i64),
    File(PathBuf),
}

#[pymethods]
impl NpySource {
    #[new]
    #[pyo3(signature = (x_path, y_path=None, *, target=None, columns=None, weight=None))]
    fn new(
        py: Python<'_>,
        x_path: PathBuf,
        y_path: Option<PathBuf>,
        target: Option<i64>,
        columns: Option<Vec<i64>>,
        weight: Option<WeightsArgument>,
    ) -> PyResult<Self> {
        let weight = weight.map(|weight| match weight {
            WeightsArgument::Column(column) => Weights::Column(column),
            WeightsArgument::File(path) => Weights::File(path),
        });
        py.detach(|| source::NpySource::open(&x_path, y_path.as_deref(), target, columns.as_deref(), weight.as_ref()))
            .map(Self)
            .map_err(|error| to_python(py, error))
    }

    /// Number of rows.
    #[getter]
    fn n_rows(&self) -> u64 {
        self.0.n_rows()
    }

    /// Number of input columns.
    #[getter]
    fn n_columns(&self) -> usize {
        self.0.n_features()
    }

    /// Columns of the file that are the inputs, counted from 0.
    #[getter]
    fn columns(&self) -> Vec<usize> {
        self.0.columns().to_vec()
    }

    /// `"float32"` for files of that type, `"float64"` for all others, which are converted.
    #[getter]
    fn dtype(&self) -> &'static str {
        dtype_name(self.0.is_single_precision())
    }

    /// Whether rows carry labels.
    #[getter]
    fn has_labels(&self) -> bool {
        self.0.has_labels()
    }

    /// The rows `start..stop` in double precision: inputs, labels or None, weights or None.
    fn read<'py>(slf: &Bound<'py, Self>, start: u64, stop: u64) -> PyResult<Rows<'py>> {
        read(slf.as_any(), start, stop)
    }
}

fn dtype_name(is_single_precision: bool) -> &'static str {
    if is_single_precision { "float32" } else { "float64" }
}

//! Sources as Python objects, and the way from such an object to the source that a sweep reads.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use numpy::{
    PyArray1, PyArray2, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::marker::Ungil;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use relunet_core::block::{Block, BlockBuffer};
use relunet_core::control::Control;
use relunet_core::error::{Error, Result};
use relunet_core::source::{
    self, ColumnRef, CsvFormat, CsvSource, Fingerprints, Matrix, ParquetSource, Source, Vector, Wanted, Weights,
};

use crate::error::to_python;
use crate::interrupt::watched;

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
    let mut raised = None;
    let result = if let Ok(array) = source.cast::<ArraySource>() {
        let borrowed = array.get().borrow(py)?;
        let source = borrowed.source().map_err(|error| to_python(py, error))?;
        py.detach(|| run(&source))
    } else if let Ok(npy) = source.cast::<NpySource>() {
        let source = &npy.get().0;
        py.detach(|| run(source))
    } else if let Ok(table) = source.cast::<TableSource>() {
        let source = &*table.get().source;
        py.detach(|| run(source))
    } else if let Ok(reader) = source.cast::<RowReader>() {
        let source = reader.get();
        let result = py.detach(|| run(source));
        raised = source.raised.lock().unwrap_or_else(PoisonError::into_inner).take();
        result
    } else {
        Err(Error::argument("source", format!("{} is no source of relunet", source.get_type().name()?)))
    };
    if let Some(exception) = raised {
        return Err(exception);
    }
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

/// A column, by its number or its name.
#[derive(FromPyObject)]
pub enum ColumnArgument {
    Index(i64),
    Name(String),
}

impl From<ColumnArgument> for ColumnRef {
    fn from(column: ColumnArgument) -> Self {
        match column {
            ColumnArgument::Index(index) => Self::Index(index),
            ColumnArgument::Name(name) => Self::Name(name),
        }
    }
}

fn wanted(
    target: Option<ColumnArgument>,
    columns: Option<Vec<ColumnArgument>>,
    weight: Option<ColumnArgument>,
) -> Wanted {
    Wanted {
        target: target.map(Into::into),
        columns: columns.map(|columns| columns.into_iter().map(Into::into).collect()),
        weight: weight.map(Into::into),
    }
}

/// A table with named columns as a source.
#[pyclass(frozen, module = "relunet._relunet")]
pub struct TableSource {
    source: Box<dyn Source + Send>,
    columns: Vec<String>,
    is_single_precision: bool,
}

#[pymethods]
impl TableSource {
    /// Number of rows.
    #[getter]
    fn n_rows(&self) -> u64 {
        self.source.n_rows()
    }

    /// Number of input columns.
    #[getter]
    fn n_columns(&self) -> usize {
        self.source.n_features()
    }

    /// Names of the input columns.
    #[getter]
    fn columns(&self) -> Vec<String> {
        self.columns.clone()
    }

    /// `"float32"` where all inputs are of that type, `"float64"` for all others, which are converted.
    #[getter]
    fn dtype(&self) -> &'static str {
        dtype_name(self.is_single_precision)
    }

    /// Whether rows carry labels.
    #[getter]
    fn has_labels(&self) -> bool {
        self.source.has_labels()
    }

    /// The rows `start..stop` in double precision: inputs, labels or None, weights or None.
    fn read<'py>(slf: &Bound<'py, Self>, start: u64, stop: u64) -> PyResult<Rows<'py>> {
        read(slf.as_any(), start, stop)
    }
}

/// Parquet files, one after another, as a source.
#[pyfunction]
#[pyo3(signature = (paths, *, target=None, columns=None, weight=None))]
pub fn open_parquet(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    target: Option<ColumnArgument>,
    columns: Option<Vec<ColumnArgument>>,
    weight: Option<ColumnArgument>,
) -> PyResult<TableSource> {
    let wanted = wanted(target, columns, weight);
    let source = py.detach(|| ParquetSource::open(&paths, &wanted)).map_err(|error| to_python(py, error))?;
    let columns = source.columns().map(str::to_owned).collect();
    let is_single_precision = source.is_single_precision();
    Ok(TableSource { source: Box::new(source), columns, is_single_precision })
}

/// CSV files, one after another, as a source; without names, the first row of each file has them.
#[pyfunction]
#[pyo3(signature = (paths, delimiter, names=None, *, target=None, columns=None, weight=None))]
pub fn open_csv(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    delimiter: u8,
    names: Option<Vec<String>>,
    target: Option<ColumnArgument>,
    columns: Option<Vec<ColumnArgument>>,
    weight: Option<ColumnArgument>,
) -> PyResult<TableSource> {
    let (wanted, format) = (wanted(target, columns, weight), CsvFormat { delimiter, names });
    let control = Control::default();
    let opened = py.detach(|| watched(&control, None, || CsvSource::open(&paths, &wanted, &format, &control)))?;
    let source = opened.map_err(|error| to_python(py, error))?;
    let columns = source.columns().map(str::to_owned).collect();
    Ok(TableSource { source: Box::new(source), columns, is_single_precision: false })
}

/// An Arrow stream, read once from its start to its end.
#[pyclass(frozen, module = "relunet._relunet")]
pub struct ArrowStream(Mutex<source::ArrowStream>);

#[pymethods]
impl ArrowStream {
    /// Takes over the stream in a capsule, as `__arrow_c_stream__` returns it; `origin` names it in messages.
    #[new]
    #[pyo3(signature = (capsule, origin, *, target=None, columns=None, weight=None))]
    fn new(
        capsule: &Bound<'_, PyCapsule>,
        origin: &str,
        target: Option<ColumnArgument>,
        columns: Option<Vec<ColumnArgument>>,
        weight: Option<ColumnArgument>,
    ) -> PyResult<Self> {
        let py = capsule.py();
        let stream = capsule.pointer_checked(Some(c"arrow_array_stream"))?.cast::<FFI_ArrowArrayStream>();
        let wanted = wanted(target, columns, weight);
        // SAFETY: a capsule of this name holds a valid stream, by the protocol. It is moved out, and what is left in
        // its place is one that is released already, so that the capsule does not release it again.
        let stream = unsafe { FFI_ArrowArrayStream::from_raw(stream.as_ptr()) };
        let open = || {
            let reader = RecordBatchStreamReader::try_new(stream)
                .map_err(|error| Error::data(origin, format!("no Arrow stream can be read: {error}")))?;
            source::ArrowStream::new(reader, &wanted, origin)
        };
        py.detach(open).map(|stream| Self(Mutex::new(stream))).map_err(|error| to_python(py, error))
    }

    /// The next batch and where its first input lies in memory; None at the end.
    fn next_table(&self, py: Python<'_>) -> PyResult<Option<(TableSource, usize)>> {
        let next = py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).next_table());
        Ok(next.map_err(|error| to_python(py, error))?.map(|table| {
            let address = table.address();
            (table.into(), address)
        }))
    }

    /// All batches that are left, held together.
    fn table(&self, py: Python<'_>) -> PyResult<TableSource> {
        let table = py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).table());
        table.map(Into::into).map_err(|error| to_python(py, error))
    }
}

impl From<source::ArrowTable> for TableSource {
    fn from(table: source::ArrowTable) -> Self {
        let columns = table.columns().map(str::to_owned).collect();
        let is_single_precision = table.is_single_precision();
        Self { source: Box::new(table), columns, is_single_precision }
    }
}

/// Rows that a Python function reads, as a source.
#[pyclass(frozen, module = "relunet._relunet")]
pub struct RowReader {
    /// Called with the first row and the end of a range; returns inputs, labels or None, weights or None.
    read: Py<PyAny>,
    origin: String,
    n_rows: u64,
    n_columns: usize,
    is_single_precision: bool,
    has_labels: bool,
    is_sequential: bool,
    fingerprints: Fingerprints,
    /// What the function raised: it passes through the core as an interruption.
    raised: Mutex<Option<PyErr>>,
}

#[pymethods]
impl RowReader {
    #[new]
    #[pyo3(signature = (read, origin, *, n_rows, n_columns, single, has_labels, sequential))]
    #[allow(clippy::fn_params_excessive_bools, reason = "keywords of Python")]
    fn new(
        read: Py<PyAny>,
        origin: String,
        n_rows: u64,
        n_columns: usize,
        single: bool,
        has_labels: bool,
        sequential: bool,
    ) -> Self {
        Self {
            read,
            origin,
            n_rows,
            n_columns,
            is_single_precision: single,
            has_labels,
            is_sequential: sequential,
            fingerprints: Fingerprints::new(n_rows),
            raised: Mutex::default(),
        }
    }

    /// Number of rows.
    #[getter]
    fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// Number of input columns.
    #[getter]
    fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// `"float32"` or `"float64"`: how the inputs are stored.
    #[getter]
    fn dtype(&self) -> &'static str {
        dtype_name(self.is_single_precision)
    }

    /// Whether rows carry labels.
    #[getter]
    fn has_labels(&self) -> bool {
        self.has_labels
    }

    /// The rows `start..stop` in double precision: inputs, labels or None, weights or None.
    fn read<'py>(slf: &Bound<'py, Self>, start: u64, stop: u64) -> PyResult<Rows<'py>> {
        read(slf.as_any(), start, stop)
    }
}

impl RowReader {
    /// Copies rows that the function returns; gives whether they have weights.
    fn copy(&self, py: Python<'_>, rows: &Range<u64>, buffer: &mut BlockBuffer) -> PyResult<Result<bool>> {
        let returned = self.read.call1(py, (rows.start, rows.end))?;
        let (x, y, weight) = returned.extract::<(Py<PyAny>, Option<Py<PyAny>>, Option<Py<PyAny>>)>(py)?;
        let arrays = ArraySource { x, y, weight };
        let borrowed = arrays.borrow(py)?;
        Ok(borrowed.source().and_then(|source| {
            let mut scratch = BlockBuffer::default();
            let n_rows = rows.end - rows.start;
            let found = (source.n_rows(), source.n_features(), source.has_labels());
            if found != (n_rows, self.n_columns, self.has_labels) {
                let (found_rows, found_columns, _) = found;
                let message =
                    format!("({found_rows}, {found_columns}) where ({n_rows}, {}) was expected", self.n_columns);
                return Err(Error::data("X", message));
            }
            let block = source.block(0..n_rows, &mut scratch)?;
            buffer.x.clear();
            buffer.x.extend_from_slice(block.x);
            buffer.y.clear();
            buffer.y.extend_from_slice(block.y);
            buffer.weight.clear();
            buffer.weight.extend_from_slice(block.weight.unwrap_or_default());
            Ok(block.weight.is_some())
        }))
    }
}

impl Source for RowReader {
    fn n_rows(&self) -> u64 {
        self.n_rows
    }

    fn n_features(&self) -> usize {
        self.n_columns
    }

    fn has_labels(&self) -> bool {
        self.has_labels
    }

    fn is_sequential(&self) -> bool {
        self.is_sequential
    }

    fn block<'a>(&'a self, rows: Range<u64>, buffer: &'a mut BlockBuffer) -> Result<Block<'a>> {
        if rows.start > rows.end || rows.end > self.n_rows {
            let message = format!("{}..{} of a source of {} rows", rows.start, rows.end, self.n_rows);
            return Err(Error::argument("rows", message));
        }
        let n_rows = (rows.end - rows.start) as usize;
        let mut has_weights = false;
        if n_rows == 0 {
            *buffer = BlockBuffer::default();
        } else {
            has_weights = match Python::attach(|py| self.copy(py, &rows, buffer)) {
                Ok(copied) => copied.map_err(|error| self.located(error, rows.start))?,
                Err(exception) => {
                    *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(exception);
                    return Err(Error::Cancelled);
                }
            };
        }
        let weight = has_weights.then_some(&buffer.weight[..]);
        let block = Block { x: &buffer.x, y: &buffer.y, weight, n_features: self.n_columns, n_rows };
        self.fingerprints.check(rows.start, &block, &self.origin)?;
        Ok(block)
    }
}

impl RowReader {
    /// An error about a block that starts at `first_row` as one about all rows.
    fn located(&self, error: Error, first_row: u64) -> Error {
        match error {
            Error::Data { source_name, message, row, column } => {
                let row = row.map(|row| first_row + row);
                Error::Data { source_name: format!("{}, {source_name}", self.origin), message, row, column }
            }
            other => other,
        }
    }
}

fn dtype_name(is_single_precision: bool) -> &'static str {
    if is_single_precision { "float32" } else { "float64" }
}

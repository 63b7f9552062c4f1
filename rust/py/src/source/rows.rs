//! Rows that a Python function reads, as a source.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use relunet_core::block::{Block, BlockBuffer};
use relunet_core::error::{Error, Result};
use relunet_core::source::{Fingerprints, Source};

use super::{ArraySource, Rows, dtype_name, read};

/// Rows that a Python function reads, as a source.
#[pyclass(frozen, module = "relunet._relunet")]
pub struct RowReader {
    /// Called with the first row and the end of a range; returns inputs, labels or None, weights or None.
    read: Py<PyAny>,
    origin: String,
    /// Names of the columns, for messages; empty where they have none.
    names: Vec<String>,
    n_rows: u64,
    n_columns: usize,
    is_single_precision: bool,
    n_outputs: usize,
    is_sequential: bool,
    fingerprints: Fingerprints,
    /// What the function raised: it passes through the core as an interruption.
    pub(super) raised: Mutex<Option<PyErr>>,
}

#[pymethods]
impl RowReader {
    #[new]
    #[pyo3(signature = (read, origin, *, n_rows, n_columns, single, n_outputs, sequential, names=None))]
    #[allow(clippy::fn_params_excessive_bools, clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        read: Py<PyAny>,
        origin: String,
        n_rows: u64,
        n_columns: usize,
        single: bool,
        n_outputs: usize,
        sequential: bool,
        names: Option<Vec<String>>,
    ) -> Self {
        Self {
            read,
            origin,
            names: names.unwrap_or_default(),
            n_rows,
            n_columns,
            is_single_precision: single,
            n_outputs,
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
        self.n_outputs > 0
    }

    /// Number of labels of each row.
    #[getter]
    fn n_outputs(&self) -> usize {
        self.n_outputs
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
        let arrays = ArraySource { x, y, weight, names: Vec::new(), label_names: Vec::new() };
        let borrowed = arrays.borrow(py)?;
        Ok(borrowed.source().map(|source| source.with_names(&self.names)).and_then(|source| {
            let mut scratch = BlockBuffer::default();
            let n_rows = rows.end - rows.start;
            let (found, expected) = ((source.n_rows(), source.n_features()), (n_rows, self.n_columns));
            if found != expected {
                return Err(Error::data("X", format!("{found:?} where {expected:?} was expected")));
            }
            if source.n_outputs() != self.n_outputs {
                let message = format!("{} labels a row where {} were expected", source.n_outputs(), self.n_outputs);
                return Err(Error::data("y", message));
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

    fn n_outputs(&self) -> usize {
        self.n_outputs
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
        let (n_features, n_outputs) = (self.n_columns, self.n_outputs);
        let block = Block { x: &buffer.x, y: &buffer.y, weight, n_features, n_outputs, n_rows };
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

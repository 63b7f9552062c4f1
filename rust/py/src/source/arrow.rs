//! Arrow streams, which the PyCapsule protocol hands over.

use std::sync::{Mutex, PoisonError};

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use relunet_core::source;

use super::table::{ColumnArgument, TableSource, TargetArgument, wanted};
use crate::error::to_python;

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
        target: Option<TargetArgument>,
        columns: Option<Vec<ColumnArgument>>,
        weight: Option<ColumnArgument>,
    ) -> PyResult<Self> {
        let py = capsule.py();
        let stream = capsule.pointer_checked(Some(c"arrow_array_stream"))?.cast::<FFI_ArrowArrayStream>();
        let wanted = wanted(target, columns, weight);
        // SAFETY: a capsule of this name holds a valid stream, by the protocol. It is moved out, and what is left in
        // its place is one that is released already, so that the capsule does not release it again.
        let stream = unsafe { FFI_ArrowArrayStream::from_raw(stream.as_ptr()) };
        let opened = py.detach(|| source::ArrowStream::open(stream, &wanted, origin));
        opened.map(|stream| Self(Mutex::new(stream))).map_err(|error| to_python(py, error))
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
        let columns = table.columns();
        let is_single_precision = table.is_single_precision();
        Self { source: Box::new(table), columns, is_single_precision }
    }
}

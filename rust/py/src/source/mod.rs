//! Sources as Python objects, a file each, and the way from such an object to the source that a sweep reads.

mod array;
mod arrow;
mod npy;
mod rows;
mod table;

use std::sync::PoisonError;

use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::marker::Ungil;
use pyo3::prelude::*;
use relunet_core::block::BlockBuffer;
use relunet_core::error::{Error, Result};
use relunet_core::source::Source;

pub use array::ArraySource;
pub use arrow::ArrowStream;
pub use npy::NpySource;
pub use rows::RowReader;
pub use table::{TableSource, open_csv, open_parquet};

use crate::error::to_python;

/// What `read` returns: inputs, labels and weights.
type Rows<'py> = (Bound<'py, PyArray2<f64>>, Option<Bound<'py, PyAny>>, Option<Bound<'py, PyArray1<f64>>>);

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
        let array = array.get();
        let borrowed = array.borrow(py)?;
        let source = borrowed
            .source()
            .map_err(|error| to_python(py, error))?
            .with_names(&array.names)
            .with_label_names(&array.label_names);
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
        let shape = [block.n_rows, block.n_features, block.n_outputs];
        let y = source.has_labels().then(|| block.y.to_vec());
        Ok((block.x.to_vec(), shape, y, block.weight.map(<[f64]>::to_vec)))
    })?;
    let vector = |values: Vec<f64>| PyArray1::from_vec(py, values);
    let [n_rows, n_features, n_outputs] = shape;
    // One label a row is a vector.
    let y = match y.map(vector) {
        Some(y) if n_outputs > 1 => Some(y.reshape([n_rows, n_outputs])?.into_any()),
        y => y.map(Bound::into_any),
    };
    Ok((vector(x).reshape([n_rows, n_features])?, y, weight.map(vector)))
}

fn dtype_name(is_single_precision: bool) -> &'static str {
    if is_single_precision { "float32" } else { "float64" }
}

//! Tables with named columns as a source: Parquet, CSV, and whatever speaks Arrow.

use std::path::PathBuf;

use pyo3::prelude::*;
use relunet_core::control::Control;
use relunet_core::source::{ColumnRef, CsvFormat, CsvSource, ParquetSource, Source, TableFile, Wanted};

use super::{Rows, dtype_name, read};
use crate::error::to_python;
use crate::interrupt::{abandonable, watched};

/// A column, by its number or its name.
#[derive(FromPyObject)]
pub enum ColumnArgument {
    Index(i64),
    Name(String),
}

/// One column of labels, or several.
#[derive(FromPyObject)]
pub enum TargetArgument {
    One(ColumnArgument),
    Several(Vec<ColumnArgument>),
}

impl From<ColumnArgument> for ColumnRef {
    fn from(column: ColumnArgument) -> Self {
        match column {
            ColumnArgument::Index(index) => Self::Index(index),
            ColumnArgument::Name(name) => Self::Name(name),
        }
    }
}

pub(super) fn wanted(
    target: Option<TargetArgument>,
    columns: Option<Vec<ColumnArgument>>,
    weight: Option<ColumnArgument>,
) -> Wanted {
    let target = match target {
        None => Vec::new(),
        Some(TargetArgument::One(column)) => vec![column.into()],
        Some(TargetArgument::Several(columns)) => columns.into_iter().map(Into::into).collect(),
    };
    Wanted {
        target,
        columns: columns.map(|columns| columns.into_iter().map(Into::into).collect()),
        weight: weight.map(Into::into),
    }
}

/// A file: its path, and the columns and values that the names of its folders tell.
type FileArgument = (PathBuf, Vec<(String, String)>);

fn table_files(files: Vec<FileArgument>) -> Vec<TableFile> {
    files.into_iter().map(|(path, keys)| TableFile { path, keys }).collect()
}

/// A table with named columns as a source.
#[pyclass(frozen, module = "relunet._relunet")]
pub struct TableSource {
    pub(super) source: Box<dyn Source + Send>,
    pub(super) columns: Vec<String>,
    pub(super) is_single_precision: bool,
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

    /// Number of labels of each row.
    #[getter]
    fn n_outputs(&self) -> usize {
        self.source.n_outputs()
    }

    /// Whether rows can be had at little cost only in their order.
    #[getter]
    fn is_sequential(&self) -> bool {
        self.source.is_sequential()
    }

    /// The rows `start..stop` in double precision: inputs, labels or None, weights or None.
    fn read<'py>(slf: &Bound<'py, Self>, start: u64, stop: u64) -> PyResult<Rows<'py>> {
        read(slf.as_any(), start, stop)
    }
}

/// Parquet files, one after another, as a source.
#[pyfunction]
#[pyo3(signature = (files, *, target=None, columns=None, weight=None))]
pub fn open_parquet(
    py: Python<'_>,
    files: Vec<FileArgument>,
    target: Option<TargetArgument>,
    columns: Option<Vec<ColumnArgument>>,
    weight: Option<ColumnArgument>,
) -> PyResult<TableSource> {
    let (files, wanted) = (table_files(files), wanted(target, columns, weight));
    // the library parses a footer in one piece, which may take seconds
    let opened = abandonable(py, None, move |control| ParquetSource::open(&files, &wanted, control))?;
    let source = opened.map_err(|error| to_python(py, error))?;
    let columns = source.columns();
    let is_single_precision = source.is_single_precision();
    Ok(TableSource { source: Box::new(source), columns, is_single_precision })
}

/// CSV files, one after another, as a source; without names, the first row of each file has them.
#[pyfunction]
#[pyo3(signature = (files, delimiter, names=None, header=None, *, target=None, columns=None, weight=None))]
#[allow(clippy::too_many_arguments, reason = "keywords of Python")]
pub fn open_csv(
    py: Python<'_>,
    files: Vec<FileArgument>,
    delimiter: u8,
    names: Option<Vec<String>>,
    header: Option<bool>,
    target: Option<TargetArgument>,
    columns: Option<Vec<ColumnArgument>>,
    weight: Option<ColumnArgument>,
) -> PyResult<TableSource> {
    let (files, wanted) = (table_files(files), wanted(target, columns, weight));
    let format = CsvFormat { delimiter, names, header };
    let control = Control::default();
    let opened = py.detach(|| watched(&control, None, || CsvSource::open(&files, &wanted, &format, &control)))?;
    let source = opened.map_err(|error| to_python(py, error))?;
    let columns = source.columns();
    Ok(TableSource { source: Box::new(source), columns, is_single_precision: false })
}

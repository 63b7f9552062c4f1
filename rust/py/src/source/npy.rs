//! `.npy` files as a source.

use std::path::PathBuf;

use pyo3::prelude::*;
use relunet_core::source::{self, Source, Weights};

use super::{Rows, dtype_name, read};
use crate::error::to_python;

/// `.npy` files as a source.
#[pyclass(frozen, module = "relunet._relunet")]
pub struct NpySource(pub(super) source::NpySource);

/// Where weights are: a column of the inputs' files, or files.
#[derive(FromPyObject)]
enum WeightsArgument {
    Column(i64),
    Files(Vec<PathBuf>),
}

/// One column of labels, or several.
#[derive(FromPyObject)]
enum TargetArgument {
    One(i64),
    Several(Vec<i64>),
}

#[pymethods]
impl NpySource {
    #[new]
    #[pyo3(signature = (x_paths, y_paths=None, *, target=None, columns=None, weight=None))]
    fn new(
        py: Python<'_>,
        x_paths: Vec<PathBuf>,
        y_paths: Option<Vec<PathBuf>>,
        target: Option<TargetArgument>,
        columns: Option<Vec<i64>>,
        weight: Option<WeightsArgument>,
    ) -> PyResult<Self> {
        let weight = weight.map(|weight| match weight {
            WeightsArgument::Column(column) => Weights::Column(column),
            WeightsArgument::Files(paths) => Weights::Files(paths),
        });
        let target = target.map(|target| match target {
            TargetArgument::One(column) => vec![column],
            TargetArgument::Several(columns) => columns,
        });
        let (y, target, columns) = (y_paths.as_deref(), target.as_deref(), columns.as_deref());
        py.detach(|| source::NpySource::open(&x_paths, y, target, columns, weight.as_ref()))
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

    /// Columns of the files that are the inputs, counted from 0.
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

    /// Number of labels of each row.
    #[getter]
    fn n_outputs(&self) -> usize {
        self.0.n_outputs()
    }

    /// The rows `start..stop` in double precision: inputs, labels or None, weights or None.
    fn read<'py>(slf: &Bound<'py, Self>, start: u64, stop: u64) -> PyResult<Rows<'py>> {
        read(slf.as_any(), start, stop)
    }
}

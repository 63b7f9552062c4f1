//! Conversion of errors of the core to the exceptions of `relunet.errors`.

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use relunet_core::error::Error;

use crate::python;

/// Converts an error of the core to a Python exception.
pub fn to_python(py: Python<'_>, error: Error) -> PyErr {
    let class = match &error {
        Error::Argument { .. } => "ArgumentError",
        Error::Data { .. } => "DataError",
        Error::File { .. } => "FileError",
        Error::Numerical(_) => "NumericalError",
        Error::Cancelled => return PyKeyboardInterrupt::new_err(()),
    };
    python::exception(py, class, error.to_string())
}

//! Conversion of errors of the core to the exceptions of `relunet.errors`.

use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError};
use pyo3::prelude::*;
use relunet_core::error::Error;
use relunet_core::memory;

use crate::python;

/// Converts an error of the core to a Python exception.
pub fn to_python(py: Python<'_>, error: Error) -> PyErr {
    let class = match &error {
        Error::Argument { .. } => "ArgumentError",
        Error::Data { .. } => "DataError",
        Error::File { .. } => "FileError",
        Error::Numerical(_) => "NumericalError",
        Error::Memory { .. } => return PyMemoryError::new_err(error.to_string()),
        Error::Cancelled if memory::is_short() => {
            return PyMemoryError::new_err("not enough memory: the computation was ended");
        }
        Error::Cancelled => return PyKeyboardInterrupt::new_err(()),
    };
    python::exception(py, class, error.to_string())
}

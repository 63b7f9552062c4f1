//! All calls from Rust into the Python package: construction of its exceptions and of sources from arrays.

use pyo3::prelude::*;

/// Constructs an exception of `relunet.errors`.
pub fn exception(py: Python<'_>, class: &str, message: String) -> PyErr {
    let build = || py.import("relunet.errors")?.getattr(class)?.call1((message,));
    match build() {
        Ok(exception) => PyErr::from_value(exception),
        Err(missing) => missing,
    }
}

/// Returns the source of `relunet.samples.scan_array`, which checks and converts array-likes.
pub fn array_source<'py>(
    x: &Bound<'py, PyAny>,
    y: Option<&Bound<'py, PyAny>>,
    sample_weight: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    x.py().import("relunet.samples")?.call_method1("scan_array", (x, y, sample_weight))?.getattr("source")
}

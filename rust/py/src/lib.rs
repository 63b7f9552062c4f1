//! The compiled module `relunet._relunet`.
mod error;

use pyo3::prelude::*;

/// The compiled module.
#[pymodule]
mod _relunet {}

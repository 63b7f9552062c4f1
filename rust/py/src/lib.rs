//! The compiled module `relunet._relunet`.
mod error;
mod lm;
mod source;

use pyo3::prelude::*;

/// The compiled module.
#[pymodule]
mod _relunet {
    #[pymodule_export]
    use super::lm::search;
    #[pymodule_export]
    use super::source::{ArraySource, NpySource};
}

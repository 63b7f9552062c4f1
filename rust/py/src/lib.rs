//! The compiled module `relunet._relunet`.
mod error;
mod gaussian;
mod network;

use pyo3::prelude::*;

/// The compiled module.
#[pymodule]
mod _relunet {
    #[pymodule_export]
    use crate::gaussian::{gaussian_distance, gaussian_inner, neuron_distances};
    #[pymodule_export]
    use crate::network::predict;
}

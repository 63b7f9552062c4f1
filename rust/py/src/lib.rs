//! The compiled module `relunet._relunet`.

mod error;
mod gaussian;
mod interrupt;
mod linalg;
mod moments;
mod network;
mod python;
mod run;
mod search;
mod source;

use pyo3::prelude::*;
use relunet_core::memory::Reserve;

#[global_allocator]
static ALLOCATOR: Reserve = Reserve;

/// The compiled module.
#[pymodule]
mod _relunet {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::gaussian::{
        conditional_mean, gaussian_distance, gaussian_inner, gradient_moment, neuron_distances, sobol,
    };
    #[pymodule_export]
    use crate::interrupt::bound_threads;
    #[pymodule_export]
    use crate::linalg::{eigh, lstsq, matmul, solve_spd, svd};
    #[pymodule_export]
    use crate::network::predict;
    #[pymodule_export]
    use crate::run::sweep;
    #[pymodule_export]
    use crate::search::{search, search_directly, search_wide};
    #[pymodule_export]
    use crate::source::{ArraySource, ArrowStream, NpySource, RowReader, TableSource, open_csv, open_parquet};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // Without room for the reserve the package works without one.
        let _ = relunet_core::memory::restore();
        crate::moments::register(module)
    }
}

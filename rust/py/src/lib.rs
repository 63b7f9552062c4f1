//! The compiled module `relunet._relunet`.
mod error;
mod linalg;
mod moments;
mod network;
mod source;
mod sweep;

use pyo3::prelude::*;

/// The compiled module.
#[pymodule]
mod _relunet {
    #[pymodule_export]
    use super::linalg::{eigh, lstsq, matmul, solve_spd, svd};
    #[pymodule_export]
    use super::moments::{
        Accumulator, ContractionMoments, CurvatureMoments, GradientMoments, InputMoments, RiskMoments, RowSample,
        SliceMoments,
    };
    #[pymodule_export]
    use super::source::{ArraySource, NpySource};
    #[pymodule_export]
    use super::sweep::sweep;
}

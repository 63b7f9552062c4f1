//! Streaming moments, subspaces and fits of one-hidden-layer ReLU networks.
//!
//! A [`Source`] provides rows of inputs, labels and weights, [`sweep`](fn@sweep) reads all of them once on several
//! threads, and accumulators, the variants of [`Moments`], sum functions of the rows. The other modules are the search
//! for neurons in a subspace, evaluation of networks, Gaussian expectations and linear algebra. This crate does not
//! depend on Python.
//!
//! # Examples
//!
//! The mean of the rows of an array:
//!
//! ```
//! use ndarray::array;
//! use relunet_core::{ArraySource, Control, InputMoments, Matrix, Moments, sweep};
//!
//! let x = array![[0.0, 1.0], [2.0, 3.0]];
//! let source = ArraySource::new(Matrix::F64(x.view()), None, None)?;
//! let mut accumulators = [Moments::from(InputMoments::new(2, 1)?)];
//! let n_rows = sweep(&source, &mut accumulators, None, &Control::default())?;
//! assert_eq!(n_rows, 2);
//! let [Moments::Input(moments)] = &accumulators else { unreachable!() };
//! assert_eq!(moments.mean()[..2], [1.0, 2.0]); // the last entry is the mean of the label
//! # Ok::<(), relunet_core::Error>(())
//! ```

pub mod block;
pub mod control;
pub mod error;
pub mod gaussian;
pub mod gram;
pub mod hermite;
pub mod linalg;
pub mod memory;
pub mod moments;
pub mod network;
pub mod search;
mod simd;
pub mod skinny;
pub mod source;
pub mod sweep;
mod validity;

pub use block::{Block, BlockBuffer};
pub use control::Control;
pub use error::{Error, Result};
pub use moments::{
    ContractionMoments, CurvatureMoments, GradientMoments, InputMoments, Moments, RiskMoments, RowSample,
    SketchMoments, SliceMoments,
};
pub use network::{Network, NetworkView};
pub use source::{ArraySource, Matrix, Source, Vector};
pub use sweep::{Checkpoint, resumable_sweep, sweep};

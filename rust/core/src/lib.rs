//! Streaming Hermite moments, contractions and fits of one-hidden-layer ReLU networks.

pub mod block;
pub mod error;
pub mod gram;
pub mod linalg;
pub mod simd;
pub mod skinny;
pub mod source;

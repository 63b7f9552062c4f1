//! Streaming Hermite moments, contractions and fits of one-hidden-layer ReLU networks.

pub mod block;
pub mod control;
pub mod error;
pub mod gaussian;
pub mod gram;
pub mod hermite;
pub mod linalg;
pub mod moments;
pub mod network;
pub mod search;
mod simd;
pub mod skinny;
pub mod source;
pub mod sweep;
mod validity;

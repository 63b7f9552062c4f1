//! Streaming Hermite moments, contractions and fits of one-hidden-layer ReLU networks.

pub mod block;
pub mod error;
pub mod gaussian;
pub mod network;
pub mod source;

//! A block of consecutive rows, the unit in which every source is read and every accumulator is updated.

/// Consecutive rows of a source, in double precision, contiguous and row-major.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Inputs, `(n_rows, n_features)` row-major.
    pub x: &'a [f64],
    /// Labels, `n_rows` of them; empty where the source has none.
    pub y: &'a [f64],
    /// Weights of the rows, where they are not all one.
    pub weight: Option<&'a [f64]>,
    /// Number of input columns.
    pub n_features: usize,
    /// Number of rows.
    pub n_rows: usize,
}

/// Memory that a source may copy a block into; reused from block to block by one worker.
#[derive(Default, Debug)]
pub struct BlockBuffer {
    /// Room for the inputs.
    pub x: Vec<f64>,
    /// Room for the labels.
    pub y: Vec<f64>,
    /// Room for the weights.
    pub weight: Vec<f64>,
    /// Room for undecoded bytes.
    pub bytes: Vec<u8>,
}

//! Blocks of consecutive rows, the unit in which sources are read and accumulators are updated.

/// Consecutive rows of a source, in double precision, contiguous and row-major.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Inputs, `(n_rows, n_features)` row-major.
    pub x: &'a [f64],
    /// Labels, `(n_rows, n_outputs)` row-major; empty if the source has none.
    pub y: &'a [f64],
    /// Weights of the rows; `None` if all are 1.
    pub weight: Option<&'a [f64]>,
    /// Number of input columns.
    pub n_features: usize,
    /// Number of labels of each row.
    pub n_outputs: usize,
    /// Number of rows.
    pub n_rows: usize,
}

/// Buffers into which a source may copy a block; each worker reuses its own.
#[derive(Default, Debug)]
pub struct BlockBuffer {
    /// Buffer for the inputs.
    pub x: Vec<f64>,
    /// Buffer for the labels.
    pub y: Vec<f64>,
    /// Buffer for the weights.
    pub weight: Vec<f64>,
    /// Buffer for undecoded bytes.
    pub bytes: Vec<u8>,
}

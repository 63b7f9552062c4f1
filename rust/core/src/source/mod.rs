//! Where rows come from: anything that can hand out any range of rows, again and again, from many threads.

use std::ops::Range;

use crate::block::{Block, BlockBuffer};
use crate::error::Result;

/// A re-readable table of inputs, labels and weights.
///
/// Blocks are requested by absolute row, so that every source gives the same blocks for the same data.
pub trait Source: Sync {
    /// Number of rows.
    fn n_rows(&self) -> u64;
    /// Number of input columns.
    fn n_features(&self) -> usize;
    /// Whether rows carry labels.
    fn has_labels(&self) -> bool;
    /// The rows `rows`, finite throughout: borrowed where the layout allows, else copied into `buffer`.
    ///
    /// # Errors
    /// Rows that cannot be read, and entries that are NaN or infinite, named by row and column.
    fn block<'a>(&'a self, rows: Range<u64>, buffer: &'a mut BlockBuffer) -> Result<Block<'a>>;
}

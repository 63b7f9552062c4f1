//! Sources of rows: arrays, Arrow tables and files behind one trait that reads any range of rows from any thread.

mod array;
mod arrow;
mod columns;
mod csv;
mod cursors;
mod fingerprints;
mod gzip;
mod npy;
mod numbers;
mod pandas;
mod panics;
mod parquet;
mod stable_file;
mod table_file;

use std::ops::Range;

pub use array::{ArraySource, Matrix, Vector};
pub use arrow::{ArrowStream, ArrowTable};
pub use columns::{ColumnRef, Wanted};
pub use csv::{CsvFormat, CsvSource};
pub use fingerprints::Fingerprints;
pub use npy::{NpySource, Weights};
pub use parquet::ParquetSource;
pub use table_file::TableFile;

use crate::block::{Block, BlockBuffer};
use crate::error::{Error, Result};

/// A re-readable table of inputs, labels and weights.
///
/// Blocks are requested by absolute row, so that every source gives the same blocks for the same data.
pub trait Source: Sync {
    /// Number of rows.
    fn n_rows(&self) -> u64;
    /// Number of input columns.
    fn n_features(&self) -> usize;
    /// Number of labels of each row; 0 if rows have none.
    fn n_outputs(&self) -> usize;
    /// Whether rows have labels.
    fn has_labels(&self) -> bool {
        self.n_outputs() > 0
    }
    /// Whether reading blocks in order is much cheaper than in any other order; one thread then reads them in order.
    fn is_sequential(&self) -> bool {
        false
    }
    /// Returns `rows` after checking that all values are finite. They are borrowed if the layout allows it and are
    /// otherwise copied into `buffer`.
    ///
    /// # Errors
    /// Rows that cannot be read, and values that are NaN or infinite, which are named by row and column.
    fn block<'a>(&'a self, rows: Range<u64>, buffer: &'a mut BlockBuffer) -> Result<Block<'a>>;
    /// Returns the inputs of `rows` if they lie in memory as [`Source::block`] would lend them, for prefetching. Nothing
    /// is checked, and an empty slice is always a valid answer.
    fn in_memory(&self, _rows: Range<u64>) -> &[f64] {
        &[]
    }
    /// Releases buffers that are kept for reading on, at the end of a sweep.
    fn release(&self) {}
}

/// The path of the first file, which stands for the whole table in messages.
fn first_of(files: &[TableFile]) -> Result<String> {
    match files.first() {
        Some(file) => Ok(file.path.display().to_string()),
        None => Err(Error::argument("path", "no files")),
    }
}

/// The error for a table without rows.
fn no_rows(origin: String) -> Error {
    Error::data(origin, "0 rows; at least 1 is needed")
}

/// Converts `rows` to indices after checking that they lie within `0..n_rows`.
fn row_range(rows: &Range<u64>, n_rows: u64) -> Result<Range<usize>> {
    match (usize::try_from(rows.start), usize::try_from(rows.end)) {
        (Ok(start), Ok(end)) if start <= end && rows.end <= n_rows => Ok(start..end),
        _ => Err(Error::argument("rows", format!("{}..{} of a source of {n_rows} rows", rows.start, rows.end))),
    }
}

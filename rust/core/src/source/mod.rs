//! Where rows come from: anything that can hand out any range of rows, again and again, from many threads.

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
    /// Whether rows carry labels.
    fn has_labels(&self) -> bool;
    /// Whether rows can be had at little cost only one block after another: then one thread asks for them, in order.
    fn is_sequential(&self) -> bool {
        false
    }
    /// The rows `rows`, finite throughout: borrowed where the layout allows, else copied into `buffer`.
    ///
    /// # Errors
    /// Rows that cannot be read, and entries that are NaN or infinite, named by row and column.
    fn block<'a>(&'a self, rows: Range<u64>, buffer: &'a mut BlockBuffer) -> Result<Block<'a>>;
    /// The inputs of `rows` where they lie in memory as [`Source::block`] would lend them, for them to be fetched into the
    /// cache beforehand; nothing is checked, and empty is always an answer.
    fn ahead(&self, _rows: Range<u64>) -> &[f64] {
        &[]
    }
    /// Says that no rows are asked for until further notice: memory that is kept for reading onwards may go.
    fn rest(&self) {}
}

/// The first of some files, by which the table that they make is called in messages.
fn first_of(files: &[TableFile]) -> Result<String> {
    match files.first() {
        Some(file) => Ok(file.path.display().to_string()),
        None => Err(Error::argument("path", "no files")),
    }
}

/// What is wrong with a table without rows.
fn no_rows(origin: String) -> Error {
    Error::data(origin, "0 rows; at least 1 is needed")
}

/// `rows` as indices, once they are known to lie within `0..n_rows`.
fn row_range(rows: &Range<u64>, n_rows: u64) -> Result<Range<usize>> {
    match (usize::try_from(rows.start), usize::try_from(rows.end)) {
        (Ok(start), Ok(end)) if start <= end && rows.end <= n_rows => Ok(start..end),
        _ => Err(Error::argument("rows", format!("{}..{} of a source of {n_rows} rows", rows.start, rows.end))),
    }
}

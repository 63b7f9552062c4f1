//! The readers that are fuzzed: how each reads an input, what it may hold, and which errors it may return.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use relunet_core::block::{Block, BlockBuffer};
use relunet_core::control::Control;
use relunet_core::error::{Error, Result};
use relunet_core::moments::{InputMoments, Moments};
use relunet_core::source::{ColumnRef, CsvFormat, CsvSource, NpySource, ParquetSource, Source, TableFile, Wanted};
use relunet_core::sweep::{Checkpoint, resumable_sweep};

/// A reader, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Accumulator,
    Checkpoint,
    Npy,
    Csv,
    Parquet,
}

impl Target {
    pub const ALL: [(&'static str, Self); 5] = [
        ("accumulator", Self::Accumulator),
        ("checkpoint", Self::Checkpoint),
        ("npy", Self::Npy),
        ("csv", Self::Csv),
        ("parquet", Self::Parquet),
    ];

    /// Repairs the checksum or the marks of a mutated file, which would otherwise be refused at once.
    pub fn repair(self, bytes: &mut [u8]) {
        match self {
            Self::Accumulator | Self::Checkpoint if bytes.len() > 24 => {
                let end = bytes.len() - 8;
                bytes[..8].copy_from_slice(b"RELUNETm");
                let sum = checksum(&bytes[..end]).to_le_bytes();
                bytes[end..].copy_from_slice(&sum);
            }
            Self::Parquet if bytes.len() > 12 => {
                let end = bytes.len();
                bytes[..4].copy_from_slice(b"PAR1");
                bytes[end - 4..].copy_from_slice(b"PAR1");
            }
            _ => {}
        }
    }

    /// Bytes that the reader may hold for a file of `n` bytes.
    ///
    /// Every reader has buffers of a fixed size beside a multiple of the file. A page of Parquet may hold 16 MiB
    /// uncompressed whatever its compressed size, and is held twice while it is decoded.
    pub fn allowed(self, n: usize) -> usize {
        match self {
            Self::Accumulator => 64 * n + (1 << 16),
            // the sweep that resumes has blocks of its own
            Self::Checkpoint => 64 * n + (1 << 20),
            Self::Npy => 64 * n + (1 << 17),
            Self::Csv => 64 * n + (1 << 20),
            Self::Parquet => 512 * n + (5 << 24),
        }
    }

    /// Reads the file as a sweep would.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn read(self, path: &Path, bytes: &[u8]) -> Result<()> {
        let paths = [TableFile::from(path)];
        let wanted = Wanted { target: vec![ColumnRef::Index(-1)], ..Wanted::default() };
        match self {
            Self::Accumulator => {
                let mut moments = Moments::from_bytes(bytes)?;
                let again = Moments::from_bytes(&moments.to_bytes())?;
                moments.merge(&again)
            }
            Self::Checkpoint => {
                let mut sums = [InputMoments::new(2, 1)?.into()];
                let checkpoint =
                    Checkpoint { path: path.into(), every: Duration::from_secs(3600), identity: b"fuzz".to_vec() };
                resumable_sweep(&Rows, &mut sums, Some(1), &Control::default(), Some(&checkpoint)).map(drop)
            }
            Self::Npy => all_rows(&NpySource::open(&[path.into()], None, Some(&[-1]), None, None)?),
            Self::Csv => {
                let format = CsvFormat { delimiter: b',', names: None, header: None };
                all_rows(&CsvSource::open(&paths, &wanted, &format, &Control::default())?)
            }
            Self::Parquet => all_rows(&ParquetSource::open(&paths, &wanted, &Control::default())?),
        }
    }
}

/// Whether an error is one that a file may cause.
pub fn is_allowed(error: &Error) -> bool {
    !matches!(error, Error::Cancelled | Error::Numerical(_))
}

/// Most rows that are read: a small file may hold very many equal rows.
const MAX_ROWS: u64 = 1 << 14;

fn all_rows(source: &dyn Source) -> Result<()> {
    let mut buffer = BlockBuffer::default();
    let step = (1 << 16) / source.n_features().max(1) as u64 + 1;
    let end = source.n_rows().min(MAX_ROWS.min(64 * step));
    let mut row = 0;
    while row < end {
        let next = end.min(row + step);
        source.block(row..next, &mut buffer)?;
        row = next;
    }
    // Another thread would start in the middle.
    source.block(end / 2..end.min(end / 2 + step), &mut buffer).map(drop)
}

/// The rows of the sweep whose checkpoint is read.
struct Rows;

impl Source for Rows {
    fn n_rows(&self) -> u64 {
        9000
    }

    fn n_features(&self) -> usize {
        2
    }

    fn n_outputs(&self) -> usize {
        0
    }

    fn block<'a>(&'a self, rows: std::ops::Range<u64>, buffer: &'a mut BlockBuffer) -> Result<Block<'a>> {
        let n_rows = (rows.end - rows.start) as usize;
        buffer.x.clear();
        buffer.x.extend((2 * rows.start..2 * rows.end).map(|i| i as f64));
        Ok(Block { x: &buffer.x, y: &[], weight: None, n_features: 2, n_outputs: 0, n_rows })
    }
}

/// Replaces what a file holds, in place.
///
/// # Errors
/// Those of the system.
pub fn overwrite(file: &File, bytes: &[u8]) -> std::io::Result<()> {
    file.set_len(bytes.len() as u64)?;
    file.write_all_at(bytes, 0)
}

/// FNV-1a over 64-bit words, as stored accumulators have it.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0xcbf2_9ce4_8422_2325, |sum, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23)
    })
}

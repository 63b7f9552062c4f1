//! Parquet files read by position: their footers, and panics of the decoder over damaged bytes as errors.

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Once};

use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use ::parquet::file::reader::{ChunkReader, Length};
use bytes::Bytes;

use super::ParquetResult;
use crate::error::{Error, Result};
use crate::source::stable_file::StableFile;

/// First and last bytes of every Parquet file.
const MAGIC: &[u8; 4] = b"PAR1";
/// First and last bytes of a file whose footer is encrypted.
const ENCRYPTED: &[u8; 4] = b"PARE";
const ENCRYPTION: &str = "is encrypted, which cannot be read here; read it with pyarrow and its keys, \
                          and pass the table to scan_arrow";

/// What the footer of a file says of its row groups and columns.
pub(super) fn read_metadata(file: &Arc<StableFile>) -> Result<ParquetMetaData> {
    let refuse = |message: String| Error::file(file.path(), message);
    if file.n_bytes() == 0 {
        return Err(refuse("is empty; expected a Parquet file".into()));
    }
    for (offset, end) in [(0, "start"), (file.n_bytes().saturating_sub(4), "end")] {
        let mut magic = [0; 4];
        let n_read = file.read_at(&mut magic, offset)?;
        if magic == *ENCRYPTED {
            return Err(refuse(ENCRYPTION.into()));
        }
        if magic != *MAGIC {
            let cause = if end == "end" { "is truncated or damaged: it " } else { "" };
            let found = String::from_utf8_lossy(&magic[..n_read]).into_owned();
            return Err(refuse(format!(
                "{cause}does not {end} with the bytes PAR1 of a Parquet file, but with {found:?}"
            )));
        }
    }
    let metadata = guarded(
        file,
        || "footer: ".into(),
        || ParquetMetaDataReader::new().parse_and_finish(&PositionalFile(file.clone())),
    )?;
    let group_rows = metadata.row_groups().iter().map(|group| u64::try_from(group.num_rows()).ok());
    let n_rows = group_rows.into_iter().try_fold(0_u64, |sum, n_rows| sum.checked_add(n_rows?));
    let promised = metadata.file_metadata().num_rows();
    if n_rows.is_none() || n_rows != u64::try_from(promised).ok() {
        return Err(refuse(format!("footer: is damaged: its row groups do not add up to {promised} rows")));
    }
    Ok(metadata)
}

/// What `decode` returns, with errors and panics over damaged bytes as errors about `file`.
pub(super) fn guarded<T>(
    file: &StableFile,
    place: impl Fn() -> String,
    decode: impl FnOnce() -> ParquetResult<T>,
) -> Result<T> {
    let cause = match quietly(decode) {
        Ok(Ok(decoded)) => return Ok(decoded),
        Ok(Err(ParquetError::NYI(feature))) => format!("cannot be read: {feature}"),
        Ok(Err(error)) => format!("is damaged: {error}"),
        Err(_) => "is damaged: its bytes make no sense".to_owned(),
    };
    file.require_unchanged()?;
    Err(Error::file(file.path(), format!("{}{cause}", place())))
}

thread_local! {
    /// Whether this thread is decoding bytes over which the Parquet reader may panic.
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// What `decode` returns, or its panic, about which nothing is printed: it becomes an error.
fn quietly<T>(decode: impl FnOnce() -> T) -> std::thread::Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !DECODING.get() {
                usual(info);
            }
        }));
    });
    DECODING.set(true);
    // what a panic has left half done is never used again: the cursor is dropped
    let decoded = panic::catch_unwind(AssertUnwindSafe(decode));
    DECODING.set(false);
    decoded
}

/// A file that any number of threads read, each at its own positions.
pub(super) struct PositionalFile(pub(super) Arc<StableFile>);

/// The bytes of a file from a position on.
pub(super) struct FromPosition {
    file: Arc<StableFile>,
    offset: u64,
}

/// Bytes that are read ahead of a page header.
const HEADER_BYTES: usize = 256;

impl Length for PositionalFile {
    fn len(&self) -> u64 {
        self.0.n_bytes()
    }
}

impl ChunkReader for PositionalFile {
    type T = BufReader<FromPosition>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::with_capacity(HEADER_BYTES, FromPosition { file: self.0.clone(), offset: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let n_bytes = self.0.n_bytes();
        if start.checked_add(length as u64).is_none_or(|end| end > n_bytes) {
            return Err(ParquetError::EOF(format!("{length} bytes at byte {start} of a file of {n_bytes} bytes")));
        }
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, start).map_err(|error| ParquetError::External(Box::new(error)))?;
        Ok(bytes.into())
    }
}

impl Read for FromPosition {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let n_read = self.file.read_at(bytes, self.offset).map_err(io::Error::other)?;
        self.offset += n_read as u64;
        Ok(n_read)
    }
}

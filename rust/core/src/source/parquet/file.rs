//! Access to Parquet files by position, footers, and conversion of panics of the decoder over damaged bytes to errors.

use std::io::{self, Read};
use std::sync::Arc;

use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use ::parquet::file::reader::{ChunkReader, Length};
use bytes::Bytes;

use super::ParquetResult;
use super::thrift::{Fault, check_footer, check_page_header};
use crate::error::{Error, Result};
use crate::memory;
use crate::source::panics::quietly;
use crate::source::stable_file::StableFile;

/// First and last bytes of every Parquet file.
const MAGIC: &[u8; 4] = b"PAR1";
/// First and last bytes of a file whose footer is encrypted.
const ENCRYPTED: &[u8; 4] = b"PARE";
const ENCRYPTION: &str =
    "which cannot be read here; read the file with pyarrow and its keys, and pass the table to scan_arrow";

/// Reads the metadata of row groups and columns from the footer of a file.
pub(super) fn read_metadata(file: &Arc<StableFile>) -> Result<ParquetMetaData> {
    let refuse = |message: String| Error::file(file.path(), message);
    if file.n_bytes() == 0 {
        return Err(refuse("is empty; expected a Parquet file".into()));
    }
    for (offset, end) in [(0, "start"), (file.n_bytes().saturating_sub(4), "end")] {
        let mut magic = [0; 4];
        let n_read = file.read_at(&mut magic, offset)?;
        if magic == *ENCRYPTED {
            return Err(refuse(format!("is encrypted, {ENCRYPTION}")));
        }
        if magic != *MAGIC {
            let cause = if end == "end" { "is truncated or damaged: it " } else { "" };
            let found = String::from_utf8_lossy(&magic[..n_read]).into_owned();
            return Err(refuse(format!(
                "{cause}does not {end} with the bytes PAR1 of a Parquet file, but with {found:?}"
            )));
        }
    }
    let footer = read_footer(file)?;
    if let Err(fault) = check_footer(&footer) {
        if fault == Fault::Encrypted {
            return Err(refuse(format!("has encrypted columns, {ENCRYPTION}")));
        }
        return Err(refuse(format!("footer: is damaged: {}", described(fault))));
    }
    let metadata = guarded(file, || "footer: ".into(), || ParquetMetaDataReader::decode_metadata(&footer))?;
    let group_rows = metadata.row_groups().iter().map(|group| u64::try_from(group.num_rows()).ok());
    let n_rows = group_rows.into_iter().try_fold(0_u64, |sum, n_rows| sum.checked_add(n_rows?));
    let promised = metadata.file_metadata().num_rows();
    if n_rows.is_none() || n_rows != u64::try_from(promised).ok() {
        return Err(refuse(format!("footer: is damaged: its row groups do not add up to {promised} rows")));
    }
    Ok(metadata)
}

/// Number of bytes of the length of the footer and the mark after it.
const TAIL_BYTES: u64 = 8;

/// The bytes of the footer of a file that ends with the mark of a Parquet file.
fn read_footer(file: &StableFile) -> Result<Vec<u8>> {
    let mut tail = [0; TAIL_BYTES as usize];
    let end = file.n_bytes().saturating_sub(TAIL_BYTES);
    file.read_exact_at(&mut tail, end)?;
    let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    if length > end {
        let message = format!("footer: is damaged: {length} bytes, more than the {end} bytes before its length");
        return Err(Error::file(file.path(), message));
    }
    let mut footer = memory::filled(0_u8, length as usize)?;
    file.read_exact_at(&mut footer, end - length)?;
    Ok(footer)
}

fn described(fault: Fault) -> &'static str {
    match fault {
        Fault::Truncated => "it claims more than it holds",
        Fault::Refused(found) => found,
        Fault::Encrypted => "it is encrypted",
    }
}

/// Runs `decode`, with its errors and its panics over damaged bytes converted to errors about `file`.
pub(super) fn guarded<T>(
    file: &StableFile,
    place: impl Fn() -> String,
    decode: impl FnOnce() -> ParquetResult<T>,
) -> Result<T> {
    let cause = match quietly(decode) {
        Ok(Ok(decoded)) => return Ok(decoded),
        Ok(Err(error)) if missing_memory(&error).is_some() => {
            return Err(Error::Memory { n_bytes: missing_memory(&error).unwrap_or_default() });
        }
        Ok(Err(ParquetError::NYI(feature))) => format!("cannot be read: {feature}"),
        Ok(Err(error)) => format!("is damaged: {error}"),
        Err(_) => "is damaged: its bytes make no sense".to_owned(),
    };
    file.require_unchanged()?;
    Err(Error::file(file.path(), format!("{}{cause}", place())))
}

/// The number of bytes that could not be allocated, if that is the error.
fn missing_memory(error: &ParquetError) -> Option<usize> {
    let ParquetError::External(cause) = error else { return None };
    let inner = cause.downcast_ref::<io::Error>().and_then(|error| error.get_ref()?.downcast_ref::<Error>());
    match inner.or_else(|| cause.downcast_ref::<Error>())? {
        Error::Memory { n_bytes } => Some(*n_bytes),
        _ => None,
    }
}

/// A file that several threads read at different positions.
pub(super) struct PositionalFile(pub(super) Arc<StableFile>);

/// A reader of the header of the page at a position of a file.
///
/// The header is read and checked when its first byte is requested. No bytes beyond the header are returned.
pub(super) struct PageHeader {
    file: Arc<StableFile>,
    offset: u64,
    header: Option<Vec<u8>>,
    n_given: usize,
}

/// Number of bytes that are read first for a page header, whose length is not known.
const HEADER_BYTES: usize = 256;
/// Longest header of a page, which may hold the smallest and the largest value.
const MAX_HEADER_BYTES: usize = 1 << 24;

impl PageHeader {
    fn load(&self) -> io::Result<Vec<u8>> {
        let damaged = |found: &str| io::Error::other(format!("page header at byte {}: {found}", self.offset));
        let mut length = HEADER_BYTES;
        loop {
            let mut bytes = memory::filled(0_u8, length).map_err(io::Error::other)?;
            let n_read = self.file.read_at(&mut bytes, self.offset).map_err(io::Error::other)?;
            match check_page_header(&bytes[..n_read]) {
                Ok((n_bytes, uncompressed)) => {
                    memory::require(uncompressed as usize).map_err(io::Error::other)?;
                    bytes.truncate(n_bytes);
                    return Ok(bytes);
                }
                Err(Fault::Truncated) if n_read == length && length < MAX_HEADER_BYTES => length *= 4,
                Err(fault) => return Err(damaged(described(fault))),
            }
        }
    }
}

impl Length for PositionalFile {
    fn len(&self) -> u64 {
        self.0.n_bytes()
    }
}

impl ChunkReader for PositionalFile {
    type T = PageHeader;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(PageHeader { file: self.0.clone(), offset: start, header: None, n_given: 0 })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let n_bytes = self.0.n_bytes();
        if start.checked_add(length as u64).is_none_or(|end| end > n_bytes) {
            return Err(ParquetError::EOF(format!("{length} bytes at byte {start} of a file of {n_bytes} bytes")));
        }
        let external = |error| ParquetError::External(Box::new(error));
        let mut bytes = memory::filled(0_u8, length).map_err(external)?;
        self.0.read_exact_at(&mut bytes, start).map_err(external)?;
        Ok(bytes.into())
    }
}

impl Read for PageHeader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let header = match &mut self.header {
            Some(header) => header,
            None => {
                let header = self.load()?;
                self.header.insert(header)
            }
        };
        let left = header.get(self.n_given..).unwrap_or_default();
        let n_given = left.len().min(bytes.len());
        bytes[..n_given].copy_from_slice(&left[..n_given]);
        self.n_given += n_given;
        Ok(n_given)
    }
}

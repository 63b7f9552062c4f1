//! Text files, plain or compressed by gzip, read by position.
//!
//! Compressed text can be read onwards at little cost; to read an earlier position, it is decompressed from the start.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use super::stable_file::StableFile;
use crate::error::{Error, Result};

/// First bytes of a gzip file.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A text file, decompressed if needed.
pub(super) struct TextFile {
    file: Arc<StableFile>,
    gzip: Option<Gzip>,
}

impl TextFile {
    /// The text of a file; its first bytes tell whether it is compressed.
    pub(super) fn new(file: StableFile) -> Result<Self> {
        let mut start = [0; MAGIC.len()];
        let n_read = file.read_at(&mut start, 0)?;
        let file = Arc::new(file);
        let gzip = (start[..n_read] == MAGIC).then(|| Gzip::new(&file));
        Ok(Self { file, gzip })
    }

    pub(super) fn file(&self) -> &StableFile {
        &self.file
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.gzip.is_some()
    }

    /// Reads into `bytes` from the position `offset` of the text up to its end, and returns the number of bytes read.
    pub(super) fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> Result<usize> {
        let Some(gzip) = &mut self.gzip else {
            return self.file.read_at(bytes, offset);
        };
        if offset < gzip.offset {
            *gzip = Gzip::new(&self.file);
        }
        gzip.read_at(bytes, offset).map_err(|error| Error::file(self.file.path(), format!("is damaged: gzip: {error}")))
    }
}

impl fmt::Debug for TextFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextFile").field("file", &self.file).finish_non_exhaustive()
    }
}

/// A decompressor and its position in the text.
struct Gzip {
    decoder: MultiGzDecoder<BufReader<Compressed>>,
    offset: u64,
}

impl Gzip {
    fn new(file: &Arc<StableFile>) -> Self {
        let compressed = Compressed { file: file.clone(), offset: 0 };
        Self { decoder: MultiGzDecoder::new(BufReader::with_capacity(1 << 16, compressed)), offset: 0 }
    }

    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        while self.offset < offset {
            let most = usize::try_from(offset - self.offset).unwrap_or(usize::MAX).min(bytes.len());
            match self.decoder.read(&mut bytes[..most])? {
                0 => return Ok(0),
                n_read => self.offset += n_read as u64,
            }
        }
        let mut n_read = 0;
        while n_read < bytes.len() {
            match self.decoder.read(&mut bytes[n_read..])? {
                0 => break,
                n => n_read += n,
            }
        }
        self.offset += n_read as u64;
        Ok(n_read)
    }
}

/// A sequential reader of the bytes of a file.
struct Compressed {
    file: Arc<StableFile>,
    offset: u64,
}

impl Read for Compressed {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let n_read = self.file.read_at(bytes, self.offset).map_err(io::Error::other)?;
        self.offset += n_read as u64;
        Ok(n_read)
    }
}

//! A file that stays as it was when it was opened, or says that it did not.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, Result};

/// A regular file read by position, from any number of threads.
///
/// It is read rather than mapped: a mapping of a file that shrinks kills the process.
#[derive(Debug)]
pub(super) struct StableFile {
    path: PathBuf,
    file: File,
    n_bytes: u64,
    modified: Option<SystemTime>,
}

impl StableFile {
    /// Opens a regular file.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let io = |error| Error::io(path, &error);
        // opening a pipe would wait for its writer
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            return Err(Error::file(path, "not a regular file"));
        }
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        Ok(Self { path: path.into(), file, n_bytes: metadata.len(), modified: modified(&metadata) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Number of bytes when the file was opened.
    pub(super) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Fills `bytes` from the position `offset`.
    pub(super) fn read_exact_at(&self, mut bytes: &mut [u8], mut offset: u64) -> Result<()> {
        while !bytes.is_empty() {
            match read_at(&self.file, bytes, offset) {
                Ok(0) => {
                    self.require_unchanged()?;
                    return Err(Error::file(&self.path, format!("ends at byte {offset}, {} bytes short", bytes.len())));
                }
                Ok(n_read) => {
                    bytes = &mut bytes[n_read..];
                    offset += n_read as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io(&self.path, &error)),
            }
        }
        Ok(())
    }

    /// Refuses a file whose length or time of change is no longer what it was: call it after reading.
    pub(super) fn require_unchanged(&self) -> Result<()> {
        let metadata = self.file.metadata().map_err(|error| Error::io(&self.path, &error))?;
        if metadata.len() != self.n_bytes {
            let message = format!("holds {} bytes, but held {} when it was opened", metadata.len(), self.n_bytes);
            return Err(Error::file(&self.path, message));
        }
        if modified(&metadata) != self.modified {
            return Err(Error::file(&self.path, "has been written to since it was opened"));
        }
        Ok(())
    }
}

fn modified(metadata: &Metadata) -> Option<SystemTime> {
    metadata.modified().ok()
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, bytes, offset)
}

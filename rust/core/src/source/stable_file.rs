//! Files that are read by position, with a check that they have not changed since they were opened.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, Result};

/// A regular file read by position, from any number of threads.
///
/// The file is not memory-mapped, because access to a mapping beyond the end of a file that shrinks kills the process.
#[derive(Debug)]
pub(super) struct StableFile {
    address: Address,
    file: File,
}

/// A closed file that must not have changed when it is opened again.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// The path that the caller gave.
    path: PathBuf,
    /// The absolute path, valid after a change of the working directory.
    absolute: PathBuf,
    stamp: Stamp,
}

impl Address {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file and checks that it has not changed.
    pub(super) fn open(&self) -> Result<StableFile> {
        let io = |error| Error::io(&self.path, &error);
        let file = File::open(&self.absolute).map_err(io)?;
        self.stamp.require(Stamp::of(&file.metadata().map_err(io)?), &self.path)?;
        Ok(StableFile { address: self.clone(), file })
    }
}

/// Size, times and identity of a file, by which changes are noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    n_bytes: u64,
    modified: Option<SystemTime>,
    /// Time of the last change of the content or metadata (`ctime`), which programs cannot set.
    changed: Option<(i64, i64)>,
    /// Number of hard links: removing the file changes `ctime`, but not the content of an open file.
    n_names: Option<u64>,
}

#[cfg(unix)]
fn changed(metadata: &Metadata) -> Option<(i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.ctime(), metadata.ctime_nsec()))
}

#[cfg(unix)]
fn n_names(metadata: &Metadata) -> Option<u64> {
    Some(std::os::unix::fs::MetadataExt::nlink(metadata))
}

#[cfg(not(unix))]
fn n_names(_metadata: &Metadata) -> Option<u64> {
    None
}

#[cfg(not(unix))]
fn changed(_metadata: &Metadata) -> Option<(i64, i64)> {
    None
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            n_bytes: metadata.len(),
            modified: metadata.modified().ok(),
            changed: changed(metadata),
            n_names: n_names(metadata),
        }
    }

    /// Refuses a file that has changed.
    fn require(self, now: Self, path: &Path) -> Result<()> {
        if now.n_bytes != self.n_bytes {
            let message = format!("holds {} bytes, but held {} when it was opened", now.n_bytes, self.n_bytes);
            return Err(Error::file(path, message));
        }
        if now.modified != self.modified {
            return Err(Error::file(path, "has been written to since it was opened"));
        }
        if now.changed != self.changed && now.n_names == self.n_names {
            let message = "has been changed since it was opened: its content, its name or its permissions";
            return Err(Error::file(path, message));
        }
        Ok(())
    }
}

impl StableFile {
    /// Opens a regular file.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let io = |error| Error::io(path, &error);
        let absolute = std::path::absolute(path).map_err(io)?;
        // opening a pipe would block until it has a writer
        if !std::fs::metadata(&absolute).map_err(io)?.is_file() {
            return Err(Error::file(path, "not a regular file"));
        }
        let file = File::open(&absolute).map_err(io)?;
        let stamp = Stamp::of(&file.metadata().map_err(io)?);
        Ok(Self { address: Address { path: path.into(), absolute, stamp }, file })
    }

    /// The address with which the file can be opened again.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn path(&self) -> &Path {
        &self.address.path
    }

    /// Number of bytes when the file was opened.
    pub(super) fn n_bytes(&self) -> u64 {
        self.address.stamp.n_bytes
    }

    /// Fills `bytes` from the position `offset`.
    pub(super) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        let n_read = self.read_at(bytes, offset)?;
        if n_read == bytes.len() {
            return Ok(());
        }
        self.require_unchanged()?;
        let (end, short) = (offset + n_read as u64, bytes.len() - n_read);
        Err(Error::file(self.path(), format!("ends at byte {end}, {short} bytes short")))
    }

    /// Reads into `bytes` from the position `offset` up to the end of the file, and returns the number of bytes read.
    pub(super) fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<usize> {
        let mut n_read = 0;
        while n_read < bytes.len() {
            match read_at(&self.file, &mut bytes[n_read..], offset + n_read as u64) {
                Ok(0) => break,
                Ok(n) => n_read += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io(self.path(), &error)),
            }
        }
        Ok(n_read)
    }

    /// Refuses a file whose length or time of change differs from when it was opened. It is called after reading.
    pub(super) fn require_unchanged(&self) -> Result<()> {
        let metadata = self.file.metadata().map_err(|error| Error::io(self.path(), &error))?;
        self.address.stamp.require(Stamp::of(&metadata), self.path())
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, bytes, offset)
}

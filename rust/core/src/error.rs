//! Errors about arguments, data and files, with what was found, what was expected, and where.

use std::fmt;
use std::path::PathBuf;

/// Result of a fallible operation of the core.
pub type Result<T> = std::result::Result<T, Error>;

/// An error that names the argument or file, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument that is invalid whatever the data are.
    #[error("{argument}: {message}")]
    Argument {
        /// Name of the argument as the caller wrote it.
        argument: String,
        /// What came and what was expected.
        message: String,
    },
    /// Data that cannot be used, with row and column if a single value is the reason.
    #[error("{source_name}{}: {message}", place(*row, column.as_ref()))]
    Data {
        /// Name of the argument, or path of the file.
        source_name: String,
        /// What came and what was expected.
        message: String,
        /// Row, counted from 0.
        row: Option<u64>,
        /// Column.
        column: Option<Column>,
    },
    /// A file that cannot be opened or read, or has another format than its name says.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What came and what was expected.
        message: String,
        /// Error code of the operating system, if it reported one.
        os_error: Option<i32>,
    },
    /// A factorisation that did not converge.
    #[error("{0}")]
    Numerical(String),
    /// Memory that the system does not have.
    #[error("not enough memory: {n_bytes} bytes were asked for")]
    Memory {
        /// Number of bytes requested.
        n_bytes: usize,
    },
    /// The computation was cancelled by the caller.
    #[error("interrupted")]
    Cancelled,
}

/// A column of data that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// Index, counted from 0.
    Index(usize),
    /// Name.
    Name(String),
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Name(name) => write!(f, "'{name}'"),
        }
    }
}

fn place(row: Option<u64>, column: Option<&Column>) -> String {
    match (row, column) {
        (Some(row), Some(column)) => format!(", row {row}, column {column}"),
        (Some(row), None) => format!(", row {row}"),
        _ => String::new(),
    }
}

impl Error {
    /// An [`Error::Argument`].
    pub fn argument(argument: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Argument { argument: argument.into(), message: message.into() }
    }

    /// An [`Error::Data`] about all of an argument or file.
    pub fn data(source_name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Data { source_name: source_name.into(), message: message.into(), row: None, column: None }
    }

    /// An [`Error::Data`] about one value.
    pub fn value(source_name: impl Into<String>, row: u64, column: Option<Column>, message: impl Into<String>) -> Self {
        Self::Data { source_name: source_name.into(), message: message.into(), row: Some(row), column }
    }

    /// An [`Error::File`] about what a file holds.
    pub fn file(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::File { path: path.into(), message: message.into(), os_error: None }
    }

    /// An [`Error::File`] that the operating system reported.
    pub fn io(path: impl Into<PathBuf>, error: &std::io::Error) -> Self {
        Self::File { path: path.into(), message: error.to_string(), os_error: error.raw_os_error() }
    }
}

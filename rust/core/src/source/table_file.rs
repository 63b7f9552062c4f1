//! A file of a table, with the columns that the names of its folders (`key=value`) define.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A file whose rows are part of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Columns defined by folders `key=value`, with the text of their value, which all rows of the file share.
    pub keys: Vec<(String, String)>,
}

impl From<&Path> for TableFile {
    fn from(path: &Path) -> Self {
        Self { path: path.into(), keys: Vec::new() }
    }
}

/// The value that stands for null in the name of a folder.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

impl TableFile {
    pub(super) fn has_key(&self, name: &str) -> bool {
        self.keys.iter().any(|(key, _)| key == name)
    }

    /// The number in the name of a folder.
    pub(super) fn key(&self, name: &str) -> Result<f64> {
        let text = self.keys.iter().find(|(key, _)| key == name).map_or(NULL, |(_, value)| value);
        let refuse = |found: String| {
            let message = format!("column '{name}', of the folders {name}=..., holds {found}; expected finite numbers");
            Error::data(self.path.display().to_string(), message)
        };
        match text {
            NULL => Err(refuse("null".into())),
            "true" | "True" => Ok(1.0),
            "false" | "False" => Ok(0.0),
            _ => match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(value),
                _ => Err(refuse(format!("'{text}'"))),
            },
        }
    }
}

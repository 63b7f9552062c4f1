//! A file of a table, and what the names of its folders tell: values of further columns, the same in each row.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A file whose rows are part of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    /// Where it is.
    pub path: PathBuf,
    /// Columns that folders `key=value` hold, and the text of their value in this file.
    pub keys: Vec<(String, String)>,
}

impl From<&Path> for TableFile {
    fn from(path: &Path) -> Self {
        Self { path: path.into(), keys: Vec::new() }
    }
}

/// What stands for null in the name of a folder.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

impl TableFile {
    pub(super) fn has_key(&self, name: &str) -> bool {
        self.keys.iter().any(|(key, _)| key == name)
    }

    /// The number that the name of a folder tells.
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

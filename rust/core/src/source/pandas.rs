//! The columns in which pandas stores the index of a data frame, which are not used as inputs.

use std::collections::HashSet;

/// The key of the metadata that pandas adds to a schema.
pub(super) const KEY: &str = "pandas";

/// The columns of the index according to the metadata of pandas.
pub(super) fn index_columns(notes: Option<&str>) -> HashSet<String> {
    let notes: serde_json::Value = notes.and_then(|notes| serde_json::from_str(notes).ok()).unwrap_or_default();
    let names = notes.get("index_columns").and_then(serde_json::Value::as_array);
    // an index that is a range is described by a dictionary and is not stored as a column
    names.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Whether a column belongs to an index: it is listed in `index`, or has a name that pandas gives to unnamed levels.
pub(super) fn is_index(name: &str, index: &HashSet<String>) -> bool {
    let level = name.strip_prefix("__index_level_").and_then(|rest| rest.strip_suffix("__"));
    index.contains(name) || level.is_some_and(|level| level.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_an_index() {
        let notes = r#"{"columns": [], "index_columns": ["id", {"kind": "range"}, "\u00e9"]}"#;
        assert_eq!(index_columns(Some(notes)), HashSet::from(["id".to_owned(), "é".to_owned()]));
        for notes in [None, Some(""), Some("[]"), Some("{\"index_columns\": 3}")] {
            assert!(index_columns(notes).is_empty());
        }
        let none = HashSet::new();
        assert!(is_index("__index_level_0__", &none) && is_index("id", &HashSet::from(["id".to_owned()])));
        assert!(!is_index("id", &none) && !is_index("__index_level_x__", &none));
    }
}

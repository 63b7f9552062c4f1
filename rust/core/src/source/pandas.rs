//! The columns in which pandas stores the labels of rows, its index: they are no inputs.

/// Where pandas keeps notes in the metadata of a schema.
pub(super) const KEY: &str = "pandas";

/// The columns of the index that the notes of pandas name.
pub(super) fn index_columns(notes: Option<&str>) -> Vec<String> {
    let notes: serde_json::Value = notes.and_then(|notes| serde_json::from_str(notes).ok()).unwrap_or_default();
    let names = notes.get("index_columns").and_then(serde_json::Value::as_array);
    // an index that is a range is a dictionary here, and is not stored
    names.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Whether a column is one of an index: one of these, or one that pandas has named and another tool has written anew.
pub(super) fn is_index(name: &str, index: &[String]) -> bool {
    let level = name.strip_prefix("__index_level_").and_then(|rest| rest.strip_suffix("__"));
    index.iter().any(|column| column == name) || level.is_some_and(|level| level.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_an_index() {
        let notes = r#"{"columns": [], "index_columns": ["id", {"kind": "range"}, "\u00e9"]}"#;
        assert_eq!(index_columns(Some(notes)), ["id", "é"]);
        for notes in [None, Some(""), Some("[]"), Some("{\"index_columns\": 3}")] {
            assert!(index_columns(notes).is_empty());
        }
        assert!(is_index("__index_level_0__", &[]) && is_index("id", &["id".into()]));
        assert!(!is_index("id", &[]) && !is_index("__index_level_x__", &[]));
    }
}

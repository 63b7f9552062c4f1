//! CSV files as a source: a first pass counts rows and marks positions, and rows are parsed on request.

use std::fmt;
use std::ops::Range;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::columns::{ColumnRef, Columns, Places, Selection, Wanted};
use super::cursors::Cursors;
use super::gzip::TextFile;
use super::stable_file::{Address, StableFile};
use super::table_file::TableFile;
use super::{Source, first_of, no_rows, row_range};
use crate::block::{Block, BlockBuffer};
use crate::control::Control;
use crate::error::{Error, Result};

/// Format of a CSV file.
#[derive(Clone, Debug)]
pub struct CsvFormat {
    /// Delimiter of fields.
    pub delimiter: u8,
    /// Names of the columns, which replace those in the first row.
    pub names: Option<Vec<String>>,
    /// Whether the first row of each file holds the names of the columns; by default it does unless names are given.
    pub header: Option<bool>,
}

/// Rows of CSV files, one file after another.
#[derive(Debug)]
pub struct CsvSource {
    files: Vec<File>,
    n_rows: u64,
    delimiter: u8,
    selection: Selection,
    /// Whether some files can only be read from the start.
    is_sequential: bool,
    cursors: Cursors<Cursor>,
}

#[derive(Debug)]
struct File {
    address: Address,
    first_row: u64,
    n_fields: usize,
    /// The columns that are read, in the order of the selection.
    columns: Vec<Column>,
    /// Positions at which reading can start, in order.
    marks: Vec<Mark>,
}

/// A column of one file.
#[derive(Clone, Copy, Debug)]
enum Column {
    /// Index of its field in a record.
    Field(usize),
    /// The same number in each row.
    Key(f64),
}

/// The start of a record.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Row in the file.
    row: u64,
    offset: u64,
    line: u64,
}

/// Smallest number of bytes between two marks.
const MARK_BYTES: u64 = 1 << 20;

impl CsvSource {
    /// A source of the rows of `paths`, whose columns are those of the first file by name.
    ///
    /// # Errors
    /// Files that cannot be read, rows of different lengths, columns that are missing, [`Error::Cancelled`].
    pub fn open(paths: &[TableFile], wanted: &Wanted, format: &CsvFormat, control: &Control) -> Result<Self> {
        let origin = first_of(paths)?;
        let mut files: Vec<File> = Vec::with_capacity(paths.len());
        let (mut n_rows, mut is_sequential) = (0, false);
        let mut first: Option<Selection> = None;
        for path in paths {
            let file = StableFile::open(&path.path)?;
            let address = file.address().clone();
            require_text(&file)?;
            let text = TextFile::new(file)?;
            is_sequential |= text.is_compressed();
            let mut records = Records::new(text, format.delimiter, Mark { row: 0, offset: 0, line: 1 });
            let names = records.names(format)?;
            let n_fields = names.len();
            let selection = match &mut first {
                Some(first) => first,
                None => {
                    // programs that write the index of rows leave the name of its column empty
                    let columns = Columns::named(names.clone())
                        .with_index(|column, name| column == 0 && name.is_empty() && n_fields > 1)
                        .with_keys(path.keys.iter().map(|(key, _)| &**key));
                    let selection = Selection::new(wanted, columns, &origin, |_| Ok(None))?;
                    if format.header.is_none() && format.names.is_none() {
                        require_header(wanted, &selection, &origin)?;
                    }
                    first.insert(selection)
                }
            };
            let places = Places::of(&names);
            let find = |&column: &usize| {
                let name = &selection.names()[column];
                // if a name is repeated, columns must be in the order of the first file
                let place = if names.get(column) == Some(name) { Some(column) } else { places.first(name) };
                match place {
                    Some(place) => Ok(Column::Field(place)),
                    None if path.has_key(name) => path.key(name).map(Column::Key),
                    None => {
                        let message =
                            format!("other columns in its first row than {origin}: it has no column '{name}'");
                        Err(Error::data(path.path.display().to_string(), message))
                    }
                }
            };
            let columns = selection.all().iter().map(find).collect::<Result<Vec<_>>>()?;
            let first_row = n_rows;
            let marks = records.index(n_fields, control)?;
            n_rows += records.row;
            files.push(File { address, first_row, n_fields, columns, marks });
        }
        let Some(selection) = first.filter(|_| n_rows > 0) else {
            return Err(no_rows(origin));
        };
        Ok(Self { files, n_rows, delimiter: format.delimiter, selection, is_sequential, cursors: Cursors::default() })
    }

    /// Names of the inputs.
    pub fn columns(&self) -> Vec<String> {
        self.selection.input_names().collect()
    }

    fn file_of(&self, row: u64) -> usize {
        self.files.partition_point(|file| file.first_row <= row) - 1
    }

    fn open_cursor(&self, row: u64) -> Result<Cursor> {
        let index = self.file_of(row);
        let File { address, first_row, marks, .. } = &self.files[index];
        let file = address.open()?;
        let row_in_file = row - first_row;
        let mark = marks[marks.partition_point(|mark| mark.row <= row_in_file).max(1) - 1];
        let mut cursor = Cursor { file: index, records: Records::new(TextFile::new(file)?, self.delimiter, mark) };
        while cursor.records.row < row_in_file {
            cursor.records.require_next()?;
        }
        Ok(cursor)
    }

    /// Appends the next row of a cursor.
    fn read_row(&self, cursor: &mut Cursor, buffer: &mut BlockBuffer) -> Result<()> {
        let (file, records) = (&self.files[cursor.file], &mut cursor.records);
        records.require_next()?;
        records.require_fields(file.n_fields)?;
        for (slot, column) in file.columns.iter().enumerate() {
            let value = match *column {
                Column::Key(value) => value,
                Column::Field(place) => {
                    let field = records.field(place);
                    let value = std::str::from_utf8(field).ok().and_then(|text| text.trim().parse::<f64>().ok());
                    value.ok_or_else(|| {
                        let found = if field.trim_ascii().is_empty() { "nothing".to_owned() } else { shown(field) };
                        let message = format!("{found} where a number was expected");
                        records.refuse(Some(self.selection.named(slot)), message)
                    })?
                }
            };
            if slot < self.selection.n_features() {
                buffer.x.push(value);
            } else if self.selection.labels().contains(&slot) {
                buffer.y.push(value);
            } else {
                buffer.weight.push(value);
            }
        }
        Ok(())
    }
}

impl Source for CsvSource {
    fn n_rows(&self) -> u64 {
        self.n_rows
    }

    fn n_features(&self) -> usize {
        self.selection.n_features()
    }

    fn n_outputs(&self) -> usize {
        self.selection.n_outputs()
    }

    fn is_sequential(&self) -> bool {
        self.is_sequential
    }

    fn release(&self) {
        self.cursors.clear();
    }

    fn block<'a>(&'a self, rows: Range<u64>, buffer: &'a mut BlockBuffer) -> Result<Block<'a>> {
        let n_rows = row_range(&rows, self.n_rows)?.len();
        buffer.x.clear();
        buffer.y.clear();
        buffer.weight.clear();
        let mut cursor = None;
        for row in rows.clone() {
            let file = self.file_of(row);
            if cursor.as_ref().is_none_or(|cursor: &Cursor| cursor.file != file) {
                cursor = Some(match self.cursors.take(row) {
                    Some(cursor) => cursor,
                    None => self.open_cursor(row)?,
                });
            }
            if let Some(cursor) = &mut cursor {
                self.read_row(cursor, buffer)?;
            }
        }
        if let Some(cursor) = cursor {
            cursor.records.text.file().require_unchanged()?;
            if rows.end < self.n_rows && self.file_of(rows.end) == cursor.file {
                self.cursors.put(rows.end, cursor);
            }
        }
        self.selection.block(buffer, n_rows, |index| {
            let row = rows.start + index as u64;
            let file = &self.files[self.file_of(row)];
            (file.address.path().display().to_string(), row - file.first_row)
        })
    }
}

/// A reader positioned before a record.
#[derive(Debug)]
struct Cursor {
    file: usize,
    records: Records,
}

/// Number of bytes read at a time.
const READ_BYTES: usize = 1 << 18;
/// Longest record in bytes; a longer one is most likely an unclosed quote.
const MAX_RECORD_BYTES: usize = 1 << 24;
/// Largest number of fields; a record with more is most likely split at the wrong delimiter.
const MAX_FIELDS: usize = 1 << 20;

/// The records of a file, one after another.
struct Records {
    text: TextFile,
    parser: Reader,
    bytes: Vec<u8>,
    /// The part of `bytes` that is not parsed yet.
    unread: Range<usize>,
    /// Where in the file `unread` starts.
    offset: u64,
    /// Number of the next record, counted from the first one after the header.
    row: u64,
    /// Fields of the current record, concatenated, and the end of each.
    fields: Vec<u8>,
    ends: Vec<usize>,
    n_fields: usize,
    /// Line on which the current record starts.
    line: u64,
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("file", self.text.file()).field("row", &self.row).finish_non_exhaustive()
    }
}

impl Records {
    fn new(text: TextFile, delimiter: u8, mark: Mark) -> Self {
        let mut parser = ReaderBuilder::new().delimiter(delimiter).build();
        parser.set_line(mark.line);
        Self {
            text,
            parser,
            bytes: vec![0; READ_BYTES],
            unread: 0..0,
            offset: mark.offset,
            row: mark.row,
            fields: vec![0; 1 << 12],
            ends: vec![0; 1 << 7],
            n_fields: 0,
            line: mark.line,
        }
    }

    /// Moves on to the next record and returns whether there is one.
    fn next(&mut self) -> Result<bool> {
        let (mut n_bytes, mut n_fields) = (0, 0);
        self.skip_line_ends()?;
        loop {
            self.refill()?;
            let input = &self.bytes[self.unread.clone()];
            let (result, n_in, n_out, n_ends) =
                self.parser.read_record(input, &mut self.fields[n_bytes..], &mut self.ends[n_fields..]);
            self.unread.start += n_in;
            self.offset += n_in as u64;
            n_bytes += n_out;
            n_fields += n_ends;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.fields.len() < MAX_RECORD_BYTES => {
                    self.fields.resize(2 * self.fields.len(), 0);
                }
                ReadRecordResult::OutputFull => {
                    self.row += 1;
                    let message = format!("more than {MAX_RECORD_BYTES} bytes; is a quote left open?");
                    return Err(self.refuse(None, message));
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() < MAX_FIELDS => {
                    self.ends.resize(2 * self.ends.len(), 0);
                }
                ReadRecordResult::OutputEndsFull => {
                    self.row += 1;
                    return Err(self.refuse(None, format!("more than {MAX_FIELDS} fields; is that the delimiter?")));
                }
                ReadRecordResult::Record => {
                    self.n_fields = n_fields;
                    self.row += 1;
                    return Ok(true);
                }
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    /// Reads more bytes after all bytes of the buffer are parsed.
    fn refill(&mut self) -> Result<()> {
        if self.unread.is_empty() {
            self.unread = 0..self.text.read_at(&mut self.bytes, self.offset)?;
        }
        Ok(())
    }

    /// Skips empty lines and the end of the last line, so that the next record is on `line`.
    fn skip_line_ends(&mut self) -> Result<()> {
        self.line = self.parser.line();
        loop {
            self.refill()?;
            match self.bytes[self.unread.clone()].first() {
                Some(b'\n') => self.line += 1,
                Some(b'\r') => {}
                _ => break,
            }
            self.unread.start += 1;
            self.offset += 1;
        }
        self.parser.set_line(self.line);
        Ok(())
    }

    /// Moves on to a record that must exist, since it was counted when the file was opened.
    fn require_next(&mut self) -> Result<()> {
        if self.next()? {
            return Ok(());
        }
        self.text.file().require_unchanged()?;
        Err(Error::file(self.text.file().path(), format!("ends after {} rows", self.row)))
    }

    fn field(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.fields[start..self.ends[index]]
    }

    fn require_fields(&self, expected: usize) -> Result<()> {
        if self.n_fields == expected {
            return Ok(());
        }
        let other = if self.n_fields == 1 { other_delimiter(self.field(0)) } else { None };
        let hint =
            other.map_or(String::new(), |other| format!(": {}; is the delimiter {other:?}?", shown(self.field(0))));
        Err(self.refuse(None, format!("{} fields where {expected} were expected{hint}", self.n_fields)))
    }

    /// An error about the current record.
    fn refuse(&self, column: Option<crate::error::Column>, message: String) -> Error {
        let name = self.text.file().path().display().to_string();
        Error::value(name, self.row.saturating_sub(1), column, format!("{message} (line {})", self.line))
    }

    /// The names of the columns; the first row is skipped if it holds them.
    fn names(&mut self, format: &CsvFormat) -> Result<Vec<String>> {
        if !format.header.unwrap_or(format.names.is_none()) {
            return match &format.names {
                Some(names) => Ok(names.clone()),
                None => self.numbers_of_columns(),
            };
        }
        if !self.next()? {
            let path = self.text.file().path();
            return Err(Error::file(path, "is empty; expected a CSV file with a first row of names"));
        }
        self.row = 0;
        if let (1, Some(other)) = (self.n_fields, other_delimiter(self.field(0))) {
            let (path, found) = (self.text.file().path().display(), shown(self.field(0)));
            let message = format!("the first row of {path} is a single field, {found}; is the delimiter {other:?}?");
            return Err(Error::argument("delimiter", message));
        }
        match &format.names {
            Some(names) => {
                self.require_fields(names.len())?;
                Ok(names.clone())
            }
            None => Ok(self.texts()),
        }
    }

    fn texts(&self) -> Vec<String> {
        (0..self.n_fields).map(|index| String::from_utf8_lossy(self.field(index)).trim().to_owned()).collect()
    }

    /// Names of the columns of a file without names: `x0`, `x1`, ...; the reader stays before the first row.
    fn numbers_of_columns(&mut self) -> Result<Vec<String>> {
        let mark = Mark { row: 0, offset: 0, line: 1 };
        let n_fields = if self.next()? { self.n_fields } else { 0 };
        if n_fields == 0 {
            return Err(Error::file(self.text.file().path(), "is empty; expected a CSV file"));
        }
        self.parser.reset();
        self.parser.set_line(mark.line);
        (self.unread, self.offset, self.row, self.line) = (0..0, mark.offset, mark.row, mark.line);
        Ok((0..n_fields).map(|column| format!("x{column}")).collect())
    }

    /// Reads all records and returns positions at which reading can start.
    fn index(&mut self, n_columns: usize, control: &Control) -> Result<Vec<Mark>> {
        let mut marks: Vec<Mark> = Vec::new();
        loop {
            let mark = Mark { row: self.row, offset: self.offset, line: self.parser.line() };
            if marks.last().is_none_or(|last| mark.offset - last.offset >= MARK_BYTES) {
                if control.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                marks.push(mark);
            }
            if !self.next()? {
                self.text.file().require_unchanged()?;
                return Ok(marks);
            }
            self.require_fields(n_columns)?;
        }
    }
}

/// Refuses text that is encoded neither in single bytes nor in UTF-8.
fn require_text(file: &StableFile) -> Result<()> {
    let mut start = [0; 4];
    let n_read = file.read_at(&mut start, 0)?;
    let found = match start[..n_read] {
        [0x28, 0xb5, 0x2f, 0xfd] => "is compressed by zstd",
        [b'P', b'K', 3, 4] => "is a zip archive",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "is UTF-16",
        [b'P', b'A', b'R', b'1'] => "is a Parquet file",
        [0x93, b'N', b'U', b'M'] => "is a .npy file",
        _ => return Ok(()),
    };
    Err(Error::file(file.path(), format!("{found}; expected a CSV file in UTF-8")))
}

/// Refuses a header whose columns of interest look like numbers and are not requested by name.
fn require_header(wanted: &Wanted, selection: &Selection, origin: &str) -> Result<()> {
    let asked = wanted.target.iter().chain(&wanted.weight).chain(wanted.columns.iter().flatten());
    if asked.into_iter().any(|column| matches!(column, ColumnRef::Name(_))) {
        return Ok(());
    }
    let mut used = selection.all().into_iter().filter_map(|column| selection.names().get(column));
    match used.find(|name| name.parse::<f64>().is_ok()) {
        None => Ok(()),
        Some(number) => {
            let message = format!(
                "the first row of {origin} holds the number {number}, so that it may be no row of names; \
                 pass the names of its columns, or header=True if it is one, or header=False if it is not"
            );
            Err(Error::argument("names", message))
        }
    }
}

/// Another common delimiter that occurs in a field.
fn other_delimiter(field: &[u8]) -> Option<char> {
    [';', '\t', '|', ','].into_iter().find(|&other| field.contains(&(other as u8)))
}

/// Largest number of characters of a field in a message.
const SHOWN_CHARACTERS: usize = 40;

fn shown(field: &[u8]) -> String {
    let text = String::from_utf8_lossy(field);
    let start: String = text.chars().take(SHOWN_CHARACTERS).collect();
    if start.len() < text.len() { format!("{start:?}...") } else { format!("{start:?}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::path::PathBuf;

    use super::*;

    /// A file of its own for each test, removed at its end.
    struct TestFile(PathBuf);

    impl TestFile {
        fn new(name: &str, text: &str) -> Self {
            let path = std::env::temp_dir().join(format!("relunet-{}-{name}.csv", std::process::id()));
            std::fs::write(&path, text).unwrap();
            Self(path)
        }
    }

    impl Drop for TestFile {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn open(files: &[&TestFile]) -> Result<CsvSource> {
        let paths: Vec<TableFile> = files.iter().map(|file| TableFile::from(&*file.0)).collect();
        let wanted = Wanted { target: vec![ColumnRef::Name("y".into())], ..Wanted::default() };
        CsvSource::open(&paths, &wanted, &CsvFormat { delimiter: b',', names: None, header: None }, &Control::default())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_rows_in_any_order(
            n_rows in 1_usize..60, blank in 1_usize..9, windows in any::<bool>(), quoted in any::<bool>(),
            cuts in prop::collection::vec(any::<(u8, u8)>(), 1..8),
        ) {
            let end = if windows { "\r\n" } else { "\n" };
            let mut text = format!("a,y{end}");
            for row in 0..n_rows {
                text += &if quoted { format!("\"{row}\", -{row}{end}") } else { format!("{row},-{row}{end}") };
                if row % blank == 0 {
                    text += end;
                }
            }
            let file = TestFile::new("order", &text);
            let source = open(&[&file, &file]).unwrap();
            prop_assert_eq!(source.n_rows(), 2 * n_rows as u64);
            let mut buffer = BlockBuffer::default();
            for (a, b) in cuts {
                let (a, b) = (a as usize % (2 * n_rows + 1), b as usize % (2 * n_rows + 1));
                let rows = a.min(b)..a.max(b);
                let block = source.block(rows.start as u64..rows.end as u64, &mut buffer).unwrap();
                let x: Vec<f64> = rows.map(|row| (row % n_rows) as f64).collect();
                let y: Vec<f64> = x.iter().map(|value| -value).collect();
                prop_assert_eq!((block.x, block.y), (&x[..], &y[..]));
            }
        }
    }

    #[test]
    fn bad_fields_are_named_by_file_row_column_and_line() {
        let good = TestFile::new("good", "a,y\n1,2\n");
        let bad = TestFile::new("bad", "a,y\n1,2\n\n3,x\n");
        let source = open(&[&good, &bad]).unwrap();
        let error = source.block(0..3, &mut BlockBuffer::default()).unwrap_err().to_string();
        assert!(error.ends_with("bad.csv, row 1, column 'y': \"x\" where a number was expected (line 4)"), "{error}");
        let ragged = TestFile::new("ragged", "a,y\n1,2\n3\n");
        let error = open(&[&good, &ragged]).unwrap_err().to_string();
        assert!(error.ends_with("ragged.csv, row 1: 1 fields where 2 were expected (line 3)"), "{error}");
        let other = TestFile::new("other", "b,y\n1,2\n");
        assert!(open(&[&good, &other]).unwrap_err().to_string().contains("other columns in its first row"));
    }
}

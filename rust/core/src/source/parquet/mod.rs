//! Parquet files as a source: pages are decoded on request, by several threads at different positions.

mod decode;
mod file;
mod pages;
mod thrift;

use std::iter::repeat_with;
use std::ops::Range;
use std::sync::Arc;

use ::parquet::column::reader::get_column_reader;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::ParquetMetaData;

use self::decode::{Decode, Kind, Layout, Refused, decoder, is_list};
use self::file::{PositionalFile, guarded, read_metadata};
use self::pages::Pages;
use super::columns::{Columns, Part, Places, Selection, Wanted};
use super::cursors::Cursors;
use super::stable_file::{Address, StableFile};
use super::table_file::TableFile;
use super::{Source, first_of, no_rows, pandas, row_range};
use crate::block::{Block, BlockBuffer};
use crate::control::Control;
use crate::error::{Error, Result};

/// Rows of Parquet files, one file after another.
#[derive(Debug)]
pub struct ParquetSource {
    files: Vec<File>,
    /// Row groups that are not empty, in order.
    groups: Vec<Group>,
    n_rows: u64,
    /// Columns of the first file.
    selection: Selection,
    is_single_precision: bool,
    cursors: Cursors<Cursor>,
}

#[derive(Debug)]
struct File {
    address: Address,
    first_row: u64,
    /// Columns that are read, in the order of the selection.
    columns: Vec<Column>,
}

/// A column of one file.
#[derive(Debug)]
enum Column {
    Stored(Leaf),
    /// The same number in each row.
    Key(f64),
}

/// A column that a file stores.
#[derive(Debug)]
struct Leaf {
    /// Its index among the columns that store values.
    index: usize,
    kind: Kind,
    layout: Layout,
}

#[derive(Debug)]
struct Group {
    file: usize,
    /// Number of the row group in its file.
    ordinal: usize,
    first_row: u64,
}

impl ParquetSource {
    /// A source of the rows of `paths`, whose columns are those of the first file by name.
    ///
    /// # Errors
    /// Files that cannot be read or are damaged, columns that are missing or hold other than real numbers,
    /// [`Error::Cancelled`].
    pub fn open(paths: &[TableFile], wanted: &Wanted, control: &Control) -> Result<Self> {
        let origin = first_of(paths)?;
        let (mut files, mut groups): (Vec<File>, Vec<Group>) = (Vec::new(), Vec::new());
        let (mut n_rows, mut is_single_precision) = (0, true);
        let mut first: Option<Selection> = None;
        for path in paths {
            let file = Arc::new(StableFile::open(&path.path)?);
            let metadata = read_metadata(&file)?;
            if control.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let schema = Schema::new(&metadata, path);
            let selection = match &mut first {
                Some(first) => first,
                None => {
                    let columns = schema.columns(&path.keys);
                    first.insert(Selection::new(wanted, columns, &origin, |column| schema.n_elements(column))?)
                }
            };
            let find = |part: &Part| {
                let name = &selection.names()[part.column];
                // if a name is repeated, columns must be in the order of the first file
                let column = if schema.names.get(part.column) == Some(name) {
                    Some(part.column)
                } else {
                    schema.places.first(name)
                };
                match column {
                    Some(column) => schema.leaf(column, part.n_elements).map(Column::Stored),
                    None if path.has_key(name) => path.key(name).map(Column::Key),
                    None => Err(schema.refuse(format!("has no column '{name}', which {origin} has"))),
                }
            };
            let columns = selection.parts().iter().map(find).collect::<Result<Vec<_>>>()?;
            is_single_precision &= selection.parts().iter().zip(&columns).all(|(part, column)| {
                !selection.is_input(part) || matches!(column, Column::Stored(leaf) if leaf.kind == Kind::Single)
            });
            let first_row = n_rows;
            for (ordinal, group) in metadata.row_groups().iter().enumerate() {
                let group_rows = group.num_rows().unsigned_abs();
                if group_rows > 0 {
                    groups.push(Group { file: files.len(), ordinal, first_row: n_rows });
                    n_rows += group_rows;
                }
            }
            files.push(File { address: file.address().clone(), first_row, columns });
        }
        let Some(selection) = first.filter(|_| n_rows > 0) else {
            return Err(no_rows(origin));
        };
        Ok(Self { files, groups, n_rows, selection, is_single_precision, cursors: Cursors::default() })
    }

    /// Names of the inputs.
    pub fn columns(&self) -> Vec<String> {
        self.selection.input_names().collect()
    }

    /// Whether all inputs are stored in single precision.
    pub fn is_single_precision(&self) -> bool {
        self.is_single_precision
    }

    /// The file that holds a row, and the row's number in it.
    fn place(&self, row: u64) -> (String, u64) {
        let file = &self.files[self.files.partition_point(|file| file.first_row <= row) - 1];
        (file.address.path().display().to_string(), row - file.first_row)
    }

    /// Number of the row group that holds a row.
    fn group_of(&self, row: u64) -> usize {
        self.groups.partition_point(|group| group.first_row <= row) - 1
    }

    /// First row that no longer belongs to a row group.
    fn end_of(&self, group: usize) -> u64 {
        self.groups.get(group + 1).map_or(self.n_rows, |next| next.first_row)
    }

    fn open_cursor(&self, row: u64) -> Result<Cursor> {
        let group = self.group_of(row);
        let Group { file, first_row, .. } = self.groups[group];
        let file = Arc::new(PositionalFile(Arc::new(self.files[file].address.open()?)));
        let metadata = read_metadata(&file.0)?;
        let mut cursor = Cursor { file, metadata, group, decoders: Vec::new() };
        self.enter_group(&mut cursor)?;
        self.each(&mut cursor, first_row, |reader, _| reader.skip((row - first_row) as usize).map(|()| None))?;
        Ok(cursor)
    }

    /// Moves a cursor from the end of its row group to the start of the next.
    fn next_group(&self, mut cursor: Cursor) -> Result<Cursor> {
        let next = &self.groups[cursor.group + 1];
        if next.file != self.groups[cursor.group].file {
            return self.open_cursor(next.first_row);
        }
        cursor.group += 1;
        self.enter_group(&mut cursor)?;
        Ok(cursor)
    }

    /// Creates the decoders of the row group that a cursor reads next.
    fn enter_group(&self, cursor: &mut Cursor) -> Result<()> {
        let Group { file, ordinal, first_row } = self.groups[cursor.group];
        let schema = cursor.metadata.file_metadata().schema_descr_ptr();
        let group = cursor.metadata.row_group(ordinal);
        cursor.decoders.clear();
        let (source, decoders) = (&cursor.file, &mut cursor.decoders);
        for (part, column) in self.files[file].columns.iter().enumerate() {
            let leaf = match column {
                Column::Stored(leaf) => leaf,
                Column::Key(value) => {
                    decoders.push(Box::new(Constant(*value)));
                    continue;
                }
            };
            decoders.push(guarded(
                &source.0,
                || self.place_in(first_row, part),
                || {
                    let chunk = group.column(leaf.index);
                    if leaf.layout.n_elements.is_none() && chunk.num_values() != group.num_rows() {
                        let message = format!("{} values in {} rows", chunk.num_values(), group.num_rows());
                        return Err(ParquetError::General(message));
                    }
                    let pages = Pages::new(source, chunk, group.num_rows(), leaf.layout.n_elements)?;
                    let reader = get_column_reader(schema.column(leaf.index), Box::new(pages));
                    decoder(reader, leaf.kind, leaf.layout)
                        .ok_or_else(|| ParquetError::General("another type in the schema".into()))
                },
            )?);
        }
        Ok(())
    }

    /// Applies `step` to the decoder of every part from `row` on; it returns the first value that cannot be used.
    fn each(
        &self,
        cursor: &mut Cursor,
        row: u64,
        mut step: impl FnMut(&mut dyn Decode, usize) -> ParquetResult<Option<Refused>>,
    ) -> Result<()> {
        for (part, decoder) in cursor.decoders.iter_mut().enumerate() {
            let refused = guarded(&cursor.file.0, || self.place_in(row, part), || step(&mut **decoder, part))?;
            if let Some(refused) = refused {
                let (name, row) = self.place(row + refused.row as u64);
                let column = self.selection.part_named(part, refused.element);
                return Err(Error::value(name, row, Some(column), refused.message));
            }
        }
        Ok(())
    }

    /// The position of a row and column in its file, for messages about bytes that cannot be decoded.
    fn place_in(&self, row: u64, part: usize) -> String {
        let group = self.groups[self.group_of(row)].ordinal;
        let (_, row) = self.place(row);
        format!("row group {group}, from row {row}, column {}: ", self.selection.part_named(part, None))
    }
}

/// The columns of one file.
struct Schema<'a> {
    metadata: &'a ParquetMetaData,
    file: &'a TableFile,
    names: Vec<String>,
    places: Places,
    /// The first leaf of each column, and how many leaves it has.
    leaves: Vec<(usize, usize)>,
}

impl<'a> Schema<'a> {
    fn new(metadata: &'a ParquetMetaData, file: &'a TableFile) -> Self {
        let schema = metadata.file_metadata().schema_descr();
        let fields = schema.root_schema().get_fields();
        let names: Vec<String> = fields.iter().map(|field| field.name().to_owned()).collect();
        let mut leaves = vec![(0, 0); fields.len()];
        for leaf in (0..schema.num_columns()).rev() {
            let (first, n_leaves) = &mut leaves[schema.get_column_root_idx(leaf)];
            (*first, *n_leaves) = (leaf, *n_leaves + 1);
        }
        Self { metadata, file, places: Places::of(&names), names, leaves }
    }

    fn columns(&self, keys: &[(String, String)]) -> Columns {
        let notes = self.metadata.file_metadata().key_value_metadata();
        let note = notes.into_iter().flatten().find(|note| note.key == pandas::KEY);
        let index = pandas::index_columns(note.and_then(|note| note.value.as_deref()));
        Columns::named(self.names.clone())
            .with_index(|_, name| pandas::is_index(name, &index))
            .with_keys(keys.iter().map(|(key, _)| &**key))
    }

    fn refuse(&self, message: String) -> Error {
        Error::data(self.file.path.display().to_string(), message)
    }

    /// The leaf of the schema that stores a column, and whether it holds lists.
    fn find(&self, column: usize) -> Result<(usize, bool)> {
        let schema = self.metadata.file_metadata().schema_descr();
        let field = &schema.root_schema().get_fields()[column];
        let nested = || self.refuse(format!("column '{}' holds nested values; {NUMBERS}", self.names[column]));
        let (leaf, 1) = self.leaves[column] else {
            return Err(nested());
        };
        match is_list(field, &schema.column(leaf)) {
            true => Ok((leaf, true)),
            false if field.is_primitive() => Ok((leaf, false)),
            false => Err(nested()),
        }
    }

    /// The length of the lists of a column that holds lists, from its number of values.
    fn n_elements(&self, column: usize) -> Result<Option<usize>> {
        if column >= self.names.len() {
            return Ok(None);
        }
        let (leaf, is_list) = self.find(column)?;
        let filled = self.metadata.row_groups().iter().find(|group| group.num_rows() > 0);
        let (Some(group), true) = (filled, is_list) else {
            return Ok(is_list.then_some(1));
        };
        let (n_values, n_rows) = (group.column(leaf).num_values(), group.num_rows());
        let name = &self.names[column];
        if n_values <= 0 || n_values % n_rows != 0 {
            let message = format!("column '{name}' holds {n_values} values in {n_rows} rows; {LISTS}");
            return Err(self.refuse(message));
        }
        Ok(Some((n_values / n_rows) as usize))
    }

    /// The decoder of a column, whose lists have `n_elements` values if it holds lists.
    fn leaf(&self, column: usize, n_elements: Option<usize>) -> Result<Leaf> {
        let (index, is_list) = self.find(column)?;
        let name = &self.names[column];
        if is_list != n_elements.is_some() {
            let (found, expected) = if is_list { ("lists", "numbers") } else { ("numbers", "lists") };
            return Err(self.refuse(format!("column '{name}' holds {found}; expected {expected} as in the first file")));
        }
        let stored = self.metadata.file_metadata().schema_descr().column(index);
        let kind = Kind::of(stored.self_type())
            .map_err(|found| self.refuse(format!("column '{name}' holds {found}; {NUMBERS}")))?;
        Ok(Leaf { index, kind, layout: Layout { n_elements, highest_level: stored.max_def_level() } })
    }
}

const NUMBERS: &str = "expected real numbers, or lists of them that are equally long";
const LISTS: &str = "expected lists that are equally long";

/// A column that holds the same number in each row.
struct Constant(f64);

impl Decode for Constant {
    fn read(&mut self, n_rows: usize, out: &mut Vec<f64>) -> ParquetResult<Option<Refused>> {
        out.resize(out.len() + n_rows, self.0);
        Ok(None)
    }

    fn skip(&mut self, _n_rows: usize) -> ParquetResult<()> {
        Ok(())
    }
}

impl Source for ParquetSource {
    fn n_rows(&self) -> u64 {
        self.n_rows
    }

    fn n_features(&self) -> usize {
        self.selection.n_features()
    }

    fn n_outputs(&self) -> usize {
        self.selection.n_outputs()
    }

    fn release(&self) {
        self.cursors.clear();
    }

    fn block<'a>(&'a self, rows: Range<u64>, buffer: &'a mut BlockBuffer) -> Result<Block<'a>> {
        let n_rows = row_range(&rows, self.n_rows)?.len();
        let mut staged: Vec<Vec<f64>> =
            repeat_with(|| Vec::with_capacity(n_rows)).take(self.selection.n_slots()).collect();
        let mut values = Vec::new();
        let mut row = rows.start;
        if n_rows > 0 {
            let mut cursor = match self.cursors.take(row) {
                Some(cursor) => cursor,
                None => self.open_cursor(row)?,
            };
            while row < rows.end {
                if row == self.end_of(cursor.group) {
                    cursor = self.next_group(cursor)?;
                }
                let end = rows.end.min(self.end_of(cursor.group));
                self.each(&mut cursor, row, |decoder, part| {
                    if let Some(slot) = self.selection.parts()[part].only_slot() {
                        return decoder.read((end - row) as usize, &mut staged[slot]);
                    }
                    values.clear();
                    let refused = decoder.read((end - row) as usize, &mut values)?;
                    self.selection.parts()[part].spread(&values, &mut staged);
                    Ok(refused)
                })?;
                row = end;
            }
            cursor.file.0.require_unchanged()?;
            if row < self.n_rows {
                self.cursors.put(row, cursor);
            }
        }
        self.selection.fill(&staged, buffer);
        self.selection.block(buffer, n_rows, |index| self.place(rows.start + index as u64))
    }
}

/// The decoders of the row group that a reader is in.
struct Cursor {
    file: Arc<PositionalFile>,
    metadata: ParquetMetaData,
    /// Number of the row group among those of the source.
    group: usize,
    decoders: Vec<Box<dyn Decode>>,
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("group", &self.group).finish_non_exhaustive()
    }
}

type ParquetResult<T> = std::result::Result<T, ParquetError>;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use ::parquet::basic::Compression;
    use ::parquet::data_type::{DoubleType, FloatType, Int32Type};
    use ::parquet::file::properties::WriterProperties;
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;
    use proptest::prelude::*;

    use super::*;
    use crate::source::ColumnRef;

    /// A file of its own for each test, removed at its end.
    struct TestFile(PathBuf);

    impl Drop for TestFile {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn value(row: usize, column: usize) -> f64 {
        (row * 3 + column) as f64
    }

    /// Row groups of these sizes with a double, an optional single and an optional integer; `null` stands in `b`.
    fn written(name: &str, groups: &[usize], null: Option<usize>) -> TestFile {
        let path = std::env::temp_dir().join(format!("relunet-{}-{name}.parquet", std::process::id()));
        let schema = "message m { REQUIRED DOUBLE a; OPTIONAL FLOAT b; OPTIONAL INT32 c; }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_data_page_row_count_limit(7)
            .set_write_batch_size(5)
            .build();
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
        let mut start = 0;
        for &n_rows in groups {
            let rows = start..start + n_rows;
            let levels: Vec<i16> = rows.clone().map(|row| i16::from(Some(row) != null)).collect();
            let mut group = writer.next_row_group().unwrap();
            let a: Vec<f64> = rows.clone().map(|row| value(row, 0)).collect();
            let b: Vec<f32> = rows.clone().filter(|&row| Some(row) != null).map(|row| value(row, 1) as f32).collect();
            let c: Vec<i32> = rows.clone().map(|row| value(row, 2) as i32).collect();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<DoubleType>().write_batch(&a, None, None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<FloatType>().write_batch(&b, Some(&levels), None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<Int32Type>().write_batch(&c, Some(&vec![1; n_rows]), None).unwrap();
            column.close().unwrap();
            group.close().unwrap();
            start = rows.end;
        }
        writer.close().unwrap();
        TestFile(path)
    }

    fn label_c() -> Wanted {
        Wanted { target: vec![ColumnRef::Name("c".into())], ..Wanted::default() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_rows_in_any_order(
            groups in prop::collection::vec(0_usize..40, 1..5), cuts in prop::collection::vec(any::<(u8, u8)>(), 1..8),
        ) {
            let n_rows: usize = groups.iter().sum();
            let file = written("order", &groups, None);
            let paths = [TableFile::from(&*file.0), TableFile::from(&*file.0)];
            if n_rows == 0 {
                let refused = matches!(ParquetSource::open(&paths, &label_c(), &Control::default()), Err(Error::Data { .. }));
                prop_assert!(refused);
                return Ok(());
            }
            let source = ParquetSource::open(&paths, &label_c(), &Control::default()).unwrap();
            prop_assert_eq!(source.n_rows(), 2 * n_rows as u64);
            let mut buffer = BlockBuffer::default();
            for (a, b) in cuts {
                let (a, b) = (a as usize % (2 * n_rows + 1), b as usize % (2 * n_rows + 1));
                let rows = a.min(b)..a.max(b);
                let block = source.block(rows.start as u64..rows.end as u64, &mut buffer).unwrap();
                let x: Vec<f64> = rows.clone().flat_map(|row| [0, 1].map(|j| value(row % n_rows, j))).collect();
                let y: Vec<f64> = rows.map(|row| value(row % n_rows, 2)).collect();
                prop_assert_eq!((block.x, block.y), (&x[..], &y[..]));
            }
        }
    }

    #[test]
    fn nulls_are_named_by_file_row_and_column() {
        let file = written("null", &[10, 20], Some(17));
        let source = ParquetSource::open(
            &[TableFile::from(&*file.0), TableFile::from(&*file.0)],
            &label_c(),
            &Control::default(),
        )
        .unwrap();
        let mut buffer = BlockBuffer::default();
        assert!(source.block(0..17, &mut buffer).is_ok());
        for rows in [0..30, 12..18, 40..60] {
            let error = source.block(rows, &mut buffer).unwrap_err().to_string();
            assert!(error.ends_with("null.parquet, row 17, column 'b': null where a finite number was expected"));
        }
        assert!(source.block(18..47, &mut buffer).is_ok());
    }
}

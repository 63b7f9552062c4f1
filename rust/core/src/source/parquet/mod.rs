//! Parquet files as a source: pages are decoded as rows are asked for, by several threads at several places.

mod decode;
mod file;

use std::iter::repeat_with;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use ::parquet::column::reader::get_column_reader;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::file::reader::SerializedPageReader;

use self::decode::{Decode, Kind, decoder};
use self::file::{PositionalFile, guarded, read_metadata};
use super::columns::{Selection, Wanted};
use super::cursors::Cursors;
use super::stable_file::{Address, StableFile};
use super::{Source, first_of, no_rows, row_range};
use crate::block::{Block, BlockBuffer};
use crate::error::{Error, Result};

/// Rows of Parquet files, one file after another.
#[derive(Debug)]
pub struct ParquetSource {
    files: Vec<File>,
    /// Row groups that have rows, in their order.
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
    columns: Vec<Leaf>,
}

/// A column of one file.
#[derive(Debug)]
struct Leaf {
    /// Its place among the columns that store values.
    index: usize,
    kind: Kind,
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
    /// Files that cannot be read or are damaged, columns that are missing or hold other than real numbers.
    pub fn open(paths: &[PathBuf], wanted: &Wanted) -> Result<Self> {
        let origin = first_of(paths)?;
        let (mut files, mut groups): (Vec<File>, Vec<Group>) = (Vec::new(), Vec::new());
        let (mut n_rows, mut is_single_precision) = (0, true);
        let mut first: Option<Selection> = None;
        for path in paths {
            let file = Arc::new(StableFile::open(path)?);
            let metadata = read_metadata(&file)?;
            let schema = metadata.file_metadata().schema_descr();
            let fields = schema.root_schema().get_fields();
            let names: Vec<String> = fields.iter().map(|field| field.name().to_owned()).collect();
            let selection = match &mut first {
                Some(first) => first,
                None => first.insert(Selection::new(wanted, names.clone(), names.len(), &origin)?),
            };
            let refuse = |message: String| Error::data(path.display().to_string(), message);
            let find = |&column: &usize| {
                let name = &selection.names()[column];
                // a name may stand twice in a file, whose columns then have to be in the order of the first file
                let field = if names.get(column) == Some(name) {
                    column
                } else {
                    names
                        .iter()
                        .position(|other| other == name)
                        .ok_or_else(|| refuse(format!("has no column '{name}', which {origin} has")))?
                };
                let kind = Kind::of(&fields[field])
                    .map_err(|found| refuse(format!("column '{name}' holds {found}; expected real numbers")))?;
                let index = (0..schema.num_columns()).position(|leaf| schema.get_column_root_idx(leaf) == field);
                Ok(Leaf { index: index.unwrap_or_default(), kind })
            };
            let columns = selection.all().iter().map(find).collect::<Result<Vec<_>>>()?;
            is_single_precision &= columns[..selection.n_features()].iter().all(|leaf| leaf.kind == Kind::Single);
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
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.selection.input_names()
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
        self.read(&mut cursor, first_row, |decoder, _| decoder.skip((row - first_row) as usize).map(|()| None))?;
        Ok(cursor)
    }

    /// Brings a cursor from the end of its row group to the start of the next.
    fn next_group(&self, mut cursor: Cursor) -> Result<Cursor> {
        let next = &self.groups[cursor.group + 1];
        if next.file != self.groups[cursor.group].file {
            return self.open_cursor(next.first_row);
        }
        cursor.group += 1;
        self.enter_group(&mut cursor)?;
        Ok(cursor)
    }

    /// Makes the decoders of the row group that a cursor is to read.
    fn enter_group(&self, cursor: &mut Cursor) -> Result<()> {
        let Group { file, ordinal, first_row } = self.groups[cursor.group];
        let schema = cursor.metadata.file_metadata().schema_descr_ptr();
        let group = cursor.metadata.row_group(ordinal);
        cursor.decoders.clear();
        let (source, decoders) = (&cursor.file, &mut cursor.decoders);
        for (slot, leaf) in self.files[file].columns.iter().enumerate() {
            decoders.push(guarded(
                &source.0,
                || self.place_in(first_row, slot),
                || {
                    let chunk = group.column(leaf.index);
                    if chunk.num_values() != group.num_rows() {
                        let message = format!("{} values in {} rows", chunk.num_values(), group.num_rows());
                        return Err(ParquetError::General(message));
                    }
                    let pages = SerializedPageReader::new(source.clone(), chunk, group.num_rows() as usize, None)?;
                    let reader = get_column_reader(schema.column(leaf.index), Box::new(pages));
                    decoder(reader, leaf.kind).ok_or_else(|| ParquetError::General("another type in the schema".into()))
                },
            )?);
        }
        Ok(())
    }

    /// Lets every decoder do its part of the rows from `row` on; `part` returns the index of the first null, if any.
    fn read(
        &self,
        cursor: &mut Cursor,
        row: u64,
        mut part: impl FnMut(&mut dyn Decode, usize) -> ParquetResult<Option<usize>>,
    ) -> Result<()> {
        for (slot, decoder) in cursor.decoders.iter_mut().enumerate() {
            let null = guarded(&cursor.file.0, || self.place_in(row, slot), || part(&mut **decoder, slot))?;
            if let Some(index) = null {
                let (name, row) = self.place(row + index as u64);
                return Err(Error::value(
                    name,
                    row,
                    Some(self.selection.named(slot)),
                    "null where a finite number was expected",
                ));
            }
        }
        Ok(())
    }

    /// Where in its file a row of a column is, for messages about what cannot be decoded.
    fn place_in(&self, row: u64, slot: usize) -> String {
        let group = self.groups[self.group_of(row)].ordinal;
        let (_, row) = self.place(row);
        format!("row group {group}, from row {row}, column {}: ", self.selection.named(slot))
    }
}

impl Source for ParquetSource {
    fn n_rows(&self) -> u64 {
        self.n_rows
    }

    fn n_features(&self) -> usize {
        self.selection.n_features()
    }

    fn has_labels(&self) -> bool {
        self.selection.label().is_some()
    }

    fn rest(&self) {
        self.cursors.clear();
    }

    fn block<'a>(&'a self, rows: Range<u64>, buffer: &'a mut BlockBuffer) -> Result<Block<'a>> {
        let n_rows = row_range(&rows, self.n_rows)?.len();
        let mut staged: Vec<Vec<f64>> =
            repeat_with(|| Vec::with_capacity(n_rows)).take(self.selection.all().len()).collect();
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
                self.read(&mut cursor, row, |decoder, slot| decoder.read((end - row) as usize, &mut staged[slot]))?;
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

/// The decoders of the row group in which a reader stands.
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
        Wanted { target: Some(ColumnRef::Name("c".into())), ..Wanted::default() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_rows_in_any_order(
            groups in prop::collection::vec(0_usize..40, 1..5), cuts in prop::collection::vec(any::<(u8, u8)>(), 1..8),
        ) {
            let n_rows: usize = groups.iter().sum();
            let file = written("order", &groups, None);
            let paths = [file.0.clone(), file.0.clone()];
            if n_rows == 0 {
                let refused = matches!(ParquetSource::open(&paths, &label_c()), Err(Error::Data { .. }));
                prop_assert!(refused);
                return Ok(());
            }
            let source = ParquetSource::open(&paths, &label_c()).unwrap();
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
        let source = ParquetSource::open(&[file.0.clone(), file.0.clone()], &label_c()).unwrap();
        let mut buffer = BlockBuffer::default();
        assert!(source.block(0..17, &mut buffer).is_ok());
        for rows in [0..30, 12..18, 40..60] {
            let error = source.block(rows, &mut buffer).unwrap_err().to_string();
            assert!(error.ends_with("null.parquet, row 17, column 'b': null where a finite number was expected"));
        }
        assert!(source.block(18..47, &mut buffer).is_ok());
    }
}

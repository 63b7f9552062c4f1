//! Parquet files as a source: pages are decoded as rows are asked for, by several threads at several places.

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::iter::repeat_with;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::{Arc, Once};

use ::parquet::basic::{ConvertedType, LogicalType, Repetition, Type as PhysicalType};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use ::parquet::data_type::{DataType, FixedLenByteArray};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use ::parquet::file::reader::{ChunkReader, Length, SerializedPageReader};
use ::parquet::schema::types::Type;
use bytes::Bytes;

use super::columns::{Selection, Wanted, named};
use super::cursors::Cursors;
use super::npy::half_to_double;
use super::stable_file::{Address, StableFile};
use super::{Source, row_range};
use crate::block::{Block, BlockBuffer};
use crate::error::{Error, Result};

/// Rows of Parquet files, one file after another.
#[derive(Debug)]
pub struct ParquetSource {
    files: Vec<File>,
    /// Row groups that have rows, in their order.
    groups: Vec<Group>,
    n_rows: u64,
    /// Names of the columns of the first file.
    names: Vec<String>,
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
        let (mut files, mut groups): (Vec<File>, Vec<Group>) = (Vec::new(), Vec::new());
        let (mut n_rows, mut is_single_precision) = (0, true);
        let mut first: Option<(Vec<String>, Selection)> = None;
        for path in paths {
            let file = Arc::new(StableFile::open(path)?);
            let metadata = read_metadata(&file)?;
            let schema = metadata.file_metadata().schema_descr();
            let fields = schema.root_schema().get_fields();
            let names: Vec<String> = fields.iter().map(|field| field.name().to_owned()).collect();
            let (all_names, selection) = match &mut first {
                Some(first) => first,
                None => {
                    let selection = Selection::new(wanted, &names, names.len(), &path.display().to_string())?;
                    first.insert((names.clone(), selection))
                }
            };
            let refuse = |message: String| Error::data(path.display().to_string(), message);
            let find = |&column: &usize| {
                let name = &all_names[column];
                // a name may stand twice in a file, whose columns then have to be in the order of the first file
                let field = if names.get(column) == Some(name) {
                    column
                } else {
                    names
                        .iter()
                        .position(|other| other == name)
                        .ok_or_else(|| refuse(format!("has no column '{name}', which {} has", paths[0].display())))?
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
        let Some((names, selection)) = first else {
            return Err(Error::argument("path", "no files"));
        };
        if n_rows == 0 {
            return Err(Error::data(paths[0].display().to_string(), "0 rows; at least 1 is needed"));
        }
        Ok(Self { files, groups, n_rows, names, selection, is_single_precision, cursors: Cursors::default() })
    }

    /// Names of the inputs.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.selection.inputs().iter().map(|&column| &*self.names[column])
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
                let column = named(&self.names, self.selection.all()[slot]);
                return Err(Error::value(name, row, Some(column), "null where a finite number was expected"));
            }
        }
        Ok(())
    }

    /// Where in its file a row of a column is, for messages about what cannot be decoded.
    fn place_in(&self, row: u64, slot: usize) -> String {
        let group = self.groups[self.group_of(row)].ordinal;
        let (_, row) = self.place(row);
        format!("row group {group}, from row {row}, column {}: ", named(&self.names, self.selection.all()[slot]))
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
        self.selection.block(buffer, n_rows, &self.names, |index| self.place(rows.start + index as u64))
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

/// The values of one column of a row group, in their order.
trait Decode: Send {
    /// Appends `n_rows` values to `out`, or returns the index of the first that is null.
    fn read(&mut self, n_rows: usize, out: &mut Vec<f64>) -> ParquetResult<Option<usize>>;
    /// Passes over `n_rows` values.
    fn skip(&mut self, n_rows: usize) -> ParquetResult<()>;
}

struct Decoder<T: DataType, F> {
    reader: ColumnReaderImpl<T>,
    convert: F,
    values: Vec<T::T>,
    /// Whether a value is there (1) or null (0), for columns that allow null.
    levels: Vec<i16>,
}

impl<T: DataType, F: Fn(&T::T) -> f64 + Send> Decode for Decoder<T, F> {
    fn read(&mut self, n_rows: usize, out: &mut Vec<f64>) -> ParquetResult<Option<usize>> {
        self.values.clear();
        self.levels.clear();
        let (n_read, n_values, _) = self.reader.read_records(n_rows, Some(&mut self.levels), None, &mut self.values)?;
        if n_read != n_rows {
            return Err(ParquetError::EOF(format!("{n_read} values where {n_rows} were expected")));
        }
        if n_values != n_rows {
            return Ok(Some(self.levels.iter().position(|&level| level == 0).unwrap_or_default()));
        }
        out.extend(self.values.iter().map(&self.convert));
        Ok(None)
    }

    fn skip(&mut self, n_rows: usize) -> ParquetResult<()> {
        let n_read = self.reader.skip_records(n_rows)?;
        if n_read == n_rows {
            return Ok(());
        }
        Err(ParquetError::EOF(format!("{n_read} values where {n_rows} were expected")))
    }
}

/// How the numbers of a column are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Signed32,
    Unsigned32,
    Signed64,
    Unsigned64,
    Half,
    Single,
    Double,
}

impl Kind {
    /// What a column holds, or a word for it where it is no real numbers.
    fn of(field: &Type) -> std::result::Result<Self, &'static str> {
        let info = field.get_basic_info();
        if !field.is_primitive() || info.has_repetition() && info.repetition() == Repetition::REPEATED {
            return Err("lists or other nested values");
        }
        let unsigned = match (info.logical_type_ref(), info.converted_type()) {
            (Some(LogicalType::Float16), _) => return Ok(Self::Half),
            (Some(LogicalType::Integer(integer)), _) => !integer.is_signed,
            (None, ConvertedType::NONE) => false,
            (None, ConvertedType::INT_8 | ConvertedType::INT_16 | ConvertedType::INT_32 | ConvertedType::INT_64) => {
                false
            }
            (
                None,
                ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64,
            ) => true,
            (Some(LogicalType::Decimal(_)), _) | (None, ConvertedType::DECIMAL) => return Err("decimals"),
            (Some(LogicalType::String), _) | (None, ConvertedType::UTF8) => return Err("strings"),
            (Some(LogicalType::Date | LogicalType::Time(_) | LogicalType::Timestamp(_)), _) => {
                return Err("dates or times");
            }
            _ => return Err("other than plain numbers"),
        };
        match (field.get_physical_type(), unsigned) {
            (PhysicalType::BOOLEAN, _) => Ok(Self::Bool),
            (PhysicalType::INT32, false) => Ok(Self::Signed32),
            (PhysicalType::INT32, true) => Ok(Self::Unsigned32),
            (PhysicalType::INT64, false) => Ok(Self::Signed64),
            (PhysicalType::INT64, true) => Ok(Self::Unsigned64),
            (PhysicalType::FLOAT, _) => Ok(Self::Single),
            (PhysicalType::DOUBLE, _) => Ok(Self::Double),
            (PhysicalType::INT96, _) => Err("dates or times"),
            (PhysicalType::BYTE_ARRAY | PhysicalType::FIXED_LEN_BYTE_ARRAY, _) => Err("strings or bytes"),
        }
    }
}

/// The decoder for a column; none where the column is not of this kind.
fn decoder(reader: ColumnReader, kind: Kind) -> Option<Box<dyn Decode>> {
    fn boxed<T: DataType>(
        reader: ColumnReaderImpl<T>,
        convert: impl Fn(&T::T) -> f64 + Send + 'static,
    ) -> Option<Box<dyn Decode>> {
        Some(Box::new(Decoder { reader, convert, values: Vec::new(), levels: Vec::new() }))
    }
    match (reader, kind) {
        (ColumnReader::BoolColumnReader(reader), Kind::Bool) => boxed(reader, |&value| f64::from(u8::from(value))),
        (ColumnReader::Int32ColumnReader(reader), Kind::Signed32) => boxed(reader, |&value| f64::from(value)),
        (ColumnReader::Int32ColumnReader(reader), Kind::Unsigned32) => {
            boxed(reader, |&value| f64::from(value.cast_unsigned()))
        }
        (ColumnReader::Int64ColumnReader(reader), Kind::Signed64) => boxed(reader, |&value| value as f64),
        (ColumnReader::Int64ColumnReader(reader), Kind::Unsigned64) => {
            boxed(reader, |&value| value.cast_unsigned() as f64)
        }
        (ColumnReader::FloatColumnReader(reader), Kind::Single) => boxed(reader, |&value| f64::from(value)),
        (ColumnReader::DoubleColumnReader(reader), Kind::Double) => boxed(reader, |&value| value),
        (ColumnReader::FixedLenByteArrayColumnReader(reader), Kind::Half) => {
            boxed(reader, |value: &FixedLenByteArray| match *value.data() {
                [low, high] => half_to_double(u16::from_le_bytes([low, high])),
                _ => f64::NAN,
            })
        }
        _ => None,
    }
}

/// First and last bytes of every Parquet file.
const MAGIC: &[u8; 4] = b"PAR1";

/// What the footer of a file says of its row groups and columns.
fn read_metadata(file: &Arc<StableFile>) -> Result<ParquetMetaData> {
    let refuse = |message: String| Error::file(file.path(), message);
    if file.n_bytes() == 0 {
        return Err(refuse("is empty; expected a Parquet file".into()));
    }
    for (offset, end) in [(0, "start"), (file.n_bytes().saturating_sub(4), "end")] {
        let mut magic = [0; 4];
        let n_read = file.read_at(&mut magic, offset)?;
        if magic != *MAGIC {
            let cause = if end == "end" { "is truncated or damaged: it " } else { "" };
            let found = String::from_utf8_lossy(&magic[..n_read]).into_owned();
            return Err(refuse(format!(
                "{cause}does not {end} with the bytes PAR1 of a Parquet file, but with {found:?}"
            )));
        }
    }
    let metadata = guarded(
        file,
        || "footer: ".into(),
        || ParquetMetaDataReader::new().parse_and_finish(&PositionalFile(file.clone())),
    )?;
    let group_rows = metadata.row_groups().iter().map(|group| u64::try_from(group.num_rows()).ok());
    let n_rows = group_rows.into_iter().try_fold(0_u64, |sum, n_rows| sum.checked_add(n_rows?));
    let promised = metadata.file_metadata().num_rows();
    if n_rows.is_none() || n_rows != u64::try_from(promised).ok() {
        return Err(refuse(format!("footer: is damaged: its row groups do not add up to {promised} rows")));
    }
    Ok(metadata)
}

/// What `decode` returns, with errors and panics over damaged bytes as errors about `file`.
fn guarded<T>(file: &StableFile, place: impl Fn() -> String, decode: impl FnOnce() -> ParquetResult<T>) -> Result<T> {
    let cause = match quietly(decode) {
        Ok(Ok(decoded)) => return Ok(decoded),
        Ok(Err(ParquetError::NYI(feature))) => format!("cannot be read: {feature}"),
        Ok(Err(error)) => format!("is damaged: {error}"),
        Err(_) => "is damaged: its bytes make no sense".to_owned(),
    };
    file.require_unchanged()?;
    Err(Error::file(file.path(), format!("{}{cause}", place())))
}

thread_local! {
    /// Whether this thread is decoding bytes over which the Parquet reader may panic.
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// What `decode` returns, or its panic, about which nothing is printed: it becomes an error.
fn quietly<T>(decode: impl FnOnce() -> T) -> std::thread::Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !DECODING.get() {
                usual(info);
            }
        }));
    });
    DECODING.set(true);
    // what a panic has left half done is never used again: the cursor is dropped
    let decoded = panic::catch_unwind(AssertUnwindSafe(decode));
    DECODING.set(false);
    decoded
}

/// A file that any number of threads read, each at its own positions.
struct PositionalFile(Arc<StableFile>);

/// The bytes of a file from a position on.
struct FromPosition {
    file: Arc<StableFile>,
    offset: u64,
}

/// Bytes that are read ahead of a page header.
const HEADER_BYTES: usize = 256;

impl Length for PositionalFile {
    fn len(&self) -> u64 {
        self.0.n_bytes()
    }
}

impl ChunkReader for PositionalFile {
    type T = BufReader<FromPosition>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::with_capacity(HEADER_BYTES, FromPosition { file: self.0.clone(), offset: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let n_bytes = self.0.n_bytes();
        if start.checked_add(length as u64).is_none_or(|end| end > n_bytes) {
            return Err(ParquetError::EOF(format!("{length} bytes at byte {start} of a file of {n_bytes} bytes")));
        }
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, start).map_err(|error| ParquetError::External(Box::new(error)))?;
        Ok(bytes.into())
    }
}

impl Read for FromPosition {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let n_read = self.file.read_at(bytes, self.offset).map_err(io::Error::other)?;
        self.offset += n_read as u64;
        Ok(n_read)
    }
}

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

//! Arrow record batches as a source: columns in memory, transposed into rows block by block.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow_array::types::{
    ArrowPrimitiveType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, GenericListArray, OffsetSizeTrait, RecordBatch, RecordBatchReader};
use arrow_schema::{DataType, Field};

use super::columns::{Columns, Selection, Wanted};
use super::numbers::{decimal_to_double, wide_decimal_to_double};
use super::panics::quietly;
use super::{Source, pandas, row_range};
use crate::block::{Block, BlockBuffer};
use crate::error::{Error, Result};

/// Names, types and selection of the columns of a table.
#[derive(Clone, Debug)]
struct Schema {
    origin: String,
    selection: Selection,
    is_single_precision: bool,
}

/// A stream of record batches, each of which is a table.
pub struct ArrowStream {
    reader: RecordBatchStreamReader,
    schema: Schema,
    n_rows: u64,
    /// A batch that was read to learn the length of lists.
    pending: Option<RecordBatch>,
}

impl ArrowStream {
    /// The batches of a stream, called `origin` in messages.
    ///
    /// # Errors
    /// Streams that cannot be read, columns that are missing or hold other than real numbers.
    pub fn open(stream: FFI_ArrowArrayStream, wanted: &Wanted, origin: &str) -> Result<Self> {
        guarded(origin, || {
            let reader = RecordBatchStreamReader::try_new(stream)
                .map_err(|error| Error::data(origin, format!("no Arrow stream can be read: {error}")))?;
            Self::new(reader, wanted, origin)
        })
    }

    fn new(mut reader: RecordBatchStreamReader, wanted: &Wanted, origin: &str) -> Result<Self> {
        let fields = reader.schema();
        let names: Vec<String> = fields.fields().iter().map(|field| field.name().clone()).collect();
        let index = pandas::index_columns(fields.metadata().get(pandas::KEY).map(String::as_str));
        let columns = Columns::named(names).with_index(|_, name| pandas::is_index(name, &index));
        let mut pending = None;
        let selection = Selection::new(wanted, columns, origin, |column| {
            let field = fields.field(column);
            let refuse = |found: &str| {
                let message = format!("column '{}' is of type {found}; {NUMBERS}", field.name());
                Err(Error::data(origin, message))
            };
            if let Some(extension) = field.extension_type_name().filter(|name| !name.starts_with("arrow.")) {
                return refuse(extension);
            }
            if !is_numeric(element_type(field.data_type())) {
                return refuse(&field.data_type().to_string());
            }
            match field.data_type() {
                DataType::FixedSizeList(_, n_elements) => Ok(Some(usize::try_from(*n_elements).unwrap_or_default())),
                DataType::List(_) | DataType::LargeList(_) => {
                    while pending.as_ref().is_none_or(|batch: &RecordBatch| batch.num_rows() == 0) {
                        match reader.next() {
                            Some(batch) => pending = Some(batch.map_err(|error| broken(origin, &error))?),
                            None => return Ok(Some(1)),
                        }
                    }
                    let array = pending.as_ref().map(|batch| batch.column(column));
                    Ok(array.and_then(|array| first_length(array)).or(Some(1)))
                }
                _ => Ok(None),
            }
        })?;
        let single = |&column: &usize| *element_type(fields.field(column).data_type()) == DataType::Float32;
        let is_single_precision = selection.inputs().iter().all(single);
        let schema = Schema { origin: origin.into(), selection, is_single_precision };
        Ok(Self { reader, schema, n_rows: 0, pending })
    }

    /// The next batch, if there is one.
    ///
    /// # Errors
    /// Errors of the producer of the stream.
    pub fn next_table(&mut self) -> Result<Option<ArrowTable>> {
        let batch = match self.pending.take() {
            Some(batch) => batch,
            None => match guarded(&self.schema.origin, || Ok(self.reader.next()))? {
                Some(batch) => batch.map_err(|error| broken(&self.schema.origin, &error))?,
                None => return Ok(None),
            },
        };
        let first_row = self.n_rows;
        self.n_rows += batch.num_rows() as u64;
        Ok(Some(ArrowTable::new(self.schema.clone(), first_row, vec![batch])))
    }

    /// All remaining batches as one table.
    ///
    /// # Errors
    /// Errors of the producer of the stream.
    pub fn table(&mut self) -> Result<ArrowTable> {
        let first_row = self.n_rows;
        let mut batches = Vec::new();
        while let Some(table) = self.next_table()? {
            batches.extend(table.batches);
        }
        Ok(ArrowTable::new(self.schema.clone(), first_row, batches))
    }
}

/// What `read` returns, with a panic of the Arrow library as an error about `origin`.
fn guarded<T>(origin: &str, read: impl FnOnce() -> Result<T>) -> Result<T> {
    let damaged = |_| Err(Error::data(origin, "is damaged: its buffers do not fit its schema"));
    quietly(read).unwrap_or_else(damaged)
}

fn broken(origin: &str, error: &impl std::fmt::Display) -> Error {
    Error::data(origin, format!("the stream broke off: {error}"))
}

const NUMBERS: &str = "expected real numbers, or lists of them that are equally long";

/// The type of the numbers in a column or in its lists.
fn element_type(kind: &DataType) -> &DataType {
    let field: Option<&Field> = match kind {
        DataType::FixedSizeList(field, _) | DataType::List(field) | DataType::LargeList(field) => Some(field),
        _ => None,
    };
    field.map_or(kind, |field| field.data_type())
}

fn is_numeric(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_numeric(values),
        DataType::Boolean => true,
        _ => kind.is_integer() || kind.is_floating() || kind.is_decimal(),
    }
}

/// The length of the first list that is not null.
fn first_length(array: &dyn Array) -> Option<usize> {
    let row = (0..array.len()).find(|&row| !array.is_null(row))?;
    if let Some(lists) = array.as_list_opt::<i32>() {
        Some(lists.value_length(row) as usize)
    } else {
        array.as_list_opt::<i64>().map(|lists| lists.value_length(row) as usize)
    }
}

/// Record batches in memory.
#[derive(Debug)]
pub struct ArrowTable {
    schema: Schema,
    /// Number of the first row of this table in the stream.
    first_row: u64,
    batches: Vec<RecordBatch>,
    /// First row of each batch, and the end of the last.
    starts: Vec<u64>,
}

impl ArrowTable {
    fn new(schema: Schema, first_row: u64, batches: Vec<RecordBatch>) -> Self {
        let mut starts = vec![0];
        let mut n_rows = 0;
        for batch in &batches {
            n_rows += batch.num_rows() as u64;
            starts.push(n_rows);
        }
        Self { schema, first_row, batches, starts }
    }

    /// Names of the inputs.
    pub fn columns(&self) -> Vec<String> {
        self.schema.selection.input_names().collect()
    }

    /// Whether all inputs are in single precision.
    pub fn is_single_precision(&self) -> bool {
        self.schema.is_single_precision
    }

    /// Address of the values of the first input, which shows whether two streams share memory.
    pub fn address(&self) -> usize {
        let column = self.schema.selection.inputs()[0];
        self.batches.iter().find_map(|batch| first_buffer(batch.column(column))).unwrap_or_default()
    }
}

/// Address of the numbers of a column or of its lists.
fn first_buffer(array: &dyn Array) -> Option<usize> {
    let elements = match array.data_type() {
        DataType::FixedSizeList(..) => array.as_fixed_size_list().values(),
        DataType::List(_) => array.as_list::<i32>().values(),
        DataType::LargeList(_) => array.as_list::<i64>().values(),
        _ => return array.to_data().buffers().first().map(|buffer| buffer.as_ptr().addr()),
    };
    first_buffer(elements)
}

impl Source for ArrowTable {
    fn n_rows(&self) -> u64 {
        self.starts[self.batches.len()]
    }

    fn n_features(&self) -> usize {
        self.schema.selection.n_features()
    }

    fn n_outputs(&self) -> usize {
        self.schema.selection.n_outputs()
    }

    fn block<'a>(&'a self, rows: Range<u64>, buffer: &'a mut BlockBuffer) -> Result<Block<'a>> {
        let n_rows = row_range(&rows, self.n_rows())?.len();
        let Schema { origin, selection, .. } = &self.schema;
        guarded(origin, || self.read(rows.clone(), buffer))?;
        let place = |index: usize| (origin.clone(), self.first_row + rows.start + index as u64);
        selection.block(buffer, n_rows, place)
    }
}

impl ArrowTable {
    /// Reads rows into `buffer`.
    fn read(&self, rows: Range<u64>, buffer: &mut BlockBuffer) -> Result<()> {
        let n_rows = (rows.end - rows.start) as usize;
        let Schema { origin, selection, .. } = &self.schema;
        let mut staged: Vec<Vec<f64>> = vec![Vec::with_capacity(n_rows); selection.n_slots()];
        let mut values = Vec::new();
        let mut row = rows.start;
        while row < rows.end {
            let index = self.starts.partition_point(|&start| start <= row) - 1;
            let start = self.starts[index];
            let end = rows.end.min(self.starts[index + 1]);
            let in_batch = (row - start) as usize..(end - start) as usize;
            for (number, part) in selection.parts().iter().enumerate() {
                let array = self.batches[index].column(part.column).as_ref();
                let read = match part.only_slot() {
                    Some(slot) => append(array, in_batch.clone(), &mut staged[slot]).map_err(Refused::null),
                    None => {
                        values.clear();
                        append_lists(array, in_batch.clone(), part.n_elements.unwrap_or(1), &mut values)
                            .map(|()| part.spread(&values, &mut staged))
                    }
                };
                if let Err(Refused { row, element, message }) = read {
                    let place = self.first_row + start + row as u64;
                    return Err(Error::value(&**origin, place, Some(selection.part_named(number, element)), message));
                }
            }
            row = end;
        }
        selection.fill(&staged, buffer);
        Ok(())
    }
}

/// A value that cannot be used.
struct Refused {
    /// Row in the batch.
    row: usize,
    element: Option<usize>,
    message: String,
}

impl Refused {
    fn null(row: usize) -> Self {
        Self { row, element: None, message: "null where a finite number was expected".into() }
    }
}

/// Appends the numbers of the lists at `rows`, each of which must have `n_elements`.
fn append_lists(array: &dyn Array, rows: Range<usize>, n_elements: usize, out: &mut Vec<f64>) -> Refusal {
    let refuse = |row: usize, found: &str| {
        let message = format!("{found} where a list of {n_elements} was expected");
        Err(Refused { row, element: None, message })
    };
    if let Some(null) = first_null(array, rows.clone()) {
        return refuse(null, "null");
    }
    fn places<O: OffsetSizeTrait>(lists: &GenericListArray<O>, rows: &Range<usize>) -> Vec<usize> {
        lists.value_offsets()[rows.start..=rows.end].iter().map(|offset| offset.as_usize()).collect()
    }
    let (elements, offsets) = if let Some(lists) = array.as_fixed_size_list_opt() {
        let start = lists.value_offset_at(rows.start);
        (lists.values(), (0..=rows.len()).map(|row| start + row * lists.value_length() as usize).collect())
    } else if let Some(lists) = array.as_list_opt::<i32>() {
        (lists.values(), places(lists, &rows))
    } else if let Some(lists) = array.as_list_opt::<i64>() {
        (lists.values(), places(lists, &rows))
    } else {
        return refuse(rows.start, "no list");
    };
    if let Some(row) = offsets.windows(2).position(|ends| ends[1] - ends[0] != n_elements) {
        return refuse(rows.start + row, &format!("a list of {}", offsets[row + 1] - offsets[row]));
    }
    let (start, end) = (offsets[0], offsets[rows.len()]);
    append(elements.as_ref(), start..end, out).map_err(|at| {
        let (row, element) = ((at - start) / n_elements, (at - start) % n_elements);
        Refused { element: Some(element), ..Refused::null(rows.start + row) }
    })
}

type Refusal = std::result::Result<(), Refused>;

fn first_null(array: &dyn Array, mut rows: Range<usize>) -> Option<usize> {
    rows.find(|&at| array.null_count() > 0 && array.is_null(at))
}

/// Appends the values at `rows` of an array of numbers, or returns the row of the first null.
fn append(array: &dyn Array, rows: Range<usize>, out: &mut Vec<f64>) -> std::result::Result<(), usize> {
    fn extend<T: ArrowPrimitiveType>(
        array: &dyn Array,
        rows: Range<usize>,
        out: &mut Vec<f64>,
        convert: impl Fn(T::Native) -> f64,
    ) {
        out.extend(array.as_primitive::<T>().values()[rows].iter().map(|&value| convert(value)));
    }
    if let Some(null) = first_null(array, rows.clone()) {
        return Err(null);
    }
    match *array.data_type() {
        DataType::Float64 => extend::<Float64Type>(array, rows, out, |value| value),
        DataType::Float32 => extend::<Float32Type>(array, rows, out, f64::from),
        DataType::Float16 => extend::<Float16Type>(array, rows, out, f64::from),
        DataType::Int64 => extend::<Int64Type>(array, rows, out, |value| value as f64),
        DataType::Int32 => extend::<Int32Type>(array, rows, out, f64::from),
        DataType::Int16 => extend::<Int16Type>(array, rows, out, f64::from),
        DataType::Int8 => extend::<Int8Type>(array, rows, out, f64::from),
        DataType::UInt64 => extend::<UInt64Type>(array, rows, out, |value| value as f64),
        DataType::UInt32 => extend::<UInt32Type>(array, rows, out, f64::from),
        DataType::UInt16 => extend::<UInt16Type>(array, rows, out, f64::from),
        DataType::UInt8 => extend::<UInt8Type>(array, rows, out, f64::from),
        DataType::Boolean => {
            let flags = array.as_boolean();
            out.extend(rows.map(|at| f64::from(u8::from(flags.value(at)))));
        }
        DataType::Decimal32(_, scale) => {
            extend::<Decimal32Type>(array, rows, out, |value| decimal_to_double(value.into(), scale.into()));
        }
        DataType::Decimal64(_, scale) => {
            extend::<Decimal64Type>(array, rows, out, |value| decimal_to_double(value.into(), scale.into()));
        }
        DataType::Decimal128(_, scale) => {
            extend::<Decimal128Type>(array, rows, out, |value| decimal_to_double(value, scale.into()));
        }
        DataType::Decimal256(_, scale) => {
            extend::<Decimal256Type>(array, rows, out, |value| wide_decimal_to_double(value, scale.into()));
        }
        DataType::Dictionary(..) => {
            let part = array.slice(rows.start, rows.len());
            let dictionary = part.as_any_dictionary();
            let values = dictionary.values();
            if values.is_empty() || part.is_empty() {
                return if part.is_empty() { Ok(()) } else { Err(rows.start) };
            }
            let mut keys = Vec::new();
            append(dictionary.keys(), 0..part.len(), &mut keys).map_err(|row| rows.start + row)?;
            for (row, key) in keys.into_iter().enumerate() {
                // a key outside of the values panics, as other damaged buffers do, and becomes an error
                let key = if key < 0.0 { values.len() } else { key as usize };
                append(values.as_ref(), key..key + 1, out).map_err(|_| rows.start + row)?;
            }
        }
        // the types of a stream are checked before its batches are read
        _ => out.resize(out.len() + rows.len(), f64::NAN),
    }
    Ok(())
}

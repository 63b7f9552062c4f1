//! Arrow record batches as a source: columns in memory, turned into rows block by block.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::ffi_stream::RecordBatchStreamReader;
use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch, RecordBatchReader};
use arrow_schema::DataType;

use super::columns::{Selection, Wanted};
use super::{Source, row_range};
use crate::block::{Block, BlockBuffer};
use crate::error::{Error, Result};

/// What the columns of a table are.
#[derive(Clone, Debug)]
struct Schema {
    origin: String,
    selection: Selection,
    is_single_precision: bool,
}

/// A stream of record batches, each a table of its own.
pub struct ArrowStream {
    reader: RecordBatchStreamReader,
    schema: Schema,
    n_rows: u64,
}

impl ArrowStream {
    /// The batches of `reader`, called `origin` in messages.
    ///
    /// # Errors
    /// Columns that are missing or hold other than real numbers.
    pub fn new(reader: RecordBatchStreamReader, wanted: &Wanted, origin: &str) -> Result<Self> {
        let fields = reader.schema();
        let names: Vec<String> = fields.fields().iter().map(|field| field.name().clone()).collect();
        let n_columns = names.len();
        let selection = Selection::new(wanted, names, n_columns, origin)?;
        for &column in selection.all() {
            let kind = fields.field(column).data_type();
            if !(kind.is_integer() || kind.is_floating() || *kind == DataType::Boolean) {
                let message =
                    format!("column '{}' is of type {kind}; expected real numbers", selection.names()[column]);
                return Err(Error::data(origin, message));
            }
        }
        let single = |&column: &usize| *fields.field(column).data_type() == DataType::Float32;
        let is_single_precision = selection.inputs().iter().all(single);
        let schema = Schema { origin: origin.into(), selection, is_single_precision };
        Ok(Self { reader, schema, n_rows: 0 })
    }

    /// The next batch, if there is one.
    ///
    /// # Errors
    /// Whatever the producer of the stream reports.
    pub fn next_table(&mut self) -> Result<Option<ArrowTable>> {
        let Some(batch) = self.reader.next() else {
            return Ok(None);
        };
        let batch =
            batch.map_err(|error| Error::data(&*self.schema.origin, format!("the stream broke off: {error}")))?;
        let first_row = self.n_rows;
        self.n_rows += batch.num_rows() as u64;
        Ok(Some(ArrowTable::new(self.schema.clone(), first_row, vec![batch])))
    }

    /// All batches that are left, held together.
    ///
    /// # Errors
    /// Whatever the producer of the stream reports.
    pub fn table(&mut self) -> Result<ArrowTable> {
        let first_row = self.n_rows;
        let mut batches = Vec::new();
        while let Some(table) = self.next_table()? {
            batches.extend(table.batches);
        }
        Ok(ArrowTable::new(self.schema.clone(), first_row, batches))
    }
}

/// Record batches in memory.
#[derive(Debug)]
pub struct ArrowTable {
    schema: Schema,
    /// Row of the stream that is the first of this table.
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
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.schema.selection.input_names()
    }

    /// Whether all inputs are in single precision.
    pub fn is_single_precision(&self) -> bool {
        self.schema.is_single_precision
    }

    /// Where the values of the first input lie, which tells whether two streams share their memory.
    pub fn address(&self) -> usize {
        let column = self.schema.selection.inputs()[0];
        let data = self.batches.iter().map(|batch| batch.column(column).to_data());
        data.filter_map(|data| data.buffers().first().map(|buffer| buffer.as_ptr().addr())).next().unwrap_or_default()
    }
}

impl Source for ArrowTable {
    fn n_rows(&self) -> u64 {
        self.starts[self.batches.len()]
    }

    fn n_features(&self) -> usize {
        self.schema.selection.n_features()
    }

    fn has_labels(&self) -> bool {
        self.schema.selection.label().is_some()
    }

    fn block<'a>(&'a self, rows: Range<u64>, buffer: &'a mut BlockBuffer) -> Result<Block<'a>> {
        let n_rows = row_range(&rows, self.n_rows())?.len();
        let Schema { origin, selection, .. } = &self.schema;
        let mut columns: Vec<Vec<f64>> = vec![Vec::new(); selection.all().len()];
        let mut row = rows.start;
        while row < rows.end {
            let index = self.starts.partition_point(|&start| start <= row) - 1;
            let start = self.starts[index];
            let end = rows.end.min(self.starts[index + 1]);
            let part = (row - start) as usize..(end - start) as usize;
            for (slot, (values, &column)) in columns.iter_mut().zip(selection.all()).enumerate() {
                let array = self.batches[index].column(column);
                if let Some(null) = part.clone().find(|&at| array.null_count() > 0 && array.is_null(at)) {
                    let place = self.first_row + start + null as u64;
                    let message = "null where a finite number was expected";
                    return Err(Error::value(&**origin, place, Some(selection.named(slot)), message));
                }
                append(array.as_ref(), part.clone(), values);
            }
            row = end;
        }
        selection.fill(&columns, buffer);
        let place = |index: usize| (origin.clone(), self.first_row + rows.start + index as u64);
        selection.block(buffer, n_rows, place)
    }
}

/// Appends the values at `rows` of an array of numbers.
fn append(array: &dyn Array, rows: Range<usize>, out: &mut Vec<f64>) {
    fn extend<T: ArrowPrimitiveType>(
        array: &dyn Array,
        rows: Range<usize>,
        out: &mut Vec<f64>,
        convert: impl Fn(T::Native) -> f64,
    ) {
        out.extend(array.as_primitive::<T>().values()[rows].iter().map(|&value| convert(value)));
    }
    match array.data_type() {
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
        // the types of a stream are looked at before its batches are
        _ => out.resize(out.len() + rows.len(), f64::NAN),
    }
}

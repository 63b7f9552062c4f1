//! Decoding of the numeric columns of Parquet files to double precision.

use ::parquet::basic::{ConvertedType, LogicalType, Repetition, Type as PhysicalType};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{ByteArray, DataType, FixedLenByteArray};
use ::parquet::errors::ParquetError;
use ::parquet::schema::types::{ColumnDescriptor, Type};

use super::ParquetResult;
use crate::source::numbers::{decimal_of_bytes, decimal_to_double, half_to_double};

/// A sequential reader of the values of one column of a row group.
pub(super) trait Decode: Send {
    /// Appends the values of `n_rows` rows to `out`, or returns the first value that cannot be used.
    fn read(&mut self, n_rows: usize, out: &mut Vec<f64>) -> ParquetResult<Option<Refused>>;
    /// Skips `n_rows` values.
    fn skip(&mut self, n_rows: usize) -> ParquetResult<()>;
}

/// A value that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Row, counted from the first requested row.
    pub(super) row: usize,
    /// Element of the list in this row, if a single element is the reason.
    pub(super) element: Option<usize>,
    /// What was found and what was expected.
    pub(super) message: String,
}

struct Decoder<T: DataType, F> {
    reader: ColumnReaderImpl<T>,
    convert: F,
    /// Numbers per row if the column holds lists.
    n_elements: Option<usize>,
    values: Vec<T::T>,
    /// Whether a value is there (the highest level) or null or no element of a list at all (lower ones), for columns that
    /// allow this.
    levels: Vec<i16>,
    highest_level: i16,
    /// Whether a value is the first of its row (0), for columns of lists.
    repetitions: Vec<i16>,
}

impl<T: DataType, F: Fn(&T::T) -> f64 + Send> Decoder<T, F> {
    /// The first value that cannot be used in a column of lists, some of which are incomplete.
    fn refused_list(&self, expected: usize) -> Refused {
        let starts: Vec<usize> = (0..self.repetitions.len()).filter(|&at| self.repetitions[at] == 0).collect();
        for (row, &start) in starts.iter().enumerate() {
            let end = starts.get(row + 1).copied().unwrap_or(self.repetitions.len());
            let levels = self.levels.get(start..end).unwrap_or_default();
            let n_missing = levels.iter().filter(|&&level| level < self.highest_level).count();
            // an empty list and a list of one null both have a single level
            let message = match (end - start, n_missing) {
                (1, 1) if expected > 1 => format!("no list, or an empty one, where one of {expected} was expected"),
                (found, _) if found != expected => format!("a list of {found} values where {expected} were expected"),
                (_, 0) => continue,
                _ => {
                    let element = levels.iter().position(|&level| level < self.highest_level);
                    return Refused { row, element, message: NULL.into() };
                }
            };
            return Refused { row, element: None, message };
        }
        Refused { row: 0, element: None, message: format!("lists of other than {expected} values") }
    }
}

const NULL: &str = "null where a finite number was expected";

impl<T: DataType, F: Fn(&T::T) -> f64 + Send> Decode for Decoder<T, F> {
    fn read(&mut self, n_rows: usize, out: &mut Vec<f64>) -> ParquetResult<Option<Refused>> {
        self.values.clear();
        self.levels.clear();
        self.repetitions.clear();
        let (n_read, n_values, n_levels) =
            self.reader.read_records(n_rows, Some(&mut self.levels), Some(&mut self.repetitions), &mut self.values)?;
        if n_read != n_rows {
            return Err(ParquetError::EOF(format!("{n_read} values where {n_rows} were expected")));
        }
        if let Some(expected) = self.n_elements {
            let is_regular = n_levels == n_rows * expected
                && n_values == n_levels
                && self.repetitions.iter().enumerate().all(|(at, &level)| (level == 0) == (at % expected == 0));
            if !is_regular {
                return Ok(Some(self.refused_list(expected)));
            }
        } else if n_values != n_rows {
            let row = self.levels.iter().position(|&level| level < self.highest_level).unwrap_or_default();
            return Ok(Some(Refused { row, element: None, message: NULL.into() }));
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

/// Storage type of the numbers of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Signed32,
    Unsigned32,
    Signed64,
    Unsigned64,
    Half,
    Single,
    Double,
    /// Big-endian integers in two's complement, in units of a power of ten.
    Decimal {
        scale: i32,
    },
}

/// Whether a column of the schema holds lists of primitive values.
pub(super) fn is_list(field: &Type, column: &ColumnDescriptor) -> bool {
    let info = field.get_basic_info();
    let annotated =
        matches!(info.logical_type_ref(), Some(LogicalType::List)) || info.converted_type() == ConvertedType::LIST;
    let repeated = info.has_repetition() && info.repetition() == Repetition::REPEATED;
    column.max_rep_level() == 1
        && (field.is_primitive() && repeated || annotated && !repeated && column.path().parts().len() <= 3)
}

impl Kind {
    /// The storage type of a column of primitive values, or a description if they are not real numbers.
    pub(super) fn of(field: &Type) -> std::result::Result<Self, &'static str> {
        let info = field.get_basic_info();
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
            (Some(LogicalType::Decimal(decimal)), _) => return Ok(Self::Decimal { scale: decimal.scale }),
            (None, ConvertedType::DECIMAL) => return Ok(Self::Decimal { scale: scale_of(field) }),
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

/// The number of decimal places of a column in the notation of older files.
fn scale_of(field: &Type) -> i32 {
    match field {
        Type::PrimitiveType { scale, .. } => *scale,
        Type::GroupType { .. } => 0,
    }
}

/// The layout of the values of a column in rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Numbers in each row, where the column holds lists.
    pub(super) n_elements: Option<usize>,
    /// The definition level of a value that is not null.
    pub(super) highest_level: i16,
}

/// The decoder for a column, or none if the column is not of this kind.
pub(super) fn decoder(reader: ColumnReader, kind: Kind, layout: Layout) -> Option<Box<dyn Decode>> {
    let Layout { n_elements, highest_level } = layout;
    fn boxed<T: DataType>(
        reader: ColumnReaderImpl<T>,
        (n_elements, highest_level): (Option<usize>, i16),
        convert: impl Fn(&T::T) -> f64 + Send + 'static,
    ) -> Option<Box<dyn Decode>> {
        let (values, levels, repetitions) = (Vec::new(), Vec::new(), Vec::new());
        Some(Box::new(Decoder { reader, convert, n_elements, values, levels, highest_level, repetitions }))
    }
    let layout = (n_elements, highest_level);
    match (reader, kind) {
        (ColumnReader::BoolColumnReader(reader), Kind::Bool) => {
            boxed(reader, layout, |&value| f64::from(u8::from(value)))
        }
        (ColumnReader::Int32ColumnReader(reader), Kind::Signed32) => boxed(reader, layout, |&value| f64::from(value)),
        (ColumnReader::Int32ColumnReader(reader), Kind::Unsigned32) => {
            boxed(reader, layout, |&value| f64::from(value.cast_unsigned()))
        }
        (ColumnReader::Int64ColumnReader(reader), Kind::Signed64) => boxed(reader, layout, |&value| value as f64),
        (ColumnReader::Int64ColumnReader(reader), Kind::Unsigned64) => {
            boxed(reader, layout, |&value| value.cast_unsigned() as f64)
        }
        (ColumnReader::FloatColumnReader(reader), Kind::Single) => boxed(reader, layout, |&value| f64::from(value)),
        (ColumnReader::DoubleColumnReader(reader), Kind::Double) => boxed(reader, layout, |&value| value),
        (ColumnReader::FixedLenByteArrayColumnReader(reader), Kind::Half) => {
            boxed(reader, layout, |value: &FixedLenByteArray| match *value.data() {
                [low, high] => half_to_double(u16::from_le_bytes([low, high])),
                _ => f64::NAN,
            })
        }
        (ColumnReader::Int32ColumnReader(reader), Kind::Decimal { scale }) => {
            boxed(reader, layout, move |&value| decimal_to_double(value.into(), scale))
        }
        (ColumnReader::Int64ColumnReader(reader), Kind::Decimal { scale }) => {
            boxed(reader, layout, move |&value| decimal_to_double(value.into(), scale))
        }
        (ColumnReader::FixedLenByteArrayColumnReader(reader), Kind::Decimal { scale }) => {
            boxed(reader, layout, move |value: &FixedLenByteArray| decimal_of_bytes(value.data(), scale))
        }
        (ColumnReader::ByteArrayColumnReader(reader), Kind::Decimal { scale }) => {
            boxed(reader, layout, move |value: &ByteArray| decimal_of_bytes(value.data(), scale))
        }
        _ => None,
    }
}

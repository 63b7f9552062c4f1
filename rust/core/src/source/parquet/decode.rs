//! Columns of Parquet files, whatever numbers they hold, as doubles.

use ::parquet::basic::{ConvertedType, LogicalType, Repetition, Type as PhysicalType};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{DataType, FixedLenByteArray};
use ::parquet::errors::ParquetError;
use ::parquet::schema::types::Type;

use super::ParquetResult;
use crate::source::npy::half_to_double;

/// The values of one column of a row group, in their order.
pub(super) trait Decode: Send {
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
pub(super) enum Kind {
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
    pub(super) fn of(field: &Type) -> std::result::Result<Self, &'static str> {
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
pub(super) fn decoder(reader: ColumnReader, kind: Kind) -> Option<Box<dyn Decode>> {
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

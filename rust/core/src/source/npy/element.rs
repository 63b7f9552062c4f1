//! The number types of `.npy` files, decoded into double precision.

use super::header::{Element, Kind};
use crate::source::numbers::{bfloat_to_double, half_to_double};

/// Rows of a tile when columns are transposed into rows; the tile fits into the first-level cache.
const TILE_ROWS: usize = 32;

/// Evaluates `$decode` with `$convert` bound to the function that decodes one value of the given element.
macro_rules! with_converter {
    ($element:expr, $convert:ident => $decode:expr) => {{
        macro_rules! as_written {
            ($type:ty, $from:expr) => {
                if $element.big_endian {
                    let $convert = |bytes| $from(<$type>::from_be_bytes(bytes));
                    $decode
                } else {
                    let $convert = |bytes| $from(<$type>::from_le_bytes(bytes));
                    $decode
                }
            };
        }
        match ($element.kind, $element.n_bytes) {
            (Kind::Float, 8) => as_written!(f64, f64::from),
            (Kind::Float, 4) => as_written!(f32, f64::from),
            (Kind::Float, _) => as_written!(u16, half_to_double),
            (Kind::Bfloat, _) => as_written!(u16, bfloat_to_double),
            (Kind::Signed, 8) => as_written!(i64, |value| value as f64),
            (Kind::Signed, 4) => as_written!(i32, f64::from),
            (Kind::Signed, 2) => as_written!(i16, f64::from),
            (Kind::Signed, _) => as_written!(i8, f64::from),
            (Kind::Unsigned, 8) => as_written!(u64, |value| value as f64),
            (Kind::Unsigned, 4) => as_written!(u32, f64::from),
            (Kind::Unsigned, 2) => as_written!(u16, f64::from),
            (Kind::Unsigned, _) => as_written!(u8, f64::from),
            (Kind::Bool, _) => as_written!(u8, |value| f64::from(value != 0)),
        }
    }};
}

impl Element {
    /// Double precision in the byte order of this machine, which needs no decoding.
    pub(super) const NATIVE: Self = Self { kind: Kind::Float, n_bytes: 8, big_endian: cfg!(target_endian = "big") };

    /// Decodes `columns` of rows of `n_columns` values into the rows of `out`.
    pub(super) fn decode_rows(self, bytes: &[u8], n_columns: usize, columns: &[usize], out: &mut [f64]) {
        with_converter!(self, convert => decode_rows(bytes, n_columns, columns, out, convert));
    }

    /// Decodes columns of `n_rows` values, one after another, into the rows of `out`.
    pub(super) fn decode_columns(self, bytes: &[u8], n_rows: usize, out: &mut [f64]) {
        with_converter!(self, convert => decode_columns(bytes, n_rows, out, convert));
    }
}

fn decode_rows<const N: usize>(
    bytes: &[u8],
    n_columns: usize,
    columns: &[usize],
    out: &mut [f64],
    convert: impl Fn([u8; N]) -> f64,
) {
    let values = bytes.as_chunks().0;
    if columns.iter().copied().eq(0..n_columns) {
        out.iter_mut().zip(values).for_each(|(to, &value)| *to = convert(value));
        return;
    }
    let runs: Vec<&[usize]> = columns.chunk_by(|a, b| a + 1 == *b).collect();
    for (mut row, values) in out.chunks_exact_mut(columns.len()).zip(values.chunks_exact(n_columns)) {
        for run in &runs {
            let (part, rest) = row.split_at_mut(run.len());
            part.iter_mut().zip(&values[run[0]..]).for_each(|(to, &value)| *to = convert(value));
            row = rest;
        }
    }
}

fn decode_columns<const N: usize>(bytes: &[u8], n_rows: usize, out: &mut [f64], convert: impl Fn([u8; N]) -> f64) {
    if n_rows == 0 {
        return;
    }
    let values = bytes.as_chunks().0;
    let n_columns = out.len() / n_rows;
    for (tile, first_row) in out.chunks_mut(TILE_ROWS * n_columns).zip((0..).step_by(TILE_ROWS)) {
        for (j, column) in values.chunks_exact(n_rows).take(n_columns).enumerate() {
            let column = &column[first_row..];
            tile[j..].iter_mut().step_by(n_columns).zip(column).for_each(|(to, &value)| *to = convert(value));
        }
    }
}

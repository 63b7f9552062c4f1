//! Arrays in memory as a source: row-major double precision is borrowed, other layouts are copied block by block.

use std::ops::Range;

use ndarray::{ArrayView1, ArrayView2, Axis, s};

use super::{Source, row_range};
use crate::block::{Block, BlockBuffer};
use crate::error::{Column, Error, Result};
use crate::validity::{require_finite, require_weights};

/// A matrix in either precision and any layout.
#[derive(Clone, Copy, Debug)]
pub enum Matrix<'a> {
    /// Single precision.
    F32(ArrayView2<'a, f32>),
    /// Double precision.
    F64(ArrayView2<'a, f64>),
}

/// A vector in either precision and any layout.
#[derive(Clone, Copy, Debug)]
pub enum Vector<'a> {
    /// Single precision.
    F32(ArrayView1<'a, f32>),
    /// Double precision.
    F64(ArrayView1<'a, f64>),
}

impl<'a> Matrix<'a> {
    fn dim(&self) -> (usize, usize) {
        match self {
            Self::F32(view) => view.dim(),
            Self::F64(view) => view.dim(),
        }
    }

    fn rows<'b>(self, rows: Range<usize>, copy: &'b mut Vec<f64>) -> &'b [f64]
    where
        'a: 'b,
    {
        match self {
            Self::F32(view) => copied(view.slice(s![rows, ..]), copy),
            Self::F64(view) => {
                let block = view.slice_move(s![rows, ..]);
                match block.to_slice() {
                    Some(lent) => lent,
                    None => copied(block, copy),
                }
            }
        }
    }
}

impl<'a> From<Vector<'a>> for Matrix<'a> {
    /// The matrix whose only column is the vector.
    fn from(vector: Vector<'a>) -> Self {
        match vector {
            Vector::F32(view) => Self::F32(view.insert_axis(Axis(1))),
            Vector::F64(view) => Self::F64(view.insert_axis(Axis(1))),
        }
    }
}

impl<'a> Vector<'a> {
    fn len(&self) -> usize {
        match self {
            Self::F32(view) => view.len(),
            Self::F64(view) => view.len(),
        }
    }

    fn rows<'b>(self, rows: Range<usize>, copy: &'b mut Vec<f64>) -> &'b [f64]
    where
        'a: 'b,
    {
        Matrix::from(self).rows(rows, copy)
    }
}

/// Rows of a tile when columns are transposed into rows; the tile of the copy fits into the first-level cache.
const TILE_ROWS: usize = 32;

/// The rows of `view` in double precision, row-major, in `copy`.
fn copied<'a, T: Copy + Into<f64>>(view: ArrayView2<'_, T>, copy: &'a mut Vec<f64>) -> &'a [f64] {
    let n_columns = view.ncols();
    copy.resize(view.len(), 0.0);
    if let Some(values) = view.as_slice() {
        copy.iter_mut().zip(values).for_each(|(to, &from)| *to = from.into());
    } else {
        for (tile, rows) in copy.chunks_mut(TILE_ROWS * n_columns).zip(view.axis_chunks_iter(Axis(0), TILE_ROWS)) {
            for (j, column) in rows.columns().into_iter().enumerate() {
                tile[j..].iter_mut().step_by(n_columns).zip(column).for_each(|(to, &from)| *to = from.into());
            }
        }
    }
    copy
}

/// Inputs, labels and weights that lie in memory.
///
/// The sweep borrows row-major matrices of double precision; other matrices are copied block by block.
#[derive(Clone, Copy, Debug)]
pub struct ArraySource<'a> {
    x: Matrix<'a>,
    y: Option<Matrix<'a>>,
    weight: Option<Vector<'a>>,
    /// Names of the columns of `x` for messages; empty if they have none.
    names: &'a [String],
    /// Names of the columns of `y`, for messages; empty where they have none.
    label_names: &'a [String],
}

impl<'a> ArraySource<'a> {
    /// A source of the rows of `x` with their labels `y`, one column for each output, and weights `weight`.
    ///
    /// # Errors
    /// No rows, no columns, or lengths that differ.
    pub fn new(x: Matrix<'a>, y: Option<Matrix<'a>>, weight: Option<Vector<'a>>) -> Result<Self> {
        let (n_rows, n_columns) = x.dim();
        let data = |name: &str, message| Error::data(name, message);
        if n_rows == 0 {
            return Err(data("X", format!("0 rows (shape ({n_rows}, {n_columns})); at least 1 is needed")));
        }
        if n_columns == 0 {
            return Err(data("X", format!("0 columns (shape ({n_rows}, {n_columns})); at least 1 is needed")));
        }
        let labels = y.as_ref().map(Matrix::dim);
        for (name, length) in [("y", labels.map(|dim| dim.0)), ("sample_weight", weight.as_ref().map(Vector::len))] {
            if let Some(length) = length.filter(|&length| length != n_rows) {
                return Err(data(name, format!("{length} values for {n_rows} rows of X")));
            }
        }
        if let Some((_, 0)) = labels {
            return Err(data("y", format!("0 columns (shape ({n_rows}, 0)); at least 1 is needed")));
        }
        Ok(Self { x, y, weight, names: &[], label_names: &[] })
    }

    /// The same source, whose columns of labels have these names in messages.
    #[must_use]
    pub fn with_label_names(self, label_names: &'a [String]) -> Self {
        Self { label_names, ..self }
    }

    /// The same source with names of its columns for messages.
    #[must_use]
    pub fn with_names(self, names: &'a [String]) -> Self {
        Self { names, ..self }
    }
}

impl Source for ArraySource<'_> {
    fn n_rows(&self) -> u64 {
        self.x.dim().0 as u64
    }

    fn n_features(&self) -> usize {
        self.x.dim().1
    }

    fn n_outputs(&self) -> usize {
        self.y.as_ref().map_or(0, |y| y.dim().1)
    }

    fn block<'a>(&'a self, rows: Range<u64>, buffer: &'a mut BlockBuffer) -> Result<Block<'a>> {
        let first_row = rows.start;
        let n_features = self.n_features();
        let rows = row_range(&rows, self.n_rows())?;
        let n_rows = rows.len();
        let x = self.x.rows(rows.clone(), &mut buffer.x);
        let row = |index: usize| first_row + index as u64;
        let column = |column: usize| self.names.get(column).cloned().map_or(Column::Index(column), Column::Name);
        require_finite(x, |at| ("X".into(), row(at / n_features), Some(column(at % n_features))))?;
        let n_outputs = self.n_outputs();
        let y = match &self.y {
            Some(y) => y.rows(rows.clone(), &mut buffer.y),
            None => &[],
        };
        let output = |at: usize| match self.label_names.get(at) {
            Some(name) => Some(Column::Name(name.clone())),
            None => (n_outputs > 1).then_some(Column::Index(at)),
        };
        require_finite(y, |at| ("y".into(), row(at / n_outputs), output(at % n_outputs)))?;
        let weight = self.weight.as_ref().map(|weight| weight.rows(rows, &mut buffer.weight));
        require_weights(weight.unwrap_or_default(), |at| ("sample_weight".into(), row(at), None))?;
        Ok(Block { x, y, weight, n_features, n_outputs, n_rows })
    }

    fn in_memory(&self, rows: Range<u64>) -> &[f64] {
        match (self.x, row_range(&rows, self.n_rows())) {
            (Matrix::F64(view), Ok(rows)) => view.slice_move(s![rows, ..]).to_slice().unwrap_or_default(),
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, ArrayView2, ShapeBuilder};
    use proptest::prelude::*;

    use super::*;

    fn matrix(n_rows: usize, n_columns: usize) -> Array2<f64> {
        Array2::from_shape_fn((n_rows, n_columns), |(i, j)| (i * n_columns + j) as f64 + 0.5)
    }

    fn assert_block(source: &ArraySource, rows: Range<usize>, x: ArrayView2<f64>) {
        let mut buffer = BlockBuffer::default();
        let block = source.block(rows.start as u64..rows.end as u64, &mut buffer).unwrap();
        assert_eq!((block.n_rows, block.n_features), (rows.len(), x.ncols()));
        assert!(block.x.iter().eq(x.slice(s![rows, ..]).iter()));
    }

    proptest! {
        #[test]
        fn every_layout_gives_the_same_rows(
            n_rows in 1_usize..100, n_columns in 1_usize..7, (from, to) in (0_usize..100, 0_usize..100),
        ) {
            let rows = from.min(to).min(n_rows)..from.max(to).min(n_rows);
            let x = matrix(n_rows, n_columns);
            let mut columns_first = Array2::zeros((n_rows, n_columns).f());
            columns_first.assign(&x);
            let mut apart = Array2::zeros((2 * n_rows, 3 * n_columns));
            apart.slice_mut(s![..;2, ..;3]).assign(&x);
            let mut reversed = x.slice(s![..;-1, ..;-1]).to_owned();
            reversed.invert_axis(Axis(0));
            reversed.invert_axis(Axis(1));
            for view in [x.view(), columns_first.view(), apart.slice(s![..;2, ..;3]), reversed.view()] {
                assert_block(&ArraySource::new(Matrix::F64(view), None, None).unwrap(), rows.clone(), x.view());
                let single = view.mapv(|value| value as f32);
                assert_block(&ArraySource::new(Matrix::F32(single.view()), None, None).unwrap(), rows.clone(), x.view());
            }
        }
    }

    #[test]
    fn contiguous_doubles_are_lent() {
        let x = matrix(5, 3);
        let y = Array1::from_iter((0..5).map(f64::from));
        let source = ArraySource::new(Matrix::F64(x.view()), Some(Vector::F64(y.view()).into()), None).unwrap();
        let mut buffer = BlockBuffer::default();
        let block = source.block(2..5, &mut buffer).unwrap();
        assert_eq!(block.x.as_ptr(), x.slice(s![2.., ..]).as_ptr());
        assert_eq!(block.y.as_ptr(), y.slice(s![2..]).as_ptr());
    }

    #[test]
    fn labels_and_weights_follow_their_rows() {
        let x = matrix(9, 2);
        let y = Array1::from_iter((0..18).map(f64::from));
        let weight = Array1::from_iter((0..9).map(|i| i as f32));
        let labels = Matrix::from(Vector::F64(y.slice(s![..;-2])));
        let source = ArraySource::new(Matrix::F64(x.view()), Some(labels), Some(Vector::F32(weight.view()))).unwrap();
        let mut buffer = BlockBuffer::default();
        let block = source.block(3..6, &mut buffer).unwrap();
        assert_eq!(block.y, [11.0, 9.0, 7.0]);
        assert_eq!(block.weight, Some(&[3.0, 4.0, 5.0][..]));
    }

    #[test]
    fn bad_values_are_named_by_row_and_column() {
        let mut x = matrix(100, 3);
        let mut y = Array1::zeros(100);
        let mut weight = Array1::ones(100);
        let message = |x: &Array2<f64>, y: &Array1<f64>, weight: &Array1<f64>, rows| {
            let (labels, weights) = (Some(Vector::F64(y.view()).into()), Some(Vector::F64(weight.view())));
            let source = ArraySource::new(Matrix::F64(x.view()), labels, weights).unwrap();
            source.block(rows, &mut BlockBuffer::default()).unwrap_err().to_string()
        };
        weight[90] = -2.0;
        assert!(message(&x, &y, &weight, 40..100).starts_with("sample_weight, row 90: -2 "));
        y[71] = f64::INFINITY;
        assert!(message(&x, &y, &weight, 40..100).starts_with("y, row 71: inf "));
        x[[70, 2]] = f64::NAN;
        assert!(message(&x, &y, &weight, 40..100).starts_with("X, row 70, column 2: NaN "));
        assert!(message(&x, &y, &weight, 99..101).starts_with("rows: "));
        let names = ["a", "b", "c"].map(String::from);
        let source = ArraySource::new(Matrix::F64(x.view()), None, None).unwrap().with_names(&names);
        let error = source.block(0..100, &mut BlockBuffer::default()).unwrap_err().to_string();
        assert!(error.starts_with("X, row 70, column 'c': NaN "), "{error}");
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let x = matrix(4, 2);
        let short = Array1::zeros(3);
        for view in [x.slice(s![..0, ..]), x.slice(s![.., ..0])] {
            assert!(matches!(ArraySource::new(Matrix::F64(view), None, None), Err(Error::Data { .. })));
        }
        let error = ArraySource::new(Matrix::F64(x.view()), Some(Vector::F64(short.view()).into()), None).unwrap_err();
        assert_eq!(error.to_string(), "y: 3 values for 4 rows of X");
        let error = ArraySource::new(Matrix::F64(x.view()), None, Some(Vector::F64(short.view()))).unwrap_err();
        assert_eq!(error.to_string(), "sample_weight: 3 values for 4 rows of X");
    }
}

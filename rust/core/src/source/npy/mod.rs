//! `.npy` files as a source: rows are read by position, at most one block at a time.

mod element;
mod header;
mod table;
mod tables;

use std::ops::Range;
use std::path::PathBuf;

use table::Table;
use tables::Tables;

use super::columns::{Columns, Selection};
use super::{ColumnRef, Source, Wanted, row_range};
use crate::block::{Block, BlockBuffer};
use crate::error::{Column, Error, Result};
use crate::validity::{require_finite, require_weights};

/// Location of the weights of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weights {
    /// A column of the file of inputs.
    Column(i64),
    /// Separate files.
    Files(Vec<PathBuf>),
}

/// Inputs in two-dimensional `.npy` files, with labels and weights in columns of these files or in separate files.
#[derive(Debug)]
pub struct NpySource {
    x: Tables,
    selection: Selection,
    /// The columns of the files of inputs that are read.
    columns: Vec<usize>,
    y: Option<Values>,
    weight: Option<Values>,
}

/// Labels or weights of the rows.
#[derive(Debug)]
enum Values {
    /// At these places in the list of columns that are read.
    Columns(Range<usize>),
    Files(Tables),
}

impl Values {
    /// Number of values a row.
    fn width(&self) -> usize {
        match self {
            Self::Columns(slots) => slots.len(),
            Self::Files(tables) => tables.n_columns(),
        }
    }
}

impl NpySource {
    /// A source of the rows of the files `x`, one after another.
    ///
    /// Labels are in the files `y`, of shape `(n,)` or `(n, m)`, or in the columns `target` of `x`. Inputs are `columns`, in
    /// the order given, by default every column that is neither label nor weight. Negative columns count from the end.
    ///
    /// # Errors
    /// Files that cannot be read or are damaged, values that are not real numbers, shapes and lengths that do not fit,
    /// columns that do not exist or are named twice.
    pub fn open(
        x: &[PathBuf],
        y: Option<&[PathBuf]>,
        target: Option<&[i64]>,
        columns: Option<&[i64]>,
        weight: Option<&Weights>,
    ) -> Result<Self> {
        let x = Tables::open(x)?;
        if let Some(table) = x.tables().iter().find(|table| table.n_dimensions() != 2) {
            let message = format!("shape {}; expected (rows, columns)", table.shape());
            return Err(Error::data(table.path().display().to_string(), message));
        }
        if y.is_some() && target.is_some() {
            return Err(Error::argument("target", "labels come from the file y or from a column, not from both"));
        }
        let (weight, weight_files) = match weight {
            Some(Weights::Column(column)) => (Some(ColumnRef::Index(*column)), None),
            Some(Weights::Files(paths)) => (None, Some(paths)),
            None => (None, None),
        };
        let columns = columns.map(|columns| columns.iter().map(|&column| ColumnRef::Index(column)).collect());
        let target = target.unwrap_or_default().iter().map(|&column| ColumnRef::Index(column)).collect();
        let wanted = Wanted { target, columns, weight };
        let origin = x.tables()[0].path().display().to_string();
        let selection = Selection::new(&wanted, Columns::unnamed(x.n_columns()), &origin, |_| Ok(None))?;
        let labels = Some(selection.labels()).filter(|slots| !slots.is_empty());
        let y = match (labels, y) {
            (Some(slots), _) => Some(Values::Columns(slots)),
            (None, Some(files)) => Some(values_of_rows(files, &x, usize::MAX)?),
            (None, None) => None,
        };
        let weight = match (selection.weight(), weight_files) {
            (Some(slot), _) => Some(Values::Columns(slot..slot + 1)),
            (None, Some(files)) => Some(values_of_rows(files, &x, 1)?),
            (None, None) => None,
        };
        let columns = selection.all();
        Ok(Self { x, selection, columns, y, weight })
    }

    /// Columns of the files that are the inputs.
    pub fn columns(&self) -> &[usize] {
        &self.columns[..self.selection.n_features()]
    }

    /// Whether the inputs are stored in single precision.
    pub fn is_single_precision(&self) -> bool {
        self.x.is_single_precision()
    }

    /// The files and the column of them that hold the value at an index of `values`, and its row.
    fn origin<'a>(&'a self, values: &'a Option<Values>, index: usize) -> (&'a Tables, usize, usize) {
        match values {
            Some(Values::Files(tables)) => (tables, index % tables.n_columns(), index / tables.n_columns()),
            Some(Values::Columns(slots)) => {
                (&self.x, self.columns[slots.start + index % slots.len()], index / slots.len())
            }
            None => (&self.x, 0, index),
        }
    }
}

/// Files of labels or weights, with at most so many values a row.
fn values_of_rows(paths: &[PathBuf], x: &Tables, most: usize) -> Result<Values> {
    let tables = Tables::open(paths)?;
    if let Some(table) = tables.tables().iter().find(|table| !(1..=most).contains(&table.n_columns())) {
        let expected = if most == 1 { "(rows, 1)" } else { "(rows, outputs)" };
        let message = format!("shape {}; expected (rows,) or {expected}", table.shape());
        return Err(Error::data(table.path().display().to_string(), message));
    }
    if tables.n_rows() != x.n_rows() {
        let named = |tables: &[Table]| match tables {
            [only] => only.path().display().to_string(),
            [first, ..] => format!("{} and {} more", first.path().display(), tables.len() - 1),
            [] => String::new(),
        };
        let message = format!("{} values for the {} rows of {}", tables.n_rows(), x.n_rows(), named(x.tables()));
        return Err(Error::data(named(tables.tables()), message));
    }
    Ok(Values::Files(tables))
}

impl Source for NpySource {
    fn n_rows(&self) -> u64 {
        self.x.n_rows()
    }

    fn n_features(&self) -> usize {
        self.selection.n_features()
    }

    fn n_outputs(&self) -> usize {
        self.y.as_ref().map_or(0, Values::width)
    }

    fn block<'a>(&'a self, rows: Range<u64>, buffer: &'a mut BlockBuffer) -> Result<Block<'a>> {
        let n_rows = row_range(&rows, self.n_rows())?.len();
        let BlockBuffer { x, y, weight, bytes } = buffer;
        let n_features = self.n_features();
        let place = |tables: &Tables, column: usize, index: usize| {
            let (table, row) = tables.place(rows.start + index as u64);
            let column = (table.n_dimensions() == 2).then_some(Column::Index(column));
            (table.path().display().to_string(), row, column)
        };

        let mut outs = vec![(0..n_features, &mut *x)];
        for (values, out) in [(&self.y, &mut *y), (&self.weight, &mut *weight)] {
            match values {
                Some(Values::Columns(slots)) => outs.push((slots.clone(), out)),
                Some(Values::Files(_)) => {}
                None => out.clear(),
            }
        }
        self.x.read(&rows, &self.columns, &mut outs, bytes)?;
        require_finite(x, |index| place(&self.x, self.columns[index % n_features], index / n_features))?;
        for (values, out) in [(&self.y, &mut *y), (&self.weight, &mut *weight)] {
            if let Some(Values::Files(tables)) = values {
                let columns: Vec<usize> = (0..tables.n_columns()).collect();
                tables.read(&rows, &columns, &mut [(0..columns.len(), out)], bytes)?;
            }
        }
        let named = |values, index| {
            let (table, column, row) = self.origin(values, index);
            place(table, column, row)
        };
        require_finite(y, |index| named(&self.y, index))?;
        require_weights(weight, |index| named(&self.weight, index))?;
        let weight = self.weight.as_ref().map(|_| &weight[..]);
        Ok(Block { x, y, weight, n_features, n_outputs: self.n_outputs(), n_rows })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;
    use crate::source::{ArraySource, Matrix, Vector};

    /// A file of its own for each test, removed at its end.
    struct TestFile(PathBuf);

    impl TestFile {
        fn new(name: &str, descr: &str, fortran_order: bool, shape: &str, values: impl Iterator<Item = u8>) -> Self {
            let order = if fortran_order { "True" } else { "False" };
            let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((text.len() as u16).to_le_bytes());
            bytes.extend(text.as_bytes());
            bytes.extend(values);
            let path = std::env::temp_dir().join(format!("relunet-{}-{name}.npy", std::process::id()));
            std::fs::write(&path, bytes).unwrap();
            Self(path)
        }
    }

    impl Drop for TestFile {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    proptest! {
        #[test]
        fn blocks_equal_those_of_the_array(
            n_rows in 1_usize..80, n_columns in 2_usize..6, single in any::<bool>(), fortran_order in any::<bool>(),
            target in any::<prop::sample::Index>(), cuts in (0_usize..80, 0_usize..80),
        ) {
            let values = Array2::from_shape_fn((n_rows, n_columns), |(i, j)| (i as f64).sin() + j as f64);
            let stored = if fortran_order { values.t() } else { values.view() };
            let bytes = stored.iter().flat_map(|&value| {
                if single { (value as f32).to_be_bytes().to_vec() } else { value.to_le_bytes().to_vec() }
            });
            let descr = if single { ">f4" } else { "<f8" };
            let file = TestFile::new("blocks", descr, fortran_order, &format!("({n_rows}, {n_columns})"), bytes);
            let expected = if single { values.mapv(|value| f64::from(value as f32)) } else { values };

            let target = target.index(n_columns);
            let inputs: Vec<usize> = (0..n_columns).filter(|&column| column != target).collect();
            let x = expected.select(ndarray::Axis(1), &inputs);
            let y = Matrix::from(Vector::F64(expected.column(target)));
            let labelled = NpySource::open(std::slice::from_ref(&file.0), None, Some(&[target as i64]), None, None).unwrap();
            let plain = NpySource::open(std::slice::from_ref(&file.0), None, None, None, None).unwrap();
            prop_assert_eq!(labelled.columns(), inputs);

            let rows = cuts.0.min(cuts.1).min(n_rows) as u64..cuts.0.max(cuts.1).min(n_rows) as u64;
            let (mut ours, mut theirs) = (BlockBuffer::default(), BlockBuffer::default());
            for (source, array) in [
                (&labelled, ArraySource::new(Matrix::F64(x.view()), Some(y), None).unwrap()),
                (&plain, ArraySource::new(Matrix::F64(expected.view()), None, None).unwrap()),
                (&labelled, ArraySource::new(Matrix::F64(x.view()), Some(y), None).unwrap()),
            ] {
                let block = source.block(rows.clone(), &mut ours).unwrap();
                let twin = array.block(rows.clone(), &mut theirs).unwrap();
                prop_assert_eq!((block.x, block.y, block.weight), (twin.x, twin.y, twin.weight));
            }
        }
    }

    #[test]
    fn lengths_of_files_must_agree() {
        let zeros = |n| std::iter::repeat_n(0, n);
        let x = TestFile::new("x", "|u1", false, "(4, 2)", zeros(8));
        let y = TestFile::new("y", "|u1", false, "(3,)", zeros(3));
        let error = NpySource::open(std::slice::from_ref(&x.0), Some(std::slice::from_ref(&y.0)), None, None, None)
            .unwrap_err();
        assert!(error.to_string().contains("3 values for the 4 rows of"), "{error}");
        let weight = Weights::Files(vec![y.0.clone()]);
        let error = NpySource::open(std::slice::from_ref(&x.0), None, None, None, Some(&weight)).unwrap_err();
        assert!(error.to_string().contains("3 values for the 4 rows of"), "{error}");
    }
}

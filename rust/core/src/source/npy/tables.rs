//! Several `.npy` files, one after another, read by ranges of rows.

use std::ops::Range;
use std::path::PathBuf;

use super::table::Table;
use crate::error::{Error, Result};

/// Rows of `.npy` files that have the same columns.
#[derive(Debug)]
pub(super) struct Tables {
    tables: Vec<Table>,
    /// First row of each file, and the end of the last.
    starts: Vec<u64>,
}

impl Tables {
    /// Opens files, which have to agree in the number of columns.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self> {
        let mut tables: Vec<Table> = Vec::with_capacity(paths.len());
        let (mut starts, mut n_rows) = (vec![0], 0_u64);
        for path in paths {
            let table = Table::open(path)?;
            if let Some(first) = tables.first().filter(|first| first.n_columns() != table.n_columns()) {
                let message = format!(
                    "shape {}; expected {} columns as in {}",
                    table.shape(),
                    first.n_columns(),
                    first.path().display()
                );
                return Err(Error::data(path.display().to_string(), message));
            }
            n_rows = n_rows.saturating_add(table.n_rows());
            starts.push(n_rows);
            tables.push(table);
        }
        if tables.is_empty() {
            return Err(Error::argument("x", "no files"));
        }
        Ok(Self { tables, starts })
    }

    /// The files.
    pub(super) fn tables(&self) -> &[Table] {
        &self.tables
    }

    pub(super) fn n_rows(&self) -> u64 {
        self.starts[self.tables.len()]
    }

    pub(super) fn n_columns(&self) -> usize {
        self.tables[0].n_columns()
    }

    pub(super) fn is_single_precision(&self) -> bool {
        self.tables.iter().all(Table::is_single_precision)
    }

    /// The number of the file that holds a row.
    fn file_of(&self, row: u64) -> usize {
        (self.starts.partition_point(|&start| start <= row) - 1).min(self.tables.len() - 1)
    }

    /// The file that holds a row, and the row's number in it.
    pub(super) fn place(&self, row: u64) -> (&Table, u64) {
        let file = self.file_of(row);
        (&self.tables[file], row - self.starts[file])
    }

    /// Reads `columns` of `rows`, and decodes those at the slots of that list that go to each of `outs`, row-major.
    pub(super) fn read(
        &self,
        rows: &Range<u64>,
        columns: &[usize],
        outs: &mut [(Range<usize>, &mut Vec<f64>)],
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        let n_rows = (rows.end - rows.start) as usize;
        for (slots, out) in outs.iter_mut() {
            out.resize(n_rows * slots.len(), 0.0);
        }
        let mut row = rows.start;
        while row < rows.end {
            let file = self.file_of(row);
            let end = rows.end.min(self.starts[file + 1]);
            let (start, in_file) = (self.starts[file], (row - rows.start) as usize..(end - rows.start) as usize);
            let mut parts: Vec<(Range<usize>, &mut [f64])> = Vec::with_capacity(outs.len());
            for (slots, out) in outs.iter_mut() {
                let width = slots.len();
                parts.push((slots.clone(), &mut out[in_file.start * width..in_file.end * width]));
            }
            self.tables[file].read(&(row - start..end - start), columns, &mut parts, bytes)?;
            row = end;
        }
        Ok(())
    }
}

//! One `.npy` file of one or two dimensions, read by ranges of rows.

use std::ops::Range;
use std::path::Path;

use super::header::{self, Element, Header, Kind};
use crate::error::{Error, Result};
use crate::source::stable_file::StableFile;

/// A `.npy` file whose length agrees with its header.
#[derive(Debug)]
pub(super) struct Table {
    file: StableFile,
    header: Header,
    /// Where the values start.
    offset: u64,
    n_rows: u64,
    n_columns: usize,
}

impl Table {
    /// Opens a file and checks that it holds what its header says.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = StableFile::open(path)?;
        let mut prefix = [0; header::PREFIX_BYTES];
        let prefix = &mut prefix[..file.n_bytes().min(header::PREFIX_BYTES as u64) as usize];
        file.read_exact_at(prefix, 0)?;
        let text = header::text_range(prefix, file.n_bytes(), path)?;
        let mut header = vec![0; (text.end - text.start) as usize];
        file.read_exact_at(&mut header, text.start)?;
        let header = header::parse(&header, path)?;

        let offset = text.end;
        let shape = format_shape(&header.shape);
        let found = file.n_bytes() - offset;
        let expected = header.shape.iter().try_fold(header.element.n_bytes as u64, |n, &extent| n.checked_mul(extent));
        if expected != Some(found) {
            let cause = if expected.is_none_or(|expected| expected > found) { "is truncated" } else { "is too long" };
            let expected = expected.map_or("more than 2^64".to_owned(), |expected| expected.to_string());
            let n_bytes = header.element.n_bytes;
            let message = format!(
                "{cause}: shape {shape} of {n_bytes}-byte values needs {expected} bytes after the header, found {found}"
            );
            return Err(Error::file(path, message));
        }
        let refuse = |message: String| Err(Error::data(path.display().to_string(), message));
        let (n_rows, n_columns) = match header.shape[..] {
            [n_rows] => (n_rows, 1),
            [n_rows, n_columns] => (n_rows, n_columns),
            _ => return refuse(format!("shape {shape}; expected one or two dimensions")),
        };
        if n_rows == 0 || n_columns == 0 {
            let missing = if n_rows == 0 { "rows" } else { "columns" };
            return refuse(format!("0 {missing} (shape {shape}); at least 1 is needed"));
        }
        let Ok(n_columns) = usize::try_from(n_columns) else {
            return refuse(format!("shape {shape} has more columns than this machine can address"));
        };
        Ok(Self { file, header, offset, n_rows, n_columns })
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn n_rows(&self) -> u64 {
        self.n_rows
    }

    pub(super) fn n_columns(&self) -> usize {
        self.n_columns
    }

    pub(super) fn n_dimensions(&self) -> usize {
        self.header.shape.len()
    }

    pub(super) fn is_single_precision(&self) -> bool {
        let Element { kind, n_bytes, .. } = self.header.element;
        kind == Kind::Float && n_bytes == 4
    }

    /// The shape as Python writes it.
    pub(super) fn shape(&self) -> String {
        format_shape(&self.header.shape)
    }

    /// Reads `columns` of `rows`, and decodes those at the slots of that list that go to each of `outs`, row-major.
    pub(super) fn read(
        &self,
        rows: &Range<u64>,
        columns: &[usize],
        outs: &mut [(Range<usize>, &mut [f64])],
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        let n_rows = (rows.end - rows.start) as usize;
        let element = self.header.element;
        match outs {
            [(slots, out)]
                if element == Element::NATIVE
                    && !self.by_columns()
                    && slots.len() == self.n_columns
                    && columns.iter().copied().eq(0..self.n_columns) =>
            {
                self.file.read_exact_at(bytemuck::cast_slice_mut(out), self.position(rows.start, 0))?;
            }
            _ => {
                self.fetch(rows, columns, bytes)?;
                for (slots, out) in outs {
                    if self.by_columns() {
                        element.decode_columns(&bytes[slots.start * n_rows * element.n_bytes..], n_rows, out);
                    } else {
                        element.decode_rows(bytes, self.n_columns, &columns[slots.clone()], out);
                    }
                }
            }
        }
        self.file.require_unchanged()
    }

    /// Reads the whole of `rows`, or `columns` one after another where the file stores columns.
    fn fetch(&self, rows: &Range<u64>, columns: &[usize], bytes: &mut Vec<u8>) -> Result<()> {
        let n_bytes = self.header.element.n_bytes;
        let n_rows = (rows.end - rows.start) as usize;
        if self.by_columns() {
            bytes.resize(n_rows * columns.len() * n_bytes, 0);
            for (slot, &column) in columns.iter().enumerate() {
                let part = &mut bytes[slot * n_rows * n_bytes..(slot + 1) * n_rows * n_bytes];
                self.file.read_exact_at(part, self.position(rows.start, column))?;
            }
            Ok(())
        } else {
            bytes.resize(n_rows * self.n_columns * n_bytes, 0);
            self.file.read_exact_at(bytes, self.position(rows.start, 0))
        }
    }

    /// Whether columns, not rows, are contiguous; with one column there is no difference.
    fn by_columns(&self) -> bool {
        self.header.fortran_order && self.n_columns > 1
    }

    /// Where a value stands in the file; within its length, which `open` has checked.
    fn position(&self, row: u64, column: usize) -> u64 {
        let index = if self.by_columns() {
            column as u64 * self.n_rows + row
        } else {
            row * self.n_columns as u64 + column as u64
        };
        self.offset + index * self.header.element.n_bytes as u64
    }
}

fn format_shape(shape: &[u64]) -> String {
    match shape {
        [only] => format!("({only},)"),
        _ => format!("({})", shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    }
}

//! Memory layout of the sums of a weight: tile by tile, in the order in which the kernel adds to them.

use super::Precision;
use crate::simd::WIDTH;

/// Number of rotations of a panel, by 0 to 4 places, in the first pass: sums of four weights then fit in registers.
pub const ROTATIONS: usize = WIDTH / 2 + 1;
/// Number of rotations of a panel of singles, by 8 to 11 places, in a second pass.
pub const MORE_ROTATIONS: usize = ROTATIONS - 1;

/// Offsets of the sums of one weight, counted in lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Number of columns of a panel.
    pub width: usize,
    pub n_panels: usize,
}

impl Layout {
    pub fn new(n_features: usize, precision: Precision) -> Self {
        let width = match precision {
            Precision::Double => WIDTH,
            Precision::Mixed => 2 * WIDTH,
        };
        Self { width, n_panels: n_features.div_ceil(width) }
    }

    /// Number of lanes in a line of sums.
    pub fn line(self) -> usize {
        self.width / WIDTH
    }

    /// Rotations of a panel that together cover every pair of its columns.
    pub fn n_rotations(self) -> usize {
        if self.width == WIDTH { ROTATIONS } else { ROTATIONS + MORE_ROTATIONS }
    }

    /// Offset of Xᵀ w of panel `i`, one line.
    pub fn vector(self, i: usize) -> usize {
        i * self.line()
    }

    /// Offset of the products of panel `i` with itself: one line per rotation, which holds the products of the columns
    /// l and (l + places) mod width.
    pub fn diagonal(self, i: usize) -> usize {
        (self.n_panels + i * self.n_rotations()) * self.line()
    }

    /// Offset of the products of panel `i` with panel `j` < `i`, one line per column of `i`, followed by the next `j`.
    pub fn block(self, i: usize, j: usize) -> usize {
        (self.n_panels * (1 + self.n_rotations()) + (i * i.saturating_sub(1) / 2 + j) * self.width) * self.line()
    }

    /// Total number of lanes.
    pub fn len(self) -> usize {
        self.block(self.n_panels, 0)
    }

    /// Offset of the double for the columns `a` ≥ `b`.
    pub fn entry(self, a: usize, b: usize) -> usize {
        let (i, j) = (a / self.width, b / self.width);
        let (row, column) = (a % self.width, b % self.width);
        if i > j {
            return self.block(i, j) * WIDTH + row * self.width + column;
        }
        let rotation = |places: usize| match places {
            0..ROTATIONS => Some(places),
            WIDTH.. if places < WIDTH + MORE_ROTATIONS => Some(ROTATIONS + places - WIDTH),
            _ => None,
        };
        let line = match rotation(row - column) {
            Some(line) => line * self.width + column,
            None => rotation(self.width + column - row).unwrap_or(0) * self.width + row,
        };
        self.diagonal(i) * WIDTH + line
    }
}

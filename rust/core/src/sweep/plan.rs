//! Partition of the rows of a sweep into blocks and leaves, which depends on their absolute number alone.

use std::ops::Range;

/// Numbers in one block: it fits into the second-level cache together with the next block, which is prefetched.
const BLOCK_SIZE: usize = 1 << 16;
/// Smallest number of rows of a leaf (unless there are fewer rows), so that merging sums costs little.
const LEAF_ROWS: u64 = 2048;
/// Largest number of leaves: enough for many threads, and few enough to hold their sums.
const MAX_LEAVES: u64 = 64;

/// The partition of rows into blocks and leaves.
pub(super) struct Plan {
    n_rows: u64,
    n_features: u64,
    pub(super) block_rows: u64,
    leaf_rows: u64,
    pub(super) n_leaves: u64,
}

impl Plan {
    pub(super) fn new(n_rows: u64, n_features: usize) -> Self {
        let fitting = (BLOCK_SIZE / n_features.max(1)).clamp(128, 8192);
        let block_rows = 1_u64 << fitting.ilog2();
        let leaf_rows =
            block_rows * n_rows.div_ceil(block_rows).div_ceil(MAX_LEAVES).max(LEAF_ROWS.div_ceil(block_rows));
        Self { n_rows, n_features: n_features as u64, block_rows, leaf_rows, n_leaves: n_rows.div_ceil(leaf_rows) }
    }

    /// The rows of some leaves.
    pub(super) fn rows(&self, leaves: &Range<u64>) -> Range<u64> {
        let row = |leaf: u64| leaf.saturating_mul(self.leaf_rows).min(self.n_rows);
        row(leaves.start)..row(leaves.end)
    }

    /// The numbers that determine the partition: rows, columns, rows per block, rows per leaf.
    pub(super) fn shape(&self) -> [u64; 4] {
        [self.n_rows, self.n_features, self.block_rows, self.leaf_rows]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_cover_all_rows_with_few_leaves() {
        for (n_rows, d) in [(1, 1), (8192, 1), (8193, 1), (1 << 40, 3), (1_000_003, 5000), (77, 1 << 30)] {
            let plan = Plan::new(n_rows, d);
            assert!((1..=MAX_LEAVES).contains(&plan.n_leaves), "{n_rows} rows of {d}");
            assert!((plan.n_leaves - 1) * plan.leaf_rows < n_rows && n_rows <= plan.n_leaves * plan.leaf_rows);
            assert_eq!(plan.leaf_rows % plan.block_rows, 0);
        }
    }
}

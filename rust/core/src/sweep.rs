//! One pass of a source through any number of accumulators, in parallel, with the same bits for any number of threads.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::block::BlockBuffer;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::moments::{Moments, Scratch};
use crate::source::Source;

/// Doubles of one block: it stays in the second-level cache together with the next one, which is fetched meanwhile.
const BLOCK_SIZE: usize = 1 << 16;
/// Fewest rows of a part, where there are more: with fewer, its sums would be merged at a cost that is felt.
const LEAF_ROWS: u64 = 2048;
/// Most parts that are accumulated on their own and then merged: enough for many threads, few enough to hold.
const MAX_LEAVES: u64 = 64;

/// Sweeps all rows of `source` through `accumulators`, which are left as they were if it fails.
///
/// Rows are cut into blocks and leaves by their absolute number alone, and leaves are merged in a fixed binary tree: what
/// a thread does never depends on the others.
///
/// # Errors
/// Rows that cannot be read or used, accumulators of other columns, a source without labels where they are needed,
/// [`Error::Cancelled`].
pub fn sweep(
    source: &dyn Source,
    accumulators: &mut [Moments],
    n_threads: Option<usize>,
    control: &Control,
) -> Result<()> {
    for accumulator in accumulators.iter() {
        let (expected, got) = (accumulator.n_features(), source.n_features());
        if expected != got {
            return Err(Error::argument("X", format!("expected {expected} columns, got {got}")));
        }
        if accumulator.needs_labels() && !source.has_labels() {
            return Err(Error::argument("y", format!("{} needs labels, the samples have none", accumulator.name())));
        }
    }
    let plan = Plan::new(source.n_rows(), source.n_features());
    let empty: Vec<Moments> = accumulators.iter().map(Moments::empty).collect();
    let (scratch, failed) = (Mutex::default(), AtomicU64::new(u64::MAX));
    let task = Task { source, empty, plan, control, scratch, failed };
    let n_threads = if source.is_sequential() { Some(1) } else { n_threads };
    let sums = pool(n_threads)?.install(|| task.reduce(0..task.plan.n_leaves))?;
    for (accumulator, sum) in accumulators.iter_mut().zip(&sums) {
        accumulator.merge(sum)?;
    }
    Ok(())
}

/// The cut of rows into blocks and leaves.
struct Plan {
    n_rows: u64,
    block_rows: u64,
    leaf_rows: u64,
    n_leaves: u64,
}

impl Plan {
    fn new(n_rows: u64, n_features: usize) -> Self {
        let fitting = (BLOCK_SIZE / n_features.max(1)).clamp(128, 8192);
        let block_rows = 1_u64 << fitting.ilog2();
        let leaf_rows =
            block_rows * n_rows.div_ceil(block_rows).div_ceil(MAX_LEAVES).max(LEAF_ROWS.div_ceil(block_rows));
        Self { n_rows, block_rows, leaf_rows, n_leaves: n_rows.div_ceil(leaf_rows) }
    }
}

struct Task<'a> {
    source: &'a dyn Source,
    empty: Vec<Moments>,
    plan: Plan,
    control: &'a Control,
    /// Memory of workers that are done with their leaf.
    scratch: Mutex<Vec<(BlockBuffer, Scratch)>>,
    /// The first leaf known to have failed: later ones need not go on, earlier ones must, to report the first error.
    failed: AtomicU64,
}

impl Task<'_> {
    fn reduce(&self, leaves: Range<u64>) -> Result<Vec<Moments>> {
        if leaves.end - leaves.start <= 1 {
            return self.leaf(leaves);
        }
        let middle = leaves.start + (leaves.end - leaves.start).div_ceil(2);
        let (left, right) = rayon::join(|| self.reduce(leaves.start..middle), || self.reduce(middle..leaves.end));
        let (mut left, right) = (left?, right?);
        for (a, b) in left.iter_mut().zip(&right) {
            a.merge(b)?;
        }
        Ok(left)
    }

    fn leaf(&self, leaves: Range<u64>) -> Result<Vec<Moments>> {
        let result = self.accumulate(&leaves);
        if result.is_err() {
            self.failed.fetch_min(leaves.start, Ordering::Relaxed);
        }
        result
    }

    fn accumulate(&self, leaves: &Range<u64>) -> Result<Vec<Moments>> {
        let mut sums = self.empty.clone();
        let idle = self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (mut buffer, mut scratch) = idle.unwrap_or_default();
        let end = self.plan.n_rows.min(leaves.end * self.plan.leaf_rows);
        let mut start = leaves.start * self.plan.leaf_rows;
        while start < end {
            let stopped = self.failed.load(Ordering::Relaxed) < leaves.start;
            if stopped || self.control.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let rows = start..end.min(start + self.plan.block_rows);
            let next = rows.end..end.min(rows.end + self.plan.block_rows);
            scratch.ahead = self.source.ahead(next).into();
            let block = self.source.block(rows.clone(), &mut buffer)?;
            for sum in &mut sums {
                sum.update(&block, &mut scratch);
            }
            self.control.add_rows(rows.end - rows.start);
            start = rows.end;
        }
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).push((buffer, scratch));
        Ok(sums)
    }
}

/// A pool of `n_threads` threads, or of as many as rayon chooses; kept for the next call.
///
/// Threads do not survive a fork, so a child process gets pools of its own.
///
/// # Errors
/// Threads that the system refuses to start.
pub fn pool(n_threads: Option<usize>) -> Result<Arc<ThreadPool>> {
    type Pools = HashMap<(u32, usize), Arc<ThreadPool>>;
    static POOLS: LazyLock<Mutex<Pools>> = LazyLock::new(Mutex::default);
    let n_threads = n_threads.unwrap_or(0);
    let key = (std::process::id(), n_threads);
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pool) = pools.get(&key) {
        return Ok(pool.clone());
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(n_threads)
        .build()
        .map_err(|error| Error::argument("n_threads", format!("cannot start the threads: {error}")))?;
    let pool = Arc::new(pool);
    pools.insert(key, pool.clone());
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Block;
    use crate::moments::tests::every_kind;

    /// Rows made where they are asked for; `bad` is refused, `cancel` stops the sweep.
    struct Generated<'a> {
        n_rows: u64,
        has_labels: bool,
        bad: Option<u64>,
        cancel: Option<(u64, &'a Control)>,
    }

    const D: usize = 19;

    impl Source for Generated<'_> {
        fn n_rows(&self) -> u64 {
            self.n_rows
        }

        fn n_features(&self) -> usize {
            D
        }

        fn has_labels(&self) -> bool {
            self.has_labels
        }

        fn block<'a>(&'a self, rows: Range<u64>, buffer: &'a mut BlockBuffer) -> Result<Block<'a>> {
            if let Some(row) = self.bad.filter(|row| rows.end > *row) {
                return Err(Error::data("X", format!("bad from row {row} on, asked for {}", rows.start)));
            }
            if let Some((_, control)) = self.cancel.filter(|(row, _)| rows.contains(row)) {
                control.cancel();
            }
            let value = |i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / f64::from(1 << 23) - 1.0;
            let d = D as u64;
            buffer.x.clear();
            buffer.x.extend((rows.start * d..rows.end * d).map(value));
            buffer.y.clear();
            buffer.y.extend(rows.clone().map(|row| value(row.wrapping_mul(7919))));
            Ok(Block {
                x: &buffer.x,
                y: if self.has_labels { &buffer.y } else { &[] },
                weight: None,
                n_features: D,
                n_rows: (rows.end - rows.start) as usize,
            })
        }
    }

    fn generated(n_rows: u64) -> Generated<'static> {
        Generated { n_rows, has_labels: true, bad: None, cancel: None }
    }

    fn bytes(accumulators: &[Moments]) -> Vec<Vec<u8>> {
        accumulators.iter().map(Moments::to_bytes).collect()
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        for n_rows in [0, 1, 4095, 4096, 4097, 70_001] {
            let sums = [1, 2, 3].map(|n_threads| {
                let mut accumulators = every_kind(D);
                let control = Control::default();
                sweep(&generated(n_rows), &mut accumulators, Some(n_threads), &control).unwrap();
                assert_eq!(control.rows_done(), n_rows);
                assert!(accumulators.iter().all(|accumulator| accumulator.n_rows() == n_rows));
                bytes(&accumulators)
            });
            assert!(sums[0] == sums[1] && sums[1] == sums[2], "{n_rows} rows");
        }
    }

    #[test]
    fn plans_cover_all_rows_with_few_leaves() {
        for (n_rows, d) in [(1, 1), (8192, 1), (8193, 1), (1 << 40, 3), (1_000_003, 5000), (77, 1 << 30)] {
            let plan = Plan::new(n_rows, d);
            assert!((1..=MAX_LEAVES).contains(&plan.n_leaves), "{n_rows} rows of {d}");
            assert!((plan.n_leaves - 1) * plan.leaf_rows < n_rows && n_rows <= plan.n_leaves * plan.leaf_rows);
            assert_eq!(plan.leaf_rows % plan.block_rows, 0);
        }
    }

    #[test]
    fn failures_leave_the_accumulators_as_they_were() {
        let mut accumulators = every_kind(D);
        let control = Control::default();
        sweep(&generated(100), &mut accumulators, None, &control).unwrap();
        let before = bytes(&accumulators);
        for n_threads in [1, 2, 3] {
            // The error is that of the first bad block, whichever thread meets its own first.
            let source = Generated { bad: Some(20_000), ..generated(500_000) };
            let error = sweep(&source, &mut accumulators, Some(n_threads), &Control::default()).unwrap_err();
            assert!(error.to_string().ends_with("asked for 18432"), "{error}");

            let control = Control::default();
            let source = Generated { cancel: Some((200_000, &control)), ..generated(500_000) };
            let error = sweep(&source, &mut accumulators, Some(n_threads), &control).unwrap_err();
            assert!(matches!(error, Error::Cancelled), "{error}");
            assert!(control.rows_done() < 500_000);

            let source = Generated { has_labels: false, ..generated(500) };
            let error = sweep(&source, &mut accumulators, Some(n_threads), &Control::default()).unwrap_err();
            assert!(error.to_string().starts_with("y: ContractionMoments needs labels"), "{error}");
            assert_eq!(bytes(&accumulators), before);
        }
        let error = sweep(&generated(5), &mut every_kind(D + 1), None, &control).unwrap_err();
        assert!(error.to_string().starts_with("X: expected 20 columns, got 19"), "{error}");
    }
}

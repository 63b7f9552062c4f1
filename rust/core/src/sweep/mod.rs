//! One pass of a source through any number of accumulators, in parallel, with the same bits for any number of threads.

mod checkpoint;
mod plan;
mod pool;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::block::BlockBuffer;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::memory;
use crate::moments::{Moments, Scratch};
use crate::source::Source;
pub use checkpoint::Checkpoint;
use checkpoint::Ledger;
use plan::Plan;
pub use pool::{pool, release_pools};

/// Sweeps all rows of `source` through `accumulators`, which are left as they were if it fails; returns the number of
/// rows that were read.
///
/// Rows are cut into blocks and leaves by their absolute number alone, and leaves are merged in a fixed binary tree, so
/// that the result does not depend on the number of threads.
///
/// # Errors
/// Rows that cannot be read or used, accumulators of other columns, a source without labels where they are needed,
/// [`Error::Cancelled`].
pub fn sweep(
    source: &dyn Source,
    accumulators: &mut [Moments],
    n_threads: Option<usize>,
    control: &Control,
) -> Result<u64> {
    resumable_sweep(source, accumulators, n_threads, control, None)
}

/// As [`sweep`], with partial sums stored at regular intervals if a `checkpoint` is given.
///
/// A sweep that was killed, interrupted or failed continues from the stored sums and ends with the same bits. The sums
/// of a finished sweep are read instead of the rows.
///
/// # Errors
/// Those of [`sweep`], and a checkpoint that cannot be written or read, or is that of another sweep.
pub fn resumable_sweep(
    source: &dyn Source,
    accumulators: &mut [Moments],
    n_threads: Option<usize>,
    control: &Control,
    checkpoint: Option<&Checkpoint>,
) -> Result<u64> {
    for accumulator in accumulators.iter() {
        let (expected, got) = (accumulator.n_features(), source.n_features());
        if expected != got {
            return Err(Error::argument("X", format!("expected {expected} columns, got {got}")));
        }
        if accumulator.needs_labels() && !source.has_labels() {
            return Err(Error::argument("y", format!("{} needs labels, the samples have none", accumulator.name())));
        }
        let (expected, got) = (accumulator.n_outputs(), source.n_outputs());
        if expected > 0 && got > 0 && expected != got {
            let message = format!("{} takes {expected} labels a row, the samples have {got}", accumulator.name());
            return Err(Error::argument("y", message));
        }
    }
    let plan = Plan::new(source.n_rows(), source.n_features());
    memory::require(n_bytes(accumulators))?;
    let empty: Vec<Moments> = accumulators.iter().map(Moments::empty).collect();
    let ledger = checkpoint.map(|checkpoint| Ledger::open(checkpoint, &plan, &empty)).transpose()?;
    let pool = pool(if source.is_sequential() { Some(1) } else { n_threads })?;
    let (scratch, failed) = (Mutex::default(), AtomicU64::new(u64::MAX));
    let task = Task { source, empty, plan: &plan, control, scratch, failed, ledger: ledger.as_ref() };
    let run = || pool.install(|| task.reduce(0..plan.n_leaves));
    let mut n_restored = 0;
    let sums = match &ledger {
        None => run(),
        Some(ledger) => {
            n_restored = ledger.rows_done();
            control.add(n_restored);
            ledger.keep(run)
        }
    };
    source.release();
    for (accumulator, sum) in accumulators.iter_mut().zip(&sums?) {
        accumulator.merge(sum)?;
    }
    Ok(source.n_rows() - n_restored)
}

/// Approximate number of bytes of the sums of some accumulators.
fn n_bytes(accumulators: &[Moments]) -> usize {
    accumulators.iter().map(Moments::n_bytes).fold(0, usize::saturating_add)
}

struct Task<'a> {
    source: &'a dyn Source,
    empty: Vec<Moments>,
    plan: &'a Plan,
    control: &'a Control,
    /// Buffers of workers that have finished a leaf, for reuse.
    scratch: Mutex<Vec<(BlockBuffer, Scratch)>>,
    /// The first leaf known to have failed. Later leaves stop; earlier ones continue, so that the first error is reported.
    failed: AtomicU64,
    ledger: Option<&'a Ledger<'a>>,
}

impl Task<'_> {
    fn reduce(&self, leaves: Range<u64>) -> Result<Vec<Moments>> {
        if let Some(sums) = self.ledger.and_then(|ledger| ledger.done(&leaves)) {
            return Ok(sums);
        }
        if leaves.end - leaves.start <= 1 {
            return self.leaf(leaves);
        }
        let middle = leaves.start + (leaves.end - leaves.start).div_ceil(2);
        let (left, right) = rayon::join(|| self.reduce(leaves.start..middle), || self.reduce(middle..leaves.end));
        let (mut left, right) = (left?, right?);
        for (a, b) in left.iter_mut().zip(&right) {
            a.merge(b)?;
        }
        if let Some(ledger) = self.ledger {
            ledger.merged(&leaves, middle, &left);
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
        let rows = self.plan.rows(leaves);
        memory::require(n_bytes(&self.empty))?;
        let begun = self.ledger.and_then(|ledger| ledger.begin(leaves.start));
        let (mut next, mut sums) = begun.unwrap_or_else(|| (rows.start, self.empty.clone()));
        let mut given = 0;
        let result = self.add_blocks(leaves.start, &mut next, rows.end, &mut sums, &mut given);
        if let Some(ledger) = self.ledger {
            ledger.offer(leaves.start, next, &sums, &mut given, true);
        }
        result.map(|()| sums)
    }

    fn add_blocks(&self, leaf: u64, next: &mut u64, end: u64, sums: &mut [Moments], given: &mut u64) -> Result<()> {
        let idle = self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (mut buffer, mut scratch) = idle.unwrap_or_default();
        while *next < end {
            let stopped = self.failed.load(Ordering::Relaxed) < leaf || self.ledger.is_some_and(Ledger::is_broken);
            if stopped || self.control.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let rows = *next..end.min(*next + self.plan.block_rows);
            let following = rows.end..end.min(rows.end + self.plan.block_rows);
            scratch.prefetch = self.source.in_memory(following).into();
            let block = self.source.block(rows.clone(), &mut buffer)?;
            for sum in &mut *sums {
                sum.update(&block, &mut scratch);
            }
            self.control.add(rows.end - rows.start);
            *next = rows.end;
            if let Some(ledger) = self.ledger {
                ledger.offer(leaf, *next, sums, given, false);
            }
        }
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).push((buffer, scratch));
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::block::Block;
    use crate::moments::tests::every_kind;

    /// Rows generated on request; rows from `bad` on are refused, and `event` is called at its row.
    pub(crate) struct Generated<'a> {
        n_rows: u64,
        n_outputs: usize,
        bad: Option<u64>,
        event: Option<(u64, Box<dyn Fn() + Sync + 'a>)>,
        pub(crate) n_read: AtomicU64,
    }

    impl<'a> Generated<'a> {
        pub(crate) fn at(self, row: u64, event: impl Fn() + Sync + 'a) -> Self {
            Self { event: Some((row, Box::new(event))), ..self }
        }
    }

    pub(crate) const D: usize = 19;

    impl Source for Generated<'_> {
        fn n_rows(&self) -> u64 {
            self.n_rows
        }

        fn n_features(&self) -> usize {
            D
        }

        fn n_outputs(&self) -> usize {
            self.n_outputs
        }

        fn block<'a>(&'a self, rows: Range<u64>, buffer: &'a mut BlockBuffer) -> Result<Block<'a>> {
            if let Some(row) = self.bad.filter(|row| rows.end > *row) {
                return Err(Error::data("X", format!("bad from row {row} on, asked for {}", rows.start)));
            }
            if let Some((_, event)) = self.event.as_ref().filter(|(row, _)| rows.contains(row)) {
                event();
            }
            self.n_read.fetch_add(rows.end - rows.start, Ordering::Relaxed);
            let value = |i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / f64::from(1 << 23) - 1.0;
            let d = D as u64;
            buffer.x.clear();
            buffer.x.extend((rows.start * d..rows.end * d).map(value));
            buffer.y.clear();
            let labels = rows.start * self.n_outputs as u64..rows.end * self.n_outputs as u64;
            buffer.y.extend(labels.map(|label| value(label.wrapping_mul(7919))));
            Ok(Block {
                x: &buffer.x,
                y: &buffer.y,
                weight: None,
                n_features: D,
                n_outputs: self.n_outputs,
                n_rows: (rows.end - rows.start) as usize,
            })
        }
    }

    pub(crate) fn generated<'a>(n_rows: u64) -> Generated<'a> {
        Generated { n_rows, n_outputs: 1, bad: None, event: None, n_read: AtomicU64::new(0) }
    }

    /// An accumulator of every kind that takes so many labels a row.
    pub(crate) fn every_kind_of(n_outputs: usize, d: usize) -> Vec<Moments> {
        every_kind(d).into_iter().filter(|sums| [0, n_outputs].contains(&sums.n_outputs())).collect()
    }

    fn bytes(accumulators: &[Moments]) -> Vec<Vec<u8>> {
        accumulators.iter().map(Moments::to_bytes).collect()
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let cases = [(0, 1), (1, 1), (4095, 1), (4096, 2), (4097, 3), (70_001, 1), (70_001, 2), (70_001, 3)];
        for (n_rows, n_outputs) in cases {
            let source = Generated { n_outputs, ..generated(n_rows) };
            let sums = [1, 2, 3].map(|n_threads| {
                let mut accumulators = every_kind_of(n_outputs, D);
                let control = Control::default();
                sweep(&source, &mut accumulators, Some(n_threads), &control).unwrap();
                assert_eq!(control.done(), n_rows);
                assert!(accumulators.iter().all(|accumulator| accumulator.n_rows() == n_rows));
                bytes(&accumulators)
            });
            assert!(sums[0] == sums[1] && sums[1] == sums[2], "{n_rows} rows, {n_outputs} labels");
        }
    }

    #[test]
    fn failures_leave_the_accumulators_as_they_were() {
        let mut accumulators = every_kind_of(1, D);
        let control = Control::default();
        sweep(&generated(100), &mut accumulators, None, &control).unwrap();
        let before = bytes(&accumulators);
        for n_threads in [1, 2, 3] {
            // The error reported is that of the first bad block, for any order in which threads reach bad blocks.
            let source = Generated { bad: Some(20_000), ..generated(500_000) };
            let error = sweep(&source, &mut accumulators, Some(n_threads), &Control::default()).unwrap_err();
            assert!(error.to_string().ends_with("asked for 18432"), "{error}");

            let control = Control::default();
            let source = generated(500_000).at(200_000, || control.cancel());
            let error = sweep(&source, &mut accumulators, Some(n_threads), &control).unwrap_err();
            assert!(matches!(error, Error::Cancelled), "{error}");
            assert!(control.done() < 500_000);

            let source = Generated { n_outputs: 0, ..generated(500) };
            let error = sweep(&source, &mut accumulators, Some(n_threads), &Control::default()).unwrap_err();
            assert!(error.to_string().starts_with("y: ContractionMoments needs labels"), "{error}");
            assert_eq!(bytes(&accumulators), before);
        }
        let error = sweep(&generated(5), &mut every_kind(D + 1), None, &control).unwrap_err();
        assert!(error.to_string().starts_with("X: expected 20 columns, got 19"), "{error}");
        let error = sweep(&generated(5), &mut every_kind_of(3, D), None, &control).unwrap_err();
        assert!(error.to_string().contains("takes 3 labels a row, the samples have 1"), "{error}");
    }
}

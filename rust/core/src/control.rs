//! How far long work has come, and the wish to stop it: shared with the thread that waits for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Progress out, cancellation in.
#[derive(Debug, Default)]
pub struct Control {
    rows_done: AtomicU64,
    cancelled: AtomicBool,
}

impl Control {
    /// Rows done so far.
    #[must_use]
    pub fn rows_done(&self) -> u64 {
        self.rows_done.load(Ordering::Relaxed)
    }

    /// Counts rows as done.
    pub fn add_rows(&self, rows: u64) {
        self.rows_done.fetch_add(rows, Ordering::Relaxed);
    }

    /// Makes the work end with [`Error::Cancelled`](crate::error::Error::Cancelled) at its next step.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether the work is to end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

//! Progress of a long computation and the request to cancel it, shared with the thread that waits for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::memory;

/// A counter of work done, and a flag that cancels the computation.
#[derive(Debug, Default)]
pub struct Control {
    done: AtomicU64,
    cancelled: AtomicBool,
}

impl Control {
    /// The work done so far: rows in a sweep, floating-point operations in a search.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Adds a number of rows or operations to the work done.
    pub fn add(&self, amount: u64) {
        self.done.fetch_add(amount, Ordering::Relaxed);
    }

    /// Makes the computation end with [`Error::Cancelled`](crate::error::Error::Cancelled) at its next step.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether the computation should end: it was cancelled, or memory is short.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || memory::is_short()
    }
}

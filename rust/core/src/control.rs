//! How far a long computation has come, and the request to stop it: shared with the thread that waits for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::memory;

/// Progress out, cancellation in.
#[derive(Debug, Default)]
pub struct Control {
    done: AtomicU64,
    cancelled: AtomicBool,
}

impl Control {
    /// What is done so far: rows in a sweep, floating-point operations in a search.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Counts so many rows or operations as done.
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

//! Idle readers of a source that is cheap to read sequentially and expensive to seek in, kept at their positions.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// Idle cursors, with the thread that returned each and the row that it would read next.
///
/// A thread of a sweep takes the cursor that stands before the row it wants; a new cursor is opened only if there is
/// none. A cursor may hold much memory, so that each thread keeps at most one.
#[derive(Debug)]
pub(super) struct Cursors<C>(Mutex<Vec<(ThreadId, u64, C)>>);

impl<C> Default for Cursors<C> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<C> Cursors<C> {
    /// Takes the cursor that stands before `row`, if there is one, and drops one that this thread has left elsewhere.
    pub(super) fn take(&self, row: u64) -> Option<C> {
        let mut idle = self.idle();
        let found = idle.iter().position(|(_, next, _)| *next == row).map(|place| idle.remove(place).2);
        idle.retain(|(thread, ..)| *thread != thread::current().id());
        found
    }

    /// Keeps a cursor that stands before `row`.
    pub(super) fn put(&self, row: u64, cursor: C) {
        self.idle().push((thread::current().id(), row, cursor));
    }

    /// Drops all cursors.
    pub(super) fn clear(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(ThreadId, u64, C)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Readers of a source that is cheap to read onwards and dear to enter in the middle, kept where they stand.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// Cursors that nobody is using, by the thread that has left them and the row that each would read next.
///
/// A thread of a sweep reads on from where it, or another, has stopped: only where no cursor stands is a new one opened.
/// A cursor may hold much memory, so that each thread has one at most.
#[derive(Debug)]
pub(super) struct Cursors<C>(Mutex<Vec<(ThreadId, u64, C)>>);

impl<C> Default for Cursors<C> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<C> Cursors<C> {
    /// Takes the cursor that stands before `row`, if there is one; the one that this thread has left elsewhere goes.
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

    /// Lets all of them go.
    pub(super) fn clear(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(ThreadId, u64, C)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

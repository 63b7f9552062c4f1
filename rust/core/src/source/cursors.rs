//! Readers of a source that is cheap to read onwards and dear to enter in the middle, kept where they stand.

use std::sync::{Mutex, PoisonError};

/// Cursors that nobody is using, by the row that each would read next.
///
/// A thread of a sweep reads on from where it, or another, has stopped: only where no cursor stands is a new one opened.
#[derive(Debug)]
pub(super) struct Cursors<C>(Mutex<Vec<(u64, C)>>);

impl<C> Default for Cursors<C> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<C> Cursors<C> {
    /// Takes the cursor that stands before `row`, if there is one.
    pub(super) fn take(&self, row: u64) -> Option<C> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = idle.iter().position(|(next, _)| *next == row)?;
        Some(idle.remove(place).1)
    }

    /// Keeps a cursor that stands before `row`; those that have not been used for longest go where there are too many.
    pub(super) fn put(&self, row: u64, cursor: C) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = if rayon::current_thread_index().is_some() { rayon::current_num_threads() } else { 1 };
        idle.push((row, cursor));
        let surplus = idle.len().saturating_sub(most.max(2));
        idle.drain(..surplus);
    }
}

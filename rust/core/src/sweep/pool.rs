//! Thread pools, of which the two that were used last are kept for the next call.

use std::process;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::error::{Error, Result};
use crate::memory;

/// Largest number of threads of a pool; more threads than leaves would be idle, and the system limits their number.
const MAX_THREADS: usize = 256;
/// Number of pools kept: a fit of a sequential source alternates between one thread and `n_jobs` threads.
const KEPT: usize = 2;

/// The pools of one process, the one used most recently last.
///
/// Threads do not survive a fork. A child process therefore appends a node of its own and does not touch those of its
/// ancestors: their locks may be held by threads that do not exist in the child, and their pools cannot be stopped.
struct Pools {
    pid: u32,
    kept: Mutex<Vec<(usize, Arc<ThreadPool>)>>,
    child: OnceLock<Box<Pools>>,
}

static POOLS: OnceLock<Pools> = OnceLock::new();

impl Pools {
    fn of(pid: u32) -> Self {
        Self { pid, kept: Mutex::default(), child: OnceLock::new() }
    }

    fn of_this_process() -> &'static Self {
        let pid = process::id();
        let mut pools = POOLS.get_or_init(|| Self::of(pid));
        while pools.pid != pid {
            pools = pools.child.get_or_init(|| Box::new(Self::of(pid)));
        }
        pools
    }
}

/// Address space that a thread needs to start.
const THREAD_BYTES: usize = 4 << 20;

/// The error for threads that were not started: the system reports too many threads and lack of memory alike.
fn not_started(n_threads: usize, error: &ThreadPoolBuildError) -> Error {
    match memory::require(4 * n_threads.max(1) * THREAD_BYTES) {
        Err(missing) => missing,
        Ok(()) => Error::argument("n_jobs", format!("cannot start the threads: {error}")),
    }
}

/// A pool of `n_threads` threads, at most 256, or of as many as rayon chooses.
///
/// The threads of a pool that is no longer kept end when its last user drops it.
///
/// # Errors
/// Threads that the system refuses to start, [`Error::Memory`].
pub fn pool(n_threads: Option<usize>) -> Result<Arc<ThreadPool>> {
    let n_threads = n_threads.unwrap_or(0).min(MAX_THREADS);
    let mut kept = Pools::of_this_process().kept.lock().unwrap_or_else(PoisonError::into_inner);
    let found = kept.iter().position(|(n, _)| *n == n_threads).map(|place| kept.remove(place).1);
    let pool = match found {
        Some(pool) => pool,
        None => {
            memory::require_space(n_threads.max(1) * THREAD_BYTES)?;
            ThreadPoolBuilder::new()
                .num_threads(n_threads)
                .thread_name(|index| format!("relunet-{index}"))
                .build()
                .map(Arc::new)
                .map_err(|error| not_started(n_threads, &error))?
        }
    };
    if kept.len() == KEPT {
        kept.remove(0);
    }
    kept.push((n_threads, pool.clone()));
    Ok(pool)
}

/// Drops the pools that are kept: the next calls start new threads, even if earlier ones are still busy.
pub fn release_pools() {
    Pools::of_this_process().kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_have_no_more_threads_than_are_of_use() {
        assert_eq!(pool(Some(3)).unwrap().current_num_threads(), 3);
        assert_eq!(pool(Some(usize::MAX)).unwrap().current_num_threads(), MAX_THREADS);
    }

    #[test]
    fn the_last_pools_are_kept_and_the_others_let_go() {
        let pools = Pools::of(process::id());
        assert!(pools.kept.lock().unwrap().is_empty());
        for n in 1..=4 {
            pool(Some(n)).unwrap();
        }
        let kept = Pools::of_this_process().kept.lock().unwrap();
        assert!(kept.len() <= KEPT);
    }
}

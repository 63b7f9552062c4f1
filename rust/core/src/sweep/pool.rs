//! Pools of threads, kept from one call to the next.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// Most threads of a pool: more than there are leaves have nothing to do, and too many are refused by the system.
const MAX_THREADS: usize = 256;

/// A pool of `n_threads` threads, at most 256, or of as many as rayon chooses; kept for the next call.
///
/// Threads do not survive a fork, so a child process gets pools of its own.
///
/// # Errors
/// Threads that the system refuses to start.
pub fn pool(n_threads: Option<usize>) -> Result<Arc<ThreadPool>> {
    type Pools = HashMap<(u32, usize), Arc<ThreadPool>>;
    static POOLS: LazyLock<Mutex<Pools>> = LazyLock::new(Mutex::default);
    let n_threads = n_threads.unwrap_or(0).min(MAX_THREADS);
    let key = (std::process::id(), n_threads);
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pool) = pools.get(&key) {
        return Ok(pool.clone());
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(n_threads)
        .build()
        .map_err(|error| Error::argument("n_jobs", format!("cannot start the threads: {error}")))?;
    let pool = Arc::new(pool);
    pools.insert(key, pool.clone());
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_have_no_more_threads_than_are_of_use() {
        assert_eq!(pool(Some(3)).unwrap().current_num_threads(), 3);
        assert_eq!(pool(Some(usize::MAX)).unwrap().current_num_threads(), MAX_THREADS);
    }
}

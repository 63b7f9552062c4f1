//! Long computations of the core with the interpreter released: signals are handled and progress is reported meanwhile.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;
use relunet_core::control::Control;
use relunet_core::error::{Error, Result};
use relunet_core::memory;
use relunet_core::sweep::{pool, release_pools};

/// How often signals are looked for and progress is reported.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long a computation that can be abandoned has to notice that it was cancelled.
const PATIENCE: Duration = Duration::from_millis(300);
/// Memory of a thread: its stack, and what the system keeps with it.
const THREAD_BYTES: usize = 4 << 20;

thread_local! {
    /// Bound on the threads of calls that are not told a number, set by `relunet.threads.bounded`.
    static BOUND: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Sets the number of threads of calls from this thread that are not told one, and returns the number before; None
/// means one a core.
#[pyfunction]
#[pyo3(signature = (n_threads))]
pub fn bound_threads(n_threads: Option<usize>) -> Option<usize> {
    BOUND.replace(n_threads)
}

/// The number of threads of a call that was told `n_threads`.
pub fn bounded(n_threads: Option<usize>) -> Option<usize> {
    n_threads.or(BOUND.get())
}

/// Runs `work` in a pool of as many threads as calls from this thread may use, as [`watched`] does.
///
/// # Errors
/// Those of [`watched`].
pub fn pooled<T: Send>(
    py: Python<'_>,
    control: &Control,
    work: impl FnOnce() -> Result<T> + Send,
) -> PyResult<Result<T>> {
    let n_threads = bounded(None);
    py.detach(|| watched(control, None, || pool(n_threads)?.install(work)))
}

/// Runs `work` on a thread of its own; `control` is cancelled when a signal arrives, and `work` is then waited for.
///
/// The caller has to be detached from the interpreter.
///
/// # Errors
/// The exception of a signal handler or of `progress`, once the work has ended.
pub fn watched<T: Send>(
    control: &Control,
    progress: Option<&Py<PyAny>>,
    work: impl FnOnce() -> Result<T> + Send,
) -> PyResult<Result<T>> {
    if let Err(error) = room() {
        return Ok(Err(error));
    }
    thread::scope(|scope| {
        let (done, finished) = channel();
        let run = move || {
            // The receiver waits until this arrives: the send cannot fail.
            let _ = done.send(caught(work));
        };
        match named().spawn_scoped(scope, run) {
            Ok(_) => wait(&finished, control, progress, None),
            Err(error) => Ok(Err(no_thread(&error))),
        }
    })
}

/// Runs `work`, parts of which cannot be cancelled, on a thread of its own; it is abandoned when a signal arrives and
/// it does not end soon: it then goes on until it notices, or to its end, and its result is dropped.
///
/// # Errors
/// The exception of a signal handler or of `progress`.
pub fn abandonable<T: Send + 'static>(
    py: Python<'_>,
    progress: Option<&Py<PyAny>>,
    work: impl FnOnce(&Control) -> Result<T> + Send + 'static,
) -> PyResult<Result<T>> {
    py.detach(|| {
        if let Err(error) = room() {
            return Ok(Err(error));
        }
        let (done, finished) = channel();
        let control = Arc::new(Control::default());
        let shared = control.clone();
        let run = move || {
            // Nobody receives the result of what was abandoned.
            let _ = done.send(caught(|| work(&shared)));
        };
        match named().spawn(run) {
            Ok(_) => wait(&finished, &control, progress, Some(PATIENCE)),
            Err(error) => Ok(Err(no_thread(&error))),
        }
    })
}

/// Waits for the result; after an interruption only for as long as `patience` says, if it says so.
fn wait<T>(
    finished: &Receiver<Result<T>>,
    control: &Control,
    progress: Option<&Py<PyAny>>,
    patience: Option<Duration>,
) -> PyResult<Result<T>> {
    loop {
        match finished.recv_timeout(INTERVAL) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Disconnected) => return Ok(Err(no_result("without a result"))),
            Err(RecvTimeoutError::Timeout) => {
                if let Err(interruption) = Python::attach(|py| report(py, progress, control.done())) {
                    control.cancel();
                    let ended = match patience {
                        Some(patience) => finished.recv_timeout(patience).is_ok(),
                        None => finished.recv().is_ok(),
                    };
                    if !ended {
                        // The threads may be busy for long: later calls start new ones.
                        release_pools();
                    }
                    return Err(interruption);
                }
            }
        }
    }
}

fn report(py: Python<'_>, progress: Option<&Py<PyAny>>, done: u64) -> PyResult<()> {
    py.check_signals()?;
    match progress {
        Some(progress) => progress.call1(py, (done,)).map(drop),
        None => Ok(()),
    }
}

/// The result of `work`, where a panic is an error like others.
fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(no_result(message(&panic))))
}

fn message(panic: &Box<dyn Any + Send>) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

fn no_result(reason: &str) -> Error {
    Error::Numerical(format!("the computation ended unexpectedly: {reason}"))
}

/// Checks that there is memory for a thread, and for ending the computation in order if the rest runs out.
fn room() -> Result<()> {
    memory::restore()?;
    memory::require_space(THREAD_BYTES)
}

fn no_thread(error: &std::io::Error) -> Error {
    Error::argument("n_jobs", format!("cannot start a thread: {error}"))
}

fn named() -> thread::Builder {
    thread::Builder::new().name("relunet".into())
}

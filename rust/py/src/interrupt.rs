//! Long work of the core with the interpreter free: meanwhile signals are seen and progress is told.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;
use relunet_core::control::Control;
use relunet_core::error::{Error, Result};

/// How often signals are looked for and progress is told.
const INTERVAL: Duration = Duration::from_millis(100);

/// Runs `work` on a thread of its own, detached from the interpreter; `control` is cancelled when a signal arrives.
///
/// # Errors
/// The exception of a signal handler or of `progress`, once the work has ended.
pub fn watched<T: Send>(
    control: &Control,
    progress: Option<&Py<PyAny>>,
    work: impl FnOnce() -> Result<T> + Send,
) -> PyResult<Result<T>> {
    thread::scope(|scope| {
        let (done, finished) = channel();
        scope.spawn(move || {
            // The receiver waits until this arrives: the send cannot fail.
            let _ = done.send(work());
        });
        let mut interruption = None;
        loop {
            match finished.recv_timeout(INTERVAL) {
                Ok(result) => return interruption.map_or(Ok(result), Err),
                Err(RecvTimeoutError::Disconnected) => {
                    return Ok(Err(Error::Numerical("the computation ended without a result".into())));
                }
                Err(RecvTimeoutError::Timeout) if interruption.is_none() => {
                    if let Err(error) = Python::attach(|py| report(py, progress, control.rows_done())) {
                        interruption = Some(error);
                        control.cancel();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    })
}

fn report(py: Python<'_>, progress: Option<&Py<PyAny>>, rows_done: u64) -> PyResult<()> {
    py.check_signals()?;
    match progress {
        Some(progress) => progress.call1(py, (rows_done,)).map(drop),
        None => Ok(()),
    }
}

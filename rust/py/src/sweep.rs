//! The sweep with the interpreter free: signals are seen and progress is told while the core works.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;
use relunet_core::error::Error;
use relunet_core::moments::Moments;
use relunet_core::sweep::{Control, sweep as core_sweep};

use crate::moments::Accumulator;
use crate::source::with_source;

/// How often signals are looked for and progress is told.
const INTERVAL: Duration = Duration::from_millis(100);

/// Sums of `accumulators` over all rows of a source; the accumulators themselves serve as configurations.
pub fn run(
    source: &Bound<'_, PyAny>,
    accumulators: Vec<Moments>,
    n_threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Vec<Moments>> {
    let py = source.py();
    let mut sums: Vec<Moments> = accumulators.iter().map(Moments::empty).collect();
    let (sums, interruption) = with_source(source, move |source| {
        let control = Control::default();
        let mut interruption = None;
        let result = thread::scope(|scope| {
            let (done, finished) = channel();
            let (sums, control) = (&mut sums, &control);
            scope.spawn(move || {
                // The receiver waits until this arrives: the send cannot fail.
                let _ = done.send(core_sweep(source, sums, n_threads, control));
            });
            loop {
                match finished.recv_timeout(INTERVAL) {
                    Ok(result) => return result,
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(Error::Numerical("the sweep ended without a result".into()));
                    }
                    Err(RecvTimeoutError::Timeout) if interruption.is_none() => {
                        if let Err(error) = Python::attach(|py| report(py, progress.as_ref(), control.rows_done())) {
                            interruption = Some(error);
                            control.cancel();
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
        });
        match result {
            Err(error) if interruption.is_none() => Err(error),
            _ => Ok((sums, interruption)),
        }
    })?;
    match interruption {
        Some(error) => Err(error),
        None => py.check_signals().map(|()| sums),
    }
}

fn report(py: Python<'_>, progress: Option<&Py<PyAny>>, rows_done: u64) -> PyResult<()> {
    py.check_signals()?;
    match progress {
        Some(progress) => progress.call1(py, (rows_done,)).map(drop),
        None => Ok(()),
    }
}

/// Sweeps all rows of a source through accumulators: `sweep(source, accumulators, *, n_threads=None, progress=None)`.
///
/// `progress` is called with the number of rows done, about ten times a second. An interrupt or an exception of
/// `progress` ends the sweep; the accumulators are then as they were.
#[pyfunction]
#[pyo3(signature = (source, accumulators, *, n_threads=None, progress=None))]
pub fn sweep(
    source: &Bound<'_, PyAny>,
    accumulators: Vec<Bound<'_, Accumulator>>,
    n_threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<()> {
    let moments = accumulators.iter().map(|a| Ok(a.try_borrow()?.moments().clone())).collect::<PyResult<Vec<_>>>()?;
    let sums = run(source, moments, n_threads, progress)?;
    for (accumulator, sum) in accumulators.iter().zip(&sums) {
        accumulator.try_borrow_mut()?.add(source.py(), sum)?;
    }
    Ok(())
}

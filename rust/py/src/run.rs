//! Sweeps of a source through accumulators, with the GIL released.

use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;
use relunet_core::control::Control;
use relunet_core::error::Error;
use relunet_core::moments::Moments;
use relunet_core::sweep::{Checkpoint, resumable_sweep};

use crate::error::to_python;
use crate::interrupt::{bounded, watched};
use crate::moments::Accumulator;
use crate::source::with_source;

/// Adds all rows of a source to `sums`, which have to be empty; returns them and the number of rows that were read.
pub fn run(
    source: &Bound<'_, PyAny>,
    mut sums: Vec<Moments>,
    n_threads: Option<usize>,
    progress: Option<Py<PyAny>>,
    checkpoint: Option<Checkpoint>,
) -> PyResult<(Vec<Moments>, u64)> {
    let (py, n_threads) = (source.py(), bounded(n_threads));
    let sums = with_source(source, move |source| {
        let control = Control::default();
        let work = || resumable_sweep(source, &mut sums, n_threads, &control, checkpoint.as_ref());
        let swept = watched(&control, progress.as_ref(), work);
        match swept {
            Ok(result) => result.map(|n_read| Ok((sums, n_read))),
            Err(interruption) => Ok(Err(interruption)),
        }
    })??;
    py.check_signals().map(|()| sums)
}

/// Add all rows of a source to accumulators and return the number of rows that were read.
///
/// `progress` is called with the number of rows read so far, about ten times per second. An interrupt or an exception
/// in `progress` ends the sweep and leaves the accumulators unchanged. If `checkpoint` is given, partial sums are
/// written to this file every `every` seconds and when the sweep ends, and a later call with a source of the same
/// `identity` resumes from it.
#[pyfunction]
#[pyo3(signature = (source, accumulators, *, n_threads=None, progress=None, checkpoint=None, every=60.0, identity=Vec::new()))]
pub fn sweep(
    source: &Bound<'_, PyAny>,
    accumulators: Vec<Bound<'_, Accumulator>>,
    n_threads: Option<usize>,
    progress: Option<Py<PyAny>>,
    checkpoint: Option<PathBuf>,
    every: f64,
    identity: Vec<u8>,
) -> PyResult<u64> {
    let every = Duration::try_from_secs_f64(every).map_err(|_| {
        let message = format!("{every}, expected a number of seconds of at least 0");
        to_python(source.py(), Error::argument("every", message))
    })?;
    let checkpoint = checkpoint.map(|path| Checkpoint { path, every, identity });
    let sums = accumulators.iter().map(|a| Ok(a.try_borrow()?.moments().empty())).collect::<PyResult<Vec<_>>>()?;
    let (sums, n_read) = run(source, sums, n_threads, progress, checkpoint)?;
    for (accumulator, sum) in accumulators.iter().zip(&sums) {
        accumulator.try_borrow_mut()?.add(source.py(), sum)?;
    }
    Ok(n_read)
}

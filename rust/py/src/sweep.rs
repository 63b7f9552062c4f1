//! The sweep of a source through accumulators, with the interpreter free.

use pyo3::prelude::*;
use relunet_core::control::Control;
use relunet_core::moments::Moments;
use relunet_core::sweep::sweep as core_sweep;

use crate::interrupt::watched;
use crate::moments::Accumulator;
use crate::source::with_source;

/// `sums`, which are empty, over all rows of a source.
pub fn run(
    source: &Bound<'_, PyAny>,
    mut sums: Vec<Moments>,
    n_threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Vec<Moments>> {
    let py = source.py();
    let sums = with_source(source, move |source| {
        let control = Control::default();
        let swept = watched(&control, progress.as_ref(), || core_sweep(source, &mut sums, n_threads, &control));
        match swept {
            Ok(result) => result.map(|()| Ok(sums)),
            Err(interruption) => Ok(Err(interruption)),
        }
    })??;
    py.check_signals().map(|()| sums)
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
    let sums = accumulators.iter().map(|a| Ok(a.try_borrow()?.moments().empty())).collect::<PyResult<Vec<_>>>()?;
    let sums = run(source, sums, n_threads, progress)?;
    for (accumulator, sum) in accumulators.iter().zip(&sums) {
        accumulator.try_borrow_mut()?.add(source.py(), sum)?;
    }
    Ok(())
}

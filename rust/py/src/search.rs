//! Binding of `relunet_core::search`.

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use relunet_core::error::Error;
use relunet_core::search::{Options, Terms, search as core_search};
use relunet_core::sweep::pool;

use crate::error::to_python;
use crate::interrupt::{abandonable, bounded};

type Candidate<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray2<f64>>, Bound<'py, PyArray1<f64>>, f64, f64);

type Start<'py> = (PyReadonlyArray1<'py, f64>, PyReadonlyArray2<'py, f64>, PyReadonlyArray1<'py, f64>);

/// The best functions w·z + Σ s_i |a_i·z| found with 0, 1, ... terms: (w, A, s, train_loss, heldout_loss) each.
///
/// `progress` is called with the floating-point operations done, about ten times a second.
#[pyfunction]
#[pyo3(signature = (z, y, k_max, *, weights=None, starts=Vec::new(), constant=false, seed=0, n_threads=None, tolerance=1e-20, least_gain=0.0, budget=20_000_000_000, progress=None))]
#[allow(clippy::too_many_arguments)]
pub fn search<'py>(
    py: Python<'py>,
    z: PyReadonlyArray2<'py, f64>,
    y: PyReadonlyArray1<'py, f64>,
    k_max: usize,
    weights: Option<PyReadonlyArray1<'py, f64>>,
    starts: Vec<Start<'py>>,
    constant: bool,
    seed: u64,
    n_threads: Option<usize>,
    tolerance: f64,
    least_gain: f64,
    budget: u64,
    progress: Option<Py<PyAny>>,
) -> PyResult<Vec<Candidate<'py>>> {
    let q = z.shape()[1];
    let rows = z.as_slice().map_err(|_| to_python(py, Error::argument("z", "expected a C-contiguous array")))?;
    let labels = y.as_slice().map_err(|_| to_python(py, Error::argument("y", "expected a contiguous array")))?;
    let w = match &weights {
        Some(w) => {
            Some(w.as_slice().map_err(|_| to_python(py, Error::argument("weights", "expected a contiguous array")))?)
        }
        None => None,
    };
    let starts: Vec<Terms> = starts
        .iter()
        .map(|(linear, a, signs)| Terms {
            theta: linear.as_array().iter().chain(a.as_array().iter()).copied().collect(),
            signs: signs.as_array().to_vec(),
        })
        .collect();
    let options = Options { k_max, constant, seed, tolerance, least_gain, budget };
    // A step of many terms takes long and cannot be cancelled: the rows are copied, and what is interrupted abandoned.
    let (rows, labels, w) = (rows.to_vec(), labels.to_vec(), w.map(<[f64]>::to_vec));
    let n_threads = bounded(n_threads);
    let found = abandonable(py, progress.as_ref(), move |control| {
        pool(n_threads)?.install(|| core_search(&rows, q, &labels, w.as_deref(), &starts, options, control))
    })?
    .map_err(|e| to_python(py, e))?;
    found
        .into_iter()
        .map(|f| {
            let k = f.terms.len();
            let a = PyArray1::from_slice(py, &f.terms.theta[q..]).reshape([k, q])?;
            Ok((
                PyArray1::from_slice(py, &f.terms.theta[..q]),
                a,
                PyArray1::from_slice(py, &f.terms.signs),
                f.train_loss,
                f.heldout_loss,
            ))
        })
        .collect()
}

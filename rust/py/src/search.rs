//! Binding of `relunet_core::search`.

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use relunet_core::error::Error;
use relunet_core::search::direct::{DirectOptions, Network, direct};
use relunet_core::search::wide::{WideOptions, wide};
use relunet_core::search::{Options, Terms, search as core_search};
use relunet_core::sweep::pool;

use crate::error::to_python;
use crate::interrupt::{abandonable, bounded};

type Candidate<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray2<f64>>, Bound<'py, PyArray1<f64>>, f64, f64);

type Start<'py> = (PyReadonlyArray1<'py, f64>, PyReadonlyArray2<'py, f64>, PyReadonlyArray1<'py, f64>);

/// Copies of the rows and labels: a step of many terms takes long and cannot be cancelled, so that a search that is
/// interrupted is abandoned with what it reads.
fn copied(
    py: Python<'_>,
    z: &PyReadonlyArray2<'_, f64>,
    y: &PyReadonlyArray1<'_, f64>,
) -> PyResult<(Vec<f64>, Vec<f64>)> {
    let rows = z.as_slice().map_err(|_| to_python(py, Error::argument("z", "expected a C-contiguous array")))?;
    let labels = y.as_slice().map_err(|_| to_python(py, Error::argument("y", "expected a contiguous array")))?;
    Ok((rows.to_vec(), labels.to_vec()))
}

/// The best functions w·z + Σ s_i |a_i·z| found with 0, 1, ... terms: (w, A, s, train_loss, heldout_loss) each.
///
/// `progress` is called with the floating-point operations done, about ten times a second.
#[pyfunction]
#[pyo3(signature = (z, y, k_max, *, weights=None, starts=Vec::new(), constant=false, seed=0, n_threads=None, tolerance=1e-20, least_gain=0.0, budget=20_000_000_000, progress=None))]
#[allow(clippy::too_many_arguments, reason = "keywords of Python")]
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
    let (rows, labels) = copied(py, &z, &y)?;
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
    let w = w.map(<[f64]>::to_vec);
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

type DirectFit<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray2<f64>>, Bound<'py, PyArray1<f64>>, f64, usize);

/// The best function w·z + Σ s_i relu(a_i·z) found with k neurons: (w, A, s, loss, number of starts).
#[pyfunction]
#[pyo3(signature = (z, y, k, *, affine, floor, budget, starts=Vec::new(), constant=false, seed=0, n_threads=None))]
#[allow(clippy::too_many_arguments, reason = "keywords of Python")]
pub fn search_directly<'py>(
    py: Python<'py>,
    z: PyReadonlyArray2<'py, f64>,
    y: PyReadonlyArray1<'py, f64>,
    k: usize,
    affine: (usize, usize),
    floor: f64,
    budget: u64,
    starts: Vec<Start<'py>>,
    constant: bool,
    seed: u64,
    n_threads: Option<usize>,
) -> PyResult<DirectFit<'py>> {
    let q = z.shape()[1];
    let (rows, labels) = copied(py, &z, &y)?;
    let starts: Vec<Network> = starts
        .iter()
        .map(|(linear, a, signs)| Network {
            theta: linear.as_array().iter().chain(a.as_array().iter()).copied().collect(),
            signs: signs.as_array().to_vec(),
        })
        .collect();
    let options = DirectOptions { k, affine: affine.0..affine.1, constant, seed, floor, budget };
    let n_threads = bounded(n_threads);
    let found = abandonable(py, None, move |control| {
        pool(n_threads)?.install(|| direct(&rows, q, &labels, &starts, &options, control))
    })?
    .map_err(|e| to_python(py, e))?;
    let m = affine.1 - affine.0;
    Ok((
        PyArray1::from_slice(py, &found.network.theta[..m]),
        PyArray1::from_slice(py, &found.network.theta[m..]).reshape([found.network.signs.len(), q])?,
        PyArray1::from_slice(py, &found.network.signs),
        found.loss,
        found.starts,
    ))
}

/// Linear part, vectors and signs of a function of projected rows, and its loss.
type Function<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray2<f64>>, Bound<'py, PyArray1<f64>>, f64);

/// The best function w·z + Σ s_i |a_i·z| found with at most k terms, many at once: (w, A, s, loss).
#[pyfunction]
#[pyo3(signature = (z, y, k, *, floor, visits, rounds, constant=false, seed=0, n_threads=None))]
#[allow(clippy::too_many_arguments, reason = "keywords of Python")]
pub fn search_wide<'py>(
    py: Python<'py>,
    z: PyReadonlyArray2<'py, f64>,
    y: PyReadonlyArray1<'py, f64>,
    k: usize,
    floor: f64,
    visits: usize,
    rounds: usize,
    constant: bool,
    seed: u64,
    n_threads: Option<usize>,
) -> PyResult<Function<'py>> {
    let q = z.shape()[1];
    let (rows, labels) = copied(py, &z, &y)?;
    let options = WideOptions { k, constant, seed, floor, visits, rounds };
    let n_threads = bounded(n_threads);
    let (terms, loss) =
        abandonable(py, None, move |control| pool(n_threads)?.install(|| wide(&rows, q, &labels, &options, control)))?
            .map_err(|e| to_python(py, e))?;
    Ok((
        PyArray1::from_slice(py, &terms.theta[..q]),
        PyArray1::from_slice(py, &terms.theta[q..]).reshape([terms.len(), q])?,
        PyArray1::from_slice(py, &terms.signs),
        loss,
    ))
}

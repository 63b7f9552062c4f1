//! Exact inner products and distances of networks under Gaussian inputs.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use relunet_core::control::Control;
use relunet_core::gaussian::{self, Normal};

use crate::error::to_python;
use crate::interrupt::pooled;
use crate::network::Parameters;

type Mean<'py> = Option<PyReadonlyArray1<'py, f64>>;
type Cov<'py> = Option<PyReadonlyArray2<'py, f64>>;
/// Distances and norms.
type Distances<'py> = (Bound<'py, PyArray2<f64>>, Bound<'py, PyArray1<f64>>);

fn inputs<'a>(mean: &'a Mean<'_>, cov: &'a Cov<'_>) -> PyResult<Normal<'a>> {
    Ok(Normal {
        mean: mean.as_ref().map(|mean| mean.as_slice()).transpose()?,
        cov: cov.as_ref().map(|cov| cov.as_slice()).transpose()?,
    })
}

/// E[<f(x), g(x)>] for x ~ N(mean, cov).
#[pyfunction]
#[pyo3(signature = (f, g, mean=None, cov=None))]
pub fn gaussian_inner<'py>(
    py: Python<'py>,
    f: Parameters<'py>,
    g: Parameters<'py>,
    mean: Mean<'py>,
    cov: Cov<'py>,
) -> PyResult<f64> {
    let (f, g, inputs) = (f.view()?, g.view()?, inputs(&mean, &cov)?);
    let control = Control::default();
    pooled(py, &control, || gaussian::inner_product(&f, &g, &inputs, &control))?.map_err(|error| to_python(py, error))
}

/// sqrt(E |f(x) - g(x)|²) for x ~ N(mean, cov).
#[pyfunction]
#[pyo3(signature = (f, g, mean=None, cov=None))]
pub fn gaussian_distance<'py>(
    py: Python<'py>,
    f: Parameters<'py>,
    g: Parameters<'py>,
    mean: Mean<'py>,
    cov: Cov<'py>,
) -> PyResult<f64> {
    let (f, g, inputs) = (f.view()?, g.view()?, inputs(&mean, &cov)?);
    let control = Control::default();
    pooled(py, &control, || gaussian::distance(&f, &g, &inputs, &control))?.map_err(|error| to_python(py, error))
}

/// Distances (k_f, k_g) between the neurons, and the norms of those of f, in the form
/// output_weights |weights.x + bias| / 2.
#[pyfunction]
#[pyo3(signature = (f, g, mean=None, cov=None))]
pub fn neuron_distances<'py>(
    py: Python<'py>,
    f: Parameters<'py>,
    g: Parameters<'py>,
    mean: Mean<'py>,
    cov: Cov<'py>,
) -> PyResult<Distances<'py>> {
    let (f, g, inputs) = (f.view()?, g.view()?, inputs(&mean, &cov)?);
    let control = Control::default();
    let (distances, norms) = pooled(py, &control, || gaussian::neuron_distances(&f, &g, &inputs, &control))?
        .map_err(|error| to_python(py, error))?;
    Ok((distances.into_pyarray(py).reshape([f.n_neurons(), g.n_neurons()])?, norms.into_pyarray(py)))
}

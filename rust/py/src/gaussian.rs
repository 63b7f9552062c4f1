//! Closed forms of networks under Gaussian inputs: inner products, distances, and sensitivity analysis.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use relunet_core::control::Control;
use relunet_core::gaussian::{self, Normal};

use crate::error::to_python;
use crate::interrupt::pooled;
use crate::network::Parameters;

type Mean<'py> = Option<PyReadonlyArray1<'py, f64>>;
/// Means and variances (m,), first and total indices (g, m).
type Indices<'py> =
    (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>, Bound<'py, PyArray2<f64>>, Bound<'py, PyArray2<f64>>);
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

/// Mean, variance, and first and total Sobol indices of groups of features, for independent inputs N(mean, scale²).
#[pyfunction]
pub fn sobol<'py>(
    py: Python<'py>,
    network: Parameters<'py>,
    mean: Mean<'py>,
    scale: Mean<'py>,
    groups: Vec<Vec<usize>>,
) -> PyResult<Indices<'py>> {
    let (view, m, control) = (network.view()?, network.view()?.n_outputs(), Control::default());
    let mean = mean.as_ref().map(|mean| mean.as_slice()).transpose()?;
    let scale = scale.as_ref().map(|scale| scale.as_slice()).transpose()?;
    let found = pooled(py, &control, || gaussian::sobol(&view, mean, scale, &groups, &control))?
        .map_err(|error| to_python(py, error))?;
    let table = |values: Vec<f64>| values.into_pyarray(py).reshape([groups.len(), m]);
    Ok((found.mean.into_pyarray(py), found.variance.into_pyarray(py), table(found.first)?, table(found.total)?))
}

/// E[f(x) | x_S = values] (n, m) for rows of values (n, s), for independent inputs N(mean, scale²).
#[pyfunction]
pub fn conditional_mean<'py>(
    py: Python<'py>,
    network: Parameters<'py>,
    mean: Mean<'py>,
    scale: Mean<'py>,
    features: Vec<usize>,
    values: PyReadonlyArray2<'py, f64>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let (view, rows, control) = (network.view()?, values.as_slice()?, Control::default());
    let mean = mean.as_ref().map(|mean| mean.as_slice()).transpose()?;
    let scale = scale.as_ref().map(|scale| scale.as_slice()).transpose()?;
    let found = pooled(py, &control, || gaussian::conditional_mean(&view, mean, scale, &features, rows))?
        .map_err(|error| to_python(py, error))?;
    found.into_pyarray(py).reshape([values.as_array().nrows(), view.n_outputs()])
}

/// E[∇f(x) ∇f(x)ᵀ] (d, d) for x ~ N(mean, cov), summed over outputs.
#[pyfunction]
pub fn gradient_moment<'py>(
    py: Python<'py>,
    network: Parameters<'py>,
    mean: Mean<'py>,
    cov: Cov<'py>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let (view, inputs, control) = (network.view()?, inputs(&mean, &cov)?, Control::default());
    let found = pooled(py, &control, || gaussian::gradient_moment(&view, &inputs, &control))?
        .map_err(|error| to_python(py, error))?;
    found.into_pyarray(py).reshape([view.n_features; 2])
}

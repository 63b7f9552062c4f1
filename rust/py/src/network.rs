//! Networks as they come from Python, and their values.

use numpy::{IntoPyArray, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use relunet_core::control::Control;
use relunet_core::error::Error;
use relunet_core::network::{Network, NetworkView, ROWS_PER_TASK, SharedNetwork};

use crate::error::to_python;
use crate::interrupt::pooled;

/// The core's network with the parameters of a `relunet.ReLUNetwork` that has one output.
pub fn from_python(network: &Bound<'_, PyAny>) -> PyResult<Network> {
    let refused = |message: String| to_python(network.py(), Error::argument("network", message));
    if !network.hasattr("parameters")? {
        return Err(refused(format!("{}, expected a ReLUNetwork", network.get_type().name()?)));
    }
    let parameters: Parameters<'_> = network.getattr("parameters")?.extract()?;
    let view = parameters.view()?;
    let &[intercept] = view.intercept else {
        return Err(refused(format!("expected a network with one output, got {}", view.n_outputs())));
    };
    let copy = <[f64]>::to_vec;
    Network::new(copy(view.weights), copy(view.biases), copy(view.output_weights), copy(view.linear), intercept)
        .map_err(|error| to_python(network.py(), error))
}

/// The core's network with the parameters of a `relunet.ReLUNetwork` of any number of outputs.
pub fn shared_from_python(network: &Bound<'_, PyAny>) -> PyResult<SharedNetwork> {
    if !network.hasattr("parameters")? {
        let message = format!("{}, expected a ReLUNetwork", network.get_type().name()?);
        return Err(to_python(network.py(), Error::argument("network", message)));
    }
    let parameters: Parameters<'_> = network.getattr("parameters")?.extract()?;
    Ok(parameters.view()?.to_owned())
}

/// The parameters of a network as Python passes them, a `relunet.network.parameters.Parameters`: weights (k, d), biases (k,), output weights (m, k),
/// linear (m, d), intercept (m,), all C-contiguous float64.
#[derive(FromPyObject)]
pub struct Parameters<'py>(
    PyReadonlyArray2<'py, f64>,
    PyReadonlyArray1<'py, f64>,
    PyReadonlyArray2<'py, f64>,
    PyReadonlyArray2<'py, f64>,
    PyReadonlyArray1<'py, f64>,
);

impl Parameters<'_> {
    /// The network, borrowed.
    pub fn view(&self) -> PyResult<NetworkView<'_>> {
        Ok(NetworkView {
            n_features: self.0.as_array().ncols(),
            weights: self.0.as_slice()?,
            biases: self.1.as_slice()?,
            output_weights: self.2.as_slice()?,
            linear: self.3.as_slice()?,
            intercept: self.4.as_slice()?,
        })
    }
}

/// Values of the network at the rows of x (n, d): (n, m).
#[pyfunction]
pub fn predict<'py>(
    py: Python<'py>,
    network: Parameters<'py>,
    x: PyReadonlyArray2<'py, f64>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let (view, rows) = (network.view()?, x.as_slice()?);
    let control = Control::default();
    let work = || view.predict(rows, &control);
    let values = if x.as_array().nrows() <= ROWS_PER_TASK { py.detach(work) } else { pooled(py, &control, work)? };
    values.map_err(|error| to_python(py, error))?.into_pyarray(py).reshape([x.as_array().nrows(), view.n_outputs()])
}

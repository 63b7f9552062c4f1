//! Networks as they come from Python.

use numpy::{PyArrayLikeDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use relunet_core::error::Error;
use relunet_core::network::Network;

use crate::error::to_python;

/// The core's network with the parameters of a `relunet.ReLUNetwork` that has one output.
pub fn from_python(network: &Bound<'_, PyAny>) -> PyResult<Network> {
    let values = |name: &str| -> PyResult<Vec<f64>> {
        let array: PyArrayLikeDyn<'_, f64> = network.getattr(name)?.extract()?;
        Ok(array.as_array().iter().copied().collect())
    };
    let intercept: PyArrayLikeDyn<'_, f64> = network.getattr("intercept")?.extract()?;
    if intercept.len() != 1 {
        let message = format!("expected a network with one output, got {}", intercept.len());
        return Err(to_python(network.py(), Error::argument("network", message)));
    }
    let intercept = intercept.as_array().iter().sum();
    Network::new(values("weights")?, values("biases")?, values("output_weights")?, values("linear")?, intercept)
        .map_err(|error| to_python(network.py(), error))
}

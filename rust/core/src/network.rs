//! One-hidden-layer ReLU networks and their evaluation on rows of inputs.

use rayon::prelude::*;

use crate::control::Control;
use crate::error::{Column, Error, Result};
use crate::gram::Prefetch;
use crate::memory;
use crate::simd::{Lane, WIDTH};
use crate::skinny::Directions;
use crate::validity::require_finite;

/// Number of rows that one task evaluates: large enough to amortise its start, small enough to balance the threads.
pub const ROWS_PER_TASK: usize = 256;

/// A network with one output, `f(x) = intercept + linear.x + sum_i output_weights_i relu(weights_i.x + biases_i)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Number of inputs.
    pub n_features: usize,
    /// Weights of the neurons, `(n_neurons, n_features)` row-major.
    pub weights: Vec<f64>,
    /// Biases of the neurons.
    pub biases: Vec<f64>,
    /// Output weights of the neurons.
    pub output_weights: Vec<f64>,
    /// Coefficients of the linear part.
    pub linear: Vec<f64>,
    /// Constant term.
    pub intercept: f64,
}

impl Network {
    /// Creates a network from its parameters.
    ///
    /// # Errors
    /// The lengths of the parameters do not match.
    pub fn new(
        weights: Vec<f64>,
        biases: Vec<f64>,
        output_weights: Vec<f64>,
        linear: Vec<f64>,
        intercept: f64,
    ) -> Result<Self> {
        let network = Self { n_features: linear.len(), weights, biases, output_weights, linear, intercept };
        network.view().check()?;
        Ok(network)
    }

    /// Number of neurons.
    pub fn n_neurons(&self) -> usize {
        self.biases.len()
    }

    /// Borrows the network.
    pub fn view(&self) -> NetworkView<'_> {
        NetworkView {
            n_features: self.n_features,
            weights: &self.weights,
            biases: &self.biases,
            output_weights: &self.output_weights,
            linear: &self.linear,
            intercept: std::slice::from_ref(&self.intercept),
        }
    }
}

/// A network with any number of outputs that share the hidden layer.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedNetwork {
    /// Number of inputs.
    pub n_features: usize,
    /// Weights of the neurons, `(n_neurons, n_features)` row-major.
    pub weights: Vec<f64>,
    /// Biases of the neurons.
    pub biases: Vec<f64>,
    /// Output weights, `(n_outputs, n_neurons)` row-major.
    pub output_weights: Vec<f64>,
    /// Linear parts, `(n_outputs, n_features)` row-major.
    pub linear: Vec<f64>,
    /// Constant terms, one per output.
    pub intercept: Vec<f64>,
}

impl SharedNetwork {
    /// Borrows the network.
    #[must_use]
    pub fn view(&self) -> NetworkView<'_> {
        NetworkView {
            n_features: self.n_features,
            weights: &self.weights,
            biases: &self.biases,
            output_weights: &self.output_weights,
            linear: &self.linear,
            intercept: &self.intercept,
        }
    }
}

/// A borrowed network with any number of outputs that share the hidden layer.
#[derive(Clone, Copy, Debug)]
pub struct NetworkView<'a> {
    /// Number of inputs.
    pub n_features: usize,
    /// Weights of the neurons, `(n_neurons, n_features)` row-major.
    pub weights: &'a [f64],
    /// Biases of the neurons.
    pub biases: &'a [f64],
    /// Output weights, `(n_outputs, n_neurons)` row-major.
    pub output_weights: &'a [f64],
    /// Linear parts, `(n_outputs, n_features)` row-major.
    pub linear: &'a [f64],
    /// Constant terms, one per output.
    pub intercept: &'a [f64],
}

impl<'a> NetworkView<'a> {
    /// Number of neurons.
    pub fn n_neurons(&self) -> usize {
        self.biases.len()
    }

    /// Number of outputs.
    pub fn n_outputs(&self) -> usize {
        self.intercept.len()
    }

    /// The same network, owned.
    #[must_use]
    pub fn to_owned(&self) -> SharedNetwork {
        SharedNetwork {
            n_features: self.n_features,
            weights: self.weights.to_vec(),
            biases: self.biases.to_vec(),
            output_weights: self.output_weights.to_vec(),
            linear: self.linear.to_vec(),
            intercept: self.intercept.to_vec(),
        }
    }

    /// Weights of one neuron.
    pub fn neuron(&self, index: usize) -> &'a [f64] {
        &self.weights[index * self.n_features..(index + 1) * self.n_features]
    }

    /// Checks that the lengths of the parameters match.
    ///
    /// # Errors
    /// Names the first parameter whose length does not match.
    pub fn check(&self) -> Result<()> {
        let (k, d, m) = (self.n_neurons(), self.n_features, self.n_outputs());
        let lengths = [
            ("weights", self.weights.len(), k * d),
            ("output_weights", self.output_weights.len(), m * k),
            ("linear", self.linear.len(), m * d),
        ];
        if d == 0 {
            return Err(Error::argument("weights", "a network needs at least one input"));
        }
        match lengths.iter().find(|(_, came, expected)| came != expected) {
            Some((name, came, expected)) => Err(Error::argument(*name, format!("{came} entries, expected {expected}"))),
            None => Ok(()),
        }
    }

    /// Evaluates the network at the rows of `x`; returns `(n_rows, n_outputs)` values, row-major.
    ///
    /// Each row is evaluated by itself, so that the bits do not depend on the number of threads. The tasks run in the
    /// thread pool of the caller; up to [`ROWS_PER_TASK`] rows are evaluated without a pool.
    ///
    /// # Errors
    /// An entry of `x` is NaN or infinite, where the error names the first one; lengths do not match; or
    /// [`Error::Cancelled`].
    pub fn predict(&self, x: &[f64], control: &Control) -> Result<Vec<f64>> {
        self.check()?;
        if !x.len().is_multiple_of(self.n_features) {
            return Err(Error::argument("X", format!("{} entries are not rows of {}", x.len(), self.n_features)));
        }
        let (d, m) = (self.n_features, self.n_outputs());
        let mut out = memory::filled(0.0, x.len() / d * m)?;
        if out.is_empty() {
            return Ok(out);
        }
        // The linear parts are packed as further directions, after those of the neurons.
        let directions =
            Directions::new(&[self.weights, self.linear].concat(), &[self.biases, self.intercept].concat(), d);
        let evaluate = |lanes: &mut Vec<Lane>, (task, (rows, values)): (usize, (&[f64], &mut [f64]))| {
            if control.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let row = |at: usize| (task * ROWS_PER_TASK + at / d) as u64;
            require_finite(rows, |at| ("X".into(), row(at), Some(Column::Index(at % d))))?;
            directions.project(rows, rows.len() / d, lanes, Prefetch::default());
            for (row, value) in lanes.chunks_exact(directions.n_panels()).zip(values.chunks_exact_mut(m)) {
                self.combine(row, value);
            }
            Ok(())
        };
        if x.len() <= ROWS_PER_TASK * d {
            return evaluate(&mut Vec::new(), (0, (x, &mut out))).map(|()| out);
        }
        let refused = x
            .par_chunks(ROWS_PER_TASK * d)
            .zip(out.par_chunks_mut(ROWS_PER_TASK * m))
            .enumerate()
            .map_init(Vec::new, evaluate)
            .find_first(Result::is_err);
        refused.unwrap_or(Ok(())).map(|()| out)
    }

    /// Computes the outputs at one row from its projections on the neurons and the linear parts.
    fn combine(&self, projections: &[Lane], out: &mut [f64]) {
        let k = self.n_neurons();
        let projection = |i: usize| projections[i / WIDTH].0[i % WIDTH];
        for (output, value) in out.iter_mut().enumerate() {
            let output_weights = &self.output_weights[output * k..(output + 1) * k];
            let affine = projection(k + output);
            *value = output_weights.iter().enumerate().fold(affine, |f, (i, c)| f + c * projection(i).max(0.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_formula() {
        let network = Network::new(vec![1.0, -2.0, 0.5, 3.0], vec![0.25, -1.0], vec![2.0, -1.0], vec![0.5, 0.0], 4.0);
        let network = network.expect("lengths fit");
        let values = network.view().predict(&[1.0, 0.5, -2.0, 1.0], &Control::default()).expect("finite");
        assert_eq!(values, [4.0 + 0.5 + 2.0 * 0.25 - 1.0, 4.0 - 1.0 - 1.0]);
    }

    #[test]
    fn several_outputs_share_the_neurons() {
        let (n, d, k, m) = (2 * ROWS_PER_TASK + 3, 5, 7, 3);
        let value = |i: usize| f64::from((i * 7919 % 1009) as u32) / 500.0 - 1.0;
        let values = |from: usize, length: usize| (from..from + length).map(value).collect::<Vec<f64>>();
        let (x, weights, biases) = (values(0, n * d), values(17, k * d), values(99, k));
        let (output_weights, linear, intercept) = (values(5, m * k), values(31, m * d), values(77, m));
        let view = NetworkView {
            n_features: d,
            weights: &weights,
            biases: &biases,
            output_weights: &output_weights,
            linear: &linear,
            intercept: &intercept,
        };
        let all = view.predict(&x, &Control::default()).expect("finite");
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        for (row, outputs) in x.chunks_exact(d).zip(all.chunks_exact(m)) {
            assert_eq!(view.predict(row, &Control::default()).expect("finite"), outputs, "every row by itself");
            let hidden: Vec<f64> = (0..k).map(|i| (dot(view.neuron(i), row) + biases[i]).max(0.0)).collect();
            for (j, output) in outputs.iter().enumerate() {
                let affine = intercept[j] + dot(&linear[j * d..][..d], row);
                assert!((affine + dot(&output_weights[j * k..][..k], &hidden) - output).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn the_first_bad_entry_is_named() {
        let network = Network::new(vec![], vec![], vec![], vec![1.0, 1.0], 0.0).expect("no neurons is a network");
        let mut x = vec![0.0; 40 * ROWS_PER_TASK];
        for row in [3 * ROWS_PER_TASK + 1, 4 * ROWS_PER_TASK, 11 * ROWS_PER_TASK] {
            x[2 * row + 1] = f64::INFINITY;
        }
        let error = network.view().predict(&x, &Control::default()).expect_err("infinite").to_string();
        assert!(error.contains(&format!("row {}, column 1", 3 * ROWS_PER_TASK + 1)), "{error}");
    }

    #[test]
    fn lengths_and_entries_are_verified() {
        assert!(Network::new(vec![1.0], vec![0.0, 0.0], vec![1.0, 1.0], vec![0.0], 0.0).is_err());
        let network = Network::new(vec![], vec![], vec![], vec![1.0, 1.0], 0.0).expect("no neurons is a network");
        let error = network.view().predict(&[0.0, 1.0, 2.0, f64::NAN], &Control::default()).expect_err("NaN");
        assert!(error.to_string().contains("row 1, column 1"), "{error}");
    }
}

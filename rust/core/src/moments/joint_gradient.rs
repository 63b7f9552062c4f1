//! Gradient of the risk of a network of several outputs, which share the neurons.
//!
//! N rows take O(N (k + m) d + N k m + N m²) operations: the residuals of all outputs meet in one weight a neuron.

use super::bytes::{Reader, Writer, damaged};
use super::residual::row_weight;
use super::{Accumulator, Scratch, check_outputs};
use crate::block::Block;
use crate::error::Result;
use crate::network::SharedNetwork;
use crate::simd::WIDTH;
use crate::skinny::{Directions, add_weighted_rows};

/// Sums over rows of residuals r = y - f(x) of m outputs, for gates g_i = 1(w_i·x + b_i > 0) and output weights C.
#[derive(Clone, Debug)]
pub struct JointGradientMoments {
    network: SharedNetwork,
    /// The neurons, and after them the linear part of each output.
    directions: Directions,
    n_rows: u64,
    weight: f64,
    /// Σ w (Cᵀ r)_i g_i x for each neuron, then Σ w r_o x for each output; row-major.
    vectors: Vec<f64>,
    /// Σ w (Cᵀ r)_i g_i, then Σ w r_o.
    totals: Vec<f64>,
    /// Σ w r_o relu(w_i·x + b_i), `(m, k)` row-major.
    outer: Vec<f64>,
    /// Σ w r_o r_o', `(m, m)` row-major.
    squares: Vec<f64>,
}

impl JointGradientMoments {
    /// Creates an empty accumulator for the gradient at `network`.
    ///
    /// # Errors
    /// The lengths of the parameters do not match, or there are no outputs.
    pub fn new(network: SharedNetwork) -> Result<Self> {
        network.view().check()?;
        let (k, m, d) = (network.biases.len(), network.intercept.len(), network.n_features);
        check_outputs(m)?;
        let rows = [&network.weights[..], &network.linear].concat();
        let directions = Directions::new(&rows, &[&network.biases[..], &network.intercept].concat(), d);
        Ok(Self {
            directions,
            n_rows: 0,
            weight: 0.0,
            vectors: vec![0.0; (k + m) * d],
            totals: vec![0.0; k + m],
            outer: vec![0.0; m * k],
            squares: vec![0.0; m * m],
            network,
        })
    }

    fn mean(&self, sums: &[f64]) -> Vec<f64> {
        sums.iter().map(|sum| sum / self.weight).collect()
    }

    /// Number of neurons.
    #[must_use]
    pub fn n_neurons(&self) -> usize {
        self.network.biases.len()
    }

    /// Mean of (Cᵀ r)_i g_i (x, 1), one row of `n_features + 1` values for each neuron, then of r_o (x, 1) for each output.
    #[must_use]
    pub fn gradient(&self) -> Vec<f64> {
        let rows = self.vectors.chunks_exact(self.network.n_features).zip(&self.totals);
        rows.flat_map(|(vector, total)| vector.iter().chain([total])).map(|v| v / self.weight).collect()
    }

    /// Mean of r_o relu(w_i·x + b_i), `(m, k)` row-major.
    #[must_use]
    pub fn outer(&self) -> Vec<f64> {
        self.mean(&self.outer)
    }

    /// Mean of r_o r_o', `(m, m)` row-major.
    #[must_use]
    pub fn squares(&self) -> Vec<f64> {
        self.mean(&self.squares)
    }
}

impl Accumulator for JointGradientMoments {
    const KIND: u32 = 9;

    fn n_features(&self) -> usize {
        self.network.n_features
    }

    fn n_rows(&self) -> u64 {
        self.n_rows
    }

    fn needs_labels(&self) -> bool {
        true
    }

    fn n_outputs(&self) -> usize {
        self.network.intercept.len()
    }

    fn empty(&self) -> Self {
        let zeros = |sums: &Vec<f64>| vec![0.0; sums.len()];
        Self {
            network: self.network.clone(),
            directions: self.directions.clone(),
            n_rows: 0,
            weight: 0.0,
            vectors: zeros(&self.vectors),
            totals: zeros(&self.totals),
            outer: zeros(&self.outer),
            squares: zeros(&self.squares),
        }
    }

    fn same_configuration(&self, other: &Self) -> bool {
        self.network == other.network
    }

    fn update(&mut self, block: &Block<'_>, scratch: &mut Scratch) {
        let (k, m, n_panels) = (self.n_neurons(), self.n_outputs(), self.directions.n_panels());
        let prefetch = std::mem::take(&mut scratch.prefetch);
        let Scratch { lanes, .. } = scratch;
        self.directions.project(block.x, block.n_rows, lanes, prefetch);
        self.n_rows += block.n_rows as u64;
        let (mut heights, mut residual, mut shared) = (vec![0.0; k], vec![0.0; m], vec![0.0; k]);
        for (p, row) in lanes.chunks_exact_mut(n_panels).enumerate() {
            let w = row_weight(block, p);
            let at = |i: usize| row[i / WIDTH].0[i % WIDTH];
            heights.iter_mut().enumerate().for_each(|(i, height)| *height = at(i).max(0.0));
            shared.fill(0.0);
            let outputs = self.network.output_weights.chunks(k.max(1)).chain(std::iter::repeat(&[][..]));
            for ((o, r), output_weights) in residual.iter_mut().enumerate().zip(outputs) {
                let value = output_weights.iter().zip(&heights).fold(at(k + o), |sum, (c, h)| sum + c * h);
                *r = block.y[p * m + o] - value;
                for (sum, c) in shared.iter_mut().zip(output_weights) {
                    *sum += c * *r;
                }
            }
            self.weight += w;
            for (o, r) in residual.iter().enumerate() {
                let weighted = w * r;
                for (sum, other) in self.squares[o * m..].iter_mut().zip(&residual) {
                    *sum += weighted * other;
                }
                for (sum, height) in self.outer[o * k..].iter_mut().zip(&heights) {
                    *sum += weighted * height;
                }
            }
            let mut put = |i: usize, value: f64| {
                row[i / WIDTH].0[i % WIDTH] = value;
                self.totals[i] += value;
            };
            for (i, (height, sum)) in heights.iter().zip(&shared).enumerate() {
                put(i, if *height > 0.0 { w * sum } else { 0.0 });
            }
            for (o, r) in residual.iter().enumerate() {
                put(k + o, w * r);
            }
            // What pads the last lane is no direction.
            row[n_panels - 1].0[(k + m - 1) % WIDTH + 1..].fill(0.0);
        }
        add_weighted_rows(block.x, self.network.n_features, lanes, k + m, &mut self.vectors);
    }

    fn merge(&mut self, other: &Self) {
        self.n_rows += other.n_rows;
        self.weight += other.weight;
        for (to, from) in [
            (&mut self.vectors, &other.vectors),
            (&mut self.totals, &other.totals),
            (&mut self.outer, &other.outer),
            (&mut self.squares, &other.squares),
        ] {
            to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
        }
    }

    fn write(&self, writer: &mut Writer) {
        writer.integer(self.network.n_features as u64);
        let SharedNetwork { weights, biases, output_weights, linear, intercept, .. } = &self.network;
        for values in [weights, biases, output_weights, linear, intercept] {
            writer.floats(values);
        }
        writer.integer(self.n_rows);
        writer.float(self.weight);
        for sums in [&self.vectors, &self.totals, &self.outer, &self.squares] {
            writer.floats(sums);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let network = SharedNetwork {
            n_features: reader.size()?,
            weights: reader.floats()?,
            biases: reader.floats()?,
            output_weights: reader.floats()?,
            linear: reader.floats()?,
            intercept: reader.floats()?,
        };
        let (k, m, d) = (network.biases.len(), network.intercept.len(), network.n_features);
        let parameters = [&network.weights, &network.biases, &network.output_weights, &network.linear];
        if !parameters.into_iter().chain([&network.intercept]).flatten().all(|v| v.is_finite()) {
            return Err(damaged("damaged: parameters of the network are not finite"));
        }
        // The squares are the only sums that parameters of few bytes may make large.
        reader.expect(k.checked_add(m).and_then(|rows| rows.checked_mul(d)))?;
        reader.expect(m.checked_mul(m))?;
        let mut moments = Self::new(network)?;
        moments.n_rows = reader.n_rows()?;
        moments.weight = reader.float()?;
        for sums in [&mut moments.vectors, &mut moments.totals, &mut moments.outer, &mut moments.squares] {
            reader.floats_into(sums)?;
        }
        Ok(moments)
    }
}

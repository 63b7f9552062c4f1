//! Labels of a block with a known network subtracted, and the neurons that are on.

use super::Scratch;
use crate::block::Block;
use crate::network::Network;
use crate::simd::WIDTH;
use crate::skinny::Directions;

/// A network ready to be subtracted from labels: its linear part is packed as one more direction, after the neurons.
#[derive(Clone, Debug)]
pub struct Residual {
    directions: Directions,
    output_weights: Vec<f64>,
}

impl Residual {
    pub fn new(network: &Network) -> Self {
        let mut rows = network.weights.clone();
        rows.extend(&network.linear);
        let mut offsets = network.biases.clone();
        offsets.push(network.intercept);
        Self {
            directions: Directions::new(&rows, &offsets, network.n_features),
            output_weights: network.output_weights.clone(),
        }
    }

    /// Number of neurons.
    pub fn n_neurons(&self) -> usize {
        self.output_weights.len()
    }

    /// Lanes a row.
    pub fn n_panels(&self) -> usize {
        self.directions.n_panels()
    }

    /// Leaves the projections w_i·x + b_i, then linear·x + intercept, in `scratch.lanes`.
    pub fn project(&self, block: &Block<'_>, scratch: &mut Scratch) {
        self.directions.project(block.x, block.n_rows, &mut scratch.lanes);
    }

    /// Leaves y - f(x) in `scratch.labels` and the projections in `scratch.lanes`.
    pub fn compute(&self, block: &Block<'_>, scratch: &mut Scratch) {
        self.project(block, scratch);
        let k = self.n_neurons();
        scratch.labels.clear();
        scratch.labels.extend(scratch.lanes.chunks_exact(self.n_panels()).zip(block.y).map(|(row, y)| {
            let affine = row[k / WIDTH].0[k % WIDTH];
            let value = self
                .output_weights
                .iter()
                .enumerate()
                .fold(affine, |f, (i, c)| f + c * row[i / WIDTH].0[i % WIDTH].max(0.0));
            y - value
        }));
    }
}

/// Leaves in `scratch.labels` the labels of a block, less `network` where there is one.
pub fn labels(network: Option<&Residual>, block: &Block<'_>, scratch: &mut Scratch) {
    match network {
        Some(network) => network.compute(block, scratch),
        None => {
            scratch.labels.clear();
            scratch.labels.extend_from_slice(block.y);
        }
    }
}

/// The weight of row `p`.
pub fn row_weight(block: &Block<'_>, p: usize) -> f64 {
    block.weight.map_or(1.0, |w| w[p])
}

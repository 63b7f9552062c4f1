//! Residuals and gates: labels minus the predictions of a network, and which neurons are active on each row.

use super::Scratch;
use crate::block::Block;
use crate::gram::Prefetch;
use crate::network::Network;
use crate::simd::{self, Lane, Simd, WIDTH, ZERO};
use crate::skinny::Directions;

/// A network packed for the evaluation of residuals; its linear part is one more direction after the neurons.
#[derive(Clone, Debug)]
pub struct PackedNetwork {
    directions: Directions,
    n_neurons: usize,
    /// Output weights of the neurons, and 1 for the affine part.
    factors: Vec<Lane>,
    /// Lower bounds of the projections, which are 0 for neurons (relu) and -∞ for the affine part.
    floors: Vec<Lane>,
}

impl PackedNetwork {
    pub fn new(network: &Network) -> Self {
        let mut rows = network.weights.clone();
        rows.extend(&network.linear);
        let mut offsets = network.biases.clone();
        offsets.push(network.intercept);
        let directions = Directions::new(&rows, &offsets, network.n_features);
        let n_neurons = network.n_neurons();
        let (mut factors, mut floors) = (vec![ZERO; directions.n_panels()], vec![ZERO; directions.n_panels()]);
        for (i, &factor) in network.output_weights.iter().chain([&1.0]).enumerate() {
            factors[i / WIDTH].0[i % WIDTH] = factor;
        }
        floors[n_neurons / WIDTH].0[n_neurons % WIDTH] = f64::NEG_INFINITY;
        Self { directions, n_neurons, factors, floors }
    }

    /// Number of neurons.
    pub fn n_neurons(&self) -> usize {
        self.n_neurons
    }

    /// Number of lanes per row.
    pub fn n_panels(&self) -> usize {
        self.directions.n_panels()
    }

    /// Writes w_i·x + b_i and then linear·x + intercept to `scratch.lanes`, and prefetches the memory of `prefetch` meanwhile.
    pub fn project(&self, block: &Block<'_>, scratch: &mut Scratch, prefetch: Prefetch) {
        self.directions.project(block.x, block.n_rows, &mut scratch.lanes, prefetch);
    }

    /// Writes y - f(x) to `scratch.labels` and the projections to `scratch.lanes`.
    pub fn compute(&self, block: &Block<'_>, scratch: &mut Scratch, prefetch: Prefetch) {
        self.project(block, scratch, prefetch);
        scratch.labels.clear();
        scratch.labels.extend_from_slice(block.y);
        simd::dispatch(Subtract { residual: self, lanes: &scratch.lanes, labels: &mut scratch.labels });
    }

    /// Replaces each projection by the weight of its row if the neuron is active and by zero otherwise; the affine part
    /// is always active. Adds the sums over rows to `totals`, which has one lane per panel.
    pub fn gate(&self, lanes: &mut [Lane], weights: &[f64], totals: &mut [Lane]) {
        simd::dispatch(Gate { residual: self, lanes, weights, totals });
    }
}

struct Subtract<'a> {
    residual: &'a PackedNetwork,
    lanes: &'a [Lane],
    labels: &'a mut [f64],
}

impl simd::Operation for Subtract<'_> {
    type Element = f64;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Element = f64>>(self) {
        let PackedNetwork { factors, floors, .. } = self.residual;
        for (row, label) in self.lanes.chunks_exact(factors.len()).zip(self.labels) {
            let mut value = S::zero();
            for ((lane, factor), floor) in row.iter().zip(factors).zip(floors) {
                value = S::mul_add(S::load(factor), S::max(S::load(lane), S::load(floor)), value);
            }
            *label -= S::sum(value);
        }
    }
}

struct Gate<'a> {
    residual: &'a PackedNetwork,
    lanes: &'a mut [Lane],
    weights: &'a [f64],
    totals: &'a mut [Lane],
}

impl simd::Operation for Gate<'_> {
    type Element = f64;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Element = f64>>(self) {
        let floors = &self.residual.floors;
        for (panel, (floor, total)) in floors.iter().zip(self.totals).enumerate() {
            let (floor, mut sum) = (S::load(floor), S::zero());
            for (row, &weight) in self.lanes.chunks_exact_mut(floors.len()).zip(self.weights) {
                let gated = S::where_above(S::load(&row[panel]), floor, S::splat(weight));
                S::store(gated, &mut row[panel]);
                sum = S::add(sum, gated);
            }
            S::store(S::add(S::load(total), sum), total);
        }
    }
}

/// Writes the labels of a block, minus the predictions of `network` if given, to `scratch.labels`.
pub fn labels(network: Option<&PackedNetwork>, block: &Block<'_>, scratch: &mut Scratch) {
    match network {
        Some(network) => network.compute(block, scratch, Prefetch::default()),
        None => {
            scratch.labels.clear();
            scratch.labels.extend_from_slice(block.y);
        }
    }
}

/// Returns the weight of row `p`.
pub fn row_weight(block: &Block<'_>, p: usize) -> f64 {
    block.weight.map_or(1.0, |w| w[p])
}

//! Gradient of the risk of a network: sums of residual times input over the rows on which each neuron is active.
//!
//! N rows take O(N d k) operations.

use super::bytes::{Reader, Writer};
use super::residual::{PackedNetwork, row_weight};
use super::risk::RiskSums;
use super::{Accumulator, Scratch};
use crate::block::Block;
use crate::error::Result;
use crate::network::Network;
use crate::simd::{WIDTH, ZERO};
use crate::skinny::add_weighted_rows;

/// Sums of w r g_i (x, 1) with residuals r = y - f(x), for the gates g_i = 1(w_i·x + b_i > 0) of the neurons followed
/// by the gate 1 of the affine part.
#[derive(Clone, Debug)]
pub struct GradientMoments {
    network: Network,
    residual: PackedNetwork,
    n_rows: u64,
    risk: RiskSums,
    /// Σ w r g_i x, one row per gate.
    vectors: Vec<f64>,
    /// Σ w r g_i.
    totals: Vec<f64>,
}

impl GradientMoments {
    /// Creates an empty accumulator for the gradient at `network`.
    #[must_use]
    pub fn new(network: Network) -> Self {
        let n_gates = network.n_neurons() + 1;
        Self {
            residual: PackedNetwork::new(&network),
            n_rows: 0,
            risk: RiskSums::default(),
            vectors: vec![0.0; n_gates * network.n_features],
            totals: vec![0.0; n_gates],
            network,
        }
    }

    /// Sums of the squared residuals.
    #[must_use]
    pub fn risk(&self) -> &RiskSums {
        &self.risk
    }

    /// Mean of r g_i (x, 1), one row of `n_features + 1` values per gate; the affine part comes last.
    #[must_use]
    pub fn gradient(&self) -> Vec<f64> {
        let rows = self.vectors.chunks_exact(self.network.n_features).zip(&self.totals);
        rows.flat_map(|(vector, total)| vector.iter().chain([total])).map(|v| v / self.risk.weight).collect()
    }
}

impl Accumulator for GradientMoments {
    const KIND: u32 = 5;

    fn n_features(&self) -> usize {
        self.network.n_features
    }

    fn n_rows(&self) -> u64 {
        self.n_rows
    }

    fn needs_labels(&self) -> bool {
        true
    }

    fn empty(&self) -> Self {
        Self::new(self.network.clone())
    }

    fn same_configuration(&self, other: &Self) -> bool {
        self.network == other.network
    }

    fn update(&mut self, block: &Block<'_>, scratch: &mut Scratch) {
        let (k, n_panels) = (self.residual.n_neurons(), self.residual.n_panels());
        let prefetch = std::mem::take(&mut scratch.prefetch);
        self.residual.compute(block, scratch, prefetch);
        self.n_rows += block.n_rows as u64;
        for (p, r) in scratch.labels.iter_mut().enumerate() {
            let w = row_weight(block, p);
            self.risk.add(w, *r);
            *r *= w;
        }
        let mut totals = vec![ZERO; n_panels];
        self.residual.gate(&mut scratch.lanes, &scratch.labels, &mut totals);
        for (i, total) in self.totals.iter_mut().enumerate() {
            *total += totals[i / WIDTH].0[i % WIDTH];
        }
        add_weighted_rows(block.x, self.network.n_features, &scratch.lanes, k + 1, &mut self.vectors);
    }

    fn merge(&mut self, other: &Self) {
        self.n_rows += other.n_rows;
        self.risk.merge(&other.risk);
        self.vectors.iter_mut().zip(&other.vectors).for_each(|(a, b)| *a += b);
        self.totals.iter_mut().zip(&other.totals).for_each(|(a, b)| *a += b);
    }

    fn write(&self, writer: &mut Writer) {
        writer.network(Some(&self.network));
        writer.integer(self.n_rows);
        writer.floats(&self.risk.as_array());
        writer.floats(&self.vectors);
        writer.floats(&self.totals);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut moments = Self::new(reader.some_network()?);
        moments.n_rows = reader.n_rows()?;
        let mut sums = [0.0; 6];
        reader.floats_into(&mut sums)?;
        moments.risk = RiskSums::from_array(sums);
        reader.floats_into(&mut moments.vectors)?;
        reader.floats_into(&mut moments.totals)?;
        Ok(moments)
    }
}

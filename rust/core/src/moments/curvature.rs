//! Gauss-Newton normal matrix of a network, from weighted Gram matrices of the inputs, in O(N d² k²) operations.

use super::bytes::{Reader, Writer};
use super::residual::{PackedNetwork, row_weight};
use super::{Accumulator, Scratch, check_room};
use crate::block::Block;
use crate::error::Result;
use crate::gram::{Precision, Prefetch, Rows, WeightedGrams};
use crate::network::Network;
use crate::simd::WIDTH;

/// Sums of w g_i g_j (x, 1)(x, 1)ᵀ for the gates g_i = 1(w_i·x + b_i > 0) of the neurons and the gate 1 of the affine
/// part.
#[derive(Clone, Debug)]
pub struct CurvatureMoments {
    network: Network,
    residual: PackedNetwork,
    n_rows: u64,
    /// Gram matrices with the weight 1 and then g_i g_j for i ≥ j, in the row order of the lower triangle.
    grams: WeightedGrams,
}

impl CurvatureMoments {
    /// Creates an empty accumulator for the normal matrix at `network`.
    ///
    /// # Errors
    /// The sums do not fit into memory.
    pub fn new(network: Network) -> Result<Self> {
        let k = network.n_neurons();
        let n_matrices = 1 + k * (k + 1) / 2;
        check_room(network.n_features, n_matrices)?;
        let grams = WeightedGrams::new(network.n_features, n_matrices, Precision::Double);
        Ok(Self { residual: PackedNetwork::new(&network), n_rows: 0, grams, network })
    }

    /// Mean of g_i g_j (x, 1)(x, 1)ᵀ, as a square matrix with k + 1 blocks of d + 1 rows; the affine part comes last.
    #[must_use]
    pub fn normal_matrix(&self) -> Vec<f64> {
        let (k, d) = (self.network.n_neurons(), self.network.n_features);
        let (block, size) = (d + 1, (k + 1) * (d + 1));
        let weight = self.grams.total(0);
        let mut out = vec![0.0; size * size];
        for i in 0..=k {
            for j in 0..=i {
                let at = match (i, j) {
                    (i, j) if i < k => 1 + i * (i + 1) / 2 + j,
                    (_, j) if j < k => 1 + j * (j + 1) / 2 + j,
                    _ => 0,
                };
                let (matrix, vector) = (self.grams.matrix(at), self.grams.vector(at));
                for a in 0..block {
                    for b in 0..block {
                        let value = match (a < d, b < d) {
                            (true, true) => matrix[a * d + b],
                            (true, false) => vector[a],
                            (false, true) => vector[b],
                            (false, false) => self.grams.total(at),
                        } / weight;
                        out[(i * block + a) * size + j * block + b] = value;
                        out[(j * block + b) * size + i * block + a] = value;
                    }
                }
            }
        }
        out
    }
}

impl Accumulator for CurvatureMoments {
    const KIND: u32 = 6;

    fn n_features(&self) -> usize {
        self.network.n_features
    }

    fn n_rows(&self) -> u64 {
        self.n_rows
    }

    fn needs_labels(&self) -> bool {
        false
    }

    fn n_outputs(&self) -> usize {
        0
    }

    fn empty(&self) -> Self {
        let grams = WeightedGrams::new(self.network.n_features, self.grams.n_weights(), Precision::Double);
        Self { network: self.network.clone(), residual: self.residual.clone(), n_rows: 0, grams }
    }

    fn n_bytes(&self) -> usize {
        self.grams.n_bytes()
    }

    fn same_configuration(&self, other: &Self) -> bool {
        self.network == other.network
    }

    fn update(&mut self, block: &Block<'_>, scratch: &mut Scratch) {
        let (n, k, n_panels) = (block.n_rows, self.network.n_neurons(), self.residual.n_panels());
        self.residual.project(block, scratch, Prefetch::default());
        self.n_rows += n as u64;
        let Scratch { lanes, weights, pack, prefetch, .. } = scratch;
        weights.clear();
        weights.extend((0..n).map(|p| row_weight(block, p)));
        let on = |p: usize, i: usize| lanes[p * n_panels + i / WIDTH].0[i % WIDTH] > 0.0;
        for i in 0..k {
            for j in 0..=i {
                weights.extend((0..n).map(|p| if on(p, i) && on(p, j) { row_weight(block, p) } else { 0.0 }));
            }
        }
        let rows = Rows::all(block.x, self.network.n_features).prefetching(std::mem::take(prefetch));
        self.grams.update(0, rows, weights, pack);
    }

    fn merge(&mut self, other: &Self) {
        self.n_rows += other.n_rows;
        self.grams.merge(&other.grams);
    }

    fn write(&self, writer: &mut Writer) {
        writer.network(Some(&self.network));
        writer.integer(self.n_rows);
        writer.floats(&self.grams.to_vec());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let network = reader.some_network()?;
        let k = network.n_neurons();
        reader.expect_grams(network.n_features, k.saturating_add(1).saturating_mul(k) / 2 + 1)?;
        let mut moments = Self::new(network)?;
        moments.n_rows = reader.n_rows()?;
        reader.grams_into(&mut moments.grams)?;
        Ok(moments)
    }
}

//! Risk of a network: the mean squared residual and the sums that its confidence interval needs.

use super::bytes::{Reader, Writer};
use super::residual::{PackedNetwork, row_weight};
use super::{Accumulator, Scratch};
use crate::block::Block;
use crate::error::Result;
use crate::network::Network;

/// Sums of w, w², w r², w² r⁴ and w² r², and the largest |r|, for the residuals r = y - f(x) of a network f.
#[derive(Clone, Debug)]
pub struct RiskMoments {
    network: Network,
    residual: PackedNetwork,
    n_rows: u64,
    sums: RiskSums,
}

/// Sums over residuals.
#[derive(Clone, Copy, Debug, Default)]
pub struct RiskSums {
    /// Σ w
    pub weight: f64,
    /// Σ w²
    pub weight2: f64,
    /// Σ w r²
    pub square: f64,
    /// Σ w² r²
    pub weight2_square: f64,
    /// Σ w² r⁴
    pub weight2_fourth: f64,
    /// max |r|
    pub largest: f64,
}

impl RiskSums {
    /// Adds one row; a row without weight counts for nothing, however large its residual.
    pub fn add(&mut self, w: f64, r: f64) {
        if w == 0.0 {
            return;
        }
        let square = r * r;
        self.weight += w;
        self.weight2 += w * w;
        self.square += w * square;
        self.weight2_square += w * w * square;
        self.weight2_fourth += w * w * square * square;
        self.largest = self.largest.max(r.abs());
    }

    /// Adds other rows.
    pub fn merge(&mut self, other: &Self) {
        self.weight += other.weight;
        self.weight2 += other.weight2;
        self.square += other.square;
        self.weight2_square += other.weight2_square;
        self.weight2_fourth += other.weight2_fourth;
        self.largest = self.largest.max(other.largest);
    }

    /// Mean squared residual, or NaN without rows.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.square / self.weight
    }

    /// Estimated variance of [`RiskSums::mean`], Σ w² (r² - mean)² / (Σ w)².
    #[must_use]
    pub fn variance(&self) -> f64 {
        let mean = self.mean();
        let spread = self.weight2_fourth - 2.0 * mean * self.weight2_square + mean * mean * self.weight2;
        spread.max(0.0) / (self.weight * self.weight)
    }

    pub(super) fn as_array(&self) -> [f64; 6] {
        [self.weight, self.weight2, self.square, self.weight2_square, self.weight2_fourth, self.largest]
    }

    pub(super) fn from_array([weight, weight2, square, weight2_square, weight2_fourth, largest]: [f64; 6]) -> Self {
        Self { weight, weight2, square, weight2_square, weight2_fourth, largest }
    }
}

impl RiskMoments {
    /// Creates an empty accumulator for the risk of `network`.
    #[must_use]
    pub fn new(network: Network) -> Self {
        Self { residual: PackedNetwork::new(&network), network, n_rows: 0, sums: RiskSums::default() }
    }

    /// The sums.
    #[must_use]
    pub fn sums(&self) -> &RiskSums {
        &self.sums
    }
}

impl Accumulator for RiskMoments {
    const KIND: u32 = 4;

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
        Self { n_rows: 0, sums: RiskSums::default(), ..self.clone() }
    }

    fn same_configuration(&self, other: &Self) -> bool {
        self.network == other.network
    }

    fn update(&mut self, block: &Block<'_>, scratch: &mut Scratch) {
        let prefetch = std::mem::take(&mut scratch.prefetch);
        self.residual.compute(block, scratch, prefetch);
        self.n_rows += block.n_rows as u64;
        for (p, &r) in scratch.labels.iter().enumerate() {
            self.sums.add(row_weight(block, p), r);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.n_rows += other.n_rows;
        self.sums.merge(&other.sums);
    }

    fn write(&self, writer: &mut Writer) {
        writer.network(Some(&self.network));
        writer.integer(self.n_rows);
        writer.floats(&self.sums.as_array());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut moments = Self::new(reader.some_network()?);
        moments.n_rows = reader.n_rows()?;
        let mut sums = [0.0; 6];
        reader.floats_into(&mut sums)?;
        moments.sums = RiskSums::from_array(sums);
        Ok(moments)
    }
}

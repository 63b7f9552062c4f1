//! Moments of the inputs slice by slice of the label: what a function of the label, not the label itself, reveals.

use super::bytes::{Reader, Writer};
use super::residual::{Residual, labels, row_weight};
use super::{Accumulator, Scratch, check_features, check_room};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::gram::WeightedGrams;
use crate::network::Network;

/// Per slice h of y, or of y - network(x): Σ w, Σ w x and Σ w x xᵀ over its rows. A row feeds one slice, so the cost is
/// that of one Gram matrix whatever the number of slices.
#[derive(Clone, Debug)]
pub struct SliceMoments {
    n_features: usize,
    /// Ascending: slice h holds the labels in [edges[h-1], edges[h]).
    edges: Vec<f64>,
    network: Option<Network>,
    residual: Option<Residual>,
    n_rows: u64,
    grams: WeightedGrams,
}

impl SliceMoments {
    /// Slices between `edges`, ascending; with `network`, slices of the residual.
    ///
    /// # Errors
    /// No columns, edges that do not ascend, a network of other inputs, sums that do not fit into memory.
    pub fn new(n_features: usize, edges: &[f64], network: Option<Network>) -> Result<Self> {
        check_features(n_features)?;
        if edges.iter().any(|v| v.is_nan()) || edges.windows(2).any(|w| w[0] >= w[1]) {
            return Err(Error::argument("edges", "expected strictly ascending numbers"));
        }
        if let Some(network) = network.as_ref().filter(|network| network.n_features != n_features) {
            return Err(Error::argument(
                "network",
                format!("expected {n_features} inputs, the network has {}", network.n_features),
            ));
        }
        check_room(n_features, edges.len() + 1)?;
        Ok(Self {
            n_features,
            edges: edges.to_vec(),
            residual: network.as_ref().map(Residual::new),
            network,
            n_rows: 0,
            grams: WeightedGrams::new(n_features, edges.len() + 1),
        })
    }

    /// Per slice: the sum of the weights, Σ w x and Σ w x xᵀ.
    #[must_use]
    pub fn grams(&self) -> &WeightedGrams {
        &self.grams
    }

    /// The edges between slices.
    #[must_use]
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }
}

impl Accumulator for SliceMoments {
    const KIND: u32 = 3;

    fn n_features(&self) -> usize {
        self.n_features
    }

    fn n_rows(&self) -> u64 {
        self.n_rows
    }

    fn needs_labels(&self) -> bool {
        true
    }

    fn empty(&self) -> Self {
        let grams = WeightedGrams::new(self.n_features, self.grams.n_weights());
        Self {
            n_features: self.n_features,
            edges: self.edges.clone(),
            network: self.network.clone(),
            residual: self.residual.clone(),
            n_rows: 0,
            grams,
        }
    }

    fn same_configuration(&self, other: &Self) -> bool {
        (self.n_features, &self.edges, &self.network) == (other.n_features, &other.edges, &other.network)
    }

    fn update(&mut self, block: &Block<'_>, scratch: &mut Scratch) {
        let d = self.n_features;
        labels(self.residual.as_ref(), block, scratch);
        self.n_rows += block.n_rows as u64;
        let Scratch { labels, order, rows, weights, pack, .. } = scratch;
        // Rows of a slice are gathered, in their order, so that each slice is one call of the kernel.
        let slice_of: Vec<usize> = labels.iter().map(|y| self.edges.partition_point(|edge| edge <= y)).collect();
        order.clear();
        order.extend(0..block.n_rows as u32);
        order.sort_by_key(|&p| slice_of[p as usize]);
        for group in order.chunk_by(|&a, &b| slice_of[a as usize] == slice_of[b as usize]) {
            rows.clear();
            weights.clear();
            for &p in group {
                let p = p as usize;
                rows.extend_from_slice(&block.x[p * d..(p + 1) * d]);
                weights.push(row_weight(block, p));
            }
            self.grams.update_from(slice_of[group[0] as usize], rows, weights, pack);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.n_rows += other.n_rows;
        self.grams.merge(&other.grams);
    }

    fn write(&self, writer: &mut Writer) {
        writer.integer(self.n_features as u64);
        writer.floats(&self.edges);
        writer.network(self.network.as_ref());
        writer.integer(self.n_rows);
        writer.floats(self.grams.as_slice());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut moments = Self::new(reader.size()?, &reader.floats()?, reader.network()?)?;
        moments.n_rows = reader.integer()?;
        reader.floats_into(moments.grams.as_mut_slice())?;
        Ok(moments)
    }
}

//! Moments of the inputs in slices of the label, which show directions that moments of the label itself may not show.

use super::bytes::{Reader, Writer};
use super::residual::{PackedNetwork, labels, row_weight};
use super::{Accumulator, Scratch, check_features, check_network, check_room};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::gram::{Precision, Rows, WeightedGrams};
use crate::network::Network;

/// Sums Σ w, Σ w x and Σ w x xᵀ over the rows of each slice of y, or of y - network(x).
///
/// Each row belongs to one slice, so that the cost is that of one Gram matrix for any number of slices.
#[derive(Clone, Debug)]
pub struct SliceMoments {
    n_features: usize,
    /// Increasing; slice h holds the labels in [edges[h-1], edges[h]).
    edges: Vec<f64>,
    precision: Precision,
    network: Option<Network>,
    residual: Option<PackedNetwork>,
    n_rows: u64,
    grams: WeightedGrams,
}

impl SliceMoments {
    /// Creates empty sums for the slices between `edges`; with `network`, the slices are those of the residual.
    ///
    /// # Errors
    /// There are no columns, edges are not strictly increasing, the network has another number of features, or the sums
    /// do not fit into memory.
    pub fn new(n_features: usize, edges: &[f64], network: Option<Network>, precision: Precision) -> Result<Self> {
        check_features(n_features)?;
        check_edges(edges)?;
        check_network(network.as_ref(), n_features)?;
        check_room(n_features, edges.len() + 1)?;
        Ok(Self {
            n_features,
            edges: edges.to_vec(),
            precision,
            residual: network.as_ref().map(PackedNetwork::new),
            network,
            n_rows: 0,
            grams: WeightedGrams::new(n_features, edges.len() + 1, precision),
        })
    }

    /// Σ w, Σ w x and Σ w x xᵀ of each slice.
    #[must_use]
    pub fn grams(&self) -> &WeightedGrams {
        &self.grams
    }

    /// Precision of the products.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The edges between slices.
    #[must_use]
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }
}

/// Checks the edges between slices.
pub fn check_edges(edges: &[f64]) -> Result<()> {
    if edges.iter().any(|v| v.is_nan()) || edges.windows(2).any(|w| w[0] >= w[1]) {
        return Err(Error::argument("edges", "expected strictly increasing numbers"));
    }
    Ok(())
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
        let grams = WeightedGrams::new(self.n_features, self.grams.n_weights(), self.precision);
        Self {
            n_features: self.n_features,
            edges: self.edges.clone(),
            precision: self.precision,
            network: self.network.clone(),
            residual: self.residual.clone(),
            n_rows: 0,
            grams,
        }
    }

    fn n_bytes(&self) -> usize {
        self.grams.n_bytes()
    }

    fn same_configuration(&self, other: &Self) -> bool {
        (self.n_features, &self.edges, self.precision, &self.network)
            == (other.n_features, &other.edges, other.precision, &other.network)
    }

    fn update(&mut self, block: &Block<'_>, scratch: &mut Scratch) {
        let d = self.n_features;
        labels(self.residual.as_ref(), block, scratch);
        self.n_rows += block.n_rows as u64;
        let Scratch { labels, order, starts, weights, pack, prefetch, .. } = scratch;
        // The rows of each slice are listed in order, so that each slice is one call of the kernel.
        let slice_of = |y: &f64| self.edges.partition_point(|edge| edge <= y);
        starts.clear();
        starts.resize(self.edges.len() + 2, 0);
        labels.iter().for_each(|y| starts[slice_of(y) + 1] += 1);
        for h in 1..starts.len() {
            starts[h] += starts[h - 1];
        }
        order.resize(block.n_rows, 0);
        for (p, y) in labels.iter().enumerate() {
            let place = &mut starts[slice_of(y)];
            order[*place] = p as u32;
            *place += 1;
        }
        weights.clear();
        weights.extend(order.iter().map(|&p| row_weight(block, p as usize)));
        // Every start has been advanced to the end of its slice.
        let mut start = 0;
        for (h, &end) in starts[..self.edges.len() + 1].iter().enumerate() {
            let (now, later) = prefetch.split((end - start) * d);
            let rows = Rows::chosen(block.x, d, &order[start..end]).prefetching(now);
            *prefetch = later;
            self.grams.update(h, rows, &weights[start..end], pack);
            start = end;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.n_rows += other.n_rows;
        self.grams.merge(&other.grams);
    }

    fn write(&self, writer: &mut Writer) {
        writer.integer(self.n_features as u64);
        writer.floats(&self.edges);
        writer.precision(self.precision);
        writer.network(self.network.as_ref());
        writer.integer(self.n_rows);
        writer.floats(&self.grams.to_vec());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut moments = {
            let (n_features, edges) = (reader.size()?, reader.floats()?);
            let (precision, network) = (reader.precision()?, reader.network()?);
            reader.expect_grams(n_features, edges.len() + 1)?;
            Self::new(n_features, &edges, network, precision)?
        };
        moments.n_rows = reader.n_rows()?;
        reader.grams_into(&mut moments.grams)?;
        Ok(moments)
    }
}

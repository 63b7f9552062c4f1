//! Products of second moments with s directions in O(N d s) operations, for too many features for d × d matrices.

use super::bytes::{Reader, Writer};
use super::residual::{PackedNetwork, labels, row_weight};
use super::slices::check_edges;
use super::{Accumulator, Scratch, check_features, check_network};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::memory;
use crate::network::Network;
use crate::simd::{WIDTH, ZERO};
use crate::skinny::{Directions, add_weighted_rows};

/// Sums Σ w ψ_n, Σ w ψ_n x and Σ w ψ_n (x·v_j) x for directions v_j and functions ψ_n of y, or of y - network(x), that
/// are constant on slices; and Σ w x_i², the scale of each input.
#[derive(Clone, Debug)]
pub struct SketchMoments {
    shape: Shape,
    projection: Directions,
    residual: Option<PackedNetwork>,
    n_rows: u64,
    /// Σ w ψ_n.
    weights: Vec<f64>,
    /// For each function Σ w ψ_n x, followed by Σ w ψ_n (x·v_j) x for each direction.
    vectors: Vec<f64>,
    squares: Vec<f64>,
}

/// Configuration of a sketch; sketches of equal configuration can be merged.
#[derive(Clone, Debug, PartialEq)]
struct Shape {
    n_features: usize,
    /// Row-major.
    directions: Vec<f64>,
    /// Increasing; slice h holds the labels in [edges[h-1], edges[h]).
    edges: Vec<f64>,
    /// The functions on slice h, row-major.
    values: Vec<f64>,
    network: Option<Network>,
}

impl Shape {
    fn n_directions(&self) -> usize {
        self.directions.len() / self.n_features
    }

    fn n_functions(&self) -> usize {
        self.values.len() / (self.edges.len() + 1)
    }
}

impl SketchMoments {
    /// Creates empty sums for row-major `directions` and for functions with row-major `values` on the slices between
    /// `edges`; with `network`, they are functions of the residual.
    ///
    /// # Errors
    /// There are no columns, edges are not strictly increasing, values or directions are incomplete or not finite, the
    /// network has another number of features, or the sums do not fit into memory.
    pub fn new(
        n_features: usize,
        directions: Vec<f64>,
        edges: Vec<f64>,
        values: Vec<f64>,
        network: Option<Network>,
    ) -> Result<Self> {
        check_features(n_features)?;
        check_edges(&edges)?;
        check_network(network.as_ref(), n_features)?;
        for (name, numbers, row) in
            [("directions", &directions, n_features), ("values", &values, edges.len().saturating_add(1))]
        {
            if numbers.len() % row != 0 || numbers.iter().any(|v| !v.is_finite()) {
                return Err(Error::argument(name, format!("expected rows of {row} finite numbers")));
            }
        }
        let residual = network.as_ref().map(PackedNetwork::new);
        let shape = Shape { n_features, directions, edges, values, network };
        let n_sums = shape.n_functions().checked_mul(shape.n_directions() + 1).and_then(|n| n.checked_mul(n_features));
        let n_sums = n_sums.ok_or_else(|| Error::argument("directions", "their sums do not fit into any memory"))?;
        let vectors = memory::filled(0.0, n_sums)?;
        let squares = memory::filled(0.0, n_features)?;
        Ok(Self {
            projection: Directions::new(&shape.directions, &vec![0.0; shape.n_directions()], n_features),
            residual,
            n_rows: 0,
            weights: vec![0.0; shape.n_functions()],
            vectors,
            squares,
            shape,
        })
    }

    /// Number of directions.
    #[must_use]
    pub fn n_directions(&self) -> usize {
        self.shape.n_directions()
    }

    /// Σ w ψ_n of each function.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// For each function Σ w ψ_n x, followed by Σ w ψ_n (x·v_j) x for each direction, in rows of `n_features` values.
    #[must_use]
    pub fn vectors(&self) -> &[f64] {
        &self.vectors
    }

    /// Σ w x_i² of each input.
    #[must_use]
    pub fn squares(&self) -> &[f64] {
        &self.squares
    }
}

impl Accumulator for SketchMoments {
    const KIND: u32 = 8;

    fn n_features(&self) -> usize {
        self.shape.n_features
    }

    fn n_rows(&self) -> u64 {
        self.n_rows
    }

    fn needs_labels(&self) -> bool {
        true
    }

    fn empty(&self) -> Self {
        Self {
            shape: self.shape.clone(),
            projection: self.projection.clone(),
            residual: self.residual.clone(),
            n_rows: 0,
            weights: vec![0.0; self.weights.len()],
            vectors: vec![0.0; self.vectors.len()],
            squares: vec![0.0; self.squares.len()],
        }
    }

    fn n_bytes(&self) -> usize {
        size_of_val(&*self.vectors)
    }

    fn same_configuration(&self, other: &Self) -> bool {
        self.shape == other.shape
    }

    fn update(&mut self, block: &Block<'_>, scratch: &mut Scratch) {
        let (d, n_functions) = (self.shape.n_features, self.weights.len());
        self.n_rows += block.n_rows as u64;
        labels(self.residual.as_ref(), block, scratch);
        let prefetch = std::mem::take(&mut scratch.prefetch);
        if !self.projection.is_empty() {
            self.projection.project(block.x, block.n_rows, &mut scratch.lanes, prefetch);
        }
        // The weight of a row is ψ_n in the first sum of a function and ψ_n (x·v_j) in those of the directions.
        let (n_panels, n_sums) = (self.projection.n_panels(), self.projection.len() + 1);
        let row_lanes = (n_functions * n_sums).div_ceil(WIDTH);
        let mut factors = vec![ZERO; block.n_rows * row_lanes];
        for (p, (row, &y)) in block.x.chunks_exact(d).zip(&scratch.labels).enumerate() {
            let w = row_weight(block, p);
            self.squares.iter_mut().zip(row).for_each(|(sum, v)| *sum += w * v * v);
            let h = self.shape.edges.partition_point(|edge| *edge <= y);
            for n in 0..n_functions {
                let value = w * self.shape.values[h * n_functions + n];
                self.weights[n] += value;
                for i in 0..n_sums {
                    let at = n * n_sums + i;
                    let projection = i.checked_sub(1).map(|j| scratch.lanes[p * n_panels + j / WIDTH].0[j % WIDTH]);
                    factors[p * row_lanes + at / WIDTH].0[at % WIDTH] = value * projection.unwrap_or(1.0);
                }
            }
        }
        add_weighted_rows(block.x, d, &factors, n_functions * n_sums, &mut self.vectors);
    }

    fn merge(&mut self, other: &Self) {
        self.n_rows += other.n_rows;
        let sums = [&mut self.weights, &mut self.vectors, &mut self.squares];
        for (sums, others) in sums.into_iter().zip([&other.weights, &other.vectors, &other.squares]) {
            sums.iter_mut().zip(others).for_each(|(a, b)| *a += b);
        }
    }

    fn write(&self, writer: &mut Writer) {
        writer.integer(self.shape.n_features as u64);
        writer.floats(&self.shape.directions);
        writer.floats(&self.shape.edges);
        writer.floats(&self.shape.values);
        writer.network(self.shape.network.as_ref());
        writer.integer(self.n_rows);
        writer.floats(&self.weights);
        writer.floats(&self.vectors);
        writer.floats(&self.squares);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut moments = {
            let n_features = reader.size()?;
            let (directions, edges, values) = (reader.floats()?, reader.floats()?, reader.floats()?);
            let network = reader.network()?;
            let n_directions = directions.len().checked_div(n_features).unwrap_or_default();
            let n_functions = values.len() / (edges.len() + 1);
            let n_sums = n_functions.checked_mul(n_directions + 1).and_then(|n| n.checked_mul(n_features));
            reader.expect(n_sums.and_then(|n| n.checked_add(n_features)))?;
            Self::new(n_features, directions, edges, values, network)?
        };
        moments.n_rows = reader.n_rows()?;
        reader.floats_into(&mut moments.weights)?;
        reader.floats_into(&mut moments.vectors)?;
        reader.floats_into(&mut moments.squares)?;
        Ok(moments)
    }
}

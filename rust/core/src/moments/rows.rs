//! Rows chosen by a hash of their content: the same rows whatever their order, their source or the split into parts.

use super::bytes::{Reader, Writer, damaged};
use super::residual::row_weight;
use super::{Accumulator, Scratch, check_features};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::gram::Ahead;
use crate::skinny::Directions;

/// The rows whose hash lies at or below a threshold; with the threshold q 2⁶⁴ a fraction q of all rows.
///
/// Of inputs that are too many to keep, projections are kept: the same rows, whatever the directions.
#[derive(Clone, Debug)]
pub struct RowSample {
    n_features: usize,
    threshold: u64,
    seed: u64,
    /// Row-major.
    directions: Option<Vec<f64>>,
    projection: Option<Directions>,
    n_rows: u64,
    hashes: Vec<u64>,
    /// Inputs or projections, label (zero where rows have none) and weight of the chosen rows.
    rows: Vec<f64>,
}

/// Chosen rows, ordered by hash and content.
#[derive(Clone, Debug)]
pub struct ChosenRows {
    /// Hashes, ascending.
    pub hashes: Vec<u64>,
    /// Inputs, or their projections, row-major.
    pub x: Vec<f64>,
    /// Labels.
    pub y: Vec<f64>,
    /// Row weights.
    pub weight: Vec<f64>,
}

impl RowSample {
    /// Rows whose hash is at most `threshold`; with `directions`, row-major, their projections x·v_j.
    ///
    /// # Errors
    /// No columns, directions that do not fill their rows.
    pub fn new(n_features: usize, threshold: u64, seed: u64, directions: Option<Vec<f64>>) -> Result<Self> {
        check_features(n_features)?;
        if directions.as_ref().is_some_and(|directions| directions.len() % n_features != 0) {
            return Err(Error::argument("directions", format!("expected rows of {n_features} numbers")));
        }
        let offsets = |directions: &Vec<f64>| vec![0.0; directions.len() / n_features];
        let projection = directions.as_ref().map(|rows| Directions::new(rows, &offsets(rows), n_features));
        Ok(Self {
            n_features,
            threshold,
            seed,
            directions,
            projection,
            n_rows: 0,
            hashes: Vec::new(),
            rows: Vec::new(),
        })
    }

    /// Numbers kept of the inputs of a row.
    #[must_use]
    pub fn n_columns(&self) -> usize {
        self.projection.as_ref().map_or(self.n_features, Directions::len)
    }

    /// The chosen rows.
    #[must_use]
    pub fn chosen(&self) -> ChosenRows {
        let d = self.n_columns();
        let row = |i: usize| &self.rows[i * (d + 2)..(i + 1) * (d + 2)];
        let mut order: Vec<usize> = (0..self.hashes.len()).collect();
        // Rows of equal hash are, but for an accident, equal; comparing them makes the order certain.
        let content = |i: usize| row(i).iter().map(|v| v.to_bits());
        order.sort_by(|&a, &b| self.hashes[a].cmp(&self.hashes[b]).then_with(|| content(a).cmp(content(b))));
        let mut x = Vec::with_capacity(order.len() * d);
        order.iter().for_each(|&i| x.extend_from_slice(&row(i)[..d]));
        ChosenRows {
            hashes: order.iter().map(|&i| self.hashes[i]).collect(),
            x,
            y: order.iter().map(|&i| row(i)[d]).collect(),
            weight: order.iter().map(|&i| row(i)[d + 1]).collect(),
        }
    }
}

/// Hash of a row: every word is mixed in by a multiplication in one of four chains, so that they overlap.
fn hash(seed: u64, x: &[f64], y: f64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut chains = [seed, seed ^ ODD, seed.rotate_left(32), !seed];
    for (i, v) in x.iter().chain([&y]).enumerate() {
        // Adding zero makes -0 the same as 0.
        let chain = &mut chains[i % 4];
        *chain = (*chain ^ (v + 0.0).to_bits()).wrapping_mul(ODD);
        *chain ^= *chain >> 32;
    }
    chains.into_iter().fold(x.len() as u64, |sum, chain| {
        let mixed = (sum ^ chain).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed ^ (mixed >> 32)
    })
}

impl Accumulator for RowSample {
    const KIND: u32 = 7;

    fn n_features(&self) -> usize {
        self.n_features
    }

    fn n_rows(&self) -> u64 {
        self.n_rows
    }

    fn needs_labels(&self) -> bool {
        false
    }

    fn empty(&self) -> Self {
        let (directions, projection) = (self.directions.clone(), self.projection.clone());
        Self { directions, projection, n_rows: 0, hashes: Vec::new(), rows: Vec::new(), ..*self }
    }

    fn same_configuration(&self, other: &Self) -> bool {
        (self.n_features, self.threshold, self.seed, &self.directions)
            == (other.n_features, other.threshold, other.seed, &other.directions)
    }

    fn update(&mut self, block: &Block<'_>, scratch: &mut Scratch) {
        self.n_rows += block.n_rows as u64;
        for (p, row) in block.x.chunks_exact(self.n_features).enumerate() {
            let y = block.y.get(p).copied().unwrap_or(0.0);
            let hash = hash(self.seed, row, y);
            if hash <= self.threshold {
                self.hashes.push(hash);
                match &self.projection {
                    None => self.rows.extend_from_slice(row),
                    Some(projection) if projection.is_empty() => {}
                    Some(projection) => {
                        projection.project(row, 1, &mut scratch.lanes, Ahead::default());
                        let projected = scratch.lanes.iter().flat_map(|lane| lane.0);
                        self.rows.extend(projected.take(projection.len()));
                    }
                }
                self.rows.extend([y, row_weight(block, p)]);
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.n_rows += other.n_rows;
        self.hashes.extend(&other.hashes);
        self.rows.extend(&other.rows);
    }

    fn write(&self, writer: &mut Writer) {
        writer.integer(self.n_features as u64);
        writer.integer(self.threshold);
        writer.integer(self.seed);
        writer.integer(u64::from(self.directions.is_some()));
        writer.floats(self.directions.as_deref().unwrap_or_default());
        writer.integer(self.n_rows);
        writer.integers(&self.hashes);
        writer.floats(&self.rows);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let (n_features, threshold, seed) = (reader.size()?, reader.integer()?, reader.integer()?);
        let (is_projected, directions) = (reader.integer()? != 0, reader.floats()?);
        let mut moments = Self::new(n_features, threshold, seed, is_projected.then_some(directions))?;
        moments.n_rows = reader.integer()?;
        moments.hashes = reader.integers()?;
        moments.rows = reader.floats()?;
        let size = moments.n_columns().checked_add(2).and_then(|columns| columns.checked_mul(moments.hashes.len()));
        if size != Some(moments.rows.len()) {
            return Err(damaged("damaged: sizes do not fit"));
        }
        Ok(moments)
    }
}

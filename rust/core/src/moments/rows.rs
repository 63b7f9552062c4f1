//! Samples of rows chosen by a hash of their content, independently of their order, source and split into parts.

use std::collections::HashMap;
use std::sync::Arc;

use super::bytes::{Reader, Writer, damaged};
use super::residual::row_weight;
use super::{Accumulator, Scratch, check_features, check_outputs};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::gram::Prefetch;
use crate::simd::Element;
use crate::skinny::Directions;

/// The rows whose hash is at most a threshold; the threshold q 2⁶⁴ keeps about a share q of all rows.
///
/// If the inputs are too large to store, their projections can be stored instead; the choice of rows does not depend on
/// the directions. Equal rows of a block are stored as one row with the sum of their weights, so that few distinct rows
/// take little memory however often they are repeated.
#[derive(Clone, Debug)]
pub struct RowSample {
    n_features: usize,
    n_outputs: usize,
    threshold: u64,
    seed: u64,
    /// Row-major.
    directions: Option<Vec<f64>>,
    projection: Option<Directions>,
    n_rows: u64,
    /// Parts are shared with the samples that were merged, so that rows are copied only once.
    parts: Vec<Arc<Part>>,
}

/// Some of the chosen rows.
#[derive(Clone, Debug, Default)]
struct Part {
    hashes: Vec<u64>,
    /// Inputs or projections, labels (zero where rows have none) and weight.
    rows: Vec<f64>,
}

/// Size of a part in numbers; a part holds as many rows as fit, but at least one.
const PART: usize = 1 << 16;

/// Chosen rows, ordered by hash and content.
#[derive(Clone, Debug)]
pub struct ChosenRows {
    /// Hashes in ascending order, with those of held-out rows last.
    pub hashes: Vec<u64>,
    /// Inputs, or their projections, row-major.
    pub x: Vec<f64>,
    /// Labels, row-major.
    pub y: Vec<f64>,
    /// Row weights.
    pub weight: Vec<f64>,
}

impl RowSample {
    /// Creates an empty sample of the rows whose hash is at most `threshold`.
    ///
    /// With row-major `directions` v_j, the projections x·v_j are stored instead of the inputs.
    ///
    /// # Errors
    /// There are no columns, or directions are incomplete or not finite.
    pub fn new(
        n_features: usize,
        n_outputs: usize,
        threshold: u64,
        seed: u64,
        directions: Option<Vec<f64>>,
    ) -> Result<Self> {
        check_features(n_features)?;
        check_outputs(n_outputs)?;
        if directions.as_ref().is_some_and(|v| v.len() % n_features != 0 || v.iter().any(|v| !v.is_finite())) {
            return Err(Error::argument("directions", format!("expected rows of {n_features} finite numbers")));
        }
        let offsets = |directions: &Vec<f64>| vec![0.0; directions.len() / n_features];
        let projection = directions.as_ref().map(|rows| Directions::new(rows, &offsets(rows), n_features));
        Ok(Self { n_features, n_outputs, threshold, seed, directions, projection, n_rows: 0, parts: Vec::new() })
    }

    /// Number of stored inputs or projections per row.
    #[must_use]
    pub fn n_columns(&self) -> usize {
        self.projection.as_ref().map_or(self.n_features, Directions::len)
    }

    /// Returns the chosen rows; if `held_out` is m > 0, about one in m of them, chosen by hash, comes after the others.
    #[must_use]
    pub fn chosen(&self, held_out: u64) -> ChosenRows {
        let (d, m) = (self.n_columns(), self.n_outputs);
        // The low bits of a hash are independent of the comparison with the threshold, which depends on the high bits.
        let is_held_out = |hash: u64| (hash >> 3).checked_rem(held_out) == Some(0);
        let mut order: Vec<(bool, u64, &[f64])> = (self.parts.iter())
            .flat_map(|part| part.hashes.iter().zip(part.rows.chunks_exact(d + m + 1)))
            .map(|(&hash, row)| (is_held_out(hash), hash, row))
            .collect();
        // Rows of equal hash are equal except by accident; comparing their content makes the order unique.
        let bits = |row: &[f64]| row.iter().map(|v| v.to_bits()).collect::<Vec<u64>>();
        order.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| bits(a.2).cmp(&bits(b.2))));
        let mut chosen = ChosenRows { hashes: Vec::new(), x: Vec::new(), y: Vec::new(), weight: Vec::new() };
        chosen.x.reserve(order.len() * d);
        let mut last: Option<&(bool, u64, &[f64])> = None;
        for row in &order {
            // Equal rows of different blocks or parts become one row, so that the rows do not depend on the grouping.
            let is_repeated = last.is_some_and(|last| last.1 == row.1 && last.2[..d + m] == row.2[..d + m]);
            match chosen.weight.last_mut().filter(|_| is_repeated) {
                Some(weight) => *weight += row.2[d + m],
                None => {
                    chosen.hashes.push(row.1);
                    chosen.x.extend_from_slice(&row.2[..d]);
                    chosen.y.extend_from_slice(&row.2[d..d + m]);
                    chosen.weight.push(row.2[d + m]);
                }
            }
            last = Some(row);
        }
        chosen
    }

    /// Returns a part with room for another row.
    fn open_part(&mut self) -> Option<&mut Part> {
        let size = self.n_columns() + self.n_outputs + 1;
        let open = |part: &mut Arc<Part>| {
            Arc::get_mut(part).is_some_and(|part| part.rows.len() + size <= part.rows.capacity())
        };
        if !self.parts.last_mut().is_some_and(open) {
            let rows = Vec::with_capacity(PART.max(size));
            self.parts.push(Arc::new(Part { hashes: Vec::new(), rows }));
        }
        self.parts.last_mut().and_then(Arc::get_mut)
    }
}

/// Hashes a row; words are mixed in by multiplications in four independent chains, which the processor overlaps.
fn hash(seed: u64, x: &[f64], y: &[f64]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut chains = [seed, seed ^ ODD, seed.rotate_left(32), !seed];
    for (i, v) in x.iter().chain(y).enumerate() {
        // Adding zero maps -0 to 0.
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

    fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    fn empty(&self) -> Self {
        let (directions, projection) = (self.directions.clone(), self.projection.clone());
        Self { directions, projection, n_rows: 0, parts: Vec::new(), ..*self }
    }

    fn same_configuration(&self, other: &Self) -> bool {
        (self.n_features, self.n_outputs, self.threshold, self.seed, &self.directions)
            == (other.n_features, other.n_outputs, other.threshold, other.seed, &other.directions)
    }

    fn update(&mut self, block: &Block<'_>, scratch: &mut Scratch) {
        self.n_rows += block.n_rows as u64;
        let (m, none) = (self.n_outputs, vec![0.0; self.n_outputs]);
        let label = |p: usize| block.y.get(p * m..(p + 1) * m).unwrap_or(&none);
        let rows = block.x.chunks_exact(self.n_features).enumerate();
        let hashes = rows.map(|(p, row)| (p, hash(self.seed, row, label(p))));
        let chosen: Vec<(usize, u64)> = hashes.filter(|(_, hash)| *hash <= self.threshold).collect();
        let of = |p: usize| &block.x[p * self.n_features..][..self.n_features];
        let width = self.projection.as_ref().map_or(0, Directions::n_panels);
        if let Some(projection) = &self.projection {
            let rows: Vec<f64> = chosen.iter().flat_map(|(p, _)| of(*p)).copied().collect();
            projection.project(&rows, chosen.len(), &mut scratch.lanes, Prefetch::default());
        }
        let (n_columns, is_projected) = (self.n_columns(), self.projection.is_some());
        // Where the first of equal rows stands among the chosen: the others add their weight to it.
        let mut first: HashMap<u64, usize> = HashMap::with_capacity(chosen.len());
        let mut weights: Vec<f64> = chosen.iter().map(|(p, _)| row_weight(block, *p)).collect();
        let mut is_copy = vec![false; chosen.len()];
        for (i, &(p, hash)) in chosen.iter().enumerate() {
            let at = *first.entry(hash).or_insert(i);
            is_copy[i] = at != i && of(chosen[at].0) == of(p) && label(chosen[at].0) == label(p);
            if is_copy[i] {
                weights[at] += weights[i];
            }
        }
        for (i, &(p, hash)) in chosen.iter().enumerate().filter(|(i, _)| !is_copy[*i]) {
            let Some(part) = self.open_part() else { return };
            part.hashes.push(hash);
            if is_projected {
                part.rows.extend_from_slice(&f64::flat(&scratch.lanes[i * width..(i + 1) * width])[..n_columns]);
            } else {
                part.rows.extend_from_slice(&block.x[p * n_columns..][..n_columns]);
            }
            part.rows.extend_from_slice(label(p));
            part.rows.push(weights[i]);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.n_rows += other.n_rows;
        self.parts.extend(other.parts.iter().cloned());
    }

    fn write(&self, writer: &mut Writer) {
        writer.integer(self.n_features as u64);
        writer.integer(self.n_outputs as u64);
        writer.integer(self.threshold);
        writer.integer(self.seed);
        writer.integer(u64::from(self.directions.is_some()));
        writer.floats(self.directions.as_deref().unwrap_or_default());
        writer.integer(self.n_rows);
        // In the order and form of the chosen rows, so that the bytes do not depend on the grouping either.
        let (d, m, chosen) = (self.n_columns(), self.n_outputs, self.chosen(0));
        writer.integers(&chosen.hashes);
        let mut rows = Vec::with_capacity(chosen.hashes.len() * (d + m + 1));
        for (i, &w) in chosen.weight.iter().enumerate() {
            rows.extend_from_slice(&chosen.x[i * d..(i + 1) * d]);
            rows.extend_from_slice(&chosen.y[i * m..(i + 1) * m]);
            rows.push(w);
        }
        writer.floats(&rows);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let (n_features, n_outputs) = (reader.size()?, reader.size()?);
        let (threshold, seed) = (reader.integer()?, reader.integer()?);
        let (is_projected, directions) = (reader.integer()? != 0, reader.floats()?);
        let mut moments = Self::new(n_features, n_outputs, threshold, seed, is_projected.then_some(directions))?;
        moments.n_rows = reader.n_rows()?;
        let part = Part { hashes: reader.integers()?, rows: reader.floats()? };
        let is_chosen = |hash: &u64| *hash <= threshold;
        if !part.hashes.iter().all(is_chosen) || part.hashes.len() as u64 > moments.n_rows {
            return Err(damaged("damaged: rows that the threshold does not choose"));
        }
        let columns = moments.n_columns().checked_add(n_outputs).and_then(|columns| columns.checked_add(1));
        let size = columns.and_then(|columns| columns.checked_mul(part.hashes.len()));
        if size != Some(part.rows.len()) {
            return Err(damaged("damaged: sizes do not fit"));
        }
        moments.parts.push(Arc::new(part));
        Ok(moments)
    }
}

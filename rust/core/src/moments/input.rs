//! Mean and covariance of inputs and labels, merged by the method of Chan, Golub and LeVeque without cancellation.

use super::bytes::{Reader, Writer};
use super::residual::row_weight;
use super::{Accumulator, Scratch, check_features, check_outputs, check_room};
use crate::block::Block;
use crate::error::Result;
use crate::gram::{Precision, Rows, WeightedGrams};
use crate::simd::ZERO;
use crate::skinny::add_weighted_rows;

/// Weighted mean and centred second moments of the columns (x, y), where labels y are 0 for rows without them.
#[derive(Clone, Debug)]
pub struct InputMoments {
    n_features: usize,
    n_outputs: usize,
    n_rows: u64,
    weight: f64,
    mean: Vec<f64>,
    /// Σ w (c - mean)(c - mean)ᵀ for c = (x, y), a full square matrix.
    scatter: Vec<f64>,
}

impl InputMoments {
    /// Creates an empty accumulator for `n_features` columns and `n_outputs` labels.
    ///
    /// # Errors
    /// There are no columns, or the sums do not fit into memory.
    pub fn new(n_features: usize, n_outputs: usize) -> Result<Self> {
        check_features(n_features)?;
        check_outputs(n_outputs)?;
        check_room(n_features.saturating_add(n_outputs - 1), 1)?;
        Ok(Self::sized(n_features, n_outputs))
    }

    fn sized(n_features: usize, n_outputs: usize) -> Self {
        let c = n_features + n_outputs;
        Self { n_features, n_outputs, n_rows: 0, weight: 0.0, mean: vec![0.0; c], scatter: vec![0.0; c * c] }
    }

    /// Sum of the row weights.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Mean of the columns, with the labels last.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Covariance of the columns, with the labels last: the scatter divided by the sum of the weights.
    #[must_use]
    pub fn covariance(&self) -> Vec<f64> {
        self.scatter.iter().map(|v| if self.weight > 0.0 { v / self.weight } else { 0.0 }).collect()
    }

    /// Merges the mean and scatter of rows of total weight `weight`.
    fn add(&mut self, weight: f64, mean: &[f64], scatter: impl Fn(usize) -> f64) {
        let total = self.weight + weight;
        if total == 0.0 {
            return;
        }
        let shift: Vec<f64> = mean.iter().zip(&self.mean).map(|(b, a)| b - a).collect();
        let between = self.weight / total * weight;
        let c = shift.len();
        for i in 0..c {
            for j in 0..c {
                self.scatter[i * c + j] += scatter(i * c + j) + between * shift[i] * shift[j];
            }
        }
        for (a, s) in self.mean.iter_mut().zip(&shift) {
            *a += s * (weight / total);
        }
        self.weight = total;
    }
}

impl Accumulator for InputMoments {
    const KIND: u32 = 1;

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
        Self::sized(self.n_features, self.n_outputs)
    }

    fn n_bytes(&self) -> usize {
        // an update makes two more such squares
        3 * size_of_val(&*self.scatter)
    }

    fn same_configuration(&self, other: &Self) -> bool {
        (self.n_features, self.n_outputs) == (other.n_features, other.n_outputs)
    }

    fn update(&mut self, block: &Block<'_>, scratch: &mut Scratch) {
        let (d, m) = (self.n_features, self.n_outputs);
        let c = d + m;
        self.n_rows += block.n_rows as u64;
        let weight: f64 = (0..block.n_rows).map(|p| row_weight(block, p)).sum();
        if weight == 0.0 {
            return;
        }
        let label = |p: usize, j: usize| block.y.get(p * m + j).copied().unwrap_or(0.0);
        let Scratch { lanes, rows, weights, pack, prefetch, .. } = scratch;
        weights.clear();
        weights.extend((0..block.n_rows).map(|p| row_weight(block, p)));
        lanes.resize(block.n_rows, ZERO);
        lanes.iter_mut().zip(&*weights).for_each(|(lane, w)| lane.0[0] = *w);
        let mut mean = vec![0.0; c];
        add_weighted_rows(block.x, d, lanes, 1, &mut mean[..d]);
        for j in 0..m {
            mean[d + j] = weights.iter().enumerate().map(|(p, w)| w * label(p, j)).sum();
        }
        mean.iter_mut().for_each(|m| *m /= weight);
        rows.resize(block.x.len(), 0.0);
        for (to, from) in rows.chunks_exact_mut(d).zip(block.x.chunks_exact(d)) {
            to.iter_mut().zip(from).zip(&mean).for_each(|((to, v), m)| *to = v - m);
        }
        let mut gram = WeightedGrams::new(d, 1, Precision::Double);
        gram.update(0, Rows::all(rows, d).prefetching(std::mem::take(prefetch)), weights, pack);
        let mut scatter = vec![0.0; c * c];
        for (to, from) in scatter.chunks_exact_mut(c).zip(gram.matrix(0).chunks_exact(d)) {
            to[..d].copy_from_slice(from);
        }
        // The row of each label: Σ w (y - mean)(x - mean), Σ w (y - mean)(y' - mean') for labels y' up to y; and the
        // rest Σ w (y - mean).
        let mut label_rests = vec![0.0; m];
        for o in 0..m {
            let mut label_row = vec![0.0; c];
            for (p, (lane, w)) in lanes.iter_mut().zip(&*weights).enumerate() {
                let centred = label(p, o) - mean[d + o];
                lane.0[0] = w * centred;
                label_rests[o] += w * centred;
                for j in 0..=o {
                    label_row[d + j] += w * centred * (label(p, j) - mean[d + j]);
                }
            }
            add_weighted_rows(rows, d, lanes, 1, &mut label_row[..d]);
            for (j, &value) in label_row[..=d + o].iter().enumerate() {
                (scatter[(d + o) * c + j], scatter[j * c + d + o]) = (value, value);
            }
        }
        // The mean of the block is rounded, so that its centred rows sum to nearly but not exactly zero.
        let rest: Vec<f64> = gram.vector(0).iter().chain(&label_rests).map(|v| v / weight).collect();
        mean.iter_mut().zip(&rest).for_each(|(m, r)| *m += r);
        self.add(weight, &mean, |at| scatter[at] - weight * rest[at / c] * rest[at % c]);
    }

    fn merge(&mut self, other: &Self) {
        self.n_rows += other.n_rows;
        self.add(other.weight, &other.mean, |at| other.scatter[at]);
    }

    fn write(&self, writer: &mut Writer) {
        writer.integer(self.n_features as u64);
        writer.integer(self.n_outputs as u64);
        writer.integer(self.n_rows);
        writer.float(self.weight);
        writer.floats(&self.mean);
        writer.floats(&self.scatter);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let (n_features, n_outputs) = (reader.size()?, reader.size()?);
        let columns = n_features.checked_add(n_outputs);
        reader.expect(columns.and_then(|c| c.checked_mul(c)?.checked_add(c)))?;
        let mut moments = Self::new(n_features, n_outputs)?;
        moments.n_rows = reader.n_rows()?;
        moments.weight = reader.float()?;
        reader.floats_into(&mut moments.mean)?;
        reader.floats_into(&mut moments.scatter)?;
        Ok(moments)
    }
}

//! Weighted Gram matrices: Xᵀ diag(w_c) X, Xᵀ w_c and the sum of w_c for rows X and several columns of weights w_c.
//!
//! All sums of products x xᵀ in this crate are computed here. Rows are packed once, chunk by chunk, into panels whose
//! rows are one cache line. For each weight a panel is scaled once and multiplied with the panels to its left in tiles
//! of sums that stay in registers. Products of a panel with itself are computed from its rotations, each pair of
//! columns once, so that hardly more than the lower triangle is computed. The sums are stored tile by tile, in the
//! order in which the kernel adds to them, and are converted to square matrices only on request.

mod kernel;
mod layout;
mod rows;

use crate::simd::{Element, Lane, WIDTH, ZERO};
use kernel::{Buffers, Chunk, add};
use layout::Layout;
pub use rows::{Prefetch, Rows};

/// Number of rows per chunk: small enough that two panels and a scaled one fit into the first-level cache, and that
/// sums in single precision are short.
const CHUNK: usize = 128;

/// Precision in which products are computed; sums are always stored in double precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Double precision throughout.
    #[default]
    Double,
    /// Products and their sums over at most 128 rows in single precision, which is up to 1.8 times as fast.
    ///
    /// An entry of a sum over n rows has an error of at most 133 · 2⁻²⁴ Σ |w x_i x_j| + n 2⁻⁸⁸, in addition to the
    /// rounding of doubles. Chunks with entries or weights beyond 2³⁰, or with a column of weights without a value
    /// above 2⁻³⁰, are computed in double precision.
    Mixed,
}

/// Buffers of one worker for packed panels.
#[derive(Clone, Debug, Default)]
pub struct Pack {
    double: Buffers<f64>,
    single: Buffers<f32>,
}

/// Sums over rows of w, w x and w x xᵀ, for several weights w at once.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedGrams {
    n_features: usize,
    n_weights: usize,
    precision: Precision,
    totals: Vec<f64>,
    /// Sums of each weight in turn, laid out as described by [`Layout`].
    lanes: Vec<Lane>,
}

impl WeightedGrams {
    /// Empty sums.
    #[must_use]
    pub fn new(n_features: usize, n_weights: usize, precision: Precision) -> Self {
        let stride = Layout::new(n_features, precision).len();
        Self { n_features, n_weights, precision, totals: vec![0.0; n_weights], lanes: vec![ZERO; n_weights * stride] }
    }

    /// Bytes of the sums.
    pub(crate) fn n_bytes(&self) -> usize {
        size_of_val(&*self.lanes)
    }

    /// Number of features.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Number of weight columns.
    #[must_use]
    pub fn n_weights(&self) -> usize {
        self.n_weights
    }

    fn layout(&self) -> Layout {
        Layout::new(self.n_features, self.precision)
    }

    /// The sums of weight `c`, without the total of the weight.
    fn sums(&self, c: usize) -> &[f64] {
        let stride = self.layout().len();
        f64::flat(&self.lanes[c * stride..][..stride])
    }

    /// The sum of weight `c`.
    #[must_use]
    pub fn total(&self, c: usize) -> f64 {
        self.totals[c]
    }

    /// Xᵀ w_c.
    #[must_use]
    pub fn vector(&self, c: usize) -> &[f64] {
        &self.sums(c)[..self.n_features]
    }

    /// Xᵀ diag(w_c) X, row-major, both triangles.
    #[must_use]
    pub fn matrix(&self, c: usize) -> Vec<f64> {
        let (d, layout, sums) = (self.n_features, self.layout(), self.sums(c));
        let mut out = vec![0.0; d * d];
        for a in 0..d {
            for b in a - a % layout.width..=a {
                let value = sums[layout.entry(a, b)];
                (out[a * d + b], out[b * d + a]) = (value, value);
            }
        }
        for i in 1..layout.n_panels {
            // The loop goes block by block, so that the transposed half is written in parts of cache lines.
            for (block, j) in sums[layout.block(i, 0) * WIDTH..].chunks_exact(layout.width * layout.width).zip(0..i) {
                let columns = j * layout.width;
                for (line, a) in block.chunks_exact(layout.width).zip(i * layout.width..d) {
                    out[a * d + columns..][..layout.width].copy_from_slice(line);
                    line.iter().enumerate().for_each(|(l, &value)| out[(columns + l) * d + a] = value);
                }
            }
        }
        out
    }

    /// Returns all sums in an order that does not depend on the kernel: for each weight the total, the vector and the
    /// rows of the lower triangle.
    #[must_use]
    pub fn to_vec(&self) -> Vec<f64> {
        let (d, layout) = (self.n_features, self.layout());
        let mut out = Vec::with_capacity(self.n_weights * (1 + d + d * (d + 1) / 2));
        for c in 0..self.n_weights {
            let sums = self.sums(c);
            out.push(self.totals[c]);
            out.extend_from_slice(self.vector(c));
            out.extend((0..d).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|(i, j)| sums[layout.entry(i, j)]));
        }
        out
    }

    /// Replaces all sums by a result of [`WeightedGrams::to_vec`]; returns false if the number of sums differs.
    #[must_use]
    pub fn set(&mut self, values: &[f64]) -> bool {
        let (d, layout) = (self.n_features, self.layout());
        let size = 1 + d + d * (d + 1) / 2;
        if values.len() != self.n_weights * size {
            return false;
        }
        let stride = layout.len();
        self.lanes.fill(ZERO);
        for (c, part) in values.chunks_exact(size).enumerate() {
            self.totals[c] = part[0];
            let sums = &mut self.lanes[c * stride..][..stride];
            let mut put = |at: usize, value: f64| sums[at / WIDTH].0[at % WIDTH] = value;
            part[1..=d].iter().enumerate().for_each(|(j, &value)| put(j, value));
            let pairs = (0..d).flat_map(|i| (0..=i).map(move |j| (i, j)));
            pairs.zip(&part[1 + d..]).for_each(|((i, j), &value)| put(layout.entry(i, j), value));
        }
        true
    }

    /// Adds the sums of other rows; both operands must have the same shape.
    pub fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.lanes.len(), other.lanes.len());
        self.totals.iter_mut().zip(&other.totals).for_each(|(a, b)| *a += b);
        for (a, b) in self.lanes.iter_mut().zip(&other.lanes) {
            a.0.iter_mut().zip(&b.0).for_each(|(a, b)| *a += b);
        }
    }

    /// Adds rows to the sums of consecutive weights, starting with weight `first`. `weights` holds one contiguous
    /// column per weight, with one value per row.
    pub fn update(&mut self, first: usize, rows: Rows<'_>, weights: &[f64], pack: &mut Pack) {
        let n_rows = rows.len();
        if n_rows == 0 {
            return;
        }
        let stride = self.layout().len();
        let n_weights = weights.len() / n_rows;
        for start in (0..n_rows).step_by(CHUNK) {
            let length = CHUNK.min(n_rows - start);
            let chunk = Chunk { rows: rows.part(start, length), weights: &weights[start..], stride: n_rows, n_weights };
            let sums = &mut self.lanes[first * stride..][..n_weights * stride];
            let done = match self.precision {
                Precision::Double => add::<f64>(chunk, &mut pack.double, sums),
                Precision::Mixed => add::<f32>(chunk, &mut pack.single, sums),
            };
            if !done {
                self.add_doubles(first, chunk, &mut pack.double);
            }
            for (c, total) in self.totals[first..][..n_weights].iter_mut().enumerate() {
                *total += sum(chunk.column(c));
            }
        }
    }

    /// Adds a chunk that is out of range for single precision.
    #[cold]
    fn add_doubles(&mut self, first: usize, chunk: Chunk<'_>, buffers: &mut Buffers<f64>) {
        let d = self.n_features;
        let (to, from) = (self.layout(), Layout::new(d, Precision::Double));
        let mut sums = vec![ZERO; chunk.n_weights * from.len()];
        add::<f64>(chunk, buffers, &mut sums);
        for (c, sums) in sums.chunks_exact(from.len()).enumerate() {
            let sums = f64::flat(sums);
            let lanes = &mut self.lanes[(first + c) * to.len()..][..to.len()];
            let mut add = |at: usize, value: f64| lanes[at / WIDTH].0[at % WIDTH] += value;
            (0..d).for_each(|i| add(i, sums[i]));
            for i in 0..d {
                (0..=i).for_each(|j| add(to.entry(i, j), sums[from.entry(i, j)]));
            }
        }
    }
}

/// Sums a column of weights, in eight independent partial sums.
#[inline(always)]
pub fn sum(values: &[f64]) -> f64 {
    let (lanes, rest) = values.as_chunks::<WIDTH>();
    let mut sums = [0.0; WIDTH];
    for lane in lanes {
        sums.iter_mut().zip(lane).for_each(|(sum, value)| *sum += value);
    }
    sums.iter().chain(rest).sum()
}

#[cfg(test)]
mod tests {
    use super::kernel::AddChunk;
    use super::*;
    use crate::simd;
    use proptest::prelude::*;

    /// Returns the sums of w, w x and w x xᵀ for each weight, in the order of `to_vec`, and those of absolute values.
    fn plain(x: &[f64], d: usize, weights: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let n = x.len() / d;
        let (mut out, mut absolute) = (Vec::new(), Vec::new());
        for w in weights.chunks_exact(n) {
            let mut push = |term: &dyn Fn(usize) -> f64| {
                out.push((0..n).map(term).sum());
                absolute.push((0..n).map(|p| term(p).abs()).sum());
            };
            push(&|p| w[p]);
            (0..d).for_each(|i| push(&|p| w[p] * x[p * d + i]));
            for i in 0..d {
                (0..=i).for_each(|j| push(&|p| w[p] * x[p * d + i] * x[p * d + j]));
            }
        }
        (out, absolute)
    }

    fn value(i: usize, seed: usize) -> f64 {
        ((i + 1).wrapping_mul(seed * 2 + 7919) % 1009) as f64 / 500.0 - 1.0
    }

    fn values(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| value(i, seed)).collect()
    }

    fn relative_error(got: &[f64], (expected, absolute): &(Vec<f64>, Vec<f64>)) -> f64 {
        assert_eq!(got.len(), expected.len());
        let errors = got.iter().zip(expected).zip(absolute).map(|((a, b), size)| (a - b).abs() / (size + 1e-300));
        errors.fold(0.0, |largest, error| if error <= largest { largest } else { error })
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_loop(n in 1_usize..600, d in 1_usize..70, m in 1_usize..8, seed in 0_usize..1000) {
            let (x, weights) = (values(n * d, seed), values(n * m, seed + 1));
            let expected = plain(&x, d, &weights);
            for (precision, bound) in [(Precision::Double, 1e-13), (Precision::Mixed, 133.0 / 2.0_f64.powi(24))] {
                let mut grams = WeightedGrams::new(d, m + 1, precision);
                grams.update(1, Rows::all(&x, d), &weights, &mut Pack::default());
                let all = grams.to_vec();
                let (unused, used) = all.split_at(all.len() / (m + 1));
                prop_assert!(unused.iter().all(|&v| v == 0.0));
                prop_assert!(relative_error(used, &expected) <= bound);
                let mut copy = WeightedGrams::new(d, m + 1, precision);
                prop_assert!(copy.set(&all));
                prop_assert_eq!(&copy.to_vec(), &all);
                for c in 0..m {
                    let part = &used[c * (1 + d + d * (d + 1) / 2)..];
                    let matrix = grams.matrix(c + 1);
                    prop_assert_eq!(grams.total(c + 1), part[0]);
                    prop_assert_eq!(grams.vector(c + 1), &part[1..=d]);
                    for i in 0..d {
                        prop_assert_eq!(&matrix[i * d..][..=i], &part[1 + d + i * (i + 1) / 2..][..=i]);
                        prop_assert!((0..i).all(|j| matrix[j * d + i] == matrix[i * d + j]));
                    }
                }
            }
        }

        #[test]
        fn chosen_rows_are_those_rows(n in 1_usize..400, d in 1_usize..20, seed in 0_usize..1000) {
            let (x, weights) = (values(n * d, seed), values(2 * n, seed + 1));
            let chosen: Vec<u32> = (0..n).map(|i| ((i * 31 + seed) % n) as u32).collect();
            let copied: Vec<f64> = chosen.iter().flat_map(|&p| &x[p as usize * d..][..d]).copied().collect();
            let [a, b] = [Rows::chosen(&x, d, &chosen), Rows::all(&copied, d)].map(|rows| {
                let mut grams = WeightedGrams::new(d, 2, Precision::Double);
                grams.update(0, rows, &weights, &mut Pack::default());
                grams
            });
            prop_assert_eq!(a, b);
        }
    }

    #[test]
    fn every_instruction_set_agrees() {
        fn check<E: Element>(precision: Precision, bound: f64) {
            for (n, d, m) in [(1, 1, 1), (256, 21, 3), (100, 64, 5), (33, 17, 4), (256, 90, 2)] {
                let (x, weights) = (values(n * d, 1), values(n * m, 2));
                let expected = plain(&x, d, &weights);
                let chunk = Chunk { rows: Rows::all(&x, d), weights: &weights, stride: n, n_weights: m };
                let run = |name| {
                    let mut grams = WeightedGrams::new(d, m, precision);
                    for c in 0..m {
                        grams.totals[c] = sum(chunk.column(c));
                    }
                    let (buffers, sums) = (&mut Buffers::<E>::default(), &mut grams.lanes[..]);
                    let done = simd::run_on(name, AddChunk { chunk, buffers, sums })?;
                    assert!(done && relative_error(&grams.to_vec(), &expected) <= bound, "{name}, {n} x {d}, {m}");
                    Some(())
                };
                run("avx2");
                run("avx512");
                assert!(run("portable").is_some());
            }
        }
        check::<f64>(Precision::Double, 1e-13);
        check::<f32>(Precision::Mixed, 133.0 / 2.0_f64.powi(24));
    }

    #[test]
    fn what_singles_cannot_hold_is_computed_in_doubles() {
        let (n, d) = (300, 19);
        for (x_scale, w_scale) in [(1e30, 1.0), (1.0, 1e100), (1.0, 1e-100), (1e-5, 0.0), (1e9, 1e9), (1e9, 1e-9)] {
            let x: Vec<f64> = values(n * d, 3).iter().map(|v| v * x_scale).collect();
            let weights: Vec<f64> = values(2 * n, 4).iter().map(|v| v * w_scale).collect();
            let mut grams = WeightedGrams::new(d, 2, Precision::Mixed);
            grams.update(0, Rows::all(&x, d), &weights, &mut Pack::default());
            let error = relative_error(&grams.to_vec(), &plain(&x, d, &weights));
            assert!(error <= 133.0 / 2.0_f64.powi(24), "{x_scale}, {w_scale}: {error}");
        }
    }
}

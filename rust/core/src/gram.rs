//! The weighted Gram kernel, in which every statistic of the package is computed: for weight columns w_c over rows X
//! the matrices Xᵀ diag(w_c) X, the vectors Xᵀ w_c and the sums of w_c.
//!
//! Rows are packed once, chunk by chunk, into panels of eight columns; for every weight a panel is scaled once and
//! multiplied with the panels on and left of the diagonal, so only the lower triangle is computed.

use crate::simd::{self, Lane, Simd, WIDTH, ZERO};

/// Rows of one chunk: a panel then takes a third of the first-level cache.
const CHUNK: usize = 256;

/// Scratch of one worker: the packed panels.
#[derive(Clone, Debug, Default)]
pub struct Pack {
    panels: Vec<Lane>,
    scaled: Vec<Lane>,
}

/// Sums over rows of w, w x and w x xᵀ, for several weights w at once.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedGrams {
    n_features: usize,
    n_weights: usize,
    /// Per weight: the sum of w, then Xᵀ w, then the lower triangle of Xᵀ diag(w) X in a full square.
    sums: Vec<f64>,
}

impl WeightedGrams {
    /// Empty sums.
    #[must_use]
    pub fn new(n_features: usize, n_weights: usize) -> Self {
        let stride = 1 + n_features + n_features * n_features;
        Self { n_features, n_weights, sums: vec![0.0; n_weights * stride] }
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

    fn stride(&self) -> usize {
        1 + self.n_features + self.n_features * self.n_features
    }

    /// The sum of weight `c`.
    #[must_use]
    pub fn total(&self, c: usize) -> f64 {
        self.sums[c * self.stride()]
    }

    /// Xᵀ w_c.
    #[must_use]
    pub fn vector(&self, c: usize) -> &[f64] {
        let at = c * self.stride() + 1;
        &self.sums[at..at + self.n_features]
    }

    /// Xᵀ diag(w_c) X, row-major, both triangles.
    #[must_use]
    pub fn matrix(&self, c: usize) -> Vec<f64> {
        let d = self.n_features;
        let at = c * self.stride() + 1 + d;
        let mut out = self.sums[at..at + d * d].to_vec();
        for i in 0..d {
            for j in 0..i {
                out[j * d + i] = out[i * d + j];
            }
        }
        out
    }

    /// The raw sums, for storage.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.sums
    }

    /// The raw sums, to be read back from storage.
    pub fn as_mut_slice(&mut self) -> &mut [f64] {
        &mut self.sums
    }

    /// Adds the sums of other rows; both sides have the same shape.
    pub fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.sums.len(), other.sums.len());
        for (a, b) in self.sums.iter_mut().zip(&other.sums) {
            *a += b;
        }
    }

    /// Adds rows `x`, row-major; `weights` holds one contiguous column of as many values as there are rows a weight.
    pub fn update(&mut self, x: &[f64], weights: &[f64], pack: &mut Pack) {
        self.update_from(0, x, weights, pack);
    }

    /// Adds rows to the sums of the weights from `first` on, as many as `weights` has columns.
    pub fn update_from(&mut self, first: usize, x: &[f64], weights: &[f64], pack: &mut Pack) {
        let d = self.n_features;
        let n_rows = x.len() / d;
        if n_rows == 0 {
            return;
        }
        let stride = self.stride();
        pack.scaled.resize(CHUNK, ZERO);
        for start in (0..n_rows).step_by(CHUNK) {
            let rows = CHUNK.min(n_rows - start);
            pack_rows(&x[start * d..(start + rows) * d], d, rows, &mut pack.panels);
            for (c, column) in weights.chunks_exact(n_rows).enumerate() {
                let sums = &mut self.sums[(first + c) * stride..][..stride];
                let w = &column[start..start + rows];
                simd::dispatch(AddChunk { w, d, panels: &pack.panels, scaled: &mut pack.scaled, sums });
            }
        }
    }
}

/// Rows of `x` as panels: panel j holds the columns 8j..8j+8 of all rows, padded with zeros.
fn pack_rows(x: &[f64], d: usize, rows: usize, panels: &mut Vec<Lane>) {
    panels.resize(d.div_ceil(WIDTH) * rows, ZERO);
    for (j, panel) in panels.chunks_exact_mut(rows).enumerate() {
        let columns = j * WIDTH..d.min((j + 1) * WIDTH);
        for (lane, row) in panel.iter_mut().zip(x.chunks_exact(d)) {
            let part = &row[columns.clone()];
            if let Ok(full) = part.try_into() {
                *lane = Lane(full);
            } else {
                *lane = ZERO;
                lane.0[..part.len()].copy_from_slice(part);
            }
        }
    }
}

/// One packed chunk, to be added to the sums of one weight.
struct AddChunk<'a> {
    w: &'a [f64],
    d: usize,
    panels: &'a [Lane],
    scaled: &'a mut [Lane],
    sums: &'a mut [f64],
}

impl simd::Operation for AddChunk<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { w, d, panels, scaled, sums } = self;
        let rows = w.len();
        let (head, gram) = sums.split_at_mut(1 + d);
        let (total, vector) = head.split_at_mut(1);
        total[0] += w.iter().sum::<f64>();
        let a = &mut scaled[..rows];
        for (i, panel) in panels.chunks_exact(rows).enumerate() {
            let column_sums = scale::<S>(w, panel, a);
            for (v, s) in vector[i * WIDTH..].iter_mut().zip(column_sums.0) {
                *v += s;
            }
            let mut left = panels[..(i + 1) * rows].chunks_exact(rows).enumerate();
            while let Some((j, b0)) = left.next() {
                // Two panels at a time share the broadcasts of the scaled one; the diagonal may remain alone.
                if let Some((_, b1)) = left.next() {
                    multiply::<S, 2>(a, [b0, b1], |row, n, line| store(gram, d, i * WIDTH + row, j + n, line));
                } else {
                    multiply::<S, 1>(a, [b0], |row, _, line| store(gram, d, i * WIDTH + row, j, line));
                }
            }
        }
    }
}

/// Scales a panel by the weights of its rows; returns the sums of its columns.
#[inline(always)]
fn scale<S: Simd>(w: &[f64], panel: &[Lane], scaled: &mut [Lane]) -> Lane {
    // Four sums, so that an addition does not wait for the one before it.
    let mut sums = [S::zero(); 4];
    for (p, (&weight, (out, lane))) in w.iter().zip(scaled.iter_mut().zip(panel)).enumerate() {
        let product = S::mul(S::splat(weight), S::load(lane));
        S::store(product, out);
        sums[p % 4] = S::add(sums[p % 4], product);
    }
    let mut total = ZERO;
    S::store(S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3])), &mut total);
    total
}

/// Products of the columns of panel `a` with those of the panels `b`, summed over rows: `emit(column of a, panel, line)`.
#[inline(always)]
fn multiply<S: Simd, const N: usize>(a: &[Lane], b: [&[Lane]; N], mut emit: impl FnMut(usize, usize, &Lane)) {
    // Equal lengths, told once, spare the checks inside the loop.
    let b = b.map(|panel| &panel[..a.len()]);
    for strip in (0..WIDTH).step_by(S::STRIP) {
        let mut tile = [[S::zero(); N]; WIDTH];
        for p in 0..a.len() {
            let left = &a[p].0;
            let right: [S::Vector; N] = std::array::from_fn(|n| S::load(&b[n][p]));
            for s in 0..S::STRIP {
                let factor = S::splat(left[strip + s]);
                for n in 0..N {
                    tile[s][n] = S::mul_add(factor, right[n], tile[s][n]);
                }
            }
        }
        for (s, sums) in tile.iter().enumerate().take(S::STRIP) {
            for (n, &sum) in sums.iter().enumerate() {
                let mut line = ZERO;
                S::store(sum, &mut line);
                emit(strip + s, n, &line);
            }
        }
    }
}

/// Adds a line of eight products to row `row` and panel `panel` of the full square `gram`, as far as it lies inside.
#[inline(always)]
fn store(gram: &mut [f64], d: usize, row: usize, panel: usize, line: &Lane) {
    if row < d {
        let columns = &mut gram[row * d..(row + 1) * d][(panel * WIDTH).min(d)..];
        for (sum, value) in columns.iter_mut().zip(line.0) {
            *sum += value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(x: &[f64], d: usize, weights: &[f64], n: usize) -> Vec<f64> {
        let mut out = Vec::new();
        for w in weights.chunks_exact(n) {
            out.push(w.iter().sum());
            out.extend((0..d).map(|i| (0..n).map(|p| w[p] * x[p * d + i]).sum::<f64>()));
            for i in 0..d {
                out.extend((0..d).map(|j| (0..n).map(|p| w[p] * x[p * d + i] * x[p * d + j]).sum::<f64>()));
            }
        }
        out
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_loop(n in 1_usize..600, d in 1_usize..35, m in 1_usize..4, seed in 1_u64..1000) {
            let value = |i: usize| (((i as u64 + 1) * (seed * 2 + 7919)) % 1009) as f64 / 500.0 - 1.0;
            let x: Vec<f64> = (0..n * d).map(value).collect();
            let weights: Vec<f64> = (0..n * m).map(|i| value(i + 77)).collect();
            let mut grams = WeightedGrams::new(d, m);
            grams.update(&x, &weights, &mut Pack::default());
            let expected = plain(&x, d, &weights, n);
            let stride = 1 + d + d * d;
            for c in 0..m {
                let part = &expected[c * stride..][..stride];
                prop_assert!((grams.total(c) - part[0]).abs() < 1e-10);
                prop_assert!(grams.vector(c).iter().zip(&part[1..]).all(|(a, b)| (a - b).abs() < 1e-10));
                prop_assert!(grams.matrix(c).iter().zip(&part[1 + d..]).all(|(a, b)| (a - b).abs() < 1e-10));
            }
        }
    }

    #[test]
    fn every_instruction_set_agrees() {
        let (n, d) = (300, 21);
        let x: Vec<f64> = (0..n * d).map(|i| f64::from((i * 7919 % 1009) as u32) / 500.0 - 1.0).collect();
        let w: Vec<f64> = (0..n).map(|i| f64::from((i * 31 % 17) as u32) - 8.0).collect();
        let mut panels = Vec::new();
        let rows = 256;
        pack_rows(&x[..rows * d], d, rows, &mut panels);
        let mut scaled = vec![ZERO; CHUNK];
        let mut portable = vec![0.0; 1 + d + d * d];
        let mut best = portable.clone();
        let w = &w[..rows];
        simd::run_portable(AddChunk { w, d, panels: &panels, scaled: &mut scaled, sums: &mut portable });
        simd::dispatch(AddChunk { w, d, panels: &panels, scaled: &mut scaled, sums: &mut best });
        assert!(portable.iter().zip(&best).all(|(a, b)| (a - b).abs() < 1e-9));
    }
}

//! Products of tall matrices with few vectors: projections of rows on directions, and weighted sums of rows.

use crate::gram::Prefetch;
use crate::simd::{self, Lane, Simd, WIDTH, ZERO};

/// Number of rows that are projected together, so that they share the loads of a panel of directions.
const ROWS: usize = 8;
/// Largest number of directions for which each direction is handled by itself.
const FEW: usize = 2;

/// Directions packed eight at a time for the projection of rows.
#[derive(Clone, Debug)]
pub struct Directions {
    n_features: usize,
    n_directions: usize,
    /// Components of eight directions per lane, ordered by panel and feature.
    lanes: Vec<Lane>,
    /// Offsets that are added to the projections, one lane per panel.
    offsets: Vec<Lane>,
    /// The directions themselves, each padded with zeros, if there are at most `FEW`; otherwise empty.
    few: Vec<Lane>,
}

impl Directions {
    /// Packs `offsets.len()` row-major directions of `n_features` components; `offsets` are added to the projections.
    #[must_use]
    pub fn new(directions: &[f64], offsets: &[f64], n_features: usize) -> Self {
        let n_directions = offsets.len();
        let n_panels = n_directions.div_ceil(WIDTH);
        let mut lanes = vec![ZERO; n_panels * n_features];
        let mut offset_lanes = vec![ZERO; n_panels];
        for (i, &offset) in offsets.iter().enumerate() {
            let (panel, place) = (i / WIDTH, i % WIDTH);
            offset_lanes[panel].0[place] = offset;
            for j in 0..n_features {
                lanes[panel * n_features + j].0[place] = directions[i * n_features + j];
            }
        }
        let mut few = Vec::new();
        if n_directions <= FEW {
            for row in directions.chunks_exact(n_features).flat_map(|direction| direction.chunks(WIDTH)) {
                let mut lane = ZERO;
                lane.0[..row.len()].copy_from_slice(row);
                few.push(lane);
            }
        }
        Self { n_features, n_directions, lanes, offsets: offset_lanes, few }
    }

    /// Number of directions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.n_directions
    }

    /// Whether there are no directions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n_directions == 0
    }

    /// Number of lanes that hold the projections of one row.
    #[must_use]
    pub fn n_panels(&self) -> usize {
        self.offsets.len()
    }

    /// The components of the eight directions of a panel, one lane per feature.
    #[inline(always)]
    pub(crate) fn panel(&self, panel: usize) -> &[Lane] {
        &self.lanes[panel * self.n_features..][..self.n_features]
    }

    /// Projects the rows of `x`: writes `n_panels` lanes per row, with zeros after the last direction.
    ///
    /// The memory of `prefetch` is prefetched into the cache meanwhile.
    pub fn project(&self, x: &[f64], n_rows: usize, out: &mut Vec<Lane>, prefetch: Prefetch) {
        out.resize(n_rows * self.n_panels(), ZERO);
        simd::dispatch(Project { directions: self, x, n_rows, out, prefetch });
    }
}

impl Directions {
    /// Projects on at most `FEW` directions, vectorised over components instead of directions.
    #[inline(always)]
    fn project_few<S: Simd<Element = f64>>(&self, x: &[f64], out: &mut [Lane]) {
        let (d, n_lanes) = (self.n_features, self.n_features.div_ceil(WIDTH));
        let n_full = d / WIDTH;
        for (row, out) in x.chunks_exact(d).zip(out) {
            *out = self.offsets[0];
            for i in 0..self.n_directions {
                let lanes = &self.few[i * n_lanes..][..n_lanes];
                let mut sums = [S::zero(); 4];
                let mut j = 0;
                while j + 4 <= n_full {
                    let part = &row[j * WIDTH..][..4 * WIDTH];
                    for l in 0..4 {
                        let values = S::load_doubles(&part[l * WIDTH..][..WIDTH]);
                        sums[l] = S::mul_add(values, S::load(&lanes[j + l]), sums[l]);
                    }
                    j += 4;
                }
                while j < n_lanes {
                    let values = S::load_doubles(&row[j * WIDTH..d.min((j + 1) * WIDTH)]);
                    sums[0] = S::mul_add(values, S::load(&lanes[j]), sums[0]);
                    j += 1;
                }
                out.0[i] += S::sum(S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3])));
            }
        }
    }
}

struct Project<'a> {
    directions: &'a Directions,
    x: &'a [f64],
    n_rows: usize,
    out: &'a mut [Lane],
    prefetch: Prefetch,
}

impl simd::Operation for Project<'_> {
    type Element = f64;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Element = f64>>(self) {
        let Self { directions, x, n_rows, out, mut prefetch } = self;
        if directions.n_directions <= FEW {
            return directions.project_few::<S>(x, out);
        }
        let (d, n_panels) = (directions.n_features, directions.n_panels());
        for panel in 0..n_panels {
            let lanes = directions.panel(panel);
            let offset = S::load(&directions.offsets[panel]);
            let mut row = 0;
            while row + ROWS <= n_rows {
                let rows: [&[f64]; ROWS] = std::array::from_fn(|r| &x[(row + r) * d..][..d]);
                let mut sums = [offset; ROWS];
                let (now, later) = prefetch.split(ROWS * d);
                prefetch = later;
                for (j, lane) in lanes.iter().enumerate() {
                    now.fetch(j * WIDTH);
                    let direction = S::load(lane);
                    for r in 0..ROWS {
                        sums[r] = S::mul_add(S::splat(rows[r][j]), direction, sums[r]);
                    }
                }
                for (r, sum) in sums.into_iter().enumerate() {
                    S::store(sum, &mut out[(row + r) * n_panels + panel]);
                }
                row += ROWS;
            }
            for row in row..n_rows {
                let mut sum = offset;
                for (lane, &value) in lanes.iter().zip(&x[row * d..][..d]) {
                    sum = S::mul_add(S::splat(value), S::load(lane), sum);
                }
                S::store(sum, &mut out[row * n_panels + panel]);
            }
        }
    }
}

/// Adds Σ_p w_pi x_p to row i of `sums`, for each of `n_weights` weights.
///
/// `weights` holds the weights of each row in lanes, as [`Directions::project`] writes projections. `sums` is
/// `(n_weights, n_features)` row-major.
pub fn add_weighted_rows(x: &[f64], n_features: usize, weights: &[Lane], n_weights: usize, sums: &mut [f64]) {
    simd::dispatch(AddWeightedRows { x, n_features, weights, n_weights, sums });
}

struct AddWeightedRows<'a> {
    x: &'a [f64],
    n_features: usize,
    weights: &'a [Lane],
    n_weights: usize,
    sums: &'a mut [f64],
}

impl simd::Operation for AddWeightedRows<'_> {
    type Element = f64;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Element = f64>>(mut self) {
        // Panels with fewer than eight weights have kernels of their own, so that narrow networks cost less.
        for panel in 0..self.n_weights.div_ceil(WIDTH) {
            match self.n_weights - panel * WIDTH {
                1 | 2 => add_panel::<S, 2>(&mut self, panel),
                3 | 4 => add_panel::<S, 4>(&mut self, panel),
                5 | 6 => add_panel::<S, 6>(&mut self, panel),
                _ => add_panel::<S, WIDTH>(&mut self, panel),
            }
        }
    }
}

/// Adds the sums for the first `N` weights of a panel, with enough independent sums in flight to hide their latency.
#[inline(always)]
fn add_panel<S: Simd<Element = f64>, const N: usize>(operation: &mut AddWeightedRows<'_>, panel: usize) {
    let d = operation.n_features;
    let mut column = 0;
    while column < d {
        let lines = if S::PANELS == 1 { 1 } else { (d - column).div_ceil(WIDTH) };
        column += WIDTH
            * match lines {
                1 => add_columns::<S, N, 1>(operation, panel, column),
                4.. if N <= 4 => add_columns::<S, N, 4>(operation, panel, column),
                2 | 4 => add_columns::<S, N, 2>(operation, panel, column),
                _ => add_columns::<S, N, 3>(operation, panel, column),
            };
    }
}

/// Adds the sums for the `C` lines of columns that start at `column`; returns `C`.
#[inline(always)]
fn add_columns<S: Simd<Element = f64>, const N: usize, const C: usize>(
    operation: &mut AddWeightedRows<'_>,
    panel: usize,
    column: usize,
) -> usize {
    let AddWeightedRows { x, n_features: d, weights, n_weights, sums } = operation;
    let d = *d;
    let columns: [_; C] = std::array::from_fn(|c| column + c * WIDTH..d.min(column + (c + 1) * WIDTH));
    let mut tile = [[S::zero(); C]; N];
    for (row, lanes) in x.chunks_exact(d).zip(weights.chunks_exact(n_weights.div_ceil(WIDTH))) {
        let mut values = [S::zero(); C];
        for c in 0..C {
            values[c] = S::load_doubles(&row[columns[c].start..columns[c].end]);
        }
        for i in 0..N {
            let weight = S::splat(lanes[panel].0[i]);
            for c in 0..C {
                tile[i][c] = S::mul_add(weight, values[c], tile[i][c]);
            }
        }
    }
    for (i, lines) in tile.into_iter().enumerate().take(*n_weights - panel * WIDTH) {
        for c in 0..C {
            let mut lane = ZERO;
            S::store(lines[c], &mut lane);
            let out = &mut sums[(panel * WIDTH + i) * d..][columns[c].start..columns[c].end];
            for (sum, value) in out.iter_mut().zip(lane.0) {
                *sum += value;
            }
        }
    }
    C
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agree_with_plain_loops(n in 0_usize..40, d in 1_usize..20, k in 1_usize..20, seed in 0_u64..1000) {
            let value = |i: usize| (((i as u64 + 1) * (seed * 2 + 7919)) % 1009) as f64 / 500.0 - 1.0;
            let x: Vec<f64> = (0..n * d).map(value).collect();
            let a: Vec<f64> = (0..k * d).map(|i| value(i + 5000)).collect();
            let b: Vec<f64> = (0..k).map(|i| value(i + 9000)).collect();
            let directions = Directions::new(&a, &b, d);
            let mut out = Vec::new();
            directions.project(&x, n, &mut out, Prefetch::from(&x[..]));
            let n_panels = directions.n_panels();
            let mut sums = vec![0.0; k * d];
            add_weighted_rows(&x, d, &out, k, &mut sums);
            let mut expected = vec![0.0; k * d];
            for p in 0..n {
                for i in 0..k {
                    let dot: f64 = b[i] + (0..d).map(|j| x[p * d + j] * a[i * d + j]).sum::<f64>();
                    prop_assert!((dot - out[p * n_panels + i / WIDTH].0[i % WIDTH]).abs() < 1e-12);
                    for j in 0..d {
                        expected[i * d + j] += dot * x[p * d + j];
                    }
                }
            }
            for (a, b) in sums.iter().zip(&expected) {
                prop_assert!((a - b).abs() < 1e-10);
            }
        }
    }
}

//! Screening of many terms |c·z| in one pass over the rows: inner products with themselves, the residual and the rows.

use super::lm::Rows;
use crate::simd::{self, Lane, Simd, WIDTH, ZERO};
use crate::skinny::Directions;

/// Number of rows whose inputs stay in the first-level cache while all directions are processed.
const BLOCK: usize = 256;
/// Number of rows for which a direction and its sums are loaded once.
const ROWS: usize = 4;

/// Sums over rows for m terms |c·z|.
pub(super) struct Sums {
    /// Σ |c·z|².
    pub norm: Vec<f64>,
    /// Σ |c·z| e.
    pub correlation: Vec<f64>,
    /// Σ |c·z| z, `q x m`.
    pub linear: Vec<f64>,
}

impl Sums {
    /// The sums for `directions` c (`m x q`) and the residuals e.
    pub fn new(rows: Rows<'_>, directions: &[f64], residual: &[f64]) -> Sums {
        let (q, m) = (rows.q, directions.len() / rows.q);
        let lanes = swept::<false>(rows, directions, residual);
        let of = |c: usize, sum: usize| lanes[c / WIDTH * (q + 2) + sum].0[c % WIDTH];
        Sums {
            norm: (0..m).map(|c| of(c, q)).collect(),
            correlation: (0..m).map(|c| of(c, q + 1)).collect(),
            linear: (0..q).flat_map(|j| (0..m).map(move |c| (c, j))).map(|(c, j)| of(c, j)).collect(),
        }
    }
}

/// The gradients Σ e sign(c·z) z of Σ e |c·z| at `directions` c, one after another.
pub(super) fn gradients(rows: Rows<'_>, directions: &[f64], residual: &[f64]) -> Vec<f64> {
    let (q, m) = (rows.q, directions.len() / rows.q);
    let lanes = swept::<true>(rows, directions, residual);
    (0..m * q).map(|i| (i / q, i % q)).map(|(c, j)| lanes[c / WIDTH * (q + 2) + j].0[c % WIDTH]).collect()
}

/// For every panel of eight directions `q + 2` lanes of sums: those of v z, v² and v e, where v is |c·z|, or
/// e sign(c·z) for `GRADIENTS`.
fn swept<const GRADIENTS: bool>(rows: Rows<'_>, directions: &[f64], residual: &[f64]) -> Vec<Lane> {
    let m = directions.len() / rows.q;
    let directions = Directions::new(directions, &vec![0.0; m], rows.q);
    let mut sums = vec![ZERO; directions.n_panels() * (rows.q + 2)];
    for (z, e) in rows.z.chunks(BLOCK * rows.q).zip(residual[..rows.n()].chunks(BLOCK)) {
        simd::dispatch(Block::<GRADIENTS> { z, e, q: rows.q, directions: &directions, sums: &mut sums });
    }
    sums
}

struct Block<'a, const GRADIENTS: bool> {
    z: &'a [f64],
    e: &'a [f64],
    q: usize,
    directions: &'a Directions,
    sums: &'a mut [Lane],
}

impl<const GRADIENTS: bool> simd::Operation for Block<'_, GRADIENTS> {
    type Element = f64;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Element = f64>>(self) {
        let Self { z, e, q, directions, sums } = self;
        let nothing = vec![0.0; q];
        for (panel, sums) in sums.chunks_exact_mut(q + 2).enumerate() {
            let panel = directions.panel(panel);
            for (z, e) in z.chunks(ROWS * q).zip(e.chunks(ROWS)) {
                // Rows beyond the last are zeros.
                let z: [&[f64]; ROWS] = std::array::from_fn(|r| z.get(r * q..(r + 1) * q).unwrap_or(&nothing));
                let e: [S::Vector; ROWS] = std::array::from_fn(|r| S::splat(e.get(r).copied().unwrap_or(0.0)));
                let mut t = [S::zero(); ROWS];
                for (j, lane) in panel.iter().enumerate() {
                    let lane = S::load(lane);
                    for r in 0..ROWS {
                        t[r] = S::mul_add(S::splat(z[r][j]), lane, t[r]);
                    }
                }
                let minus = S::splat(-1.0);
                let v: [S::Vector; ROWS] = std::array::from_fn(|r| {
                    if GRADIENTS {
                        let twice = S::where_above(t[r], S::zero(), S::add(e[r], e[r]));
                        S::mul_add(minus, e[r], twice)
                    } else {
                        S::max(t[r], S::mul(minus, t[r]))
                    }
                });
                for (j, sum) in sums[..q].iter_mut().enumerate() {
                    add::<S>(sum, v, std::array::from_fn(|r| S::splat(z[r][j])));
                }
                if !GRADIENTS {
                    add::<S>(&mut sums[q], v, v);
                    add::<S>(&mut sums[q + 1], v, e);
                }
            }
        }
    }
}

/// Adds Σ_r a_r b_r to `sum`, with a single addition in the dependency chain of `sum`.
#[inline(always)]
fn add<S: Simd<Element = f64>>(sum: &mut Lane, a: [S::Vector; ROWS], b: [S::Vector; ROWS]) {
    let mut part = S::mul(a[0], b[0]);
    for r in 1..ROWS {
        part = S::mul_add(a[r], b[r], part);
    }
    S::store(S::add(S::load(sum), part), sum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agree_with_plain_loops(n in 1_usize..600, q in 1_usize..12, m in 1_usize..20, seed in 0_u64..1000) {
            let value = |i: usize| (((i as u64 + 1) * (seed * 2 + 7919)) % 1009) as f64 / 500.0 - 1.0;
            let z: Vec<f64> = (0..n * q).map(value).collect();
            let e: Vec<f64> = (0..n).map(|i| value(i + 7000)).collect();
            let c: Vec<f64> = (0..m * q).map(|i| value(i + 9000) + 1e-4).collect();
            let rows = Rows { z: &z, y: &e, q };
            let sums = Sums::new(rows, &c, &e);
            let gradients = gradients(rows, &c, &e);
            for (i, c) in c.chunks_exact(q).enumerate() {
                let t: Vec<f64> = z.chunks_exact(q).map(|z| z.iter().zip(c).map(|(z, c)| z * c).sum()).collect();
                let over = |v: &dyn Fn(usize) -> f64| (0..n).map(v).sum::<f64>();
                prop_assert!((sums.norm[i] - over(&|r| t[r] * t[r])).abs() < 1e-10);
                prop_assert!((sums.correlation[i] - over(&|r| t[r].abs() * e[r])).abs() < 1e-10);
                for j in 0..q {
                    let (linear, along) = (sums.linear[j * m + i], gradients[i * q + j]);
                    prop_assert!((linear - over(&|r| t[r].abs() * z[r * q + j])).abs() < 1e-10);
                    if t.iter().all(|t| t.abs() > 1e-12) {
                        prop_assert!((along - over(&|r| t[r].signum() * e[r] * z[r * q + j])).abs() < 1e-10);
                    }
                }
            }
        }
    }
}

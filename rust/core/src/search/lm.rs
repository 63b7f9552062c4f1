//! Levenberg-Marquardt fits of y ≈ w·z + Σ s_i |a_i·z| to projected rows.
//!
//! For fixed signs of a_i·z the model is linear in (w, a_1, ..., a_k), and a step solves a damped linear least-squares
//! problem.

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::control::Control;
use crate::gram::Prefetch;
use crate::linalg::{self, add_product, product_transposed};
use crate::simd::Element;
use crate::skinny::Directions;

/// Number of rows in one pass of a kernel, small enough for the sign products to stay in cache.
const BLOCK: usize = 256;
/// Number of pairs of terms whose blocks one task sums.
const PAIRS: usize = 128;

/// Rows `(z, y)` of a least-squares problem, each already multiplied by the root of its weight.
///
/// Scaling z and y alike weights the squares, because |a·z| is homogeneous.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Inputs, `n x q` row-major; the last column is the constant 1 if biases are allowed.
    pub z: &'a [f64],
    /// Labels.
    pub y: &'a [f64],
    /// Number of columns.
    pub q: usize,
}

impl<'a> Rows<'a> {
    /// Number of rows.
    pub fn n(&self) -> usize {
        self.y.len()
    }

    /// The first `n` rows, or all rows if there are fewer.
    pub fn first(&self, n: usize) -> Rows<'a> {
        let n = n.min(self.n());
        Rows { z: &self.z[..n * self.q], y: &self.y[..n], q: self.q }
    }

    /// Row `i` of the inputs.
    pub fn row(&self, i: usize) -> &'a [f64] {
        &self.z[i * self.q..(i + 1) * self.q]
    }
}

/// The function w·z + Σ s_i |a_i·z|.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// w, then a_1, ..., a_k: `(k + 1) x q` row-major.
    pub theta: Vec<f64>,
    /// s_1, ..., s_k, each 1 or -1.
    pub signs: Vec<f64>,
}

impl Terms {
    /// The zero function of `q` variables.
    pub fn zero(q: usize) -> Self {
        Terms { theta: vec![0.0; q], signs: Vec::new() }
    }

    /// Number of terms k.
    pub fn len(&self) -> usize {
        self.signs.len()
    }

    /// Whether there are no terms besides the linear part.
    pub fn is_empty(&self) -> bool {
        self.signs.is_empty()
    }

    /// The model with the term s |a·z| appended.
    pub fn push(&mut self, a: &[f64], sign: f64) {
        self.theta.extend_from_slice(a);
        self.signs.push(sign);
    }

    /// The vector a_i.
    pub fn a(&self, i: usize) -> &[f64] {
        let q = self.theta.len() / (self.len() + 1);
        &self.theta[(i + 1) * q..(i + 2) * q]
    }

    /// The model without term `i`.
    pub fn remove(&mut self, i: usize) {
        let q = self.theta.len() / (self.len() + 1);
        self.theta.drain((i + 1) * q..(i + 2) * q);
        self.signs.remove(i);
    }

    /// The terms after a step of the linearised problem. If a step reverses the direction of a vector, the sign of its
    /// term changes: on the fixed pattern, sign(a·z) b·z with b ≈ -c a is -|b·z|.
    pub(crate) fn moved(&self, step: &[f64]) -> Terms {
        let q = self.theta.len() / (self.len() + 1);
        let theta: Vec<f64> = self.theta.iter().zip(step).map(|(t, d)| t + d).collect();
        let turned = |i: usize| {
            let block = (i + 1) * q..(i + 2) * q;
            dot(&self.theta[block.clone()], &theta[block]) < 0.0
        };
        let signs = self.signs.iter().enumerate().map(|(i, s)| if turned(i) { -s } else { *s }).collect();
        Terms { theta, signs }
    }

    /// Sum of squared residuals over `rows`.
    pub fn loss(&self, rows: Rows<'_>) -> f64 {
        evaluate(rows, self).loss
    }
}

/// Dot product in a fixed order, in eight lanes.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    if a.len() < 8 {
        return tail;
    }
    let mut lanes = [0.0; 8];
    for (x, y) in a8.zip(b8) {
        for l in 0..8 {
            lanes[l] += x[l] * y[l];
        }
    }
    ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7])) + tail
}

/// Residuals of a model and the signs of its terms.
#[derive(Clone, Debug)]
pub(crate) struct Evaluation {
    pub loss: f64,
    pub residual: Vec<f64>,
    /// s_i sign(a_i·z), `n x k`.
    pub pattern: Vec<f64>,
}

pub(crate) fn evaluate(rows: Rows<'_>, terms: &Terms) -> Evaluation {
    let (q, k, n) = (rows.q, terms.len(), rows.n());
    let directions = Directions::new(&terms.theta, &vec![0.0; k + 1], q);
    let mut residual = Vec::with_capacity(n);
    let mut pattern = vec![0.0; n * k];
    let mut loss = 0.0;
    let mut lanes = Vec::new();
    for (b, (z, y)) in rows.z.chunks(BLOCK * q).zip(rows.y.chunks(BLOCK)).enumerate() {
        directions.project(z, y.len(), &mut lanes, Prefetch::default());
        let mut block = 0.0;
        for (i, (t, y)) in lanes.chunks_exact(directions.n_panels()).zip(y).enumerate() {
            let t = f64::flat(t);
            let mut rest = y - t[0];
            let pattern = &mut pattern[(b * BLOCK + i) * k..][..k];
            for ((t, s), sign) in t[1..].iter().zip(&terms.signs).zip(pattern) {
                rest -= s * t.abs();
                *sign = s.copysign(s * t);
            }
            block += rest * rest;
            residual.push(rest);
        }
        loss += block;
    }
    Evaluation { loss, residual, pattern }
}

/// Sums over rows of σ_i σ_j z zᵀ, σ_0 = 1: the blocks of the normal matrix, each one symmetric.
#[derive(Clone, Debug)]
struct Blocks {
    /// Upper triangle of Σ z zᵀ.
    own: Vec<f64>,
    /// Upper triangles of Σ σ_i σ_j z zᵀ for i < j, ordered by j then i: `k (k + 1) / 2 x q (q + 1) / 2`.
    cross: Vec<f64>,
}

/// z zᵀ of each row, upper triangles.
fn squares(z: &[f64], q: usize, out: &mut Vec<f64>) {
    out.clear();
    for row in z.chunks_exact(q) {
        for a in 0..q {
            out.extend(row[a..].iter().map(|v| v * row[a]));
        }
    }
}

fn pair_signs(pattern: &[f64], out: &mut [f64]) {
    let mut at = 0;
    for (j, &b) in pattern.iter().enumerate() {
        out[at] = b;
        for (o, a) in out[at + 1..].iter_mut().zip(&pattern[..j]) {
            *o = a * b;
        }
        at += j + 1;
    }
}

impl Blocks {
    fn new(rows: Rows<'_>, pattern: &[f64]) -> Self {
        let (q, n) = (rows.q, rows.n());
        let (k, triangle) = (pattern.len() / n.max(1), q * (q + 1) / 2);
        let pairs = k * (k + 1) / 2;
        let mut blocks = Blocks { own: vec![0.0; triangle], cross: vec![0.0; pairs * triangle] };
        let (mut zz, ones) = (Vec::new(), [1.0; BLOCK]);
        for z in rows.z.chunks(BLOCK * q) {
            squares(z, q, &mut zz);
            add_product(&mut blocks.own, &ones[..z.len() / q], &zz, z.len() / q);
        }
        // Each task sums its own pairs over all rows, so that the bits do not depend on the number of threads.
        blocks.cross.par_chunks_mut(PAIRS * triangle).enumerate().for_each(|(task, cross)| {
            let (first, count) = (task * PAIRS, cross.len() / triangle);
            let (mut zz, mut all, mut signs) = (Vec::new(), vec![0.0; pairs], Vec::with_capacity(BLOCK * count));
            for (b, z) in rows.z.chunks(BLOCK * q).enumerate() {
                let (start, m) = (b * BLOCK * k, z.len() / q);
                squares(z, q, &mut zz);
                signs.clear();
                for p in pattern[start..start + m * k].chunks_exact(k) {
                    pair_signs(p, &mut all);
                    signs.extend_from_slice(&all[first..first + count]);
                }
                add_product(cross, &signs, &zz, m);
            }
        });
        blocks
    }

    /// The blocks for `new` signs: only rows with a changed sign are summed. Returns the work done.
    fn update(&mut self, rows: Rows<'_>, old: &[f64], new: &[f64]) -> u64 {
        let (q, n) = (rows.q, rows.n());
        let k = new.len() / n.max(1);
        if k == 0 {
            return 0;
        }
        let changed: Vec<usize> = (0..n).filter(|i| old[i * k..(i + 1) * k] != new[i * k..(i + 1) * k]).collect();
        let (pairs, triangle) = (k * (k + 1) / 2, q * (q + 1) / 2);
        if changed.len() > n / 2 {
            *self = Blocks::new(rows, new);
            return (2 * n * pairs * triangle) as u64;
        }
        let (mut z, mut zz, mut before, mut signs) =
            (Vec::new(), Vec::new(), vec![0.0; pairs], vec![0.0; BLOCK * pairs]);
        for chunk in changed.chunks(BLOCK) {
            z.clear();
            for (i, s) in chunk.iter().zip(signs.chunks_exact_mut(pairs)) {
                z.extend_from_slice(rows.row(*i));
                pair_signs(&old[i * k..(i + 1) * k], &mut before);
                pair_signs(&new[i * k..(i + 1) * k], s);
                s.iter_mut().zip(&before).for_each(|(s, b)| *s -= b);
            }
            squares(&z, q, &mut zz);
            add_product(&mut self.cross, &signs[..chunk.len() * pairs], &zz, chunk.len());
        }
        (2 * changed.len() * pairs * triangle) as u64
    }

    /// The whole matrix, row-major.
    fn matrix(&self, q: usize, k: usize) -> Vec<f64> {
        let (p, triangle) = (q * (k + 1), q * (q + 1) / 2);
        let mut full = vec![0.0; p * p];
        let mut put = |i: usize, j: usize, block: &[f64]| {
            let mut at = 0;
            for a in 0..q {
                for b in a..q {
                    for (r, c) in [(i * q + a, j * q + b), (i * q + b, j * q + a)] {
                        full[r * p + c] = block[at];
                        full[c * p + r] = block[at];
                    }
                    at += 1;
                }
            }
        };
        for i in 0..=k {
            put(i, i, &self.own);
        }
        let mut cross = self.cross.chunks_exact(triangle);
        for j in 1..=k {
            for (i, block) in (0..j).zip(&mut cross) {
                put(i, j, block);
            }
        }
        full
    }
}

/// `(a + ridge diag(a))⁻¹ b` for row-major `b`, or `None` if that matrix is not positive definite.
pub(crate) fn solve_ridged(mut a: Vec<f64>, n: usize, ridge: f64, b: &[f64]) -> Option<Vec<f64>> {
    for i in 0..n {
        a[i * n + i] *= 1.0 + ridge;
    }
    let b = ArrayView2::from_shape((n, b.len() / n), b).ok()?;
    let x = linalg::solve_spd(ArrayView2::from_shape((n, n), &a).ok()?, b).ok()?;
    x.iter().all(|v| v.is_finite()).then(|| x.into_raw_vec_and_offset().0)
}

/// Termination criteria of a fit.
#[derive(Clone, Copy, Debug)]
pub struct Stop<'a> {
    /// Largest number of steps.
    pub steps: usize,
    /// Smallest relative decrease of the loss in a step.
    pub decrease: f64,
    /// Sum of squares that counts as zero.
    pub floor: f64,
    /// Control through which the fit may be cancelled.
    pub control: &'a Control,
}

/// A fitted model with its residuals and normal matrix, which further moves need.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The model.
    pub terms: Terms,
    /// Sum of squared residuals.
    pub loss: f64,
    /// Floating-point operations spent.
    pub work: u64,
    pub(crate) evaluation: Evaluation,
    blocks: Blocks,
    q: usize,
    damping: f64,
}

impl Fit {
    /// The model `start` with its residuals and normal matrix over `rows`.
    pub fn at(rows: Rows<'_>, start: Terms) -> Fit {
        let (q, n, k) = (rows.q, rows.n(), start.len());
        let evaluation = evaluate(rows, &start);
        let blocks = Blocks::new(rows, &evaluation.pattern);
        let work = (n * q * (q + 1) / 2 * (k * (k + 1) + 2) + 2 * n * q * (k + 1)) as u64;
        Fit { terms: start, loss: evaluation.loss, work, evaluation, blocks, q, damping: 1e-3 }
    }

    /// Minimises the sum of squares over `rows` from `start`.
    pub fn new(rows: Rows<'_>, start: Terms, stop: Stop<'_>) -> Fit {
        Fit::at(rows, start).descend(rows, stop)
    }

    /// Mean squared residual.
    pub fn mean(&self) -> f64 {
        self.loss / self.evaluation.residual.len() as f64
    }

    /// Continues the fit on the same rows.
    pub fn descend(mut self, rows: Rows<'_>, stop: Stop<'_>) -> Fit {
        for _ in 0..stop.steps {
            let (before, work) = (self.loss, self.work);
            if stop.control.is_cancelled() || before <= stop.floor {
                break;
            }
            let improved = self.step(rows);
            stop.control.add(self.work - work);
            if !improved || before - self.loss <= stop.decrease * before {
                break;
            }
        }
        self
    }

    /// Performs one accepted step; returns false if no damping decreases the loss.
    fn step(&mut self, rows: Rows<'_>) -> bool {
        let (n, p) = (rows.n(), self.terms.theta.len());
        let gradient = self.gradient(rows);
        let matrix = self.matrix();
        self.work += (2 * n * p) as u64;
        for _ in 0..8 {
            self.work += (p * p * p / 3 + 2 * n * p) as u64;
            if let Some(step) = solve_ridged(matrix.clone(), p, self.damping + 1e-14, &gradient) {
                let terms = self.terms.moved(&step);
                let evaluation = evaluate(rows, &terms);
                if evaluation.loss < self.loss {
                    self.work += self.blocks.update(rows, &self.evaluation.pattern, &evaluation.pattern);
                    (self.loss, self.terms, self.evaluation) = (evaluation.loss, terms, evaluation);
                    self.damping = (self.damping * 0.1).max(1e-13);
                    return true;
                }
            }
            self.damping *= 8.0;
        }
        self.damping = self.damping.min(1e-2);
        false
    }

    /// The normal matrix of the linearised problem.
    pub(crate) fn matrix(&self) -> Vec<f64> {
        self.blocks.matrix(self.q, self.terms.len())
    }

    /// Change of the values over `rows` by a step of the linearised problem.
    pub(crate) fn change(&self, rows: Rows<'_>, step: &[f64]) -> Vec<f64> {
        let k = self.terms.len();
        let values = |(b, z): (usize, &[f64])| -> Vec<f64> {
            let t = product_transposed(z, step, self.q);
            let row = |(i, t): (usize, &[f64])| {
                let pattern = &self.evaluation.pattern[(b * BLOCK + i) * k..][..k];
                t[0] + t[1..].iter().zip(pattern).map(|(t, s)| t * s).sum::<f64>()
            };
            t.chunks_exact(k + 1).enumerate().map(row).collect()
        };
        rows.z.chunks(BLOCK * self.q).enumerate().flat_map(values).collect()
    }

    /// Sums over rows of residual times design row.
    pub(crate) fn gradient(&self, rows: Rows<'_>) -> Vec<f64> {
        let k = self.terms.len();
        let mut out = vec![0.0; self.terms.theta.len()];
        let mut factors = Vec::with_capacity(BLOCK * (k + 1));
        for (b, z) in rows.z.chunks(BLOCK * self.q).enumerate() {
            let (start, count) = (b * BLOCK, z.len() / self.q);
            factors.clear();
            for (i, e) in self.evaluation.residual[start..start + count].iter().enumerate() {
                factors.push(*e);
                factors.extend(self.evaluation.pattern[(start + i) * k..(start + i + 1) * k].iter().map(|s| s * e));
            }
            add_product(&mut out, &factors, z, count);
        }
        out
    }

    /// `Jᵀ F` for columns F given row-major (`n x m`), as `p x m`; J is the design of the linearised problem.
    pub(crate) fn project(&self, rows: Rows<'_>, columns: &[f64]) -> Vec<f64> {
        let (q, n, k) = (self.q, rows.n(), self.terms.len());
        let m = columns.len() / n.max(1);
        let mut out = vec![0.0; q * (k + 1) * m];
        let mut design = Vec::with_capacity(BLOCK * q * (k + 1));
        for (b, z) in rows.z.chunks(BLOCK * q).enumerate() {
            let (start, count) = (b * BLOCK, z.len() / q);
            design.clear();
            for (i, z) in z.chunks_exact(q).enumerate() {
                design.extend_from_slice(z);
                for s in &self.evaluation.pattern[(start + i) * k..(start + i + 1) * k] {
                    design.extend(z.iter().map(|v| v * s));
                }
            }
            add_product(&mut out, &design, &columns[start * m..(start + count) * m], count);
        }
        out
    }

    /// For each term, the increase of the loss if it is removed and the others are fitted again on their present pattern,
    /// with the remaining terms (the quadratic estimate of Hassibi and Stork's optimal brain surgeon).
    pub(crate) fn removals(&self, rows: Rows<'_>) -> Vec<(f64, Terms)> {
        let (q, k) = (self.q, self.terms.len());
        let p = q * (k + 1);
        let mut unit = vec![0.0; p * p];
        unit.iter_mut().step_by(p + 1).for_each(|v| *v = 1.0);
        let Some(inverse) = solve_ridged(self.matrix(), p, 1e-10, &unit) else { return Vec::new() };
        // At a minimum on a kink, the linearised problem may still have a direction of descent.
        let gradient = self.gradient(rows);
        let free: Vec<f64> = inverse.chunks_exact(p).map(|row| dot(row, &gradient)).collect();
        let descent = dot(&gradient, &free);
        let remove = |i: usize| {
            let block = (i + 1) * q..(i + 2) * q;
            let a: Vec<f64> = block.clone().map(|c| self.terms.theta[c] + free[c]).collect();
            let inner = block.clone().flat_map(|r| inverse[r * p..][block.clone()].iter().copied()).collect();
            let multiplier = solve_ridged(inner, q, 0.0, &a)?;
            let rise = dot(&a, &multiplier) - descent;
            let rows = inverse.chunks_exact(p).zip(&free);
            let step: Vec<f64> = rows.map(|(row, free)| free - dot(&row[block.clone()], &multiplier)).collect();
            let mut terms = self.terms.moved(&step);
            terms.remove(i);
            Some((rise, terms))
        };
        (0..k).filter_map(remove).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(n: usize, q: usize) -> (Vec<f64>, Vec<f64>) {
        let wave = |i: usize| (i as f64 * 0.754_877_666 + 1.3 * (i as f64).sqrt()).sin();
        ((0..n * q).map(wave).collect(), (0..n).map(|i| wave(7 * i + 3)).collect())
    }

    fn some_terms() -> Terms {
        let mut terms = Terms::zero(3);
        terms.push(&[0.7, -0.2, 0.4], 1.0);
        terms.push(&[-0.1, 0.5, 0.3], -1.0);
        terms
    }

    #[test]
    fn updated_blocks_are_those_of_the_new_signs() {
        let (z, y) = data(700, 3);
        let rows = Rows { z: &z, y: &y, q: 3 };
        let old = evaluate(rows, &some_terms()).pattern;
        for share in [13, 2, 1] {
            let new: Vec<f64> =
                old.iter().enumerate().map(|(i, s)| if (i / 2) % share == 0 && i % 2 == 1 { -s } else { *s }).collect();
            let mut updated = Blocks::new(rows, &old);
            updated.update(rows, &old, &new);
            let (a, b) = (updated.matrix(3, 2), Blocks::new(rows, &new).matrix(3, 2));
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-10));
            assert_ne!(b, Blocks::new(rows, &old).matrix(3, 2));
        }
    }

    #[test]
    fn matrix_and_gradient_are_those_of_the_design() {
        let (z, y) = data(300, 3);
        let rows = Rows { z: &z, y: &y, q: 3 };
        let fit = Fit::at(rows, some_terms());
        let p = 9;
        let row = |i: usize| -> Vec<f64> {
            let signs = [1.0, fit.evaluation.pattern[2 * i], fit.evaluation.pattern[2 * i + 1]];
            signs.iter().flat_map(|s| rows.row(i).iter().map(move |v| v * s)).collect()
        };
        let (mut matrix, mut gradient) = (vec![0.0; p * p], vec![0.0; p]);
        for i in 0..300 {
            let row = row(i);
            assert!((dot(&row, &fit.terms.theta) + fit.evaluation.residual[i] - y[i]).abs() < 1e-14);
            for a in 0..p {
                gradient[a] += row[a] * fit.evaluation.residual[i];
                (0..p).for_each(|b| matrix[a * p + b] += row[a] * row[b]);
            }
        }
        assert!(fit.matrix().iter().zip(&matrix).all(|(a, b)| (a - b).abs() < 1e-10));
        assert!(fit.gradient(rows).iter().zip(&gradient).all(|(a, b)| (a - b).abs() < 1e-10));
        let projected = fit.project(rows, &fit.evaluation.residual);
        assert!(projected.iter().zip(&gradient).all(|(a, b)| (a - b).abs() < 1e-10));
    }

    #[test]
    fn a_fit_descends_to_planted_terms_and_turns_a_wrong_sign() {
        let (z, zero) = data(900, 3);
        let truth = some_terms();
        let rows = Rows { z: &z, y: &vec![0.0; zero.len()], q: 3 };
        let y: Vec<f64> = evaluate(rows, &truth).residual.iter().map(|r| -r).collect();
        let rows = Rows { z: &z, y: &y, q: 3 };
        let mut start = truth.clone();
        start.theta.iter_mut().enumerate().for_each(|(i, t)| *t += 0.05 * (i as f64).cos());
        start.signs[1] = 1.0;
        let fit = Fit::new(rows, start, Stop { steps: 60, decrease: 0.0, floor: 0.0, control: &Control::default() });
        assert!(fit.loss < 1e-24, "{}", fit.loss);
        assert_eq!(fit.terms.signs, truth.signs);
    }

    #[test]
    fn the_estimated_rise_of_a_removal_is_that_of_the_linearised_problem() {
        let (z, y) = data(900, 3);
        let rows = Rows { z: &z, y: &y, q: 3 };
        let fit =
            Fit::new(rows, some_terms(), Stop { steps: 60, decrease: 0.0, floor: 0.0, control: &Control::default() });
        let removals = fit.removals(rows);
        assert_eq!(removals.len(), 2);
        for (i, (rise, terms)) in removals.iter().enumerate() {
            let mut step: Vec<f64> = fit.terms.theta.iter().map(|t| -t).collect();
            let kept = (1 - i + 1) * 3;
            for at in [0..3, kept..kept + 3] {
                let from = if at.start == 0 { 0 } else { 3 };
                (0..3).for_each(|a| step[at.start + a] += terms.theta[from + a]);
            }
            let change = fit.change(rows, &step);
            let loss: f64 = fit.evaluation.residual.iter().zip(&change).map(|(e, c)| (e - c).powi(2)).sum();
            assert!((loss - fit.loss - rise).abs() < 1e-6 * loss, "{loss} {} {rise}", fit.loss);
            assert!(*rise > 0.0);
        }
    }
}

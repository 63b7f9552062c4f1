//! Search for neurons in all dimensions for few rows: Levenberg-Marquardt fits of y ≈ w·z + Σ s_i relu(a_i·z) from many
//! starts, each of which is then improved by exchanging neurons.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::ArrayView2;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use rayon::prelude::*;

use super::lm::{Rows, dot};
use super::{below, normal};
use crate::control::Control;
use crate::error::{Error, Result};
use crate::linalg::{self, product_transposed};

/// Number of candidate directions for the next neuron.
const SCREENED: usize = 64;
/// Number of steps after which a fit ends unless it improves by the factor `SLOW` per step.
const WARM_UP: usize = 40;
const SLOW: f64 = 1e-3;
const MOST_STEPS: usize = 300;
/// Number of unsuccessful exchanges of neurons after which a start ends.
const STALLS: usize = 6;
/// Number of starts that run in parallel and share the remaining budget.
const BATCH: usize = 8;

/// The function w·z + Σ s_i relu(a_i·z), w zero outside the columns that may be affine.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// w on the affine columns, then a_1, ..., a_k row-major.
    pub theta: Vec<f64>,
    /// s_1, ..., s_k, each 1 or -1.
    pub signs: Vec<f64>,
}

/// Bounds and termination criteria of a direct search.
#[derive(Clone, Debug)]
pub struct DirectOptions {
    /// Number of neurons.
    pub k: usize,
    /// Columns of the inputs on which the affine part may depend.
    pub affine: Range<usize>,
    /// Whether the last column of the inputs is the constant 1.
    pub constant: bool,
    /// Seed of every random choice.
    pub seed: u64,
    /// Mean squared residual at which the search ends.
    pub floor: f64,
    /// Budget in floating-point operations.
    pub budget: u64,
}

/// The best network of a direct search.
#[derive(Clone, Debug)]
pub struct DirectFound {
    /// The network.
    pub network: Network,
    /// Mean squared residual on all rows.
    pub loss: f64,
    /// Number of starts tried.
    pub starts: usize,
}

/// A network with its residuals.
#[derive(Clone, Debug)]
struct Fit {
    network: Network,
    /// a_i·z, `n x k`.
    heights: Vec<f64>,
    residual: Vec<f64>,
    loss: f64,
}

struct Direct<'a> {
    rows: Rows<'a>,
    options: &'a DirectOptions,
    /// Sum of squares that counts as zero.
    floor: f64,
    /// Budget of one start in floating-point operations.
    allowance: u64,
    /// Whether neurons are also searched in fewer dimensions.
    flattens: bool,
}

impl Direct<'_> {
    fn affine(&self) -> Range<usize> {
        self.options.affine.clone()
    }

    fn at(&self, network: Network) -> Fit {
        let (q, m, k) = (self.rows.q, self.affine().len(), network.signs.len());
        let heights = if k > 0 { product_transposed(self.rows.z, &network.theta[m..], q) } else { Vec::new() };
        let (mut residual, mut loss) = (Vec::with_capacity(self.rows.n()), 0.0);
        for (i, y) in self.rows.y.iter().enumerate() {
            let mut e = y - dot(&self.rows.row(i)[self.affine()], &network.theta[..m]);
            for (h, s) in heights[i * k..(i + 1) * k].iter().zip(&network.signs) {
                e -= s * h.max(0.0);
            }
            loss += e * e;
            residual.push(e);
        }
        Fit { network, heights, residual, loss }
    }

    /// Rows of the linearised problem, on the pattern of `fit`: `n x p`.
    fn design(&self, fit: &Fit) -> Vec<f64> {
        let (q, m, k) = (self.rows.q, self.affine().len(), fit.network.signs.len());
        let p = m + k * q;
        let mut design = vec![0.0; self.rows.n() * p];
        for (i, row) in design.chunks_exact_mut(p).enumerate() {
            let z = self.rows.row(i);
            row[..m].copy_from_slice(&z[self.affine()]);
            for (j, (h, s)) in fit.heights[i * k..(i + 1) * k].iter().zip(&fit.network.signs).enumerate() {
                if *h > 0.0 {
                    row[m + j * q..m + (j + 1) * q].iter_mut().zip(z).for_each(|(to, z)| *to = s * z);
                }
            }
        }
        design
    }

    /// The network after a step of the linearised problem. If a step reverses the direction of a vector, the sign of its
    /// neuron changes: on the fixed pattern, b·z with b ≈ -c a is -relu(-b·z).
    fn moved(&self, network: &Network, step: &[f64]) -> Network {
        let (q, m) = (self.rows.q, self.affine().len());
        let mut theta: Vec<f64> = network.theta.iter().zip(step).map(|(t, d)| t + d).collect();
        let mut signs = network.signs.clone();
        for (i, sign) in signs.iter_mut().enumerate() {
            let block = m + i * q..m + (i + 1) * q;
            if dot(&network.theta[block.clone()], &theta[block.clone()]) < 0.0 {
                theta[block].iter_mut().for_each(|t| *t = -*t);
                *sign = -*sign;
            }
        }
        Network { theta, signs }
    }

    /// Minimises the sum of squares from `start` until the decrease is small, or until `stop` returns true.
    fn descend(&self, start: Network, most: usize, work: &mut u64, stop: &dyn Fn() -> bool) -> Fit {
        let (n, p) = (self.rows.n(), start.theta.len());
        let mut fit = self.at(start);
        let mut damping = 0.1;
        for step in 0..most {
            if fit.loss <= self.floor || p == 0 || *work >= self.allowance || stop() {
                break;
            }
            let design = self.design(&fit);
            let normal = linalg::normal_matrix(&design, n);
            let gradient = linalg::product_with_vector(&design, &fit.residual);
            *work += (n * p * p + 4 * n * p) as u64;
            let least = 1e-6 * (0..p).map(|i| normal[i * p + i]).sum::<f64>() / p as f64;
            let before = fit.loss;
            let mut better = None;
            for _ in 0..6 {
                *work += (p * p * p / 3 + 2 * n * p) as u64;
                let mut damped = normal.clone();
                for i in 0..p {
                    damped[i * p + i] += damping * (damped[i * p + i] + least);
                }
                if let Some(step) = solved(&damped, p, &gradient) {
                    let next = self.at(self.moved(&fit.network, &step));
                    if next.loss < fit.loss {
                        better = Some(next);
                        break;
                    }
                }
                damping = (damping * 4.0).min(1e6);
            }
            let Some(next) = better else { break };
            fit = next;
            damping = (damping / 5.0).max(1e-12);
            if step > WARM_UP && before - fit.loss < SLOW * before || before - fit.loss < 1e-7 * before {
                break;
            }
        }
        fit
    }

    /// A random unit vector; with biases, one whose kink passes through a row.
    fn draw(&self, rng: &mut Xoshiro256PlusPlus) -> Vec<f64> {
        let (q, n) = (self.rows.q, self.rows.n());
        let mut c: Vec<f64> = (0..q).map(|_| normal(rng)).collect();
        if self.options.constant {
            let i = self.rows.row(below(rng, n));
            c[q - 1] = -dot(&c[..q - 1], &i[..q - 1]) / i[q - 1];
        }
        let norm = dot(&c, &c).sqrt();
        c.iter_mut().for_each(|c| *c /= norm);
        c
    }

    /// A network of `k` random directions with fitted amplitudes and affine part.
    fn random(&self, k: usize, rng: &mut Xoshiro256PlusPlus) -> Network {
        let (n, q, m) = (self.rows.n(), self.rows.q, self.affine().len());
        let directions: Vec<f64> = (0..k).flat_map(|_| self.draw(rng)).collect();
        let heights = product_transposed(self.rows.z, &directions, q);
        let p = m + k;
        let mut design = Vec::with_capacity(n * p);
        for (i, h) in heights.chunks_exact(k).enumerate() {
            design.extend_from_slice(&self.rows.row(i)[self.affine()]);
            design.extend(h.iter().map(|h| h.max(0.0)));
        }
        let mut matrix = linalg::normal_matrix(&design, n);
        let ridge = 0.01 * (0..p).map(|i| matrix[i * p + i]).sum::<f64>() / p as f64;
        (0..p).for_each(|i| matrix[i * p + i] += ridge);
        let right = linalg::product_with_vector(&design, self.rows.y);
        let amplitudes = solved(&matrix, p, &right).unwrap_or_else(|| vec![1.0; p]);
        let mut theta = amplitudes[..m].to_vec();
        for (direction, c) in directions.chunks_exact(q).zip(&amplitudes[m..]) {
            theta.extend(direction.iter().map(|d| d * c.abs()));
        }
        Network { theta, signs: amplitudes[m..].iter().map(|c| 1f64.copysign(*c)).collect() }
    }

    /// `fit` with one more neuron along the candidate direction that correlates most with the residual.
    fn grown(&self, fit: &Fit, rng: &mut Xoshiro256PlusPlus, work: &mut u64) -> Network {
        let q = self.rows.q;
        let directions: Vec<f64> = (0..SCREENED).flat_map(|_| self.draw(rng)).collect();
        let heights = product_transposed(self.rows.z, &directions, q);
        *work += (2 * self.rows.n() * q * SCREENED) as u64;
        let (mut along, mut norm) = (vec![0.0; SCREENED], vec![0.0; SCREENED]);
        for (h, e) in heights.chunks_exact(SCREENED).zip(&fit.residual) {
            for c in 0..SCREENED {
                let v = h[c].max(0.0);
                along[c] += v * e;
                norm[c] += v * v;
            }
        }
        let gain = |c: usize| if norm[c] > 0.0 { along[c] * along[c] / norm[c] } else { 0.0 };
        let best = (0..SCREENED).fold(0, |b, c| if gain(c) > gain(b) { c } else { b });
        let amplitude = if norm[best] > 0.0 { along[best] / norm[best] } else { 1e-3 };
        let mut network = fit.network.clone();
        network.theta.extend(directions[best * q..(best + 1) * q].iter().map(|d| d * amplitude.abs()));
        network.signs.push(1f64.copysign(amplitude));
        network
    }

    fn without(&self, network: &Network, i: usize) -> Network {
        let (q, m) = (self.rows.q, self.affine().len());
        let mut network = network.clone();
        network.theta.drain(m + i * q..m + (i + 1) * q);
        network.signs.remove(i);
        network
    }

    /// The best of `fit` and fits with neurons exchanged.
    fn exchanged(&self, fit: Fit, rng: &mut Xoshiro256PlusPlus, work: &mut u64, stop: &dyn Fn() -> bool) -> Fit {
        let k = fit.network.signs.len();
        let (mut best, mut stalled) = (fit, 0);
        while stalled < STALLS && best.loss > self.floor && *work < self.allowance && !stop() {
            let next = if stalled % 3 == 2 && self.flattens && k > 2 {
                let rank = 1 + below(rng, (k - 1).min(self.rows.q - 1));
                self.descend(self.flattened(&best, rank, rng, work, stop), MOST_STEPS, work, stop)
            } else if self.rows.n() > best.network.theta.len() + self.rows.q && stalled % 3 == 0 {
                let wide = self.descend(self.grown(&best, rng, work), 30, work, stop);
                let tried: Vec<Fit> =
                    (0..=k).map(|i| self.descend(self.without(&wide.network, i), 4, work, stop)).collect();
                let Some(least) = tried.into_iter().min_by(|a, b| a.loss.total_cmp(&b.loss)) else { break };
                self.descend(least.network, MOST_STEPS, work, stop)
            } else {
                let fewer = self.at(self.without(&best.network, below(rng, k)));
                self.descend(self.grown(&fewer, rng, work), MOST_STEPS, work, stop)
            };
            if next.loss < 0.999 * best.loss {
                best = next;
                stalled = 0;
            } else {
                stalled += 1;
            }
        }
        best
    }

    /// A network whose neurons are searched in the span of the `rank` leading directions of the neurons of `fit`. If
    /// the neurons span fewer dimensions than there are, an overfitted network shows this span before the neurons.
    fn flattened(
        &self,
        fit: &Fit,
        rank: usize,
        rng: &mut Xoshiro256PlusPlus,
        work: &mut u64,
        stop: &dyn Fn() -> bool,
    ) -> Network {
        let (q, m, k, n) = (self.rows.q, self.affine().len(), fit.network.signs.len(), self.rows.n());
        let inputs = q - usize::from(self.options.constant);
        let vectors: Vec<f64> =
            fit.network.theta[m..].chunks_exact(q).flat_map(|a| a[..inputs].iter().copied()).collect();
        let gram = product_transposed(&transposed(&vectors, inputs), &transposed(&vectors, inputs), k);
        let Some(basis) = leading(&gram, inputs, rank) else { return fit.network.clone() };
        // Rows in the coordinates of the span; the affine part off the span is not changed.
        let flat = rank + q - inputs;
        let mut z = Vec::with_capacity(n * flat);
        let mut y = Vec::with_capacity(n);
        for i in 0..n {
            let row = self.rows.row(i);
            z.extend(basis.chunks_exact(inputs).map(|v| dot(v, &row[..inputs])));
            z.extend_from_slice(&row[inputs..]);
            y.push(self.rows.y[i] - dot(&row[self.affine()], &fit.network.theta[..m]));
        }
        let affine = if m == 0 {
            flat..flat
        } else if m < q {
            rank..flat
        } else {
            0..flat
        };
        let options = DirectOptions { affine: affine.clone(), ..self.options.clone() };
        let rows = Rows { z: &z, y: &y, q: flat };
        let inner = Direct { rows, options: &options, flattens: false, ..*self };
        let start = inner.descend(inner.random(k, rng), MOST_STEPS, work, stop);
        let found = inner.exchanged(start, rng, work, stop).network;
        // Back to all coordinates.
        let mut theta = fit.network.theta[..m].to_vec();
        let lifted = |v: &[f64]| -> Vec<f64> {
            let mut out = vec![0.0; inputs];
            for (v, b) in v.iter().zip(basis.chunks_exact(inputs)) {
                out.iter_mut().zip(b).for_each(|(o, b)| *o += v * b);
            }
            out.extend_from_slice(&v[rank..]);
            out
        };
        if m > 0 {
            let mut full = vec![0.0; rank + q - inputs];
            full[affine.clone()].copy_from_slice(&found.theta[..affine.len()]);
            let full = lifted(&full);
            theta.iter_mut().zip(&full[self.affine()]).for_each(|(t, f)| *t += f);
        }
        for a in found.theta[affine.len()..].chunks_exact(flat) {
            theta.extend(lifted(a));
        }
        Network { theta, signs: found.signs }
    }
}

/// `aᵀ` for row-major `a` with `i` columns.
fn transposed(a: &[f64], i: usize) -> Vec<f64> {
    (0..i).flat_map(|c| a.iter().skip(c).step_by(i).copied()).collect()
}

/// The eigenvectors of the `rank` largest eigenvalues, one after another.
fn leading(a: &[f64], n: usize, rank: usize) -> Option<Vec<f64>> {
    let (_, vectors) = linalg::eigh(ArrayView2::from_shape((n, n), a).ok()?).ok()?;
    Some((0..rank.min(n)).flat_map(|j| vectors.column(n - 1 - j).to_vec()).collect())
}

/// `a⁻¹ b`, or `None` if `a` is not positive definite.
fn solved(a: &[f64], n: usize, b: &[f64]) -> Option<Vec<f64>> {
    let x = linalg::solve_spd(ArrayView2::from_shape((n, n), a).ok()?, ArrayView2::from_shape((n, 1), b).ok()?).ok()?;
    x.iter().all(|v| v.is_finite()).then(|| x.into_raw_vec_and_offset().0)
}

/// The best network with `k` neurons found from `starts` and from random ones, on all rows.
///
/// # Errors
/// Shapes that do not fit together, and [`Error::Cancelled`].
pub fn direct(
    z: &[f64],
    q: usize,
    y: &[f64],
    starts: &[Network],
    options: &DirectOptions,
    control: &Control,
) -> Result<DirectFound> {
    let (m, k, n) = (options.affine.len(), options.k, y.len());
    if q == 0 || n == 0 || z.len() != n * q || options.affine.end > q {
        let message = format!("expected a label for each row, got {n} labels for {} inputs", z.len());
        return Err(Error::argument("y", message));
    }
    if k == 0 {
        return Err(Error::argument("k", "expected at least one neuron"));
    }
    if let Some(start) = starts.iter().find(|s| s.signs.len() != k || s.theta.len() != m + k * q) {
        return Err(Error::argument("starts", format!("expected {k} vectors of {q} columns, got {start:?}")));
    }
    let rows = Rows { z, y, q };
    let floor = options.floor * rows.n() as f64;
    let this = Direct { rows, options, floor, allowance: options.budget / BATCH as u64, flattens: true };
    let mut best: Option<Fit> = None;
    let (mut spent, mut tried) = (0, 0);
    while spent < options.budget && best.as_ref().is_none_or(|b| b.loss > floor) && !control.is_cancelled() {
        // A start that reaches the floor ends only later starts, so that the result does not depend on the threads.
        let first = AtomicUsize::new(usize::MAX);
        let fits: Vec<(Fit, u64)> = (tried..tried + BATCH)
            .into_par_iter()
            .map(|i| {
                let mut rng =
                    Xoshiro256PlusPlus::seed_from_u64(options.seed.wrapping_mul(0x9e37_79b9).wrapping_add(i as u64));
                let stop = || control.is_cancelled() || first.load(Ordering::Relaxed) < i;
                let mut work = 0;
                let start = starts.get(i).cloned().unwrap_or_else(|| this.random(options.k, &mut rng));
                let fit = this.descend(start, MOST_STEPS, &mut work, &stop);
                let fit = this.exchanged(fit, &mut rng, &mut work, &stop);
                if fit.loss <= floor {
                    first.fetch_min(i, Ordering::Relaxed);
                }
                (fit, work)
            })
            .collect();
        let success = fits.iter().position(|(f, _)| f.loss <= floor);
        spent += fits.iter().map(|f| f.1).sum::<u64>();
        if let Some(i) = success {
            tried += i + 1;
            best = fits.into_iter().nth(i).map(|f| f.0);
        } else {
            tried += BATCH;
            let candidates = best.into_iter().chain(fits.into_iter().map(|f| f.0));
            best = candidates.min_by(|a, b| a.loss.total_cmp(&b.loss));
        }
    }
    if control.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let Some(best) = best else { return Err(Error::argument("budget", "expected operations to spend, got none")) };
    Ok(DirectFound { network: best.network, loss: best.loss / rows.n() as f64, starts: tried })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Independent normal rows and the labels of `k` random neurons.
    fn planted(n: usize, q: usize, k: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut draw = |count: usize| -> Vec<f64> { (0..count).map(|_| normal(&mut rng)).collect() };
        let (z, a) = (draw(n * q), draw(k * q));
        let heights = product_transposed(&z, &a, q);
        let signed =
            |h: &[f64]| h.iter().enumerate().map(|(i, h)| if i % 2 == 0 { h.max(0.0) } else { -h.max(0.0) }).sum();
        (z, heights.chunks_exact(k).map(signed).collect())
    }

    fn options(k: usize, affine: Range<usize>) -> DirectOptions {
        DirectOptions { k, affine, constant: false, seed: 3, floor: 1e-22, budget: 2_000_000_000 }
    }

    #[test]
    fn twice_as_many_rows_as_parameters_show_the_network() -> Result<()> {
        let (z, y) = planted(60, 10, 3, 1);
        let found = direct(&z, 10, &y, &[], &options(3, 10..10), &Control::default())?;
        assert!(found.loss <= 1e-22, "{}", found.loss);
        let again = pool_of(3)?.install(|| direct(&z, 10, &y, &[], &options(3, 10..10), &Control::default()))?;
        assert_eq!(found.network, again.network);
        Ok(())
    }

    fn pool_of(threads: usize) -> Result<std::sync::Arc<rayon::ThreadPool>> {
        crate::sweep::pool(Some(threads))
    }

    #[test]
    fn a_linear_part_is_found_beside_the_neurons() -> Result<()> {
        let (z, mut y) = planted(120, 8, 2, 2);
        y.iter_mut().zip(z.chunks_exact(8)).for_each(|(y, z)| *y += 0.7 * z[0] - 0.2 * z[5]);
        let found = direct(&z, 8, &y, &[], &options(2, 0..8), &Control::default())?;
        assert!(found.loss <= 1e-22, "{}", found.loss);
        Ok(())
    }

    #[test]
    fn arguments_are_checked() {
        let (z, y) = planted(20, 2, 1, 1);
        let control = Control::default();
        assert!(direct(&z, 3, &y, &[], &options(1, 0..0), &control).is_err());
        assert!(direct(&z, 2, &y, &[], &options(0, 0..0), &control).is_err());
        assert!(direct(&z, 2, &y, &[], &options(1, 0..3), &control).is_err());
        let wrong = Network { theta: vec![0.0; 3], signs: vec![1.0] };
        assert!(direct(&z, 2, &y, &[wrong], &options(1, 0..0), &control).is_err());
        control.cancel();
        assert!(matches!(direct(&z, 2, &y, &[], &options(1, 0..0), &control), Err(Error::Cancelled)));
    }
}

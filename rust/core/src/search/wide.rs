//! Search for many neurons at once.
//!
//! A network with more neurons than wanted is fitted by stochastic gradient descent, neurons on one line are merged, and
//! small ones are removed. The remaining neurons are fitted by Gauss-Newton steps whose linear problems are solved by
//! preconditioned conjugate gradients. One step costs O(n k q): the time grows like k³ if the number of rows is
//! proportional to the number of parameters k q, and q to k.

use std::ops::Range;

use ndarray::ArrayView2;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use rayon::prelude::*;

use super::lm::{Rows, Terms, dot};
use super::{below, normal};
use crate::control::Control;
use crate::error::{Error, Result};
use crate::linalg::{self, add_product, product_transposed, single};

/// Number of rows of a stochastic gradient, and of the parts of it that are divided among threads.
const BATCH: usize = 512;
const PART: usize = 128;
/// Number of rows that a task of a full pass sums.
const CHUNK: usize = 1024;
/// Learning rates of the first and of later searches, and the share of a search during which the rate increases.
const RATES: [f32; 2] = [0.01, 0.004];
const RISE: f32 = 0.1;
/// Decay of the running means of gradients and of their squares [Kingma and Ba 2015].
const MEANS: (f32, f32) = (0.9, 0.999);
/// Neurons with a cosine above this are merged; neurons below this share of the median size are removed.
const SAME: f64 = 0.995;
const SMALL: f64 = 0.02;
/// Gauss-Newton steps of a fit, conjugate-gradient steps of each, and the relative residual at which they end.
const STEPS: usize = 40;
/// Gauss-Newton steps before superfluous neurons, which make the linear problems singular, are removed.
const FIRST_STEPS: usize = 4;
const INNER: usize = 60;
const INNER_TOLERANCE: f64 = 1e-3;

/// Bounds and termination criteria of a wide search.
#[derive(Clone, Debug)]
pub struct WideOptions {
    /// Largest number of neurons.
    pub k: usize,
    /// Whether the last column of the inputs is the constant 1.
    pub constant: bool,
    /// Seed of every random choice.
    pub seed: u64,
    /// Mean squared residual at which the search ends.
    pub floor: f64,
    /// Rows that the stochastic gradients of the first search visit, with repetition.
    pub visits: usize,
    /// Number of further searches for neurons in the residual.
    pub rounds: usize,
}

/// w·z + Σ c_i relu(a_i·z) in single precision, with the running means of its gradients.
struct Student {
    q: usize,
    /// a_1, ..., a_K, then c, then w.
    parameters: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    n_neurons: usize,
    taken: i32,
}

impl Student {
    fn new(q: usize, parameters: Vec<f32>, n_neurons: usize) -> Self {
        let zeros = vec![0.0; parameters.len()];
        Student { q, parameters, first: zeros.clone(), second: zeros, n_neurons, taken: 0 }
    }

    /// Gradient of the mean squared residual over the rows, summed by parts in their order.
    fn gradient(&self, z: &[f32], y: &[f32]) -> Vec<f32> {
        let parts: Vec<Vec<f32>> =
            z.par_chunks(PART * self.q).zip(y.par_chunks(PART)).map(|(z, y)| self.part(z, y)).collect();
        let mut sum = vec![0.0; self.parameters.len()];
        for part in &parts {
            sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
        }
        let scale = 1.0 / y.len() as f32;
        sum.iter_mut().for_each(|s| *s *= scale);
        sum
    }

    fn part(&self, z: &[f32], y: &[f32]) -> Vec<f32> {
        let (n, q, k) = (y.len(), self.q, self.n_neurons);
        let (a, c, w) = (&self.parameters[..k * q], &self.parameters[k * q..k * q + k], &self.parameters[k * q + k..]);
        let mut heights = single::product_transposed(z, a, q);
        let mut gradient = vec![0.0_f32; self.parameters.len()];
        let (along_a, rest) = gradient.split_at_mut(k * q);
        let (along_c, along_w) = rest.split_at_mut(k);
        for ((h, z), y) in heights.chunks_exact_mut(k).zip(z.chunks_exact(q)).zip(y) {
            let e = lanes(z, w, |z, w| z * w) + lanes(h, c, |h, c| h.max(0.0) * c) - y;
            along_w.iter_mut().zip(z).for_each(|(g, z)| *g += e * z);
            for ((h, c), g) in h.iter_mut().zip(c).zip(along_c.iter_mut()) {
                *g += e * h.max(0.0);
                *h = if *h > 0.0 { e * c } else { 0.0 };
            }
        }
        single::add_product(along_a, &heights, z, n);
        gradient
    }

    /// A step of the size `rate` along the running mean of gradients, each in units of its root mean square.
    fn step(&mut self, gradient: &[f32], rate: f32) {
        self.taken += 1;
        let (one, two) = MEANS;
        let (sure, sure_of_squares) = (1.0 - one.powi(self.taken), 1.0 - two.powi(self.taken));
        for (((p, m), v), g) in self.parameters.iter_mut().zip(&mut self.first).zip(&mut self.second).zip(gradient) {
            *m = one * *m + (1.0 - one) * g;
            *v = two * *v + (1.0 - two) * g * g;
            *p -= rate * (*m / sure) / ((*v / sure_of_squares).sqrt() + 1e-8);
        }
    }

    /// The same function as w·z + Σ s_i |a_i·z|.
    fn terms(&self, scale: f64) -> Terms {
        let (q, k) = (self.q, self.n_neurons);
        let value = |v: &f32| f64::from(*v) * scale;
        let mut terms = Terms::zero(q);
        terms.theta.iter_mut().zip(&self.parameters[k * q + k..]).for_each(|(t, w)| *t = value(w));
        for (a, c) in self.parameters[..k * q].chunks_exact(q).zip(&self.parameters[k * q..]) {
            let half: Vec<f64> = a.iter().map(|a| value(a) * f64::from(*c) / 2.0).collect();
            terms.theta[..q].iter_mut().zip(&half).for_each(|(t, h)| *t += h);
            let sign = 1f64.copysign(f64::from(*c));
            terms.push(&half.iter().map(|h| h * sign).collect::<Vec<f64>>(), sign);
        }
        terms
    }
}

struct Wide<'a> {
    rows: Rows<'a>,
    single: Vec<f32>,
    labels: Vec<f32>,
    scale: f64,
    options: &'a WideOptions,
    control: &'a Control,
}

impl Wide<'_> {
    /// `terms` and random neurons, `width` in total, fitted by stochastic gradients that visit a given number of rows.
    fn expanded(&self, terms: &Terms, width: usize, visits: usize, rate: f32, rng: &mut Xoshiro256PlusPlus) -> Terms {
        let (q, n) = (self.rows.q, self.rows.n());
        let width = width.max(terms.len());
        let single = |v: f64| (v / self.scale) as f32;
        let (mut a, mut c) = (Vec::with_capacity(width * q + width + q), Vec::with_capacity(width));
        let mut w: Vec<f32> = terms.theta[..q].iter().map(|w| single(*w)).collect();
        for (i, sign) in terms.signs.iter().enumerate() {
            // s |a·z| = 2 s relu(a·z) - s a·z, the factor shared evenly.
            let size = (2.0 * dot(terms.a(i), terms.a(i)).sqrt() / self.scale).sqrt().max(1e-3);
            a.extend(terms.a(i).iter().map(|v| single(2.0 * v / size)));
            c.push((size * sign) as f32);
            w.iter_mut().zip(terms.a(i)).for_each(|(w, a)| *w -= single(sign * a));
        }
        let (height, inputs) = (1.0 / (width as f64).sqrt(), q - usize::from(self.options.constant));
        for i in terms.len()..width {
            a.extend((0..q).map(|j| if j < inputs { (normal(rng) / (inputs as f64).sqrt()) as f32 } else { 0.0 }));
            c.push(if i % 2 == 0 { -height as f32 } else { height as f32 });
        }
        a.extend(c);
        a.extend(w);
        let mut student = Student::new(q, a, width);
        let n_batches = n / BATCH.min(n);
        let (batch, steps) = (BATCH.min(n), (visits / BATCH).max(1));
        let mut order: Vec<usize> = (0..n_batches).collect();
        for step in 0..steps {
            if self.control.is_cancelled() {
                break;
            }
            let at = step % n_batches;
            if at == 0 {
                (1..n_batches).rev().for_each(|i| order.swap(i, below(rng, i + 1)));
            }
            let first = order[at] * batch;
            let gradient =
                student.gradient(&self.single[first * q..(first + batch) * q], &self.labels[first..first + batch]);
            let done = step as f32 / steps as f32;
            let falling = 0.5 * (1.0 + (std::f32::consts::PI * (done - RISE) / (1.0 - RISE)).cos());
            student.step(&gradient, rate * if done < RISE { done / RISE } else { falling });
        }
        student.terms(self.scale)
    }

    /// Merges neurons on one line and removes those of negligible size.
    fn collapsed(&self, terms: &Terms) -> Terms {
        let q = self.rows.q;
        let size = |a: &[f64]| dot(a, a).sqrt();
        let mut clumps: Vec<Vec<f64>> = Vec::new();
        let mut order: Vec<usize> = (0..terms.len()).collect();
        order.sort_by(|i, j| size(terms.a(*j)).total_cmp(&size(terms.a(*i))).then(i.cmp(j)));
        for i in order {
            let near = |c: &Vec<f64>| dot(&c[..q], terms.a(i)).abs() > SAME * size(&c[..q]) * size(terms.a(i));
            match clumps.iter_mut().find(|c| near(c)) {
                // s |a·z| with sign and size in one vector: the sign of a clump is that of its largest neuron.
                Some(clump) => {
                    let (sign, own) = (clump[q], terms.signs[i]);
                    let side = 1f64.copysign(dot(&clump[..q], terms.a(i)));
                    clump[..q].iter_mut().zip(terms.a(i)).for_each(|(c, a)| *c += sign * own * side * a);
                }
                None => clumps.push([terms.a(i), &[terms.signs[i]]].concat()),
            }
        }
        let mut sizes: Vec<f64> = clumps.iter().map(|c| size(&c[..q])).collect();
        sizes.sort_by(|a, b| b.total_cmp(a));
        let median = sizes.get(sizes.len().min(self.options.k) / 2).copied().unwrap_or(0.0);
        let mut fewer = Terms { theta: terms.theta[..q].to_vec(), signs: Vec::new() };
        for clump in clumps.iter().filter(|c| size(&c[..q]) > SMALL * median) {
            fewer.push(&clump[..q], clump[q]);
        }
        fewer
    }

    /// The `k` largest terms.
    fn largest(&self, mut terms: Terms) -> Terms {
        while terms.len() > self.options.k {
            let size = |i: usize| dot(terms.a(i), terms.a(i));
            let least = (0..terms.len()).fold(0, |b, i| if size(i) < size(b) { i } else { b });
            terms.remove(least);
        }
        terms
    }

    fn run(&self) -> (Terms, f64) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.options.seed);
        let k = self.options.k;
        let mut best: (Terms, f64) = (Terms::zero(self.rows.q), f64::INFINITY);
        for round in 0..=self.options.rounds {
            let (rate, visits) =
                if round == 0 { (RATES[0], self.options.visits) } else { (RATES[1], self.options.visits / 3) };
            let wide = self.collapsed(&self.expanded(&best.0, k + k / 2 + 4, visits, rate, &mut rng));
            let wider = wide.len() > k;
            let (mut terms, mut loss) = self.fitted(wide, if wider { FIRST_STEPS } else { STEPS });
            let fewer = self.collapsed(&terms);
            if fewer.len() < terms.len() || terms.len() > k {
                (terms, loss) = self.fitted(self.largest(fewer), STEPS);
            }
            let stalled = loss > 0.9 * best.1;
            if loss < best.1 {
                best = (terms, loss);
            }
            if stalled || best.1 <= self.options.floor || self.control.is_cancelled() {
                break;
            }
        }
        best
    }

    /// Gauss-Newton fit from `terms`, and its mean squared residual.
    fn fitted(&self, terms: Terms, steps: usize) -> (Terms, f64) {
        let n = self.rows.n();
        let mut at = Linearised::new(self.rows, terms);
        let mut damping = 1e-6;
        for _ in 0..steps {
            if at.loss / n as f64 <= self.options.floor || self.control.is_cancelled() {
                break;
            }
            let Some(step) = at.step(self.rows, damping, self.control) else { break };
            let next = Linearised::new(self.rows, at.terms.moved(&step));
            if next.loss < at.loss {
                let gained = at.loss - next.loss;
                let slow = gained < 1e-3 * at.loss;
                at = next;
                damping = (damping / 10.0).max(1e-9);
                if slow {
                    break;
                }
            } else {
                damping = (damping * 30.0).max(1e-4);
                if damping > 1e4 {
                    break;
                }
            }
        }
        let mean = at.loss / n as f64;
        (at.terms, mean)
    }
}

/// A network with its residuals and its linearised problem for fixed signs.
struct Linearised {
    terms: Terms,
    /// Residuals.
    residual: Vec<f64>,
    /// σ_0 = 1, σ_i = s_i sign(a_i·z): `n x (k + 1)`.
    pattern: Vec<i8>,
    loss: f64,
}

impl Linearised {
    fn new(rows: Rows<'_>, terms: Terms) -> Self {
        let (q, m) = (rows.q, terms.len() + 1);
        let parts: Vec<(Vec<f64>, Vec<i8>, f64)> = chunks(rows)
            .into_par_iter()
            .map(|range| {
                let (z, y) = (&rows.z[range.start * q..range.end * q], &rows.y[range]);
                let heights = product_transposed(z, &terms.theta, q);
                let (mut residual, mut pattern, mut loss) = (Vec::with_capacity(y.len()), Vec::new(), 0.0);
                for (h, y) in heights.chunks_exact(m).zip(y) {
                    let mut e = y - h[0];
                    pattern.push(1);
                    for (h, s) in h[1..].iter().zip(&terms.signs) {
                        e -= s * h.abs();
                        pattern.push(if (*h < 0.0) == (*s < 0.0) { 1 } else { -1 });
                    }
                    loss += e * e;
                    residual.push(e);
                }
                (residual, pattern, loss)
            })
            .collect();
        let loss = parts.iter().map(|p| p.2).sum();
        let residual = parts.iter().flat_map(|p| p.0.iter().copied()).collect();
        let pattern = parts.iter().flat_map(|p| p.1.iter().copied()).collect();
        Linearised { terms, residual, pattern, loss }
    }

    /// Jᵀ e for the residuals, or Jᵀ J v for a vector v.
    fn swept(&self, rows: Rows<'_>, v: Option<&[f64]>) -> Vec<f64> {
        let (q, m) = (rows.q, self.terms.len() + 1);
        let parts: Vec<Vec<f64>> = chunks(rows)
            .into_par_iter()
            .map(|range| {
                let z = &rows.z[range.start * q..range.end * q];
                let pattern = &self.pattern[range.start * m..range.end * m];
                let mut weights = match v {
                    Some(v) => product_transposed(z, v, q),
                    None => vec![0.0; range.len() * m],
                };
                for (i, (w, p)) in weights.chunks_exact_mut(m).zip(pattern.chunks_exact(m)).enumerate() {
                    let e = match v {
                        Some(_) => lanes(w, p, |w, p: i8| w * f64::from(p)),
                        None => self.residual[range.start + i],
                    };
                    w.iter_mut().zip(p).for_each(|(w, p)| *w = e * f64::from(*p));
                }
                let mut out = vec![0.0; m * q];
                add_product(&mut out, &weights, z, range.len());
                out
            })
            .collect();
        let mut sum = vec![0.0; m * q];
        for part in &parts {
            sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
        }
        sum
    }

    /// The solution of (JᵀJ + damping C ⊗ G) step = Jᵀ e by conjugate gradients, C the mean of σ σᵀ and G that of z zᵀ.
    fn step(&self, rows: Rows<'_>, damping: f64, control: &Control) -> Option<Vec<f64>> {
        let (n, q, m) = (rows.n(), rows.q, self.terms.len() + 1);
        let overlap = self.overlap(rows);
        let mut inputs = vec![0.0; q * q];
        let sample = rows.first(16 * q.max(256));
        add_product(&mut inputs, sample.z, sample.z, sample.n());
        let (size, share) = (sample.n() as f64, n as f64);
        inputs.iter_mut().for_each(|v| *v /= size);
        let (overlap_inverse, inputs_inverse) = (inverse(&overlap, m)?, inverse(&inputs, q)?);
        let both = |left: &[f64], v: &[f64], right: &[f64]| -> Vec<f64> {
            // left v right, with symmetric left and right.
            let mut product = vec![0.0; m * q];
            add_product(&mut product, left, v, m);
            product_transposed(&product, right, q)
        };
        let gradient = self.swept(rows, None);
        let mut x = vec![0.0; m * q];
        let mut r = gradient;
        let scaled = |r: &[f64]| -> Vec<f64> {
            both(&overlap_inverse, r, &inputs_inverse).into_iter().map(|v| v / share).collect()
        };
        let mut p = scaled(&r);
        let mut rho = dot(&r, &p);
        let first = rho;
        for _ in 0..INNER {
            if control.is_cancelled() || rho <= INNER_TOLERANCE * INNER_TOLERANCE * first {
                break;
            }
            let mut image = self.swept(rows, Some(&p));
            let damped = both(&overlap, &p, &inputs);
            image.iter_mut().zip(&damped).for_each(|(i, d)| *i += damping * share * d);
            let along = dot(&p, &image);
            if !(along > 0.0) {
                break;
            }
            let alpha = rho / along;
            x.iter_mut().zip(&p).for_each(|(x, p)| *x += alpha * p);
            r.iter_mut().zip(&image).for_each(|(r, i)| *r -= alpha * i);
            let z = scaled(&r);
            let next = dot(&r, &z);
            let beta = next / rho;
            rho = next;
            p.iter_mut().zip(&z).for_each(|(p, z)| *p = z + beta * *p);
        }
        x.iter().all(|v| v.is_finite()).then_some(x)
    }

    /// Mean of σ σᵀ.
    fn overlap(&self, rows: Rows<'_>) -> Vec<f64> {
        let m = self.terms.len() + 1;
        let n = rows.n().min(16 * m.max(256));
        let signs: Vec<f64> = self.pattern[..n * m].iter().map(|p| f64::from(*p)).collect();
        let mut overlap = vec![0.0; m * m];
        add_product(&mut overlap, &signs, &signs, n);
        overlap.iter_mut().for_each(|v| *v /= n as f64);
        overlap
    }
}

/// Ranges of rows that tasks sum, which do not depend on the number of threads.
fn chunks(rows: Rows<'_>) -> Vec<Range<usize>> {
    (0..rows.n()).step_by(CHUNK).map(|start| start..(start + CHUNK).min(rows.n())).collect()
}

/// Inverse of a symmetric matrix with a small ridge.
fn inverse(a: &[f64], m: usize) -> Option<Vec<f64>> {
    let mut ridged = a.to_vec();
    for i in 0..m {
        ridged[i * m + i] *= 1.0 + 1e-6;
        ridged[i * m + i] += 1e-12;
    }
    let mut one = vec![0.0; m * m];
    one.iter_mut().step_by(m + 1).for_each(|v| *v = 1.0);
    let solved =
        linalg::solve_spd(ArrayView2::from_shape((m, m), &ridged).ok()?, ArrayView2::from_shape((m, m), &one).ok()?);
    solved.ok().map(|x| x.into_raw_vec_and_offset().0)
}

/// Sum of f(a_i, b_i) in sixteen lanes, in a fixed order.
#[inline(always)]
fn lanes<A: Copy, B: Copy, T: Copy + Default + std::ops::AddAssign>(a: &[A], b: &[B], f: impl Fn(A, B) -> T) -> T {
    let mut sums = [T::default(); 16];
    let (a16, b16) = (a.chunks_exact(16), b.chunks_exact(16));
    let mut total = T::default();
    a16.remainder().iter().zip(b16.remainder()).for_each(|(a, b)| total += f(*a, *b));
    for (a, b) in a16.zip(b16) {
        for l in 0..16 {
            sums[l] += f(a[l], b[l]);
        }
    }
    sums.into_iter().for_each(|s| total += s);
    total
}

/// The best network w·z + Σ s_i |a_i·z| with at most `k` terms, and its mean squared residual.
///
/// # Errors
/// Shapes that do not fit together, and [`Error::Cancelled`].
pub fn wide(z: &[f64], q: usize, y: &[f64], options: &WideOptions, control: &Control) -> Result<(Terms, f64)> {
    let n = y.len();
    if q == 0 || z.len() != n * q || n < 10 {
        let message = format!("expected a label for each of 10 rows or more, got {n} labels for {} inputs", z.len());
        return Err(Error::argument("y", message));
    }
    let scale = (dot(y, y) / n as f64).sqrt().max(f64::MIN_POSITIVE);
    let this = Wide {
        rows: Rows { z, y, q },
        single: z.iter().map(|v| *v as f32).collect(),
        labels: y.iter().map(|v| (v / scale) as f32).collect(),
        scale,
        options,
        control,
    };
    let found = this.run();
    if control.is_cancelled() {
        return Err(Error::Cancelled);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planted(n: usize, q: usize, k: usize) -> (Vec<f64>, Vec<f64>) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let mut draw = |count: usize| -> Vec<f64> { (0..count).map(|_| normal(&mut rng)).collect() };
        let (z, a) = (draw(n * q), draw(k * q));
        let heights = product_transposed(&z, &a, q);
        let signed = |h: &[f64]| h.iter().enumerate().map(|(i, h)| if i % 3 == 0 { -h.abs() } else { h.abs() }).sum();
        (z, heights.chunks_exact(k).map(signed).collect())
    }

    fn options(k: usize) -> WideOptions {
        WideOptions { k, constant: false, seed: 1, floor: 1e-20, visits: 200_000, rounds: 2 }
    }

    #[test]
    fn planted_neurons_are_found_with_the_same_bits_for_any_threads() -> Result<()> {
        let (z, y) = planted(3000, 6, 6);
        let run =
            |threads| crate::sweep::pool(Some(threads))?.install(|| wide(&z, 6, &y, &options(6), &Control::default()));
        let (one, three) = (run(1)?, run(3)?);
        assert!(one.1 <= 1e-20, "{}", one.1);
        assert_eq!(one.0, three.0);
        assert_eq!(one.0.len(), 6);
        Ok(())
    }

    #[test]
    fn a_step_solves_the_linearised_problem() {
        let (z, y) = planted(500, 4, 3);
        let rows = Rows { z: &z, y: &y, q: 4 };
        let mut terms = Terms::zero(4);
        terms.push(&[1.0, 0.2, 0.0, -0.3], 1.0);
        terms.push(&[0.0, -0.5, 0.7, 0.1], -1.0);
        let at = Linearised::new(rows, terms.clone());
        let step = at.step(rows, 0.0, &Control::default());
        // The remaining gradient is small compared with the one before.
        let left = step.map(|s| {
            let image = at.swept(rows, Some(&s));
            let gradient = at.swept(rows, None);
            let rest: f64 = gradient.iter().zip(&image).map(|(g, i)| (g - i).powi(2)).sum();
            (rest / dot(&gradient, &gradient)).sqrt()
        });
        assert!(left.is_some_and(|l| l < 1e-2), "{left:?}");
        assert!((at.loss - terms.loss(rows)).abs() < 1e-9 * at.loss);
    }

    #[test]
    fn terms_on_one_line_are_fused() {
        let (z, y) = planted(50, 2, 1);
        let options = options(3);
        let this = Wide {
            rows: Rows { z: &z, y: &y, q: 2 },
            single: Vec::new(),
            labels: Vec::new(),
            scale: 1.0,
            options: &options,
            control: &Control::default(),
        };
        let mut terms = Terms::zero(2);
        terms.push(&[1.0, 0.0], 1.0);
        terms.push(&[-0.5, 0.0], -1.0);
        terms.push(&[0.0, 1.0], 1.0);
        terms.push(&[1e-6, 1e-6], 1.0);
        let fewer = this.collapsed(&terms);
        assert_eq!(fewer.len(), 2);
        let at_one = |t: &Terms| t.signs.iter().enumerate().map(|(i, s)| s * t.a(i)[0].abs()).sum::<f64>();
        assert!((at_one(&fewer) - 0.5).abs() < 1e-5);
    }
}

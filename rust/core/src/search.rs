//! Global search for the neurons inside the subspace: terms are grown one at a time, slid by Levenberg-Marquardt, and
//! exchanged by growing beyond the wanted number and removing the least useful, until nothing improves.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::lm::{Cholesky, Fit, Rows, Stop, Terms, add_product, dot, product_transposed};

/// What a search may use and when it may end.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Most terms of an answer.
    pub k_max: usize,
    /// Whether the last column of the inputs is the constant 1.
    pub constant: bool,
    /// Seed of every random choice.
    pub seed: u64,
    /// Loss, relative to that of the best linear fit, at which the search ends.
    pub tolerance: f64,
    /// Floating-point operations after which the search ends.
    pub budget: u64,
}

/// The best network found with a given number of terms.
#[derive(Clone, Debug)]
pub struct Found {
    /// The network.
    pub terms: Terms,
    /// Mean squared residual on the rows it was fitted to.
    pub train_loss: f64,
    /// Mean squared residual on the other rows.
    pub heldout_loss: f64,
}

/// Rows shuffled by the seed, multiplied by the roots of their weights.
struct Table {
    z: Vec<f64>,
    y: Vec<f64>,
    q: usize,
}

impl Table {
    fn new(z: &[f64], y: &[f64], weights: Option<&[f64]>, rng: &mut Xoshiro256PlusPlus) -> Table {
        let q = z.len() / y.len();
        let mut order: Vec<usize> = (0..y.len()).filter(|i| weights.is_none_or(|w| w[*i] > 0.0)).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, below(rng, i + 1));
        }
        let root = |i: usize| weights.map_or(1.0, |w| w[i].sqrt());
        Table {
            z: order.iter().flat_map(|&i| z[i * q..(i + 1) * q].iter().map(move |v| v * root(i))).collect(),
            y: order.iter().map(|&i| y[i] * root(i)).collect(),
            q,
        }
    }

    /// Rows to fit and rows to judge by.
    fn split(&self) -> (Rows<'_>, Rows<'_>) {
        let all = Rows { z: &self.z, y: &self.y, q: self.q };
        let cut = all.n() - all.n() / 5;
        (all.first(cut), Rows { z: &self.z[cut * self.q..], y: &self.y[cut..], q: self.q })
    }
}

fn below(rng: &mut Xoshiro256PlusPlus, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// A term that may be added to a fit.
struct Proposal {
    /// Its vector, scaled so that the term itself is the best addition along it.
    a: Vec<f64>,
    sign: f64,
    /// Estimated decrease of the loss.
    gain: f64,
    /// What the other parameters do meanwhile.
    compensation: Vec<f64>,
}

impl Proposal {
    fn added_to(&self, terms: &Terms) -> Terms {
        let mut terms = terms.clone();
        terms.theta.iter_mut().zip(&self.compensation).for_each(|(t, c)| *t -= c);
        terms.push(&self.a, self.sign);
        terms
    }
}

/// Directions tried for a new term.
const NET: usize = 512;
/// Directions that are judged with the tangent space of the present fit projected out.
const SHORT_LIST: usize = 48;
/// Floating-point operations of one screening are counted by this many products a row.
const ANGLES: [f64; 4] = [0.4, 0.12, 0.03, 0.008];

struct Search<'a> {
    train: Rows<'a>,
    constant: bool,
    tolerance: f64,
    /// Mean square left by the best linear fit.
    scale: f64,
}

impl<'a> Search<'a> {
    /// Enough rows to fit `k` terms.
    fn rows(&self, k: usize) -> Rows<'a> {
        self.train.first((16 * self.train.q * (k + 1)).max(2000))
    }

    fn stop(&self, rows: Rows<'_>, steps: usize, decrease: f64) -> Stop {
        Stop { steps, decrease, floor: self.tolerance * self.scale * rows.n() as f64 }
    }

    fn done(&self, fit: &Fit) -> bool {
        fit.loss <= self.tolerance * self.scale * fit.evaluation.residual.len() as f64
    }

    /// A direction drawn with the density of the data: a row, or the difference of two rows with the kink through a third.
    fn draw(&self, rows: Rows<'_>, rng: &mut Xoshiro256PlusPlus) -> Vec<f64> {
        let q = rows.q;
        if !self.constant {
            return rows.row(below(rng, rows.n())).to_vec();
        }
        let [i, j, m] = [0; 3].map(|_| rows.row(below(rng, rows.n())));
        let mut c: Vec<f64> = i.iter().zip(j).map(|(a, b)| a / i[q - 1] - b / j[q - 1]).collect();
        c[q - 1] = -dot(&c[..q - 1], &m[..q - 1]) / m[q - 1];
        c
    }

    /// Terms that may be added to `fit`, the most promising first.
    fn proposals(&self, fit: &mut Fit, rows: Rows<'_>, rng: &mut Xoshiro256PlusPlus) -> Vec<Proposal> {
        let (q, n, k) = (rows.q, rows.n(), fit.terms.len());
        let residual = &fit.evaluation.residual;
        let mut net: Vec<f64> = Vec::with_capacity(NET * q);
        for _ in 0..NET {
            net.extend(unit(self.draw(rows, rng)));
        }
        // Global candidates: gain with the linear part projected out.
        let screened = Features::new(rows, &net, residual);
        let gram = Cholesky::new(product(rows.z, rows.z, n), q, 1e-12);
        let mut order: Vec<(f64, usize)> =
            (0..NET).map(|c| (screened.gain_linear(rows, gram.as_ref(), c), c)).collect();
        order.sort_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)));
        let mut short: Vec<f64> = Vec::new();
        for &(_, c) in &order {
            let c = &net[c * q..(c + 1) * q];
            if short.len() < SHORT_LIST / 2 * q && short.chunks_exact(q).all(|s| dot(s, c).abs() < 0.97) {
                short.extend_from_slice(c);
            }
        }
        // Each of the best, moved along the gradient of its correlation with the residual.
        for start in short.clone().chunks_exact(q).take(SHORT_LIST / 4) {
            let mut c = start.to_vec();
            for _ in 0..4 {
                let mut g = vec![0.0; q];
                let mut sum = 0.0;
                for (z, e) in rows.z.chunks_exact(q).zip(residual) {
                    let t = dot(z, &c);
                    sum += e * t.abs();
                    g.iter_mut().zip(z).for_each(|(g, z)| *g += e.copysign(e * t) * z);
                }
                g.iter_mut().for_each(|g| *g *= sum.signum());
                c = unit(g);
            }
            short.extend(c);
        }
        // Neighbours of present terms: near-duplicates.
        for i in 0..k {
            let a = unit(fit.terms.a(i).to_vec());
            for angle in ANGLES {
                let e = unit(self.draw(rows, rng));
                let along = dot(&e, &a);
                let e = unit(e.iter().zip(&a).map(|(e, a)| e - along * a).collect());
                let side = if rng.next_u64() & 1 == 0 { angle } else { -angle };
                short.extend(unit(a.iter().zip(&e).map(|(a, e)| a + side * e).collect()));
            }
        }
        let m = short.len() / q;
        let p = q * (k + 1);
        fit.work += (2 * n * q * (NET + 4 * SHORT_LIST) + 2 * n * (p + q) * m + p * p * (m + p / 3)) as u64;
        let features = Features::new(rows, &short, residual);
        let mut overlap = fit.project(rows, &features.values);
        let Some(factor) = Cholesky::new(fit.matrix(), p, 1e-11) else { return Vec::new() };
        transpose(&mut overlap, p, m);
        let mut left = fit.project(rows, residual);
        factor.forward(&mut left);
        let mut out: Vec<Proposal> = (0..m)
            .filter_map(|c| {
                let h = &mut overlap[c * p..(c + 1) * p];
                factor.forward(h);
                let norm = features.norm[c] - dot(h, h);
                if !(norm > 1e-9 * features.norm[c]) {
                    return None;
                }
                // The residual is orthogonal to the tangent space only at a minimum.
                let correlation = features.correlation[c] - dot(h, &left);
                factor.backward(h);
                let amplitude = correlation / norm;
                Some(Proposal {
                    a: short[c * q..(c + 1) * q].iter().map(|v| v * amplitude.abs()).collect(),
                    sign: 1f64.copysign(amplitude),
                    gain: correlation * amplitude,
                    compensation: h.iter().map(|v| v * amplitude).collect(),
                })
            })
            .collect();
        out.sort_by(|x, y| y.gain.total_cmp(&x.gain));
        // Only one of each bunch of similar proposals.
        let mut kept: Vec<Proposal> = Vec::new();
        for proposal in out {
            let close = |o: &Proposal| {
                let cosine = dot(&o.a, &proposal.a) / (dot(&o.a, &o.a) * dot(&proposal.a, &proposal.a)).sqrt();
                o.sign == proposal.sign && cosine.abs() > 0.95
            };
            if kept.len() < 8 && !kept.iter().any(close) {
                kept.push(proposal);
            }
        }
        kept
    }

    /// `fit` with one term more: the best of `tries` proposals after the first `skip`.
    fn grow(
        &self,
        mut fit: Fit,
        rows: Rows<'_>,
        skip: usize,
        tries: usize,
        rng: &mut Xoshiro256PlusPlus,
    ) -> (Fit, f64) {
        let proposals = self.proposals(&mut fit, rows, rng);
        let skip = skip.min(proposals.len().saturating_sub(1));
        let gain = proposals.first().map_or(0.0, |p| p.gain);
        let tried: Vec<Fit> = proposals
            .par_iter()
            .skip(skip)
            .take(tries)
            .map(|p| Fit::new(rows, p.added_to(&fit.terms), self.stop(rows, 8, 1e-3)))
            .collect();
        let work: u64 = fit.work + tried.iter().map(|f| f.work).sum::<u64>();
        match tried.into_iter().min_by(|x, y| x.loss.total_cmp(&y.loss)) {
            Some(mut best) => {
                best.work = work;
                (best.descend(rows, self.stop(rows, 20, 1e-3)), gain)
            }
            None => (fit, 0.0),
        }
    }

    /// `fit` without its least useful terms, down to `k`.
    fn collapse(&self, mut fit: Fit, rows: Rows<'_>, k: usize) -> Fit {
        while fit.terms.len() > k {
            let p = fit.terms.theta.len() as u64;
            let mut removals = fit.removals();
            removals.sort_by(|x, y| x.0.total_cmp(&y.0));
            removals.truncate(3);
            let tried: Vec<Fit> =
                removals.into_par_iter().map(|(_, t)| Fit::new(rows, t, self.stop(rows, 6, 1e-3))).collect();
            let work = fit.work + 2 * p * p * p + tried.iter().map(|f| f.work).sum::<u64>();
            let best = tried.into_iter().min_by(|x, y| x.loss.total_cmp(&y.loss));
            match best {
                Some(mut best) => {
                    best.work = work;
                    fit = best.descend(rows, self.stop(rows, 10, 1e-3));
                }
                None => {
                    let mut terms = fit.terms.clone();
                    terms.remove(k);
                    let work = fit.work;
                    fit = Fit::new(rows, terms, self.stop(rows, 10, 1e-3));
                    fit.work += work;
                }
            }
        }
        fit
    }
}

/// Columns |c·z| with their sums against the residual.
struct Features {
    /// `n x m`.
    values: Vec<f64>,
    correlation: Vec<f64>,
    norm: Vec<f64>,
    /// Sums against z, `m x q`.
    linear: Vec<f64>,
}

impl Features {
    fn new(rows: Rows<'_>, directions: &[f64], residual: &[f64]) -> Features {
        let (q, n) = (rows.q, rows.n());
        let m = directions.len() / q;
        let mut values = product_transposed(rows.z, directions, q);
        values.iter_mut().for_each(|v| *v = v.abs());
        let mut norm = vec![0.0; m];
        let mut correlation = vec![0.0; m];
        for (v, e) in values.chunks_exact(m).zip(residual) {
            for (c, v) in v.iter().enumerate() {
                norm[c] += v * v;
                correlation[c] += v * e;
            }
        }
        let mut linear = product(rows.z, &values, n);
        transpose(&mut linear, q, m);
        Features { values, correlation, norm, linear }
    }

    /// Decrease of the loss by column `c` and a linear function together.
    fn gain_linear(&self, rows: Rows<'_>, gram: Option<&Cholesky>, c: usize) -> f64 {
        let mut h = self.linear[c * rows.q..(c + 1) * rows.q].to_vec();
        gram.map(|g| g.forward(&mut h));
        let norm = self.norm[c] - if gram.is_some() { dot(&h, &h) } else { 0.0 };
        if norm > 1e-9 * self.norm[c] { self.correlation[c].powi(2) / norm } else { 0.0 }
    }
}

fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let mut c = vec![0.0; (a.len() / n) * (b.len() / n)];
    add_product(&mut c, a, b, n);
    c
}

fn transpose(a: &mut Vec<f64>, rows: usize, columns: usize) {
    *a = (0..columns).flat_map(|c| (0..rows).map(move |r| (r, c))).map(|(r, c)| a[r * columns + c]).collect();
}

fn unit(mut v: Vec<f64>) -> Vec<f64> {
    let norm = dot(&v, &v).sqrt();
    if norm > 0.0 {
        v.iter_mut().for_each(|v| *v /= norm);
    }
    v
}

/// The best networks found with 0, 1, ... terms, on rows `z` (`n x q` row-major) and labels `y`.
///
/// # Errors
/// Shapes that do not fit together, and too few rows.
pub fn search(z: &[f64], y: &[f64], weights: Option<&[f64]>, options: Options) -> Result<Vec<Found>> {
    let n = y.len();
    if n < 10 || z.is_empty() || z.len() % n != 0 {
        return Err(Error::argument(
            "zt",
            format!("{} numbers for {n} labels; expected a multiple, and 10 rows", z.len()),
        ));
    }
    if weights
        .is_some_and(|w| w.len() != n || w.iter().any(|w| !(*w >= 0.0)) || w.iter().filter(|w| **w > 0.0).count() < 10)
    {
        return Err(Error::argument("weights", "expected one non-negative weight a row, at least 10 of them positive"));
    }
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(options.seed);
    let table = Table::new(z, y, weights, &mut rng);
    let (train, held) = table.split();
    let q = table.q;
    let linear = Fit::new(train, Terms::zero(q), Stop { steps: 3, decrease: 0.0, floor: 0.0 });
    let per_row = |fit: &Fit| fit.loss / fit.evaluation.residual.len() as f64;
    let scale = per_row(&linear);
    let mut best: Vec<Option<(f64, Terms)>> = vec![None; options.k_max + 1];
    best[0] = Some((scale, linear.terms.clone()));
    let search = Search { train, constant: options.constant, tolerance: options.tolerance, scale };
    let mut spent = 0u64;
    let debug = std::env::var("RELUNET_DEBUG").is_ok();

    let offer = |best: &mut Vec<Option<(f64, Terms)>>, fit: &Fit| {
        let (k, loss) = (fit.terms.len(), per_row(fit));
        if k < best.len() && best[k].as_ref().is_none_or(|b| loss < b.0) {
            best[k] = Some((loss, fit.terms.clone()));
        }
    };

    if scale > 1e-28 * dot(train.y, train.y) / train.n() as f64 && options.k_max > 0 {
        // First growth.
        let mut fit = Fit::new(search.rows(0), linear.terms.clone(), search.stop(train, 2, 0.0));
        let mut quiet = 0;
        while fit.terms.len() < options.k_max && !search.done(&fit) && spent < options.budget {
            let rows = search.rows(fit.terms.len() + 1);
            if fit.evaluation.residual.len() != rows.n() {
                fit = Fit::new(rows, fit.terms, search.stop(rows, 5, 1e-3));
            }
            let noise = fit.loss / rows.n() as f64;
            fit.work = 0;
            let (grown, gain) = search.grow(fit, rows, 0, 3, &mut rng);
            fit = grown;
            spent += fit.work;
            offer(&mut best, &fit);
            if debug {
                eprintln!(
                    "grow k={} loss {:.3e} gain/noise {:.1} spent {:.2e}",
                    fit.terms.len(),
                    per_row(&fit) / scale,
                    gain / noise,
                    spent as f64
                );
            }
            quiet = if gain < 25.0 * noise { quiet + 1 } else { 0 };
            if quiet >= 3 {
                break;
            }
        }
        // Exchanges.
        let k = fit.terms.len();
        let mut stalled = 0;
        let mut quiet = false;
        while !search.done(&fit) && spent < options.budget && stalled < if quiet { 3 } else { 40 } {
            let more = 1 + stalled.min(k);
            let rows = search.rows(k + more);
            let seeds: Vec<u64> = (0..4).map(|_| rng.next_u64()).collect();
            let base = Fit::new(rows, fit.terms.clone(), search.stop(rows, 10, 1e-4));
            if debug && stalled == 0 {
                eprintln!("base {:.3e} on {} rows", per_row(&base) / scale, rows.n());
            }
            let noise = per_row(&base);
            let tried: Vec<(Fit, f64)> = seeds
                .par_iter()
                .enumerate()
                .map(|(v, seed)| {
                    let mut rng = Xoshiro256PlusPlus::seed_from_u64(*seed);
                    let mut wide = base.clone();
                    wide.work = 0;
                    let mut first = 0.0f64;
                    for j in 0..more {
                        let (grown, gain) =
                            search.grow(wide, rows, if j == 0 { v } else { below(&mut rng, 3) }, 1, &mut rng);
                        first = first.max(gain);
                        wide = grown;
                        if search.done(&wide) {
                            break;
                        }
                    }
                    let wide = wide.descend(rows, search.stop(rows, 20, 1e-3));
                    (search.collapse(wide, rows, k).descend(rows, search.stop(rows, 20, 1e-4)), first)
                })
                .collect();
            spent += base.work + tried.iter().map(|(f, _)| f.work).sum::<u64>();
            quiet = tried.iter().all(|(_, gain)| *gain < 25.0 * noise);
            let reached = base.loss;
            let Some((next, _)) = tried.into_iter().min_by(|x, y| x.0.loss.total_cmp(&y.0.loss)) else { break };
            let better = next.loss < reached * 0.999;
            if debug {
                eprintln!(
                    "exchange k={k} +{more} loss {:.3e} -> {:.3e} quiet {quiet} spent {:.2e}",
                    noise / scale,
                    per_row(&next) / scale,
                    spent as f64
                );
            }
            fit = if better { next } else { base };
            offer(&mut best, &fit);
            stalled = if better { stalled / 2 } else { stalled + 1 };
        }
        // Final fit, and fewer terms from it.
        let rows = train;
        let mut fit = Fit::new(rows, fit.terms, Stop { steps: 40, decrease: 1e-9, floor: 0.0 });
        offer(&mut best, &fit);
        let k = fit.terms.len();
        if let Some(slot) = best.get_mut(k) {
            *slot = Some((per_row(&fit), fit.terms.clone()));
        }
        for fewer in (1..k).rev() {
            if spent >= 2 * options.budget {
                break;
            }
            let rows = search.rows(fewer + 1);
            fit = search.collapse(Fit::new(rows, fit.terms, search.stop(rows, 5, 1e-3)), rows, fewer);
            spent += fit.work;
            offer(&mut best, &fit);
        }
    }
    Ok(best
        .into_iter()
        .flatten()
        .map(|(_, terms)| Found {
            train_loss: terms.loss(train) / train.n() as f64,
            heldout_loss: terms.loss(held) / held.n() as f64,
            terms,
        })
        .collect())
}

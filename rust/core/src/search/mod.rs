//! Global search for neurons inside the subspace.
//!
//! Terms are added one at a time and refined by Levenberg-Marquardt. They are then exchanged: more terms than wanted are
//! added and the least useful are removed, until the loss no longer decreases.

pub mod direct;
mod lm;
mod proposals;
mod screen;
pub mod wide;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use crate::control::Control;
use crate::error::{Error, Result};
use crate::memory;
pub use lm::Terms;
use lm::{Fit, Rows, Stop, dot, solve_ridged};
use proposals::{CERTAIN, Proposal, added, apart, strongest};

/// Bounds and termination criteria of a search.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Largest number of terms.
    pub k_max: usize,
    /// Whether the last column of the inputs is the constant 1.
    pub constant: bool,
    /// Seed of every random choice.
    pub seed: u64,
    /// Loss, relative to that of the best linear fit, at which the search ends.
    pub tolerance: f64,
    /// Share of the loss that a term must explain for more terms to be added.
    pub least_gain: f64,
    /// Budget of exchanges in floating-point operations, without those of the growth.
    pub budget: u64,
}

/// The best network found with a given number of terms.
#[derive(Clone, Debug)]
pub struct Found {
    /// The network.
    pub terms: Terms,
    /// Mean squared residual on the rows that were fitted.
    pub train_loss: f64,
    /// Mean squared residual on the other rows.
    pub heldout_loss: f64,
}

fn below(rng: &mut Xoshiro256PlusPlus, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// An approximately normal number: a centred sum of twelve uniform numbers.
fn normal(rng: &mut Xoshiro256PlusPlus) -> f64 {
    (0..12).map(|_| (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64).sum::<f64>() - 6.0
}

/// Threshold of evidence that noise rarely exceeds: the square of four and a half standard errors.
const VISIBLE: f64 = 20.0;
/// Rows per parameter, and rows in total, that are sufficient while they show evidence.
const ROWS_PER_PARAMETER: usize = 16;
const FEWEST_ROWS: usize = 2000;
/// Number of terms added without evidence before growth ends: on a fan a single term explains little.
const PATIENCE: usize = 3;
/// Mean squared residual of a linear function due to rounding, relative to the mean square of the labels.
const ROUNDING: f64 = 1e-26;
/// Number of unsuccessful rounds of exchanges after which they end: with evidence for a term, and without.
const STALLS: usize = 12;
const QUIET_STALLS: usize = 2;
/// Number of exchanges tried in parallel.
const BRANCHES: usize = 4;
/// Random perturbations tried in the same round, in standard errors.
const KICKS: [f64; 4] = [2.0, 4.0, 8.0, 16.0];

struct Search<'a> {
    train: Rows<'a>,
    options: Options,
    control: &'a Control,
    /// Mean square left by the best linear fit.
    scale: f64,
    /// Multiple of the rows needed for a number of terms that is used: 1 while they show evidence.
    row_factor: usize,
    /// Floating-point operations spent on exchanges so far.
    spent: u64,
    /// Mean square and model by number of terms.
    best: Vec<Option<(f64, Terms)>>,
    rng: Xoshiro256PlusPlus,
}

impl<'a> Search<'a> {
    /// Runs growth, exchanges, a last fit to all rows, and the removal of terms.
    fn run(&mut self, linear: Fit, starts: &[Terms]) {
        let fits = starts.iter().map(|t| Fit::new(self.train, t.clone(), self.stop(self.train, 20, 1e-4)));
        let fits: Vec<Fit> = fits.collect();
        fits.iter().for_each(|fit| self.offer(fit));
        let usable = fits.into_iter().filter(|fit| fit.terms.len() <= self.options.k_max);
        let start = usable.fold(linear, |best, fit| if fit.loss < best.loss { fit } else { best });
        let fit = self.extend(start);
        let fit = self.exchange(fit);
        self.shrink(fit);
        self.refine();
    }

    /// Adds terms one by one until there are `k_max`, or the residuals show no further term.
    fn extend(&mut self, mut fit: Fit) -> Fit {
        let mut unseen: Vec<Fit> = Vec::new();
        while fit.terms.len() < self.options.k_max && !self.done(&fit) {
            let rows = self.rows(fit.terms.len() + 1);
            if fit.evaluation.residual.len() != rows.n() {
                fit = Fit::new(rows, fit.terms, self.stop(rows, 5, 1e-3));
            }
            fit.work = 0;
            let before = fit.clone();
            let mut rng = self.branch();
            let proposals = self.proposals(&mut fit, rows, &mut rng);
            let evidence = strongest(&proposals);
            fit = self.grown_together(&fit, &proposals, rows).unwrap_or_else(|| {
                let first: Vec<&Proposal> = proposals.iter().take(3).collect();
                self.grown(fit, &first, rows)
            });
            self.offer(&fit);
            if evidence >= VISIBLE && fit.mean() <= (1.0 - self.options.least_gain) * before.mean() {
                unseen.clear();
            } else if evidence < VISIBLE && self.more_rows(before.terms.len() + 1) {
                fit = before;
            } else {
                unseen.push(before);
            }
            if unseen.len() == PATIENCE {
                break;
            }
        }
        let patient = unseen.len() == PATIENCE;
        // Terms that were added without evidence are kept only if together they explain enough.
        match unseen.into_iter().next() {
            Some(before) if patient && fit.mean() > 0.9 * before.mean() => before,
            _ => fit,
        }
    }

    /// Whether the loss is at the floor, or the remaining budget is too small for a round of exchanges.
    fn finished(&self, fit: &Fit) -> bool {
        let p = fit.terms.theta.len() as u64;
        let round = self.rows(fit.terms.len() + 1).n() as u64 * p * p;
        self.done(fit) || self.spent + round > self.options.budget
    }

    /// Exchanges terms: several are added and as many of the least useful are removed, more after each failure.
    fn exchange(&mut self, mut fit: Fit) -> Fit {
        let k = fit.terms.len();
        let (mut stalled, mut quiet) = (0, false);
        while k > 0 && !self.finished(&fit) && stalled < if quiet { QUIET_STALLS } else { STALLS } {
            let more = 1 + stalled.min(k);
            let rows = self.rows(k + more);
            let base = Fit::new(rows, fit.terms.clone(), self.stop(rows, 10, 1e-4));
            let branches: Vec<Xoshiro256PlusPlus> = (0..BRANCHES + KICKS.len()).map(|_| self.branch()).collect();
            let this = &*self;
            let tried: Vec<(Fit, f64)> = branches
                .into_par_iter()
                .enumerate()
                .map(|(v, mut rng)| match v.checked_sub(BRANCHES).and_then(|kick| KICKS.get(kick)) {
                    Some(strength) => (this.shaken(base.clone(), *strength, rows, &mut rng), 0.0),
                    None => this.exchanged(base.clone(), more, v, rows, &mut rng),
                })
                .collect();
            self.spent += base.work + tried.iter().map(|(f, _)| f.work).sum::<u64>();
            let seen = tried.iter().map(|t| t.1).fold(0.0, f64::max);
            let next = tried.into_iter().map(|t| t.0).fold(base.clone(), |b, f| if f.loss < b.loss { f } else { b });
            self.offer(&next);
            quiet = seen.max((base.loss - next.loss) / base.mean()) < VISIBLE;
            if quiet && self.more_rows(k + more) {
                // A decrease that noise alone explains is not accepted.
                (fit, stalled) = (base, 0);
            } else {
                stalled = if next.loss < 0.999 * base.loss { stalled / 2 } else { stalled + 1 };
                fit = next;
            }
        }
        fit
    }

    /// `base` after adding `more` terms and removing as many, and the strongest evidence found for a new term.
    fn exchanged(
        &self,
        mut base: Fit,
        more: usize,
        skip: usize,
        rows: Rows<'_>,
        rng: &mut Xoshiro256PlusPlus,
    ) -> (Fit, f64) {
        let k = base.terms.len();
        base.work = 0;
        let mut seen = 0.0f64;
        for j in 0..more {
            let skip = if j == 0 { skip } else { below(rng, 3) };
            let (grown, evidence) = self.grow(base, rows, skip, 1, rng);
            seen = seen.max(evidence);
            base = grown;
            if self.done(&base) {
                break;
            }
        }
        let wide = base.descend(rows, self.stop(rows, 20, 1e-3));
        (self.collapse(wide, rows, k).descend(rows, self.stop(rows, 20, 1e-4)), seen)
    }

    /// `base` after a random perturbation in proportion to the uncertainty of the parameters: their response to the
    /// residuals with random signs, times `strength`.
    fn shaken(&self, base: Fit, strength: f64, rows: Rows<'_>, rng: &mut Xoshiro256PlusPlus) -> Fit {
        let mut noise = base.evaluation.residual.clone();
        for chunk in noise.chunks_mut(64) {
            let bits = rng.next_u64();
            chunk.iter_mut().enumerate().filter(|(i, _)| bits >> i & 1 == 1).for_each(|(_, e)| *e = -*e);
        }
        let p = base.terms.theta.len();
        let Some(step) = solve_ridged(base.matrix(), p, 1e-10, &base.project(rows, &noise)) else { return base };
        let mut terms = base.terms;
        terms.theta.iter_mut().zip(&step).for_each(|(t, s)| *t += strength * s);
        Fit::new(rows, terms, self.stop(rows, 40, 1e-4))
    }

    /// Removes terms while the loss hardly increases.
    fn shrink(&mut self, mut fit: Fit) {
        for fewer in (1..fit.terms.len()).rev() {
            let rows = self.rows(fewer + 1);
            fit = self.collapse(Fit::new(rows, fit.terms, self.stop(rows, 5, 1e-3)), rows, fewer);
            self.offer(&fit);
            if fit.mean() > self.near() {
                break;
            }
            fit = self.exchange(fit);
        }
    }

    /// Largest loss at which a fit with fewer terms is of interest; smaller if terms have to explain a least share.
    fn near(&self) -> f64 {
        let least = self.best.iter().flatten().map(|(loss, _)| *loss).fold(f64::INFINITY, f64::min);
        let factor = if self.options.least_gain > 0.0 { 1.0 + 5.0 * self.options.least_gain } else { 1.5 };
        factor * least + self.options.tolerance * self.scale
    }

    /// Fits all rows for every number of terms whose loss is near the smallest.
    fn refine(&mut self) {
        let near = self.near();
        // With `least_gain` the caller polishes the result in all dimensions, so that the last digits do not matter.
        let decrease = if self.options.least_gain > 0.0 { 1e-3 } else { 1e-6 };
        let stop = Stop { steps: 40, decrease, floor: 0.0, control: self.control };
        let train = self.train;
        self.best.par_iter_mut().flatten().filter(|(loss, _)| *loss <= near).for_each(|(loss, terms)| {
            let fit = Fit::new(train, terms.clone(), stop);
            (*loss, *terms) = (fit.mean(), fit.terms);
        });
    }

    /// A random generator for a step that may run in parallel with others.
    fn branch(&mut self) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(self.rng.next_u64())
    }

    /// Keeps a fit if no other with as many terms is better on all rows; losses on different rows are not comparable.
    fn offer(&mut self, fit: &Fit) {
        let mean = fit.terms.loss(self.train) / self.train.n() as f64;
        if let Some(slot) = self.best.get_mut(fit.terms.len())
            && slot.as_ref().is_none_or(|(loss, _)| mean < *loss)
        {
            *slot = Some((mean, fit.terms.clone()));
        }
    }

    /// The rows used to fit `k` terms: enough to determine them and to show a term that explains `least_gain`, or all
    /// rows if `least_gain` is zero.
    fn rows(&self, k: usize) -> Rows<'a> {
        if self.options.least_gain == 0.0 {
            return self.train;
        }
        let enough = FEWEST_ROWS.max(ROWS_PER_PARAMETER * self.train.q * (k + 1));
        let certain = (CERTAIN / self.options.least_gain) as usize;
        self.train.first((self.row_factor * enough).min(certain.max(enough)))
    }

    /// Increases the number of rows, which may show terms that fewer rows do not. False if there are no more rows.
    fn more_rows(&mut self, k: usize) -> bool {
        let (before, rows) = (self.row_factor, self.rows(k).n());
        self.row_factor *= 4;
        let more = self.rows(k).n() > rows;
        if !more {
            self.row_factor = before;
        }
        more
    }

    fn stop(&self, rows: Rows<'_>, steps: usize, decrease: f64) -> Stop<'a> {
        let floor = self.options.tolerance * self.scale * rows.n() as f64;
        Stop { steps, decrease, floor, control: self.control }
    }

    fn done(&self, fit: &Fit) -> bool {
        self.control.is_cancelled() || fit.mean() <= self.options.tolerance * self.scale
    }

    /// `fit` with one more term: the best of `tries` proposals after the first `skip`.
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
        let chosen: Vec<&Proposal> = proposals.iter().skip(skip).take(tries).collect();
        (self.grown(fit, &chosen, rows), strongest(&proposals))
    }

    /// `fit` with one more term: the best of the proposals.
    fn grown(&self, fit: Fit, proposals: &[&Proposal], rows: Rows<'_>) -> Fit {
        let tried: Vec<Fit> =
            proposals.par_iter().map(|p| Fit::new(rows, added(&fit.terms, &[p]), self.stop(rows, 8, 1e-3))).collect();
        let work: u64 = fit.work + tried.iter().map(|f| f.work).sum::<u64>();
        match tried.into_iter().min_by(|x, y| x.loss.total_cmp(&y.loss)) {
            Some(mut best) => {
                best.work = work;
                best.descend(rows, self.stop(rows, 20, 1e-3))
            }
            None => fit,
        }
    }

    /// `fit` with all proposals that are distant from each other, if together they explain what each of them predicts.
    fn grown_together(&self, fit: &Fit, proposals: &[Proposal], rows: Rows<'_>) -> Option<Fit> {
        let k = fit.terms.len();
        let chosen = apart(proposals, (1 + k / 2).min(self.options.k_max - k));
        if chosen.len() < 2 {
            return None;
        }
        let promised: f64 = chosen.iter().map(|p| p.gain).sum();
        let grown = Fit::new(rows, added(&fit.terms, &chosen), self.stop(rows, 20, 1e-3));
        (grown.loss < fit.loss - promised / 2.0).then_some(grown)
    }

    /// `fit` without its least useful terms, down to `k`.
    fn collapse(&self, mut fit: Fit, rows: Rows<'_>, k: usize) -> Fit {
        while fit.terms.len() > k {
            let p = fit.terms.theta.len() as u64;
            let mut removals = fit.removals(rows);
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

/// The best networks found with 0, 1, ... terms, on rows `z` (`n x q` row-major) and labels `y`.
///
/// The order of the rows must not depend on their values: the first four fifths, or a part of them, are fitted, and the
/// others measure the loss. `starts` are initial models besides the linear fit.
///
/// # Errors
/// Shapes that do not fit together, too few rows, and [`Error::Cancelled`].
pub fn search(
    z: &[f64],
    q: usize,
    y: &[f64],
    weights: Option<&[f64]>,
    starts: &[Terms],
    options: Options,
    control: &Control,
) -> Result<Vec<Found>> {
    let n = y.len();
    if q == 0 || z.len() != n * q || n < 10 {
        let message = format!("expected a label for each of 10 rows or more, got {n} labels for {} inputs", z.len());
        return Err(Error::argument("y", message));
    }
    if let Some(w) = weights
        && (w.len() != n || !w.iter().all(|w| *w >= 0.0) || w.iter().filter(|w| **w > 0.0).count() < 10)
    {
        return Err(Error::argument("weights", format!("expected {n} weights >= 0, at least 10 of them positive")));
    }
    if let Some(start) = starts.iter().find(|t| t.theta.len() != q * (t.len() + 1)) {
        return Err(Error::argument("starts", format!("expected vectors of {q} columns, got {start:?}")));
    }
    // The rows are copied; a fit stores residuals and signs of all rows.
    memory::require(size_of::<f64>().saturating_mul(n).saturating_mul(2 * q + 8 * (options.k_max + 1)))?;
    let (z, y) = weighted(z, y, weights, q);
    let all = Rows { z: &z, y: &y, q };
    let cut = all.n() - all.n() / 5;
    let train = all.first(cut);
    let held = Rows { z: &z[cut * q..], y: &y[cut..], q };
    let linear = Fit::new(train, Terms::zero(q), Stop { steps: 16, decrease: 0.0, floor: 0.0, control });
    let scale = linear.mean();
    let mut search = Search {
        train,
        options,
        control,
        scale,
        row_factor: 1,
        spent: 0,
        best: vec![None; options.k_max + 1],
        rng: Xoshiro256PlusPlus::seed_from_u64(options.seed),
    };
    search.offer(&linear);
    if scale > ROUNDING * dot(train.y, train.y) / train.n() as f64 && options.k_max > 0 {
        search.run(linear, starts);
    }
    if control.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let found = |(_, terms): (f64, Terms)| Found {
        train_loss: terms.loss(train) / train.n() as f64,
        heldout_loss: terms.loss(held) / held.n() as f64,
        terms,
    };
    Ok(search.best.into_iter().flatten().map(found).collect())
}

/// Rows and labels multiplied by the roots of their weights, without rows of weight zero.
fn weighted(z: &[f64], y: &[f64], weights: Option<&[f64]>, q: usize) -> (Vec<f64>, Vec<f64>) {
    let Some(weights) = weights else { return (z.to_vec(), y.to_vec()) };
    let kept = || weights.iter().enumerate().filter(|(_, w)| **w > 0.0).map(|(i, w)| (i, w.sqrt()));
    let rows = kept().flat_map(|(i, root)| z[i * q..(i + 1) * q].iter().map(move |v| v * root)).collect();
    (rows, kept().map(|(i, root)| y[i] * root).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of independent, approximately normal entries.
    fn rows(n: usize, q: usize, seed: u64) -> Vec<f64> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let uniform = |rng: &mut Xoshiro256PlusPlus| rng.next_u64() as f64 / u64::MAX as f64 - 0.5;
        (0..n * q).map(|_| (0..12).map(|_| uniform(&mut rng)).sum()).collect()
    }

    fn options(k_max: usize) -> Options {
        Options { k_max, constant: false, seed: 1, tolerance: 1e-20, least_gain: 0.0, budget: 5_000_000_000 }
    }

    #[test]
    fn a_planted_network_is_found() -> Result<()> {
        let (n, q) = (3000, 3);
        let z = rows(n, q, 5);
        let truth = Terms {
            theta: vec![0.3, -0.2, 0.1, 1.0, 0.2, 0.0, 0.1, 0.8, -0.4, 0.5, 0.5, 0.6, -0.3, 0.2, 0.7],
            signs: vec![1.0, -1.0, 1.0, -1.0],
        };
        let zeros = vec![0.0; n];
        let y: Vec<f64> = lm::evaluate(Rows { z: &z, y: &zeros, q }, &truth).residual.iter().map(|r| -r).collect();
        let found = search(&z, q, &y, None, &[], options(6), &Control::default())?;
        // Several terms are added at a time; superfluous ones are removed afterwards.
        let planted = found.iter().find(|f| f.terms.len() == 4).map(|f| f.heldout_loss < 1e-24);
        assert_eq!(planted, Some(true));
        assert!(found.iter().filter(|f| f.terms.len() < 4).all(|f| f.heldout_loss > 1e-6));
        Ok(())
    }

    #[test]
    fn shapes_and_weights_are_checked() {
        let z = rows(20, 2, 1);
        assert!(search(&z, 2, &[0.0; 19], None, &[], options(1), &Control::default()).is_err());
        assert!(search(&z, 0, &[], None, &[], options(1), &Control::default()).is_err());
        assert!(search(&z, 2, &[0.0; 20], Some(&[0.0; 20]), &[], options(1), &Control::default()).is_err());
        assert!(search(&z, 2, &[0.0; 20], None, &[Terms::zero(3)], options(1), &Control::default()).is_err());
    }

    #[test]
    fn labels_without_variation_need_no_term() -> Result<()> {
        let found = search(&rows(50, 2, 1), 2, &[0.0; 50], None, &[], options(3), &Control::default())?;
        assert_eq!(found.iter().map(|f| f.terms.len()).collect::<Vec<_>>(), [0]);
        Ok(())
    }
}

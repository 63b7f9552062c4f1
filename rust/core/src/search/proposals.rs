//! Proposals of terms to add to a fit.
//!
//! Candidates are directions drawn from the data and neighbours of the present terms. They are ranked by their
//! correlation with the residual after the tangent space of the present fit is projected out.

use ndarray::ArrayView2;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::lm::{Fit, Rows, Terms, dot, solve_ridged};
use super::screen::{Sums, gradients};
use super::{Search, below};
use crate::linalg::{self, add_product, product_transposed};

/// Number of directions tried for a new term.
const NET: usize = 512;
/// Number of directions that are ranked with the tangent space of the present fit projected out.
const SHORT_LIST: usize = 48;
/// Least evidence, least share of the best gain and largest cosine of terms that are added together.
pub(super) const CERTAIN: f64 = 100.0;
const COMPARABLE: f64 = 0.5;
const APART: f64 = 0.5;
/// Number of rows on which directions are screened.
const SCREEN: usize = 4096;
/// Angles between a term and the near-duplicates tried for it, and the number of such pairs of a term and an angle.
const ANGLES: [f64; 5] = [0.4, 0.15, 0.05, 0.02, 0.008];
const NEIGHBOURS: usize = 16;

/// A term that may be added to a fit.
pub(super) struct Proposal {
    /// Its vector, scaled to its least-squares amplitude.
    a: Vec<f64>,
    sign: f64,
    /// Estimated decrease of the loss.
    pub gain: f64,
    /// Square of the gain over its variance.
    evidence: f64,
    /// Change of the other parameters that keeps them optimal while the term is added; `added` subtracts it.
    compensation: Vec<f64>,
}

impl Proposal {
    /// Cosine of the angle between the lines of two proposals.
    fn cosine(&self, other: &Proposal) -> f64 {
        (dot(&self.a, &other.a) / (dot(&self.a, &self.a) * dot(&other.a, &other.a)).sqrt()).abs()
    }
}

/// `terms` with proposals added and the other parameters adjusted.
pub(super) fn added(terms: &Terms, proposals: &[&Proposal]) -> Terms {
    let mut terms = terms.clone();
    for proposal in proposals {
        terms.theta.iter_mut().zip(&proposal.compensation).for_each(|(t, c)| *t -= c);
    }
    proposals.iter().for_each(|p| terms.push(&p.a, p.sign));
    terms
}

/// The strongest evidence among proposals.
pub(super) fn strongest(proposals: &[Proposal]) -> f64 {
    proposals.iter().map(|p| p.evidence).fold(0.0, f64::max)
}

/// The first proposal and up to `most - 1` others that are nearly as good and distant from it and each other.
pub(super) fn apart(proposals: &[Proposal], most: usize) -> Vec<&Proposal> {
    let mut chosen: Vec<&Proposal> = Vec::new();
    for proposal in proposals.iter().filter(|p| p.evidence >= CERTAIN && p.gain >= COMPARABLE * proposals[0].gain) {
        if chosen.len() < most && chosen.iter().all(|c| c.cosine(proposal) < APART) {
            chosen.push(proposal);
        }
    }
    chosen
}

impl Search<'_> {
    /// A direction drawn with the density of the data: a row, or the difference of two rows with the kink through a third.
    fn draw(&self, rows: Rows<'_>, rng: &mut Xoshiro256PlusPlus) -> Vec<f64> {
        let q = rows.q;
        if !self.options.constant {
            return rows.row(below(rng, rows.n())).to_vec();
        }
        let [i, j, m] = [0; 3].map(|_| rows.row(below(rng, rows.n())));
        let mut c: Vec<f64> = i.iter().zip(j).map(|(a, b)| a / i[q - 1] - b / j[q - 1]).collect();
        c[q - 1] = -dot(&c[..q - 1], &m[..q - 1]) / m[q - 1];
        c
    }

    /// Terms that may be added to `fit`, those with the largest estimated gain first.
    pub(super) fn proposals(&self, fit: &mut Fit, rows: Rows<'_>, rng: &mut Xoshiro256PlusPlus) -> Vec<Proposal> {
        let (q, n, k) = (rows.q, rows.n(), fit.terms.len());
        let residual = &fit.evaluation.residual;
        let sample = rows.first(SCREEN);
        let mut net: Vec<f64> = Vec::with_capacity(NET * q);
        for _ in 0..NET {
            net.extend(unit(self.draw(rows, rng)));
        }
        // Global candidates, by their gain with the linear part projected out.
        let gains = gains_beside_linear(sample, &Sums::new(sample, &net, residual));
        let mut order: Vec<usize> = (0..NET).collect();
        order.sort_by(|x, y| gains[*y].total_cmp(&gains[*x]).then(x.cmp(y)));
        let mut short: Vec<f64> = Vec::new();
        for c in order {
            let c = &net[c * q..(c + 1) * q];
            if short.len() < SHORT_LIST / 2 * q && short.chunks_exact(q).all(|s| dot(s, c).abs() < 0.97) {
                short.extend_from_slice(c);
            }
        }
        // The best of them are moved along the gradients of their correlations with the residual.
        let mut moved = short[..short.len().min(SHORT_LIST / 4 * q)].to_vec();
        for _ in 0..4 {
            let along = gradients(sample, &moved, residual);
            for (c, g) in moved.chunks_exact_mut(q).zip(along.chunks_exact(q)) {
                let side = dot(g, c).signum();
                c.copy_from_slice(&unit(g.iter().map(|g| side * g).collect()));
            }
        }
        short.extend(moved);
        // Near-duplicates of present terms, on both sides of each.
        let mut neighbours: Vec<Neighbour> = (0..k)
            .filter(|_| q > 1)
            .flat_map(|i| neighbours_of(rows, residual, &unit(fit.terms.a(i).to_vec())))
            .collect();
        neighbours.sort_by(|x, y| y.strength.total_cmp(&x.strength));
        for Neighbour { a, across, angle, .. } in neighbours.iter().take(NEIGHBOURS) {
            for side in [*angle, -angle] {
                short.extend(unit(a.iter().zip(across).map(|(a, e)| a + side * e).collect()));
            }
        }
        let m = short.len() / q;
        let p = q * (k + 1);
        fit.work += (2 * sample.n() * q * (NET + 4 * SHORT_LIST) + 2 * n * (p + q) * m + p * p * (m + p / 3)) as u64;
        let features = Features::new(rows, &short, residual);
        let overlap = fit.project(rows, &features.values);
        // The residual is orthogonal to the tangent space only at a minimum.
        let gradient = fit.gradient(rows);
        let Some(projected) = solve_ridged(fit.matrix(), p, 1e-11, &overlap) else { return Vec::new() };
        let column = |a: &[f64], c: usize| -> Vec<f64> { a.iter().skip(c).step_by(m).copied().collect() };
        let mut out: Vec<Proposal> = (0..m)
            .filter_map(|c| {
                let coefficients = column(&projected, c);
                let norm = features.norm[c] - dot(&column(&overlap, c), &coefficients);
                if norm.is_nan() || norm <= 1e-9 * features.norm[c] {
                    return None;
                }
                let correlation = features.correlation[c] - dot(&gradient, &coefficients);
                let amplitude = correlation / norm;
                Some(Proposal {
                    a: short[c * q..(c + 1) * q].iter().map(|v| v * amplitude.abs()).collect(),
                    sign: 1f64.copysign(amplitude),
                    gain: correlation * amplitude,
                    evidence: 0.0,
                    compensation: coefficients.iter().map(|v| v * amplitude).collect(),
                })
            })
            .collect();
        out.sort_by(|x, y| y.gain.total_cmp(&x.gain));
        // Of similar proposals only the best is kept.
        let mut kept: Vec<Proposal> = Vec::new();
        for proposal in out {
            let close = |o: &Proposal| o.sign == proposal.sign && o.cosine(&proposal) > 0.95;
            if kept.len() < 8 && !kept.iter().any(close) {
                kept.push(proposal);
            }
        }
        // For the best few, the evidence is the gain over its expectation by chance, given the residuals.
        for proposal in &mut kept {
            let along = fit.change(rows, &proposal.compensation);
            let variance: f64 = rows
                .z
                .chunks_exact(q)
                .zip(&along)
                .zip(&fit.evaluation.residual)
                .map(|((z, c), e)| (e * (dot(z, &proposal.a).abs() - proposal.sign * c)).powi(2))
                .sum();
            proposal.evidence = if variance > 0.0 { proposal.gain.powi(2) / variance } else { 0.0 };
        }
        kept
    }
}

/// Decreases of the loss by each screened term together with a linear function.
fn gains_beside_linear(rows: Rows<'_>, sums: &Sums) -> Vec<f64> {
    let m = sums.norm.len();
    let mut gram = vec![0.0; rows.q * rows.q];
    add_product(&mut gram, rows.z, rows.z, rows.n());
    // The linear functions nearest to the terms.
    let nearest = solve_ridged(gram, rows.q, 1e-12, &sums.linear);
    let gain = |c: usize| {
        let along = |x: &Vec<f64>| -> f64 {
            x.iter().skip(c).step_by(m).zip(sums.linear.iter().skip(c).step_by(m)).map(|(x, h)| x * h).sum()
        };
        let norm = sums.norm[c] - nearest.as_ref().map_or(0.0, along);
        if norm > 1e-9 * sums.norm[c] { sums.correlation[c].powi(2) / norm } else { 0.0 }
    };
    (0..m).map(gain).collect()
}

/// A direction in which a term may have to be split in two.
struct Neighbour {
    /// Curvature of the residual near the kink, in units of its noise.
    strength: f64,
    a: Vec<f64>,
    /// The direction off `a` in which the two differ.
    across: Vec<f64>,
    angle: f64,
}

/// For each angle, the direction orthogonal to the unit vector `a` along which the residual near the kink of |a·z| has
/// the largest curvature. If one term was fitted in place of two, they differ in this direction.
fn neighbours_of(rows: Rows<'_>, residual: &[f64], a: &[f64]) -> Vec<Neighbour> {
    let q = rows.q;
    let widest = ANGLES.into_iter().fold(0.0, f64::max);
    let beside: Vec<(f64, f64, &[f64])> = (rows.z.chunks_exact(q).zip(residual))
        .map(|(z, e)| (dot(z, a), *e, z))
        .filter(|(t, ..)| t.abs() < widest)
        .collect();
    let curved = |angle: f64| -> Option<Neighbour> {
        let near = || beside.iter().filter(|(t, ..)| t.abs() < angle);
        let count = near().count();
        if count < 2 * q {
            return None;
        }
        let mean = near().map(|(_, e, _)| e).sum::<f64>() / count as f64;
        let noise = near().map(|(_, e, _)| (e - mean).powi(2)).sum::<f64>();
        let (mut rest, mut scaled) = (Vec::with_capacity(count * q), Vec::with_capacity(count * q));
        for (t, e, z) in near() {
            let start = rest.len();
            rest.extend(z.iter().zip(a).map(|(z, a)| z - t * a));
            scaled.extend(rest[start..].iter().map(|z| z * (e - mean)));
        }
        let mut moment = vec![0.0; q * q];
        add_product(&mut moment, &rest, &scaled, count);
        let (values, vectors) = linalg::eigh(ArrayView2::from_shape((q, q), &moment).ok()?).ok()?;
        let extreme = if values[0].abs() > values[q - 1].abs() { 0 } else { q - 1 };
        let direction = vectors.column(extreme);
        let along: f64 = direction.iter().zip(a).map(|(e, a)| e * a).sum();
        let across = unit(direction.iter().zip(a).map(|(e, a)| e - along * a).collect());
        let strength = values[extreme].abs() / noise.sqrt();
        (values[extreme] != 0.0).then(|| Neighbour { strength, a: a.to_vec(), across, angle })
    };
    ANGLES.into_iter().filter_map(curved).collect()
}

/// Columns |c·z| with their inner products with the residual.
struct Features {
    /// `n x m`.
    values: Vec<f64>,
    correlation: Vec<f64>,
    norm: Vec<f64>,
}

impl Features {
    fn new(rows: Rows<'_>, directions: &[f64], residual: &[f64]) -> Features {
        let m = directions.len() / rows.q;
        let mut values = product_transposed(rows.z, directions, rows.q);
        values.iter_mut().for_each(|v| *v = v.abs());
        let mut norm = vec![0.0; m];
        let mut correlation = vec![0.0; m];
        for (v, e) in values.chunks_exact(m).zip(residual) {
            for (c, v) in v.iter().enumerate() {
                norm[c] += v * v;
                correlation[c] += v * e;
            }
        }
        Features { values, correlation, norm }
    }
}

fn unit(mut v: Vec<f64>) -> Vec<f64> {
    let norm = dot(&v, &v).sqrt();
    if norm > 0.0 {
        v.iter_mut().for_each(|v| *v /= norm);
    }
    v
}

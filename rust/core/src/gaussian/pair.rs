//! Expectations of products of two neurons under a bivariate normal distribution, at every correlation.
//!
//! With `p = sd_p (X + h)`, `q = sd_q (Y + k)` and `corr(X, Y) = rho`, the function `M(rho) = E[(X + h)_+ (Y + k)_+]` has
//! `M' = P(X > -h, Y > -k)` and `M'' = phi_2(h, k; rho)`, the bivariate normal density (Plackett 1954). Taylor's formula
//! with integral remainder around `rho = 0` or `±1`, where `M` and `M'` are one-dimensional, leaves the remainder
//! `∫ (rho - t) phi_2(h, k; t) dt`, the step that Drezner and Wesolowsky (1990) and Genz (2004) take for `M'`. By
//!
//! ```text
//! phi_2(h, k; t) = exp(-(h + k)² / 4(1 + t) - (h - k)² / 4(1 - t)) / (2π sqrt(1 - t²))
//! ```
//!
//! it is bounded in a wide complex neighbourhood of the interval, so that Gauss-Legendre quadrature converges fast around
//! 0. Around `±1` the remainder is of third order in the angle between the two kinks, which makes the formula well
//! conditioned, but it has an essential singularity for parallel kinks at a distance. A double-exponential rule is used
//! there.
//!
//! - A. Genz, "Numerical computation of rectangular bivariate and trivariate normal and t probabilities", Statistics and
//!   Computing 14 (2004).

use std::f64::consts::PI;
use std::sync::LazyLock;

use qd::Quad;

use super::normal::{density, probability};
use super::{Normal, ONE, Term, ZERO, dot};
use crate::error::{Error, Result};

/// Number of standard deviations beyond which a neuron is zero or affine to within the smallest double.
const FAR: f64 = 37.0;
/// Correlations up to this are expanded around 0, larger ones around ±1.
const EXPAND_AROUND_ZERO: f64 = 0.75;
/// Nodes of the Gauss-Legendre rule: at correlation 0.75 the remainder converges like 3^(-2 n).
const LEGENDRE_NODES: usize = 40;
/// Step of the double-exponential rule; its error is exp(-π² / 2 step) = 5e-35.
const STEP: f64 = 1.0 / 16.0;

/// Behaviour of a term on inputs of the given distribution.
#[derive(Clone, Copy, PartialEq)]
enum Action {
    /// Zero on all inputs, up to less than the smallest double.
    Off,
    /// Affine on all inputs.
    Affine,
    /// With a kink within the distribution.
    Kinked,
}

/// The distribution of one term's pre-activation `sd (X + h)`, with `X` standard normal.
pub(super) struct Marginal {
    /// `cov · weights`.
    pub(super) image: Vec<Quad>,
    mean: Quad,
    sd: Quad,
    action: Action,
    h: Quad,
    /// `phi(h)`.
    density: Quad,
    /// `Phi(h)`, the probability that the neuron is active.
    active: Quad,
    /// `Phi(-h)`, to full relative accuracy.
    inactive: Quad,
    /// `E[(X + h)_+] = h Phi(h) + phi(h)`.
    first: Quad,
}

impl Marginal {
    /// The mean of the term.
    pub(super) fn expectation(&self) -> Quad {
        match self.action {
            Action::Off => ZERO,
            Action::Affine => self.mean,
            Action::Kinked => self.sd * self.first,
        }
    }

    pub(super) fn new(term: &Term, inputs: &Normal) -> Result<Self> {
        let d = term.weights.len();
        let image: Vec<Quad> = match inputs.cov {
            None => term.weights.clone(),
            Some(cov) => cov
                .chunks_exact(d)
                .map(|row| row.iter().zip(&term.weights).fold(ZERO, |sum, (a, b)| sum + Quad::from(*a) * *b))
                .collect(),
        };
        let mean = match inputs.mean {
            None => term.bias,
            Some(mean) => mean.iter().zip(&term.weights).fold(term.bias, |sum, (a, b)| sum + Quad::from(*a) * *b),
        };
        let variance = dot(&term.weights, &image);
        let size = term.weights.iter().zip(&image).map(|(a, b)| (a.0 * b.0).abs()).sum::<f64>();
        if variance.0 < -1e-12 * size {
            return Err(Error::argument("cov", "not positive semi-definite"));
        }
        let sd = if variance.0 > 0.0 { variance.sqrt() } else { ZERO };
        let (action, h) = if !term.rectified {
            (Action::Affine, ZERO)
        } else if mean.0.abs() >= FAR * sd.0 {
            (if mean.0 > 0.0 { Action::Affine } else { Action::Off }, ZERO)
        } else {
            (Action::Kinked, mean / sd)
        };
        let (density, active, inactive) = (density(h), probability(h), probability(-h));
        Ok(Self { image, mean, sd, action, h, density, active, inactive, first: h * active + density })
    }
}

/// `E[p q]` of two terms whose pre-activations have the given covariance.
pub(super) fn product(a: &Marginal, b: &Marginal, covariance: Quad) -> Quad {
    match (a.action, b.action) {
        (Action::Off, _) | (_, Action::Off) => ZERO,
        (Action::Affine, Action::Affine) => a.mean * b.mean + covariance,
        // Stein's lemma: Cov(relu(p), q) = P(p > 0) Cov(p, q)
        (Action::Affine, Action::Kinked) => a.mean * b.sd * b.first + covariance * b.active,
        (Action::Kinked, Action::Affine) => b.mean * a.sd * a.first + covariance * a.active,
        (Action::Kinked, Action::Kinked) => a.sd * b.sd * rectified_product(a, b, covariance / (a.sd * b.sd)),
    }
}

/// `Cov(p, q)` of two terms whose pre-activations have the given covariance: without the cancellation of
/// `E[p q] - E[p] E[q]` where the correlation is small.
pub(super) fn covariance(a: &Marginal, b: &Marginal, covariance: Quad) -> Quad {
    match (a.action, b.action) {
        (Action::Off, _) | (_, Action::Off) => ZERO,
        (Action::Affine, Action::Affine) => covariance,
        (Action::Affine, Action::Kinked) => covariance * b.active,
        (Action::Kinked, Action::Affine) => covariance * a.active,
        (Action::Kinked, Action::Kinked) => {
            let rho = covariance / (a.sd * b.sd);
            let standardised = match rho.0.abs() <= EXPAND_AROUND_ZERO {
                true => covariance_around_zero(a, b, rho),
                false => rectified_product(a, b, rho) - a.first * b.first,
            };
            a.sd * b.sd * standardised
        }
    }
}

/// `P(p > 0, q > 0)` of two terms whose pre-activations have the given covariance; a term that is not rectified counts
/// as positive.
pub(super) fn both_active(a: &Marginal, b: &Marginal, covariance: Quad) -> Quad {
    match (a.action, b.action) {
        (Action::Off, _) | (_, Action::Off) => ZERO,
        (Action::Affine, Action::Affine) => ONE,
        (Action::Affine, Action::Kinked) => b.active,
        (Action::Kinked, Action::Affine) => a.active,
        (Action::Kinked, Action::Kinked) => orthant(a, b, covariance / (a.sd * b.sd)),
    }
}

/// `E[|p| |q|] / 4`, by `|p| = 2 relu(p) - p`.
pub(super) fn kink_product(a: &Marginal, b: &Marginal, covariance: Quad) -> Quad {
    let signed = |marginal: &Marginal| match marginal.action {
        Action::Off => -ONE,
        Action::Affine => ONE,
        Action::Kinked => ZERO,
    };
    let quarter = Quad::from(0.25);
    let plain = a.mean * b.mean + covariance;
    // E[|p| q] = E[|p|] E[q] + (2 P(p > 0) - 1) Cov(p, q)
    let half_kinked = |kinked: &Marginal, other: &Marginal| {
        let size = kinked.sd * (kinked.first + kinked.first - kinked.h);
        size * other.mean + (kinked.active - kinked.inactive) * covariance
    };
    match (a.action, b.action) {
        (Action::Kinked, Action::Kinked) => {
            let both = product(a, b, covariance) * Quad::from(4.0);
            // E[|p||q|] = 4 E[p_+ q_+] - E[|p| q] - E[p |q|] - E[p q]
            quarter * (both - half_kinked(a, b) - half_kinked(b, a) - plain)
        }
        (Action::Kinked, _) => quarter * signed(b) * half_kinked(a, b),
        (_, Action::Kinked) => quarter * signed(a) * half_kinked(b, a),
        _ => quarter * signed(a) * signed(b) * plain,
    }
}

/// `E[(X + h)_+ (Y + k)_+]` for standard normal `X`, `Y` with correlation `rho`.
fn rectified_product(a: &Marginal, b: &Marginal, rho: Quad) -> Quad {
    let (h, k) = (a.h, b.h);
    if rho.0.abs() <= EXPAND_AROUND_ZERO {
        return a.first * b.first + covariance_around_zero(a, b, rho);
    }
    let gap = gap_to_one(rho);
    // The sign of the difference is exact although biases may agree in all but their last digits.
    let (low, high) = if (h - k).0 <= 0.0 { (a, b) } else { (b, a) };
    if rho.0 > 0.0 {
        let value = (ONE + h * k) * low.active + high.h * low.density;
        value - gap * low.active + remainder_around_one(h + k, h - k, gap)
    } else {
        let remainder = remainder_around_one(h - k, h + k, gap);
        if (h + k).0 <= 0.0 {
            return remainder;
        }
        let both_active = low.active - high.inactive;
        (h * k - ONE) * both_active + k * a.density + h * b.density + gap * both_active + remainder
    }
}

/// `Cov((X + h)_+, (Y + k)_+)` for small correlations.
fn covariance_around_zero(a: &Marginal, b: &Marginal, rho: Quad) -> Quad {
    rho * a.active * b.active + rho * rho * density_integral(a.h, b.h, rho, |node| node.rest)
}

/// `P(X > -h, Y > -k)` for standard normal `X`, `Y` with correlation `rho`: the derivative of [`rectified_product`].
fn orthant(a: &Marginal, b: &Marginal, rho: Quad) -> Quad {
    let (h, k) = (a.h, b.h);
    if rho.0.abs() <= EXPAND_AROUND_ZERO {
        return a.active * b.active + rho * density_integral(h, k, rho, |_| ONE);
    }
    let half_gap = gap_to_one(rho) * Quad::from(0.5);
    let low = if (h - k).0 <= 0.0 { a } else { b };
    let integral =
        |sum, difference| half_gap.sqrt() / Quad::PI * integral_around_one(sum, difference, half_gap, |_| ONE);
    if rho.0 > 0.0 {
        low.active - integral(h + k, h - k)
    } else {
        let high = if (h - k).0 <= 0.0 { b } else { a };
        let limit = if (h + k).0 > 0.0 { low.active - high.inactive } else { ZERO };
        limit + integral(h - k, h + k)
    }
}

/// `1 - |rho|`. Correlations beyond ±1 are rounding errors of parallel neurons.
fn gap_to_one(rho: Quad) -> Quad {
    let gap = ONE - rho.abs();
    if gap.0 > 0.0 { gap } else { ZERO }
}

/// `∫_0^1 weight(s) phi_2(h, k; rho s) ds`.
fn density_integral(h: Quad, k: Quad, rho: Quad, weight: impl Fn(&Node) -> Quad) -> Quad {
    let quarter = Quad::from(0.25);
    let (sum, difference) = ((h + k) * (h + k) * quarter, (h - k) * (h - k) * quarter);
    let mut integral = ZERO;
    for node in LEGENDRE.iter() {
        let t = rho * node.point;
        let (plus, minus) = (ONE + t, ONE - t);
        let density = (-(sum / plus + difference / minus)).exp() / (plus * minus).sqrt();
        integral += node.weight * weight(node) * density;
    }
    integral / (Quad::PI + Quad::PI)
}

/// `∫_rho^1 (t - rho) phi_2(h, k; t) dt` with `gap = 1 - rho`, `sum = h + k`, `difference = h - k`.
///
/// With `t = 1 - 2 x² s²`, `x² = gap / 2`, it is
/// `(2 x³ / π) ∫_0^1 (1 - s²) (1 - x² s²)^(-1/2) exp(-sum² / 8(1 - x² s²) - difference² / 8 x² s²) ds`.
fn remainder_around_one(sum: Quad, difference: Quad, gap: Quad) -> Quad {
    if gap.0 <= 0.0 {
        return ZERO;
    }
    let half_gap = gap * Quad::from(0.5);
    let integral = integral_around_one(sum, difference, half_gap, |node| node.rest * (ONE + node.point));
    integral * half_gap * half_gap.sqrt() * Quad::from(2.0) / Quad::PI
}

/// `∫_0^1 weight(s) (1 - x² s²)^(-1/2) exp(-sum² / 8(1 - x² s²) - difference² / 8 x² s²) ds` with `x² = half_gap`.
fn integral_around_one(sum: Quad, difference: Quad, half_gap: Quad, weight: impl Fn(&Node) -> Quad) -> Quad {
    let eighth = Quad::from(0.125);
    if half_gap.0 <= 0.0 {
        return ZERO;
    }
    let (along, across) = (sum * sum * eighth, difference * difference * eighth / half_gap);
    let value = |node: &Node| {
        let square = node.point * node.point;
        let cosine = ONE - half_gap * square;
        let exponent = if across.0 == 0.0 { along / cosine } else { along / cosine + across / square };
        node.weight * weight(node) * (-exponent).exp() / cosine.sqrt()
    };
    let mut integral = ZERO;
    if across.0 == 0.0 {
        LEGENDRE.iter().for_each(|node| integral += value(node));
    } else {
        // from s = 1 down to 0, where the integrand decays at least as fast as s
        for node in DOUBLE_EXPONENTIAL.iter() {
            let term = value(node);
            integral += term;
            if node.point.0 < 0.25 && term.0 <= 1e-36 * integral.0 {
                break;
            }
        }
    }
    integral
}

/// A node of a quadrature rule on (0, 1).
struct Node {
    point: Quad,
    /// `1 - point`, to full relative accuracy.
    rest: Quad,
    weight: Quad,
}

/// The Gauss-Legendre rule, its nodes by Newton's method on the three-term recurrence.
static LEGENDRE: LazyLock<Vec<Node>> = LazyLock::new(|| {
    let n = LEGENDRE_NODES;
    let node = |i: usize| {
        let mut x = Quad::from((PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos());
        let mut slope = ONE;
        for _ in 0..6 {
            let (mut previous, mut value) = (ONE, x);
            for degree in 2..=n {
                let degree = degree as f64;
                let next = (x * value * Quad::from(2.0 * degree - 1.0) - previous * Quad::from(degree - 1.0))
                    / Quad::from(degree);
                (previous, value) = (value, next);
            }
            slope = (previous - x * value) * Quad::from(n as f64) / (ONE - x * x);
            x -= value / slope;
        }
        let half = Quad::from(0.5);
        Node { point: (ONE + x) * half, rest: (ONE - x) * half, weight: ((ONE - x * x) * slope * slope).recip() }
    };
    (0..n).map(node).collect()
});

/// The double-exponential rule `point = 1 / (1 + q)`, `q = exp(t - exp(-t))`, by the trapezoidal rule in `t`. It is
/// doubly exponential towards 1 and only exponential towards 0, so that its strip of analyticity maps into the sector
/// `|arg point| < π/4`, where `exp(-1 / point²)` is bounded.
static DOUBLE_EXPONENTIAL: LazyLock<Vec<Node>> = LazyLock::new(|| {
    let node = |i: i32| {
        let t = Quad::from(f64::from(i) * STEP);
        let decay = (-t).exp();
        let q = (t - decay).exp();
        let point = (ONE + q).recip();
        let rest = q * point;
        Node { point, rest, weight: Quad::from(STEP) * (ONE + decay) * point * rest }
    };
    ((-3.75 / STEP) as i32..(80.0 / STEP) as i32).map(node).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    fn neuron(h: f64) -> Marginal {
        let term = Term { weights: vec![ONE], bias: h.into(), rectified: true };
        Marginal::new(&term, &Normal::default()).expect("no covariance to reject")
    }

    fn around_zero(a: &Marginal, b: &Marginal, rho: Quad) -> Quad {
        a.first * b.first + covariance_around_zero(a, b, rho)
    }

    fn assert_close(came: Quad, expected: Quad, tolerance: f64) {
        assert!((came - expected).0.abs() <= tolerance, "{came:?} is not {expected:?}");
    }

    const BIASES: [f64; 9] = [0.0, 1e-9, -0.3, 0.3, 1.7, -1.7, 4.0, -6.0, 9.0];

    #[test]
    fn expansions_agree_where_both_hold() {
        for h in BIASES {
            for k in BIASES {
                let (a, b) = (neuron(h), neuron(k));
                for rho in [0.7500001, -0.7500001] {
                    let rho = Quad::from(rho);
                    let size = (1.0 + h * h).sqrt() * (1.0 + k * k).sqrt();
                    assert_close(rectified_product(&a, &b, rho), around_zero(&a, &b, rho), 3e-30 * size);
                }
            }
        }
    }

    #[test]
    fn the_orthant_probability_is_the_derivative_of_the_product() {
        let step = Quad::from(1e-10);
        for h in BIASES {
            for k in BIASES {
                let (a, b) = (neuron(h), neuron(k));
                for rho in [-0.99, -0.7501, -0.3, 0.0, 0.5, 0.76, 0.999] {
                    let rho = Quad::from(rho);
                    let slope = rectified_product(&a, &b, rho + step) - rectified_product(&a, &b, rho - step);
                    assert_close(orthant(&a, &b, rho), slope / (step + step), 1e-15);
                }
                let (before, after) = (Quad::from(0.75), Quad::from(0.75 + 1e-12));
                assert_close(orthant(&a, &b, before), orthant(&a, &b, after), 1e-12);
            }
        }
    }

    #[test]
    fn covariances_are_products_less_the_product_of_means() {
        for h in BIASES {
            let (a, b) = (neuron(h), neuron(0.7));
            for rho in [-1.0, -0.8, -0.2, 1e-9, 0.6, 1.0].map(Quad::from) {
                let expected = product(&a, &b, rho) - a.expectation() * b.expectation();
                assert_close(covariance(&a, &b, rho), expected, 1e-29 * (1.0 + h * h));
            }
        }
    }

    #[test]
    fn nearly_concurrent_kinks_are_the_limit_of_concurrent_ones() {
        let gap = Quad::from(0.1);
        let limit = remainder_around_one(Quad::from(0.4), ZERO, gap);
        for difference in [1e-8, 1e-14, 1e-20] {
            let near = remainder_around_one(Quad::from(0.4), Quad::from(difference), gap);
            assert_close(near, limit, difference);
            assert!(near.lt(limit));
        }
    }

    #[test]
    fn remainder_solves_its_differential_equation() {
        // the second derivative with respect to the gap is the density, up to the order of the finite difference
        let (sum, difference, gap, step) = (0.8, 0.05, 0.02, 1e-9);
        let at = |gap: Quad| remainder_around_one(Quad::from(sum), Quad::from(difference), gap);
        let (middle, step) = (Quad::from(gap), Quad::from(step));
        let curvature = (at(middle + step) - at(middle) - at(middle) + at(middle - step)) / (step * step);
        let t: f64 = 1.0 - gap;
        let exponent = -sum * sum / (4.0 * (1.0 + t)) - difference * difference / (4.0 * (1.0 - t));
        let density = exponent.exp() / (2.0 * PI * (1.0 - t * t).sqrt());
        assert!((curvature.0 / density - 1.0).abs() < 1e-11, "{curvature:?} is not {density}");
    }

    #[test]
    fn known_values_without_biases() {
        // rho = cos(pi / 6) and cos(5 pi / 6): (sqrt(1 - rho²) + rho (pi - acos rho)) / 2 pi
        let root = Quad::from(3.0).sqrt() * Quad::from(0.5);
        let zero = neuron(0.0);
        let two_pi = Quad::PI + Quad::PI;
        for (rho, sixths) in [(root, 1.0), (-root, 5.0)] {
            let angle = Quad::PI * Quad::from(sixths) / Quad::from(6.0);
            let expected = (Quad::from(0.5) + rho * (Quad::PI - angle)) / two_pi;
            assert_close(rectified_product(&zero, &zero, rho), expected, 1e-31);
        }
    }
}

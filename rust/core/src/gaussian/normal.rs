//! Density and distribution function of the standard normal distribution in double-double arithmetic.
//!
//! - D. B. Hunter, T. Regan, "A note on the evaluation of the complementary error function", Mathematics of Computation
//!   26 (1972).

use std::f64::consts::PI;
use std::sync::LazyLock;

use qd::Quad;

use super::{ONE, ZERO};

/// Step of the rule for the complementary error function; its error is exp(-(π / step)²) = 3e-39.
const ERFC_STEP: f64 = 1.0 / 3.0;

/// The standard normal density.
pub(super) fn density(h: Quad) -> Quad {
    (-(h * h) * Quad::from(0.5)).exp() / (Quad::PI + Quad::PI).sqrt()
}

/// The standard normal distribution function, to full relative accuracy, by the complementary error function of Hunter
/// and Regan (1972): the trapezoidal rule at half-integer points plus the residue of the enclosed pole.
pub(super) fn probability(h: Quad) -> Quad {
    let square = h * h * Quad::from(0.5);
    let x = square.sqrt();
    let mut sum = ZERO;
    for (t_square, weight) in ERFC_NODES.iter() {
        sum += *weight / (*t_square + square);
    }
    let step = Quad::from(ERFC_STEP);
    let mut tail = step * x * (-square).exp() * sum / Quad::PI;
    if x.0 < PI / ERFC_STEP {
        tail += (ONE + ((Quad::PI + Quad::PI) * x / step).exp()).recip();
    }
    if h.0 > 0.0 { ONE - tail } else { tail }
}

/// `t²` and `exp(-t²)` at the half-integer multiples of the step.
static ERFC_NODES: LazyLock<Vec<(Quad, Quad)>> = LazyLock::new(|| {
    let node = |i: u32| {
        let t = Quad::from(f64::from(i) + 0.5) * Quad::from(ERFC_STEP);
        (t * t, (-(t * t)).exp())
    };
    (0..28).map(node).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(came: Quad, expected: Quad, tolerance: f64) {
        assert!((came - expected).0.abs() <= tolerance, "{came:?} is not {expected:?}");
    }

    #[test]
    fn probabilities_have_full_relative_accuracy() {
        // Phi(h) = 1/2 + phi(h) (h + h³/3 + h⁵/(3·5) + ..)
        for h in [1e-3, 0.5, 1.0, 3.0, 5.0] {
            let h = Quad::from(h);
            let (mut term, mut series) = (h, h);
            for n in 1..200 {
                term = term * h * h / Quad::from(f64::from(2 * n + 1));
                series += term;
            }
            assert_close(probability(h), Quad::from(0.5) + density(h) * series, 1e-30);
        }
        // Mills' ratio as a continued fraction
        for h in [12.0, 13.3, 14.0, 30.0] {
            let mut fraction = Quad::from(h);
            for n in (1..200).rev() {
                fraction = Quad::from(h) + Quad::from(f64::from(n)) / fraction;
            }
            let tail = density(Quad::from(h)) / fraction;
            assert_close(probability(Quad::from(-h)), tail, 1e-28 * tail.0);
        }
    }
}

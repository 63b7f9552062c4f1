//! Probabilists' Hermite polynomials He_n and the Hermite coefficients κ_l of relu.

use std::f64::consts::PI;

/// Advances the recurrence He_{n+1}(t) = t He_n(t) - n He_{n-1}(t) by one degree, for each row.
///
/// On entry `previous` holds He_{n-1}(t) and `current` holds He_n(t); on return they hold He_n(t) and He_{n+1}(t).
#[inline(always)]
pub fn advance(n: usize, t: &[f64], previous: &mut [f64], current: &mut [f64]) {
    for ((&t, previous), current) in t.iter().zip(previous).zip(current) {
        let next = t * *current - n as f64 * *previous;
        *previous = *current;
        *current = next;
    }
}

/// Returns the Hermite coefficient κ_l = E[relu(z) He_l(z)] of relu, for z ~ N(0, 1).
///
/// It is (-1)^(l/2+1) (l-3)!!/√(2π) for even l ≥ 2, with (-1)!! = 1; 1/√(2π) for l = 0; 1/2 for l = 1; and 0 for odd
/// l ≥ 3.
#[must_use]
pub fn relu_coefficient(l: usize) -> f64 {
    match l {
        0 => 1.0 / (2.0 * PI).sqrt(),
        1 => 0.5,
        l if l % 2 == 1 => 0.0,
        l => {
            let double_factorial: f64 = (1..l - 2).step_by(2).map(|j| j as f64).product();
            let sign = if (l / 2) % 2 == 1 { 1.0 } else { -1.0 };
            sign * double_factorial / (2.0 * PI).sqrt()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Integrates g φ over the real line by the trapezoidal rule, which converges geometrically.
    fn gaussian_mean(g: impl Fn(f64) -> f64) -> f64 {
        let h = 1e-3;
        (-14_000..=14_000)
            .map(|i| {
                let z = f64::from(i) * h;
                g(z) * (-z * z / 2.0).exp() / (2.0 * PI).sqrt() * h
            })
            .sum()
    }

    #[test]
    fn coefficients_are_gaussian_means() {
        for l in 0..12 {
            let mean = gaussian_mean(|z| {
                let (t, mut previous, mut current) = ([z], [0.0], [1.0]);
                for n in 0..l {
                    advance(n, &t, &mut previous, &mut current);
                }
                z.max(0.0) * current[0]
            });
            let scale = 1.0 + relu_coefficient(l).abs();
            assert!((mean - relu_coefficient(l)).abs() < 1e-6 * scale * (1..=l).product::<usize>() as f64, "l = {l}");
        }
    }
}

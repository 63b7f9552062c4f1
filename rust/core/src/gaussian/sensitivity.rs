//! Closed forms of sensitivity analysis under Gaussian inputs: Sobol indices, conditional means, moments of the gradient.
//!
//! If inputs `x`, `x'` share the features in a set `S` and are otherwise independent, then `Var E[f | x_S] = Cov(f(x),
//! f(x'))`. The pre-activations of two neurons are bivariate normal, so that the pair integrals of inner products apply
//! with another correlation.

use qd::Quad;
use rayon::prelude::*;

use super::normal::{density, probability};
use super::pair;
use super::{Expansion, Normal, ZERO};
use crate::control::Control;
use crate::error::{Error, Result};
use crate::network::NetworkView;

/// Number of standard deviations beyond which a neuron is zero or affine.
const FAR: f64 = 37.0;

/// Mean and variance of a network, and the shares of the variance that groups of features explain.
#[derive(Clone, Debug, PartialEq)]
pub struct Sobol {
    /// `E f(x)`, one entry per output.
    pub mean: Vec<f64>,
    /// `Var f(x)`, one entry per output.
    pub variance: Vec<f64>,
    /// `Var E[f(x) | x_S] / Var f(x)`, `(n_groups, n_outputs)` row-major; zero if the variance is zero.
    pub first: Vec<f64>,
    /// `1 - Var E[f(x) | x_{not S}] / Var f(x)`, `(n_groups, n_outputs)` row-major; zero if the variance is zero.
    pub total: Vec<f64>,
}

/// First and total Sobol indices of groups of features, for independent inputs `N(mean, scale²)`.
///
/// # Errors
/// A network whose lengths do not fit; a mean, scale or feature that does not fit the network; cancellation.
pub fn sobol(
    network: &NetworkView,
    mean: Option<&[f64]>,
    scale: Option<&[f64]>,
    groups: &[Vec<usize>],
    control: &Control,
) -> Result<Sobol> {
    check(network, mean, scale, groups.iter().flatten())?;
    let mut f = Expansion::new(network);
    f.standardise(mean, scale);
    let size = f.size();
    f.divide(size);
    let marginals = f.marginals(&Normal::default(), control)?;
    let (n_terms, m) = (f.terms.len(), network.n_outputs());

    // Cov(f(x), f(x')), one entry per output, for a given covariance of the pre-activations of two terms.
    let explained = |covariance: &(dyn Fn(usize, usize) -> Quad + Sync)| -> Result<Vec<Quad>> {
        let row = |i: usize| {
            let mut sums = vec![ZERO; m];
            if control.is_cancelled() {
                return Err(Error::Cancelled);
            }
            for j in 0..=i {
                let shared = covariance(i, j);
                let weights = || f.coefficients[i].iter().zip(&f.coefficients[j]).map(|(a, b)| *a * *b);
                if shared != ZERO && weights().any(|weight| weight != ZERO) {
                    let twice = Quad::from(if i == j { 1.0 } else { 2.0 });
                    let value = pair::covariance(&marginals[i], &marginals[j], shared) * twice;
                    sums.iter_mut().zip(weights()).for_each(|(sum, weight)| *sum += weight * value);
                }
            }
            Ok(sums)
        };
        let rows: Result<Vec<Vec<Quad>>> = (0..n_terms).into_par_iter().map(row).collect();
        let add = |mut sums: Vec<Quad>, row: Vec<Quad>| {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            sums
        };
        Ok(rows?.into_iter().fold(vec![ZERO; m], add))
    };

    let whole = |i: usize, j: usize| f.terms[i].covariance(&marginals[j]);
    let variance = explained(&whole)?;
    let share = |part: &[Quad]| {
        let one = |(part, whole): (&Quad, &Quad)| if whole.0 > 0.0 { (*part / *whole).0.clamp(0.0, 1.0) } else { 0.0 };
        part.iter().zip(&variance).map(one).collect::<Vec<f64>>()
    };
    let (mut first, mut total) = (Vec::with_capacity(groups.len() * m), Vec::with_capacity(groups.len() * m));
    for group in groups {
        let inside = |i: usize, j: usize| {
            let (a, b) = (&f.terms[i].weights, &f.terms[j].weights);
            group.iter().fold(ZERO, |sum, &feature| sum + a[feature] * b[feature])
        };
        let outside: Vec<usize> = (0..network.n_features).filter(|feature| !group.contains(feature)).collect();
        // Variances of the other features are summed and not subtracted, so that they vanish exactly for a neuron that
        // depends on the group alone.
        let beside = |i: usize, j: usize| {
            let (a, b) = (&f.terms[i].weights, &f.terms[j].weights);
            outside.iter().fold(ZERO, |sum, &feature| sum + a[feature] * b[feature])
        };
        first.extend(share(&explained(&inside)?));
        let rest = explained(&beside)?;
        let interacting: Vec<Quad> = variance.iter().zip(rest).map(|(whole, rest)| *whole - rest).collect();
        total.extend(share(&interacting));
    }
    let mut means = vec![ZERO; m];
    for (coefficients, marginal) in f.coefficients.iter().zip(&marginals) {
        let value = marginal.expectation();
        means.iter_mut().zip(coefficients).for_each(|(sum, coefficient)| *sum += *coefficient * value);
    }
    Ok(Sobol {
        mean: means.iter().map(|value| value.0 * size).collect(),
        variance: variance.iter().map(|value| value.0.max(0.0) * size * size).collect(),
        first,
        total,
    })
}

/// `E[f(x) | x_S = values]` for each row of `values`, `(n_rows, n_outputs)` row-major, for independent inputs
/// `N(mean, scale²)`.
///
/// # Errors
/// As [`sobol`]; values that are not rows of as many entries as there are features in `S`.
pub fn conditional_mean(
    network: &NetworkView,
    mean: Option<&[f64]>,
    scale: Option<&[f64]>,
    features: &[usize],
    values: &[f64],
) -> Result<Vec<f64>> {
    check(network, mean, scale, features.iter())?;
    if features.is_empty() || !values.len().is_multiple_of(features.len()) {
        return Err(Error::argument("values", format!("{} entries are not rows of {}", values.len(), features.len())));
    }
    let (d, k, m) = (network.n_features, network.n_neurons(), network.n_outputs());
    let others: Vec<usize> = (0..d).filter(|feature| !features.contains(feature)).collect();
    let centre = |feature: usize| mean.map_or(0.0, |mean| mean[feature]);
    let spread = |feature: usize| scale.map_or(1.0, |scale| scale[feature]);
    let level = |weights: &[f64], bias: f64| others.iter().fold(bias, |sum, &i| sum + weights[i] * centre(i));
    let neurons: Vec<(f64, f64)> = (0..k)
        .map(|i| {
            let weights = network.neuron(i);
            let spread = others.iter().fold(0.0_f64, |sum, &other| sum.hypot(weights[other] * spread(other)));
            (level(weights, network.biases[i]), spread)
        })
        .collect();
    let linear = |output: usize| &network.linear[output * d..(output + 1) * d];
    let levels: Vec<f64> = (0..m).map(|output| level(linear(output), network.intercept[output])).collect();
    let at = |weights: &[f64], row: &[f64], start: f64| {
        features.iter().zip(row).fold(start, |sum, (&feature, value)| sum + weights[feature] * value)
    };
    let row_of = |row: &[f64]| {
        let mut out: Vec<f64> = (0..m).map(|output| at(linear(output), row, levels[output])).collect();
        for (i, &(level, sd)) in neurons.iter().enumerate() {
            let value = rectified_mean(at(network.neuron(i), row, level), sd);
            out.iter_mut().enumerate().for_each(|(output, sum)| *sum += network.output_weights[output * k + i] * value);
        }
        out
    };
    Ok(values.par_chunks(features.len()).flat_map_iter(row_of).collect())
}

/// `E[relu(mean + sd Z)]` for standard normal `Z`.
fn rectified_mean(mean: f64, sd: f64) -> f64 {
    if mean.abs() >= FAR * sd {
        return mean.max(0.0);
    }
    let h = Quad::from(mean) / Quad::from(sd);
    sd * (h * probability(h) + density(h)).0
}

/// `E[∇f(x) ∇f(x)ᵀ]` for `x ~ N(mean, cov)`, summed over outputs, `(n_features, n_features)` row-major.
///
/// # Errors
/// As [`super::inner_product`]; cancellation.
pub fn gradient_moment(network: &NetworkView, inputs: &Normal, control: &Control) -> Result<Vec<f64>> {
    super::check(network, network, inputs)?;
    let mut f = Expansion::new(network);
    let size = f.size();
    f.divide(size);
    let marginals = f.marginals(inputs, control)?;
    let (n_terms, d) = (f.terms.len(), network.n_features);
    let row = |i: usize| {
        if control.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let weight = |j: usize| match f.factor(i, &f, j) {
            factor if factor == ZERO => ZERO,
            factor => factor * pair::both_active(&marginals[i], &marginals[j], f.terms[i].covariance(&marginals[j])),
        };
        // Gradients of the other terms on inputs for which this one is active.
        let mut sum = vec![ZERO; d];
        for j in 0..n_terms {
            let weight = weight(j);
            sum.iter_mut().zip(&f.terms[j].weights).for_each(|(sum, value)| *sum += weight * *value);
        }
        Ok(sum)
    };
    let rows: Result<Vec<Vec<Quad>>> = (0..n_terms).into_par_iter().map(row).collect();
    let rows = rows?;
    let line = |a: usize| {
        let entry = |b: usize| (0..n_terms).fold(ZERO, |sum, i| sum + f.terms[i].weights[a] * rows[i][b]);
        (0..=a).map(|b| entry(b).0 * size * size).collect::<Vec<f64>>()
    };
    let lower: Vec<Vec<f64>> = (0..d).into_par_iter().map(line).collect();
    Ok((0..d * d).map(|place| lower[(place / d).max(place % d)][(place / d).min(place % d)]).collect())
}

fn check<'a>(
    network: &NetworkView,
    mean: Option<&[f64]>,
    scale: Option<&[f64]>,
    mut features: impl Iterator<Item = &'a usize>,
) -> Result<()> {
    network.check()?;
    let d = network.n_features;
    for (name, part) in [("mean", mean), ("scale", scale)] {
        if let Some(part) = part.filter(|part| part.len() != d) {
            return Err(Error::argument(name, format!("{} entries, expected {d}", part.len())));
        }
    }
    match features.find(|feature| **feature >= d) {
        Some(feature) => Err(Error::argument("features", format!("{feature}, expected less than {d}"))),
        None => Ok(()),
    }
}

impl Expansion {
    /// The same function with standard normal inputs in place of `N(mean, scale²)`.
    fn standardise(&mut self, mean: Option<&[f64]>, scale: Option<&[f64]>) {
        for (term, coefficients) in self.terms.iter_mut().zip(&mut self.coefficients) {
            if let Some(mean) = mean {
                term.bias = mean.iter().zip(&term.weights).fold(term.bias, |sum, (a, b)| sum + Quad::from(*a) * *b);
            }
            if let Some(scale) = scale {
                term.weights.iter_mut().zip(scale).for_each(|(weight, scale)| *weight *= Quad::from(*scale));
            }
            if term.rectified {
                let size = term.size();
                term.divide(size);
                coefficients.iter_mut().for_each(|value| *value *= Quad::from(size));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;

    fn network() -> Network {
        let weights = vec![1.0, -0.5, 0.25, 0.75, 0.0, 2.0];
        Network::new(weights, vec![0.3, -0.8], vec![1.5, -2.0], vec![0.1, 0.0, -0.7], 4.0).expect("lengths fit")
    }

    #[test]
    fn one_group_of_all_features_explains_everything() {
        let network = network();
        let (mean, scale) = ([0.5, 2.0, -1.0], [2.0, 0.5, 1.0]);
        let control = Control::default();
        let all = sobol(&network.view(), Some(&mean), Some(&scale), &[vec![0, 1, 2], vec![]], &control).expect("fits");
        assert_eq!((all.first[0], all.total[0]), (1.0, 1.0));
        assert_eq!((all.first[1], all.total[1]), (0.0, 0.0));
        let cov = [4.0, 0.0, 0.0, 0.0, 0.25, 0.0, 0.0, 0.0, 1.0];
        let inputs = Normal { mean: Some(&mean), cov: Some(&cov) };
        let square = super::super::inner_product(&network.view(), &network.view(), &inputs, &control).expect("fits");
        assert!((square - all.mean[0] * all.mean[0] - all.variance[0]).abs() < 1e-12 * square);
    }

    #[test]
    fn the_mean_of_the_conditional_mean_is_the_mean() {
        let network = network();
        let n = 4001;
        let points: Vec<f64> = (0..n).map(|i| -10.0 + 20.0 * f64::from(i) / f64::from(n - 1)).collect();
        let means = conditional_mean(&network.view(), None, None, &[2], &points).expect("fits");
        let weight = |x: f64| (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * 20.0 / f64::from(n - 1);
        let mean: f64 = points.iter().zip(&means).map(|(x, value)| weight(*x) * value).sum();
        let square: f64 = points.iter().zip(&means).map(|(x, value)| weight(*x) * value * value).sum();
        let exact = sobol(&network.view(), None, None, &[vec![2]], &Control::default()).expect("fits");
        assert!((mean - exact.mean[0]).abs() < 1e-9);
        assert!(((square - mean * mean) / exact.variance[0] - exact.first[0]).abs() < 1e-9);
    }

    #[test]
    fn cancelled_work_ends() {
        let control = Control::default();
        control.cancel();
        let ended = sobol(&network().view(), None, None, &[vec![0]], &control).expect_err("cancelled");
        assert!(matches!(ended, Error::Cancelled));
    }
}

//! Exact inner products and distances of ReLU networks under Gaussian inputs, to far below double precision.
//!
//! The squared distance of two networks is a sum of `E[relu(p) relu(q)]` over all pairs of their neurons, where `p` and
//! `q` are jointly normal. For close networks the terms cancel: at a distance of 1e-12 the first 24 digits of the sum
//! vanish. All computations therefore use double-double arithmetic (about 32 digits) and a form of the pair integral
//! that is well conditioned for every correlation. Neurons are not matched, and a neuron of one network may be close to a
//! sum of several neurons of the other.
//!
//! Sums run in the thread pool of the caller.

mod normal;
mod pair;
mod sensitivity;

use qd::Quad;
use rayon::prelude::*;

use self::pair::{Marginal, kink_product, product};
use crate::control::Control;
use crate::error::{Error, Result};
use crate::network::NetworkView;

pub use self::sensitivity::{Sobol, conditional_mean, gradient_moment, sobol};

const ZERO: Quad = Quad::ZERO;
const ONE: Quad = Quad::ONE;

/// The distribution `N(mean, cov)` of the inputs, by default `N(0, I)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Normal<'a> {
    /// Mean, one entry per feature; `None` means zero.
    pub mean: Option<&'a [f64]>,
    /// Symmetric covariance, `(n_features, n_features)`; `None` means the identity.
    pub cov: Option<&'a [f64]>,
}

/// `E[<f(x), g(x)>]`, summed over outputs.
///
/// # Errors
/// Networks or a distribution of different dimensions; a covariance that is not positive semi-definite;
/// [`Error::Cancelled`].
pub fn inner_product(f: &NetworkView, g: &NetworkView, inputs: &Normal, control: &Control) -> Result<f64> {
    check(f, g, inputs)?;
    let (mut f, mut g) = (Expansion::new(f), Expansion::new(g));
    let (f_size, g_size) = (f.size(), g.size());
    f.divide(f_size);
    g.divide(g_size);
    let (f_terms, g_terms) = (f.marginals(inputs, control)?, g.marginals(inputs, control)?);
    let value = pair_sum(f.terms.len(), control, |i| {
        let mut sum = ZERO;
        for (j, g_term) in g_terms.iter().enumerate() {
            let factor = f.factor(i, &g, j);
            if factor != ZERO {
                sum += factor * product(&f_terms[i], g_term, f.terms[i].covariance(g_term));
            }
        }
        sum
    })?;
    Ok(value.0 * f_size * g_size)
}

/// `sqrt(E |f(x) - g(x)|²)`, with an absolute error of about 1e-15 times the size of the networks.
///
/// # Errors
/// As [`inner_product`].
pub fn distance(f: &NetworkView, g: &NetworkView, inputs: &Normal, control: &Control) -> Result<f64> {
    check(f, g, inputs)?;
    let mut difference = Expansion::new(f).minus(Expansion::new(g));
    let size = difference.size();
    difference.divide(size);
    let terms = difference.marginals(inputs, control)?;
    let square = pair_sum(terms.len(), control, |i| {
        let mut sum = ZERO;
        for j in 0..=i {
            let factor = difference.factor(i, &difference, j);
            if factor != ZERO {
                let twice = if i == j { 1.0 } else { 2.0 };
                let value = product(&terms[i], &terms[j], difference.terms[i].covariance(&terms[j]));
                sum += factor * value * Quad::from(twice);
            }
        }
        sum
    })?;
    Ok(square.0.max(0.0).sqrt() * size)
}

/// Distances of every neuron of `f` from every neuron of `g`, `(k_f, k_g)` row-major, and the norms of the neurons of
/// `f`. Both refer to the identifiable form `output_weights |weights.x + bias| / 2`, which does not depend on the sign of
/// `weights`.
///
/// # Errors
/// As [`inner_product`].
pub fn neuron_distances(
    f: &NetworkView,
    g: &NetworkView,
    inputs: &Normal,
    control: &Control,
) -> Result<(Vec<f64>, Vec<f64>)> {
    check(f, g, inputs)?;
    let (k_f, k_g) = (f.n_neurons(), g.n_neurons());
    let (mut f, mut g) = (Expansion::new(f), Expansion::new(g));
    let size = f.size().max(g.size());
    f.divide(size);
    g.divide(size);
    let (f_terms, g_terms) = (f.marginals(inputs, control)?, g.marginals(inputs, control)?);
    let squares = |a: &Expansion, terms: &[Marginal], k: usize| -> Vec<Quad> {
        let square =
            |i: usize| a.factor(i, a, i) * kink_product(&terms[i], &terms[i], a.terms[i].covariance(&terms[i]));
        (0..k).map(square).collect()
    };
    let (f_squares, g_squares) = (squares(&f, &f_terms, k_f), squares(&g, &g_terms, k_g));
    let root = |square: Quad| square.0.max(0.0).sqrt() * size;
    let distance = |place: usize| {
        if control.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let (i, j) = (place / k_g, place % k_g);
        if f.terms[i] == g.terms[j] && f.coefficients[i] == g.coefficients[j] {
            return Ok(0.0);
        }
        let cross = kink_product(&f_terms[i], &g_terms[j], f.terms[i].covariance(&g_terms[j]));
        Ok(root(f_squares[i] + g_squares[j] - f.factor(i, &g, j) * cross * Quad::from(2.0)))
    };
    let distances = (0..k_f * k_g).into_par_iter().map(distance).collect::<Result<_>>()?;
    Ok((distances, f_squares.into_iter().map(root).collect()))
}

fn check(f: &NetworkView, g: &NetworkView, inputs: &Normal) -> Result<()> {
    f.check()?;
    g.check()?;
    let (d, m) = (f.n_features, f.n_outputs());
    if (g.n_features, g.n_outputs()) != (d, m) {
        return Err(Error::argument(
            "other",
            format!("{} features and {} outputs, expected {d} and {m}", g.n_features, g.n_outputs()),
        ));
    }
    for (name, part, expected) in [("mean", inputs.mean, d), ("cov", inputs.cov, d * d)] {
        if let Some(part) = part.filter(|part| part.len() != expected) {
            return Err(Error::argument(name, format!("{} entries, expected {expected}", part.len())));
        }
    }
    Ok(())
}

/// Computes rows in parallel and sums them in order.
fn pair_sum(n_rows: usize, control: &Control, row: impl Fn(usize) -> Quad + Sync + Send) -> Result<Quad> {
    let row = |i| if control.is_cancelled() { Err(Error::Cancelled) } else { Ok(row(i)) };
    let rows = (0..n_rows).into_par_iter().map(row).collect::<Result<Vec<Quad>>>()?;
    Ok(rows.into_iter().fold(ZERO, |sum, value| sum + value))
}

/// `relu(weights.x + bias)`, or `weights.x + bias` if not rectified.
#[derive(PartialEq)]
struct Term {
    weights: Vec<Quad>,
    bias: Quad,
    rectified: bool,
}

/// A network as a linear combination of terms: its neurons, then the affine part of each output.
struct Expansion {
    terms: Vec<Term>,
    /// One row of coefficients per term, with one entry per output.
    coefficients: Vec<Vec<Quad>>,
}

impl Expansion {
    fn new(network: &NetworkView) -> Self {
        let (k, d, m) = (network.n_neurons(), network.n_features, network.n_outputs());
        let exact = |values: &[f64]| values.iter().map(|&value| Quad::from(value)).collect::<Vec<_>>();
        let neurons = (0..k).map(|i| {
            let mut term = Term { weights: exact(network.neuron(i)), bias: network.biases[i].into(), rectified: true };
            let size = term.size();
            term.divide(size);
            let coefficient = |output: usize| Quad::from(network.output_weights[output * k + i]) * Quad::from(size);
            (term, (0..m).map(coefficient).collect())
        });
        let affine = (0..m).map(|output| {
            let weights = exact(&network.linear[output * d..(output + 1) * d]);
            let term = Term { weights, bias: network.intercept[output].into(), rectified: false };
            (term, (0..m).map(|other| if other == output { ONE } else { ZERO }).collect())
        });
        let (terms, coefficients) = neurons.chain(affine).unzip();
        Self { terms, coefficients }
    }

    /// The difference of two networks. Coefficients of equal neurons and of the affine parts are subtracted, so that
    /// common parts of the networks do not reduce accuracy.
    fn minus(mut self, other: Self) -> Self {
        let m = self.coefficients.last().map_or(0, Vec::len);
        let own_affine = self.terms.len() - m;
        let other_affine = other.terms.len() - m;
        for (j, (term, coefficients)) in other.terms.into_iter().zip(other.coefficients).enumerate() {
            if !term.rectified {
                let own = &mut self.terms[own_affine + j - other_affine];
                own.bias -= term.bias;
                own.weights.iter_mut().zip(term.weights).for_each(|(own, other)| *own -= other);
            } else if let Some(same) = self.terms.iter().position(|own| *own == term) {
                self.coefficients[same].iter_mut().zip(coefficients).for_each(|(own, other)| *own -= other);
            } else {
                self.terms.push(term);
                self.coefficients.push(coefficients.into_iter().map(|value| -value).collect());
            }
        }
        self
    }

    /// The largest coefficient, rounded down as in [`Term::size`].
    fn size(&self) -> f64 {
        let size = |(term, coefficients): (&Term, &Vec<Quad>)| match term.rectified {
            true => magnitude(coefficients.iter()),
            false => term.size(),
        };
        self.terms.iter().zip(&self.coefficients).map(size).fold(f64::MIN_POSITIVE, f64::max)
    }

    /// Divides the function by a power of two.
    fn divide(&mut self, size: f64) {
        for (term, coefficients) in self.terms.iter_mut().zip(&mut self.coefficients) {
            match term.rectified {
                true => coefficients.iter_mut().for_each(|value| *value = divided(*value, size)),
                false => term.divide(size),
            }
        }
    }

    /// Coefficient of the product of two terms, summed over outputs.
    fn factor(&self, i: usize, other: &Self, j: usize) -> Quad {
        self.coefficients[i].iter().zip(&other.coefficients[j]).fold(ZERO, |sum, (a, b)| sum + *a * *b)
    }

    fn marginals(&self, inputs: &Normal, control: &Control) -> Result<Vec<Marginal>> {
        let marginal = |term| if control.is_cancelled() { Err(Error::Cancelled) } else { Marginal::new(term, inputs) };
        self.terms.par_iter().map(marginal).collect()
    }
}

impl Term {
    /// The largest entry, rounded down to a power of two; division by it is exact and keeps squares in range.
    fn size(&self) -> f64 {
        magnitude(self.weights.iter().chain([&self.bias]))
    }

    fn divide(&mut self, size: f64) {
        self.weights.iter_mut().chain([&mut self.bias]).for_each(|value| *value = divided(*value, size));
    }

    fn covariance(&self, other: &Marginal) -> Quad {
        dot(&self.weights, &other.image)
    }
}

/// The largest absolute value, rounded down to a power of two, at least the smallest normal one.
fn magnitude<'a>(values: impl Iterator<Item = &'a Quad>) -> f64 {
    let largest = values.fold(f64::MIN_POSITIVE, |largest, value| largest.max(value.0.abs()));
    f64::from_bits(largest.to_bits() & f64::INFINITY.to_bits())
}

/// The quotient by a power of two.
fn divided(value: Quad, size: f64) -> Quad {
    Quad(value.0 / size, value.1 / size)
}

fn dot(a: &[Quad], b: &[Quad]) -> Quad {
    a.iter().zip(b).fold(ZERO, |sum, (a, b)| sum + *a * *b)
}

//! Checks for NaN, infinities and negative weights in inputs, labels and weights.

use crate::error::{Column, Error, Result};
use crate::simd::{self, Simd};

/// Location of a value: the argument or file, the row, and the column if there are several columns.
pub type Place = (String, u64, Option<Column>);

/// Returns an error if a value is NaN or infinite; `place` maps an index of `values` to its location.
pub fn require_finite(values: &[f64], place: impl FnOnce(usize) -> Place) -> Result<()> {
    if all_finite(values) {
        return Ok(());
    }
    require(values, |value| value.is_finite(), "a finite number", place)
}

/// Returns an error if a weight is negative or not finite.
pub fn require_weights(weights: &[f64], place: impl FnOnce(usize) -> Place) -> Result<()> {
    require(weights, |weight| weight >= 0.0 && weight.is_finite(), "a finite weight of at least 0", place)
}

fn require(
    values: &[f64],
    valid: impl Fn(f64) -> bool,
    expected: &str,
    place: impl FnOnce(usize) -> Place,
) -> Result<()> {
    match values.iter().position(|&value| !valid(value)) {
        None => Ok(()),
        Some(index) => {
            let (name, row, column) = place(index);
            Err(Error::value(name, row, column, format!("{} where {expected} was expected", values[index])))
        }
    }
}

/// Whether all values are finite, computed as a sum of `0 * value`, which is 0 for finite values only.
fn all_finite(values: &[f64]) -> bool {
    simd::dispatch(SumZeros { values }) == 0.0
}

struct SumZeros<'a> {
    values: &'a [f64],
}

impl simd::Operation for SumZeros<'_> {
    type Element = f64;
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd<Element = f64>>(self) -> f64 {
        let mut sums = [S::zero(); 4];
        for part in self.values.chunks(4 * S::WIDTH) {
            if part.len() == 4 * S::WIDTH {
                for (l, sum) in sums.iter_mut().enumerate() {
                    *sum = S::mul_add(S::load_doubles(&part[l * S::WIDTH..][..S::WIDTH]), S::zero(), *sum);
                }
            } else {
                for values in part.chunks(S::WIDTH) {
                    sums[0] = S::mul_add(S::load_doubles(values), S::zero(), sums[0]);
                }
            }
        }
        S::sum(S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_is_looked_at() {
        for length in 1..50 {
            assert!(all_finite(&vec![f64::MAX; length]));
            for index in 0..length {
                for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                    let mut values = vec![-1.5; length];
                    values[index] = bad;
                    let error =
                        require_finite(&values, |at| ("X".into(), at as u64, Some(Column::Index(7)))).unwrap_err();
                    assert!(error.to_string().starts_with(&format!("X, row {index}, column 7: ")), "{error}");
                }
            }
        }
        assert!(all_finite(&[]));
    }

    #[test]
    fn weights_are_finite_and_not_negative() {
        let check = |weights: &[f64]| require_weights(weights, |at| ("sample_weight".into(), at as u64, None));
        assert!(check(&[0.0, -0.0, 2.5]).is_ok());
        for bad in [-1e-300, f64::NAN, f64::INFINITY] {
            let message = check(&[1.0, bad]).unwrap_err().to_string();
            assert!(message.starts_with("sample_weight, row 1: "), "{message}");
        }
    }
}

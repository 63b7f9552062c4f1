//! The values that no source hands out and no network takes: NaN, infinities and negative weights.

use crate::error::{Error, Result};

/// Refuses NaN and infinities; `name` and `place` say where the value at an index of `values` stands.
pub fn require_finite(
    values: &[f64],
    name: impl FnOnce() -> String,
    place: impl FnOnce(usize) -> (u64, Option<usize>),
) -> Result<()> {
    if all_finite(values) {
        return Ok(());
    }
    require(values, |value| value.is_finite(), "a finite number", name, place)
}

/// Refuses weights that are negative or not finite.
pub fn require_weights(
    weights: &[f64],
    name: impl FnOnce() -> String,
    place: impl FnOnce(usize) -> (u64, Option<usize>),
) -> Result<()> {
    require(weights, |weight| weight >= 0.0 && weight.is_finite(), "a finite weight of at least 0", name, place)
}

fn require(
    values: &[f64],
    valid: impl Fn(f64) -> bool,
    expected: &str,
    name: impl FnOnce() -> String,
    place: impl FnOnce(usize) -> (u64, Option<usize>),
) -> Result<()> {
    match values.iter().position(|&value| !valid(value)) {
        None => Ok(()),
        Some(index) => {
            let (row, column) = place(index);
            let message = format!("{} where {expected} was expected", values[index]);
            Err(Error::Data { source_name: name(), message, row: Some(row), column })
        }
    }
}

/// Whether no value is NaN or infinite, at the speed of a sum: `0 * value` is 0 for finite values only.
fn all_finite(values: &[f64]) -> bool {
    let (chunks, rest) = values.as_chunks::<16>();
    let mut lanes = [0.0; 16];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += 0.0 * value;
        }
    }
    lanes.iter().chain(rest).map(|value| 0.0 * value).sum::<f64>() == 0.0
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
                    let error = require_finite(&values, || "X".into(), |at| (at as u64, Some(7))).unwrap_err();
                    assert!(
                        matches!(error, Error::Data { row: Some(row), column: Some(7), .. } if row == index as u64)
                    );
                }
            }
        }
        assert!(all_finite(&[]));
    }

    #[test]
    fn weights_are_finite_and_not_negative() {
        let check = |weights: &[f64]| require_weights(weights, || "sample_weight".into(), |at| (at as u64, None));
        assert!(check(&[0.0, -0.0, 2.5]).is_ok());
        for bad in [-1e-300, f64::NAN, f64::INFINITY] {
            let message = check(&[1.0, bad]).unwrap_err().to_string();
            assert!(message.starts_with("sample_weight, row 1: "), "{message}");
        }
    }
}

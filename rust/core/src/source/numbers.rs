//! Conversion of half-precision, bfloat16 and decimal numbers to double precision.

use arrow_buffer::i256;

/// The value of a half-precision number with these bits.
pub(super) fn half_to_double(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let magnitude = match (bits >> 10) & 0x1f {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1024.0 + fraction) * 2f64.powi(i32::from(exponent) - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

/// The value of a bfloat16 number with these bits, which are the upper half of a single-precision number.
pub(super) fn bfloat_to_double(bits: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(bits) << 16))
}

/// Largest power of ten that a double represents exactly.
const EXACT_SCALE: i32 = 22;
/// Largest integer up to which every integer is a double.
const EXACT_INTEGER: u128 = 1 << 53;

/// The double nearest to `unscaled * 10^-scale`, the same as from the text of the decimal.
pub(super) fn decimal_to_double(unscaled: i128, scale: i32) -> f64 {
    if unscaled.unsigned_abs() <= EXACT_INTEGER && (0..=EXACT_SCALE).contains(&scale) {
        // both operands are exact, so that the quotient is rounded once
        unscaled as f64 / 10f64.powi(scale)
    } else {
        parsed(&unscaled.to_string(), scale)
    }
}

/// As [`decimal_to_double`] for 256 bits.
pub(super) fn wide_decimal_to_double(unscaled: i256, scale: i32) -> f64 {
    unscaled.to_i128().map_or_else(|| parsed(&unscaled.to_string(), scale), |value| decimal_to_double(value, scale))
}

/// As [`decimal_to_double`] for at most 32 big-endian bytes in two's complement; NaN for more bytes.
pub(super) fn decimal_of_bytes(bytes: &[u8], scale: i32) -> f64 {
    let sign = if bytes.first().is_some_and(|byte| byte >> 7 == 1) { 0xff } else { 0 };
    let mut wide = [sign; 32];
    let Some(start) = wide.len().checked_sub(bytes.len()) else {
        return f64::NAN;
    };
    wide[start..].copy_from_slice(bytes);
    wide_decimal_to_double(i256::from_be_bytes(wide), scale)
}

fn parsed(digits: &str, scale: i32) -> f64 {
    format!("{digits}e{}", -i64::from(scale)).parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn half_precision() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc100, -2.5),
            (0x7bff, 65504.0),
            (0x0400, 6.103515625e-5),
            (0x0001, 5.960464477539063e-8),
            (0xfc00, f64::NEG_INFINITY),
        ] {
            assert_eq!(half_to_double(bits), value, "{bits:#x}");
        }
        assert!(half_to_double(0x7e00).is_nan());
        assert_eq!((bfloat_to_double(0x3f80), bfloat_to_double(0xc0a0)), (1.0, -5.0));
    }

    proptest! {
        #[test]
        fn decimals_are_what_their_digits_are_read_as(unscaled in any::<i128>(), shift in 0_u32..127, scale in -5_i32..40) {
            let unscaled = unscaled >> shift;
            let expected: f64 = format!("{unscaled}e{}", -scale).parse().unwrap();
            prop_assert_eq!(decimal_to_double(unscaled, scale), expected);
            prop_assert_eq!(decimal_of_bytes(&unscaled.to_be_bytes(), scale), expected);
            let (bytes, sign) = (unscaled.to_be_bytes(), if unscaled < 0 { 0xff } else { 0 });
            let short = bytes.iter().position(|&byte| byte != sign).unwrap_or(15).saturating_sub(1);
            prop_assert_eq!(decimal_of_bytes(&bytes[short..], scale), expected);
        }
    }
}

//! A check that a source returns the same rows in every pass.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::block::Block;
use crate::error::{Error, Result};

/// Hashes of blocks that were read, spread evenly over all rows.
#[derive(Debug)]
pub struct Fingerprints {
    /// Blocks that contain a multiple of this row number are hashed.
    stride: u64,
    /// Hashes by the first row and the number of rows of a block.
    known: Mutex<HashMap<(u64, usize), u64>>,
}

/// Approximate number of blocks that are hashed in one pass, whatever the number of rows.
const MOST_BLOCKS: u64 = 4096;

impl Fingerprints {
    /// Fingerprints of a source of `n_rows` rows, none of which is read yet.
    #[must_use]
    pub fn new(n_rows: u64) -> Self {
        Self { stride: n_rows.div_ceil(MOST_BLOCKS).max(1), known: Mutex::default() }
    }

    /// Refuses a block whose values differ from those of the same rows when they were first read.
    ///
    /// # Errors
    /// [`Error::Data`] that names `origin`.
    pub fn check(&self, first_row: u64, block: &Block, origin: &str) -> Result<()> {
        if first_row.next_multiple_of(self.stride) >= first_row + block.n_rows as u64 {
            return Ok(());
        }
        let parts = [block.x, block.y, block.weight.unwrap_or_default()];
        let hash = parts.iter().fold(0, |hash: u64, values| mix(hash ^ hash_of(values)));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if *known.entry((first_row, block.n_rows)).or_insert(hash) == hash {
            return Ok(());
        }
        let message = "other values than when these rows were first read; every pass must give the same rows";
        Err(Error::value(origin, first_row, None, message))
    }
}

/// Number of lanes that are hashed in parallel.
const LANES: usize = 8;

/// A hash of the bits of `values`, in their order.
fn hash_of(values: &[f64]) -> u64 {
    let mut lanes: [u64; LANES] = std::array::from_fn(|lane| lane as u64 + 1);
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = step(*lane, value.to_bits());
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = step(*lane, value.to_bits());
    }
    lanes.iter().fold(values.len() as u64, |hash, &lane| mix(hash ^ lane))
}

/// One step of a multiplicative hash: a bijection of `hash` for every `bits`, and of `bits` for every `hash`.
fn step(hash: u64, bits: u64) -> u64 {
    (hash.rotate_left(23) ^ bits).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Spreads every bit over all of them (the finalizer of SplitMix64).
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_other_value_is_noticed() {
        let fingerprints = Fingerprints::new(237);
        let values: Vec<f64> = (0..37).map(f64::from).collect();
        fn block(x: &[f64]) -> Block<'_> {
            Block { x, y: &[], weight: None, n_features: 1, n_outputs: 0, n_rows: 37 }
        }
        fingerprints.check(100, &block(&values), "rows").unwrap();
        fingerprints.check(100, &block(&values), "rows").unwrap();
        for index in 0..37 {
            let mut other = values.clone();
            other[index] += 1e-13;
            if other[index] != values[index] {
                let error = fingerprints.check(100, &block(&other), "rows").unwrap_err();
                assert!(error.to_string().starts_with("rows, row 100: other values"), "{error}");
            }
            other.copy_from_slice(&values);
            other.swap(index, (index + 8) % 37);
            assert!(fingerprints.check(100, &block(&other), "rows").is_err());
        }
        fingerprints.check(200, &block(&[0.0; 37]), "rows").unwrap();
    }

    #[test]
    fn as_many_blocks_are_remembered_whatever_the_number_of_rows() {
        let values = [1.0; 64];
        let n_blocks = 100_000;
        let fingerprints = Fingerprints::new(64 * n_blocks);
        for block in 0..n_blocks {
            let block_of = Block { x: &values, y: &[], weight: None, n_features: 1, n_outputs: 0, n_rows: 64 };
            fingerprints.check(64 * block, &block_of, "rows").unwrap();
        }
        let n_known = fingerprints.known.lock().unwrap().len() as u64;
        assert!((MOST_BLOCKS / 2..=2 * MOST_BLOCKS).contains(&n_known), "{n_known}");
    }
}

//! Mutations of bytes: bits, bytes, numbers of all sizes, cuts, copies within a file and from another one.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

/// Numbers at which sizes and lengths go wrong.
const EDGES: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 40,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// A number below `n`, or 0.
pub fn below(rng: &mut Xoshiro256PlusPlus, n: usize) -> usize {
    (rng.next_u64() % n.max(1) as u64) as usize
}

/// Changes `bytes` in one to eight places; `other` is a file of the same kind.
pub fn mutate(rng: &mut Xoshiro256PlusPlus, bytes: &mut Vec<u8>, other: &[u8], most: usize) {
    for _ in 0..1 + below(rng, 8).min(below(rng, 8)) {
        let at = below(rng, bytes.len());
        match below(rng, 9) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << below(rng, 8),
            1 if !bytes.is_empty() => bytes[at] = rng.next_u64() as u8,
            2 => {
                let edge = EDGES[below(rng, EDGES.len())].wrapping_add(below(rng, 3) as u64).wrapping_sub(1);
                let width = 1 << below(rng, 4);
                let end = (at + width).min(bytes.len());
                let number = edge.to_le_bytes();
                bytes[at..end].copy_from_slice(&number[..end - at]);
            }
            3 => bytes.truncate(at),
            4 => {
                let end = (at + 1 + below(rng, 16)).min(bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let piece: Vec<u8> = (0..1 + below(rng, 8)).map(|_| rng.next_u64() as u8).collect();
                bytes.splice(at..at, piece);
            }
            6 => {
                let from = below(rng, bytes.len());
                let piece = bytes[from..(from + 1 + below(rng, 64)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            7 => {
                let from = below(rng, other.len());
                let piece = &other[from..(from + 1 + below(rng, 64)).min(other.len())];
                let end = (at + piece.len()).min(bytes.len());
                bytes[at..end].copy_from_slice(&piece[..end - at]);
            }
            _ => {
                // A number in text.
                let end = (at + below(rng, 4)).min(bytes.len());
                let number = EDGES[below(rng, EDGES.len())].to_string();
                bytes.splice(at..end, number.into_bytes());
            }
        }
    }
    bytes.truncate(most);
}

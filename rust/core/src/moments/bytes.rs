//! The stored form of an accumulator: magic, version, kind, fields in little-endian order, checksum.
//!
//! The bytes may come from anyone. Sizes are checked against the bytes that are left before memory is set aside for them,
//! so that an accumulator takes no more than a small multiple of the bytes that describe it.

use crate::error::{Error, Result};
use crate::gram::{Precision, WeightedGrams};
use crate::memory;
use crate::network::Network;

const MAGIC: &[u8; 8] = b"RELUNETm";
const VERSION: u32 = 4;
/// Bytes of magic, version and kind.
const HEAD: usize = 16;
/// The kind that is no accumulator but the checkpoint of a sweep, which holds accumulators.
pub const CHECKPOINT: u32 = 1 << 16;

/// Writes fields one after another.
pub struct Writer(Vec<u8>);

impl Writer {
    /// Starts with the header.
    pub fn new(kind: u32) -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        Self(bytes)
    }

    pub fn integer(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    pub fn float(&mut self, value: f64) {
        self.0.extend(value.to_le_bytes());
    }

    /// Bytes, after their number.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.integer(bytes.len() as u64);
        self.0.extend(bytes);
    }

    pub fn floats(&mut self, values: &[f64]) {
        self.integer(values.len() as u64);
        values.iter().for_each(|&v| self.float(v));
    }

    pub fn integers(&mut self, values: &[u64]) {
        self.integer(values.len() as u64);
        values.iter().for_each(|&v| self.integer(v));
    }

    pub fn precision(&mut self, precision: Precision) {
        self.integer(match precision {
            Precision::Double => 0,
            Precision::Mixed => 1,
        });
    }

    pub fn network(&mut self, network: Option<&Network>) {
        self.integer(u64::from(network.is_some()));
        if let Some(network) = network {
            for values in [&network.weights, &network.biases, &network.output_weights, &network.linear] {
                self.floats(values);
            }
            self.float(network.intercept);
        }
    }

    /// Ends with the checksum.
    pub fn finish(mut self) -> Vec<u8> {
        let sum = checksum(&self.0);
        self.0.extend(sum.to_le_bytes());
        self.0
    }
}

/// Reads fields one after another; every read is checked against the end.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Checks header and checksum; returns the kind and a reader of the fields.
    pub fn new(bytes: &'a [u8]) -> Result<(u32, Self)> {
        if bytes.len() < HEAD + 8 || !bytes.starts_with(MAGIC) {
            return Err(damaged("not a stored accumulator"));
        }
        let (body, sum) = bytes.split_at(bytes.len() - 8);
        let mut head = Reader(&body[8..HEAD]);
        let (version, kind) = (head.word()?, head.word()?);
        if version != VERSION {
            return Err(damaged(&format!("format version {version}, expected {VERSION}")));
        }
        if checksum(body).to_le_bytes() != sum {
            return Err(damaged("damaged: the checksum does not fit"));
        }
        Ok((kind, Self(&body[HEAD..])))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or_else(|| damaged("damaged: it ends too early"))?;
        self.0 = tail;
        Ok(*head)
    }

    fn word(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    pub fn integer(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    pub fn size(&mut self) -> Result<usize> {
        usize::try_from(self.integer()?).map_err(|_| damaged("damaged: a size is out of range"))
    }

    pub fn float(&mut self) -> Result<f64> {
        Ok(f64::from_le_bytes(self.take()?))
    }

    /// What [`Writer::bytes`] has written.
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.size()?;
        let (head, tail) = self.0.split_at_checked(length).ok_or_else(|| damaged("damaged: it ends too early"))?;
        self.0 = tail;
        Ok(head)
    }

    fn length(&mut self) -> Result<usize> {
        let length = self.size()?;
        if length > self.0.len() / 8 {
            return Err(damaged("damaged: it ends too early"));
        }
        Ok(length)
    }

    pub fn floats(&mut self) -> Result<Vec<f64>> {
        let mut values = memory::filled(0.0, self.length()?)?;
        values.iter_mut().try_for_each(|v| self.float().map(|read| *v = read))?;
        Ok(values)
    }

    pub fn integers(&mut self) -> Result<Vec<u64>> {
        let mut values = memory::filled(0, self.length()?)?;
        values.iter_mut().try_for_each(|v| self.integer().map(|read| *v = read))?;
        Ok(values)
    }

    /// A number of rows; two of them can be added.
    pub fn n_rows(&mut self) -> Result<u64> {
        let n_rows = self.integer()?;
        if n_rows > u64::MAX / 2 { Err(damaged("damaged: a number of rows is out of range")) } else { Ok(n_rows) }
    }

    /// Checks that `n` numbers of eight bytes may follow, before memory is set aside for them; none: more than can be
    /// counted.
    pub fn expect(&self, n: Option<usize>) -> Result<()> {
        if n.is_some_and(|n| n <= self.0.len() / 8) { Ok(()) } else { Err(damaged("damaged: it ends too early")) }
    }

    /// Checks that the sums of `n_weights` grams may follow.
    pub fn expect_grams(&self, n_features: usize, n_weights: usize) -> Result<()> {
        let square = n_features.checked_add(1).and_then(|n| n.checked_mul(n_features));
        let each = square.and_then(|n| (n / 2).checked_add(n_features)?.checked_add(1));
        self.expect(each.and_then(|each| each.checked_mul(n_weights)))
    }

    /// Reads as many numbers as `values` holds.
    pub fn floats_into(&mut self, values: &mut [f64]) -> Result<()> {
        if self.length()? != values.len() {
            return Err(damaged("damaged: sizes do not fit"));
        }
        values.iter_mut().try_for_each(|v| self.float().map(|read| *v = read))
    }

    /// Reads the sums of grams of the same shape.
    pub fn grams_into(&mut self, grams: &mut WeightedGrams) -> Result<()> {
        let values = self.floats()?;
        if grams.set(&values) { Ok(()) } else { Err(damaged("damaged: sizes do not fit")) }
    }

    pub fn precision(&mut self) -> Result<Precision> {
        match self.integer()? {
            0 => Ok(Precision::Double),
            1 => Ok(Precision::Mixed),
            _ => Err(damaged("damaged: no such precision")),
        }
    }

    pub fn network(&mut self) -> Result<Option<Network>> {
        if self.integer()? == 0 {
            return Ok(None);
        }
        let (weights, biases, output_weights, linear) =
            (self.floats()?, self.floats()?, self.floats()?, self.floats()?);
        let network = Network::new(weights, biases, output_weights, linear, self.float()?)?;
        let parameters = [&network.weights, &network.biases, &network.output_weights, &network.linear];
        if parameters.into_iter().flatten().chain([&network.intercept]).any(|v| !v.is_finite()) {
            return Err(damaged("damaged: parameters of the network are not finite"));
        }
        Ok(Some(network))
    }

    /// A network that must be there.
    pub fn some_network(&mut self) -> Result<Network> {
        self.network()?.ok_or_else(|| damaged("damaged: the network is missing"))
    }

    /// Checks that nothing is left.
    pub fn finish(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(damaged("damaged: bytes are left over")) }
    }
}

/// The error for bytes that cannot be what [`Writer`] has written.
pub fn damaged(message: &str) -> Error {
    Error::data("data", message)
}

/// FNV-1a over 64-bit words, the last one padded with zeros.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0xcbf2_9ce4_8422_2325, |sum, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23)
    })
}

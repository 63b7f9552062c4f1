//! Another accumulator of linear combinations of the labels, so that one read of rows serves several of them.

use super::bytes::{Reader, Writer, damaged};
use super::{Accumulator, Moments, Scratch, check_outputs};
use crate::block::Block;
use crate::error::{Error, Result};

/// An accumulator that is given the labels V y in place of the labels y.
#[derive(Clone, Debug)]
pub struct LabelMap {
    moments: Box<Moments>,
    /// V, one row for each label that the accumulator takes, row-major.
    map: Vec<f64>,
    /// Number of labels of a row.
    n_outputs: usize,
}

impl LabelMap {
    /// Wraps an accumulator; `map` has a row of `n_outputs` coefficients for each label that it takes.
    ///
    /// # Errors
    /// The accumulator is wrapped already or takes no labels, or the map is of another shape or not finite.
    pub fn new(moments: Moments, map: &[f64], n_outputs: usize) -> Result<Self> {
        check_outputs(n_outputs)?;
        if matches!(moments, Moments::Mapped(_)) || moments.n_outputs() == 0 {
            return Err(Error::argument("accumulator", format!("{} takes no labels to be mapped", moments.name())));
        }
        if moments.n_outputs().checked_mul(n_outputs) != Some(map.len()) || !map.iter().all(|v| v.is_finite()) {
            let message = format!("expected {} rows of {n_outputs} finite numbers", moments.n_outputs());
            return Err(Error::argument("vectors", message));
        }
        Ok(Self { moments: Box::new(moments), map: map.to_vec(), n_outputs })
    }

    /// The accumulator of the combinations.
    #[must_use]
    pub fn moments(&self) -> &Moments {
        &self.moments
    }
}

impl Accumulator for LabelMap {
    const KIND: u32 = 10;

    fn n_features(&self) -> usize {
        self.moments.n_features()
    }

    fn n_rows(&self) -> u64 {
        self.moments.n_rows()
    }

    fn needs_labels(&self) -> bool {
        true
    }

    fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    fn empty(&self) -> Self {
        Self { moments: Box::new(self.moments.empty()), map: self.map.clone(), n_outputs: self.n_outputs }
    }

    fn n_bytes(&self) -> usize {
        self.moments.n_bytes()
    }

    fn same_configuration(&self, other: &Self) -> bool {
        (self.n_outputs, &self.map) == (other.n_outputs, &other.map) && self.moments.may_merge(&other.moments)
    }

    fn update(&mut self, block: &Block<'_>, scratch: &mut Scratch) {
        let q = self.moments.n_outputs();
        let mut y = Vec::with_capacity(block.n_rows * q);
        for labels in block.y.chunks_exact(self.n_outputs) {
            let rows = self.map.chunks_exact(self.n_outputs);
            y.extend(rows.map(|row| row.iter().zip(labels).map(|(v, label)| v * label).sum::<f64>()));
        }
        self.moments.update(&Block { y: &y, n_outputs: q, ..*block }, scratch);
    }

    fn merge(&mut self, other: &Self) {
        // The configuration is the same, and the rows can be counted: the caller has checked both.
        let merged = self.moments.merge(&other.moments);
        debug_assert!(merged.is_ok());
    }

    fn write(&self, writer: &mut Writer) {
        writer.integer(self.n_outputs as u64);
        writer.floats(&self.map);
        writer.bytes(&self.moments.to_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let (n_outputs, map) = (reader.size()?, reader.floats()?);
        let bytes = reader.bytes()?;
        if Reader::new(bytes)?.0 == Self::KIND {
            return Err(damaged("damaged: a map of a map"));
        }
        let moments = Moments::from_bytes(bytes)?;
        Self::new(moments, &map, n_outputs).map_err(|_| damaged("damaged: the map does not fit"))
    }
}

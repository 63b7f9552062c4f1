//! Views of rows for the Gram kernel: all rows of a table or a list of them, with prefetching of the next rows.

use crate::simd;

/// All rows of a row-major table, or a list of them.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    x: &'a [f64],
    pub(super) n_features: usize,
    chosen: Option<&'a [u32]>,
    pub(super) prefetch: Prefetch,
}

/// Memory that will be read next and is prefetched during computations; it is never read through this type.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prefetch {
    address: usize,
    len: usize,
}

impl From<&[f64]> for Prefetch {
    fn from(values: &[f64]) -> Self {
        Self { address: values.as_ptr().addr(), len: values.len() }
    }
}

impl Prefetch {
    /// Splits off the first `n` values.
    #[inline(always)]
    #[must_use]
    pub fn split(self, n: usize) -> (Self, Self) {
        let n = n.min(self.len);
        (Self { len: n, ..self }, Self { address: self.address + n * size_of::<f64>(), len: self.len - n })
    }

    /// Prefetches the cache line of the value at `at`.
    #[inline(always)]
    pub fn fetch(self, at: usize) {
        if at < self.len {
            simd::prefetch(std::ptr::without_provenance(self.address + at * size_of::<f64>()));
        }
    }
}

impl<'a> Rows<'a> {
    /// All rows of `x`.
    #[must_use]
    pub fn all(x: &'a [f64], n_features: usize) -> Self {
        Self { x, n_features, chosen: None, prefetch: Prefetch::default() }
    }

    /// The rows of `x` with the indices `chosen`, in this order.
    #[must_use]
    pub fn chosen(x: &'a [f64], n_features: usize, chosen: &'a [u32]) -> Self {
        Self { x, n_features, chosen: Some(chosen), prefetch: Prefetch::default() }
    }

    /// The same rows, with memory that is prefetched while they are processed.
    #[must_use]
    pub fn prefetching(self, prefetch: Prefetch) -> Self {
        Self { prefetch, ..self }
    }

    pub(super) fn len(&self) -> usize {
        self.chosen.map_or(self.x.len() / self.n_features, <[u32]>::len)
    }

    pub(super) fn part(self, start: usize, length: usize) -> Self {
        let (_, prefetch) = self.prefetch.split(start * self.n_features);
        let (prefetch, _) = prefetch.split(length * self.n_features);
        match self.chosen {
            Some(chosen) => Self { chosen: Some(&chosen[start..start + length]), prefetch, ..self },
            None => Self { x: &self.x[start * self.n_features..(start + length) * self.n_features], prefetch, ..self },
        }
    }

    #[inline(always)]
    pub(super) fn row(&self, p: usize) -> &'a [f64] {
        let p = self.chosen.map_or(p, |chosen| chosen[p] as usize);
        &self.x[p * self.n_features..][..self.n_features]
    }
}

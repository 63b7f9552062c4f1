//! Accumulators: sums over rows that are updated block by block, merged in any grouping, and stored as bytes.

pub(crate) mod bytes;
mod contraction;
mod curvature;
mod gradient;
mod input;
mod joint_gradient;
mod label_map;
mod residual;
mod risk;
mod rows;
mod sketch;
mod slices;

pub use contraction::ContractionMoments;
pub use curvature::CurvatureMoments;
pub use gradient::GradientMoments;
pub use input::InputMoments;
pub use joint_gradient::JointGradientMoments;
pub use label_map::LabelMap;
pub use risk::RiskMoments;
pub use rows::RowSample;
pub use sketch::SketchMoments;
pub use slices::SliceMoments;

use crate::block::Block;
use crate::error::{Error, Result};
use crate::gram::{Pack, Prefetch};
use crate::memory;
use crate::network::Network;
use crate::simd::Lane;
use bytes::{Reader, Writer, damaged};

/// Buffers of one worker, reused from block to block.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Rows of the next block, which the first accumulator that can do so prefetches.
    pub prefetch: Prefetch,
    pack: Pack,
    lanes: Vec<Lane>,
    labels: Vec<f64>,
    weights: Vec<f64>,
    rows: Vec<f64>,
    steps: Vec<f64>,
    order: Vec<u32>,
    starts: Vec<usize>,
}

/// The interface of every accumulator.
trait Accumulator: Sized {
    /// Number that identifies the kind in the stored form.
    const KIND: u32;
    /// Number of input columns.
    fn n_features(&self) -> usize;
    /// Number of rows accumulated.
    fn n_rows(&self) -> u64;
    /// Whether labels are needed.
    fn needs_labels(&self) -> bool;
    /// Number of labels a row that it reads, where rows have labels; 0 if it reads none.
    fn n_outputs(&self) -> usize {
        1
    }
    /// Returns an accumulator of the same configuration, without rows.
    fn empty(&self) -> Self;
    /// Bytes of its sums, and of what an update or a merge needs beside them, about; 0 where they are few.
    fn n_bytes(&self) -> usize {
        0
    }
    /// Whether `other` has the same configuration, so that the two may be merged.
    fn same_configuration(&self, other: &Self) -> bool;
    /// Adds the rows of a block.
    fn update(&mut self, block: &Block<'_>, scratch: &mut Scratch);
    /// Adds the sums of `other`, which must have the same configuration.
    fn merge(&mut self, other: &Self);
    /// Writes configuration and sums.
    fn write(&self, writer: &mut Writer);
    /// Reads what `write` has written.
    fn read(reader: &mut Reader<'_>) -> Result<Self>;
}

macro_rules! moments {
    ($($(#[$doc:meta])* $variant:ident($type:ty)),* $(,)?) => {
        /// An accumulator of any kind.
        #[derive(Clone, Debug)]
        pub enum Moments {
            $($(#[$doc])* $variant($type),)*
        }

        $(impl From<$type> for Moments {
            fn from(value: $type) -> Self {
                Self::$variant(value)
            }
        })*

        impl Moments {
            /// Name of the type of the accumulator.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($type),)* }
            }

            /// Number of input columns.
            #[must_use]
            pub fn n_features(&self) -> usize {
                match self { $(Self::$variant(m) => m.n_features(),)* }
            }

            /// Number of rows accumulated.
            #[must_use]
            pub fn n_rows(&self) -> u64 {
                match self { $(Self::$variant(m) => m.n_rows(),)* }
            }

            /// Whether labels are needed.
            #[must_use]
            pub fn needs_labels(&self) -> bool {
                match self { $(Self::$variant(m) => m.needs_labels(),)* }
            }

            /// Number of labels a row that it reads, where rows have labels; 0 if it reads none.
            #[must_use]
            pub fn n_outputs(&self) -> usize {
                match self { $(Self::$variant(m) => m.n_outputs(),)* }
            }

            /// Returns an accumulator of the same configuration, without rows.
            #[must_use]
            pub fn empty(&self) -> Self {
                match self { $(Self::$variant(m) => Self::$variant(m.empty()),)* }
            }

            /// Bytes of its sums, and of what an update or a merge needs beside them, about.
            #[must_use]
            pub fn n_bytes(&self) -> usize {
                match self { $(Self::$variant(m) => m.n_bytes(),)* }
            }

            /// Adds the rows of a block, which must have `n_features` columns, and labels if they are needed.
            pub fn update(&mut self, block: &Block<'_>, scratch: &mut Scratch) {
                match self { $(Self::$variant(m) => m.update(block, scratch),)* }
            }

            /// Whether `other` is of the same kind and configuration, so that the two may be merged.
            #[must_use]
            pub fn may_merge(&self, other: &Self) -> bool {
                match (self, other) {
                    $((Self::$variant(a), Self::$variant(b)) => a.same_configuration(b),)*
                    _ => false,
                }
            }

            /// Adds the sums of `other`.
            ///
            /// # Errors
            /// `other` is of another kind or configuration.
            pub fn merge(&mut self, other: &Self) -> Result<()> {
                if self.n_rows().checked_add(other.n_rows()).is_none() {
                    return Err(Error::argument("other", "more rows than can be counted"));
                }
                match (self, other) {
                    $((Self::$variant(a), Self::$variant(b)) if a.same_configuration(b) => a.merge(b),)*
                    (expected, got) if expected.name() == got.name() => {
                        let message = format!("expected {} of the same configuration", expected.name());
                        return Err(Error::argument("other", message));
                    }
                    (expected, got) => {
                        let message = format!("expected {}, got {}", expected.name(), got.name());
                        return Err(Error::argument("other", message));
                    }
                }
                Ok(())
            }

            /// Returns configuration and sums in the documented format.
            #[must_use]
            pub fn to_bytes(&self) -> Vec<u8> {
                match self { $(Self::$variant(m) => {
                    let mut writer = Writer::new(<$type>::KIND);
                    m.write(&mut writer);
                    writer.finish()
                })* }
            }

            /// Reads an accumulator from a result of [`Moments::to_bytes`].
            ///
            /// # Errors
            /// The bytes are damaged, of another version or not an accumulator.
            pub fn from_bytes(data: &[u8]) -> Result<Self> {
                let (kind, mut reader) = Reader::new(data)?;
                let moments = match kind {
                    $(<$type>::KIND => <$type>::read(&mut reader).map(Self::$variant),)*
                    kind => Err(damaged(&format!("unknown kind {kind} of accumulator"))),
                };
                // a constructor speaks of its arguments, which the caller has not given
                let moments = moments.map_err(|error| match error {
                    Error::Argument { argument, message } => damaged(&format!("damaged: {argument}: {message}")),
                    other => other,
                })?;
                reader.finish()?;
                Ok(moments)
            }
        }
    };
}

moments! {
    /// Mean and covariance of inputs and label.
    Input(InputMoments),
    /// Contractions of Hermite moment tensors.
    Contraction(ContractionMoments),
    /// Moments of the inputs in slices of the label.
    Slice(SliceMoments),
    /// Gradient of the risk of a network.
    Gradient(GradientMoments),
    /// Gauss-Newton normal matrix of a network.
    Curvature(CurvatureMoments),
    /// Squared residuals of a network.
    Risk(RiskMoments),
    /// Sample of rows chosen by a hash of their content.
    Rows(RowSample),
    /// Products of moments with few directions.
    Sketch(SketchMoments),
    /// Gradient of the risk of a network of several outputs.
    JointGradient(JointGradientMoments),
    /// Another accumulator of linear combinations of the labels.
    Mapped(LabelMap),
}

/// Checks a number of features.
fn check_features(n_features: usize) -> Result<()> {
    if n_features == 0 {
        return Err(Error::argument("n_features", "expected at least 1, got 0"));
    }
    Ok(())
}

/// Most labels of a row.
const MAX_OUTPUTS: usize = 1 << 20;

/// Checks a number of labels a row.
fn check_outputs(n_outputs: usize) -> Result<()> {
    if (1..=MAX_OUTPUTS).contains(&n_outputs) {
        return Ok(());
    }
    Err(Error::argument("n_outputs", format!("expected 1 to {MAX_OUTPUTS}, got {n_outputs}")))
}

/// Checks the number of features of a network whose residuals are summed.
fn check_network(network: Option<&Network>, n_features: usize) -> Result<()> {
    match network {
        Some(network) if network.n_features != n_features => {
            let message = format!("expected a network of {n_features} features, got {}", network.n_features);
            Err(Error::argument("network", message))
        }
        _ => Ok(()),
    }
}

/// Checks that `n_matrices` sums of 1, x and x xᵀ fit into memory, before they are allocated.
fn check_room(n_features: usize, n_matrices: usize) -> Result<()> {
    let columns = n_features.checked_add(1);
    let size = columns.and_then(|c| c.checked_mul(c)).and_then(|size| size.checked_mul(n_matrices));
    let n_bytes = size.and_then(|size| size.checked_mul(size_of::<f64>()));
    match n_bytes.filter(|&n_bytes| isize::try_from(n_bytes).is_ok()) {
        Some(n_bytes) => memory::require(n_bytes),
        None => {
            let message = format!("{n_matrices} matrices of {n_features} by {n_features} do not fit into any memory");
            Err(Error::argument("n_features", message))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::gram::Precision;
    use crate::network::SharedNetwork;
    use proptest::prelude::*;

    /// An accumulator of every kind, with and without a network.
    pub(crate) fn every_kind(d: usize) -> Vec<Moments> {
        let value = |i: usize| f64::from((i * 31 % 17) as u32) / 8.0 - 1.0;
        let values = |from: usize, length: usize| (from..from + length).map(value).collect::<Vec<f64>>();
        let network = || Network::new(values(0, 3 * d), values(5, 3), values(2, 3), values(1, d), 0.5).unwrap();
        let shared = || SharedNetwork {
            n_features: d,
            weights: values(0, 3 * d),
            biases: values(5, 3),
            output_weights: values(2, 6),
            linear: values(1, 2 * d),
            intercept: values(4, 2),
        };
        let mut g = vec![0.0; d];
        g[d - 1] = 1.0;
        vec![
            InputMoments::new(d, 1).unwrap().into(),
            InputMoments::new(d, 3).unwrap().into(),
            ContractionMoments::new(d, &g, true, &[2, 3, 6], None, Precision::Double).unwrap().into(),
            ContractionMoments::new(d, &g, false, &[4], Some(network()), Precision::Mixed).unwrap().into(),
            SliceMoments::new(d, &[-0.5, 0.25], None, Precision::Mixed).unwrap().into(),
            SliceMoments::new(d, &[], Some(network()), Precision::Double).unwrap().into(),
            GradientMoments::new(network()).into(),
            CurvatureMoments::new(network()).unwrap().into(),
            RiskMoments::new(network()).into(),
            RowSample::new(d, 1, u64::MAX / 2, 3, None).unwrap().into(),
            RowSample::new(d, 2, u64::MAX / 2, 3, Some(values(7, 2 * d))).unwrap().into(),
            SketchMoments::new(d, vec![], vec![], vec![1.0], None).unwrap().into(),
            SketchMoments::new(d, values(3, 9 * d), vec![-0.5, 0.25], values(1, 6), Some(network())).unwrap().into(),
            JointGradientMoments::new(shared()).unwrap().into(),
            LabelMap::new(SliceMoments::new(d, &[0.5], None, Precision::Double).unwrap().into(), &values(2, 2), 2)
                .unwrap()
                .into(),
            LabelMap::new(JointGradientMoments::new(shared()).unwrap().into(), &values(2, 6), 3).unwrap().into(),
        ]
    }

    /// Multiples of 1/2, whose sums of fourth powers are exact, so that every order of summation gives the same bits.
    fn rows(n: usize, d: usize, seed: usize) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let value = |i: usize| f64::from(((i + 1) * (2 * seed + 7919) % 9) as u32) / 2.0 - 2.0;
        let x = (0..n * d).map(value).collect();
        let y = (0..n).map(|i| value(i + 500)).collect();
        (x, y, (0..n).map(|i| f64::from((i * 5 % 3) as u32)).collect())
    }

    proptest! {
        #[test]
        fn merged_parts_are_the_whole(n in 0_usize..60, cut in 0.0..1.0, d in 1_usize..20, seed in 0_usize..100) {
            let (x, y, weight) = rows(n, d, seed);
            let cut = (cut * n as f64) as usize;
            let mut scratch = Scratch::default();
            for empty in every_kind(d) {
                let mut sum = |from: usize, to: usize| {
                    let (x, y, weight) = (&x[from * d..to * d], &y[from..to], Some(&weight[from..to]));
                    let mut moments = empty.clone();
                    let m = moments.n_outputs().max(1);
                    // As many labels as it takes, made of the one that there is.
                    let labels: Vec<f64> = y.iter().flat_map(|v| (0..m).map(move |j| v * j as f64 + 0.5)).collect();
                    let y = if m > 1 { &labels } else { y };
                    let block = Block { x, y, weight, n_features: d, n_outputs: m, n_rows: to - from };
                    moments.update(&block, &mut scratch);
                    moments
                };
                let (whole, first, second) = (sum(0, n), sum(0, cut), sum(cut, n));
                let mut merged = Moments::from_bytes(&first.to_bytes()).unwrap();
                merged.merge(&Moments::from_bytes(&second.to_bytes()).unwrap()).unwrap();
                prop_assert_eq!(merged.n_rows(), n as u64);
                // Means are divided by the number of rows of each part, so that their merge is not exact.
                if !matches!(whole, Moments::Input(_)) {
                    prop_assert_eq!(merged.to_bytes(), whole.to_bytes(), "{}", whole.name());
                }
                prop_assert_eq!(whole.empty().to_bytes(), empty.to_bytes());
            }
        }

        #[test]
        fn damaged_bytes_are_refused(at in 0_usize..10_000, flip in 1_u8..) {
            for moments in every_kind(2) {
                let mut bytes = moments.to_bytes();
                let at = at % bytes.len();
                prop_assert!(Moments::from_bytes(&bytes[..at]).is_err());
                bytes[at] ^= flip;
                prop_assert!(Moments::from_bytes(&bytes).is_err());
            }
        }
    }

    #[test]
    fn only_the_same_configuration_is_merged() {
        for (i, a) in every_kind(3).iter_mut().enumerate() {
            for (j, b) in every_kind(3).iter().enumerate() {
                assert_eq!(a.merge(b).is_ok(), i == j, "{} and {}", a.name(), b.name());
            }
            assert!(every_kind(4).iter().all(|b| a.merge(b).is_err()));
        }
    }

    #[test]
    fn sums_beyond_memory_are_refused() {
        assert!(matches!(InputMoments::new(usize::MAX, 1), Err(Error::Argument { .. })));
        assert!(SliceMoments::new(1 << 40, &[], None, Precision::Double).is_err());
        assert!(matches!(InputMoments::new(1 << 28, 1), Err(Error::Memory { .. })));
    }

    #[test]
    fn few_bytes_take_little_memory() {
        let stored = |kind: u32, numbers: &[u64], network: bool| {
            let mut writer = Writer::new(kind);
            numbers.iter().for_each(|&n| writer.integer(n));
            if network {
                writer.network(Some(&Network::new(vec![f64::NAN], vec![0.0], vec![1.0], vec![0.0], 0.0).unwrap()));
            }
            writer.finish()
        };
        for (kind, numbers) in [
            (1, &[1 << 20, 1, 0, 0][..]),
            (1, &[u64::MAX, 1, 0, 0]),
            (1, &[1, 1 << 20, 0, 0]),
            (3, &[20_000, 0, 0, 0, 0]),
            (3, &[1 << 40, 0, 0, 0, 0]),
            (7, &[1 << 50, 1, 0, 0, 1, 0, u64::MAX, 0, 0]),
            (8, &[1 << 40, 0, 0, 0, 0, 0, 0, 0, 0]),
            (8, &[1 << 61, 0, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            let error = Moments::from_bytes(&stored(kind, numbers, false)).unwrap_err();
            assert!(matches!(error, Error::Data { .. }), "kind {kind}, {numbers:?}: {error}");
        }
        let error = Moments::from_bytes(&stored(4, &[], true)).unwrap_err().to_string();
        assert_eq!(error, "data: damaged: parameters of the network are not finite");
    }
}

//! The accumulators: sums over rows that are updated block by block, merged in any grouping, stored as bytes and read.

mod bytes;
mod contraction;
mod curvature;
mod gradient;
mod input;
mod residual;
mod risk;
mod rows;
mod slices;

pub use contraction::ContractionMoments;
pub use curvature::CurvatureMoments;
pub use gradient::GradientMoments;
pub use input::InputMoments;
pub use risk::RiskMoments;
pub use rows::RowSample;
pub use slices::SliceMoments;

use crate::block::Block;
use crate::error::{Error, Result};
use crate::gram::Pack;
use crate::simd::Lane;
use bytes::{Reader, Writer};

/// Memory of one worker, reused from block to block.
#[derive(Debug, Default)]
pub struct Scratch {
    pack: Pack,
    lanes: Vec<Lane>,
    labels: Vec<f64>,
    weights: Vec<f64>,
    rows: Vec<f64>,
    order: Vec<u32>,
}

/// What every accumulator does.
trait Accumulator: Sized {
    /// Tells the kinds apart in bytes.
    const KIND: u32;
    /// Number of input columns.
    fn n_features(&self) -> usize;
    /// Rows seen.
    fn n_rows(&self) -> u64;
    /// Whether rows need labels.
    fn needs_labels(&self) -> bool;
    /// The same configuration without rows.
    fn empty(&self) -> Self;
    /// Whether `other` has the same configuration, so that the two may be merged.
    fn same_configuration(&self, other: &Self) -> bool;
    /// Adds the rows of a block.
    fn update(&mut self, block: &Block<'_>, scratch: &mut Scratch);
    /// Adds the rows that `other` has seen; the configurations are the same.
    fn merge(&mut self, other: &Self);
    /// Configuration and sums.
    fn write(&self, writer: &mut Writer);
    /// What `write` has written.
    fn read(reader: &mut Reader<'_>) -> Result<Self>;
}

macro_rules! moments {
    ($($(#[$doc:meta])* $variant:ident($type:ty)),* $(,)?) => {
        /// Any accumulator, so that one sweep can feed several.
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
            /// The name of its type.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($type),)* }
            }

            /// Number of input columns.
            #[must_use]
            pub fn n_features(&self) -> usize {
                match self { $(Self::$variant(m) => m.n_features(),)* }
            }

            /// Rows seen.
            #[must_use]
            pub fn n_rows(&self) -> u64 {
                match self { $(Self::$variant(m) => m.n_rows(),)* }
            }

            /// Whether rows need labels.
            #[must_use]
            pub fn needs_labels(&self) -> bool {
                match self { $(Self::$variant(m) => m.needs_labels(),)* }
            }

            /// The same configuration without rows.
            #[must_use]
            pub fn empty(&self) -> Self {
                match self { $(Self::$variant(m) => Self::$variant(m.empty()),)* }
            }

            /// Adds the rows of a block, which has `n_features` columns, and labels where they are needed.
            pub fn update(&mut self, block: &Block<'_>, scratch: &mut Scratch) {
                match self { $(Self::$variant(m) => m.update(block, scratch),)* }
            }

            /// Adds the rows that `other` has seen.
            ///
            /// # Errors
            /// An accumulator of another kind or configuration.
            pub fn merge(&mut self, other: &Self) -> Result<()> {
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

            /// Configuration and sums in the documented format.
            #[must_use]
            pub fn to_bytes(&self) -> Vec<u8> {
                match self { $(Self::$variant(m) => {
                    let mut writer = Writer::new(<$type>::KIND);
                    m.write(&mut writer);
                    writer.finish()
                })* }
            }

            /// The accumulator that [`Moments::to_bytes`] has written.
            ///
            /// # Errors
            /// Bytes that are damaged, of another version or not an accumulator.
            pub fn from_bytes(data: &[u8]) -> Result<Self> {
                let (kind, mut reader) = Reader::new(data)?;
                let moments = match kind {
                    $(<$type>::KIND => Self::$variant(<$type>::read(&mut reader)?),)*
                    kind => return Err(Error::argument("data", format!("unknown kind {kind} of accumulator"))),
                };
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
    /// Moments of the inputs slice by slice of the label.
    Slice(SliceMoments),
    /// Gradient of a fit.
    Gradient(GradientMoments),
    /// Curvature of a fit.
    Curvature(CurvatureMoments),
    /// Squared residuals of a network.
    Risk(RiskMoments),
    /// Rows chosen by a hash of their content.
    Rows(RowSample),
}

/// Checks a number of features.
fn check_features(n_features: usize) -> Result<()> {
    if n_features == 0 {
        return Err(Error::argument("n_features", "expected at least 1, got 0"));
    }
    Ok(())
}

/// Checks that memory has room for `n_matrices` sums of rows x, 1 and their products, so that making them cannot abort.
fn check_room(n_features: usize, n_matrices: usize) -> Result<()> {
    let columns = n_features.checked_add(1);
    let size = columns.and_then(|c| c.checked_mul(c)).and_then(|size| size.checked_mul(n_matrices));
    match size.map(|size| Vec::<f64>::new().try_reserve_exact(size)) {
        Some(Ok(())) => Ok(()),
        _ => Err(Error::argument(
            "n_features",
            format!("{n_matrices} matrices of {n_features} by {n_features} do not fit into memory"),
        )),
    }
}

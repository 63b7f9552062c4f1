//! Contractions E[y H_l(x)[g, .., g, :, :]] of Hermite moment tensors with directions g, for several g and degrees l.

use super::bytes::{Reader, Writer, damaged};
use super::residual::{PackedNetwork, labels, row_weight};
use super::{Accumulator, Scratch, check_features, check_network, check_room};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::gram::{self, Precision, Prefetch, Rows, WeightedGrams};
use crate::hermite;
use crate::network::Network;
use crate::simd::{self, Lane, Simd, WIDTH, ZERO};
use crate::skinny::{Directions, add_weighted_rows};

/// Sums of y He_j(t), y He_j(t) x and y He_j(t) x xᵀ with t = g·x, from which the contraction of every degree follows:
///
/// H_l(x)[g,..,g,:,:] = He_{l-2}(t)(x xᵀ - I) - (l-2) He_{l-3}(t)(g xᵀ + x gᵀ) + (l-2)(l-3) He_{l-4}(t) g gᵀ
#[derive(Clone, Debug)]
pub struct ContractionMoments {
    n_features: usize,
    degrees: Vec<u64>,
    precision: Precision,
    /// Whether a single direction was given as a vector and not as a matrix with one row.
    is_single: bool,
    /// Unit directions, row-major.
    directions: Vec<f64>,
    network: Option<Network>,
    projection: Directions,
    residual: Option<PackedNetwork>,
    n_rows: u64,
    weight: f64,
    /// Sums with the weight y He_{l-2}(t), for each direction and degree l.
    grams: WeightedGrams,
    /// Indices of the degrees l whose Σ y He_{l-3}(t) x cannot be computed from the other sums.
    summed: Vec<usize>,
    /// Σ y He_{l-3}(t) x, for each direction and each degree of `summed`.
    vectors: Vec<f64>,
    /// Σ y He_{l-4}(t), for each direction and degree l.
    totals: Vec<f64>,
}

impl ContractionMoments {
    /// Creates contractions of the given `degrees` with row-major unit `directions`, of y or of y - `network`(x).
    ///
    /// `is_single` records that a single direction was given as a vector; it does not change the sums.
    ///
    /// # Errors
    /// There are no columns or no directions, a direction is not a unit vector, a degree is not from 2 to 64 or is
    /// repeated, the network has another number of features, or the sums do not fit into memory.
    pub fn new(
        n_features: usize,
        directions: &[f64],
        is_single: bool,
        degrees: &[u64],
        network: Option<Network>,
        precision: Precision,
    ) -> Result<Self> {
        check_features(n_features)?;
        if directions.is_empty() || !directions.len().is_multiple_of(n_features) {
            return Err(Error::argument("directions", format!("expected rows of {n_features} components")));
        }
        for (i, g) in directions.chunks_exact(n_features).enumerate() {
            let norm = g.iter().map(|v| v * v).sum::<f64>().sqrt();
            if (norm - 1.0).abs() > 1e-8 || !norm.is_finite() {
                return Err(Error::argument(
                    "directions",
                    format!("expected unit vectors, direction {i} has norm {norm}"),
                ));
            }
        }
        for (i, l) in degrees.iter().enumerate() {
            if *l < 2 || *l > 64 {
                return Err(Error::argument("degrees", format!("expected degrees from 2 to 64, got {l}")));
            }
            if degrees[..i].contains(l) {
                return Err(Error::argument("degrees", format!("degree {l} is repeated")));
            }
        }
        check_network(network.as_ref(), n_features)?;
        let n_directions = directions.len() / n_features;
        let n_sums = n_directions * degrees.len();
        check_room(n_features, n_sums)?;
        let follows = |l: u64| l == 2 || degrees.contains(&(l - 1)) || degrees.contains(&(l - 2));
        let summed: Vec<usize> = (0..degrees.len()).filter(|&place| !follows(degrees[place])).collect();
        Ok(Self {
            n_features,
            is_single: is_single && n_directions == 1,
            degrees: degrees.to_vec(),
            precision,
            directions: directions.to_vec(),
            projection: Directions::new(directions, &vec![0.0; n_directions], n_features),
            residual: network.as_ref().map(PackedNetwork::new),
            network,
            n_rows: 0,
            weight: 0.0,
            grams: WeightedGrams::new(n_features, n_sums, precision),
            vectors: vec![0.0; n_directions * summed.len() * n_features],
            summed,
            totals: vec![0.0; n_sums],
        })
    }

    /// Precision of the products.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The degrees l, in the given order.
    #[must_use]
    pub fn degrees(&self) -> &[u64] {
        &self.degrees
    }

    /// Number of input columns.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Whether a single direction was given as a vector.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.is_single
    }

    /// Number of directions.
    #[must_use]
    pub fn n_directions(&self) -> usize {
        self.projection.len()
    }

    /// Returns the mean of y H_l(x)[g, .., g, :, :] for a direction and the degree with index `place`, row-major.
    #[must_use]
    pub fn contraction(&self, direction: usize, place: usize) -> Vec<f64> {
        let d = self.n_features;
        let l = self.degrees[place] as f64;
        let at = direction * self.degrees.len() + place;
        let g = &self.directions[direction * d..][..d];
        let v = self.lower_vector(direction, place);
        let (s, last) = (self.grams.total(at), (l - 2.0) * (l - 3.0) * self.totals[at]);
        let mut out = self.grams.matrix(at);
        for i in 0..d {
            out[i * d + i] -= s;
            for j in 0..d {
                out[i * d + j] += last * g[i] * g[j] - (l - 2.0) * (g[i] * v[j] + v[i] * g[j]);
            }
        }
        out.iter_mut().for_each(|value| *value /= self.weight);
        out
    }

    /// Returns Σ y He_{l-3}(t) x for the degree l with index `place`.
    ///
    /// If degree l-1 is present, the vector is one of its sums. Otherwise, if degree l-2 is present, it is computed
    /// from the matrix of that degree by t He_n = He_{n+1} + n He_{n-1}, since Σ w x xᵀ g = Σ w t x. In mixed
    /// precision, entry i then inherits the error e_l = ε Σ |w x_i| Σ_j |x_j g_j| + (l-4) e_{l-2} of the matrix, with
    /// ε = 133 · 2⁻²⁴ and w = y He_{l-4}(t).
    fn lower_vector(&self, direction: usize, place: usize) -> Vec<f64> {
        let d = self.n_features;
        let l = self.degrees[place];
        let known = |degree: u64| self.degrees.iter().position(|&known| known == degree);
        let sums = |place: usize| direction * self.degrees.len() + place;
        if l == 2 {
            return vec![0.0; d];
        }
        if let Some(above) = known(l - 1) {
            return self.grams.vector(sums(above)).to_vec();
        }
        if let Some(below) = known(l - 2) {
            let (matrix, lower) = (self.grams.matrix(sums(below)), self.lower_vector(direction, below));
            let g = &self.directions[direction * d..][..d];
            let product = |row: &[f64]| row.iter().zip(g).map(|(a, b)| a * b).sum::<f64>();
            return matrix.chunks_exact(d).zip(lower).map(|(row, v)| product(row) - (l - 4) as f64 * v).collect();
        }
        let before = self.summed.iter().take_while(|&&other| other != place).count();
        self.vectors[(direction * self.summed.len() + before) * d..][..d].to_vec()
    }
}

impl Accumulator for ContractionMoments {
    const KIND: u32 = 2;

    fn n_features(&self) -> usize {
        self.n_features
    }

    fn n_rows(&self) -> u64 {
        self.n_rows
    }

    fn needs_labels(&self) -> bool {
        true
    }

    fn empty(&self) -> Self {
        Self {
            n_rows: 0,
            weight: 0.0,
            grams: WeightedGrams::new(self.n_features, self.totals.len(), self.precision),
            vectors: vec![0.0; self.vectors.len()],
            totals: vec![0.0; self.totals.len()],
            ..self.clone()
        }
    }

    fn n_bytes(&self) -> usize {
        self.grams.n_bytes()
    }

    fn same_configuration(&self, other: &Self) -> bool {
        (self.n_features, &self.degrees, self.precision, &self.directions, &self.network)
            == (other.n_features, &other.degrees, other.precision, &other.directions, &other.network)
    }

    fn update(&mut self, block: &Block<'_>, scratch: &mut Scratch) {
        let (n, d, n_degrees) = (block.n_rows, self.n_features, self.degrees.len());
        labels(self.residual.as_ref(), block, scratch);
        if let Some(weight) = block.weight {
            scratch.labels.iter_mut().zip(weight).for_each(|(y, w)| *y *= w);
        }
        self.n_rows += n as u64;
        self.weight += (0..n).map(|p| row_weight(block, p)).sum::<f64>();
        self.projection.project(block.x, n, &mut scratch.lanes, Prefetch::default());
        let n_panels = self.projection.n_panels();
        scratch.weights.resize(n_degrees * n, 0.0);
        let Scratch { lanes, labels, weights, steps, pack, prefetch, .. } = scratch;
        let n_summed = self.summed.len();
        let mut lower = vec![ZERO; n * n_summed.div_ceil(WIDTH)];
        for direction in 0..self.n_directions() {
            let first = direction * n_degrees;
            steps.resize(3 * n, 0.0);
            let (t, rest) = steps.split_at_mut(n);
            for (t, row) in t.iter_mut().zip(lanes.chunks_exact(n_panels)) {
                *t = row[direction / WIDTH].0[direction % WIDTH];
            }
            let (previous, current) = rest.split_at_mut(n);
            let totals = &mut self.totals[first..][..n_degrees];
            let (degrees, summed, lower) = (&self.degrees, &self.summed, &mut lower[..]);
            simd::dispatch(Weights { degrees, summed, y: labels, t, previous, current, weights, lower, totals });
            let rows = Rows::all(block.x, d).prefetching(std::mem::take(prefetch));
            self.grams.update(first, rows, weights, pack);
            let vectors = &mut self.vectors[direction * n_summed * d..][..n_summed * d];
            add_weighted_rows(block.x, d, lower, n_summed, vectors);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.n_rows += other.n_rows;
        self.weight += other.weight;
        self.grams.merge(&other.grams);
        self.vectors.iter_mut().zip(&other.vectors).for_each(|(a, b)| *a += b);
        self.totals.iter_mut().zip(&other.totals).for_each(|(a, b)| *a += b);
    }

    fn write(&self, writer: &mut Writer) {
        writer.integer(self.n_features as u64);
        writer.integer(u64::from(self.is_single));
        writer.floats(&self.directions);
        writer.integers(&self.degrees);
        writer.precision(self.precision);
        writer.network(self.network.as_ref());
        writer.integer(self.n_rows);
        writer.float(self.weight);
        writer.floats(&self.grams.to_vec());
        let each =
            (0..self.n_directions()).flat_map(|direction| (0..self.degrees.len()).map(move |place| (direction, place)));
        writer.floats(&each.flat_map(|(direction, place)| self.lower_vector(direction, place)).collect::<Vec<f64>>());
        writer.floats(&self.totals);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let (n_features, is_single) = (reader.size()?, reader.integer()? == 1);
        let (directions, degrees) = (reader.floats()?, reader.integers()?);
        let (precision, network) = (reader.precision()?, reader.network()?);
        let n_directions = directions.len().checked_div(n_features).unwrap_or_default();
        reader.expect_grams(n_features, n_directions.saturating_mul(degrees.len()))?;
        let mut moments = Self::new(n_features, &directions, is_single, &degrees, network, precision)?;
        moments.n_rows = reader.n_rows()?;
        moments.weight = reader.float()?;
        reader.grams_into(&mut moments.grams)?;
        let vectors = reader.floats()?;
        if vectors.len() != moments.totals.len() * n_features {
            return Err(damaged("damaged: sizes do not fit"));
        }
        let n_summed = moments.summed.len().max(1);
        for (i, vector) in moments.vectors.chunks_exact_mut(n_features).enumerate() {
            let at = i / n_summed * moments.degrees.len() + moments.summed[i % n_summed];
            vector.copy_from_slice(&vectors[at * n_features..][..n_features]);
        }
        reader.floats_into(&mut moments.totals)?;
        Ok(moments)
    }
}

/// Computes the weights y He_j(t) of rows by the recurrence of Hermite polynomials, for j = l-2 (matrix of degree l),
/// l-3 (its vector) and l-4 (its scalar).
struct Weights<'a> {
    degrees: &'a [u64],
    summed: &'a [usize],
    y: &'a [f64],
    t: &'a [f64],
    previous: &'a mut [f64],
    current: &'a mut [f64],
    /// y He_{l-2}(t), one column per degree.
    weights: &'a mut [f64],
    /// y He_{l-3}(t) for the degrees of `summed`, in lanes per row.
    lower: &'a mut [Lane],
    /// One value per degree, to which Σ y He_{l-4}(t) is added.
    totals: &'a mut [f64],
}

impl simd::Operation for Weights<'_> {
    type Element = f64;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Element = f64>>(self) {
        let Self { degrees, summed, y, t, previous, current, weights, lower, totals } = self;
        let (n, top) = (y.len(), degrees.iter().max().map_or(0, |l| *l as usize));
        let n_lower = summed.len().div_ceil(WIDTH);
        previous.fill(0.0);
        current.copy_from_slice(y);
        for j in 0..top.saturating_sub(1) {
            for (place, &l) in degrees.iter().enumerate() {
                match (l as usize).wrapping_sub(j) {
                    2 => weights[place * n..][..n].copy_from_slice(current),
                    3 => {
                        if let Some(at) = summed.iter().position(|&summed| summed == place) {
                            for (row, &weight) in lower.chunks_exact_mut(n_lower).zip(&*current) {
                                row[at / WIDTH].0[at % WIDTH] = weight;
                            }
                        }
                    }
                    4 => totals[place] += gram::sum(current),
                    _ => {}
                }
            }
            hermite::advance(j, t, previous, current);
        }
    }
}

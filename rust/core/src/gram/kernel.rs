//! The kernel of weighted Gram matrices: it packs chunks of rows into panels, scales them and multiplies them in tiles.

use super::layout::{Layout, MORE_ROTATIONS, ROTATIONS};
use super::rows::{Prefetch, Rows};
use crate::simd::{self, Element, Lane, LineOf, Simd, WIDTH};

/// Entries and weights of chunks in single precision lie within 2^±`RANGE`, so that no product leaves the range of f32.
const RANGE: i32 = 30;

/// Buffers in one precision.
#[derive(Clone, Debug)]
pub struct Buffers<E: Element> {
    panels: Vec<E::Line>,
    scaled: Vec<E::Line>,
    weights: Vec<E>,
}

impl<E: Element> Default for Buffers<E> {
    fn default() -> Self {
        Self { panels: Vec::new(), scaled: Vec::new(), weights: Vec::new() }
    }
}

/// Rows of one chunk and their weights; column c of the weights starts at `weights[c * stride]`.
#[derive(Clone, Copy)]
pub struct Chunk<'a> {
    pub rows: Rows<'a>,
    pub weights: &'a [f64],
    pub stride: usize,
    pub n_weights: usize,
}

impl<'a> Chunk<'a> {
    #[inline(always)]
    pub fn column(&self, c: usize) -> &'a [f64] {
        &self.weights[c * self.stride..][..self.rows.len()]
    }
}

/// Adds a chunk to the sums of its weights, with products in precision `E`.
///
/// Returns false, and adds nothing, if the chunk is out of range for this precision.
pub fn add<E: Element>(chunk: Chunk<'_>, buffers: &mut Buffers<E>, sums: &mut [Lane]) -> bool {
    simd::dispatch(AddChunk { chunk, buffers, sums })
}

pub struct AddChunk<'a, E: Element> {
    pub chunk: Chunk<'a>,
    pub buffers: &'a mut Buffers<E>,
    pub sums: &'a mut [Lane],
}

impl<E: Element> simd::Operation for AddChunk<'_, E> {
    type Element = E;
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd<Element = E>>(self) -> bool {
        let Self { chunk, buffers: Buffers { panels, scaled, weights }, sums } = self;
        let Chunk { rows, n_weights, .. } = chunk;
        let n_rows = rows.len();
        // An odd distance prevents panels from competing for the same sets of the cache.
        let distance = n_rows | 1;
        let layout = Layout { width: S::WIDTH, n_panels: rows.n_features.div_ceil(S::WIDTH) };
        panels.resize(layout.n_panels * distance, E::ZERO);
        if !pack::<S>(rows, distance, panels) || !weights_fit::<S>(chunk) {
            return false;
        }
        let panel = |i: usize| &panels[i * distance..][..n_rows];
        // The number of weights per pass is limited by the registers for the sums of their diagonals.
        let group = if S::PANELS == 1 { 1 } else { 4 };
        let mut prefetch = rows.prefetch;
        scaled.resize(group * distance, E::ZERO);
        for first in (0..n_weights).step_by(group) {
            let here = group.min(n_weights - first);
            weights.resize(group * n_rows, E::from_f64(0.0));
            for (g, to) in weights.chunks_exact_mut(n_rows).enumerate().take(here) {
                for (to, &weight) in to.iter_mut().zip(chunk.column(first + g)) {
                    *to = E::from_f64(weight);
                }
            }
            let sums = &mut sums[first * layout.len()..][..here * layout.len()];
            for i in 0..layout.n_panels {
                let columns = S::WIDTH.min(rows.n_features - i * S::WIDTH);
                match here {
                    1 => S::run(Scale::<_, 1> { layout, i, panel: panel(i), weights, distance, scaled, sums }),
                    2 => S::run(Scale::<_, 2> { layout, i, panel: panel(i), weights, distance, scaled, sums }),
                    3 => S::run(Scale::<_, 3> { layout, i, panel: panel(i), weights, distance, scaled, sums }),
                    _ => S::run(Scale::<_, 4> { layout, i, panel: panel(i), weights, distance, scaled, sums }),
                }
                let mut j = 0;
                while j < i {
                    // The panels of a step stay in the first-level cache for all weights. A step of one panel is slow,
                    // so four panels are processed as 2 + 2 and not as 3 + 1.
                    let step = S::PANELS.min(if i - j == 4 { 2 } else { i - j });
                    for (scaled, sums) in scaled.chunks_exact(distance).zip(sums.chunks_exact_mut(layout.len())) {
                        let a = &scaled[..n_rows];
                        let sums = &mut sums[layout.block(i, j)..];
                        // One cache line is prefetched every two rows, which matches the memory bandwidth.
                        let (now, later) = prefetch.split(n_rows * WIDTH / 2);
                        prefetch = later;
                        match step {
                            1 => multiply::<S, 1>(a, columns, [panel(j)], sums, now),
                            2 => multiply::<S, 2>(a, columns, [panel(j), panel(j + 1)], sums, now),
                            _ => multiply::<S, 3>(a, columns, [panel(j), panel(j + 1), panel(j + 2)], sums, now),
                        }
                    }
                    j += step;
                }
            }
        }
        true
    }
}

/// Whether products with these weights stay in the range of single precision.
#[inline(always)]
fn weights_fit<S: Simd>(chunk: Chunk<'_>) -> bool {
    if S::WIDTH == WIDTH {
        return true;
    }
    let range = 2.0_f64.powi(RANGE);
    (0..chunk.n_weights).all(|c| {
        // Groups of eight values, which the compiler vectorises.
        let (lanes, rest) = chunk.column(c).as_chunks::<WIDTH>();
        let mut largest = [0.0_f64; WIDTH];
        for lane in lanes {
            for (largest, w) in largest.iter_mut().zip(lane) {
                *largest = if w.abs() > *largest { w.abs() } else { *largest };
            }
        }
        let largest =
            largest.iter().chain(rest).fold(0.0_f64, |largest, w| if w.abs() > largest { w.abs() } else { largest });
        largest == 0.0 || (1.0 / range..=range).contains(&largest)
    })
}

/// Packs rows into panels that are `distance` lines apart; panel j starts with column j `WIDTH` and is zero-padded.
///
/// Returns false if an entry is out of range for single precision.
#[inline(always)]
fn pack<S: Simd>(rows: Rows<'_>, distance: usize, panels: &mut [LineOf<S>]) -> bool {
    let d = rows.n_features;
    let (mut largest, minus) = (S::zero(), S::splat(S::Element::from_f64(-1.0)));
    for p in 0..rows.len() {
        // Closures would be compiled without the instructions of `S`; hence the plain loops here and below.
        let row = rows.row(p);
        let (mut from, mut to) = (0, p);
        while from + S::WIDTH <= d {
            let line = S::load_doubles(&row[from..][..S::WIDTH]);
            if S::WIDTH > WIDTH {
                largest = S::max(largest, S::max(line, S::mul(line, minus)));
            }
            S::store(line, &mut panels[to]);
            (from, to) = (from + S::WIDTH, to + distance);
        }
        if from < d {
            let line = S::load_doubles(&row[from..]);
            if S::WIDTH > WIDTH {
                largest = S::max(largest, S::max(line, S::mul(line, minus)));
            }
            S::store(line, &mut panels[to]);
        }
    }
    if S::WIDTH == WIDTH {
        return true;
    }
    let mut line = [<S::Element as Element>::ZERO];
    S::store(largest, &mut line[0]);
    S::Element::flat(&line).iter().all(|&value| S::Element::to_f64(value) <= 2.0_f64.powi(RANGE))
}

/// Scales panel `i` by `G` weights of its rows, and adds its column sums and its products with itself.
struct Scale<'a, E: Element, const G: usize> {
    layout: Layout,
    i: usize,
    panel: &'a [E::Line],
    weights: &'a [E],
    distance: usize,
    scaled: &'a mut [E::Line],
    sums: &'a mut [Lane],
}

impl<E: Element, const G: usize> simd::Operation for Scale<'_, E, G> {
    type Element = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Element = E>>(self) {
        let Self { layout, i, panel, weights, distance, scaled, sums } = self;
        let n_rows = panel.len();
        // Slices of equal length let the compiler omit bounds checks inside the loop.
        let weights: [&[S::Element]; G] = std::array::from_fn(|g| &weights[g * n_rows..][..n_rows]);
        let mut targets = scaled.chunks_exact_mut(distance);
        let targets: [_; G] = std::array::from_fn(|_| &mut targets.next().unwrap_or_default()[..n_rows]);
        let mut vectors = [S::zero(); G];
        let mut diagonals = [[S::zero(); ROTATIONS]; G];
        for (p, line) in panel.iter().enumerate() {
            let line = S::load(line);
            let products: [S::Vector; G] = std::array::from_fn(|g| S::mul(S::splat(weights[g][p]), line));
            for g in 0..G {
                S::store(products[g], &mut targets[g][p]);
                vectors[g] = S::add(vectors[g], products[g]);
            }
            add_rotations::<S, G, ROTATIONS>(line, products, &mut diagonals);
        }
        let (stride, line) = (layout.len(), layout.line());
        let vectors = vectors.map(|vector| [vector]);
        add_lines::<S, G, 1>(vectors, stride, &mut sums[layout.vector(i)..]);
        add_lines::<S, G, ROTATIONS>(diagonals, stride, &mut sums[layout.diagonal(i)..]);
        if S::WIDTH == WIDTH {
            return;
        }
        let mut diagonals = [[S::zero(); MORE_ROTATIONS]; G];
        for (p, line) in panel.iter().enumerate() {
            let products: [S::Vector; G] = std::array::from_fn(|g| S::load(&targets[g][p]));
            add_rotations::<S, G, MORE_ROTATIONS>(S::swap_halves(S::load(line)), products, &mut diagonals);
        }
        add_lines::<S, G, MORE_ROTATIONS>(diagonals, stride, &mut sums[layout.diagonal(i) + ROTATIONS * line..]);
    }
}

/// Adds `R` lines for each of `G` weights, whose sums are `stride` lanes apart.
#[inline(always)]
fn add_lines<S: Simd, const G: usize, const R: usize>(lines: [[S::Vector; R]; G], stride: usize, sums: &mut [Lane]) {
    // The registers are stored first: indexing them by a variable would keep them in memory during the loop above.
    let mut stored = [[S::Element::ZERO; R]; G];
    for g in 0..G {
        for s in 0..R {
            S::store(lines[g][s], &mut stored[g][s]);
        }
    }
    for (g, lines) in stored.iter().enumerate() {
        for (line, sums) in lines.iter().zip(sums[g * stride..].chunks_mut(S::WIDTH / WIDTH)) {
            S::add_to(S::load(line), sums);
        }
    }
}

/// Adds the products of a scaled line with `R` successive rotations of `line`, each by one more place.
#[inline(always)]
fn add_rotations<S: Simd, const G: usize, const R: usize>(
    mut line: S::Vector,
    products: [S::Vector; G],
    sums: &mut [[S::Vector; R]; G],
) {
    for s in 0..R {
        for g in 0..G {
            sums[g][s] = S::mul_add(products[g], line, sums[g][s]);
        }
        line = S::rotate(line);
    }
}

/// Adds the products of the `n_columns` columns of a scaled panel with the columns of the panels `b`, summed over rows.
#[inline(always)]
fn multiply<S: Simd, const N: usize>(
    a: &[LineOf<S>],
    n_columns: usize,
    b: [&[LineOf<S>]; N],
    sums: &mut [Lane],
    prefetch: Prefetch,
) {
    for first in (0..n_columns).step_by(S::ROWS) {
        match n_columns - first {
            1 | 2 => tile::<S, 2, N>(a, first, b, sums, prefetch),
            3 | 4 if S::ROWS > 2 => tile::<S, 4, N>(a, first, b, sums, prefetch),
            _ if S::ROWS == 2 => tile::<S, 2, N>(a, first, b, sums, prefetch),
            _ if S::ROWS == 4 => tile::<S, 4, N>(a, first, b, sums, prefetch),
            _ => tile::<S, 8, N>(a, first, b, sums, prefetch),
        }
    }
}

/// Adds the tile of `R` columns of the scaled panel that starts at column `first`.
#[inline(always)]
fn tile<S: Simd, const R: usize, const N: usize>(
    a: &[LineOf<S>],
    first: usize,
    b: [&[LineOf<S>]; N],
    sums: &mut [Lane],
    prefetch: Prefetch,
) {
    let line = S::WIDTH / WIDTH;
    let start = sums[first * line..].as_ptr();
    // Slices of equal length let the compiler omit bounds checks inside the loop.
    let b = b.map(|panel| &panel[..a.len()]);
    let mut tile = [[S::zero(); N]; R];
    for p in 0..a.len() {
        prefetch.fetch(p * WIDTH / 2);
        // The sums of the tile are prefetched too, a few per row, because prefetching all at once would delay the loads
        // of the panels.
        if p % 2 == 0 && p / 2 < R * line {
            for n in 0..N {
                simd::fetch(start.wrapping_add(n * S::WIDTH * line + p / 2).cast());
            }
        }
        let left = &S::Element::flat(&a[p..=p])[first..][..R];
        let right: [S::Vector; N] = std::array::from_fn(|n| S::load(&b[n][p]));
        for r in 0..R {
            let factor = S::splat(left[r]);
            for n in 0..N {
                tile[r][n] = S::mul_add(factor, right[n], tile[r][n]);
            }
        }
    }
    for n in 0..N {
        for r in 0..R {
            S::add_to(tile[r][n], &mut sums[(n * S::WIDTH + first + r) * line..]);
        }
    }
}

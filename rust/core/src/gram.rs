//! The weighted Gram kernel, in which every statistic of the package is computed: for weight columns w_c over rows X
//! the matrices Xᵀ diag(w_c) X, the vectors Xᵀ w_c and the sums of w_c.
//!
//! Rows are packed once, chunk by chunk, into panels of one cache line of columns. For every weight a panel is scaled
//! once and multiplied with the panels left of it in tiles of sums that stay in registers; its products with itself come
//! from its rotations, each pair of columns once, so that hardly more than the lower triangle is computed. The sums lie
//! tile after tile, as the kernel adds to them, and are put into squares only when they are asked for.

use crate::simd::{self, Element, Lane, LineOf, Simd, WIDTH, ZERO};

/// Rows of one chunk: two panels then stay in the first-level cache beside the one that is scaled, and sums of single
/// precision stay short.
const CHUNK: usize = 128;

/// Rotations of a panel, by 0 to 4 places, in one pass over its rows: the sums of four weights then stay in registers.
const ROTATIONS: usize = WIDTH / 2 + 1;
/// Rotations of a panel of singles in a second pass, by 8 to 11 places.
const MORE_ROTATIONS: usize = ROTATIONS - 1;

/// Rows of single precision and their weights lie within 2^±`RANGE`, so that no product leaves the range of a single.
const RANGE: i32 = 30;

/// In what precision products are computed; sums are held in double precision in either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Doubles throughout.
    #[default]
    Double,
    /// Products and their sums over at most 128 rows in singles, twice as fast. An entry is off by at most
    /// 131 · 2⁻²⁴ Σ |w x_i x_j| + n 2⁻¹²⁶ over n rows, besides the rounding of the doubles. Chunks with entries or
    /// weights beyond 2³⁰, or with no weight above 2⁻³⁰, are computed in doubles.
    Mixed,
}

/// Scratch of one worker: the packed panels.
#[derive(Clone, Debug, Default)]
pub struct Pack {
    double: Buffers<f64>,
    single: Buffers<f32>,
}

/// Scratch in one precision.
#[derive(Clone, Debug)]
struct Buffers<E: Element> {
    panels: Vec<E::Line>,
    scaled: Vec<E::Line>,
    weights: Vec<E>,
}

impl<E: Element> Default for Buffers<E> {
    fn default() -> Self {
        Self { panels: Vec::new(), scaled: Vec::new(), weights: Vec::new() }
    }
}

/// Where the sums of one weight lie, counted in lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    /// Columns of a panel.
    width: usize,
    n_panels: usize,
}

impl Layout {
    fn new(n_features: usize, precision: Precision) -> Self {
        let width = match precision {
            Precision::Double => WIDTH,
            Precision::Mixed => 2 * WIDTH,
        };
        Self { width, n_panels: n_features.div_ceil(width) }
    }

    /// Lanes of a line of sums.
    fn line(self) -> usize {
        self.width / WIDTH
    }

    /// Rotations of a panel, which meet every pair of its columns.
    fn n_rotations(self) -> usize {
        if self.width == WIDTH { ROTATIONS } else { ROTATIONS + MORE_ROTATIONS }
    }

    /// Xᵀ w of panel `i`: one line.
    fn vector(self, i: usize) -> usize {
        i * self.line()
    }

    /// Products of panel `i` with itself: a line a rotation holds those of its columns l and (l + places) mod width.
    fn diagonal(self, i: usize) -> usize {
        (self.n_panels + i * self.n_rotations()) * self.line()
    }

    /// Products of panel `i` with panel `j` < `i`: a line a column of `i`. Those of the next `j` follow.
    fn block(self, i: usize, j: usize) -> usize {
        (self.n_panels * (1 + self.n_rotations()) + (i * i.saturating_sub(1) / 2 + j) * self.width) * self.line()
    }

    /// All lanes.
    fn len(self) -> usize {
        self.block(self.n_panels, 0)
    }

    /// Where the double for the columns `a` ≥ `b` lies.
    fn entry(self, a: usize, b: usize) -> usize {
        let (i, j) = (a / self.width, b / self.width);
        let (row, column) = (a % self.width, b % self.width);
        if i > j {
            return self.block(i, j) * WIDTH + row * self.width + column;
        }
        let rotation = |places: usize| match places {
            0..ROTATIONS => Some(places),
            WIDTH.. if places < WIDTH + MORE_ROTATIONS => Some(ROTATIONS + places - WIDTH),
            _ => None,
        };
        let line = match rotation(row - column) {
            Some(line) => line * self.width + column,
            None => rotation(self.width + column - row).unwrap_or(0) * self.width + row,
        };
        self.diagonal(i) * WIDTH + line
    }
}

/// Sums over rows of w, w x and w x xᵀ, for several weights w at once.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedGrams {
    n_features: usize,
    n_weights: usize,
    precision: Precision,
    totals: Vec<f64>,
    /// Weight after weight, as [`Layout`] says.
    lanes: Vec<Lane>,
}

impl WeightedGrams {
    /// Empty sums.
    #[must_use]
    pub fn new(n_features: usize, n_weights: usize, precision: Precision) -> Self {
        let stride = Layout::new(n_features, precision).len();
        Self { n_features, n_weights, precision, totals: vec![0.0; n_weights], lanes: vec![ZERO; n_weights * stride] }
    }

    /// Number of features.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Number of weight columns.
    #[must_use]
    pub fn n_weights(&self) -> usize {
        self.n_weights
    }

    fn layout(&self) -> Layout {
        Layout::new(self.n_features, self.precision)
    }

    /// The sums of weight `c` but their total.
    fn sums(&self, c: usize) -> &[f64] {
        let stride = self.layout().len();
        f64::flat(&self.lanes[c * stride..][..stride])
    }

    /// The sum of weight `c`.
    #[must_use]
    pub fn total(&self, c: usize) -> f64 {
        self.totals[c]
    }

    /// Xᵀ w_c.
    #[must_use]
    pub fn vector(&self, c: usize) -> &[f64] {
        &self.sums(c)[..self.n_features]
    }

    /// Xᵀ diag(w_c) X, row-major, both triangles.
    #[must_use]
    pub fn matrix(&self, c: usize) -> Vec<f64> {
        let (d, layout, sums) = (self.n_features, self.layout(), self.sums(c));
        let mut out = vec![0.0; d * d];
        for a in 0..d {
            for b in a - a % layout.width..=a {
                let value = sums[layout.entry(a, b)];
                (out[a * d + b], out[b * d + a]) = (value, value);
            }
        }
        for i in 1..layout.n_panels {
            // Block by block, so that the transposed half is written in pieces of cache lines.
            for (block, j) in sums[layout.block(i, 0) * WIDTH..].chunks_exact(layout.width * layout.width).zip(0..i) {
                let columns = j * layout.width;
                for (line, a) in block.chunks_exact(layout.width).zip(i * layout.width..d) {
                    out[a * d + columns..][..layout.width].copy_from_slice(line);
                    line.iter().enumerate().for_each(|(l, &value)| out[(columns + l) * d + a] = value);
                }
            }
        }
        out
    }

    /// All sums in an order that does not depend on the kernel: per weight the total, the vector and the rows of the
    /// lower triangle.
    #[must_use]
    pub fn to_vec(&self) -> Vec<f64> {
        let (d, layout) = (self.n_features, self.layout());
        let mut out = Vec::with_capacity(self.n_weights * (1 + d + d * (d + 1) / 2));
        for c in 0..self.n_weights {
            let sums = self.sums(c);
            out.push(self.totals[c]);
            out.extend_from_slice(self.vector(c));
            out.extend((0..d).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|(i, j)| sums[layout.entry(i, j)]));
        }
        out
    }

    /// Replaces all sums by what [`WeightedGrams::to_vec`] has returned; false for another number of sums.
    #[must_use]
    pub fn set(&mut self, values: &[f64]) -> bool {
        let (d, layout) = (self.n_features, self.layout());
        let size = 1 + d + d * (d + 1) / 2;
        if values.len() != self.n_weights * size {
            return false;
        }
        let stride = layout.len();
        self.lanes.fill(ZERO);
        for (c, part) in values.chunks_exact(size).enumerate() {
            self.totals[c] = part[0];
            let sums = &mut self.lanes[c * stride..][..stride];
            let mut put = |at: usize, value: f64| sums[at / WIDTH].0[at % WIDTH] = value;
            part[1..=d].iter().enumerate().for_each(|(j, &value)| put(j, value));
            let pairs = (0..d).flat_map(|i| (0..=i).map(move |j| (i, j)));
            pairs.zip(&part[1 + d..]).for_each(|((i, j), &value)| put(layout.entry(i, j), value));
        }
        true
    }

    /// Adds the sums of other rows; both sides have the same shape.
    pub fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.lanes.len(), other.lanes.len());
        self.totals.iter_mut().zip(&other.totals).for_each(|(a, b)| *a += b);
        for (a, b) in self.lanes.iter_mut().zip(&other.lanes) {
            a.0.iter_mut().zip(&b.0).for_each(|(a, b)| *a += b);
        }
    }

    /// Adds rows to the sums of the weights from `first` on: `weights` holds one contiguous column a weight, of as many
    /// values as there are rows.
    pub fn update(&mut self, first: usize, rows: Rows<'_>, weights: &[f64], pack: &mut Pack) {
        let n_rows = rows.len();
        if n_rows == 0 {
            return;
        }
        let stride = self.layout().len();
        let n_weights = weights.len() / n_rows;
        for start in (0..n_rows).step_by(CHUNK) {
            let length = CHUNK.min(n_rows - start);
            let chunk = Chunk { rows: rows.part(start, length), weights: &weights[start..], stride: n_rows, n_weights };
            let sums = &mut self.lanes[first * stride..][..n_weights * stride];
            let done = match self.precision {
                Precision::Double => add::<f64>(chunk, &mut pack.double, sums),
                Precision::Mixed => add::<f32>(chunk, &mut pack.single, sums),
            };
            if !done {
                self.add_doubles(first, chunk, &mut pack.double);
            }
            for (c, total) in self.totals[first..][..n_weights].iter_mut().enumerate() {
                *total += sum(chunk.column(c));
            }
        }
    }

    /// Adds a chunk that single precision cannot hold.
    #[cold]
    fn add_doubles(&mut self, first: usize, chunk: Chunk<'_>, buffers: &mut Buffers<f64>) {
        let d = self.n_features;
        let (to, from) = (self.layout(), Layout::new(d, Precision::Double));
        let mut sums = vec![ZERO; chunk.n_weights * from.len()];
        add::<f64>(chunk, buffers, &mut sums);
        for (c, sums) in sums.chunks_exact(from.len()).enumerate() {
            let sums = f64::flat(sums);
            let lanes = &mut self.lanes[(first + c) * to.len()..][..to.len()];
            let mut add = |at: usize, value: f64| lanes[at / WIDTH].0[at % WIDTH] += value;
            (0..d).for_each(|i| add(i, sums[i]));
            for i in 0..d {
                (0..=i).for_each(|j| add(to.entry(i, j), sums[from.entry(i, j)]));
            }
        }
    }
}

/// Rows of a row-major table: all of them, or those of a list.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    x: &'a [f64],
    n_features: usize,
    chosen: Option<&'a [u32]>,
    ahead: Ahead,
}

/// Memory that will be read next, and is asked for while the processor is busy; it is never read here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ahead {
    address: usize,
    len: usize,
}

impl From<&[f64]> for Ahead {
    fn from(values: &[f64]) -> Self {
        Self { address: values.as_ptr().addr(), len: values.len() }
    }
}

impl Ahead {
    /// The first `n` values, and the others.
    #[inline(always)]
    #[must_use]
    pub fn split(self, n: usize) -> (Self, Self) {
        let n = n.min(self.len);
        (Self { len: n, ..self }, Self { address: self.address + n * size_of::<f64>(), len: self.len - n })
    }

    /// Asks for the value at `at` and its neighbours.
    #[inline(always)]
    pub fn fetch<S: Simd>(self, at: usize) {
        if at < self.len {
            S::fetch_ahead(std::ptr::without_provenance(self.address + at * size_of::<f64>()));
        }
    }
}

impl<'a> Rows<'a> {
    /// All rows of `x`.
    #[must_use]
    pub fn all(x: &'a [f64], n_features: usize) -> Self {
        Self { x, n_features, chosen: None, ahead: Ahead::default() }
    }

    /// The rows of `x` with the numbers `chosen`, in this order.
    #[must_use]
    pub fn chosen(x: &'a [f64], n_features: usize, chosen: &'a [u32]) -> Self {
        Self { x, n_features, chosen: Some(chosen), ahead: Ahead::default() }
    }

    /// The same rows; meanwhile `ahead` is brought into the cache.
    #[must_use]
    pub fn fetching(self, ahead: Ahead) -> Self {
        Self { ahead, ..self }
    }

    fn len(&self) -> usize {
        self.chosen.map_or(self.x.len() / self.n_features, <[u32]>::len)
    }

    fn part(self, start: usize, length: usize) -> Self {
        let (_, ahead) = self.ahead.split(start * self.n_features);
        let (ahead, _) = ahead.split(length * self.n_features);
        match self.chosen {
            Some(chosen) => Self { chosen: Some(&chosen[start..start + length]), ahead, ..self },
            None => Self { x: &self.x[start * self.n_features..(start + length) * self.n_features], ahead, ..self },
        }
    }

    #[inline(always)]
    fn row(&self, p: usize) -> &'a [f64] {
        let p = self.chosen.map_or(p, |chosen| chosen[p] as usize);
        &self.x[p * self.n_features..][..self.n_features]
    }
}

/// Sum of a column of weights, in eight sums that do not wait for each other.
#[inline(always)]
pub fn sum(values: &[f64]) -> f64 {
    let (lanes, rest) = values.as_chunks::<WIDTH>();
    let mut sums = [0.0; WIDTH];
    for lane in lanes {
        sums.iter_mut().zip(lane).for_each(|(sum, value)| *sum += value);
    }
    sums.iter().chain(rest).sum()
}

/// Rows of one chunk and their weights: column c starts at `weights[c * stride]`.
#[derive(Clone, Copy)]
struct Chunk<'a> {
    rows: Rows<'a>,
    weights: &'a [f64],
    stride: usize,
    n_weights: usize,
}

impl<'a> Chunk<'a> {
    #[inline(always)]
    fn column(&self, c: usize) -> &'a [f64] {
        &self.weights[c * self.stride..][..self.rows.len()]
    }
}

/// Adds a chunk to the sums of its weights, with products of precision `E`; false, and nothing is added, if it cannot
/// hold them.
fn add<E: Element>(chunk: Chunk<'_>, buffers: &mut Buffers<E>, sums: &mut [Lane]) -> bool {
    let mut done = false;
    simd::dispatch(AddChunk { chunk, buffers, sums, done: &mut done });
    done
}

struct AddChunk<'a, E: Element> {
    chunk: Chunk<'a>,
    buffers: &'a mut Buffers<E>,
    sums: &'a mut [Lane],
    done: &'a mut bool,
}

impl<E: Element> simd::Operation for AddChunk<'_, E> {
    type Element = E;

    #[inline(always)]
    fn run<S: Simd<Element = E>>(self) {
        let Self { chunk, buffers: Buffers { panels, scaled, weights }, sums, done } = self;
        let Chunk { rows, n_weights, .. } = chunk;
        let n_rows = rows.len();
        // An odd distance keeps panels from competing for the same sets of the cache.
        let distance = n_rows | 1;
        let layout = Layout { width: S::WIDTH, n_panels: rows.n_features.div_ceil(S::WIDTH) };
        panels.resize(layout.n_panels * distance, E::ZERO);
        *done = pack::<S>(rows, distance, panels) && weights_fit::<S>(chunk);
        if !*done {
            return;
        }
        let panel = |i: usize| &panels[i * distance..][..n_rows];
        // As many weights at once as have room for the sums of their diagonals in the registers.
        let group = if S::PANELS == 1 { 1 } else { 4 };
        let mut ahead = rows.ahead;
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
                    // The panels of a step stay in the first-level cache for all weights. One alone is slow: 4 = 2 + 2.
                    let step = S::PANELS.min(if i - j == 4 { 2 } else { i - j });
                    for (scaled, sums) in scaled.chunks_exact(distance).zip(sums.chunks_exact_mut(layout.len())) {
                        let a = &scaled[..n_rows];
                        let sums = &mut sums[layout.block(i, j)..];
                        // One line in two rows is what the memory delivers meanwhile.
                        let (now, later) = ahead.split(n_rows * WIDTH / 2);
                        ahead = later;
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
    }
}

/// Whether weights of single precision keep products in range.
#[inline(always)]
fn weights_fit<S: Simd>(chunk: Chunk<'_>) -> bool {
    if S::WIDTH == WIDTH {
        return true;
    }
    let range = 2.0_f64.powi(RANGE);
    (0..chunk.n_weights).all(|c| {
        let (lanes, rest) = chunk.column(c).as_chunks::<WIDTH>();
        let mut largest = [0.0_f64; WIDTH];
        for lane in lanes {
            largest
                .iter_mut()
                .zip(lane)
                .for_each(|(largest, w)| *largest = if w.abs() > *largest { w.abs() } else { *largest });
        }
        let largest =
            largest.iter().chain(rest).fold(0.0_f64, |largest, w| if w.abs() > largest { w.abs() } else { largest });
        largest == 0.0 || (1.0 / range..=range).contains(&largest)
    })
}

/// Packs rows into panels `distance` lines apart: panel j holds the columns from j `WIDTH` on, padded with zeros.
/// False if an entry leaves the range of single precision.
#[inline(always)]
fn pack<S: Simd>(rows: Rows<'_>, distance: usize, panels: &mut [LineOf<S>]) -> bool {
    let d = rows.n_features;
    let (mut largest, minus) = (S::zero(), S::splat(S::Element::from_f64(-1.0)));
    for p in 0..rows.len() {
        // Plain loops here and below: closures would be compiled without the instructions of `S`.
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

/// Scales panel `i` by `G` weights of its rows; adds the sums of the columns and the products of the panel with itself.
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

    #[inline(always)]
    fn run<S: Simd<Element = E>>(self) {
        let Self { layout, i, panel, weights, distance, scaled, sums } = self;
        let n_rows = panel.len();
        // Equal lengths, told once, spare the checks inside the loop.
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

/// Adds `R` lines for each of `G` weights, whose sums lie `stride` lanes apart.
#[inline(always)]
fn add_lines<S: Simd, const G: usize, const R: usize>(lines: [[S::Vector; R]; G], stride: usize, sums: &mut [Lane]) {
    // Through memory: what is indexed by a variable would be held there all along.
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

/// Adds the products of a scaled line with `R` rotations of `line`, each by one place more.
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

/// Adds the products of the columns of a scaled panel, `n_columns` of them, with those of the panels `b`, summed over
/// rows.
#[inline(always)]
fn multiply<S: Simd, const N: usize>(
    a: &[LineOf<S>],
    n_columns: usize,
    b: [&[LineOf<S>]; N],
    sums: &mut [Lane],
    ahead: Ahead,
) {
    for first in (0..n_columns).step_by(S::ROWS) {
        match n_columns - first {
            1 | 2 => tile::<S, 2, N>(a, first, b, sums, ahead),
            3 | 4 if S::ROWS > 2 => tile::<S, 4, N>(a, first, b, sums, ahead),
            _ if S::ROWS == 2 => tile::<S, 2, N>(a, first, b, sums, ahead),
            _ if S::ROWS == 4 => tile::<S, 4, N>(a, first, b, sums, ahead),
            _ => tile::<S, 8, N>(a, first, b, sums, ahead),
        }
    }
}

/// The tile of `R` columns of the scaled panel from `first` on.
#[inline(always)]
fn tile<S: Simd, const R: usize, const N: usize>(
    a: &[LineOf<S>],
    first: usize,
    b: [&[LineOf<S>]; N],
    sums: &mut [Lane],
    ahead: Ahead,
) {
    let line = S::WIDTH / WIDTH;
    let start = sums[first * line..].as_ptr();
    // Equal lengths, told once, spare the checks inside the loop.
    let b = b.map(|panel| &panel[..a.len()]);
    let mut tile = [[S::zero(); N]; R];
    for p in 0..a.len() {
        ahead.fetch::<S>(p * WIDTH / 2);
        // So are the sums, a few at a time: all at once would keep the loads of panels waiting.
        if p % 2 == 0 && p / 2 < R * line {
            for n in 0..N {
                S::fetch(start.wrapping_add(n * S::WIDTH * line + p / 2).cast());
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sum over rows of w, w x, w x xᵀ for each weight, in the order of `to_vec`, and the same sums of absolute values.
    fn plain(x: &[f64], d: usize, weights: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let n = x.len() / d;
        let (mut out, mut absolute) = (Vec::new(), Vec::new());
        for w in weights.chunks_exact(n) {
            let mut push = |term: &dyn Fn(usize) -> f64| {
                out.push((0..n).map(term).sum());
                absolute.push((0..n).map(|p| term(p).abs()).sum());
            };
            push(&|p| w[p]);
            (0..d).for_each(|i| push(&|p| w[p] * x[p * d + i]));
            for i in 0..d {
                (0..=i).for_each(|j| push(&|p| w[p] * x[p * d + i] * x[p * d + j]));
            }
        }
        (out, absolute)
    }

    fn value(i: usize, seed: usize) -> f64 {
        ((i + 1).wrapping_mul(seed * 2 + 7919) % 1009) as f64 / 500.0 - 1.0
    }

    fn values(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| value(i, seed)).collect()
    }

    fn relative_error(got: &[f64], (expected, absolute): &(Vec<f64>, Vec<f64>)) -> f64 {
        assert_eq!(got.len(), expected.len());
        let errors = got.iter().zip(expected).zip(absolute).map(|((a, b), size)| (a - b).abs() / (size + 1e-300));
        errors.fold(0.0, |largest, error| if error <= largest { largest } else { error })
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_loop(n in 1_usize..600, d in 1_usize..70, m in 1_usize..8, seed in 0_usize..1000) {
            let (x, weights) = (values(n * d, seed), values(n * m, seed + 1));
            let expected = plain(&x, d, &weights);
            for (precision, bound) in [(Precision::Double, 1e-13), (Precision::Mixed, 131.0 / 2.0_f64.powi(24))] {
                let mut grams = WeightedGrams::new(d, m + 1, precision);
                grams.update(1, Rows::all(&x, d), &weights, &mut Pack::default());
                let all = grams.to_vec();
                let (unused, used) = all.split_at(all.len() / (m + 1));
                prop_assert!(unused.iter().all(|&v| v == 0.0));
                prop_assert!(relative_error(used, &expected) <= bound);
                let mut copy = WeightedGrams::new(d, m + 1, precision);
                prop_assert!(copy.set(&all));
                prop_assert_eq!(&copy.to_vec(), &all);
                for c in 0..m {
                    let part = &used[c * (1 + d + d * (d + 1) / 2)..];
                    let matrix = grams.matrix(c + 1);
                    prop_assert_eq!(grams.total(c + 1), part[0]);
                    prop_assert_eq!(grams.vector(c + 1), &part[1..=d]);
                    for i in 0..d {
                        prop_assert_eq!(&matrix[i * d..][..=i], &part[1 + d + i * (i + 1) / 2..][..=i]);
                        prop_assert!((0..i).all(|j| matrix[j * d + i] == matrix[i * d + j]));
                    }
                }
            }
        }

        #[test]
        fn chosen_rows_are_those_rows(n in 1_usize..400, d in 1_usize..20, seed in 0_usize..1000) {
            let (x, weights) = (values(n * d, seed), values(2 * n, seed + 1));
            let chosen: Vec<u32> = (0..n).map(|i| ((i * 31 + seed) % n) as u32).collect();
            let copied: Vec<f64> = chosen.iter().flat_map(|&p| &x[p as usize * d..][..d]).copied().collect();
            let [a, b] = [Rows::chosen(&x, d, &chosen), Rows::all(&copied, d)].map(|rows| {
                let mut grams = WeightedGrams::new(d, 2, Precision::Double);
                grams.update(0, rows, &weights, &mut Pack::default());
                grams
            });
            prop_assert_eq!(a, b);
        }
    }

    #[test]
    fn every_instruction_set_agrees() {
        fn check<E: Element>(precision: Precision, bound: f64) {
            for (n, d, m) in [(1, 1, 1), (256, 21, 3), (100, 64, 5), (33, 17, 4), (256, 90, 2)] {
                let (x, weights) = (values(n * d, 1), values(n * m, 2));
                let expected = plain(&x, d, &weights);
                let mut buffers = Buffers::<E>::default();
                let mut all: Vec<(&str, WeightedGrams, bool)> = ["portable", "avx2", "avx512"]
                    .map(|name| (name, WeightedGrams::new(d, m, precision), false))
                    .into();
                for (name, grams, done) in &mut all {
                    let chunk = Chunk { rows: Rows::all(&x, d), weights: &weights, stride: n, n_weights: m };
                    let ran =
                        simd::run_on(name, AddChunk { chunk, buffers: &mut buffers, sums: &mut grams.lanes, done });
                    for c in 0..m {
                        grams.totals[c] = sum(chunk.column(c));
                    }
                    assert_eq!(ran, *done);
                    assert!(!ran || relative_error(&grams.to_vec(), &expected) <= bound, "{name}, {n} x {d}, {m}");
                }
                assert!(all[0].2);
            }
        }
        check::<f64>(Precision::Double, 1e-13);
        check::<f32>(Precision::Mixed, 131.0 / 2.0_f64.powi(24));
    }

    #[test]
    fn what_singles_cannot_hold_is_computed_in_doubles() {
        let (n, d) = (300, 19);
        for (x_scale, w_scale) in [(1e30, 1.0), (1.0, 1e100), (1.0, 1e-100), (1e-5, 0.0), (1e9, 1e9), (1e9, 1e-9)] {
            let x: Vec<f64> = values(n * d, 3).iter().map(|v| v * x_scale).collect();
            let weights: Vec<f64> = values(2 * n, 4).iter().map(|v| v * w_scale).collect();
            let mut grams = WeightedGrams::new(d, 2, Precision::Mixed);
            grams.update(0, Rows::all(&x, d), &weights, &mut Pack::default());
            let error = relative_error(&grams.to_vec(), &plain(&x, d, &weights));
            assert!(error <= 131.0 / 2.0_f64.powi(24), "{x_scale}, {w_scale}: {error}");
        }
    }
}

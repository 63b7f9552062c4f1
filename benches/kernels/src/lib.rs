//! Each kernel and a straightforward loop, as cases that the benchmarks time and `count` runs once.

use relunet_core::block::Block;
use relunet_core::gram::{Pack, Precision, Prefetch, Rows, WeightedGrams};
use relunet_core::moments::{
    ContractionMoments, CurvatureMoments, GradientMoments, InputMoments, Moments, RiskMoments, Scratch, SketchMoments,
    SliceMoments,
};
use relunet_core::network::Network;
use relunet_core::skinny::{Directions, add_weighted_rows};

/// Work on a block of rows, repeatable.
pub type Work = Box<dyn FnMut()>;

/// Rows of every case.
pub const ROWS: usize = 512;

/// A case: its name, its rows times features, and what makes its work.
pub struct Case {
    /// Kernel and shape.
    pub name: String,
    /// Numbers of inputs that it reads.
    pub size: u64,
    /// Its work, with all memory that it needs.
    pub make: Box<dyn Fn() -> Work>,
}

fn values(n: usize, seed: u64) -> Vec<f64> {
    let value = |i: usize| ((i as u64 + 1).wrapping_mul(2 * seed + 0x9e37_79b9_7f4a_7c15) >> 40) as f64;
    (0..n).map(|i| value(i) / f64::from(1 << 23) - 1.0).collect()
}

fn network(d: usize, k: usize) -> Network {
    Network::new(values(k * d, 3), values(k, 4), values(k, 5), values(d, 6), 0.5).expect("lengths fit")
}

/// Weighted Grams as three loops.
pub fn naive_grams(x: &[f64], d: usize, weights: &[f64], sums: &mut [f64]) {
    let n = x.len() / d;
    for (weights, sums) in weights.chunks_exact(n).zip(sums.chunks_exact_mut(d * d)) {
        for (row, w) in x.chunks_exact(d).zip(weights) {
            for i in 0..d {
                let scaled = w * row[i];
                for j in 0..=i {
                    sums[i * d + j] += scaled * row[j];
                }
            }
        }
    }
}

/// Projections row by row.
pub fn naive_projections(x: &[f64], directions: &[f64], d: usize, out: &mut [f64]) {
    let k = directions.len() / d;
    for (row, out) in x.chunks_exact(d).zip(out.chunks_exact_mut(k)) {
        for (direction, out) in directions.chunks_exact(d).zip(out) {
            *out = direction.iter().zip(row).map(|(v, x)| v * x).sum();
        }
    }
}

/// Rows summed with several weights, row by row.
pub fn naive_weighted_rows(x: &[f64], d: usize, weights: &[f64], sums: &mut [f64]) {
    let k = sums.len() / d;
    for (row, weights) in x.chunks_exact(d).zip(weights.chunks_exact(k)) {
        for (w, sums) in weights.iter().zip(sums.chunks_exact_mut(d)) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += w * x);
        }
    }
}

/// The gradient of a fit row by row.
pub fn naive_gradient(x: &[f64], y: &[f64], network: &Network, sums: &mut [f64]) {
    let (d, k) = (network.n_features, network.n_neurons());
    for (row, y) in x.chunks_exact(d).zip(y) {
        let dot = |a: &[f64]| a.iter().zip(row).map(|(a, b)| a * b).sum::<f64>();
        let hidden: Vec<f64> = (0..k).map(|i| dot(&network.weights[i * d..][..d]) + network.biases[i]).collect();
        let value: f64 = hidden.iter().zip(&network.output_weights).map(|(h, c)| c * h.max(0.0)).sum();
        let residual = y - value - dot(&network.linear) - network.intercept;
        for i in (0..k).filter(|&i| hidden[i] > 0.0) {
            sums[i * d..][..d].iter_mut().zip(row).for_each(|(sum, x)| *sum += residual * x);
        }
    }
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: String, d: usize, make: Box<dyn Fn() -> Work>| {
        cases.push(Case { name, size: (ROWS * d) as u64, make });
    };
    for d in [1, 3, 17, 63, 64, 128, 512] {
        for (name, precision) in [("double", Precision::Double), ("mixed", Precision::Mixed)] {
            let make = move || -> Work {
                let (x, w, mut pack) = (values(ROWS * d, 1), values(4 * ROWS, 2), Pack::default());
                let mut grams = WeightedGrams::new(d, 4, precision);
                Box::new(move || grams.update(0, Rows::all(&x, d), &w, &mut pack))
            };
            add(format!("gram, 4 weights, {name}, d={d}"), d, Box::new(make));
        }
        let make = move || -> Work {
            let (x, w, mut sums) = (values(ROWS * d, 1), values(4 * ROWS, 2), vec![0.0; 4 * d * d]);
            Box::new(move || naive_grams(&x, d, &w, &mut sums))
        };
        add(format!("gram, 4 weights, naive, d={d}"), d, Box::new(make));
    }
    for (d, k) in [(1, 2), (17, 3), (64, 16), (1000, 8)] {
        let make = move || -> Work {
            let (x, directions) = (values(ROWS * d, 1), Directions::new(&values(k * d, 2), &vec![0.0; k], d));
            let mut out = Vec::new();
            Box::new(move || directions.project(&x, ROWS, &mut out, Prefetch::default()))
        };
        add(format!("projections, d={d} k={k}"), d, Box::new(make));
        let make = move || -> Work {
            let (x, directions, mut out) = (values(ROWS * d, 1), values(k * d, 2), vec![0.0; ROWS * k]);
            Box::new(move || naive_projections(&x, &directions, d, &mut out))
        };
        add(format!("projections, naive, d={d} k={k}"), d, Box::new(make));
        let make = move || -> Work {
            let (x, directions, mut sums) = (values(ROWS * d, 1), values(k * d, 2), vec![0.0; k * d]);
            let mut weights = Vec::new();
            Directions::new(&directions, &vec![0.0; k], d).project(&x, ROWS, &mut weights, Prefetch::default());
            Box::new(move || add_weighted_rows(&x, d, &weights, k, &mut sums))
        };
        add(format!("weighted rows, d={d} k={k}"), d, Box::new(make));
        let make = move || -> Work {
            let (x, weights, mut sums) = (values(ROWS * d, 1), values(ROWS * k, 2), vec![0.0; k * d]);
            Box::new(move || naive_weighted_rows(&x, d, &weights, &mut sums))
        };
        add(format!("weighted rows, naive, d={d} k={k}"), d, Box::new(make));
    }
    for (d, k) in [(20, 4), (64, 16)] {
        let make = move || -> Work {
            let (x, y, network, mut sums) = (values(ROWS * d, 1), values(ROWS, 2), network(d, k), vec![0.0; k * d]);
            Box::new(move || naive_gradient(&x, &y, &network, &mut sums))
        };
        add(format!("gradient, naive, d={d} k={k}"), d, Box::new(make));
        let mut accumulator = |name: &str, make: fn(usize, usize) -> Moments| {
            let work = move || -> Work {
                let (x, y, mut moments, mut scratch) =
                    (values(ROWS * d, 1), values(ROWS, 2), make(d, k), Scratch::default());
                Box::new(move || {
                    moments.update(&Block { x: &x, y: &y, weight: None, n_features: d, n_rows: ROWS }, &mut scratch);
                })
            };
            add(format!("{name}, d={d} k={k}"), d, Box::new(work));
        };
        accumulator("gradient", |d, k| GradientMoments::new(network(d, k)).into());
        accumulator("risk", |d, k| RiskMoments::new(network(d, k)).into());
        accumulator("curvature", |d, k| CurvatureMoments::new(network(d, k)).expect("fits").into());
        accumulator("inputs", |d, _| InputMoments::new(d, 1).expect("fits").into());
        accumulator("sketch, 16 slices", |d, k| {
            let edges = (1..16).map(|h| f64::from(h) / 8.0 - 1.0).collect();
            SketchMoments::new(d, values(k * d, 7), edges, values(32, 8), None).expect("valid").into()
        });
        accumulator("slices", |d, _| {
            let edges: Vec<f64> = (1..16).map(|h| f64::from(h) / 8.0 - 1.0).collect();
            SliceMoments::new(d, &edges, None, Precision::Double).expect("valid").into()
        });
        accumulator("contraction, degrees 2 4 6 8", |d, _| {
            let direction: Vec<f64> = (0..d).map(|j| if j == 0 { 1.0 } else { 0.0 }).collect();
            ContractionMoments::new(d, &direction, true, &[2, 4, 6, 8], None, Precision::Double).expect("valid").into()
        });
    }
    cases
}

//! Times of all cases: `cargo bench --manifest-path benches/kernels/Cargo.toml`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use relunet_kernels::cases;

fn kernels(criterion: &mut Criterion) {
    for case in cases() {
        let mut group = criterion.benchmark_group("kernels");
        group.throughput(Throughput::Elements(case.size)).sample_size(20);
        group.bench_function(&case.name, |bencher| bencher.iter((case.make)()));
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);

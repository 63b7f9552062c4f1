//! Eight doubles at a time: a lane of memory, and the arithmetic on it with the instructions that the processor has.

/// Doubles in a lane: one cache line, one AVX-512 register.
pub const WIDTH: usize = 8;

/// Eight doubles on a cache line of their own.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct Lane(pub [f64; WIDTH]);

/// A lane of zeros.
pub const ZERO: Lane = Lane([0.0; WIDTH]);

/// Arithmetic on lanes held in registers.
pub trait Simd {
    /// A lane in registers.
    type Vector: Copy;
    /// Rows of an 8 by 8 or 8 by 16 tile of sums that fit into the registers together.
    const STRIP: usize;
    /// Zeros.
    fn zero() -> Self::Vector;
    /// One value in all places.
    fn splat(value: f64) -> Self::Vector;
    /// A lane from memory.
    fn load(lane: &Lane) -> Self::Vector;
    /// Eight doubles from anywhere in memory.
    fn load_unaligned(values: &[f64; WIDTH]) -> Self::Vector;
    /// A lane to memory.
    fn store(vector: Self::Vector, lane: &mut Lane);
    /// a + b
    fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a b
    fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a b + c
    fn mul_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
}

/// A computation that can run on any instruction set.
pub trait Operation {
    /// Runs it; to be inlined whole into a function compiled for `S`.
    fn run<S: Simd>(self);
}

/// Runs `operation` with the widest instructions that this processor has.
pub fn dispatch(operation: impl Operation) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the instructions have just been seen on this processor.
            return unsafe { x86::run_avx512(operation) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: as above.
            return unsafe { x86::run_avx2(operation) };
        }
    }
    run_portable(operation);
}

/// Runs `operation` without special instructions.
pub fn run_portable(operation: impl Operation) {
    operation.run::<Portable>();
}

/// Plain arithmetic, for processors without the instructions below.
struct Portable;

impl Simd for Portable {
    type Vector = [f64; WIDTH];
    const STRIP: usize = 2;

    #[inline(always)]
    fn zero() -> Self::Vector {
        [0.0; WIDTH]
    }
    #[inline(always)]
    fn splat(value: f64) -> Self::Vector {
        [value; WIDTH]
    }
    #[inline(always)]
    fn load(lane: &Lane) -> Self::Vector {
        lane.0
    }
    #[inline(always)]
    fn load_unaligned(values: &[f64; WIDTH]) -> Self::Vector {
        *values
    }
    #[inline(always)]
    fn store(vector: Self::Vector, lane: &mut Lane) {
        lane.0 = vector;
    }
    #[inline(always)]
    fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|l| a[l] + b[l])
    }
    #[inline(always)]
    fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|l| a[l] * b[l])
    }
    #[inline(always)]
    fn mul_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        std::array::from_fn(|l| a[l] * b[l] + c[l])
    }
}

/// The instruction sets of x86-64. Every `unsafe` here is an intrinsic that needs its instruction set, which [`dispatch`]
/// has seen before it entered the function that all of this is inlined into; lanes are aligned to their 64 bytes.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Lane, Operation, Simd, WIDTH};

    #[target_feature(enable = "avx512f")]
    pub fn run_avx512(operation: impl Operation) {
        operation.run::<Avx512>();
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn run_avx2(operation: impl Operation) {
        operation.run::<Avx2>();
    }

    struct Avx512;

    impl Simd for Avx512 {
        type Vector = __m512d;
        const STRIP: usize = 8;

        #[inline(always)]
        fn zero() -> __m512d {
            unsafe { _mm512_setzero_pd() }
        }
        #[inline(always)]
        fn splat(value: f64) -> __m512d {
            unsafe { _mm512_set1_pd(value) }
        }
        #[inline(always)]
        fn load(lane: &Lane) -> __m512d {
            unsafe { _mm512_load_pd(lane.0.as_ptr()) }
        }
        #[inline(always)]
        fn load_unaligned(values: &[f64; WIDTH]) -> __m512d {
            unsafe { _mm512_loadu_pd(values.as_ptr()) }
        }
        #[inline(always)]
        fn store(vector: __m512d, lane: &mut Lane) {
            unsafe { _mm512_store_pd(lane.0.as_mut_ptr(), vector) }
        }
        #[inline(always)]
        fn add(a: __m512d, b: __m512d) -> __m512d {
            unsafe { _mm512_add_pd(a, b) }
        }
        #[inline(always)]
        fn mul(a: __m512d, b: __m512d) -> __m512d {
            unsafe { _mm512_mul_pd(a, b) }
        }
        #[inline(always)]
        fn mul_add(a: __m512d, b: __m512d, c: __m512d) -> __m512d {
            unsafe { _mm512_fmadd_pd(a, b, c) }
        }
    }

    struct Avx2;

    impl Simd for Avx2 {
        type Vector = [__m256d; 2];
        const STRIP: usize = 2;

        #[inline(always)]
        fn zero() -> [__m256d; 2] {
            unsafe { [_mm256_setzero_pd(); 2] }
        }
        #[inline(always)]
        fn splat(value: f64) -> [__m256d; 2] {
            unsafe { [_mm256_set1_pd(value); 2] }
        }
        #[inline(always)]
        fn load(lane: &Lane) -> [__m256d; 2] {
            let (low, high) = lane.0.split_at(4);
            unsafe { [_mm256_load_pd(low.as_ptr()), _mm256_load_pd(high.as_ptr())] }
        }
        #[inline(always)]
        fn load_unaligned(values: &[f64; WIDTH]) -> [__m256d; 2] {
            let (low, high) = values.split_at(4);
            unsafe { [_mm256_loadu_pd(low.as_ptr()), _mm256_loadu_pd(high.as_ptr())] }
        }
        #[inline(always)]
        fn store(vector: [__m256d; 2], lane: &mut Lane) {
            let (low, high) = lane.0.split_at_mut(4);
            unsafe {
                _mm256_store_pd(low.as_mut_ptr(), vector[0]);
                _mm256_store_pd(high.as_mut_ptr(), vector[1]);
            }
        }
        #[inline(always)]
        fn add(a: [__m256d; 2], b: [__m256d; 2]) -> [__m256d; 2] {
            unsafe { [_mm256_add_pd(a[0], b[0]), _mm256_add_pd(a[1], b[1])] }
        }
        #[inline(always)]
        fn mul(a: [__m256d; 2], b: [__m256d; 2]) -> [__m256d; 2] {
            unsafe { [_mm256_mul_pd(a[0], b[0]), _mm256_mul_pd(a[1], b[1])] }
        }
        #[inline(always)]
        fn mul_add(a: [__m256d; 2], b: [__m256d; 2], c: [__m256d; 2]) -> [__m256d; 2] {
            unsafe { [_mm256_fmadd_pd(a[0], b[0], c[0]), _mm256_fmadd_pd(a[1], b[1], c[1])] }
        }
    }
}

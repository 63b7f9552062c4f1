//! Vector arithmetic for the instruction sets of x86-64.
//!
//! This file contains no closures, because they would be compiled without the instruction set of their function.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use super::{Element, Lane, LineOf, Operation, Simd, WIDTH};

#[inline(never)]
#[target_feature(enable = "avx512f")]
pub fn run_avx512<O: Operation>(operation: O) -> O::Output {
    operation.run::<<O::Element as Element>::Avx512>()
}

#[inline(never)]
#[target_feature(enable = "avx2,fma")]
pub fn run_avx2<O: Operation>(operation: O) -> O::Output {
    operation.run::<<O::Element as Element>::Avx2>()
}

/// Cache level for [`prefetch`].
pub const TO_FIRST_LEVEL: i32 = _MM_HINT_T0;
/// Cache level for [`prefetch`].
pub const TO_SECOND_LEVEL: i32 = _MM_HINT_T1;

/// Prefetches memory, which is a hint that reads nothing and that every x86-64 processor supports.
#[inline(always)]
pub fn prefetch<const LEVEL: i32>(address: *const f64) {
    // SAFETY: a prefetch does not fault at any address, and is part of every x86-64.
    unsafe { _mm_prefetch::<LEVEL>(address.cast()) }
}

/// Defines functions from intrinsics that do not access memory.
macro_rules! in_registers {
    ($($(#[$comment:meta])* fn $name:ident($($argument:tt: $kind:ty),*) -> $result:ty $body:block)*) => {$(
        $(#[$comment])*
        #[inline(always)]
        fn $name($($argument: $kind),*) -> $result {
            // SAFETY: the intrinsics only require their instruction set. `dispatch` has detected it before it calls the
            // function into which this one is inlined; the only other callers are tests, which check it too.
            unsafe { $body }
        }
    )*};
}

/// Arithmetic that differs between the precisions only in the names of the intrinsics.
macro_rules! arithmetic_avx512 {
    (
        $element:ty, $register:ty, $zero:ident, $splat:ident, $load:ident, $store:ident, $add:ident, $mul:ident,
        $mul_add:ident, $max:ident, $compare:ident, $mask:ident, $sum:ident
    ) => {
        #[inline(always)]
        fn run<O: Operation<Element = $element>>(operation: O) -> O::Output {
            // SAFETY: `dispatch` has detected the instruction set before code of this type runs.
            unsafe { run_avx512(operation) }
        }
        #[inline(always)]
        fn load(line: &LineOf<Self>) -> $register {
            // SAFETY: a line is as large as the register and aligned to it; the instruction set is available as above.
            unsafe { $load(line.0.as_ptr()) }
        }
        #[inline(always)]
        fn store(vector: $register, line: &mut LineOf<Self>) {
            // SAFETY: as for `load`.
            unsafe { $store(line.0.as_mut_ptr(), vector) }
        }
        in_registers! {
            fn zero() -> $register { $zero() }
            fn splat(value: $element) -> $register { $splat(value) }
            fn add(a: $register, b: $register) -> $register { $add(a, b) }
            fn mul(a: $register, b: $register) -> $register { $mul(a, b) }
            fn mul_add(a: $register, b: $register, c: $register) -> $register { $mul_add(a, b, c) }
            fn max(a: $register, b: $register) -> $register { $max(a, b) }
            fn where_above(a: $register, b: $register, value: $register) -> $register {
                $mask($compare::<_CMP_GT_OQ>(a, b), value)
            }
            fn sum(a: $register) -> $element { $sum(a) }
        }
    };
}

/// The same arithmetic with two registers per line.
macro_rules! arithmetic_avx2 {
    (
        $element:ty, $register:ty, $zero:ident, $splat:ident, $load:ident, $store:ident, $add:ident, $mul:ident,
        $mul_add:ident, $max:ident, $compare:ident, $and:ident
    ) => {
        #[inline(always)]
        fn run<O: Operation<Element = $element>>(operation: O) -> O::Output {
            // SAFETY: `dispatch` has detected the instruction set before code of this type runs.
            unsafe { run_avx2(operation) }
        }
        #[inline(always)]
        fn load(line: &LineOf<Self>) -> [$register; 2] {
            let (low, high) = line.0.split_at(Self::WIDTH / 2);
            // SAFETY: half a line is as large as a register and aligned to it; the instruction set is there as above.
            unsafe { [$load(low.as_ptr()), $load(high.as_ptr())] }
        }
        #[inline(always)]
        fn store(vector: [$register; 2], line: &mut LineOf<Self>) {
            let (low, high) = line.0.split_at_mut(Self::WIDTH / 2);
            // SAFETY: as for `load`.
            unsafe {
                $store(low.as_mut_ptr(), vector[0]);
                $store(high.as_mut_ptr(), vector[1]);
            }
        }
        in_registers! {
            fn zero() -> [$register; 2] { [$zero(); 2] }
            fn splat(value: $element) -> [$register; 2] { [$splat(value); 2] }
            fn add(a: [$register; 2], b: [$register; 2]) -> [$register; 2] { [$add(a[0], b[0]), $add(a[1], b[1])] }
            fn mul(a: [$register; 2], b: [$register; 2]) -> [$register; 2] { [$mul(a[0], b[0]), $mul(a[1], b[1])] }
            fn mul_add(a: [$register; 2], b: [$register; 2], c: [$register; 2]) -> [$register; 2] {
                [$mul_add(a[0], b[0], c[0]), $mul_add(a[1], b[1], c[1])]
            }
            fn max(a: [$register; 2], b: [$register; 2]) -> [$register; 2] { [$max(a[0], b[0]), $max(a[1], b[1])] }
            fn where_above(a: [$register; 2], b: [$register; 2], value: [$register; 2]) -> [$register; 2] {
                let [low, high] = [$compare::<_CMP_GT_OQ>(a[0], b[0]), $compare::<_CMP_GT_OQ>(a[1], b[1])];
                [$and(low, value[0]), $and(high, value[1])]
            }
        }
    };
}

pub struct Avx512<T>(PhantomData<T>);

/// Mask of the first `n` places, at most eight.
#[inline(always)]
fn mask(n: usize) -> __mmask8 {
    ((1_u32 << n.min(WIDTH)) - 1) as __mmask8
}

/// Loads at most eight doubles.
#[inline(always)]
fn load_masked(values: &[f64]) -> __m512d {
    // SAFETY: the mask keeps the load within the slice; `dispatch` has detected the instruction set.
    unsafe { _mm512_maskz_loadu_pd(mask(values.len()), values.as_ptr()) }
}

impl Simd for Avx512<f64> {
    type Element = f64;
    type Vector = __m512d;
    const WIDTH: usize = WIDTH;
    const ROWS: usize = 8;
    const PANELS: usize = 3;

    arithmetic_avx512! {
        f64, __m512d, _mm512_setzero_pd, _mm512_set1_pd, _mm512_load_pd, _mm512_store_pd, _mm512_add_pd,
        _mm512_mul_pd, _mm512_fmadd_pd, _mm512_max_pd, _mm512_cmp_pd_mask, _mm512_maskz_mov_pd, _mm512_reduce_add_pd
    }

    #[inline(always)]
    fn load_doubles(values: &[f64]) -> __m512d {
        load_masked(values)
    }
    #[inline(always)]
    fn add_to(vector: __m512d, sums: &mut [Lane]) {
        Self::store(Self::add(Self::load(&sums[0]), vector), &mut sums[0]);
    }
    in_registers! {
        fn rotate(a: __m512d) -> __m512d {
            let bits = _mm512_castpd_si512(a);
            _mm512_castsi512_pd(_mm512_alignr_epi64::<1>(bits, bits))
        }
        fn swap_halves(a: __m512d) -> __m512d { _mm512_shuffle_f64x2::<0b01_00_11_10>(a, a) }
    }
}

in_registers! {
    /// Converts sixteen doubles to singles.
    fn sixteen_singles(low: __m512d, high: __m512d) -> __m512 {
        let low = _mm256_castps_pd(_mm512_cvtpd_ps(low));
        let high = _mm256_castps_pd(_mm512_cvtpd_ps(high));
        _mm512_castpd_ps(_mm512_insertf64x4::<1>(_mm512_castpd256_pd512(low), high))
    }
    /// Converts sixteen singles to doubles.
    fn sixteen_doubles(singles: __m512) -> [__m512d; 2] {
        let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(singles));
        [_mm512_cvtps_pd(_mm512_castps512_ps256(singles)), _mm512_cvtps_pd(_mm256_castpd_ps(high))]
    }
}

impl Simd for Avx512<f32> {
    type Element = f32;
    type Vector = __m512;
    const WIDTH: usize = 2 * WIDTH;
    const ROWS: usize = 8;
    const PANELS: usize = 3;

    arithmetic_avx512! {
        f32, __m512, _mm512_setzero_ps, _mm512_set1_ps, _mm512_load_ps, _mm512_store_ps, _mm512_add_ps, _mm512_mul_ps,
        _mm512_fmadd_ps, _mm512_max_ps, _mm512_cmp_ps_mask, _mm512_maskz_mov_ps, _mm512_reduce_add_ps
    }

    #[inline(always)]
    fn load_doubles(values: &[f64]) -> __m512 {
        let (low, high) = values.split_at(values.len().min(WIDTH));
        sixteen_singles(load_masked(low), load_masked(high))
    }
    #[inline(always)]
    fn add_to(vector: __m512, sums: &mut [Lane]) {
        let [low, high] = sixteen_doubles(vector);
        Avx512::<f64>::add_to(low, sums);
        Avx512::<f64>::add_to(high, &mut sums[1..]);
    }
    in_registers! {
        fn rotate(a: __m512) -> __m512 {
            let bits = _mm512_castps_si512(a);
            _mm512_castsi512_ps(_mm512_alignr_epi32::<1>(bits, bits))
        }
        fn swap_halves(a: __m512) -> __m512 { _mm512_shuffle_f32x4::<0b01_00_11_10>(a, a) }
    }
}

pub struct Avx2<T>(PhantomData<T>);

/// Loads at most four doubles.
#[inline(always)]
fn load_four(values: &[f64]) -> __m256d {
    if values.len() >= 4 {
        // SAFETY: the slice holds four doubles; `dispatch` has detected the instruction set.
        return unsafe { _mm256_loadu_pd(values.as_ptr()) };
    }
    const PLACES: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];
    // SAFETY: the slice of `PLACES` holds at least four entries, which as a mask keep the load within `values`;
    // `dispatch` has detected the instruction set.
    unsafe {
        let mask = _mm256_loadu_si256(PLACES[4 - values.len()..].as_ptr().cast());
        _mm256_maskload_pd(values.as_ptr(), mask)
    }
}

/// Loads at most eight doubles.
#[inline(always)]
fn load_eight(values: &[f64]) -> [__m256d; 2] {
    let (low, high) = values.split_at(values.len().min(4));
    [load_four(low), load_four(high)]
}

impl Simd for Avx2<f64> {
    type Element = f64;
    type Vector = [__m256d; 2];
    const WIDTH: usize = WIDTH;
    const ROWS: usize = 4;
    const PANELS: usize = 1;

    arithmetic_avx2! {
        f64, __m256d, _mm256_setzero_pd, _mm256_set1_pd, _mm256_load_pd, _mm256_store_pd, _mm256_add_pd,
        _mm256_mul_pd, _mm256_fmadd_pd, _mm256_max_pd, _mm256_cmp_pd, _mm256_and_pd
    }

    #[inline(always)]
    fn load_doubles(values: &[f64]) -> [__m256d; 2] {
        load_eight(values)
    }
    #[inline(always)]
    fn add_to(vector: [__m256d; 2], sums: &mut [Lane]) {
        Self::store(Self::add(Self::load(&sums[0]), vector), &mut sums[0]);
    }
    in_registers! {
        fn sum(a: [__m256d; 2]) -> f64 {
            let four = _mm256_add_pd(a[0], a[1]);
            let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
            _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
        }
        fn rotate([low, high]: [__m256d; 2]) -> [__m256d; 2] {
            // The first place is exchanged with the other half before both halves are rotated.
            [
                _mm256_permute4x64_pd::<0b00_11_10_01>(_mm256_blend_pd::<1>(low, high)),
                _mm256_permute4x64_pd::<0b00_11_10_01>(_mm256_blend_pd::<1>(high, low)),
            ]
        }
    }
    #[inline(always)]
    fn swap_halves([low, high]: [__m256d; 2]) -> [__m256d; 2] {
        [high, low]
    }
}

in_registers! {
    /// Converts eight doubles to singles.
    fn eight_singles([low, high]: [__m256d; 2]) -> __m256 {
        _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low))
    }
    /// Converts eight singles to doubles.
    fn eight_doubles(singles: __m256) -> [__m256d; 2] {
        [_mm256_cvtps_pd(_mm256_castps256_ps128(singles)), _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(singles))]
    }
}

impl Simd for Avx2<f32> {
    type Element = f32;
    type Vector = [__m256; 2];
    const WIDTH: usize = 2 * WIDTH;
    const ROWS: usize = 4;
    const PANELS: usize = 1;

    arithmetic_avx2! {
        f32, __m256, _mm256_setzero_ps, _mm256_set1_ps, _mm256_load_ps, _mm256_store_ps, _mm256_add_ps, _mm256_mul_ps,
        _mm256_fmadd_ps, _mm256_max_ps, _mm256_cmp_ps, _mm256_and_ps
    }

    #[inline(always)]
    fn load_doubles(values: &[f64]) -> [__m256; 2] {
        let (low, high) = values.split_at(values.len().min(WIDTH));
        [eight_singles(load_eight(low)), eight_singles(load_eight(high))]
    }
    #[inline(always)]
    fn add_to(vector: [__m256; 2], sums: &mut [Lane]) {
        for (half, lane) in vector.into_iter().zip(sums) {
            Avx2::<f64>::store(Avx2::<f64>::add(Avx2::<f64>::load(lane), eight_doubles(half)), lane);
        }
    }
    #[inline(always)]
    fn sum(a: [__m256; 2]) -> f32 {
        let mut line = f32::ZERO;
        Self::store(a, &mut line);
        f32::flat(&[line]).iter().sum()
    }
    in_registers! {
        fn rotate([low, high]: [__m256; 2]) -> [__m256; 2] {
            let turn = _mm256_setr_epi32(1, 2, 3, 4, 5, 6, 7, 0);
            [
                _mm256_permutevar8x32_ps(_mm256_blend_ps::<1>(low, high), turn),
                _mm256_permutevar8x32_ps(_mm256_blend_ps::<1>(high, low), turn),
            ]
        }
    }
    #[inline(always)]
    fn swap_halves([low, high]: [__m256; 2]) -> [__m256; 2] {
        [high, low]
    }
}

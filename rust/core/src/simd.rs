//! One cache line of numbers at a time: eight doubles or sixteen singles, and the arithmetic on them with the
//! instructions that the processor has.

/// Doubles in a lane: one cache line, one AVX-512 register.
pub const WIDTH: usize = 8;

/// Numbers that fill a cache line of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(64))]
pub struct Line<T, const W: usize>(pub [T; W]);

/// Eight doubles.
pub type Lane = Line<f64, WIDTH>;

/// A lane of zeros.
pub const ZERO: Lane = Line([0.0; WIDTH]);

/// The two precisions, each with its arithmetic for every instruction set.
pub trait Element: Copy + 'static {
    /// A cache line of them.
    type Line: Copy + std::fmt::Debug + 'static;
    /// A line of zeros.
    const ZERO: Self::Line;
    /// A double in this precision.
    fn from_f64(value: f64) -> Self;
    /// As a double.
    fn to_f64(self) -> f64;
    /// The numbers of consecutive lines.
    fn flat(lines: &[Self::Line]) -> &[Self];
    /// Arithmetic without special instructions.
    type Portable: Simd<Element = Self>;
    /// Arithmetic with AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    type Avx2: Simd<Element = Self>;
    /// Arithmetic with AVX-512.
    #[cfg(target_arch = "x86_64")]
    type Avx512: Simd<Element = Self>;
}

macro_rules! element {
    ($element:ty, $width:expr) => {
        impl Element for $element {
            type Line = Line<$element, { $width }>;
            const ZERO: Self::Line = Line([0.0; $width]);
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as Self
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.into()
            }
            #[inline(always)]
            fn flat(lines: &[Self::Line]) -> &[Self] {
                // SAFETY: a line is an array of `WIDTH` numbers and, at 64 bytes, has no padding.
                unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * $width) }
            }
            type Portable = Portable<$element, { $width }>;
            #[cfg(target_arch = "x86_64")]
            type Avx2 = x86::Avx2<$element>;
            #[cfg(target_arch = "x86_64")]
            type Avx512 = x86::Avx512<$element>;
        }
    };
}

element!(f64, WIDTH);
element!(f32, 2 * WIDTH);

/// The line of numbers that `S` works on.
pub type LineOf<S> = <<S as Simd>::Element as Element>::Line;

/// Arithmetic on lines held in registers.
pub trait Simd {
    /// The precision.
    type Element: Element;
    /// A line in registers.
    type Vector: Copy;
    /// Numbers in a line.
    const WIDTH: usize;
    /// A tile of sums of `ROWS` rows by `PANELS` lines, its operands beside it, fits into the registers.
    const ROWS: usize;
    /// See `ROWS`.
    const PANELS: usize;
    /// Runs a computation as a function of its own, whose sums then have all registers.
    fn run<O: Operation<Element = Self::Element>>(operation: O);
    /// Zeros.
    fn zero() -> Self::Vector;
    /// One value in all places.
    fn splat(value: Self::Element) -> Self::Vector;
    /// A line from memory.
    fn load(line: &LineOf<Self>) -> Self::Vector;
    /// At most `WIDTH` doubles from anywhere in memory, in this precision; zeros in the remaining places.
    fn load_doubles(values: &[f64]) -> Self::Vector;
    /// Asks for memory that will be read next; any address is allowed.
    fn fetch(address: *const f64);
    /// Asks for memory that will be read later: it comes to the second-level cache.
    fn fetch_ahead(address: *const f64);
    /// A line to memory.
    fn store(vector: Self::Vector, line: &mut LineOf<Self>);
    /// Adds a line, in double precision, to the first `WIDTH` doubles of `sums`.
    fn add_to(vector: Self::Vector, sums: &mut [Lane]);
    /// a + b
    fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a b
    fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a b + c
    fn mul_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The larger of a and b, place by place.
    fn max(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `value` where a > b, else zero.
    fn where_above(a: Self::Vector, b: Self::Vector, value: Self::Vector) -> Self::Vector;
    /// The sum of all places.
    fn sum(a: Self::Vector) -> Self::Element;
    /// Every number one place to the left, the first one to the end.
    fn rotate(a: Self::Vector) -> Self::Vector;
    /// Every number `WIDTH` / 2 places away.
    fn swap_halves(a: Self::Vector) -> Self::Vector;
}

/// A computation that can run on any instruction set.
pub trait Operation {
    /// Its precision.
    type Element: Element;
    /// Runs it; to be inlined whole into a function compiled for `S`.
    fn run<S: Simd<Element = Self::Element>>(self);
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
#[inline(never)]
pub fn run_portable<O: Operation>(operation: O) {
    operation.run::<<O::Element as Element>::Portable>();
}

/// Runs `operation` on the instruction set of this name; false if the processor does not have it.
#[cfg(test)]
pub fn run_on(name: &str, operation: impl Operation) -> bool {
    match name {
        "portable" => run_portable(operation),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the instructions have just been seen on this processor.
        "avx2" if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") => unsafe {
            x86::run_avx2(operation);
        },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        "avx512" if is_x86_feature_detected!("avx512f") => unsafe { x86::run_avx512(operation) },
        _ => return false,
    }
    true
}

/// Plain arithmetic, for processors without the instructions below.
pub struct Portable<T, const W: usize>(std::marker::PhantomData<T>);

macro_rules! portable {
    ($element:ty, $width:expr) => {
        impl Simd for Portable<$element, { $width }> {
            type Element = $element;
            type Vector = [$element; $width];
            const WIDTH: usize = $width;
            const ROWS: usize = 2;
            const PANELS: usize = 1;

            fn run<O: Operation<Element = $element>>(operation: O) {
                run_portable(operation);
            }
            #[inline(always)]
            fn zero() -> Self::Vector {
                [0.0; $width]
            }
            #[inline(always)]
            fn splat(value: $element) -> Self::Vector {
                [value; $width]
            }
            #[inline(always)]
            fn load(line: &LineOf<Self>) -> Self::Vector {
                line.0
            }
            #[inline(always)]
            fn load_doubles(values: &[f64]) -> Self::Vector {
                let mut vector = Self::zero();
                vector.iter_mut().zip(values).for_each(|(to, &from)| *to = from as $element);
                vector
            }
            #[inline(always)]
            fn fetch(_address: *const f64) {}
            #[inline(always)]
            fn fetch_ahead(_address: *const f64) {}
            #[inline(always)]
            fn store(vector: Self::Vector, line: &mut LineOf<Self>) {
                line.0 = vector;
            }
            #[inline(always)]
            fn add_to(vector: Self::Vector, sums: &mut [Lane]) {
                for (lane, part) in sums.iter_mut().zip(vector.chunks_exact(WIDTH)) {
                    lane.0.iter_mut().zip(part).for_each(|(sum, &value)| *sum += f64::from(value));
                }
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
            #[inline(always)]
            fn max(a: Self::Vector, b: Self::Vector) -> Self::Vector {
                std::array::from_fn(|l| if a[l] > b[l] { a[l] } else { b[l] })
            }
            #[inline(always)]
            fn where_above(a: Self::Vector, b: Self::Vector, value: Self::Vector) -> Self::Vector {
                std::array::from_fn(|l| if a[l] > b[l] { value[l] } else { 0.0 })
            }
            #[inline(always)]
            fn sum(a: Self::Vector) -> $element {
                a.iter().sum()
            }
            #[inline(always)]
            fn rotate(a: Self::Vector) -> Self::Vector {
                std::array::from_fn(|l| a[(l + 1) % $width])
            }
            #[inline(always)]
            fn swap_halves(a: Self::Vector) -> Self::Vector {
                std::array::from_fn(|l| a[(l + $width / 2) % $width])
            }
        }
    };
}

portable!(f64, WIDTH);
portable!(f32, 2 * WIDTH);

/// The instruction sets of x86-64. Every `unsafe` here is an intrinsic that needs its instruction set, which [`dispatch`]
/// has seen before it entered the function that all of this is inlined into; lines are aligned to their 64 bytes, and
/// masks keep loads within their slices.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::marker::PhantomData;

    use super::{Element, Lane, LineOf, Operation, Simd, WIDTH};

    #[inline(never)]
    #[target_feature(enable = "avx512f")]
    pub fn run_avx512<O: Operation>(operation: O) {
        operation.run::<<O::Element as Element>::Avx512>();
    }

    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    pub fn run_avx2<O: Operation>(operation: O) {
        operation.run::<<O::Element as Element>::Avx2>();
    }

    pub struct Avx512<T>(PhantomData<T>);

    /// The first `n` places, at most eight.
    #[inline(always)]
    fn mask(n: usize) -> __mmask8 {
        ((1_u32 << n.min(WIDTH)) - 1) as __mmask8
    }

    /// At most eight doubles.
    #[inline(always)]
    fn load_masked(values: &[f64]) -> __m512d {
        unsafe { _mm512_maskz_loadu_pd(mask(values.len()), values.as_ptr()) }
    }

    impl Simd for Avx512<f64> {
        type Element = f64;
        type Vector = __m512d;
        const WIDTH: usize = WIDTH;
        const ROWS: usize = 8;
        const PANELS: usize = 3;

        #[inline(always)]
        fn run<O: Operation<Element = f64>>(operation: O) {
            unsafe { run_avx512(operation) }
        }
        #[inline(always)]
        fn zero() -> __m512d {
            unsafe { _mm512_setzero_pd() }
        }
        #[inline(always)]
        fn splat(value: f64) -> __m512d {
            unsafe { _mm512_set1_pd(value) }
        }
        #[inline(always)]
        fn load(line: &Lane) -> __m512d {
            unsafe { _mm512_load_pd(line.0.as_ptr()) }
        }
        #[inline(always)]
        fn load_doubles(values: &[f64]) -> __m512d {
            load_masked(values)
        }
        #[inline(always)]
        fn fetch(address: *const f64) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
        }
        #[inline(always)]
        fn fetch_ahead(address: *const f64) {
            unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
        }
        #[inline(always)]
        fn store(vector: __m512d, line: &mut Lane) {
            unsafe { _mm512_store_pd(line.0.as_mut_ptr(), vector) }
        }
        #[inline(always)]
        fn add_to(vector: __m512d, sums: &mut [Lane]) {
            Self::store(Self::add(Self::load(&sums[0]), vector), &mut sums[0]);
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
        #[inline(always)]
        fn max(a: __m512d, b: __m512d) -> __m512d {
            unsafe { _mm512_max_pd(a, b) }
        }
        #[inline(always)]
        fn where_above(a: __m512d, b: __m512d, value: __m512d) -> __m512d {
            unsafe { _mm512_maskz_mov_pd(_mm512_cmp_pd_mask::<_CMP_GT_OQ>(a, b), value) }
        }
        #[inline(always)]
        fn sum(a: __m512d) -> f64 {
            unsafe { _mm512_reduce_add_pd(a) }
        }
        #[inline(always)]
        fn rotate(a: __m512d) -> __m512d {
            let bits = unsafe { _mm512_castpd_si512(a) };
            unsafe { _mm512_castsi512_pd(_mm512_alignr_epi64::<1>(bits, bits)) }
        }
        #[inline(always)]
        fn swap_halves(a: __m512d) -> __m512d {
            unsafe { _mm512_shuffle_f64x2::<0b01_00_11_10>(a, a) }
        }
    }

    impl Simd for Avx512<f32> {
        type Element = f32;
        type Vector = __m512;
        const WIDTH: usize = 2 * WIDTH;
        const ROWS: usize = 8;
        const PANELS: usize = 3;

        #[inline(always)]
        fn run<O: Operation<Element = f32>>(operation: O) {
            unsafe { run_avx512(operation) }
        }
        #[inline(always)]
        fn zero() -> __m512 {
            unsafe { _mm512_setzero_ps() }
        }
        #[inline(always)]
        fn splat(value: f32) -> __m512 {
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        fn load(line: &LineOf<Self>) -> __m512 {
            unsafe { _mm512_load_ps(line.0.as_ptr()) }
        }
        #[inline(always)]
        fn load_doubles(values: &[f64]) -> __m512 {
            let (low, high) = values.split_at(values.len().min(WIDTH));
            unsafe {
                let low = _mm256_castps_pd(_mm512_cvtpd_ps(load_masked(low)));
                let high = _mm256_castps_pd(_mm512_cvtpd_ps(load_masked(high)));
                _mm512_castpd_ps(_mm512_insertf64x4::<1>(_mm512_castpd256_pd512(low), high))
            }
        }
        #[inline(always)]
        fn fetch(address: *const f64) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
        }
        #[inline(always)]
        fn fetch_ahead(address: *const f64) {
            unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
        }
        #[inline(always)]
        fn store(vector: __m512, line: &mut LineOf<Self>) {
            unsafe { _mm512_store_ps(line.0.as_mut_ptr(), vector) }
        }
        #[inline(always)]
        fn add_to(vector: __m512, sums: &mut [Lane]) {
            let (low, high) = unsafe {
                let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(vector));
                (_mm512_cvtps_pd(_mm512_castps512_ps256(vector)), _mm512_cvtps_pd(_mm256_castpd_ps(high)))
            };
            Avx512::<f64>::add_to(low, sums);
            Avx512::<f64>::add_to(high, &mut sums[1..]);
        }
        #[inline(always)]
        fn add(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        fn mul(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_mul_ps(a, b) }
        }
        #[inline(always)]
        fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        fn max(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_max_ps(a, b) }
        }
        #[inline(always)]
        fn where_above(a: __m512, b: __m512, value: __m512) -> __m512 {
            unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), value) }
        }
        #[inline(always)]
        fn sum(a: __m512) -> f32 {
            unsafe { _mm512_reduce_add_ps(a) }
        }
        #[inline(always)]
        fn rotate(a: __m512) -> __m512 {
            let bits = unsafe { _mm512_castps_si512(a) };
            unsafe { _mm512_castsi512_ps(_mm512_alignr_epi32::<1>(bits, bits)) }
        }
        #[inline(always)]
        fn swap_halves(a: __m512) -> __m512 {
            unsafe { _mm512_shuffle_f32x4::<0b01_00_11_10>(a, a) }
        }
    }

    pub struct Avx2<T>(PhantomData<T>);

    /// At most four doubles.
    #[inline(always)]
    fn load_four(values: &[f64]) -> __m256d {
        if values.len() >= 4 {
            return unsafe { _mm256_loadu_pd(values.as_ptr()) };
        }
        const PLACES: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];
        unsafe {
            let mask = _mm256_loadu_si256(PLACES[4 - values.len()..].as_ptr().cast());
            _mm256_maskload_pd(values.as_ptr(), mask)
        }
    }

    /// At most eight doubles.
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

        #[inline(always)]
        fn run<O: Operation<Element = f64>>(operation: O) {
            unsafe { run_avx2(operation) }
        }
        #[inline(always)]
        fn zero() -> [__m256d; 2] {
            unsafe { [_mm256_setzero_pd(); 2] }
        }
        #[inline(always)]
        fn splat(value: f64) -> [__m256d; 2] {
            unsafe { [_mm256_set1_pd(value); 2] }
        }
        #[inline(always)]
        fn load(line: &Lane) -> [__m256d; 2] {
            let (low, high) = line.0.split_at(4);
            unsafe { [_mm256_load_pd(low.as_ptr()), _mm256_load_pd(high.as_ptr())] }
        }
        #[inline(always)]
        fn load_doubles(values: &[f64]) -> [__m256d; 2] {
            load_eight(values)
        }
        #[inline(always)]
        fn fetch(address: *const f64) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
        }
        #[inline(always)]
        fn fetch_ahead(address: *const f64) {
            unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
        }
        #[inline(always)]
        fn store(vector: [__m256d; 2], line: &mut Lane) {
            let (low, high) = line.0.split_at_mut(4);
            unsafe {
                _mm256_store_pd(low.as_mut_ptr(), vector[0]);
                _mm256_store_pd(high.as_mut_ptr(), vector[1]);
            }
        }
        #[inline(always)]
        fn add_to(vector: [__m256d; 2], sums: &mut [Lane]) {
            Self::store(Self::add(Self::load(&sums[0]), vector), &mut sums[0]);
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
        #[inline(always)]
        fn max(a: [__m256d; 2], b: [__m256d; 2]) -> [__m256d; 2] {
            unsafe { [_mm256_max_pd(a[0], b[0]), _mm256_max_pd(a[1], b[1])] }
        }
        #[inline(always)]
        fn where_above(a: [__m256d; 2], b: [__m256d; 2], value: [__m256d; 2]) -> [__m256d; 2] {
            unsafe {
                [
                    _mm256_and_pd(_mm256_cmp_pd::<_CMP_GT_OQ>(a[0], b[0]), value[0]),
                    _mm256_and_pd(_mm256_cmp_pd::<_CMP_GT_OQ>(a[1], b[1]), value[1]),
                ]
            }
        }
        #[inline(always)]
        fn sum(a: [__m256d; 2]) -> f64 {
            unsafe {
                let four = _mm256_add_pd(a[0], a[1]);
                let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
                _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
            }
        }
        #[inline(always)]
        fn rotate([low, high]: [__m256d; 2]) -> [__m256d; 2] {
            // The first place is taken from the other half before all four turn.
            [(low, high), (high, low)]
                .map(|(a, b)| unsafe { _mm256_permute4x64_pd::<0b00_11_10_01>(_mm256_blend_pd::<1>(a, b)) })
        }
        #[inline(always)]
        fn swap_halves([low, high]: [__m256d; 2]) -> [__m256d; 2] {
            [high, low]
        }
    }

    impl Simd for Avx2<f32> {
        type Element = f32;
        type Vector = [__m256; 2];
        const WIDTH: usize = 2 * WIDTH;
        const ROWS: usize = 4;
        const PANELS: usize = 1;

        #[inline(always)]
        fn run<O: Operation<Element = f32>>(operation: O) {
            unsafe { run_avx2(operation) }
        }
        #[inline(always)]
        fn zero() -> [__m256; 2] {
            unsafe { [_mm256_setzero_ps(); 2] }
        }
        #[inline(always)]
        fn splat(value: f32) -> [__m256; 2] {
            unsafe { [_mm256_set1_ps(value); 2] }
        }
        #[inline(always)]
        fn load(line: &LineOf<Self>) -> [__m256; 2] {
            let (low, high) = line.0.split_at(WIDTH);
            unsafe { [_mm256_load_ps(low.as_ptr()), _mm256_load_ps(high.as_ptr())] }
        }
        #[inline(always)]
        fn load_doubles(values: &[f64]) -> [__m256; 2] {
            let (low, high) = values.split_at(values.len().min(WIDTH));
            [low, high].map(|half| {
                let [a, b] = load_eight(half);
                unsafe { _mm256_set_m128(_mm256_cvtpd_ps(b), _mm256_cvtpd_ps(a)) }
            })
        }
        #[inline(always)]
        fn fetch(address: *const f64) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
        }
        #[inline(always)]
        fn fetch_ahead(address: *const f64) {
            unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
        }
        #[inline(always)]
        fn store(vector: [__m256; 2], line: &mut LineOf<Self>) {
            let (low, high) = line.0.split_at_mut(WIDTH);
            unsafe {
                _mm256_store_ps(low.as_mut_ptr(), vector[0]);
                _mm256_store_ps(high.as_mut_ptr(), vector[1]);
            }
        }
        #[inline(always)]
        fn add_to(vector: [__m256; 2], sums: &mut [Lane]) {
            for (half, lane) in vector.into_iter().zip(sums) {
                let doubles = unsafe {
                    [_mm256_cvtps_pd(_mm256_castps256_ps128(half)), _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(half))]
                };
                Avx2::<f64>::store(Avx2::<f64>::add(Avx2::<f64>::load(lane), doubles), lane);
            }
        }
        #[inline(always)]
        fn add(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
            unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn mul(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
            unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn mul_add(a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2] {
            unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
        }
        #[inline(always)]
        fn max(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
            unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
        }
        #[inline(always)]
        fn where_above(a: [__m256; 2], b: [__m256; 2], value: [__m256; 2]) -> [__m256; 2] {
            unsafe {
                [
                    _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a[0], b[0]), value[0]),
                    _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a[1], b[1]), value[1]),
                ]
            }
        }
        #[inline(always)]
        fn sum(a: [__m256; 2]) -> f32 {
            let mut line = f32::ZERO;
            Self::store(a, &mut line);
            f32::flat(&[line]).iter().sum()
        }
        #[inline(always)]
        fn rotate([low, high]: [__m256; 2]) -> [__m256; 2] {
            let turn = unsafe { _mm256_setr_epi32(1, 2, 3, 4, 5, 6, 7, 0) };
            [(low, high), (high, low)]
                .map(|(a, b)| unsafe { _mm256_permutevar8x32_ps(_mm256_blend_ps::<1>(a, b), turn) })
        }
        #[inline(always)]
        fn swap_halves([low, high]: [__m256; 2]) -> [__m256; 2] {
            [high, low]
        }
    }
}

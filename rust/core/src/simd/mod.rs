//! One cache line of numbers at a time: eight doubles or sixteen singles, and the arithmetic on them with the
//! instructions that the processor has.

#[cfg(target_arch = "x86_64")]
mod x86;

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
    fn run<O: Operation<Element = Self::Element>>(operation: O) -> O::Output;
    /// Zeros.
    fn zero() -> Self::Vector;
    /// One value in all places.
    fn splat(value: Self::Element) -> Self::Vector;
    /// A line from memory.
    fn load(line: &LineOf<Self>) -> Self::Vector;
    /// At most `WIDTH` doubles from anywhere in memory, in this precision; zeros in the remaining places.
    fn load_doubles(values: &[f64]) -> Self::Vector;
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

/// Asks for memory that will be read next; any address is allowed.
#[inline(always)]
pub fn fetch(address: *const f64) {
    #[cfg(target_arch = "x86_64")]
    x86::prefetch::<{ x86::TO_FIRST_LEVEL }>(address);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Asks for memory that will be read later: it comes to the second-level cache.
#[inline(always)]
pub fn fetch_ahead(address: *const f64) {
    #[cfg(target_arch = "x86_64")]
    x86::prefetch::<{ x86::TO_SECOND_LEVEL }>(address);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// A computation that can run on any instruction set.
pub trait Operation {
    /// Its precision.
    type Element: Element;
    /// Its result.
    type Output;
    /// Runs it; to be inlined whole into a function compiled for `S`.
    fn run<S: Simd<Element = Self::Element>>(self) -> Self::Output;
}

/// Runs `operation` with the widest instructions that this processor has.
pub fn dispatch<O: Operation>(operation: O) -> O::Output {
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
    run_portable(operation)
}

/// Runs `operation` without special instructions.
#[inline(never)]
pub fn run_portable<O: Operation>(operation: O) -> O::Output {
    operation.run::<<O::Element as Element>::Portable>()
}

/// Runs `operation` on the instruction set of this name, if the processor has it.
#[cfg(test)]
pub fn run_on<O: Operation>(name: &str, operation: O) -> Option<O::Output> {
    match name {
        "portable" => Some(run_portable(operation)),
        #[cfg(target_arch = "x86_64")]
        "avx2" if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") => {
            // SAFETY: the instructions have just been seen on this processor.
            Some(unsafe { x86::run_avx2(operation) })
        }
        #[cfg(target_arch = "x86_64")]
        "avx512" if is_x86_feature_detected!("avx512f") => {
            // SAFETY: as above.
            Some(unsafe { x86::run_avx512(operation) })
        }
        _ => None,
    }
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

            fn run<O: Operation<Element = $element>>(operation: O) -> O::Output {
                run_portable(operation)
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

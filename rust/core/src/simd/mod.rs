//! Vector arithmetic on cache lines of eight doubles or sixteen singles, with the instruction set of the processor.

#[cfg(target_arch = "x86_64")]
mod x86;

/// Number of doubles in a lane, which is one cache line or one AVX-512 register.
pub const WIDTH: usize = 8;

/// Numbers that fill one aligned cache line.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(64))]
pub struct Line<T, const W: usize>(pub [T; W]);

/// Eight doubles.
pub type Lane = Line<f64, WIDTH>;

/// A lane of zeros.
pub const ZERO: Lane = Line([0.0; WIDTH]);

/// A precision, with its arithmetic for every instruction set.
pub trait Element: Copy + 'static {
    /// A cache line of numbers.
    type Line: Copy + std::fmt::Debug + 'static;
    /// A line of zeros.
    const ZERO: Self::Line;
    /// Converts a double to this precision.
    fn from_f64(value: f64) -> Self;
    /// Converts to a double.
    fn to_f64(self) -> f64;
    /// The numbers of consecutive lines, as a slice.
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

/// The cache line that `S` operates on.
pub type LineOf<S> = <<S as Simd>::Element as Element>::Line;

/// Arithmetic on lines held in registers.
pub trait Simd {
    /// The precision.
    type Element: Element;
    /// A line in registers.
    type Vector: Copy;
    /// Numbers in a line.
    const WIDTH: usize;
    /// Number of rows of a tile: `ROWS` by `PANELS` lines of sums and their operands fit into the registers.
    const ROWS: usize;
    /// Number of lines in each row of a tile; see `ROWS`.
    const PANELS: usize;
    /// Runs a computation as a separate function, so that all registers are available for its sums.
    fn run<O: Operation<Element = Self::Element>>(operation: O) -> O::Output;
    /// Zeros.
    fn zero() -> Self::Vector;
    /// A line with the same value in all places.
    fn splat(value: Self::Element) -> Self::Vector;
    /// Loads a line.
    fn load(line: &LineOf<Self>) -> Self::Vector;
    /// Loads at most `WIDTH` doubles from any alignment and converts them; the remaining places are zero.
    fn load_doubles(values: &[f64]) -> Self::Vector;
    /// Stores a line.
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
    /// Rotates the numbers one place to the left.
    fn rotate(a: Self::Vector) -> Self::Vector;
    /// Rotates the numbers by `WIDTH` / 2 places.
    fn swap_halves(a: Self::Vector) -> Self::Vector;
}

/// Prefetches memory that will be read next into the first-level cache; any address is allowed.
#[inline(always)]
pub fn fetch(address: *const f64) {
    #[cfg(target_arch = "x86_64")]
    x86::prefetch::<{ x86::TO_FIRST_LEVEL }>(address);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Prefetches memory that will be read later into the second-level cache; any address is allowed.
#[inline(always)]
pub fn prefetch(address: *const f64) {
    #[cfg(target_arch = "x86_64")]
    x86::prefetch::<{ x86::TO_SECOND_LEVEL }>(address);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// A computation that can run on any instruction set.
pub trait Operation {
    /// Precision of the computation.
    type Element: Element;
    /// Result of the computation.
    type Output;
    /// Runs the computation; implementations must be inlined into a function that is compiled for `S`.
    fn run<S: Simd<Element = Self::Element>>(self) -> Self::Output;
}

/// Runs `operation` with the widest instruction set of this processor.
pub fn dispatch<O: Operation>(operation: O) -> O::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor supports the instruction set, as just detected.
            return unsafe { x86::run_avx512(operation) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: as above.
            return unsafe { x86::run_avx2(operation) };
        }
    }
    run_portable(operation)
}

/// Runs `operation` with portable instructions.
#[inline(never)]
pub fn run_portable<O: Operation>(operation: O) -> O::Output {
    operation.run::<<O::Element as Element>::Portable>()
}

/// Runs `operation` with the instruction set of the given name, if the processor supports it.
#[cfg(test)]
pub fn run_on<O: Operation>(name: &str, operation: O) -> Option<O::Output> {
    match name {
        "portable" => Some(run_portable(operation)),
        #[cfg(target_arch = "x86_64")]
        "avx2" if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") => {
            // SAFETY: the processor supports the instruction set, as just detected.
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

/// Portable arithmetic, for processors without a supported instruction set.
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

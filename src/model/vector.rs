//! Short loops that the compiler turns into vector code: exp, erf, sums, and a small matrix product.
//!
//! Everything here is `#[inline(always)]` and free of branches, and is called inside a [`vectorised!`] function, which is
//! compiled once for each instruction set; one is picked when the program runs.

/// Defines a function whose body is compiled for the widest vectors that this processor has. A closure handed to pulp would not
/// do: nothing forces the compiler to inline it into the copy that may use those vectors, and then every `mul_add` is a call.
macro_rules! vectorised {
    ($(#[$meta:meta])* $visibility:vis fn $name:ident<$life:lifetime>($($argument:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        $visibility fn $name<$life>($($argument: $type),*) {
            struct Work<$life> {
                $($argument: $type),*
            }
            impl<$life> pulp::WithSimd for Work<$life> {
                type Output = ();
                #[inline(always)]
                fn with_simd<S: pulp::Simd>(self, _: S) {
                    let Self { $($argument),* } = self;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Work { $($argument),* })
        }
    };
}
pub(crate) use vectorised;

/// Sums and products run in this many lanes, so that they vectorise and yet add up in a fixed order.
pub const LANES: usize = 16;

/// [`LANES`] values at once. They are all there before the first is written, so the compiler need not prove that what is read is
/// not what is written, and makes one vector of them. Slices give such arrays by `as_chunks`.
#[inline(always)]
pub fn lanes<T: Copy + Default>(value: impl Fn(usize) -> T) -> [T; LANES] {
    let mut lanes = [T::default(); LANES];
    for (i, lane) in lanes.iter_mut().enumerate() {
        *lane = value(i);
    }
    lanes
}

/// e^x to about 2 units in the last place; 0 below -87, finite above 88. After the Cephes library: x = n ln 2 + r, a polynomial
/// for e^r, and 2^n put together from bits.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_HIGH, clamped);
    let r = n.mul_add(-LN2_LOW, r);
    let p = 1.987_569_1e-4_f32;
    let p = p.mul_add(r, 1.398_199_9e-3);
    let p = p.mul_add(r, 8.333_452e-3);
    let p = p.mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 1.666_666_6e-1);
    let p = p.mul_add(r, 0.5);
    let e = (r * r).mul_add(p, r) + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    let value = e * power;
    if x < -87.0 { 0.0 } else { value }
}

/// 2^x for x <= 0, relative error below 4e-6, a five-hundredth of what bf16 keeps; 0 below -127. The polynomial for |r| <= 1/2 was
/// fitted (minimax of the relative error, by weighted least squares) with 2^0 = 1.
#[inline(always)]
pub fn power_of_two(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let clamped = if x > -127.0 { x } else { -127.0 };
    let shifted = clamped + ROUND;
    let r = clamped - (shifted - ROUND);
    let p = 9.582_84e-3_f32;
    let p = p.mul_add(r, 5.590_641e-2);
    let p = p.mul_add(r, 2.402_41e-1);
    let p = p.mul_add(r, 6.931_242e-1);
    let p = p.mul_add(r, 1.0);
    p * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}

/// tanh(x), absolute error below 2e-7.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// erf(x), absolute error below 2e-7: Abramowitz and Stegun, formula 7.1.26.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / 0.327_591_1_f32.mul_add(a, 1.0);
    let p = 1.061_405_4_f32;
    let p = p.mul_add(t, -1.453_152_1);
    let p = p.mul_add(t, 1.421_413_8);
    let p = p.mul_add(t, -0.284_496_72);
    let p = p.mul_add(t, 0.254_829_6);
    let y = (-(p * t)).mul_add(exp(-a * a), 1.0);
    if x < 0.0 { -y } else { y }
}

/// x * (1 + erf(x / sqrt 2)) / 2 without a division: the normal's distribution as 1/2 + x P(x²), P of degree 9 fitted (minimax of
/// the result's error, by linear programming) for |x| <= 4.6 and 1 beyond. Absolute error below 5e-5, which is far below what bf16
/// or int8 keep of the result, at a third of the cost.
#[inline(always)]
pub fn gelu_coarse(x: f32) -> f32 {
    const P: [f32; 9] = [
        1.413_040_7e-10,
        -8.023_777e-9,
        2.694_034_3e-7,
        -6.005_881e-6,
        9.488_615e-5,
        -1.107_812_6e-3,
        9.791_679e-3,
        -6.628_086e-2,
        3.988_579_4e-1,
    ];
    let clamped = x.clamp(-4.6, 4.6);
    let square = clamped * clamped;
    let mut p = -1.108_093_2e-12_f32;
    for coefficient in P {
        p = p.mul_add(square, coefficient);
    }
    x * clamped.mul_add(p, 0.5)
}

/// What lanes were gathered in a loop, before they are reduced to one. Without the barrier the compiler, which likes the reduction
/// best in halves, makes the whole loop before it one of half vectors: a third to a half slower.
#[inline(always)]
fn gathered(lanes: [f32; LANES]) -> [f32; LANES] {
    std::hint::black_box(lanes)
}

/// Reduces [`LANES`] values to one, in halves: a chain of four steps, not of sixteen.
macro_rules! reduce {
    ($lanes:expr, $a:ident, $b:ident, $pick:expr) => {{
        let lanes = gathered($lanes);
        let pick = |$a: f32, $b: f32| $pick;
        let (mut eight, mut four) = ([0f32; 8], [0f32; 4]);
        for (i, value) in eight.iter_mut().enumerate() {
            *value = pick(lanes[i], lanes[i + 8]);
        }
        for (i, value) in four.iter_mut().enumerate() {
            *value = pick(eight[i], eight[i + 4]);
        }
        pick(pick(four[0], four[2]), pick(four[1], four[3]))
    }};
}

/// The sum of the lanes.
#[inline(always)]
pub fn total(lanes: [f32; LANES]) -> f32 {
    reduce!(lanes, a, b, a + b)
}

/// The greatest of the lanes.
#[inline(always)]
pub fn greatest(lanes: [f32; LANES]) -> f32 {
    reduce!(lanes, a, b, if a > b { a } else { b })
}

/// The least of the lanes.
#[inline(always)]
fn least(lanes: [f32; LANES]) -> f32 {
    reduce!(lanes, a, b, if a < b { a } else { b })
}

/// The least and the greatest of what it met, in [`LANES`] lanes.
pub struct Extremes {
    low: [f32; LANES],
    high: [f32; LANES],
}

impl Extremes {
    /// Of nothing yet: from infinity down to minus infinity.
    #[inline(always)]
    pub fn new() -> Self {
        Self { low: [f32::INFINITY; LANES], high: [f32::NEG_INFINITY; LANES] }
    }

    /// A value for each lane.
    #[inline(always)]
    pub fn meet(&mut self, values: &[f32; LANES]) {
        let (low, high) = (self.low, self.high);
        self.low = lanes(|i| if values[i] < low[i] { values[i] } else { low[i] });
        self.high = lanes(|i| if values[i] > high[i] { values[i] } else { high[i] });
    }

    /// The least and the greatest of these values, too.
    #[inline(always)]
    pub fn ends(self, rest: &[f32]) -> (f32, f32) {
        let within = |(low, high): (f32, f32), &x: &f32| (if x < low { x } else { low }, if x > high { x } else { high });
        rest.iter().fold((least(self.low), greatest(self.high)), within)
    }
}

/// The least and the greatest value.
#[inline(always)]
pub fn extremes(values: &[f32]) -> (f32, f32) {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut extremes = Extremes::new();
    for chunk in chunks {
        extremes.meet(chunk);
    }
    extremes.ends(rest)
}

/// Sum in [`LANES`] lanes.
#[inline(always)]
pub fn sum(values: &[f32]) -> f32 {
    fold(values, |lane, x| lane + x)
}

/// Sum of f over the values, in [`LANES`] lanes.
#[inline(always)]
pub fn fold(values: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0f32; LANES];
    for chunk in chunks {
        sums = lanes(|i| f(sums[i], chunk[i]));
    }
    for (sum, &x) in sums.iter_mut().zip(rest) {
        *sum = f(*sum, x);
    }
    total(sums)
}

/// Sum of a[i] * b[i].
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let mut left = a.chunks_exact(LANES);
    let mut right = b.chunks_exact(LANES);
    for (x, y) in (&mut left).zip(&mut right) {
        for ((lane, &x), &y) in lanes.iter_mut().zip(x).zip(y) {
            *lane = x.mul_add(y, *lane);
        }
    }
    for ((lane, &x), &y) in lanes.iter_mut().zip(left.remainder()).zip(right.remainder()) {
        *lane = x.mul_add(y, *lane);
    }
    total(lanes)
}

/// A matrix inside a longer slice: row `i` starts at `i * stride`.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// From the first element of the first row.
    pub values: &'a [f32],
    /// Elements from one row to the next.
    pub stride: usize,
}

/// `out[m, n] (+)= a[m, k] * b[k, n]` for the small matrices of attention; `n` must be a multiple of [`LANES`].
/// Four rows by sixteen columns are kept in registers.
#[inline(always)]
pub fn product(m: usize, k: usize, n: usize, a: View<'_>, b: View<'_>, out: &mut [f32], out_stride: usize) {
    assert!(n.is_multiple_of(LANES), "our own bug: {n} columns are not whole lanes");
    let mut row = 0;
    while row + 4 <= m {
        rows::<4>(row, k, n, a, b, out, out_stride);
        row += 4;
    }
    while row < m {
        rows::<1>(row, k, n, a, b, out, out_stride);
        row += 1;
    }
}

#[inline(always)]
fn rows<const R: usize>(row: usize, k: usize, n: usize, a: View<'_>, b: View<'_>, out: &mut [f32], out_stride: usize) {
    let a: [&[f32]; R] = std::array::from_fn(|r| &a.values[(row + r) * a.stride..][..k]);
    for column in (0..n).step_by(LANES) {
        let mut sums = [[0f32; LANES]; R];
        for i in 0..k {
            let right = &b.values[i * b.stride + column..][..LANES];
            for (sums, a) in sums.iter_mut().zip(&a) {
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = a[i].mul_add(*right, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            out[(row + r) * out_stride + column..][..LANES].copy_from_slice(sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_standard_library() {
        for i in -8_600..8_700 {
            let x = i as f32 * 0.01;
            let (ours, theirs) = (exp(x), x.exp());
            assert!((ours - theirs).abs() <= 3e-7 * theirs, "exp({x}) = {ours}, not {theirs}");
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(1e9).is_finite());
    }

    #[test]
    fn powers_of_two_are_within_their_bound() {
        for i in -13_000..=0 {
            let x = i as f32 * 0.01;
            let (ours, theirs) = (power_of_two(x), x.exp2());
            assert!((ours - theirs).abs() <= 4e-6 * theirs + f32::MIN_POSITIVE, "2^{x} = {ours}, not {theirs}");
        }
        assert_eq!([power_of_two(f32::NEG_INFINITY), power_of_two(0.0)], [0.0, 1.0]);
    }

    #[test]
    fn tanh_agrees_with_the_standard_library() {
        for i in -10_000..10_000 {
            let x = i as f32 * 0.002;
            assert!((tanh(x) - x.tanh()).abs() < 2e-7, "tanh({x}) = {}, not {}", tanh(x), x.tanh());
        }
        assert_eq!([tanh(-1e9), tanh(0.0), tanh(1e9)], [-1.0, 0.0, 1.0]);
    }

    #[test]
    fn erf_agrees_with_published_values() {
        // Abramowitz and Stegun, table 7.1.
        for (x, y) in [(0.0, 0.0), (0.5, 0.520_499_9), (1.0, 0.842_700_8), (1.5, 0.966_105_1), (2.0, 0.995_322_3)] {
            assert!((erf(x) - y).abs() < 3e-7, "erf({x}) = {}", erf(x));
            assert!((erf(-x) + y).abs() < 3e-7);
        }
    }

    #[test]
    fn the_coarse_gelu_is_within_its_bound() {
        for i in -2_000..2_000 {
            let x = i as f32 * 0.01;
            let exact = x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)) * 0.5;
            assert!((gelu_coarse(x) - exact).abs() < 5e-5, "gelu({x}) = {}, not {exact}", gelu_coarse(x));
        }
    }

    #[test]
    fn extremes_are_found_wherever_they_stand_and_each_value_counts_once_in_a_sum() {
        let values: Vec<f32> = (0..37).map(|i| (i as f32 * 1.7).sin()).collect();
        for place in 0..values.len() {
            let mut values = values.clone();
            values[place] = -9.0;
            values[(place + 11) % 37] = 9.0;
            assert_eq!(extremes(&values), (-9.0, 9.0), "{place}");
            let mut one = [0f32; 37];
            one[place] = 3.0;
            assert_eq!([sum(&one), dot(&one, &[2.0; 37])], [3.0, 6.0], "{place}");
        }
    }

    #[test]
    fn a_small_product_agrees_with_the_plain_sum() {
        for (m, k, n) in [(1, 1, 16), (4, 7, 16), (5, 64, 32), (11, 3, 48)] {
            let a: Vec<f32> = (0..m * k).map(|i| (i % 13) as f32 - 6.0).collect();
            let b: Vec<f32> = (0..k * n).map(|i| (i % 7) as f32 - 3.0).collect();
            let mut out = vec![0f32; m * n];
            product(m, k, n, View { values: &a, stride: k }, View { values: &b, stride: n }, &mut out, n);
            for i in 0..m {
                for j in 0..n {
                    let plain: f32 = (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
                    assert_eq!(out[i * n + j], plain, "({i}, {j}) of {m}x{k}x{n}");
                }
            }
        }
    }
}

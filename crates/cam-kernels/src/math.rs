//! Elementwise functions without branches or calls, so that the compiler vectorizes them.

use pulp::Simd;
use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

/// Returns $e^x$ within two units in the last place, for $x$ from -87 to 88. Smaller $x$ count as -87, whose result is practically zero.
///
/// The power of two is added to the exponent; what remains is between $\pm\ln(2)/2$ and has a polynomial (Cephes' `expf`).
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    /// A float of this size has no fraction: adding it rounds, and leaves the integer in the low bits.
    const WHOLE: f32 = 12_582_912.0;
    /// $\ln 2$ in two parts, of which the first times an integer is exact.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    let splat = |x| simd.splat_f32s(x);

    let x = simd.max_f32s(splat(-87.0), x);
    let shifted = simd.mul_add_e_f32s(x, splat(LOG2_E), splat(WHOLE));
    let whole = simd.sub_f32s(shifted, splat(WHOLE));
    let rest = simd.mul_add_e_f32s(whole, splat(-HIGH), x);
    let rest = simd.mul_add_e_f32s(whole, splat(-LOW), rest);
    let factors = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let [sum] = polynomial(simd, [rest], factors);
    let sum = simd.mul_add_e_f32s(simd.mul_f32s(sum, rest), rest, rest);
    let power = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    let power = simd.add_u32s(power, simd.splat_u32s(1.0_f32.to_bits()));
    simd.mul_f32s(simd.add_f32s(sum, splat(1.0)), simd.transmute_f32s_u32s(power))
}

/// Brings values between two bounds. Not by minima and maxima, which hide NaN.
#[inline(always)]
pub(crate) fn clamp<S: Simd>(simd: S, x: S::f32s, least: S::f32s, most: S::f32s) -> S::f32s {
    let x = simd.select_f32s(simd.less_than_f32s(x, least), least, x);
    simd.select_f32s(simd.less_than_f32s(most, x), most, x)
}

/// Returns $\max(0, \min(1, x / 6 + 1 / 2))$.
#[inline(always)]
pub(crate) fn hard_sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let line = simd.mul_add_e_f32s(x, simd.splat_f32s(1.0 / 6.0), simd.splat_f32s(0.5));
    clamp(simd, line, simd.splat_f32s(0.0), simd.splat_f32s(1.0))
}

/// Returns $1 / (1 + e^{-x})$ within a few units in the last place.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let opposite = simd.min_f32s(simd.splat_f32s(87.0), simd.neg_f32s(x));
    let y = simd.div_f32s(one, simd.add_f32s(one, exp(simd, opposite)));
    // Minima and maxima hide NaN.
    simd.select_f32s(simd.less_than_or_equal_f32s(x, x), y, x)
}

/// Returns $x \Phi(x)$ with the exact normal distribution, not its approximation by tanh.
#[inline(always)]
pub(crate) fn gelu<S: Simd, const N: usize>(simd: S, mut x: [S::f32s; N]) -> [S::f32s; N] {
    let mut scaled = x;
    for x in &mut scaled {
        *x = simd.mul_f32s(*x, simd.splat_f32s(FRAC_1_SQRT_2));
    }
    for (x, erf) in x.iter_mut().zip(erf(simd, scaled)) {
        let half = simd.mul_f32s(*x, simd.splat_f32s(0.5));
        *x = simd.mul_add_e_f32s(half, erf, half);
    }
    x
}

/// Returns the derivative of [`gelu`], $\Phi(x) + x \varphi(x)$.
#[inline(always)]
pub(crate) fn gelu_derivative<S: Simd, const N: usize>(simd: S, mut x: [S::f32s; N]) -> [S::f32s; N] {
    /// $1 / \sqrt{2 \pi}$
    const PEAK: f32 = 0.398_942_3;
    let splat = |x| simd.splat_f32s(x);
    let mut scaled = x;
    for x in &mut scaled {
        *x = simd.mul_f32s(*x, splat(FRAC_1_SQRT_2));
    }
    for (x, erf) in x.iter_mut().zip(erf(simd, scaled)) {
        let density = exp(simd, simd.mul_f32s(simd.mul_f32s(*x, *x), splat(-0.5)));
        let below = simd.mul_add_e_f32s(erf, splat(0.5), splat(0.5));
        *x = simd.mul_add_e_f32s(simd.mul_f32s(*x, splat(PEAK)), density, below);
    }
    x
}

/// Returns the error function within 4e-7, as a quotient of two polynomials (as in Eigen). Beyond 4 it is 1 in single precision.
#[inline(always)]
fn erf<S: Simd, const N: usize>(simd: S, mut x: [S::f32s; N]) -> [S::f32s; N] {
    for x in &mut x {
        *x = simd.max_f32s(simd.splat_f32s(-4.0), simd.min_f32s(simd.splat_f32s(4.0), *x));
    }
    let mut squares = x;
    for x in &mut squares {
        *x = simd.mul_f32s(*x, *x);
    }
    let above = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    let below = [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2];
    let (above, below) = (polynomial(simd, squares, above), polynomial(simd, squares, below));
    for (x, (above, below)) in x.iter_mut().zip(above.into_iter().zip(below)) {
        *x = simd.div_f32s(simd.mul_f32s(*x, above), below);
    }
    x
}

/// Evaluates a polynomial by Horner's rule, the highest power first. Several vectors are interleaved, which hides the latency of the
/// multiplications.
#[inline(always)]
fn polynomial<S: Simd, const N: usize, const K: usize>(
    simd: S,
    x: [S::f32s; N],
    factors: [f32; K],
) -> [S::f32s; N] {
    let mut sums = [simd.splat_f32s(factors[0]); N];
    for &factor in &factors[1..] {
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum = simd.mul_add_e_f32s(*sum, x, simd.splat_f32s(factor));
        }
    }
    sums
}

/// Returns the sum of a function of numbers, by enough partial sums to fill several vectors.
#[inline(always)]
pub(crate) fn sum(numbers: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut parts = [0.0; 32];
    let (chunks, rest) = numbers.as_chunks::<32>();
    for chunk in chunks {
        for (part, &x) in parts.iter_mut().zip(chunk) {
            *part += term(x);
        }
    }
    for (part, &x) in parts.iter_mut().zip(rest) {
        *part += term(x);
    }
    pairwise_sum(parts)
}

/// Returns the dot product, by enough partial sums to fill several vectors.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut parts = [0.0; 32];
    for (a, b) in a.chunks(32).zip(b.chunks(32)) {
        for ((part, &a), &b) in parts.iter_mut().zip(a).zip(b) {
            *part += a * b;
        }
    }
    pairwise_sum(parts)
}

/// Returns the sum of partial sums, added pairwise: one after another, each addition would wait for the one before.
#[inline(always)]
fn pairwise_sum(mut parts: [f32; 32]) -> f32 {
    for half in [16, 8, 4, 2, 1] {
        for n in 0..half {
            parts[n] += parts[n + half];
        }
    }
    parts[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error function by its series, in f64.
    fn reference_erf(x: f64) -> f64 {
        let (mut sum, mut term) = (x, x);
        for n in 1..200 {
            term *= -x * x / n as f64;
            sum += term / (2 * n + 1) as f64;
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    fn exp(x: f32) -> f32 {
        super::exp(pulp::Scalar, x)
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for step in -87_000..=88_000 {
            let x = step as f32 / 1000.0;
            let exact = f64::from(x).exp();
            assert!(
                (f64::from(exp(x)) - exact).abs() <= 2.0 * f64::from(f32::EPSILON) * exact,
                "{x}: {}",
                exp(x)
            );
        }
        assert!(exp(f32::NEG_INFINITY) < 2e-38);
    }

    fn gelu(x: f32) -> f32 {
        super::gelu(pulp::Scalar, [x])[0]
    }

    #[test]
    fn gelu_is_exact_but_for_rounding() {
        for step in -6000..=6000 {
            let x = step as f32 / 1000.0;
            let exact =
                0.5 * f64::from(x) * (1.0 + reference_erf(f64::from(x) * std::f64::consts::FRAC_1_SQRT_2));
            assert!(
                (f64::from(gelu(x)) - exact).abs() <= 3e-7 * (1.0 + f64::from(x.abs())),
                "{x}: {}",
                gelu(x)
            );
        }
        assert!((gelu(50.0) - 50.0).abs() < 1e-5 && gelu(-50.0).abs() < 1e-5);
    }

    #[test]
    fn sigmoid_is_exact_but_for_rounding() {
        let sigmoid = |x: f32| super::sigmoid(pulp::Scalar, x);
        for step in -80_000..=80_000 {
            let x = step as f32 / 1000.0;
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            let ours = f64::from(sigmoid(x));
            assert!((ours - exact).abs() <= 4.0 * f64::from(f32::EPSILON) * exact, "{x}: {ours}");
        }
        assert!(sigmoid(1e30) == 1.0 && sigmoid(-1e30) < 1e-37 && sigmoid(f32::NAN).is_nan());
    }

    #[test]
    fn the_derivative_of_gelu_is_its_slope() {
        // Farther out the series loses the digits that a difference needs.
        for step in -5000..=5000 {
            let x = step as f32 / 1000.0;
            let gelu = |x: f64| 0.5 * x * (1.0 + reference_erf(x * std::f64::consts::FRAC_1_SQRT_2));
            let (from, to) = (f64::from(x) - 1e-4, f64::from(x) + 1e-4);
            let slope = (gelu(to) - gelu(from)) / (to - from);
            let ours = gelu_derivative(pulp::Scalar, [x])[0];
            assert!((f64::from(ours) - slope).abs() <= 1e-6, "{x}: {ours} is not {slope}");
        }
        assert_eq!([50.0, -50.0].map(|x| gelu_derivative(pulp::Scalar, [x])[0].round()), [1.0, 0.0]);
    }

    #[test]
    fn sums_include_every_number() {
        for count in 0..100 {
            let numbers: Vec<f32> = (1..=count).map(|n| n as f32).collect();
            assert_eq!(sum(&numbers, |x| 2.0 * x), (count * (count + 1)) as f32);
        }
    }
}

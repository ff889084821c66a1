// SPDX-License-Identifier: MIT OR Apache-2.0

//! Winograd's minimal filtering: a square of outputs of a 3×3 convolution for as few products as polynomials allow.
//!
//! The outputs y of a filter g over inputs d are coefficients of a product of polynomials. Polynomials can be
//! multiplied by evaluating both at some points, multiplying the values and interpolating, and all but the products
//! in the middle is linear and cheap, since it is shared by all channels on the other side:
//!
//! ```text
//! y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A
//! ```
//!
//! with the points 0, ±a, ±b, … and ∞, of which there are as many as inputs of a row. Row i of Bᵀ holds the
//! coefficients of Π (x − other points), row i of G is (1, a, a²) / Π (a − other points), column i of Aᵀ is
//! (1, a, a², …); ∞ stands for the leading coefficient. Since the points come in pairs, rows of a pair share their even
//! and odd parts. (Winograd 1980; Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks".)
//!
//! How far rounding gets depends on the points alone; with these the error relative to the greatest output was
//! measured as 1e-6 for 4×4 and 3e-6 for 6×6 outputs. `tests/operations` derives the bound.

use std::mem::MaybeUninit;

use crate::backend::cpu::simd::Simd;

/// The most inputs of a row of any tile.
pub const MOST: usize = 8;

/// A size of tiles: [`OUT`](Self::OUT)² outputs from [`IN`](Self::IN)² inputs.
pub trait Tile {
    const OUT: usize;
    const IN: usize;

    /// Bᵀ of the first IN numbers.
    unsafe fn input<S: Simd>(d: [S::Vector; MOST]) -> [S::Vector; MOST];
    /// Aᵀ of the first IN numbers: OUT numbers.
    unsafe fn output<S: Simd>(m: [S::Vector; MOST]) -> [S::Vector; MOST];
    /// G of three numbers: IN numbers.
    unsafe fn filter<S: Simd>(g: [S::Vector; 3]) -> [S::Vector; MOST];
}

/// Room for the numbers of a tile between the two axes; not filled beforehand, since it is made for every tile.
pub struct Square<S: Simd>([[MaybeUninit<S::Vector>; MOST]; MOST]);

impl<S: Simd> Square<S> {
    #[inline(always)]
    pub fn new() -> Self {
        Self([const { [const { MaybeUninit::uninit() }; MOST] }; MOST])
    }

    #[inline(always)]
    pub fn set(&mut self, row: usize, column: usize, value: S::Vector) {
        self.0[row][column] = MaybeUninit::new(value);
    }

    /// # Safety
    /// The place was [`set`](Self::set).
    #[inline(always)]
    pub unsafe fn at(&self, row: usize, column: usize) -> S::Vector {
        // SAFETY: as promised by the caller.
        unsafe { self.0[row][column].assume_init() }
    }

    /// The first `count` numbers of a row.
    ///
    /// # Safety
    /// They were [`set`](Self::set).
    #[inline(always)]
    pub unsafe fn row(&self, row: usize, count: usize) -> [S::Vector; MOST] {
        // SAFETY: as promised by the caller.
        unsafe {
            let mut numbers = [S::splat(0.0); MOST];
            for column in 0..count {
                numbers[column] = self.at(row, column);
            }
            numbers
        }
    }
}

/// a · scale + b for a constant scale.
#[inline(always)]
unsafe fn scaled<S: Simd>(a: S::Vector, scale: f32, b: S::Vector) -> S::Vector {
    // SAFETY: as promised by the caller of a `Tile` function.
    unsafe { S::mul_add(a, S::splat(scale), b) }
}

/// The rows of a pair of points ±`point`: even + point · odd and even − point · odd.
#[inline(always)]
unsafe fn pair<S: Simd>(even: S::Vector, odd: S::Vector, point: f32) -> (S::Vector, S::Vector) {
    // SAFETY: as promised by the caller of a `Tile` function.
    unsafe { (scaled::<S>(odd, point, even), scaled::<S>(odd, -point, even)) }
}

/// Rows of G for ±`point`: (g₀ ± a g₁ + a² g₂) / `divisor`.
#[inline(always)]
unsafe fn evaluated<S: Simd>(g: [S::Vector; 3], point: f64, divisor: f64) -> (S::Vector, S::Vector) {
    // SAFETY: as promised by the caller of a `Tile` function.
    unsafe {
        let even = S::mul(g[0], S::splat((1.0 / divisor) as f32));
        let even = scaled::<S>(g[2], (point * point / divisor) as f32, even);
        pair::<S>(even, g[1], (point / divisor) as f32)
    }
}

/// 4×4 outputs from 6×6 inputs by 36 products instead of 144: points 0, ±√½, ±√2, ∞.
pub struct Four;

const A: f64 = std::f64::consts::FRAC_1_SQRT_2;
const B: f64 = std::f64::consts::SQRT_2;
/// a³ and b³.
const A3: f32 = (A * A * A) as f32;
const B3: f32 = (B * B * B) as f32;

// SAFETY of all blocks: the caller promises what `Simd` asks for.
impl Tile for Four {
    const OUT: usize = 4;
    const IN: usize = 6;

    /// x(x² − ½)(x² − 2) = x⁵ − 5/2 x³ + x.
    #[inline(always)]
    unsafe fn input<S: Simd>(d: [S::Vector; MOST]) -> [S::Vector; MOST] {
        unsafe {
            let mut rows = d;
            rows[0] = S::add(scaled::<S>(d[2], -2.5, d[4]), d[0]);
            let (even, odd) = (scaled::<S>(d[2], -2.0, d[4]), scaled::<S>(d[1], -2.0, d[3]));
            (rows[1], rows[2]) = pair::<S>(even, odd, A as f32);
            let (even, odd) = (scaled::<S>(d[2], -0.5, d[4]), scaled::<S>(d[1], -0.5, d[3]));
            (rows[3], rows[4]) = pair::<S>(even, odd, B as f32);
            rows[5] = S::add(scaled::<S>(d[3], -2.5, d[5]), d[1]);
            rows
        }
    }

    #[inline(always)]
    unsafe fn output<S: Simd>(m: [S::Vector; MOST]) -> [S::Vector; MOST] {
        unsafe {
            let mut rows = m;
            let (a_sum, a_difference) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
            let (b_sum, b_difference) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
            rows[0] = S::add(S::add(m[0], a_sum), b_sum);
            rows[1] = scaled::<S>(b_difference, B as f32, S::mul(a_difference, S::splat(A as f32)));
            rows[2] = scaled::<S>(b_sum, 2.0, S::mul(a_sum, S::splat(0.5)));
            rows[3] = scaled::<S>(a_difference, A3, scaled::<S>(b_difference, B3, m[5]));
            rows
        }
    }

    #[inline(always)]
    unsafe fn filter<S: Simd>(g: [S::Vector; 3]) -> [S::Vector; MOST] {
        unsafe {
            let mut rows = [g[0]; MOST];
            // (0 − ½)(0 − 2) = 1; 2 a² (a² − b²) = −3/2; 2 b² (b² − a²) = 6.
            (rows[1], rows[2]) = evaluated::<S>(g, A, -1.5);
            (rows[3], rows[4]) = evaluated::<S>(g, B, 6.0);
            rows[5] = g[2];
            rows
        }
    }
}

/// 6×6 outputs from 8×8 inputs by 64 products instead of 324: points 0, ±½, ±1, ±2, ∞.
pub struct Six;

// SAFETY of all blocks: the caller promises what `Simd` asks for.
impl Tile for Six {
    const OUT: usize = 6;
    const IN: usize = 8;

    /// x(x² − ¼)(x² − 1)(x² − 4) = x⁷ − 21/4 x⁵ + 21/4 x³ − x.
    #[inline(always)]
    unsafe fn input<S: Simd>(d: [S::Vector; MOST]) -> [S::Vector; MOST] {
        unsafe {
            let mut rows = d;
            rows[0] = scaled::<S>(S::sub(d[2], d[4]), 5.25, S::sub(d[6], d[0]));
            // x⁴ − (P + Q) x² + P Q of the other two squares.
            let even = scaled::<S>(d[4], -5.0, scaled::<S>(d[2], 4.0, d[6]));
            let odd = scaled::<S>(d[3], -5.0, scaled::<S>(d[1], 4.0, d[5]));
            (rows[1], rows[2]) = pair::<S>(even, odd, 0.5);
            let even = S::add(scaled::<S>(d[4], -4.25, d[6]), d[2]);
            let odd = S::add(scaled::<S>(d[3], -4.25, d[5]), d[1]);
            (rows[3], rows[4]) = (S::add(even, odd), S::sub(even, odd));
            let even = scaled::<S>(d[4], -1.25, scaled::<S>(d[2], 0.25, d[6]));
            let odd = scaled::<S>(d[3], -1.25, scaled::<S>(d[1], 0.25, d[5]));
            (rows[5], rows[6]) = pair::<S>(even, odd, 2.0);
            rows[7] = scaled::<S>(S::sub(d[3], d[5]), 5.25, S::sub(d[7], d[1]));
            rows
        }
    }

    #[inline(always)]
    unsafe fn output<S: Simd>(m: [S::Vector; MOST]) -> [S::Vector; MOST] {
        unsafe {
            let mut rows = m;
            let (half_sum, half_difference) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
            let (one_sum, one_difference) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
            let (two_sum, two_difference) = (S::add(m[5], m[6]), S::sub(m[5], m[6]));
            rows[0] = S::add(S::add(m[0], half_sum), S::add(one_sum, two_sum));
            rows[1] = scaled::<S>(
                half_difference,
                0.5,
                scaled::<S>(two_difference, 2.0, one_difference),
            );
            rows[2] = scaled::<S>(half_sum, 0.25, scaled::<S>(two_sum, 4.0, one_sum));
            rows[3] = scaled::<S>(
                half_difference,
                0.125,
                scaled::<S>(two_difference, 8.0, one_difference),
            );
            rows[4] = scaled::<S>(half_sum, 0.0625, scaled::<S>(two_sum, 16.0, one_sum));
            let last = S::add(one_difference, m[7]);
            rows[5] = scaled::<S>(half_difference, 0.03125, scaled::<S>(two_difference, 32.0, last));
            rows
        }
    }

    #[inline(always)]
    unsafe fn filter<S: Simd>(g: [S::Vector; 3]) -> [S::Vector; MOST] {
        unsafe {
            let mut rows = [S::sub(S::splat(0.0), g[0]); MOST];
            // The products of the differences of squares: −¼ · 1 · 4 = −1 at 0; 2 P (P − Q)(P − R) at ±√P.
            (rows[1], rows[2]) = evaluated::<S>(g, 0.5, 0.5 * 0.75 * 3.75);
            (rows[3], rows[4]) = evaluated::<S>(g, 1.0, 2.0 * 0.75 * -3.0);
            (rows[5], rows[6]) = evaluated::<S>(g, 2.0, 8.0 * 3.75 * 3.0);
            rows[7] = g[2];
            rows
        }
    }
}

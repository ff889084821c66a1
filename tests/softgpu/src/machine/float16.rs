// SPDX-License-Identifier: MIT OR Apache-2.0

//! Half precision by bits, without branches, so that 32 lanes go through vector instructions of any host.

/// What the card makes of every NaN.
pub const NAN: u16 = 0x7fff;

/// The single of the same value.
#[inline(always)]
pub fn to_single(half: u16) -> f32 {
    let magnitude = u32::from(half & 0x7fff) << 13;
    // The exponent moves from bias 15 to bias 127 by a product with 2^112, which brings subnormals to their place too.
    let scaled = (f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23)).to_bits();
    let special = 0x7f80_0000 | magnitude;
    let bits = if magnitude >= 0x1f << 23 { special } else { scaled };
    f32::from_bits(bits | u32::from(half & 0x8000) << 16)
}

/// The nearest half, ties to even; beyond 65519 infinity.
#[inline(always)]
pub fn from_single(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    // Adding ½ puts the last bit of a subnormal half at the last bit of a single, which rounds it.
    let subnormal = (f32::from_bits(magnitude) + 0.5)
        .to_bits()
        .wrapping_sub(0.5f32.to_bits());
    let odd = (magnitude >> 13) & 1;
    let normal = magnitude.wrapping_add(0xc800_0fff).wrapping_add(odd) >> 13;
    let finite = if magnitude < 113 << 23 { subnormal } else { normal };
    let large = if magnitude > 0x7f80_0000 {
        u32::from(NAN)
    } else {
        0x7c00
    };
    let rounded = if magnitude >= 143 << 23 { large } else { finite };
    let sign = if magnitude > 0x7f80_0000 { 0 } else { sign };
    (rounded | sign) as u16
}

/// The single on the way from a double to a half that loses nothing which decides the second rounding: inexact values
/// get an odd last bit.
#[inline(always)]
pub fn to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    let back = f64::from(nearest);
    if back == value || value.is_nan() || nearest.to_bits() & 1 == 1 {
        return nearest;
    }
    // An even neighbour of an inexact value: the odd one lies on the other side of it.
    let away = (value.abs() > back.abs()) as u32;
    f32::from_bits(if away == 1 {
        nearest.to_bits() + 1
    } else {
        nearest.to_bits() - 1
    })
}

/// `a · b + c` in halves with one rounding. A double holds the product and every sum that can be a tie.
#[inline(always)]
pub fn fma(a: f32, b: f32, c: f32) -> f32 {
    to_odd(f64::from(a) * f64::from(b) + f64::from(c))
}

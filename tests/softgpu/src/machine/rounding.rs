// SPDX-License-Identifier: MIT OR Apache-2.0

//! Singles rounded up, down or to zero: from the double nearest to the exact value and the sign of what that lost.

use crate::ptx::instruction::Rounding;

/// The single that an exact value `near + rest` rounds to, |rest| being far below the last bit of `near`.
fn directed(near: f64, rest: f64, rounding: Rounding) -> f32 {
    let single = near as f32;
    if near.is_nan() || single.is_infinite() && near.is_infinite() {
        return single;
    }
    let back = f64::from(single);
    let too_high = back > near || (back == near && rest < 0.0);
    let too_low = back < near || (back == near && rest > 0.0);
    let towards = match rounding {
        Rounding::Nearest => return single,
        Rounding::Down => f32::NEG_INFINITY,
        Rounding::Up => f32::INFINITY,
        Rounding::Zero if near > 0.0 => f32::NEG_INFINITY,
        Rounding::Zero => f32::INFINITY,
    };
    if towards > 0.0 && too_low {
        single.next_up()
    } else if towards < 0.0 && too_high {
        single.next_down()
    } else {
        single
    }
}

/// `a · b + c`; with `b` = 1 a sum, with `c` = −0 a product.
pub fn fma(a: f32, b: f32, c: f32, rounding: Rounding) -> f32 {
    let product = f64::from(a) * f64::from(b);
    let c = f64::from(c);
    let sum = product + c;
    // Knuth's two-sum: what the addition lost, exactly.
    let part = sum - product;
    let rest = (product - (sum - part)) + (c - part);
    let result = directed(sum, if rest.is_finite() { rest } else { 0.0 }, rounding);
    // x − x is −0 when rounding down, as IEEE 754 has it.
    if sum == 0.0 && rest == 0.0 && rounding == Rounding::Down && product != 0.0 {
        -0.0
    } else {
        result
    }
}

/// A double to a single.
pub fn single(value: f64, rounding: Rounding) -> f32 {
    directed(value, 0.0, rounding)
}

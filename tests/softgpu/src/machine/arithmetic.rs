// SPDX-License-Identifier: MIT OR Apache-2.0

//! Arithmetic in half, single and double precision on the lanes of a warp.

use super::lanes::{Half, Lane, Registers, by_lane, halves, join, over};
use super::{WARP, float16, rounding};
use crate::ptx::instruction::{Float1, Float2, Instruction, Rounding, Type};

/// What the card makes of every NaN that arithmetic in singles produces.
const NAN: f32 = f32::from_bits(0x7fff_ffff);

type Singles = [f32; WARP];

/// Subnormals become zeros of their sign.
#[inline(always)]
pub fn flushed(values: Singles) -> Singles {
    over(&values, |x| {
        if x.abs() < f32::MIN_POSITIVE {
            f32::from_bits(x.to_bits() & 0x8000_0000)
        } else {
            x
        }
    })
}

/// Clamps to 0…1; a NaN becomes 0.
#[inline(always)]
fn saturated(values: Singles) -> Singles {
    over(&values, |x| {
        if x > 0.0 {
            if x < 1.0 { x } else { 1.0 }
        } else {
            0.0
        }
    })
}

#[inline(always)]
fn zip(a: &Singles, b: &Singles, f: impl Fn(f32, f32) -> f32) -> Singles {
    by_lane(|lane| f(a[lane], b[lane]))
}

#[inline(always)]
fn quiet(x: f32) -> f32 {
    if x.is_nan() { NAN } else { x }
}

/// The smaller number; −0 is smaller than +0, and a NaN loses against a number.
#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    let both = if a == b {
        f32::from_bits(a.to_bits() | b.to_bits())
    } else {
        a
    };
    if a.is_nan() {
        quiet(b)
    } else if b < a {
        b
    } else {
        both
    }
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    let both = if a == b {
        f32::from_bits(a.to_bits() & b.to_bits())
    } else {
        a
    };
    if a.is_nan() {
        quiet(b)
    } else if b > a {
        b
    } else {
        both
    }
}

#[inline(always)]
fn two_singles(function: Float2, rounding: Rounding, a: &Singles, b: &Singles) -> Singles {
    if rounding != Rounding::Nearest {
        return zip(a, b, |a, b| match function {
            Float2::Add => rounding::fma(a, 1.0, b, rounding),
            Float2::Sub => rounding::fma(a, 1.0, -b, rounding),
            _ => rounding::fma(a, b, -0.0, rounding),
        });
    }
    match function {
        Float2::Add => zip(a, b, |a, b| quiet(a + b)),
        Float2::Sub => zip(a, b, |a, b| quiet(a - b)),
        Float2::Mul => zip(a, b, |a, b| quiet(a * b)),
        Float2::Div => zip(a, b, |a, b| quiet(a / b)),
        Float2::Min => zip(a, b, smaller),
        Float2::Max => zip(a, b, larger),
        Float2::MinNan => zip(a, b, |a, b| {
            if a.is_nan() || b.is_nan() {
                NAN
            } else {
                smaller(a, b)
            }
        }),
        Float2::MaxNan => zip(a, b, |a, b| {
            if a.is_nan() || b.is_nan() {
                NAN
            } else {
                larger(a, b)
            }
        }),
        // PTX copies the sign of the first operand to the second.
        Float2::CopySign => zip(a, b, |a, b| b.copysign(a)),
    }
}

fn two_doubles(function: Float2, a: f64, b: f64) -> f64 {
    match function {
        Float2::Add => a + b,
        Float2::Sub => a - b,
        Float2::Mul => a * b,
        Float2::Div => a / b,
        Float2::Min | Float2::MinNan => a.min(b),
        Float2::Max | Float2::MaxNan => a.max(b),
        Float2::CopySign => b.copysign(a),
    }
}

/// Loads singles, or halves as singles, and stores what a function makes of them.
#[inline(always)]
fn by_precision(
    kind: Type,
    registers: &mut Registers,
    at: &Instruction,
    mask: u32,
    sources: usize,
    f: impl Fn(&Singles, &Singles, &Singles) -> Singles,
) {
    let second = if sources > 1 { at.b } else { at.a };
    let third = if sources > 2 { at.c } else { at.a };
    if kind == Type::F32 {
        let (mut a, mut b) = (f32::load(registers, at.a), f32::load(registers, second));
        let mut c = f32::load(registers, third);
        if at.flush {
            (a, b, c) = (flushed(a), flushed(b), flushed(c));
        }
        let mut result = f(&a, &b, &c);
        if at.flush {
            result = flushed(result);
        }
        if at.saturate {
            result = saturated(result);
        }
        f32::store(registers, at.d, result, mask);
    } else if kind == Type::F16 {
        let load = |at| over(&Half::load(registers, at), |half| half.0);
        let mut result = f(&load(at.a), &load(second), &load(third));
        if at.saturate {
            result = saturated(result);
        }
        Half::store(registers, at.d, over(&result, Half), mask);
    } else {
        let ((a, a_high), (b, b_high)) = (halves(registers, at.a), halves(registers, second));
        let (c, c_high) = halves(registers, third);
        let (mut low, mut high) = (f(&a, &b, &c), f(&a_high, &b_high, &c_high));
        if at.saturate {
            (low, high) = (saturated(low), saturated(high));
        }
        u32::store(registers, at.d, join(&low, &high), mask);
    }
}

#[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
pub fn two(
    function: Float2,
    kind: Type,
    rounding: Rounding,
    registers: &mut Registers,
    at: &Instruction,
    mask: u32,
) {
    if kind == Type::F64 {
        let (a, b) = (f64::load(registers, at.a), f64::load(registers, at.b));
        f64::store(
            registers,
            at.d,
            by_lane(|i| two_doubles(function, a[i], b[i])),
            mask,
        );
        return;
    }
    by_precision(kind, registers, at, mask, 2, |a, b, _| {
        two_singles(function, rounding, a, b)
    });
}

#[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
pub fn fma(
    kind: Type,
    rounding: Rounding,
    relu: bool,
    registers: &mut Registers,
    at: &Instruction,
    mask: u32,
) {
    match kind {
        Type::F64 => {
            let (a, b, c) = (
                f64::load(registers, at.a),
                f64::load(registers, at.b),
                f64::load(registers, at.c),
            );
            f64::store(registers, at.d, by_lane(|i| a[i].mul_add(b[i], c[i])), mask);
        }
        Type::F32 if rounding == Rounding::Nearest => {
            by_precision(kind, registers, at, mask, 3, |a, b, c| {
                by_lane(|i| quiet(a[i].mul_add(b[i], c[i])))
            })
        }
        Type::F32 => by_precision(kind, registers, at, mask, 3, |a, b, c| {
            by_lane(|i| rounding::fma(a[i], b[i], c[i], rounding))
        }),
        _ => by_precision(kind, registers, at, mask, 3, |a, b, c| {
            by_lane(|i| {
                let sum = float16::fma(a[i], b[i], c[i]);
                if relu && sum < 0.0 { 0.0 } else { sum }
            })
        }),
    }
}

#[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
pub fn one(function: Float1, kind: Type, registers: &mut Registers, at: &Instruction, mask: u32) {
    if kind == Type::F64 {
        let a = f64::load(registers, at.a);
        f64::store(registers, at.d, over(&a, |x| one_double(function, x)), mask);
        return;
    }
    match function {
        Float1::Neg => by_precision(kind, registers, at, mask, 1, |a, _, _| over(a, |x| -x)),
        Float1::Abs => by_precision(kind, registers, at, mask, 1, |a, _, _| over(a, f32::abs)),
        Float1::Sqrt => by_precision(kind, registers, at, mask, 1, |a, _, _| {
            over(a, |x| quiet(x.sqrt()))
        }),
        Float1::Reciprocal => by_precision(kind, registers, at, mask, 1, |a, _, _| {
            over(a, |x| quiet(1.0 / x))
        }),
        _ => by_precision(kind, registers, at, mask, 1, |a, _, _| {
            over(a, |x| through_double(function, x))
        }),
    }
}

/// What has no exact counterpart in singles is computed in doubles and rounded once.
fn through_double(function: Float1, x: f32) -> f32 {
    quiet(one_double(function, f64::from(x)) as f32)
}

fn one_double(function: Float1, x: f64) -> f64 {
    match function {
        Float1::Neg => -x,
        Float1::Abs => x.abs(),
        Float1::Sqrt => x.sqrt(),
        Float1::InverseSqrt => 1.0 / x.sqrt(),
        Float1::Reciprocal => 1.0 / x,
        Float1::Exp2 => x.exp2(),
        Float1::Log2 => x.log2(),
        Float1::Sin => x.sin(),
        Float1::Cos => x.cos(),
        Float1::Tanh => x.tanh(),
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! `cvt` between all types.

use super::arithmetic::flushed;
use super::lanes::{Half, Lane, Registers, join, over};
use super::{WARP, float16, rounding};
use crate::ptx::instruction::{Instruction, Op, Rounding, Type};

fn integral_value(x: f64, rounding: Rounding) -> f64 {
    match rounding {
        Rounding::Nearest => x.round_ties_even(),
        Rounding::Zero => x.trunc(),
        Rounding::Down => x.floor(),
        Rounding::Up => x.ceil(),
    }
}

/// The limits of an integer type.
fn range(kind: Type) -> (i128, i128) {
    match kind {
        Type::U8 => (0, i128::from(u8::MAX)),
        Type::S8 => (i128::from(i8::MIN), i128::from(i8::MAX)),
        Type::U16 => (0, i128::from(u16::MAX)),
        Type::S16 => (i128::from(i16::MIN), i128::from(i16::MAX)),
        Type::U32 => (0, i128::from(u32::MAX)),
        Type::S32 => (i128::from(i32::MIN), i128::from(i32::MAX)),
        Type::U64 => (0, i128::from(u64::MAX)),
        _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
    }
}

/// The bits of a value of type `from` in a register, widened to 64 with its sign.
fn widened(bits: u64, from: Type) -> u64 {
    match from {
        Type::U8 => u64::from(bits as u8),
        Type::S8 => i64::from(bits as i8) as u64,
        Type::U16 => u64::from(bits as u16),
        Type::S16 => i64::from(bits as i16) as u64,
        Type::U32 => u64::from(bits as u32),
        Type::S32 => i64::from(bits as i32) as u64,
        _ => bits,
    }
}

fn is_signed(kind: Type) -> bool {
    matches!(kind, Type::S8 | Type::S16 | Type::S32 | Type::S64)
}

/// One lane of a conversion, from bits to bits.
fn one(bits: u64, op: &Op, flush: bool, saturate: bool) -> u64 {
    let Op::Convert {
        to,
        from,
        rounding,
        integral,
        ..
    } = *op
    else {
        return bits;
    };
    if !from.is_float() {
        let wide = widened(bits, from);
        let value = if is_signed(from) {
            i128::from(wide as i64)
        } else {
            i128::from(wide)
        };
        if to.is_float() {
            return from_integer(value, to, rounding);
        }
        let (least, most) = range(to);
        return if saturate {
            value.clamp(least, most) as u64
        } else {
            widened(value as u64, to)
        };
    }
    let value = match from {
        Type::F16 => f64::from(float16::to_single(bits as u16)),
        Type::F32 => {
            let single = f32::from_bits(bits as u32);
            f64::from(if flush { flushed([single; WARP])[0] } else { single })
        }
        _ => f64::from_bits(bits),
    };
    if !to.is_float() {
        if value.is_nan() {
            return if to.bytes() == 8 { 1 << 63 } else { 0 };
        }
        let (least, most) = range(to);
        // Conversions from floats always stop at the limits of the type.
        return (integral_value(value, rounding) as i128).clamp(least, most) as u64;
    }
    let value = if integral {
        integral_value(value, rounding)
    } else {
        value
    };
    let value = if saturate {
        if value > 0.0 { value.min(1.0) } else { 0.0 }
    } else {
        value
    };
    float_bits(
        value,
        to,
        if integral { Rounding::Nearest } else { rounding },
        flush,
    )
}

fn from_integer(value: i128, to: Type, rounding: Rounding) -> u64 {
    match to {
        Type::F64 => (value as f64).to_bits(),
        Type::F16 => u64::from(half_of(value as f64, rounding)),
        _ => {
            // Beyond 53 bits the double is inexact itself, so what decides the rounding is kept in its last bit.
            let double = value as f64;
            let exact = double as i128 == value;
            let double = if exact || double.to_bits() & 1 == 1 {
                double
            } else if (double as i128).abs() < value.abs() {
                f64::from_bits(double.to_bits() + 1)
            } else {
                f64::from_bits(double.to_bits() - 1)
            };
            u64::from(rounding::single(double, rounding).to_bits())
        }
    }
}

fn half_of(value: f64, rounding: Rounding) -> u16 {
    let nearest = float16::from_single(float16::to_odd(value));
    let back = f64::from(float16::to_single(nearest));
    let step = match rounding {
        Rounding::Nearest => return nearest,
        Rounding::Down => back > value,
        Rounding::Up => back < value,
        Rounding::Zero => back.abs() > value.abs(),
    };
    if !step {
        return nearest;
    }
    // Towards the value by one unit: away from zero when rounding outwards, else towards it.
    if back.abs() > value.abs() {
        nearest - 1
    } else {
        nearest + 1
    }
}

fn float_bits(value: f64, to: Type, rounding: Rounding, flush: bool) -> u64 {
    match to {
        Type::F16 => u64::from(if value.is_nan() {
            float16::NAN
        } else {
            half_of(value, rounding)
        }),
        Type::F32 => {
            let single = if value.is_nan() {
                f32::from_bits(0x7fff_ffff)
            } else {
                rounding::single(value, rounding)
            };
            let single = if flush { flushed([single; WARP])[0] } else { single };
            u64::from(single.to_bits())
        }
        _ => value.to_bits(),
    }
}

#[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
pub fn convert(registers: &mut Registers, at: &Instruction, mask: u32) {
    let Op::Convert {
        to,
        from,
        rounding,
        integral,
        wide_to,
        wide_from,
    } = at.op
    else {
        return;
    };
    let plain = !at.saturate && !wide_to && !wide_from && rounding == Rounding::Nearest && !integral;
    match (from, to) {
        (Type::F16, Type::F32) if plain => {
            let values = over(&Half::load(registers, at.a), |half| half.0);
            f32::store(
                registers,
                at.d,
                if at.flush { flushed(values) } else { values },
                mask,
            );
        }
        (Type::F32, Type::F16) if plain => {
            let values = f32::load(registers, at.a);
            let values = if at.flush { flushed(values) } else { values };
            Half::store(registers, at.d, over(&values, Half), mask);
        }
        (Type::S32, Type::F32) if plain => {
            let values = over(&i32::load(registers, at.a), |x| x as f32);
            f32::store(registers, at.d, values, mask);
        }
        (Type::U32, Type::F32) if plain => {
            let values = over(&u32::load(registers, at.a), |x| x as f32);
            f32::store(registers, at.d, values, mask);
        }
        (Type::U32, Type::U64) if wide_to && !wide_from => {
            let values = over(registers.words(at.a), u64::from);
            u64::store(registers, at.d, values, mask);
        }
        (Type::S32, Type::S64) if wide_to && !wide_from => {
            let values = over(&i32::load(registers, at.a), i64::from);
            i64::store(registers, at.d, values, mask);
        }
        (Type::U64 | Type::S64, Type::U32 | Type::S32) if wide_from && !wide_to && !at.saturate => {
            let values = over(registers.doubles(at.a), |x| x as u32);
            u32::store(registers, at.d, values, mask);
        }
        _ => any(registers, at, mask, wide_to, wide_from, to),
    }
}

fn any(registers: &mut Registers, at: &Instruction, mask: u32, wide_to: bool, wide_from: bool, to: Type) {
    let bits = registers.addresses(at.a, wide_from);
    let values = bits.map(|bits| one(bits, &at.op, at.flush, at.saturate));
    if wide_to {
        u64::store(registers, at.d, values, mask);
    } else if to.bytes() <= 2 {
        // A narrow result fills its register; in a wider register it is extended as its type says.
        let values = values.map(|bits| widened(bits, to) as u32);
        u32::store(registers, at.d, values, mask);
    } else {
        u32::store(registers, at.d, values.map(|bits| bits as u32), mask);
    }
}

/// cvt.rn.f16x2.f32: `a` becomes the upper half, `b` the lower.
#[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
pub fn pair(relu: bool, registers: &mut Registers, at: &Instruction, mask: u32) {
    let clamp = |values: [f32; WARP]| values.map(|x| if relu && x < 0.0 { 0.0 } else { x });
    let (high, low) = (
        clamp(f32::load(registers, at.a)),
        clamp(f32::load(registers, at.b)),
    );
    u32::store(registers, at.d, join(&low, &high), mask);
}

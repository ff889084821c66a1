// SPDX-License-Identifier: MIT OR Apache-2.0

//! Comparisons: to predicates, which are a bit per lane, and to registers.

use super::WARP;
use super::arithmetic::flushed;
use super::lanes::{Half, Lane, Registers, by_lane, halves, over};
use crate::ptx::instruction::{Compare, Instruction, Type};

#[inline(always)]
fn bits(found: [bool; WARP]) -> u32 {
    found
        .iter()
        .enumerate()
        .fold(0, |word, (lane, found)| word | u32::from(*found) << lane)
}

#[inline(always)]
fn numbers<T: PartialOrd + Copy>(compare: Compare, a: [T; WARP], b: [T; WARP]) -> u32 {
    let less = bits(by_lane(|lane| a[lane] < b[lane]));
    let equal = bits(by_lane(|lane| a[lane] == b[lane]));
    let greater = bits(by_lane(|lane| a[lane] > b[lane]));
    // Only where a NaN takes part is there no order at all.
    let nan = !(less | equal | greater);
    match compare {
        Compare::Equal => equal,
        Compare::NotEqual => less | greater,
        Compare::Less => less,
        Compare::LessEqual => less | equal,
        Compare::Greater => greater,
        Compare::GreaterEqual => greater | equal,
        Compare::EqualU => equal | nan,
        Compare::NotEqualU => !equal,
        Compare::LessU => less | nan,
        Compare::LessEqualU => !greater,
        Compare::GreaterU => greater | nan,
        Compare::GreaterEqualU => !less,
        Compare::IsNumber => !nan,
        Compare::IsNan => nan,
    }
}

/// A bit per lane. Signedness matters for the order, not for equality.
#[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
pub fn lanes(compare: Compare, kind: Type, registers: &Registers, at: &Instruction) -> u32 {
    match kind {
        Type::U16 | Type::U8 => numbers(compare, u16::load(registers, at.a), u16::load(registers, at.b)),
        Type::S16 | Type::S8 => numbers(compare, i16::load(registers, at.a), i16::load(registers, at.b)),
        Type::U32 => numbers(compare, u32::load(registers, at.a), u32::load(registers, at.b)),
        Type::S32 => numbers(compare, i32::load(registers, at.a), i32::load(registers, at.b)),
        Type::U64 => numbers(compare, u64::load(registers, at.a), u64::load(registers, at.b)),
        Type::S64 => numbers(compare, i64::load(registers, at.a), i64::load(registers, at.b)),
        Type::F64 => numbers(compare, f64::load(registers, at.a), f64::load(registers, at.b)),
        Type::F32 => {
            let (mut a, mut b) = (f32::load(registers, at.a), f32::load(registers, at.b));
            if at.flush {
                (a, b) = (flushed(a), flushed(b));
            }
            numbers(compare, a, b)
        }
        Type::F16 | Type::F16x2 => {
            let load = |at| over(&Half::load(registers, at), |half| half.0);
            numbers(compare, load(at.a), load(at.b))
        }
    }
}

/// For two halves: the bits of the lower and of the upper ones.
#[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
pub fn pairs(compare: Compare, registers: &Registers, at: &Instruction) -> (u32, u32) {
    let ((a, a_high), (b, b_high)) = (halves(registers, at.a), halves(registers, at.b));
    (numbers(compare, a, b), numbers(compare, a_high, b_high))
}

/// `set`: 1.0 or all ones where the comparison holds.
#[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
pub fn set(
    compare: Compare,
    kind: Type,
    result: Type,
    registers: &mut Registers,
    at: &Instruction,
    mask: u32,
) {
    let yes = |result: Type| match result {
        Type::F16 => 0x3c00,
        Type::F32 => 1f32.to_bits(),
        Type::U16 | Type::S16 => 0xffff,
        _ => u32::MAX,
    };
    if kind == Type::F16x2 {
        let (low, high) = pairs(compare, registers, at);
        let one = if result == Type::F16x2 { 0x3c00 } else { 0xffff };
        let values = by_lane(|lane| ((low >> lane & 1) * one) | ((high >> lane & 1) * (one << 16)));
        u32::store(registers, at.d, values, mask);
        return;
    }
    let found = lanes(compare, kind, registers, at);
    let one = yes(result);
    u32::store(
        registers,
        at.d,
        by_lane(|lane| if found >> lane & 1 == 1 { one } else { 0 }),
        mask,
    );
}

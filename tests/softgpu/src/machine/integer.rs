// SPDX-License-Identifier: MIT OR Apache-2.0

//! Integer arithmetic on the lanes of a warp.

use super::WARP;
use super::lanes::{Lane, Registers, by_lane, over};
use crate::ptx::instruction::{Instruction, Integer1, Integer2, Integer3, Type};

#[inline(always)]
fn map1<T: Lane, R: Lane>(registers: &mut Registers, at: &Instruction, mask: u32, f: impl Fn(T) -> R) {
    let values = over(&T::load(registers, at.a), f);
    R::store(registers, at.d, values, mask);
}

#[inline(always)]
fn map2<T: Lane, R: Lane>(registers: &mut Registers, at: &Instruction, mask: u32, f: impl Fn(T, T) -> R) {
    let (a, b) = (T::load(registers, at.a), T::load(registers, at.b));
    let values: [R; WARP] = by_lane(|lane| f(a[lane], b[lane]));
    R::store(registers, at.d, values, mask);
}

#[inline(always)]
fn map3<T: Lane, C: Lane, R: Lane>(
    registers: &mut Registers,
    at: &Instruction,
    mask: u32,
    f: impl Fn(T, T, C) -> R,
) {
    let (a, b, c) = (
        T::load(registers, at.a),
        T::load(registers, at.b),
        C::load(registers, at.c),
    );
    let values: [R; WARP] = by_lane(|lane| f(a[lane], b[lane], c[lane]));
    R::store(registers, at.d, values, mask);
}

/// Shift amounts are 32 bits wide whatever is shifted, and too large ones shift everything out.
#[inline(always)]
fn shift<T: Lane>(registers: &mut Registers, at: &Instruction, mask: u32, f: impl Fn(T, u32) -> T) {
    let (a, b) = (T::load(registers, at.a), u32::load(registers, at.b));
    let values: [T; WARP] = by_lane(|lane| f(a[lane], b[lane]));
    T::store(registers, at.d, values, mask);
}

/// Where the sign makes no difference to the bits of the result.
macro_rules! by_width {
    ($kind:expr, $function:ident, $registers:expr, $at:expr, $mask:expr, |$($name:ident),+| $body:expr) => {
        match $kind.bytes() {
            1 | 2 => $function::<u16, u16>($registers, $at, $mask, |$($name),+| $body),
            4 => $function::<u32, u32>($registers, $at, $mask, |$($name),+| $body),
            _ => $function::<u64, u64>($registers, $at, $mask, |$($name),+| $body),
        }
    };
}

macro_rules! by_type {
    ($kind:expr, $function:ident, $registers:expr, $at:expr, $mask:expr, |$($name:ident),+| $body:expr) => {
        match $kind {
            Type::U16 | Type::U8 => $function::<u16, u16>($registers, $at, $mask, |$($name),+| $body),
            Type::S16 | Type::S8 => $function::<i16, i16>($registers, $at, $mask, |$($name),+| $body),
            Type::U32 => $function::<u32, u32>($registers, $at, $mask, |$($name),+| $body),
            Type::S32 => $function::<i32, i32>($registers, $at, $mask, |$($name),+| $body),
            Type::U64 => $function::<u64, u64>($registers, $at, $mask, |$($name),+| $body),
            _ => $function::<i64, i64>($registers, $at, $mask, |$($name),+| $body),
        }
    };
}

#[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
pub fn two(function: Integer2, kind: Type, registers: &mut Registers, at: &Instruction, mask: u32) {
    match function {
        Integer2::Add => by_width!(kind, map2, registers, at, mask, |a, b| a.wrapping_add(b)),
        Integer2::Sub => by_width!(kind, map2, registers, at, mask, |a, b| a.wrapping_sub(b)),
        Integer2::MulLo => by_width!(kind, map2, registers, at, mask, |a, b| a.wrapping_mul(b)),
        Integer2::And => by_width!(kind, map2, registers, at, mask, |a, b| a & b),
        Integer2::Or => by_width!(kind, map2, registers, at, mask, |a, b| a | b),
        Integer2::Xor => by_width!(kind, map2, registers, at, mask, |a, b| a ^ b),
        Integer2::Min => by_type!(kind, map2, registers, at, mask, |a, b| a.min(b)),
        Integer2::Max => by_type!(kind, map2, registers, at, mask, |a, b| a.max(b)),
        // What a division by zero gives is not said; the cards give all ones.
        Integer2::Div => by_type!(kind, map2, registers, at, mask, |a, b| if b == 0 {
            !0
        } else {
            a.wrapping_div(b)
        }),
        Integer2::Rem => by_type!(kind, map2, registers, at, mask, |a, b| if b == 0 {
            !0
        } else {
            a.wrapping_rem(b)
        }),
        Integer2::AddSat => map2(registers, at, mask, |a: i32, b| a.saturating_add(b)),
        Integer2::SubSat => map2(registers, at, mask, |a: i32, b| a.saturating_sub(b)),
        Integer2::MulHi => high(kind, registers, at, mask),
        Integer2::MulWide => match kind {
            Type::U16 => map2(registers, at, mask, |a: u16, b| u32::from(a) * u32::from(b)),
            Type::S16 => map2(registers, at, mask, |a: i16, b| i32::from(a) * i32::from(b)),
            Type::U32 => map2(registers, at, mask, |a: u32, b| u64::from(a) * u64::from(b)),
            _ => map2(registers, at, mask, |a: i32, b| i64::from(a) * i64::from(b)),
        },
        Integer2::Shl => match kind.bytes() {
            2 => shift(
                registers,
                at,
                mask,
                |a: u16, by| if by > 15 { 0 } else { a << by },
            ),
            4 => shift(
                registers,
                at,
                mask,
                |a: u32, by| if by > 31 { 0 } else { a << by },
            ),
            _ => shift(
                registers,
                at,
                mask,
                |a: u64, by| if by > 63 { 0 } else { a << by },
            ),
        },
        Integer2::Shr => match kind {
            Type::U16 => shift(
                registers,
                at,
                mask,
                |a: u16, by| if by > 15 { 0 } else { a >> by },
            ),
            Type::S16 => shift(registers, at, mask, |a: i16, by| a >> by.min(15)),
            Type::U32 => shift(
                registers,
                at,
                mask,
                |a: u32, by| if by > 31 { 0 } else { a >> by },
            ),
            Type::S32 => shift(registers, at, mask, |a: i32, by| a >> by.min(31)),
            Type::U64 => shift(
                registers,
                at,
                mask,
                |a: u64, by| if by > 63 { 0 } else { a >> by },
            ),
            _ => shift(registers, at, mask, |a: i64, by| a >> by.min(63)),
        },
    }
}

#[inline(always)]
fn high(kind: Type, registers: &mut Registers, at: &Instruction, mask: u32) {
    match kind {
        Type::U16 => map2(registers, at, mask, |a: u16, b| {
            ((u32::from(a) * u32::from(b)) >> 16) as u16
        }),
        Type::S16 => map2(registers, at, mask, |a: i16, b| {
            ((i32::from(a) * i32::from(b)) >> 16) as i16
        }),
        Type::U32 => map2(registers, at, mask, |a: u32, b| {
            ((u64::from(a) * u64::from(b)) >> 32) as u32
        }),
        Type::S32 => map2(registers, at, mask, |a: i32, b| {
            ((i64::from(a) * i64::from(b)) >> 32) as i32
        }),
        Type::U64 => map2(registers, at, mask, |a: u64, b| {
            ((u128::from(a) * u128::from(b)) >> 64) as u64
        }),
        _ => map2(registers, at, mask, |a: i64, b| {
            ((i128::from(a) * i128::from(b)) >> 64) as i64
        }),
    }
}

#[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
pub fn one(function: Integer1, kind: Type, registers: &mut Registers, at: &Instruction, mask: u32) {
    let wide = kind.bytes() == 8;
    match function {
        Integer1::Neg => match kind.bytes() {
            2 => map1(registers, at, mask, |a: i16| a.wrapping_neg()),
            4 => map1(registers, at, mask, |a: i32| a.wrapping_neg()),
            _ => map1(registers, at, mask, |a: i64| a.wrapping_neg()),
        },
        Integer1::Abs => match kind.bytes() {
            2 => map1(registers, at, mask, |a: i16| a.wrapping_abs()),
            4 => map1(registers, at, mask, |a: i32| a.wrapping_abs()),
            _ => map1(registers, at, mask, |a: i64| a.wrapping_abs()),
        },
        Integer1::Not => by_width!(kind, map1, registers, at, mask, |a| !a),
        Integer1::CNot => by_width!(kind, map1, registers, at, mask, |a| if a == 0 { 1 } else { 0 }),
        Integer1::PopCount if wide => map1(registers, at, mask, |a: u64| a.count_ones()),
        Integer1::PopCount => map1(registers, at, mask, |a: u32| a.count_ones()),
        Integer1::LeadingZeros if wide => map1(registers, at, mask, |a: u64| a.leading_zeros()),
        Integer1::LeadingZeros => map1(registers, at, mask, |a: u32| a.leading_zeros()),
        Integer1::Reverse if wide => map1(registers, at, mask, |a: u64| a.reverse_bits()),
        Integer1::Reverse => map1(registers, at, mask, |a: u32| a.reverse_bits()),
        Integer1::FindHighest | Integer1::FindHighestShift => {
            let shifted = function == Integer1::FindHighestShift;
            // Signed values are searched for the highest bit that differs from the sign.
            match kind {
                Type::U32 => map1(registers, at, mask, |a: u32| highest(u64::from(a), 32, shifted)),
                Type::S32 => map1(registers, at, mask, |a: i32| {
                    highest(u64::from((a ^ (a >> 31)) as u32), 32, shifted)
                }),
                Type::U64 => map1(registers, at, mask, |a: u64| highest(a, 64, shifted)),
                _ => map1(registers, at, mask, |a: i64| {
                    highest((a ^ (a >> 63)) as u64, 64, shifted)
                }),
            }
        }
    }
}

fn highest(value: u64, bits: u32, as_shift: bool) -> u32 {
    match value.checked_ilog2() {
        None => u32::MAX,
        Some(found) if as_shift => bits - 1 - found,
        Some(found) => found,
    }
}

#[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
pub fn three(function: Integer3, kind: Type, registers: &mut Registers, at: &Instruction, mask: u32) {
    match function {
        Integer3::MadLo => match kind.bytes() {
            2 => map3(registers, at, mask, |a: u16, b: u16, c: u16| {
                a.wrapping_mul(b).wrapping_add(c)
            }),
            4 => map3(registers, at, mask, |a: u32, b: u32, c: u32| {
                a.wrapping_mul(b).wrapping_add(c)
            }),
            _ => map3(registers, at, mask, |a: u64, b: u64, c: u64| {
                a.wrapping_mul(b).wrapping_add(c)
            }),
        },
        Integer3::MadWide => match kind {
            Type::U16 => map3(registers, at, mask, |a: u16, b, c: u32| {
                (u32::from(a) * u32::from(b)).wrapping_add(c)
            }),
            Type::S16 => map3(registers, at, mask, |a: i16, b, c: i32| {
                (i32::from(a) * i32::from(b)).wrapping_add(c)
            }),
            Type::U32 => map3(registers, at, mask, |a: u32, b, c: u64| {
                (u64::from(a) * u64::from(b)).wrapping_add(c)
            }),
            _ => map3(registers, at, mask, |a: i32, b, c: i64| {
                (i64::from(a) * i64::from(b)).wrapping_add(c)
            }),
        },
        Integer3::MadHi => match kind {
            Type::U32 => map3(registers, at, mask, |a: u32, b, c: u32| {
                ((u64::from(a) * u64::from(b)) >> 32).wrapping_add(u64::from(c)) as u32
            }),
            Type::S32 => map3(registers, at, mask, |a: i32, b, c: i32| {
                (((i64::from(a) * i64::from(b)) >> 32) as i32).wrapping_add(c)
            }),
            Type::U64 => map3(registers, at, mask, |a: u64, b, c: u64| {
                (((u128::from(a) * u128::from(b)) >> 64) as u64).wrapping_add(c)
            }),
            _ => map3(registers, at, mask, |a: i64, b, c: i64| {
                (((i128::from(a) * i128::from(b)) >> 64) as i64).wrapping_add(c)
            }),
        },
        Integer3::Sad => match kind {
            Type::U32 => map3(registers, at, mask, |a: u32, b, c: u32| {
                c.wrapping_add(a.abs_diff(b))
            }),
            _ => map3(registers, at, mask, |a: i32, b, c: u32| {
                c.wrapping_add(a.abs_diff(b))
            }),
        },
        Integer3::BitExtract => extract(kind, registers, at, mask),
        Integer3::Permute => map3(registers, at, mask, permute),
        Integer3::FunnelLeftWrap => map3(registers, at, mask, |a: u32, b, c: u32| funnel_left(a, b, c & 31)),
        Integer3::FunnelLeftClamp => map3(registers, at, mask, |a: u32, b, c: u32| {
            funnel_left(a, b, c.min(32))
        }),
        Integer3::FunnelRightWrap => map3(registers, at, mask, |a: u32, b, c: u32| {
            funnel_right(a, b, c & 31)
        }),
        Integer3::FunnelRightClamp => map3(registers, at, mask, |a: u32, b, c: u32| {
            funnel_right(a, b, c.min(32))
        }),
        Integer3::Dot4 => {
            let signed = kind == Type::S32;
            map3(registers, at, mask, move |a: u32, b: u32, c: u32| {
                dot4(a, b, c, signed)
            });
        }
    }
}

fn funnel_left(low: u32, high: u32, by: u32) -> u32 {
    let both = u64::from(high) << 32 | u64::from(low);
    ((both << by) >> 32) as u32
}

fn funnel_right(low: u32, high: u32, by: u32) -> u32 {
    let both = u64::from(high) << 32 | u64::from(low);
    (both >> by) as u32
}

fn dot4(a: u32, b: u32, c: u32, signed: bool) -> u32 {
    a.to_le_bytes()
        .into_iter()
        .zip(b.to_le_bytes())
        .fold(c, |sum, (a, b)| {
            let product = if signed {
                i32::from(a as i8) * i32::from(b as i8)
            } else {
                i32::from(a) * i32::from(b)
            };
            sum.wrapping_add(product as u32)
        })
}

/// Each nibble of the selector names one of the eight bytes of `b:a`; its upper bit asks for the sign of that byte.
fn permute(a: u32, b: u32, selector: u32) -> u32 {
    let both = (u64::from(b) << 32 | u64::from(a)).to_le_bytes();
    let byte = |at: u32| {
        let nibble = selector >> (4 * at);
        let found = both[(nibble & 7) as usize];
        let found = if nibble & 8 == 0 {
            found
        } else {
            ((found as i8) >> 7) as u8
        };
        u32::from(found) << (8 * at)
    };
    byte(0) | byte(1) | byte(2) | byte(3)
}

/// Bits from position `b`, `c` of them; signed types repeat the highest bit of the field.
fn extract(kind: Type, registers: &mut Registers, at: &Instruction, mask: u32) {
    let bits = kind.bytes() * 8;
    let signed = matches!(kind, Type::S32 | Type::S64);
    let (from, length) = (*registers.words(at.b), *registers.words(at.c));
    let one = |value: u64, lane: usize| -> u64 {
        let (from, length) = (from[lane] & 255, length[lane] & 255);
        let sign_at = (from + length).min(bits).wrapping_sub(1).min(bits - 1);
        let sign = signed && length > 0 && (value >> sign_at) & 1 == 1;
        let field = if from >= bits { 0 } else { value >> from };
        let kept = length.min(bits.saturating_sub(from));
        let low = if kept >= 64 { u64::MAX } else { (1u64 << kept) - 1 };
        (field & low) | if sign { !low } else { 0 }
    };
    if bits == 64 {
        let a = u64::load(registers, at.a);
        u64::store(registers, at.d, by_lane(|lane| one(a[lane], lane)), mask);
    } else {
        let a = u32::load(registers, at.a);
        u32::store(
            registers,
            at.d,
            by_lane(|lane| one(u64::from(a[lane]), lane) as u32),
            mask,
        );
    }
}

/// bfi: `a` put into `b` at bit `c`, `x` bits of it.
#[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
pub fn insert(kind: Type, registers: &mut Registers, at: &Instruction, mask: u32) {
    let bits = kind.bytes() * 8;
    let (to, length) = (*registers.words(at.c), *registers.words(at.x));
    let one = |a: u64, b: u64, lane: usize| -> u64 {
        let (to, length) = (to[lane] & 255, length[lane] & 255);
        if to >= bits || length == 0 {
            return b;
        }
        let field = if length >= 64 {
            u64::MAX
        } else {
            (1u64 << length) - 1
        } << to;
        (b & !field) | ((a << to) & field)
    };
    if bits == 64 {
        let (a, b) = (u64::load(registers, at.a), u64::load(registers, at.b));
        u64::store(registers, at.d, by_lane(|lane| one(a[lane], b[lane], lane)), mask);
    } else {
        let (a, b) = (u32::load(registers, at.a), u32::load(registers, at.b));
        let values = by_lane(|lane| one(u64::from(a[lane]), u64::from(b[lane]), lane) as u32);
        u32::store(registers, at.d, values, mask);
    }
}

/// lop3: any function of three bits, by its table.
#[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
pub fn logic3(registers: &mut Registers, at: &Instruction, mask: u32) {
    let table = at.immediate as u32;
    map3(registers, at, mask, move |a: u32, b: u32, c: u32| {
        (0..8).filter(|row| table >> row & 1 == 1).fold(0, |found, row| {
            let pick = |value: u32, bit: u32| if row & bit != 0 { value } else { !value };
            found | (pick(a, 4) & pick(b, 2) & pick(c, 1))
        })
    });
}

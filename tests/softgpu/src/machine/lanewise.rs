// SPDX-License-Identifier: MIT OR Apache-2.0

//! Instructions whose lanes have nothing to do with each other.

use super::lanes::{Lane, Registers, by_lane, over};
use super::report::{Checked, Kind, Problem};
use super::warp::{Scene, Warp};
use super::{WARP, arithmetic, compare, convert, integer};
use crate::ptx::instruction::{Access, Instruction, Logic, NONE, Op, Type};

impl Warp {
    /// Instructions whose lanes have nothing to do with each other.
    #[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
    pub fn lanewise(&mut self, scene: &Scene, at: &Instruction, mask: u32) -> Checked<()> {
        let registers = &mut self.registers;
        match at.op {
            Op::Integer1(function, kind) => integer::one(function, kind, registers, at, mask),
            Op::Integer2(function, kind) => integer::two(function, kind, registers, at, mask),
            Op::Integer3(function, kind) => integer::three(function, kind, registers, at, mask),
            Op::BitInsert(kind) => integer::insert(kind, registers, at, mask),
            Op::Logic3 => integer::logic3(registers, at, mask),
            Op::Float1(function, kind, _) => arithmetic::one(function, kind, registers, at, mask),
            Op::Float2(function, kind, rounding) => {
                arithmetic::two(function, kind, rounding, registers, at, mask)
            }
            Op::Fma(kind, rounding, relu) => arithmetic::fma(kind, rounding, relu, registers, at, mask),
            Op::Move32 => {
                let value = *registers.words(at.a);
                u32::store(registers, at.d, value, mask);
            }
            Op::Move64 => {
                let value = *registers.doubles(at.a);
                u64::store(registers, at.d, value, mask);
            }
            Op::MovePredicate => self.set_predicate(at.d, self.predicates[at.a as usize], mask),
            Op::PredicateNot => self.set_predicate(at.d, !self.predicates[at.a as usize], mask),
            Op::PredicateLogic(logic) => {
                let (a, b) = (self.predicates[at.a as usize], self.predicates[at.b as usize]);
                self.set_predicate(at.d, combined(logic, a, b), mask);
            }
            Op::Pack(part, whole) => pack(part, whole, at, registers, mask),
            Op::Unpack(part, whole) => unpack(part, whole, at, registers, mask),
            Op::Select(wide) => {
                let chosen = self.predicates[at.c as usize];
                if wide {
                    let (a, b) = (*registers.doubles(at.a), *registers.doubles(at.b));
                    let pick = |lane: usize| if chosen >> lane & 1 == 1 { a[lane] } else { b[lane] };
                    u64::store(registers, at.d, by_lane(pick), mask);
                } else {
                    let (a, b) = (*registers.words(at.a), *registers.words(at.b));
                    let pick = |lane: usize| {
                        if chosen & (1 << lane) != 0 {
                            a[lane]
                        } else {
                            b[lane]
                        }
                    };
                    u32::store(registers, at.d, by_lane(pick), mask);
                }
            }
            Op::SetPredicate(comparison, kind, combine) => {
                let mut found = compare::lanes(comparison, kind, registers, at);
                let mut opposite = !found;
                if kind == Type::F16x2 {
                    // Two halves give two predicates, one each.
                    (found, opposite) = compare::pairs(comparison, registers, at);
                }
                if let Some((logic, negated)) = combine {
                    let with = self.predicates[at.c as usize];
                    let with = if negated { !with } else { with };
                    found = combined(logic, found, with);
                    opposite = combined(logic, opposite, with);
                }
                self.set_predicate(at.d, found, mask);
                if at.x != NONE {
                    self.set_predicate(at.x, opposite, mask);
                }
            }
            Op::Set(comparison, kind, result) => compare::set(comparison, kind, result, registers, at, mask),
            Op::Convert { .. } => convert::convert(registers, at, mask),
            Op::ConvertPair { relu } => convert::pair(relu, registers, at, mask),
            Op::LoadParameter(access, indexed) => {
                load_parameter(access, indexed, scene, at, registers, mask)?
            }
            Op::ActiveMask => u32::store(registers, at.d, [mask; WARP], mask),
            Op::Clock(wide) => {
                // The count of branches never falls, which is all that a clock promises here.
                if wide {
                    u64::store(registers, at.d, [self.branches; WARP], mask);
                } else {
                    u32::store(registers, at.d, [self.branches as u32; WARP], mask);
                }
            }
            _ => {}
        }
        Ok(())
    }

    #[inline(always)]
    fn set_predicate(&mut self, at: u32, value: u32, mask: u32) {
        let predicate = &mut self.predicates[at as usize];
        *predicate = (*predicate & !mask) | (value & mask);
    }
}

fn combined(logic: Logic, a: u32, b: u32) -> u32 {
    match logic {
        Logic::And => a & b,
        Logic::Or => a | b,
        Logic::Xor => a ^ b,
    }
}

#[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
fn pack(part: u8, whole: u8, at: &Instruction, registers: &mut Registers, mask: u32) {
    let bits = 8 * u32::from(part);
    let low = u64::MAX >> (64 - bits);
    let mut packed = [0u64; WARP];
    for (place, register) in at.list.iter().enumerate() {
        let values = registers.words(*register);
        for lane in 0..WARP {
            packed[lane] |= (u64::from(values[lane]) & low) << (bits * place as u32);
        }
    }
    if whole == 8 {
        u64::store(registers, at.d, packed, mask);
    } else {
        u32::store(registers, at.d, over(&packed, |bits| bits as u32), mask);
    }
}

#[cfg_attr(vectors, target_feature(enable = "avx2,fma,f16c"))]
fn unpack(part: u8, whole: u8, at: &Instruction, registers: &mut Registers, mask: u32) {
    let bits = 8 * u32::from(part);
    let low = u64::MAX >> (64 - bits);
    let values = registers.addresses(at.a, whole == 8);
    for (place, register) in at.list.iter().enumerate() {
        let parts = over(&values, |value| (value >> (bits * place as u32) & low) as u32);
        u32::store(registers, *register, parts, mask);
    }
}

fn load_parameter(
    access: Access,
    indexed: bool,
    scene: &Scene,
    at: &Instruction,
    registers: &mut Registers,
    mask: u32,
) -> Checked<()> {
    let bases = if indexed {
        registers.addresses(at.a, access.wide_address)
    } else {
        [0; WARP]
    };
    let size = access.kind.bytes() as usize;
    for (part, register) in at.list.iter().enumerate() {
        for lane in (0..WARP).filter(|lane| mask >> lane & 1 == 1) {
            let from = bases[lane]
                .wrapping_add(at.immediate as u64)
                .wrapping_add((part * size) as u64);
            let Some(bytes) = usize::try_from(from)
                .ok()
                .and_then(|from| scene.parameters.get(from..from + size))
            else {
                let what = format!("byte {from} of {} of the parameters", scene.parameters.len());
                return Err(Problem::new(Kind::OutOfBounds, what).in_lane(lane));
            };
            let mut whole = [0; 8];
            whole[..size].copy_from_slice(bytes);
            let bits = u64::from_le_bytes(whole);
            let bits = match access.kind {
                Type::S8 => i64::from(bits as i8) as u64,
                Type::S16 => i64::from(bits as i16) as u64,
                Type::S32 => i64::from(bits as i32) as u64,
                _ => bits,
            };
            if access.wide_value {
                registers.doubles_mut(*register)[lane] = bits;
            } else {
                registers.words_mut(*register)[lane] = bits as u32;
            }
        }
    }
    Ok(())
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Atomic operations of the lanes of a warp.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::lanes::Registers;
use super::loads::{Reach, each, put, resolve};
use super::report::{Checked, Kind, Problem};
use crate::ptx::instruction::{Access, Atomic, Instruction, Type};
use crate::ptx::syntax::Space;

impl Reach<'_> {
    pub fn atomic(
        &mut self,
        (function, access, returns): (Atomic, Access, bool),
        at: &Instruction,
        registers: &mut Registers,
        mask: u32,
    ) -> Checked<()> {
        let addresses = registers.addresses(at.a, access.wide_address);
        let wide = access.kind.bytes() == 8;
        let values = registers.addresses(at.b, wide);
        let others = if function == Atomic::CompareAndSwap {
            registers.addresses(at.c, wide)
        } else {
            values
        };
        let bytes = u64::from(access.kind.bytes());
        each(mask, |lane| {
            let (space, address) = resolve(access.space, addresses[lane].wrapping_add(at.immediate as u64));
            let change = |old: u64| changed(function, access.kind, old, values[lane], others[lane]);
            let old = match space {
                Space::Shared => {
                    let place = self.shared.atomic(address, bytes, self.warp)?;
                    let old = number(place);
                    place.copy_from_slice(&change(old).to_le_bytes()[..bytes as usize]);
                    old
                }
                Space::Local | Space::Param => {
                    return Err(Problem::new(
                        Kind::OutOfBounds,
                        "an atomic operation on local memory",
                    ));
                }
                _ => {
                    self.memory.check_change(address, bytes, self.who)?;
                    in_memory(self.memory.pointer(address), wide, change)
                }
            };
            if returns {
                put(registers, at.d, wide, lane, old);
            }
            Ok(())
        })
    }
}

fn number(bytes: &[u8]) -> u64 {
    let mut whole = [0; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(whole)
}

/// Changes a value of the card's memory in one step, as other threads see it, and returns what was there.
fn in_memory(place: *mut u8, wide: bool, change: impl Fn(u64) -> u64) -> u64 {
    let order = (Ordering::SeqCst, Ordering::SeqCst);
    let found = if wide {
        // SAFETY: the place was checked to be valid and aligned to 8 bytes.
        let place = unsafe { &*place.cast::<AtomicU64>() };
        place.fetch_update(order.0, order.1, |old| Some(change(old)))
    } else {
        // SAFETY: the place was checked to be valid and aligned to 4 bytes.
        let place = unsafe { &*place.cast::<AtomicU32>() };
        let old = place.fetch_update(order.0, order.1, |old| Some(change(u64::from(old)) as u32));
        old.map(u64::from).map_err(u64::from)
    };
    found.unwrap_or_else(|old| old)
}

fn changed(function: Atomic, kind: Type, old: u64, value: u64, other: u64) -> u64 {
    let signed = matches!(kind, Type::S32 | Type::S64);
    let narrow = kind.bytes() == 4;
    let order = |x: u64| {
        if narrow {
            i64::from(x as u32 as i32)
        } else {
            x as i64
        }
    };
    let less = |a: u64, b: u64| if signed { order(a) < order(b) } else { a < b };
    match function {
        Atomic::Add if kind == Type::F32 => {
            u64::from((f32::from_bits(old as u32) + f32::from_bits(value as u32)).to_bits())
        }
        Atomic::Add if narrow => u64::from((old as u32).wrapping_add(value as u32)),
        Atomic::Add => old.wrapping_add(value),
        Atomic::Min => {
            if less(value, old) {
                value
            } else {
                old
            }
        }
        Atomic::Max => {
            if less(old, value) {
                value
            } else {
                old
            }
        }
        Atomic::And => old & value,
        Atomic::Or => old | value,
        Atomic::Xor => old ^ value,
        Atomic::Exchange => value,
        // Operand b is what must be there, operand c what comes in its place.
        Atomic::CompareAndSwap => {
            if old == value {
                other
            } else {
                old
            }
        }
        Atomic::Increment => {
            if old >= value {
                0
            } else {
                old + 1
            }
        }
        Atomic::Decrement => {
            if old == 0 || old > value {
                value
            } else {
                old - 1
            }
        }
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loads, stores and atomic operations of the lanes of a warp in all spaces.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::lanes::Registers;
use super::memory::{Accessor, Memory};
use super::report::{Checked, Kind, Problem};
use super::shared::Shared;
use super::{LOCAL_WINDOW, SHARED_WINDOW, WARP, WINDOW_BYTES};
use crate::ptx::instruction::{Access, Atomic, Instruction, Type};
use crate::ptx::syntax::Space;

/// The private memory of the lanes of a warp, and which bytes of it were written.
#[derive(Default)]
pub struct Local {
    bytes: Vec<u8>,
    written: Vec<bool>,
    each: usize,
}

impl Local {
    pub fn new(each: usize) -> Self {
        Self { bytes: vec![0; each * WARP], written: vec![false; each * WARP], each }
    }

    pub fn clear(&mut self) {
        self.written.fill(false);
    }

    fn place(&self, address: u64, bytes: u64, lane: usize) -> Checked<usize> {
        if address.saturating_add(bytes) > self.each as u64 {
            let what = format!("{bytes} bytes at byte {address} of {} of local memory", self.each);
            return Err(Problem::new(Kind::OutOfBounds, what));
        }
        if address & (bytes - 1) != 0 {
            return Err(Problem::new(Kind::Misaligned, format!("{bytes} bytes at local {address:#x}")));
        }
        Ok(lane * self.each + address as usize)
    }

    fn read(&self, address: u64, bytes: u64, lane: usize) -> Checked<&[u8]> {
        let at = self.place(address, bytes, lane)?;
        let range = at..at + bytes as usize;
        if !self.written[range.clone()].iter().all(|written| *written) {
            return Err(Problem::new(Kind::Uninitialised, format!("byte {address} of local memory")));
        }
        Ok(&self.bytes[range])
    }

    fn write(&mut self, address: u64, bytes: u64, lane: usize) -> Checked<&mut [u8]> {
        let at = self.place(address, bytes, lane)?;
        let range = at..at + bytes as usize;
        self.written[range.clone()].fill(true);
        Ok(&mut self.bytes[range])
    }
}

/// All memory that a warp can reach.
pub struct Reach<'a> {
    pub memory: &'a Memory,
    pub shared: &'a mut Shared,
    pub local: &'a mut Local,
    pub warp: u32,
    pub who: Accessor,
}

/// Which space an address is in, and where there.
#[inline(always)]
fn resolve(space: Space, address: u64) -> (Space, u64) {
    if space != Space::Generic {
        return (space, address);
    }
    if address.wrapping_sub(SHARED_WINDOW) < WINDOW_BYTES {
        (Space::Shared, address - SHARED_WINDOW)
    } else if address.wrapping_sub(LOCAL_WINDOW) < WINDOW_BYTES {
        (Space::Local, address - LOCAL_WINDOW)
    } else {
        (Space::Global, address)
    }
}

#[inline(always)]
fn number(bytes: &[u8], size: usize) -> u64 {
    let mut whole = [0; 8];
    whole[..size].copy_from_slice(&bytes[..size]);
    u64::from_le_bytes(whole)
}

#[inline(always)]
fn extended(bits: u64, kind: Type) -> u64 {
    match kind {
        Type::S8 => i64::from(bits as i8) as u64,
        Type::S16 => i64::from(bits as i16) as u64,
        Type::S32 => i64::from(bits as i32) as u64,
        _ => bits,
    }
}

#[inline(always)]
fn put(registers: &mut Registers, at: u32, wide: bool, lane: usize, bits: u64) {
    if wide {
        registers.doubles_mut(at)[lane] = bits;
    } else {
        registers.words_mut(at)[lane] = bits as u32;
    }
}

/// Runs a function for each lane of a mask, naming the lane where it fails.
#[inline(always)]
fn each(mask: u32, mut f: impl FnMut(usize) -> Checked<()>) -> Checked<()> {
    let mut left = mask;
    while left != 0 {
        let lane = left.trailing_zeros() as usize;
        left &= left - 1;
        if let Err(problem) = f(lane) {
            return Err(problem.in_lane(lane));
        }
    }
    Ok(())
}

impl Reach<'_> {
    #[inline(always)]
    pub fn load(&mut self, access: Access, at: &Instruction, registers: &mut Registers, mask: u32) -> Checked<()> {
        let addresses = registers.addresses(at.a, access.wide_address);
        let size = access.kind.bytes() as usize;
        let bytes = (size * usize::from(access.vector)) as u64;
        let who = if access.shared_with_others { self.memory.accessor(0, false) } else { self.who };
        each(mask, |lane| {
            let (space, address) = resolve(access.space, addresses[lane].wrapping_add(at.immediate as u64));
            let mut taken = [0; 32];
            match space {
                Space::Shared => {
                    if bytes > 16 {
                        return Err(Problem::new(Kind::Misaligned, "a load of more than 16 bytes"));
                    }
                    taken[..bytes as usize].copy_from_slice(self.shared.read(address, bytes, self.warp)?);
                }
                Space::Local | Space::Param => {
                    taken[..bytes as usize].copy_from_slice(self.local.read(address, bytes, lane)?);
                }
                _ => {
                    self.memory.check_read(address, bytes, who)?;
                    // SAFETY: the bytes were checked to lie within an allocation.
                    unsafe {
                        self.memory.pointer(address).copy_to_nonoverlapping(taken.as_mut_ptr(), bytes as usize);
                    }
                }
            }
            for (part, register) in at.list.iter().enumerate() {
                let bits = extended(number(&taken[part * size..], size), access.kind);
                put(registers, *register, access.wide_value, lane, bits);
            }
            Ok(())
        })
    }

    #[inline(always)]
    pub fn store(&mut self, access: Access, at: &Instruction, registers: &Registers, mask: u32) -> Checked<()> {
        let addresses = registers.addresses(at.a, access.wide_address);
        let size = access.kind.bytes() as usize;
        let bytes = (size * usize::from(access.vector)) as u64;
        let who = if access.shared_with_others { self.memory.accessor(0, false) } else { self.who };
        each(mask, |lane| {
            let (space, address) = resolve(access.space, addresses[lane].wrapping_add(at.immediate as u64));
            let mut given = [0; 32];
            for (part, register) in at.list.iter().enumerate() {
                let bits = if access.wide_value {
                    registers.doubles(*register)[lane]
                } else {
                    u64::from(registers.words(*register)[lane])
                };
                given[part * size..part * size + size].copy_from_slice(&bits.to_le_bytes()[..size]);
            }
            let given = &given[..bytes as usize];
            match space {
                Space::Shared => self.shared.write(address, bytes, self.warp)?.copy_from_slice(given),
                Space::Local | Space::Param => self.local.write(address, bytes, lane)?.copy_from_slice(given),
                _ => {
                    self.memory.check_write(address, bytes, who)?;
                    // SAFETY: the bytes were checked to lie within an allocation.
                    unsafe {
                        given.as_ptr().copy_to_nonoverlapping(self.memory.pointer(address), given.len());
                    }
                }
            }
            Ok(())
        })
    }

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
        let others = if function == Atomic::CompareAndSwap { registers.addresses(at.c, wide) } else { values };
        let bytes = u64::from(access.kind.bytes());
        each(mask, |lane| {
            let (space, address) = resolve(access.space, addresses[lane].wrapping_add(at.immediate as u64));
            let change = |old: u64| changed(function, access.kind, old, values[lane], others[lane]);
            let old = match space {
                Space::Shared => {
                    let place = self.shared.atomic(address, bytes)?;
                    let old = number(place, bytes as usize);
                    place.copy_from_slice(&change(old).to_le_bytes()[..bytes as usize]);
                    old
                }
                Space::Local | Space::Param => {
                    return Err(Problem::new(Kind::OutOfBounds, "an atomic operation on local memory"));
                }
                _ => {
                    self.memory.check_read(address, bytes, self.memory.accessor(0, false))?;
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
    let order = |x: u64| if narrow { i64::from(x as u32 as i32) } else { x as i64 };
    let less = |a: u64, b: u64| if signed { order(a) < order(b) } else { a < b };
    match function {
        Atomic::Add if kind == Type::F32 => {
            u64::from((f32::from_bits(old as u32) + f32::from_bits(value as u32)).to_bits())
        }
        Atomic::Add if narrow => u64::from((old as u32).wrapping_add(value as u32)),
        Atomic::Add => old.wrapping_add(value),
        Atomic::Min => if less(value, old) { value } else { old },
        Atomic::Max => if less(old, value) { value } else { old },
        Atomic::And => old & value,
        Atomic::Or => old | value,
        Atomic::Xor => old ^ value,
        Atomic::Exchange => value,
        // Operand b is what must be there, operand c what comes in its place.
        Atomic::CompareAndSwap => if old == value { other } else { old },
        Atomic::Increment => if old >= value { 0 } else { old + 1 },
        Atomic::Decrement => if old == 0 || old > value { value } else { old - 1 },
    }
}

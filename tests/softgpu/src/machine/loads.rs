// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loads and stores of the lanes of a warp in all spaces.

use super::lanes::{Doubles, Lane, Registers};
use super::local::Local;
use super::memory::Memory;
use super::races::Accessor;
use super::report::{Checked, Kind, Problem};
use super::shared::Shared;
use super::{LOCAL_WINDOW, SHARED_WINDOW, WARP, WINDOW_BYTES};
use crate::ptx::instruction::{Access, Instruction, Type};
use crate::ptx::syntax::Space;

/// All memory that a warp can reach.
pub struct Reach<'a> {
    pub memory: &'a Memory,
    pub shared: &'a mut Shared,
    pub local: &'a mut Local,
    pub warp: u32,
    pub who: Accessor<'a>,
}

/// Which space an address is in, and where there.
#[inline(always)]
pub fn resolve(space: Space, address: u64) -> (Space, u64) {
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
pub fn put(registers: &mut Registers, at: u32, wide: bool, lane: usize, bits: u64) {
    if wide {
        registers.doubles_mut(at)[lane] = bits;
    } else {
        registers.words_mut(at)[lane] = bits as u32;
    }
}

/// Runs a function for each lane of a mask, naming the lane where it fails.
#[inline(always)]
pub fn each(mask: u32, mut f: impl FnMut(usize) -> Checked<()>) -> Checked<()> {
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

/// Whether the lanes name pieces of so many bytes, one behind the other.
#[inline(always)]
fn in_a_row(addresses: &Doubles, bytes: u64) -> bool {
    let mut together = true;
    for lane in 0..WARP {
        together &= addresses[lane] == addresses[0].wrapping_add(lane as u64 * bytes);
    }
    together
}

/// What the lanes load or store, N bytes each.
type Pieces<const N: usize> = [[u8; N]; WARP];

impl<'a> Reach<'a> {
    #[inline(always)]
    pub fn load(
        &mut self,
        access: Access,
        at: &Instruction,
        registers: &mut Registers,
        mask: u32,
    ) -> Checked<()> {
        match access.kind.bytes() * u32::from(access.vector) {
            1 => self.load_pieces::<1>(access, at, registers, mask),
            2 => self.load_pieces::<2>(access, at, registers, mask),
            4 => self.load_pieces::<4>(access, at, registers, mask),
            8 => self.load_pieces::<8>(access, at, registers, mask),
            _ => self.load_pieces::<16>(access, at, registers, mask),
        }
    }

    #[inline(always)]
    fn who(&self, access: Access) -> Accessor<'a> {
        if access.shared_with_others {
            Accessor::NOBODY
        } else {
            self.who
        }
    }

    #[inline(always)]
    fn addresses(access: Access, at: &Instruction, registers: &Registers) -> Doubles {
        let mut addresses = registers.addresses(at.a, access.wide_address);
        for address in &mut addresses {
            *address = address.wrapping_add(at.immediate as u64);
        }
        addresses
    }

    #[inline(always)]
    fn load_pieces<const N: usize>(
        &mut self,
        access: Access,
        at: &Instruction,
        registers: &mut Registers,
        mask: u32,
    ) -> Checked<()> {
        let addresses = Self::addresses(access, at, registers);
        let mut pieces: Pieces<N> = [[0; N]; WARP];
        let who = self.who(access);
        let at_once = access.space == Space::Global
            && mask == u32::MAX
            && in_a_row(&addresses, N as u64)
            && self.memory.may_read_row(addresses[0], N as u64, who);
        if at_once {
            // SAFETY: all bytes were checked to lie within an allocation.
            unsafe {
                self.memory
                    .pointer(addresses[0])
                    .copy_to_nonoverlapping(pieces.as_mut_ptr().cast(), N * WARP);
            }
        } else {
            each(mask, |lane| {
                pieces[lane] = self.fetch(access.space, addresses[lane], lane, who)?;
                Ok(())
            })?;
        }
        hand_out(&pieces, access, at, registers, mask);
        Ok(())
    }

    #[inline(always)]
    fn fetch<const N: usize>(
        &mut self,
        space: Space,
        address: u64,
        lane: usize,
        who: Accessor,
    ) -> Checked<[u8; N]> {
        let (space, address) = resolve(space, address);
        let mut piece = [0; N];
        match space {
            Space::Shared => piece.copy_from_slice(self.shared.read(address, N as u64, self.warp)?),
            Space::Local | Space::Param => piece.copy_from_slice(self.local.read(address, N as u64, lane)?),
            _ => {
                self.memory.check_read(address, N as u64, who)?;
                // SAFETY: the bytes were checked to lie within an allocation.
                unsafe {
                    self.memory
                        .pointer(address)
                        .copy_to_nonoverlapping(piece.as_mut_ptr(), N)
                };
            }
        }
        Ok(piece)
    }

    #[inline(always)]
    pub fn store(
        &mut self,
        access: Access,
        at: &Instruction,
        registers: &Registers,
        mask: u32,
    ) -> Checked<()> {
        match access.kind.bytes() * u32::from(access.vector) {
            1 => self.store_pieces::<1>(access, at, registers, mask),
            2 => self.store_pieces::<2>(access, at, registers, mask),
            4 => self.store_pieces::<4>(access, at, registers, mask),
            8 => self.store_pieces::<8>(access, at, registers, mask),
            _ => self.store_pieces::<16>(access, at, registers, mask),
        }
    }

    #[inline(always)]
    fn store_pieces<const N: usize>(
        &mut self,
        access: Access,
        at: &Instruction,
        registers: &Registers,
        mask: u32,
    ) -> Checked<()> {
        let addresses = Self::addresses(access, at, registers);
        let pieces: Pieces<N> = collect(access, at, registers);
        let who = self.who(access);
        if access.space != Space::Local && access.space != Space::Param {
            agree(&addresses, &pieces, mask)?;
        }
        each(mask, |lane| {
            let (space, address) = resolve(access.space, addresses[lane]);
            let piece = &pieces[lane];
            match space {
                Space::Shared => self
                    .shared
                    .write(address, N as u64, self.warp)?
                    .copy_from_slice(piece),
                Space::Local | Space::Param => {
                    self.local.write(address, N as u64, lane)?.copy_from_slice(piece)
                }
                _ => {
                    self.memory.check_write(address, N as u64, who)?;
                    // SAFETY: the bytes were checked to lie within an allocation.
                    unsafe {
                        piece
                            .as_ptr()
                            .copy_to_nonoverlapping(self.memory.pointer(address), N)
                    };
                }
            }
            Ok(())
        })
    }
}

/// An error where two lanes of one store give one place different values: which of them stays is not said.
#[inline(always)]
fn agree<const N: usize>(addresses: &Doubles, pieces: &Pieces<N>, mask: u32) -> Checked<()> {
    let mut rising = mask == u32::MAX;
    for lane in 1..WARP {
        rising &= addresses[lane] > addresses[lane - 1];
    }
    if rising {
        Ok(())
    } else {
        agree_in_pairs(addresses, pieces, mask)
    }
}

fn agree_in_pairs<const N: usize>(addresses: &Doubles, pieces: &Pieces<N>, mask: u32) -> Checked<()> {
    each(mask, |lane| {
        let mut same = 0;
        for other in 0..WARP {
            same |= u32::from(addresses[other] == addresses[lane]) << other;
        }
        let shared = |other: usize| (same & mask) >> other & 1 == 1;
        match (lane + 1..WARP).find(|other| shared(*other) && pieces[*other] != pieces[lane]) {
            None => Ok(()),
            Some(other) => {
                let what = format!(
                    "lanes {lane} and {other} store different values at {:#x}",
                    addresses[lane]
                );
                Err(Problem::new(Kind::Race, what))
            }
        }
    })
}

/// The parts of each lane's piece to the registers of the instruction.
#[inline(always)]
fn hand_out<const N: usize>(
    pieces: &Pieces<N>,
    access: Access,
    at: &Instruction,
    registers: &mut Registers,
    mask: u32,
) {
    let size = access.kind.bytes() as usize;
    for (part, register) in at.list.iter().enumerate() {
        let mut values = [0u64; WARP];
        for lane in 0..WARP {
            let mut whole = [0; 8];
            // Sizes that are known to the compiler make this one load.
            match size {
                4 if N >= 4 => whole[..4].copy_from_slice(&pieces[lane][part * 4..][..4]),
                8 if N >= 8 => whole.copy_from_slice(&pieces[lane][part * 8..][..8]),
                _ => whole[..size].copy_from_slice(&pieces[lane][part * size..][..size]),
            }
            values[lane] = extended(u64::from_le_bytes(whole), access.kind);
        }
        if access.wide_value {
            u64::store(registers, *register, values, mask);
        } else {
            let mut narrow = [0u32; WARP];
            for lane in 0..WARP {
                narrow[lane] = values[lane] as u32;
            }
            u32::store(registers, *register, narrow, mask);
        }
    }
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

/// The registers of the instruction to a piece for each lane.
#[inline(always)]
fn collect<const N: usize>(access: Access, at: &Instruction, registers: &Registers) -> Pieces<N> {
    let size = access.kind.bytes() as usize;
    let mut pieces = [[0; N]; WARP];
    for (part, register) in at.list.iter().enumerate() {
        let values = registers.addresses(*register, access.wide_value);
        for lane in 0..WARP {
            let bytes = values[lane].to_le_bytes();
            match size {
                4 if N >= 4 => pieces[lane][part * 4..][..4].copy_from_slice(&bytes[..4]),
                8 if N >= 8 => pieces[lane][part * 8..][..8].copy_from_slice(&bytes),
                _ => pieces[lane][part * size..][..size].copy_from_slice(&bytes[..size]),
            }
        }
    }
    pieces
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Asynchronous copies to shared memory. The source is read when the copy is asked for, the destination appears when
//! its group is waited for: the latest moment that a card may choose, so a missing wait cannot go unseen.

use super::WARP;
use super::lanes::Registers;
use super::memory::Memory;
use super::races::Accessor;
use super::report::{Checked, Kind, Problem};
use super::shared::Shared;
use crate::ptx::instruction::{Instruction, NONE};

struct Copy {
    lanes: u32,
    bytes: u8,
    to: [u64; WARP],
    /// The number of the group that each lane's part belongs to.
    group: [u32; WARP],
    data: [[u8; 16]; WARP],
}

/// What a warp has asked for and not yet waited for.
#[derive(Default)]
pub struct Copies {
    pending: Vec<Copy>,
    spare: Vec<Copy>,
    /// Groups that each lane has committed.
    committed: [u32; WARP],
}

impl Copies {
    pub fn clear(&mut self) {
        self.spare.append(&mut self.pending);
        self.committed = [0; WARP];
    }

    pub fn begin(
        &mut self,
        at: &Instruction,
        (bytes, wide_shared): (u8, bool),
        registers: &Registers,
        mask: u32,
        warp: u32,
        (shared, memory, who): (&mut Shared, &Memory, Accessor),
    ) -> Checked<()> {
        let mut copy = self.spare.pop().unwrap_or(Copy {
            lanes: 0,
            bytes: 0,
            to: [0; WARP],
            group: [0; WARP],
            data: [[0; 16]; WARP],
        });
        let to = registers.addresses(at.a, wide_shared);
        let from = registers.doubles(at.b);
        let from_offset = registers.doubles(at.list[0]);
        copy.lanes = mask;
        copy.bytes = bytes;
        copy.group = self.committed;
        for lane in (0..WARP).filter(|lane| mask >> lane & 1 == 1) {
            let size = if at.c == NONE {
                u32::from(bytes)
            } else {
                registers.words(at.c)[lane]
            };
            if size > u32::from(bytes) {
                let what = format!("cp.async of {bytes} bytes from a source of {size}");
                return Err(Problem::new(Kind::OutOfBounds, what).in_lane(lane));
            }
            copy.to[lane] = to[lane].wrapping_add(at.immediate as u64);
            let source = from[lane].wrapping_add(from_offset[lane]);
            copy.data[lane] = [0; 16];
            if source & (u64::from(bytes) - 1) != 0 {
                let what = format!("cp.async of {bytes} bytes from {source:#x}");
                return Err(Problem::new(Kind::Misaligned, what).in_lane(lane));
            }
            read(&mut copy.data[lane], source, size, memory, who).map_err(|problem| problem.in_lane(lane))?;
            shared
                .begin_copy(copy.to[lane], u64::from(bytes), warp)
                .map_err(|problem| problem.in_lane(lane))?;
        }
        self.pending.push(copy);
        Ok(())
    }

    pub fn commit(&mut self, mask: u32) {
        for lane in (0..WARP).filter(|lane| mask >> lane & 1 == 1) {
            self.committed[lane] += 1;
        }
    }

    /// Ends the copies of these lanes, but for those of the last `allowed` groups; None waits for copies that were
    /// never committed, too.
    pub fn wait(&mut self, mask: u32, allowed: Option<u32>, warp: u32, shared: &mut Shared) {
        let committed = self.committed;
        let mut at = 0;
        while at < self.pending.len() {
            let copy = &mut self.pending[at];
            for lane in (0..WARP).filter(|lane| mask >> lane & 1 == 1) {
                let done =
                    allowed.is_none_or(|allowed| copy.group[lane].saturating_add(allowed) < committed[lane]);
                if done && copy.lanes >> lane & 1 == 1 {
                    shared.end_copy(copy.to[lane], &copy.data[lane][..usize::from(copy.bytes)], warp);
                    copy.lanes &= !(1 << lane);
                }
            }
            if copy.lanes == 0 {
                let copy = self.pending.remove(at);
                self.spare.push(copy);
            } else {
                at += 1;
            }
        }
    }
}

/// Reads a source of any size up to 16 bytes.
fn read(into: &mut [u8; 16], from: u64, size: u32, memory: &Memory, who: Accessor) -> Checked<()> {
    if size == 0 {
        return Ok(());
    }
    if size.is_power_of_two() {
        memory.check_read(from, u64::from(size), who)?;
    } else {
        for byte in 0..u64::from(size) {
            memory.check_read(from + byte, 1, who)?;
        }
    }
    // SAFETY: the bytes were checked to lie within an allocation.
    unsafe {
        memory
            .pointer(from)
            .copy_to_nonoverlapping(into.as_mut_ptr(), size as usize)
    };
    Ok(())
}

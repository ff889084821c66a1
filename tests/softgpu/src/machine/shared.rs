// SPDX-License-Identifier: MIT OR Apache-2.0

//! The shared memory of a block. Each word remembers which of its bytes were written, whether an asynchronous copy to
//! it is pending, and which warp wrote and read it since which barrier.

use super::SHARED_START;
use super::report::{Checked, Kind, Problem};

const PENDING: u32 = 1 << 8;
const WARP_AT: u32 = 9;
const EPOCH_AT: u32 = 14;
const LAST_EPOCH: u32 = (1 << (32 - EPOCH_AT)) - 1;
/// In a record of readers: more than one warp.
const SEVERAL: u32 = 1 << 8;

/// What an asynchronous copy leaves until it is waited for.
const POISON: u8 = 0xff;

pub struct Shared {
    bytes: Vec<u8>,
    /// By word: epoch, warp, pending, bytes of the last write, bytes ever written.
    writes: Vec<u32>,
    /// By word: epoch, warp, several, bytes.
    reads: Vec<u32>,
    /// Barriers that the block has passed, plus one.
    epoch: u32,
}

impl Shared {
    pub fn new(size: usize) -> Self {
        let words = size.div_ceil(4);
        Self {
            bytes: vec![0; words * 4],
            writes: vec![0; words],
            reads: vec![0; words],
            epoch: 1,
        }
    }

    /// For the next block: nothing is written, nobody has come by.
    pub fn clear(&mut self) {
        self.writes.fill(0);
        self.reads.fill(0);
        self.epoch = 1;
    }

    pub fn pass_barrier(&mut self) {
        self.epoch += 1;
        if self.epoch == LAST_EPOCH {
            self.epoch = 1;
            self.writes.iter_mut().for_each(|record| *record &= PENDING | 15);
            self.reads.fill(0);
        }
    }

    #[inline(always)]
    fn place(&self, address: u64, bytes: u64) -> Checked<usize> {
        let at = address.wrapping_sub(u64::from(SHARED_START));
        if at >= self.bytes.len() as u64 || at + bytes > self.bytes.len() as u64 {
            return Err(self.outside(address, bytes));
        }
        if address & (bytes - 1) != 0 {
            return Err(Problem::new(
                Kind::Misaligned,
                format!("{bytes} bytes at shared {address:#x}"),
            ));
        }
        Ok(at as usize)
    }

    #[cold]
    fn outside(&self, address: u64, bytes: u64) -> Box<Problem> {
        let at = address.wrapping_sub(u64::from(SHARED_START)) as i64;
        let what = format!(
            "{bytes} bytes at byte {at} of {} of shared memory",
            self.bytes.len()
        );
        Problem::new(Kind::OutOfBounds, what)
    }

    #[inline(always)]
    fn each_word(at: usize, bytes: u64, mut f: impl FnMut(usize, u32) -> Checked<()>) -> Checked<()> {
        if bytes < 4 {
            return f(at / 4, ((1 << bytes) - 1) << (at % 4));
        }
        for word in at / 4..(at + bytes as usize) / 4 {
            f(word, 15)?;
        }
        Ok(())
    }

    /// The bytes at an address that a warp reads; a power of two up to 16 of them.
    #[inline(always)]
    pub fn read(&mut self, address: u64, bytes: u64, warp: u32) -> Checked<&[u8]> {
        let at = self.place(address, bytes)?;
        Self::each_word(at, bytes, |word, mask| {
            let record = self.writes[word];
            let other = record >> EPOCH_AT == self.epoch && (record >> WARP_AT) & 31 != warp;
            if record & (PENDING | mask) != mask || (other && (record >> 4) & mask != 0) {
                return Err(Self::bad_read(record, mask, word, self.epoch));
            }
            self.reads[word] = Self::reading(self.reads[word], self.epoch, warp, mask);
            Ok(())
        })?;
        Ok(&self.bytes[at..at + bytes as usize])
    }

    #[inline(always)]
    fn reading(record: u32, epoch: u32, warp: u32, mask: u32) -> u32 {
        let mine = epoch << EPOCH_AT | warp << WARP_AT | mask;
        if record >> EPOCH_AT != epoch {
            return mine;
        }
        if record & SEVERAL != 0 {
            return record;
        }
        if (record >> WARP_AT) & 31 == warp {
            return record | mask;
        }
        if record & mask & 15 != 0 {
            epoch << EPOCH_AT | SEVERAL | (record & mask & 15)
        } else {
            mine
        }
    }

    #[cold]
    fn bad_read(record: u32, mask: u32, word: usize, epoch: u32) -> Box<Problem> {
        let byte = word * 4;
        if record & PENDING != 0 {
            let what = format!("byte {byte} of shared memory is read while a copy to it is pending");
            return Problem::new(Kind::Pending, what);
        }
        if record & mask != mask {
            return Problem::new(Kind::Uninitialised, format!("byte {byte} of shared memory"));
        }
        let writer = (record >> WARP_AT) & 31;
        let what = format!(
            "byte {byte} of shared memory is read, which warp {writer} wrote with no barrier in between ({} so far)",
            epoch - 1
        );
        Problem::new(Kind::Race, what)
    }

    /// Lets a warp write; the caller fills the bytes that come back.
    #[inline(always)]
    pub fn write(&mut self, address: u64, bytes: u64, warp: u32) -> Checked<&mut [u8]> {
        let at = self.place(address, bytes)?;
        self.note_write(at, bytes, warp, 0)?;
        Ok(&mut self.bytes[at..at + bytes as usize])
    }

    #[inline(always)]
    fn note_write(&mut self, at: usize, bytes: u64, warp: u32, pending: u32) -> Checked<()> {
        let epoch = self.epoch;
        Self::each_word(at, bytes, |word, mask| {
            let (record, read) = (self.writes[word], self.reads[word]);
            let same_epoch = record >> EPOCH_AT == epoch;
            let same_warp = (record >> WARP_AT) & 31 == warp;
            let other_wrote = same_epoch && !same_warp && (record >> 4) & mask != 0;
            let other_read = read >> EPOCH_AT == epoch
                && read & mask & 15 != 0
                && (read & SEVERAL != 0 || (read >> WARP_AT) & 31 != warp);
            if record & PENDING != 0 || other_wrote || other_read {
                return Err(Self::bad_write(record, read, other_read, word));
            }
            let kept = if same_epoch && same_warp { record & 0xf0 } else { 0 };
            self.writes[word] =
                epoch << EPOCH_AT | warp << WARP_AT | pending | kept | mask << 4 | (record & 15) | mask;
            Ok(())
        })
    }

    #[cold]
    fn bad_write(record: u32, read: u32, other_read: bool, word: usize) -> Box<Problem> {
        let byte = word * 4;
        if record & PENDING != 0 {
            let what = format!("byte {byte} of shared memory is written while a copy to it is pending");
            return Problem::new(Kind::Pending, what);
        }
        let who = match (other_read, read & SEVERAL != 0) {
            (true, true) => "several warps read".to_owned(),
            (true, false) => format!("warp {} read", (read >> WARP_AT) & 31),
            _ => format!("warp {} wrote", (record >> WARP_AT) & 31),
        };
        let what = format!("byte {byte} of shared memory is written, which {who} with no barrier in between");
        Problem::new(Kind::Race, what)
    }

    /// The beginning of an asynchronous copy: nobody may touch the bytes until it is waited for.
    pub fn begin_copy(&mut self, address: u64, bytes: u64, warp: u32) -> Checked<()> {
        let at = self.place(address, bytes)?;
        self.note_write(at, bytes, warp, PENDING)?;
        self.bytes[at..at + bytes as usize].fill(POISON);
        Ok(())
    }

    /// Its end: the bytes are there, for the warp that waited, and for others past the next barrier.
    pub fn end_copy(&mut self, address: u64, data: &[u8], warp: u32) {
        let at = (address - u64::from(SHARED_START)) as usize;
        self.bytes[at..at + data.len()].copy_from_slice(data);
        for word in at / 4..(at + data.len()) / 4 {
            self.writes[word] = self.epoch << EPOCH_AT | warp << WARP_AT | 0xff;
        }
    }

    /// The place of a word for an atomic operation, which is no race with other atomic operations.
    pub fn atomic(&mut self, address: u64, bytes: u64) -> Checked<&mut [u8]> {
        let at = self.place(address, bytes)?;
        let words = at / 4..(at + bytes as usize) / 4;
        for word in words {
            let record = self.writes[word];
            if record & (PENDING | 15) != 15 {
                return Err(Self::bad_read(record, 15, word, self.epoch));
            }
        }
        Ok(&mut self.bytes[at..at + bytes as usize])
    }
}

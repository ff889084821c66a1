// SPDX-License-Identifier: MIT OR Apache-2.0

//! Races between the blocks of a launch: for each word of the card's memory, which block of the current launch wrote it
//! last, and which read it.

use std::sync::atomic::{AtomicU32, Ordering};

use super::memory::Memory;
use super::pages::Pages;
use super::report::{Checked, Kind, Problem};

/// Who accesses memory: the launch and block as the race records spell them, 0 where no record is kept.
#[derive(Debug, Clone, Copy)]
pub struct Accessor {
    tag: u32,
}

impl Accessor {
    #[inline(always)]
    pub fn is_nobody(self) -> bool {
        self.tag == 0
    }

    /// Leaves no record and meets none.
    pub const NOBODY: Self = Self { tag: 0 };
}

const STAMPS: u32 = 1 << 10;
const BLOCKS: u32 = (1 << 18) - 1;
/// In the place of a block: more than one of them.
const SEVERAL: u32 = BLOCKS << 4;

impl Memory {
    /// Begins a launch: what earlier ones wrote and read is no race with it.
    pub fn begin_launch(&mut self) {
        self.stamp += 1;
        if self.stamp == STAMPS {
            self.stamp = 1;
            self.writers
                .forget(0, self.next.next_multiple_of(4096).min(self.space));
            self.readers
                .forget(0, self.next.next_multiple_of(4096).min(self.space));
        }
    }

    /// The accessor of a block; past so many blocks some share a record, and races between those go unseen.
    pub fn accessor(&self, block: u64, checked: bool) -> Accessor {
        let block = (block % u64::from(BLOCKS)) as u32;
        Accessor {
            tag: if checked { self.stamp << 22 | block << 4 } else { 0 },
        }
    }

    #[inline(always)]
    pub fn each_word(&self, at: u64, bytes: u64, f: impl Fn(u64, u32) -> Checked<()>) -> Checked<()> {
        if bytes < 4 {
            return f(at / 4, ((1 << bytes) - 1) << (at % 4));
        }
        for word in at / 4..(at + bytes) / 4 {
            f(word, 15)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn record(pages: &Pages, word: u64) -> &AtomicU32 {
        // SAFETY: the word lies within the address space, for which there is a record each; records are atomics.
        unsafe { &*pages.start.add(word as usize * 4).cast::<AtomicU32>() }
    }

    #[inline(always)]
    pub fn note_read(&self, word: u64, mask: u32, who: Accessor, address: u64) -> Checked<()> {
        let written = Self::record(&self.writers, word).load(Ordering::Relaxed);
        if written & !15 != who.tag && written >> 22 == who.tag >> 22 && written & mask != 0 {
            return Err(Self::race("reads", "wrote", written, address));
        }
        let record = Self::record(&self.readers, word);
        let read = record.load(Ordering::Relaxed);
        let mine = if read & !15 == who.tag {
            read | mask
        } else if read >> 22 != who.tag >> 22 || read & mask == 0 && read & SEVERAL != SEVERAL {
            who.tag | mask
        } else if read & SEVERAL == SEVERAL {
            read
        } else {
            who.tag >> 22 << 22 | SEVERAL | (read & mask)
        };
        if mine != read {
            record.store(mine, Ordering::Relaxed);
        }
        Ok(())
    }

    #[inline(always)]
    pub fn note_write(&self, word: u64, mask: u32, who: Accessor, address: u64) -> Checked<()> {
        let record = Self::record(&self.writers, word);
        let written = record.load(Ordering::Relaxed);
        if written & !15 != who.tag && written >> 22 == who.tag >> 22 && written & mask != 0 {
            return Err(Self::race("writes", "wrote", written, address));
        }
        let read = Self::record(&self.readers, word).load(Ordering::Relaxed);
        if read & !15 != who.tag && read >> 22 == who.tag >> 22 && read & mask != 0 {
            return Err(Self::race("writes", "read", read, address));
        }
        let mine = if written & !15 == who.tag {
            written | mask
        } else {
            who.tag | mask
        };
        if mine != written {
            record.store(mine, Ordering::Relaxed);
        }
        Ok(())
    }

    #[cold]
    fn race(does: &str, did: &str, record: u32, address: u64) -> Box<Problem> {
        let other = match record & SEVERAL {
            SEVERAL => "several blocks".to_owned(),
            block => format!("block number {}", block >> 4),
        };
        let what = format!(
            "the block {does} {address:#x}, which {other} of the same launch {did}; no order is given"
        );
        Problem::new(Kind::Race, what)
    }
}

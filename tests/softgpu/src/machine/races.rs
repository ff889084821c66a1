// SPDX-License-Identifier: MIT OR Apache-2.0

//! Races: of each word, and of each byte where words are accessed in parts, who wrote it last and who read it, and
//! whether whoever comes now is ordered after that.
//!
//! A record is a number: 16 bits for the piece of work (a launch, a copy), 18 for the block in it, 5 for the warp, 20 for
//! the time of the block, see [`Order`](super::order::Order), and flags. One reader stands for all that came before it in
//! order; several without an order stand as such. Nothing depends on which of two unordered accesses comes first.

use std::sync::atomic::{AtomicU64, Ordering};

use super::order::{LAST_TIME, Turn};
use super::pages::Pages;

const TIME_AT: u32 = 5;
const WARP_AT: u32 = 25;
const BLOCK_AT: u32 = 30;
const WORK_AT: u32 = 48;
/// The bytes of the word have records of their own.
const SPLIT: u64 = 1;
/// More than one warp of the block, none of them ordered after another; the time is that of the first.
const SEVERAL_WARPS: u64 = 2;
/// More than one block of the launch.
const SEVERAL_BLOCKS: u64 = 4;
/// Atomic operations, which do not race with others of their kind.
const ATOMIC: u64 = 8;

/// Blocks of a launch that can be told apart; past them some share a record, and races between those go unseen.
const BLOCKS: u64 = 1 << (WORK_AT - BLOCK_AT);
/// Pieces of work that can be told apart.
pub const WORKS: usize = 1 << 16;

/// Who accesses memory.
#[derive(Debug, Clone, Copy)]
pub struct Accessor<'a> {
    /// As the records spell it, without flags; 0 where no record is kept.
    tag: u64,
    turn: &'a Turn,
}

impl<'a> Accessor<'a> {
    /// Leaves no record and meets none.
    pub const NOBODY: Self = Self {
        tag: 0,
        turn: &Turn::ALONE,
    };

    /// A warp of a block in a piece of work; nobody if the work has the number 0.
    #[inline(always)]
    pub fn new(work: u16, block: u64, turn: &'a Turn) -> Self {
        if turn.time == LAST_TIME || work == 0 {
            return Self::NOBODY;
        }
        let (work, block) = (u64::from(work) << WORK_AT, (block % BLOCKS) << BLOCK_AT);
        let (warp, time) = (u64::from(turn.warp) << WARP_AT, u64::from(turn.time) << TIME_AT);
        Self {
            tag: work | block | warp | time,
            turn,
        }
    }

    /// Who it is, to be told again by [`told`](Self::told).
    pub fn tag(self) -> u64 {
        self.tag
    }

    #[inline(always)]
    pub fn told(tag: u64, turn: &'a Turn) -> Self {
        Self { tag, turn }
    }

    #[inline(always)]
    pub fn is_nobody(self) -> bool {
        self.tag == 0
    }
}

/// Two accesses without an order: what the other one did, by its record.
#[derive(Debug, Clone, Copy)]
pub struct Clash {
    pub did: &'static str,
    record: u64,
    mine: u64,
}

impl Clash {
    /// Who the other one was, and what would have given an order.
    pub fn others(&self) -> String {
        let Self { record, mine, .. } = *self;
        let block = record >> BLOCK_AT & (BLOCKS - 1);
        if (record ^ mine) >> WORK_AT != 0 {
            "work in another stream".to_owned()
        } else if record & SEVERAL_BLOCKS != 0 {
            "several blocks of the same launch".to_owned()
        } else if (record ^ mine) >> BLOCK_AT != 0 {
            format!("block number {block} of the same launch")
        } else if record & SEVERAL_WARPS != 0 {
            "several warps of the block".to_owned()
        } else {
            format!("warp {} of the block", record >> WARP_AT & 31)
        }
    }

    /// What would have given an order.
    pub fn missing(&self) -> &'static str {
        if (self.record ^ self.mine) >> WORK_AT != 0 {
            "no event orders the two"
        } else if self.record & SEVERAL_BLOCKS != 0 || (self.record ^ self.mine) >> BLOCK_AT != 0 {
            "blocks have no order"
        } else {
            "with no barrier in between"
        }
    }
}

/// The records of a piece of memory, by word and by byte.
struct Ledger {
    words: Pages,
    bytes: Pages,
}

impl Ledger {
    fn new(bytes: usize) -> Option<Self> {
        Some(Self {
            words: Pages::new(bytes.next_multiple_of(4) * 2)?,
            bytes: Pages::new(bytes.next_multiple_of(4) * 8)?,
        })
    }

    fn of(pages: &Pages, at: u64) -> &AtomicU64 {
        // SAFETY: callers name places in the memory that the ledger was made for, each of which has a record; records are
        // atomics.
        unsafe { &*pages.start.add(at as usize * 8).cast::<AtomicU64>() }
    }

    #[inline(always)]
    fn word(&self, word: u64) -> &AtomicU64 {
        Self::of(&self.words, word)
    }

    #[inline(always)]
    fn byte(&self, at: u64) -> &AtomicU64 {
        Self::of(&self.bytes, at)
    }

    fn forget(&self, from: u64, bytes: u64) {
        self.words.fill(from / 4 * 8, bytes.div_ceil(4) * 8, 0);
        self.bytes.fill(from * 8, bytes * 8, 0);
    }
}

/// Work that has run but is not ordered before that which runs now.
struct Beside {
    some: bool,
    bits: Box<[u64; WORKS / 64]>,
}

impl Beside {
    fn holds(&self, record: u64) -> bool {
        let work = record >> WORK_AT;
        self.bits[work as usize / 64] >> (work % 64) & 1 == 1
    }
}

/// Who wrote and who read a piece of memory.
pub struct Races {
    writers: Ledger,
    readers: Ledger,
    beside: Beside,
}

impl Races {
    /// For so many bytes; None if there is no address space for it.
    pub fn new(bytes: usize) -> Option<Self> {
        Some(Self {
            writers: Ledger::new(bytes)?,
            readers: Ledger::new(bytes)?,
            beside: Beside {
                some: false,
                bits: Box::new([0; WORKS / 64]),
            },
        })
    }

    /// Forgets who came by these bytes.
    pub fn forget(&self, from: u64, bytes: u64) {
        self.writers.forget(from, bytes);
        self.readers.forget(from, bytes);
    }

    /// From now on these pieces of work race with whatever comes, and all others that are over do not.
    pub fn set_beside(&mut self, works: &[u16]) {
        if self.beside.some {
            self.beside.bits.fill(0);
        }
        self.beside.some = !works.is_empty();
        for work in works.iter().map(|work| usize::from(*work)) {
            self.beside.bits[work / 64] |= 1 << (work % 64);
        }
    }

    /// A lane reads bytes: aligned, and a power of two up to 16 of them, or whole words.
    #[inline]
    pub fn read(&self, at: u64, bytes: u64, who: Accessor) -> Result<(), Clash> {
        if bytes < 4 {
            return self.read_parts(at, bytes, who);
        }
        for word in at / 4..(at + bytes) / 4 {
            let written = self.writers.word(word).load(Ordering::Relaxed);
            if self.clashes(written, who) {
                return Err(clash("wrote", written, who));
            }
            if written & SPLIT != 0 {
                self.look_at_bytes(&self.writers, word, "wrote", who)?;
            }
            let cell = self.readers.word(word);
            let read = cell.load(Ordering::Relaxed);
            let now = joined(read, who);
            if now != read {
                let aside = self.set_aside(word, read, who);
                cell.store(now | aside, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Keeps the record of a reader of whom `who` comes beside, in those of the bytes, and returns the flag for that.
    #[inline(always)]
    fn set_aside(&self, word: u64, read: u64, who: Accessor) -> u64 {
        if !self.beside.some || (read ^ who.tag) >> WORK_AT == 0 || !self.beside.holds(read) {
            return 0;
        }
        for byte in 4 * word..4 * word + 4 {
            self.readers.byte(byte).store(read & !SPLIT, Ordering::Relaxed);
        }
        SPLIT
    }

    /// A lane writes bytes.
    #[inline]
    pub fn write(&self, at: u64, bytes: u64, who: Accessor) -> Result<(), Clash> {
        if bytes < 4 {
            return self.write_parts(at, bytes, who);
        }
        for word in at / 4..(at + bytes) / 4 {
            let cell = self.writers.word(word);
            let written = cell.load(Ordering::Relaxed);
            if self.clashes(written, who) {
                return Err(clash("wrote", written, who));
            }
            let read = self.readers.word(word).load(Ordering::Relaxed);
            if self.clashes(read, who) {
                return Err(clash("read", read, who));
            }
            if (written | read) & SPLIT != 0 {
                self.look_at_bytes(&self.writers, word, "wrote", who)?;
                self.look_at_bytes(&self.readers, word, "read", who)?;
            }
            // Whoever is ordered after this is ordered after all that was looked at.
            cell.store(who.tag, Ordering::Relaxed);
        }
        Ok(())
    }

    /// A lane changes whole words in one step.
    pub fn change(&self, at: u64, bytes: u64, who: Accessor) -> Result<(), Clash> {
        for word in at / 4..(at + bytes) / 4 {
            let cell = self.writers.word(word);
            let written = cell.load(Ordering::Relaxed);
            if written & ATOMIC == 0 && self.clashes(written, who) {
                return Err(clash("wrote", written, who));
            }
            let read = self.readers.word(word).load(Ordering::Relaxed);
            if self.clashes(read, who) {
                return Err(clash("read", read, who));
            }
            self.look_at_bytes(&self.writers, word, "wrote", who)?;
            self.look_at_bytes(&self.readers, word, "read", who)?;
            let before = if written & ATOMIC != 0 {
                written & !SPLIT
            } else {
                0
            };
            cell.store(joined(before, who) | ATOMIC, Ordering::Relaxed);
        }
        Ok(())
    }

    #[cold]
    fn read_parts(&self, at: u64, bytes: u64, who: Accessor) -> Result<(), Clash> {
        let written = self.writers.word(at / 4).load(Ordering::Relaxed);
        if self.clashes(written, who) {
            return Err(clash("wrote", written, who));
        }
        self.readers.word(at / 4).fetch_or(SPLIT, Ordering::Relaxed);
        for byte in at..at + bytes {
            let written = self.writers.byte(byte).load(Ordering::Relaxed);
            if self.clashes(written, who) {
                return Err(clash("wrote", written, who));
            }
            let cell = self.readers.byte(byte);
            cell.store(joined(cell.load(Ordering::Relaxed), who), Ordering::Relaxed);
        }
        Ok(())
    }

    #[cold]
    fn write_parts(&self, at: u64, bytes: u64, who: Accessor) -> Result<(), Clash> {
        for (ledger, did) in [(&self.writers, "wrote"), (&self.readers, "read")] {
            let record = ledger.word(at / 4).load(Ordering::Relaxed);
            if self.clashes(record, who) {
                return Err(clash(did, record, who));
            }
            for byte in at..at + bytes {
                let record = ledger.byte(byte).load(Ordering::Relaxed);
                if self.clashes(record, who) {
                    return Err(clash(did, record, who));
                }
            }
        }
        self.writers.word(at / 4).fetch_or(SPLIT, Ordering::Relaxed);
        for byte in at..at + bytes {
            self.writers.byte(byte).store(who.tag, Ordering::Relaxed);
        }
        Ok(())
    }

    #[cold]
    fn look_at_bytes(
        &self,
        ledger: &Ledger,
        word: u64,
        did: &'static str,
        who: Accessor,
    ) -> Result<(), Clash> {
        for byte in 4 * word..4 * word + 4 {
            let record = ledger.byte(byte).load(Ordering::Relaxed);
            if self.clashes(record, who) {
                return Err(clash(did, record, who));
            }
        }
        Ok(())
    }

    /// Whether a record is of somebody who is not ordered before `who`.
    #[inline(always)]
    fn clashes(&self, record: u64, who: Accessor) -> bool {
        let apart = record ^ who.tag;
        if apart >> WORK_AT != 0 {
            return self.beside.some && self.beside.holds(record);
        }
        (apart >> TIME_AT != 0 || record & SEVERAL_WARPS != 0) && unordered(record, who)
    }
}

/// Whether an access is not ordered before `who`, in the same piece of work.
fn unordered(record: u64, who: Accessor) -> bool {
    let apart = record ^ who.tag;
    if record & SEVERAL_BLOCKS != 0 || apart >> BLOCK_AT != 0 {
        return true;
    }
    let time = time_of(record);
    if record & SEVERAL_WARPS != 0 {
        return time >= who.turn.greatest;
    }
    apart >> WARP_AT != 0 && time >= who.turn.seen[(record >> WARP_AT & 31) as usize]
}

fn time_of(record: u64) -> u32 {
    (record >> TIME_AT) as u32 & LAST_TIME
}

#[cold]
fn clash(did: &'static str, record: u64, who: Accessor) -> Clash {
    Clash {
        did,
        record,
        mine: who.tag,
    }
}

/// The record of those who came and of `who`, which comes now.
#[inline(always)]
fn joined(record: u64, who: Accessor) -> u64 {
    if (record ^ who.tag) >> TIME_AT == 0 {
        return record;
    }
    joined_with_another(record, who)
}

fn joined_with_another(record: u64, who: Accessor) -> u64 {
    let apart = record ^ who.tag;
    let mine = who.tag | record & SPLIT;
    if apart >> WORK_AT != 0 {
        return mine;
    }
    if record & SEVERAL_BLOCKS != 0 {
        return record;
    }
    if apart >> BLOCK_AT != 0 {
        return record | SEVERAL_BLOCKS;
    }
    let time = time_of(record);
    if record & SEVERAL_WARPS != 0 {
        return if time < who.turn.least { mine } else { record };
    }
    let ordered = apart >> WARP_AT == 0 || time < who.turn.seen[(record >> WARP_AT & 31) as usize];
    if ordered { mine } else { record | SEVERAL_WARPS }
}

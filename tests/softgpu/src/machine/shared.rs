// SPDX-License-Identifier: MIT OR Apache-2.0

//! The shared memory of a block. Each word remembers which of its bytes were written and whether an asynchronous copy to
//! it is pending; who wrote and read it is recorded as that of the card's memory is.

use super::SHARED_START;
use super::order::Turn;
use super::races::{Accessor, Clash, Races, WORKS};
use super::report::{Checked, Kind, Problem};

const PENDING: u8 = 1 << 4;
const ALL: u8 = 15;

/// What an asynchronous copy leaves until it is waited for.
const POISON: u8 = 0xff;

pub struct Shared {
    bytes: Vec<u8>,
    /// By word: pending, bytes ever written.
    state: Vec<u8>,
    /// None where there is no address space for records: then races go unseen.
    races: Option<Races>,
    /// Counts the blocks that have had this memory, so that their records need not be cleared.
    run: u16,
    /// The turn of the warp that runs, and its name in the records.
    turn: Turn,
    tag: u64,
}

impl Shared {
    pub fn new(size: usize) -> Self {
        let words = size.div_ceil(4);
        Self {
            bytes: vec![0; words * 4],
            state: vec![0; words],
            races: if words > 0 { Races::new(words * 4) } else { None },
            run: 0,
            turn: Turn::ALONE,
            tag: 0,
        }
    }

    /// For the next block: nothing is written, nobody has come by.
    pub fn clear(&mut self) {
        self.state.fill(0);
        if usize::from(self.run) == WORKS - 1 {
            self.run = 0;
            if let Some(races) = &self.races {
                races.forget(0, self.bytes.len() as u64);
            }
        }
        self.run += 1;
    }

    /// The accesses that follow are those of a warp between two of its barriers.
    pub fn begin_turn(&mut self, turn: &Turn) {
        self.turn = turn.clone();
        self.tag = Accessor::new(self.run, 0, turn).tag();
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

    /// Runs a check of the records for the warp that runs.
    #[inline(always)]
    fn recorded(
        &self,
        does: &str,
        at: usize,
        check: impl FnOnce(&Races, Accessor) -> Result<(), Clash>,
    ) -> Checked<()> {
        let Some(races) = &self.races else { return Ok(()) };
        let who = Accessor::told(self.tag, &self.turn);
        if who.is_nobody() {
            return Ok(());
        }
        check(races, who).map_err(|clash| {
            let (others, did, missing) = (clash.others(), clash.did, clash.missing());
            let what = format!("this {does} byte {at} of shared memory, which {others} {did} {missing}");
            Problem::new(Kind::Race, what)
        })
    }

    /// Whether bytes of a word are written, and no copy to it is pending.
    #[inline(always)]
    fn is_there(&self, at: usize, bytes: u64) -> Checked<()> {
        if bytes < 4 {
            return self.has(at / 4, ((1u8 << bytes) - 1) << (at % 4));
        }
        (at / 4..(at + bytes as usize) / 4).try_for_each(|word| self.has(word, ALL))
    }

    #[inline(always)]
    fn has(&self, word: usize, mask: u8) -> Checked<()> {
        if self.state[word] & (PENDING | mask) == mask {
            Ok(())
        } else {
            Err(self.lacking(word))
        }
    }

    #[cold]
    fn lacking(&self, word: usize) -> Box<Problem> {
        let byte = word * 4;
        if self.state[word] & PENDING != 0 {
            let what = format!("byte {byte} of shared memory is read while a copy to it is pending");
            return Problem::new(Kind::Pending, what);
        }
        Problem::new(Kind::Uninitialised, format!("byte {byte} of shared memory"))
    }

    /// The bytes at an address that a warp reads; a power of two up to 16 of them.
    #[inline(always)]
    pub fn read(&mut self, address: u64, bytes: u64, warp: u32) -> Checked<&[u8]> {
        debug_assert_eq!(warp, self.turn.warp);
        let at = self.place(address, bytes)?;
        self.is_there(at, bytes)?;
        self.recorded("reads", at, |races, who| races.read(at as u64, bytes, who))?;
        Ok(&self.bytes[at..at + bytes as usize])
    }

    /// Lets a warp write; the caller fills the bytes that come back.
    #[inline(always)]
    pub fn write(&mut self, address: u64, bytes: u64, warp: u32) -> Checked<&mut [u8]> {
        debug_assert_eq!(warp, self.turn.warp);
        let at = self.place(address, bytes)?;
        self.note_write(at, bytes, 0)?;
        Ok(&mut self.bytes[at..at + bytes as usize])
    }

    #[inline(always)]
    fn note_write(&mut self, at: usize, bytes: u64, pending: u8) -> Checked<()> {
        let mask = if bytes < 4 {
            ((1u8 << bytes) - 1) << (at % 4)
        } else {
            ALL
        };
        for word in at / 4..(at + bytes as usize).div_ceil(4) {
            if self.state[word] & PENDING != 0 {
                let byte = word * 4;
                let what = format!("byte {byte} of shared memory is written while a copy to it is pending");
                return Err(Problem::new(Kind::Pending, what));
            }
            self.state[word] |= mask | pending;
        }
        self.recorded("writes", at, |races, who| races.write(at as u64, bytes, who))
    }

    /// The beginning of an asynchronous copy: nobody may touch the bytes until it is waited for.
    pub fn begin_copy(&mut self, address: u64, bytes: u64, warp: u32) -> Checked<()> {
        debug_assert_eq!(warp, self.turn.warp);
        let at = self.place(address, bytes)?;
        self.note_write(at, bytes, PENDING)?;
        self.bytes[at..at + bytes as usize].fill(POISON);
        Ok(())
    }

    /// Its end: the bytes are there, for the warp that waited, and for others past the next barrier.
    pub fn end_copy(&mut self, address: u64, data: &[u8], warp: u32) {
        debug_assert_eq!(warp, self.turn.warp);
        let at = (address - u64::from(SHARED_START)) as usize;
        self.bytes[at..at + data.len()].copy_from_slice(data);
        for word in at / 4..(at + data.len()) / 4 {
            self.state[word] = ALL;
        }
        // Nobody else can have come by: a pending copy keeps everybody away.
        let written = self.recorded("writes", at, |races, who| {
            races.write(at as u64, data.len() as u64, who)
        });
        debug_assert!(written.is_ok(), "{written:?}");
    }

    /// The place of words for an atomic operation, which is no race with other atomic operations.
    pub fn atomic(&mut self, address: u64, bytes: u64, warp: u32) -> Checked<&mut [u8]> {
        debug_assert_eq!(warp, self.turn.warp);
        let at = self.place(address, bytes)?;
        self.is_there(at, bytes)?;
        self.recorded("changes", at, |races, who| races.change(at as u64, bytes, who))?;
        Ok(&mut self.bytes[at..at + bytes as usize])
    }
}

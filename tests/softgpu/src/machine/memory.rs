// SPDX-License-Identifier: MIT OR Apache-2.0

//! The memory of the card and its shadow: for each byte whether it belongs to anybody and whether it was written, and who
//! wrote and read it last.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use super::DEVICE_BASE;
use super::order::Turn;
use super::pages::Pages;
use super::races::{Accessor, Clash, Races, WORKS};
use super::report::{Checked, Kind, Problem};

/// Bytes between two allocations that belong to nobody.
const RED_ZONE: u64 = 512;
const ALIGN: u64 = 512;
/// So much more address space than memory, so that freed memory is not handed out again soon.
const ROOM: u64 = 8;

pub const VALID: u8 = 1;
const WRITTEN: u8 = 2;
pub const READABLE: u8 = VALID | WRITTEN;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreeError {
    NeverAllocated,
    Twice,
}

#[derive(Debug, Clone, Copy)]
struct Freed {
    bytes: u64,
}

pub struct Memory {
    pub data: Pages,
    pub state: Pages,
    pub races: Races,
    /// Bytes of address space, and of memory that the card has.
    pub space: u64,
    capacity: u64,
    used: u64,
    /// The most that was used at a time since `forget_peak`.
    peak: u64,
    next: u64,
    live: BTreeMap<u64, u64>,
    freed: BTreeMap<u64, Freed>,
    /// The piece of work that is running, as the records of races call it.
    work: u16,
}

impl Memory {
    pub fn new(capacity: u64) -> Option<Self> {
        let space = capacity * ROOM;
        Some(Self {
            data: Pages::new(space as usize)?,
            state: Pages::new(space as usize)?,
            races: Races::new(space as usize)?,
            space,
            capacity,
            used: 0,
            peak: 0,
            next: RED_ZONE,
            live: BTreeMap::new(),
            freed: BTreeMap::new(),
            work: 0,
        })
    }

    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    pub fn used(&self) -> u64 {
        self.used
    }

    pub fn peak(&self) -> u64 {
        self.peak
    }

    pub fn forget_peak(&mut self) {
        self.peak = self.used;
    }

    /// Begins a piece of work beside which nothing runs; whether all records had to be forgotten, see `begin_work`.
    pub fn begin_launch(&mut self) -> bool {
        let (_, is_spent) = self.begin_work();
        self.races.set_beside(&[]);
        is_spent
    }

    /// Begins a piece of work: its number, and whether the records of all others had to be forgotten because the numbers have
    /// come to their end.
    pub fn begin_work(&mut self) -> (u16, bool) {
        let is_spent = usize::from(self.work) == WORKS - 1;
        if is_spent {
            self.races
                .forget(0, self.next.next_multiple_of(4096).min(self.space));
            self.work = 0;
        }
        self.work += 1;
        (self.work, is_spent)
    }

    /// A warp of a block in the work that is running.
    pub fn accessor<'a>(&self, block: u64, turn: &'a Turn) -> Accessor<'a> {
        Accessor::new(self.work, block, turn)
    }

    /// Addresses and sizes of what is allocated.
    pub fn live(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.live.iter().map(|(at, bytes)| (at + DEVICE_BASE, *bytes))
    }

    /// An address for so many bytes, or None if the card is full.
    pub fn allocate(&mut self, bytes: u64) -> Option<u64> {
        if bytes == 0 || self.used.checked_add(bytes)? > self.capacity {
            return None;
        }
        let step = (bytes + RED_ZONE).next_multiple_of(ALIGN);
        let at = if self.next + step <= self.space {
            let at = self.next;
            self.next += step;
            at
        } else {
            self.reuse(step)?
        };
        self.state.fill(at, bytes, VALID);
        self.live.insert(at, bytes);
        self.used += bytes;
        self.peak = self.peak.max(self.used);
        Some(at + DEVICE_BASE)
    }

    /// When the address space is spent: the oldest gap between live allocations that is large enough.
    fn reuse(&mut self, step: u64) -> Option<u64> {
        let mut from = RED_ZONE;
        let mut found = None;
        for (at, bytes) in &self.live {
            if at.saturating_sub(from) >= step {
                found = Some(from);
                break;
            }
            from = (at + bytes + RED_ZONE).next_multiple_of(ALIGN);
        }
        let at = found.or((self.space - from >= step).then_some(from))?;
        let gone: Vec<u64> = self.freed.range(..at + step).map(|(start, _)| *start).collect();
        for start in gone {
            if self.freed[&start].bytes + start > at {
                self.freed.remove(&start);
            }
        }
        Some(at)
    }

    pub fn free(&mut self, address: u64) -> Result<u64, FreeError> {
        let at = address.wrapping_sub(DEVICE_BASE);
        let Some(bytes) = self.live.remove(&at) else {
            return Err(if self.freed.contains_key(&at) {
                FreeError::Twice
            } else {
                FreeError::NeverAllocated
            });
        };
        for pages in [&self.state, &self.data] {
            pages.fill(at, bytes, 0);
        }
        self.races.forget(at, bytes);
        self.freed.insert(at, Freed { bytes });
        self.used -= bytes;
        Ok(bytes)
    }

    pub fn offset(&self, address: u64, bytes: u64) -> Checked<u64> {
        let at = address.wrapping_sub(DEVICE_BASE);
        if at < self.space && at + bytes <= self.space {
            Ok(at)
        } else {
            Err(self.describe(address, bytes))
        }
    }

    /// Where the bytes of the card lie in this process.
    #[inline(always)]
    pub fn pointer(&self, address: u64) -> *mut u8 {
        self.data
            .start
            .wrapping_add(address.wrapping_sub(DEVICE_BASE) as usize)
    }

    /// Says whose memory an address is near to.
    #[cold]
    fn describe(&self, address: u64, bytes: u64) -> Box<Problem> {
        let at = address.wrapping_sub(DEVICE_BASE);
        if let Some((start, freed)) = self.freed.range(..=at).next_back()
            && at < start + freed.bytes
        {
            let what = format!(
                "{bytes} bytes at {address:#x}, byte {} of {} that were freed",
                at - start,
                freed.bytes
            );
            return Problem::new(Kind::UseAfterFree, what);
        }
        if address.wrapping_sub(DEVICE_BASE) >= self.space {
            let what = format!("{bytes} bytes at {address:#x}, which is no memory of the card");
            return Problem::new(Kind::OutOfBounds, what);
        }
        let before = self.live.range(..=at).next_back();
        let after = self.live.range(at..).next();
        let what = match (before, after) {
            (Some((start, size)), _) if at - start < size + (1 << 20) => {
                format!(
                    "{bytes} bytes at {address:#x}, byte {} of an allocation of {size}",
                    at - start
                )
            }
            (_, Some((start, size))) => {
                format!(
                    "{bytes} bytes at {address:#x}, {} before an allocation of {size}",
                    start - at
                )
            }
            _ => format!("{bytes} bytes at {address:#x}, far from any allocation"),
        };
        Problem::new(Kind::OutOfBounds, what)
    }

    #[cold]
    pub fn explain(&self, address: u64, bytes: u64, at: u64) -> Box<Problem> {
        // SAFETY: the caller checked that the range lies within the mapping.
        let state = unsafe { std::slice::from_raw_parts(self.state.start.add(at as usize), bytes as usize) };
        if state.iter().any(|state| state & VALID == 0) {
            return self.describe(address, bytes);
        }
        let first = state.iter().position(|state| state & WRITTEN == 0).unwrap_or(0);
        let (start, size) = self
            .live
            .range(..=at)
            .next_back()
            .map_or((0, 0), |(start, size)| (*start, *size));
        let what = format!(
            "{bytes} bytes at {address:#x}; byte {} of an allocation of {size} was never written",
            at - start + first as u64
        );
        Problem::new(Kind::Uninitialised, what)
    }

    #[inline(always)]
    fn all(&self, at: u64, bytes: u64, flags: u8) -> bool {
        let start = self.state.start.wrapping_add(at as usize);
        let pattern = u64::from(flags) * 0x0101_0101_0101_0101;
        // SAFETY: the caller checked that the range lies within the mapping and is aligned to its size, which is a
        // power of two up to 16.
        unsafe {
            match bytes {
                1 => (*start.cast::<AtomicU8>()).load(Ordering::Relaxed) & flags == flags,
                2 => {
                    u64::from((*start.cast::<AtomicU16>()).load(Ordering::Relaxed)) & pattern
                        == pattern & 0xffff
                }
                4 => {
                    u64::from((*start.cast::<AtomicU32>()).load(Ordering::Relaxed)) & pattern
                        == pattern & 0xffff_ffff
                }
                _ => {
                    let first = (*start.cast::<AtomicU64>()).load(Ordering::Relaxed) & pattern == pattern;
                    let second = start.wrapping_add(8).cast::<AtomicU64>();
                    first && (bytes == 8 || (*second).load(Ordering::Relaxed) & pattern == pattern)
                }
            }
        }
    }

    #[inline(always)]
    fn place(&self, address: u64, bytes: u64) -> Checked<u64> {
        let at = address.wrapping_sub(DEVICE_BASE);
        if at >= self.space - 16 {
            return Err(self.describe(address, bytes));
        }
        if address & (bytes - 1) != 0 {
            return Err(Problem::new(
                Kind::Misaligned,
                format!("{bytes} bytes at {address:#x}"),
            ));
        }
        Ok(at)
    }

    /// Whether a lane may read so many bytes (a power of two up to 16).
    #[inline(always)]
    pub fn check_read(&self, address: u64, bytes: u64, who: Accessor) -> Checked<()> {
        let at = self.place(address, bytes)?;
        if !self.all(at, bytes, READABLE) {
            return Err(self.explain(address, bytes, at));
        }
        if who.is_nobody() {
            return Ok(());
        }
        self.races
            .read(at, bytes, who)
            .map_err(|clash| race("reads", address, clash))
    }

    /// Whether 32 lanes may read so many bytes each, one behind the other. Where not, asking lane by lane says why.
    #[inline(always)]
    pub fn may_read_row(&self, address: u64, bytes: u64, who: Accessor) -> bool {
        let whole = bytes * 32;
        let at = address.wrapping_sub(DEVICE_BASE);
        if at >= self.space - whole || address & (bytes - 1) != 0 {
            return false;
        }
        // SAFETY: the range lies within the mapping; the shadow may change meanwhile only from valid to written.
        let state = unsafe { std::slice::from_raw_parts(self.state.start.add(at as usize), whole as usize) };
        let together = state.iter().fold(READABLE, |all, state| all & state);
        if together & READABLE != READABLE {
            return false;
        }
        // Records go by words; rows of less than a word a lane are left to the lanes.
        who.is_nobody() || (bytes >= 4 && self.races.read(at, whole, who).is_ok())
    }

    /// Whether a lane may write so many bytes; they count as written from now on.
    #[inline(always)]
    pub fn check_write(&self, address: u64, bytes: u64, who: Accessor) -> Checked<()> {
        let at = self.place(address, bytes)?;
        if !self.all(at, bytes, READABLE) {
            if !self.all(at, bytes, VALID) {
                return Err(self.explain(address, bytes, at));
            }
            for byte in at..at + bytes {
                // SAFETY: within the mapping, as checked by `place`.
                unsafe {
                    (*self.state.start.add(byte as usize).cast::<AtomicU8>())
                        .store(READABLE, Ordering::Relaxed)
                };
            }
        }
        if who.is_nobody() {
            return Ok(());
        }
        self.races
            .write(at, bytes, who)
            .map_err(|clash| race("writes", address, clash))
    }

    /// Whether a lane may change so many bytes, 4 or 8, in one step.
    pub fn check_change(&self, address: u64, bytes: u64, who: Accessor) -> Checked<()> {
        self.check_read(address, bytes, Accessor::NOBODY)?;
        if who.is_nobody() {
            return Ok(());
        }
        self.races
            .change(address - DEVICE_BASE, bytes, who)
            .map_err(|clash| race("changes", address, clash))
    }
}

#[cold]
pub fn race(does: &str, address: u64, clash: Clash) -> Box<Problem> {
    let (others, did, missing) = (clash.others(), clash.did, clash.missing());
    let what = format!("this {does} {address:#x}, which {others} {did}; {missing}");
    Problem::new(Kind::Race, what)
}

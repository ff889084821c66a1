// SPDX-License-Identifier: MIT OR Apache-2.0

//! The memory of the card and its shadow: for each byte whether it belongs to anybody and whether it was written, for
//! each word which block of the current launch wrote and read it last.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use super::DEVICE_BASE;
use super::report::{Checked, Kind, Problem};

/// Bytes between two allocations that belong to nobody.
const RED_ZONE: u64 = 512;
const ALIGN: u64 = 512;
/// So much more address space than memory, so that freed memory is not handed out again soon.
const ROOM: u64 = 8;

const VALID: u8 = 1;
const WRITTEN: u8 = 2;
const READABLE: u8 = VALID | WRITTEN;

/// Pages of this process that cost nothing until they are touched.
struct Pages {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: plain memory; who touches what when is the business of the methods below.
unsafe impl Send for Pages {}
// SAFETY: as above; shadows are touched with atomics, and data as the kernels of the user do it on a card.
unsafe impl Sync for Pages {}

impl Pages {
    fn new(bytes: usize) -> Option<Self> {
        // SAFETY: an anonymous mapping at no fixed address disturbs nothing.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        (start != libc::MAP_FAILED).then_some(Self { start: start.cast(), bytes })
    }

    /// Makes whole pages in a range zero again and gives them back.
    fn forget(&self, from: u64, bytes: u64) {
        let page = 4096;
        let first = from.next_multiple_of(page);
        let last = (from + bytes) / page * page;
        if last > first {
            // SAFETY: the range lies within the mapping, at page boundaries.
            unsafe { libc::madvise(self.start.add(first as usize).cast(), (last - first) as usize, libc::MADV_DONTNEED) };
        }
    }

    /// Fills a range, giving whole pages back where the value is zero.
    fn fill(&self, from: u64, bytes: u64, value: u8) {
        if value == 0 && bytes >= 1 << 16 {
            self.forget(from, bytes);
            let (head, tail) = (from.next_multiple_of(4096), (from + bytes) / 4096 * 4096);
            self.fill(from, head - from, 0);
            self.fill(tail, from + bytes - tail, 0);
            return;
        }
        // SAFETY: callers name ranges of allocations, which lie within the mapping.
        unsafe { self.start.add(from as usize).write_bytes(value, bytes as usize) };
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` and is used by nobody any more.
        unsafe { libc::munmap(self.start.cast(), self.bytes) };
    }
}

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
    data: Pages,
    state: Pages,
    writers: Pages,
    readers: Pages,
    /// Bytes of address space, and of memory that the card has.
    space: u64,
    capacity: u64,
    used: u64,
    next: u64,
    live: BTreeMap<u64, u64>,
    freed: BTreeMap<u64, Freed>,
    /// Which launch the records of writers and readers belong to.
    stamp: u32,
}

/// Who accesses memory: the launch and block as the race records spell them, 0 where no record is kept.
#[derive(Debug, Clone, Copy)]
pub struct Accessor {
    tag: u32,
}

const STAMPS: u32 = 1 << 10;
const BLOCKS: u32 = (1 << 18) - 1;
/// In the place of a block: more than one of them.
const SEVERAL: u32 = BLOCKS << 4;

impl Memory {
    pub fn new(capacity: u64) -> Option<Self> {
        let space = capacity * ROOM;
        Some(Self {
            data: Pages::new(space as usize)?,
            state: Pages::new(space as usize)?,
            writers: Pages::new(space as usize)?,
            readers: Pages::new(space as usize)?,
            space,
            capacity,
            used: 0,
            next: RED_ZONE,
            live: BTreeMap::new(),
            freed: BTreeMap::new(),
            stamp: 0,
        })
    }

    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    pub fn used(&self) -> u64 {
        self.used
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
            return Err(if self.freed.contains_key(&at) { FreeError::Twice } else { FreeError::NeverAllocated });
        };
        for pages in [&self.state, &self.data, &self.writers, &self.readers] {
            pages.fill(at, bytes, 0);
        }
        self.freed.insert(at, Freed { bytes });
        self.used -= bytes;
        Ok(bytes)
    }

    /// Begins a launch: what earlier ones wrote and read is no race with it.
    pub fn begin_launch(&mut self) {
        self.stamp += 1;
        if self.stamp == STAMPS {
            self.stamp = 1;
            self.writers.forget(0, self.next.next_multiple_of(4096).min(self.space));
            self.readers.forget(0, self.next.next_multiple_of(4096).min(self.space));
        }
    }

    /// The accessor of a block; past so many blocks some share a record, and races between those go unseen.
    pub fn accessor(&self, block: u64, checked: bool) -> Accessor {
        let block = (block % u64::from(BLOCKS)) as u32;
        Accessor { tag: if checked { self.stamp << 22 | block << 4 } else { 0 } }
    }

    fn offset(&self, address: u64, bytes: u64) -> Checked<u64> {
        let at = address.wrapping_sub(DEVICE_BASE);
        if at < self.space && at + bytes <= self.space { Ok(at) } else { Err(self.describe(address, bytes)) }
    }

    /// Where the bytes of the card lie in this process.
    #[inline(always)]
    pub fn pointer(&self, address: u64) -> *mut u8 {
        self.data.start.wrapping_add(address.wrapping_sub(DEVICE_BASE) as usize)
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
                format!("{bytes} bytes at {address:#x}, byte {} of an allocation of {size}", at - start)
            }
            (_, Some((start, size))) => {
                format!("{bytes} bytes at {address:#x}, {} before an allocation of {size}", start - at)
            }
            _ => format!("{bytes} bytes at {address:#x}, far from any allocation"),
        };
        Problem::new(Kind::OutOfBounds, what)
    }

    #[cold]
    fn explain(&self, address: u64, bytes: u64, at: u64) -> Box<Problem> {
        // SAFETY: the caller checked that the range lies within the mapping.
        let state = unsafe { std::slice::from_raw_parts(self.state.start.add(at as usize), bytes as usize) };
        if state.iter().any(|state| state & VALID == 0) {
            return self.describe(address, bytes);
        }
        let first = state.iter().position(|state| state & WRITTEN == 0).unwrap_or(0);
        let (start, size) = self.live.range(..=at).next_back().map_or((0, 0), |(start, size)| (*start, *size));
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
                2 => u64::from((*start.cast::<AtomicU16>()).load(Ordering::Relaxed)) & pattern == pattern & 0xffff,
                4 => u64::from((*start.cast::<AtomicU32>()).load(Ordering::Relaxed)) & pattern == pattern & 0xffff_ffff,
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
            return Err(Problem::new(Kind::Misaligned, format!("{bytes} bytes at {address:#x}")));
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
        if who.tag == 0 {
            return Ok(());
        }
        self.each_word(at, bytes, |word, mask| self.note_read(word, mask, who, address))
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
                unsafe { (*self.state.start.add(byte as usize).cast::<AtomicU8>()).store(READABLE, Ordering::Relaxed) };
            }
        }
        if who.tag == 0 {
            return Ok(());
        }
        self.each_word(at, bytes, |word, mask| self.note_write(word, mask, who, address))
    }

    #[inline(always)]
    fn each_word(&self, at: u64, bytes: u64, f: impl Fn(u64, u32) -> Checked<()>) -> Checked<()> {
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
    fn note_read(&self, word: u64, mask: u32, who: Accessor, address: u64) -> Checked<()> {
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
    fn note_write(&self, word: u64, mask: u32, who: Accessor, address: u64) -> Checked<()> {
        let record = Self::record(&self.writers, word);
        let written = record.load(Ordering::Relaxed);
        if written & !15 != who.tag && written >> 22 == who.tag >> 22 && written & mask != 0 {
            return Err(Self::race("writes", "wrote", written, address));
        }
        let read = Self::record(&self.readers, word).load(Ordering::Relaxed);
        if read & !15 != who.tag && read >> 22 == who.tag >> 22 && read & mask != 0 {
            return Err(Self::race("writes", "read", read, address));
        }
        let mine = if written & !15 == who.tag { written | mask } else { who.tag | mask };
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
        let what = format!("the block {does} {address:#x}, which {other} of the same launch {did}; no order is given");
        Problem::new(Kind::Race, what)
    }

    /// Copies from the host, and counts the bytes as written.
    pub fn upload(&self, to: u64, bytes: &[u8]) -> Checked<()> {
        self.fill_with(to, bytes.len() as u64, |pointer| {
            // SAFETY: `fill_with` checked that the destination belongs to allocations, and host memory lies elsewhere.
            unsafe { pointer.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        })
    }

    pub fn set(&self, to: u64, value: u8, bytes: u64) -> Checked<()> {
        self.fill_with(to, bytes, |pointer| {
            // SAFETY: as in `upload`.
            unsafe { pointer.write_bytes(value, bytes as usize) };
        })
    }

    fn fill_with(&self, to: u64, bytes: u64, write: impl Fn(*mut u8)) -> Checked<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.check_range(to, bytes, VALID)?;
        write(self.pointer(to));
        self.state.fill(to - DEVICE_BASE, bytes, READABLE);
        Ok(())
    }

    /// Copies to the host; bytes that nothing wrote are an error.
    ///
    /// # Safety
    /// `to` must be good for writes of so many bytes.
    pub unsafe fn download(&self, from: u64, to: *mut u8, bytes: u64) -> Checked<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.check_range(from, bytes, READABLE)?;
        // SAFETY: the source was checked, the destination is the caller's promise.
        unsafe { to.copy_from_nonoverlapping(self.pointer(from), bytes as usize) };
        Ok(())
    }

    /// Copies within the card, and what is known about each byte with it.
    pub fn copy(&self, from: u64, to: u64, bytes: u64) -> Checked<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.check_range(from, bytes, VALID)?;
        self.check_range(to, bytes, VALID)?;
        if from < to + bytes && to < from + bytes {
            let what = format!("a copy of {bytes} bytes from {from:#x} to {to:#x} overlaps itself");
            return Err(Problem::new(Kind::OutOfBounds, what));
        }
        for pages in [&self.data, &self.state] {
            // SAFETY: both ranges lie within allocations and do not overlap.
            unsafe {
                let start = pages.start;
                let source = start.add((from - DEVICE_BASE) as usize);
                source.copy_to_nonoverlapping(start.add((to - DEVICE_BASE) as usize), bytes as usize);
            }
        }
        Ok(())
    }

    /// Whether a range has the flags in all of its bytes.
    fn check_range(&self, from: u64, bytes: u64, flags: u8) -> Checked<()> {
        let at = self.offset(from, bytes)?;
        // SAFETY: `offset` checked that the range lies within the mapping.
        let state = unsafe { std::slice::from_raw_parts(self.state.start.add(at as usize), bytes as usize) };
        match state.iter().position(|state| state & flags != flags) {
            None => Ok(()),
            Some(first) => {
                let rest = state.len() - first;
                Err(self.explain(from + first as u64, rest.min(1) as u64, at + first as u64))
            }
        }
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Copies between the host and the card and within it, and what they say about the bytes.

use super::DEVICE_BASE;
use super::memory::{Memory, READABLE, VALID, race};
use super::order::Turn;
use super::races::{Accessor, Clash, Races};
use super::report::{Checked, Kind, Problem};

impl Memory {
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
        self.recorded("writes", to, bytes, |races, at, bytes, who| {
            races.write(at, bytes, who)
        })?;
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
        self.recorded("reads", from, bytes, |races, at, bytes, who| {
            races.read(at, bytes, who)
        })?;
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
        self.recorded("reads", from, bytes, |races, at, bytes, who| {
            races.read(at, bytes, who)
        })?;
        self.recorded("writes", to, bytes, |races, at, bytes, who| {
            races.write(at, bytes, who)
        })?;
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

    /// Whether memory may be given back by the work that is running: nothing beside it uses it.
    pub fn check_free(&self, address: u64) -> Checked<()> {
        match self.live().find(|(start, _)| *start == address) {
            Some((_, bytes)) => self.recorded("frees", address, bytes, |races, at, bytes, who| {
                races.write(at, bytes, who)
            }),
            // There is no such memory, which `free` says.
            None => Ok(()),
        }
    }

    /// Runs a check of the records of races for a copy, which is one block of one warp: whole words at once, and single
    /// bytes where it begins or ends within a word.
    fn recorded(
        &self,
        does: &str,
        from: u64,
        bytes: u64,
        check: impl Fn(&Races, u64, u64, Accessor) -> Result<(), Clash>,
    ) -> Checked<()> {
        let turn = Turn::ALONE;
        let who = self.accessor(0, &turn);
        if who.is_nobody() {
            return Ok(());
        }
        let (start, end) = (from - DEVICE_BASE, from - DEVICE_BASE + bytes);
        let (first, last) = (start.next_multiple_of(4).min(end), (end / 4 * 4).max(start));
        let single = (start..first).chain(last.max(first)..end);
        let mut pieces = single.map(|at| (at, 1)).collect::<Vec<_>>();
        if last > first {
            pieces.push((first, last - first));
        }
        pieces.into_iter().try_for_each(|(at, bytes)| {
            check(&self.races, at, bytes, who).map_err(|clash| race(does, at + DEVICE_BASE, clash))
        })
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

// SPDX-License-Identifier: MIT OR Apache-2.0

//! The private memory of the lanes of a warp.

use super::WARP;
use super::report::{Checked, Kind, Problem};

/// Bytes of each lane, and which of them were written.
#[derive(Default)]
pub struct Local {
    bytes: Vec<u8>,
    written: Vec<bool>,
    each: usize,
}

impl Local {
    pub fn new(each: usize) -> Self {
        Self {
            bytes: vec![0; each * WARP],
            written: vec![false; each * WARP],
            each,
        }
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
            return Err(Problem::new(
                Kind::Misaligned,
                format!("{bytes} bytes at local {address:#x}"),
            ));
        }
        Ok(lane * self.each + address as usize)
    }

    pub fn read(&self, address: u64, bytes: u64, lane: usize) -> Checked<&[u8]> {
        let at = self.place(address, bytes, lane)?;
        let range = at..at + bytes as usize;
        if !self.written[range.clone()].iter().all(|written| *written) {
            return Err(Problem::new(
                Kind::Uninitialised,
                format!("byte {address} of local memory"),
            ));
        }
        Ok(&self.bytes[range])
    }

    pub fn write(&mut self, address: u64, bytes: u64, lane: usize) -> Checked<&mut [u8]> {
        let at = self.place(address, bytes, lane)?;
        let range = at..at + bytes as usize;
        self.written[range.clone()].fill(true);
        Ok(&mut self.bytes[range])
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Accesses of a warp to the memory of the card, which comes in sectors of 32 bytes.

use std::collections::HashMap;

use crate::machine::WARP;
use crate::machine::lanes::Doubles;

/// Bytes of a sector.
pub const SECTOR: u64 = 32;

/// Calls a function for each sector that a request touches, and returns how many bytes the lanes of `mask` ask for:
/// what several ask for counts once. The piece of a lane lies within a sector; pieces at one address may differ in
/// size, and one of no bytes asks for nothing.
pub fn of_request(addresses: &Doubles, sizes: &[u32; WARP], mask: u32, mut sector: impl FnMut(u64)) -> u64 {
    let mut pieces = [(0, 0); WARP];
    let mut count = 0;
    for lane in (0..WARP).filter(|lane| mask >> lane & 1 == 1) {
        if sizes[lane] != 0 {
            pieces[count] = (addresses[lane], sizes[lane]);
            count += 1;
        }
    }
    let pieces = &mut pieces[..count];
    pieces.sort_unstable();
    let (mut bytes, mut last) = (0, None);
    for (at, (address, size)) in pieces.iter().enumerate() {
        // Of pieces at one address the last is the largest.
        if pieces.get(at + 1).is_some_and(|next| next.0 == *address) {
            continue;
        }
        bytes += u64::from(*size);
        if last != Some(address / SECTOR) {
            last = Some(address / SECTOR);
            sector(address / SECTOR);
        }
    }
    bytes
}

/// Sectors of a page, which is a piece of the address space with a bit for each of its sectors.
const PAGE: u64 = 4096;

/// A set of sectors.
#[derive(Debug, Default)]
pub struct Sectors {
    pages: HashMap<u64, usize>,
    bits: Vec<[u64; PAGE as usize / 64]>,
    /// The page that was asked for last, and where its bits are.
    last: Option<(u64, usize)>,
}

impl Sectors {
    /// Adds a sector; false if it was there.
    pub fn insert(&mut self, sector: u64) -> bool {
        let page = sector / PAGE;
        let place = match self.last {
            Some((last, place)) if last == page => place,
            _ => self.place(page),
        };
        let bits = &mut self.bits[place][(sector % PAGE / 64) as usize];
        let bit = 1 << (sector % 64);
        let is_new = *bits & bit == 0;
        *bits |= bit;
        is_new
    }

    fn place(&mut self, page: u64) -> usize {
        let place = *self.pages.entry(page).or_insert(self.bits.len());
        if place == self.bits.len() {
            self.bits.push([0; PAGE as usize / 64]);
        }
        self.last = Some((page, place));
        place
    }

    pub fn clear(&mut self) {
        self.pages.clear();
        self.bits.clear();
        self.last = None;
    }

    pub fn count(&self) -> u64 {
        self.bits
            .iter()
            .flatten()
            .map(|bits| u64::from(bits.count_ones()))
            .sum()
    }

    pub fn extend(&mut self, other: &Self) {
        for (page, from) in &other.pages {
            let to = self.place(*page);
            for (bits, more) in self.bits[to].iter_mut().zip(&other.bits[*from]) {
                *bits |= more;
            }
        }
    }
}

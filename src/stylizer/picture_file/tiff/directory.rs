// SPDX-License-Identifier: MIT OR Apache-2.0

//! The directory of a TIFF's first picture: numbers by tag.
//!
//! Source: TIFF 6.0, section 2, and the description of BigTIFF.

use std::io::{self, Read, Seek, SeekFrom};

/// More entries than any writer makes.
const MOST_ENTRIES: u64 = 4096;
/// More numbers than the strips of the largest picture that is read.
const MOST_NUMBERS: u64 = 1 << 22;

/// Where the entries of a directory lie.
#[derive(Debug)]
pub(super) struct Directory {
    is_little_endian: bool,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u16,
    /// Bytes per number, and whether it is signed; `None` for what are no whole numbers.
    width: Option<u64>,
    count: u64,
    /// Where its numbers lie in the file.
    at: u64,
}

impl Directory {
    /// Reads where everything lies. An error of the kind `UnexpectedEof` tells that the file ends before; then the place
    /// at which the directory should have begun comes with it.
    pub(super) fn read(file: &mut (impl Read + Seek)) -> Result<Self, (io::Error, u64)> {
        let mut first = 0;
        Self::read_noting(file, &mut first).map_err(|error| (error, first))
    }

    fn read_noting(file: &mut (impl Read + Seek), first: &mut u64) -> io::Result<Self> {
        let mut head = [0; 8];
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut head)?;
        let is_little_endian = head[0] == b'I';
        let mut reader = Numbers {
            file,
            is_little_endian,
        };
        let is_big = head[2..4].contains(&43);
        *first = if is_big {
            reader.number(8)?
        } else {
            value(&head[4..], is_little_endian)
        };
        reader.file.seek(SeekFrom::Start(*first))?;
        let count = reader.number(if is_big { 8 } else { 2 })?;
        let mut entries = Vec::new();
        for _ in 0..count.min(MOST_ENTRIES) {
            let tag = reader.number(2)? as u16;
            let kind = reader.number(2)?;
            let count = reader.number(if is_big { 8 } else { 4 })?;
            let room = if is_big { 8 } else { 4 };
            let here = reader.file.stream_position()?;
            let offset = reader.number(room)?;
            let size: u64 = match kind {
                1 | 2 | 6 | 7 => 1,
                3 | 8 => 2,
                4 | 9 | 11 | 13 => 4,
                5 | 10 | 12 | 16 | 17 | 18 => 8,
                _ => 0,
            };
            let width = matches!(kind, 1 | 3 | 4 | 7 | 13 | 16 | 18).then_some(size);
            let fits = count.checked_mul(size).is_some_and(|bytes| bytes <= room);
            entries.push(Entry {
                tag,
                width,
                count,
                at: if fits { here } else { offset },
            });
        }
        Ok(Self {
            is_little_endian,
            entries,
        })
    }

    fn entry(&self, tag: u16) -> Option<Entry> {
        self.entries.iter().find(|entry| entry.tag == tag).copied()
    }

    pub(super) fn has(&self, tag: u16) -> bool {
        self.entry(tag).is_some()
    }

    /// Where the numbers of `tag` lie, if they are of two bytes.
    pub(super) fn place_of_short(&self, tag: u16) -> Option<u64> {
        self.entry(tag)
            .filter(|entry| entry.width == Some(2) && entry.count == 1)
            .map(|entry| entry.at)
    }

    /// A number of two bytes in the file's order.
    pub(super) fn short(&self, number: u16) -> [u8; 2] {
        if self.is_little_endian {
            number.to_le_bytes()
        } else {
            number.to_be_bytes()
        }
    }

    /// The whole numbers of `tag`; `None` if it is not there, has other numbers, or cannot be read.
    pub(super) fn numbers(&self, file: &mut (impl Read + Seek), tag: u16) -> Option<Vec<u64>> {
        let entry = self.entry(tag).filter(|entry| entry.count <= MOST_NUMBERS)?;
        let width = entry.width?;
        file.seek(SeekFrom::Start(entry.at)).ok()?;
        let mut reader = Numbers {
            file,
            is_little_endian: self.is_little_endian,
        };
        (0..entry.count).map(|_| reader.number(width).ok()).collect()
    }

    pub(super) fn number(&self, file: &mut (impl Read + Seek), tag: u16) -> Option<u64> {
        self.numbers(file, tag)?.first().copied()
    }

    /// The first numbers of `tag`, which are fractions.
    pub(super) fn fractions<const COUNT: usize>(
        &self,
        file: &mut (impl Read + Seek),
        tag: u16,
    ) -> Option<[f64; COUNT]> {
        let entry = self.entry(tag).filter(|entry| entry.count >= COUNT as u64)?;
        file.seek(SeekFrom::Start(entry.at)).ok()?;
        let mut reader = Numbers {
            file,
            is_little_endian: self.is_little_endian,
        };
        let mut fractions = [0.0; COUNT];
        for fraction in &mut fractions {
            let (above, below) = (reader.number(4).ok()?, reader.number(4).ok()?);
            *fraction = above as f64 / below as f64;
        }
        fractions
            .iter()
            .all(|fraction| fraction.is_finite())
            .then_some(fractions)
    }

    /// The bytes of `tag`, at most `most` of them.
    pub(super) fn bytes(&self, file: &mut (impl Read + Seek), tag: u16, most: u64) -> Option<Vec<u8>> {
        let entry = self
            .entry(tag)
            .filter(|entry| entry.width == Some(1) && entry.count <= most)?;
        file.seek(SeekFrom::Start(entry.at)).ok()?;
        let mut bytes = Vec::new();
        file.take(entry.count).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }
}

struct Numbers<'f, F> {
    file: &'f mut F,
    is_little_endian: bool,
}

impl<F: Read> Numbers<'_, F> {
    fn number(&mut self, width: u64) -> io::Result<u64> {
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..width as usize];
        self.file.read_exact(bytes)?;
        Ok(value(bytes, self.is_little_endian))
    }
}

fn value(bytes: &[u8], is_little_endian: bool) -> u64 {
    let add = |sum: u64, &byte: &u8| sum << 8 | u64::from(byte);
    if is_little_endian {
        bytes.iter().rev().fold(0, add)
    } else {
        bytes.iter().fold(0, add)
    }
}

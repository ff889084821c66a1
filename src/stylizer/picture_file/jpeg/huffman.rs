// SPDX-License-Identifier: MIT OR Apache-2.0

//! The bits of a scan and the codes in them, as far as it takes to know where a block ends.
//!
//! Source: ITU-T T.81, annexes C and F.

/// Why no more can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The bits end: there is a marker, or the file is over.
    Ended,
    /// A code that the table does not have.
    Damaged,
}

/// The bits between two markers.
pub(super) struct Bits<'a> {
    file: &'a [u8],
    /// The byte to be read next.
    pub(super) at: usize,
    /// Bits that were read and not taken yet, the next one topmost.
    waiting: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(file: &'a [u8], at: usize) -> Self {
        Self {
            file,
            at,
            waiting: 0,
            count: 0,
        }
    }

    /// Reads ahead up to the next marker.
    fn fill(&mut self) {
        while self.count <= 56 {
            let Some(&byte) = self.file.get(self.at) else {
                return;
            };
            if byte == 0xff {
                match self.file.get(self.at + 1) {
                    // A byte of ones is followed by one of zeros, so as not to look like a marker.
                    Some(0) => self.at += 1,
                    // Markers may be preceded by any number of such bytes.
                    Some(0xff) => {
                        self.at += 1;
                        continue;
                    }
                    _ => return,
                }
            }
            self.at += 1;
            self.waiting |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next `count` bits, at most 16.
    pub(super) fn take(&mut self, count: u32) -> Result<u32, Stop> {
        if count == 0 {
            return Ok(0);
        }
        if self.count < count {
            self.fill();
            if self.count < count {
                return Err(Stop::Ended);
            }
        }
        let bits = (self.waiting >> (64 - count)) as u32;
        self.waiting <<= count;
        self.count -= count;
        Ok(bits)
    }

    /// The value of the next code.
    pub(super) fn code(&mut self, table: &Table) -> Result<u8, Stop> {
        if self.count < 16 {
            self.fill();
        }
        let ahead = (self.waiting >> 48) as u16;
        let (length, value) = match table.short[usize::from(ahead >> (16 - SHORT))] {
            (0, _) => table.long(ahead).ok_or(if self.count < 16 {
                Stop::Ended
            } else {
                Stop::Damaged
            })?,
            found => found,
        };
        let length = u32::from(length);
        if length > self.count {
            return Err(Stop::Ended);
        }
        self.waiting <<= length;
        self.count -= length;
        Ok(value)
    }
}

/// Codes of up to this many bits are looked up at once.
const SHORT: u32 = 9;

/// A table of codes.
pub(super) struct Table {
    /// Length and value of the code that these bits begin with; the length is 0 if there is no short one.
    short: Vec<(u8, u8)>,
    /// For each length: the first code, and the place of its value.
    first: [(u32, usize); 17],
    counts: [u8; 16],
    values: Vec<u8>,
}

impl Table {
    /// From the number of codes of each length, and their values in the order of the codes.
    pub(super) fn new(counts: [u8; 16], values: &[u8]) -> Self {
        let mut short = vec![(0, 0); 1 << SHORT];
        let mut first = [(0, 0); 17];
        let (mut code, mut place) = (0_u32, 0_usize);
        for length in 1..=16_u32 {
            first[length as usize] = (code, place);
            for _ in 0..counts[length as usize - 1] {
                if length <= SHORT
                    && let Some(&value) = values.get(place)
                {
                    let from = (code << (SHORT - length)) as usize;
                    // A table with more codes than there is room for leaves the surplus out.
                    for entry in short.iter_mut().skip(from).take(1 << (SHORT - length)) {
                        *entry = (length as u8, value);
                    }
                }
                code += 1;
                place += 1;
            }
            code <<= 1;
        }
        Self {
            short,
            first,
            counts,
            values: values.to_vec(),
        }
    }

    /// Length and value of the code that these bits begin with.
    fn long(&self, ahead: u16) -> Option<(u8, u8)> {
        (1..=16_u32).find_map(|length| {
            let code = u32::from(ahead) >> (16 - length);
            let (first, place) = self.first[length as usize];
            let number = code.checked_sub(first)? as usize;
            if number >= usize::from(self.counts[length as usize - 1]) {
                return None;
            }
            Some((length as u8, *self.values.get(place + number)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_all_lengths_are_told_apart() {
        // Codes 0, 10, 110 and one of twelve bits, 1110 0000 0000.
        let mut counts = [0; 16];
        (counts[0], counts[1], counts[2], counts[11]) = (1, 1, 1, 1);
        let table = Table::new(counts, &[7, 8, 9, 10]);
        let mut bits = Bits::new(&[0b0101_1010, 0b1110_0000, 0b0000_1111, 0xff, 0x00], 0);
        let values: Vec<u8> = (0..5).map(|_| bits.code(&table).unwrap()).collect();
        assert_eq!(values, [7, 8, 9, 8, 10]);
        assert_eq!(bits.take(12), Ok(0xfff));
    }

    #[test]
    fn bits_end_at_a_marker_and_at_the_end_of_the_file() {
        for file in [[0xa0, 0xff, 0xd9].as_slice(), &[0xa0]] {
            let mut bits = Bits::new(file, 0);
            assert_eq!(bits.take(8), Ok(0xa0));
            assert_eq!(bits.take(1), Err(Stop::Ended));
        }
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! The bytes of a pickle, taken one instruction at a time, and how to complain about one.

use super::super::error::Fault;

const MAX_TEXT_BYTES: usize = 1 << 16;
/// Longest module or class name.
const MAX_NAME_BYTES: usize = 128;

pub(super) struct Input<'a> {
    bytes: &'a [u8],
    /// What messages call the pickle; their offsets count from its start.
    pub(super) part: &'static str,
    /// The byte to be read next.
    pub(super) next: usize,
    /// The instruction that was read last, and the byte at which it stands.
    pub(super) opcode: u8,
    pub(super) at: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8], part: &'static str) -> Self {
        Self {
            bytes,
            part,
            next: 0,
            opcode: 0,
            at: 0,
        }
    }

    /// The next instruction.
    pub(super) fn opcode(&mut self) -> Result<u8, Fault> {
        self.at = self.next;
        self.opcode = self.array::<1>()?[0];
        Ok(self.opcode)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let rest = self.bytes.get(self.next..).unwrap_or_default();
        let taken = rest.get(..length).ok_or_else(|| Fault::Truncated {
            part: self.part.into(),
            expected: self.next.saturating_add(length) as u64,
            found: self.bytes.len() as u64,
        })?;
        self.next += length;
        Ok(taken)
    }

    pub(super) fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Fault> {
        let mut array = [0; LENGTH];
        array.copy_from_slice(self.take(LENGTH)?);
        Ok(array)
    }

    /// A signed little-endian integer of `length` bytes; `None` if it needs more than 8 of them. Such a number is no size,
    /// but the seed of a random generator, say.
    pub(super) fn long(&mut self, length: usize) -> Result<Option<i64>, Fault> {
        let digits = self.take(length)?;
        let sign = if digits.last().is_some_and(|top| top & 0x80 != 0) {
            0xff
        } else {
            0
        };
        let (low, high) = digits.split_at(length.min(8));
        let mut bytes = [sign; 8];
        bytes[..low.len()].copy_from_slice(low);
        // The sign has to be that of the low bytes, too: 2^63 is positive and needs a ninth byte.
        let fits = high.iter().all(|&byte| byte == sign) && (bytes[7] ^ sign) & 0x80 == 0;
        Ok(fits.then(|| i64::from_le_bytes(bytes)))
    }

    pub(super) fn text(&mut self, length: usize) -> Result<&'a str, Fault> {
        if length > MAX_TEXT_BYTES {
            return Err(self.refuse(&format!("has a text of {length} bytes")));
        }
        std::str::from_utf8(self.take(length)?).map_err(|_| self.refuse("has a text that is not UTF-8"))
    }

    /// A name up to the end of its line.
    pub(super) fn line(&mut self) -> Result<&'a str, Fault> {
        let rest = self.bytes.get(self.next..).unwrap_or_default();
        let window = &rest[..rest.len().min(MAX_NAME_BYTES + 1)];
        let Some(length) = window.iter().position(|&byte| byte == b'\n') else {
            if rest.len() <= MAX_NAME_BYTES {
                // The line may well go on after the end of the file.
                self.take(rest.len() + 1)?;
            }
            return Err(self.refuse("has a name without an end"));
        };
        let line = self.take(length + 1)?;
        std::str::from_utf8(&line[..length]).map_err(|_| self.refuse("has a name that is not UTF-8"))
    }

    /// `reason` completes "the instruction at byte n of data.pkl …".
    pub(super) fn refuse(&self, reason: &str) -> Fault {
        Fault::Malformed(format!(
            "the instruction {:#04x} at byte {} of {} {reason}",
            self.opcode, self.at, self.part
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_is_signed_and_little_endian() {
        let long = |bytes: &[u8]| Input::new(bytes, "it").long(bytes.len()).unwrap();
        assert_eq!(long(&[]), Some(0));
        assert_eq!(long(&[0xff]), Some(-1));
        assert_eq!(long(&[0xff, 0x00]), Some(255));
        assert_eq!(long(&[0, 0, 0, 0, 0, 0, 0, 0x80]), Some(i64::MIN));
        assert_eq!(long(&[7, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Some(7));
        assert_eq!(long(&[0xff; 300]), Some(-1));
        // 2^63 and −2^63 − 1.
        assert_eq!(long(&[0, 0, 0, 0, 0, 0, 0, 0x80, 0]), None);
        assert_eq!(
            long(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff]),
            None
        );
        assert!(matches!(
            Input::new(&[0], "it").long(2).unwrap_err(),
            Fault::Truncated {
                expected: 2,
                found: 1,
                ..
            }
        ));
    }

    #[test]
    fn a_line_ends_within_bounds() {
        assert_eq!(Input::new(b"torch\nrest", "it").line().unwrap(), "torch");
        assert!(matches!(
            Input::new(b"torch", "it").line().unwrap_err(),
            Fault::Truncated { .. }
        ));
        assert!(matches!(
            Input::new(&[b'a'; 200], "it").line().unwrap_err(),
            Fault::Malformed(_)
        ));
    }
}

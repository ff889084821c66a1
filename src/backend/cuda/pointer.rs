// SPDX-License-Identifier: MIT OR Apache-2.0

/// An address in the card's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer(pub u64);

impl Pointer {
    /// What a kernel takes for "not there", where it says so.
    pub const NULL: Self = Self(0);

    /// The address `bytes` further on.
    pub fn beyond(self, bytes: usize) -> Self {
        Self(self.0 + bytes as u64)
    }
}

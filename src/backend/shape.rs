// SPDX-License-Identifier: MIT OR Apache-2.0

/// The shape of a tensor, logically [C, H, W]. How a backend lays it out in memory is its own affair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Shape {
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self {
            channels,
            height,
            width,
        }
    }

    /// A row of `length` numbers.
    pub const fn vector(length: usize) -> Self {
        Self::new(1, 1, length)
    }

    /// A C × C matrix.
    pub const fn square(side: usize) -> Self {
        Self::new(1, side, side)
    }

    /// H · W.
    pub const fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// C · H · W.
    pub const fn elements(&self) -> usize {
        self.channels * self.pixels()
    }

    /// The same picture with other channels.
    pub const fn with_channels(&self, channels: usize) -> Self {
        Self::new(channels, self.height, self.width)
    }

    /// What 2×2 pooling with stride 2 makes of it: halves rounded down, but never less than one pixel.
    pub fn pooled(&self) -> Self {
        let half = |n: usize| if n < 2 { 1 } else { n / 2 };
        Self::new(self.channels, half(self.height), half(self.width))
    }
}

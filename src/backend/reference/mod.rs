// SPDX-License-Identifier: MIT OR Apache-2.0

//! The slow, obvious implementation in f64. Every loop is the formula of the traits' documentation and nothing
//! else; whatever is faster is measured against it.

mod control;
mod convolution;
mod flow;
mod guided;
mod losses;
mod memory;
mod network;
mod optimizer;
mod patch;
mod pictures;
mod sampling;

use super::{CancelToken, Error, Result, Shape};

/// Values in [C, H, W] order.
#[derive(Clone, Debug, Default)]
pub struct Tensor {
    pub shape: Shape,
    pub values: Vec<f64>,
}

impl Tensor {
    fn index(&self, c: usize, y: usize, x: usize) -> usize {
        (c * self.shape.height + y) * self.shape.width + x
    }

    fn at(&self, c: usize, y: usize, x: usize) -> f64 {
        self.values[self.index(c, y, x)]
    }

    fn set(&mut self, c: usize, y: usize, x: usize, value: f64) {
        let index = self.index(c, y, x);
        self.values[index] = value;
    }
}

/// What backward needs of forward.
#[derive(Clone, Debug, Default)]
pub struct Mask {
    shape: Shape,
    /// After a ReLU: 1 where it was positive.
    pub positive: Vec<u8>,
    /// After max pooling: the winner of each window, 0..4.
    pub winners: Vec<u8>,
}

/// All (channel, row, column) of a shape, in memory order.
fn positions(shape: Shape) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..shape.channels)
        .flat_map(move |c| (0..shape.height).flat_map(move |y| (0..shape.width).map(move |x| (c, y, x))))
}

/// The offset of a tap of a 3×3 kernel from its centre: (row, column).
fn taps() -> impl Iterator<Item = (usize, isize, isize)> {
    (0..9).map(|tap| (tap, tap as isize / 3 - 1, tap as isize % 3 - 1))
}

#[derive(Debug, Default)]
pub struct Reference {
    cancel: CancelToken,
    bytes: usize,
}

impl Reference {
    pub fn new(cancel: CancelToken) -> Self {
        Self { cancel, bytes: 0 }
    }

    fn poll(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }
}

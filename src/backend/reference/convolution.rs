// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sums of 3×3 convolutions. They have the formula's terms in its order, but a plane gets one tap after the other, so that
//! no pixel need be asked whether it lies within the frame.

use std::ops::Range;

use super::{Tensor, taps};
use crate::backend::Shape;

/// Which pixel belongs to a tap's weight.
#[derive(Clone, Copy)]
pub enum Towards {
    /// y[p] = Σ w[tap] · x[p + tap].
    Outputs,
    /// Its adjoint: x[p] = Σ w[tap] · y[p − tap].
    Inputs,
}

/// For each of as many results as there are in `start`, what that says, and on top Σ `weight(result, channel, tap)` · `from`.
pub fn convolved(
    from: &Tensor,
    start: &[f64],
    weight: impl Fn(usize, usize, usize) -> f32,
    towards: Towards,
) -> Vec<f64> {
    let pixels = from.shape.pixels();
    let mut sums = Vec::with_capacity(start.len() * pixels);
    for (result, &start) in start.iter().enumerate() {
        sums.resize(sums.len() + pixels, start);
        let plane = &mut sums[result * pixels..];
        for channel in 0..from.shape.channels {
            let of_channel = &from.values[channel * pixels..][..pixels];
            for (tap, dy, dx) in taps() {
                let offset = match towards {
                    Towards::Outputs => (dy, dx),
                    Towards::Inputs => (-dy, -dx),
                };
                let weight = f64::from(weight(result, channel, tap));
                add_moved(of_channel, weight, offset, plane, from.shape);
            }
        }
    }
    sums
}

/// to[y, x] += weight · from[y + dy, x + dx] wherever that exists: beyond the frame are zeros.
fn add_moved(from: &[f64], weight: f64, (dy, dx): (isize, isize), to: &mut [f64], shape: Shape) {
    let columns = inside(dx, shape.width);
    for y in inside(dy, shape.height) {
        let there = y.strict_add_signed(dy) * shape.width + columns.start.strict_add_signed(dx);
        let here = y * shape.width + columns.start;
        let from = &from[there..][..columns.len()];
        for (sum, value) in to[here..][..columns.len()].iter_mut().zip(from) {
            *sum += weight * value;
        }
    }
}

/// The places of a line that are in it when they are moved by `offset`, which is −1, 0 or 1.
fn inside(offset: isize, length: usize) -> Range<usize> {
    usize::from(offset < 0)..length - usize::from(offset > 0)
}

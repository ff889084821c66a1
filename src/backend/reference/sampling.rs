// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the operations on pictures and the steps of optical flow share: pictures read beyond their edge, between their pixels
//! and at other sizes.

use super::Tensor;
use crate::backend::Shape;
use crate::backend::resample::Taps;

/// The pixel at a place, or the nearest one at the edge where there is none.
pub(super) fn clamped(of: &Tensor, channel: usize, y: isize, x: isize) -> f64 {
    let inside = |at: isize, length: usize| at.clamp(0, length as isize - 1) as usize;
    of.at(channel, inside(y, of.shape.height), inside(x, of.shape.width))
}

/// Bilinear interpolation between the four pixels around a place.
pub(super) fn between(of: &Tensor, channel: usize, y: f64, x: f64) -> f64 {
    let (row, column) = (y.floor(), x.floor());
    let (down, right) = (y - row, x - column);
    let at =
        |below: isize, beside: isize| clamped(of, channel, row as isize + below, column as isize + beside);
    (1.0 - down) * ((1.0 - right) * at(0, 0) + right * at(0, 1))
        + down * ((1.0 - right) * at(1, 0) + right * at(1, 1))
}

/// The slope to the right: half the difference of the pixels beside one.
pub(super) fn across(of: &Tensor, channel: usize, y: isize, x: isize) -> f64 {
    0.5 * (clamped(of, channel, y, x + 1) - clamped(of, channel, y, x - 1))
}

/// The slope downwards.
pub(super) fn down(of: &Tensor, channel: usize, y: isize, x: isize) -> f64 {
    0.5 * (clamped(of, channel, y + 1, x) - clamped(of, channel, y - 1, x))
}

/// The shape without its margin.
pub(super) fn inside(shape: Shape, border: usize) -> Shape {
    Shape::new(
        shape.channels,
        shape.height - 2 * border,
        shape.width - 2 * border,
    )
}

/// Resamples a picture given as a function of (channel, row, column).
pub(super) fn resampled(
    source: impl Fn(usize, usize, usize) -> f64,
    from: Shape,
    to: Shape,
) -> impl Fn(usize, usize, usize) -> f64 {
    let rows = Taps::new(from.height, to.height);
    let columns = Taps::new(from.width, to.width);
    move |c, y, x| {
        let (top, down) = rows.of(y);
        let (left, across) = columns.of(x);
        let mut sum = 0.0;
        for (i, a) in down.iter().enumerate() {
            for (j, b) in across.iter().enumerate() {
                sum += f64::from(*a) * f64::from(*b) * source(c, top + i, left + j);
            }
        }
        sum
    }
}

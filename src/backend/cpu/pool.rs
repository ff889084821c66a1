// SPDX-License-Identifier: MIT OR Apache-2.0

//! 2×2 pooling with stride 2, a channel at a time.

use rayon::prelude::*;

use crate::backend::Shape;

/// Second rows and columns of a window; pictures of one row or column have none and use the first twice.
struct Windows {
    from: Shape,
    to: Shape,
    down: usize,
    right: usize,
}

impl Windows {
    fn new(from: Shape) -> Self {
        let down = if from.height > 1 { from.width } else { 0 };
        Self {
            from,
            to: from.pooled(),
            down,
            right: usize::from(from.width > 1),
        }
    }

    /// For each output of a channel its index and that of its window's first element.
    fn each(&self) -> impl Iterator<Item = (usize, usize)> {
        let (width, from_width) = (self.to.width, self.from.width);
        (0..self.to.height)
            .flat_map(move |y| (0..width).map(move |x| (y * width + x, 2 * y * from_width + 2 * x)))
    }
}

pub fn average(from: &[f32], shape: Shape, to: &mut [f32]) {
    let windows = Windows::new(shape);
    from.par_chunks(shape.pixels())
        .zip(to.par_chunks_mut(windows.to.pixels()))
        .for_each(|(from, to)| {
            for (out, at) in windows.each() {
                let top = from[at] + from[at + windows.right];
                let bottom = from[at + windows.down] + from[at + windows.down + windows.right];
                to[out] = 0.25 * (top + bottom);
            }
        });
}

/// The winner's place 0..4 goes into `winners`; in a tie the first wins.
pub fn max(from: &[f32], shape: Shape, to: &mut [f32], winners: &mut [u8]) {
    let windows = Windows::new(shape);
    let outputs = windows.to.pixels();
    from.par_chunks(shape.pixels())
        .zip(to.par_chunks_mut(outputs))
        .zip(winners.par_chunks_mut(outputs))
        .for_each(|((from, to), winners)| {
            for (out, at) in windows.each() {
                let places = [
                    at,
                    at + windows.right,
                    at + windows.down,
                    at + windows.down + windows.right,
                ];
                let mut best = 0;
                for place in 1..4 {
                    if from[places[place]] > from[places[best]] {
                        best = place;
                    }
                }
                to[out] = from[places[best]];
                winners[out] = best as u8;
            }
        });
}

/// The adjoint of `average`; `shape` is that of `from`.
pub fn average_backward(to: &[f32], shape: Shape, from: &mut [f32]) {
    let windows = Windows::new(shape);
    from.par_chunks_mut(shape.pixels())
        .zip(to.par_chunks(windows.to.pixels()))
        .for_each(|(from, to)| {
            from.fill(0.0);
            for (out, at) in windows.each() {
                // Where first and second row or column are the same, the shares add up there.
                let share = 0.25 * to[out];
                from[at] += share;
                from[at + windows.right] += share;
                from[at + windows.down] += share;
                from[at + windows.down + windows.right] += share;
            }
        });
}

/// The adjoint of `max`; `shape` is that of `from`.
pub fn max_backward(to: &[f32], shape: Shape, winners: &[u8], from: &mut [f32]) {
    let windows = Windows::new(shape);
    let outputs = windows.to.pixels();
    from.par_chunks_mut(shape.pixels())
        .zip(to.par_chunks(outputs))
        .zip(winners.par_chunks(outputs))
        .for_each(|((from, to), winners)| {
            from.fill(0.0);
            for (out, at) in windows.each() {
                let winner = usize::from(winners[out]);
                from[at + (winner / 2) * windows.down + (winner % 2) * windows.right] = to[out];
            }
        });
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! 2×2 pooling with stride 2, where it is not part of a convolution; a plane at a time.

use rayon::prelude::*;

use super::layout::Layout;

/// The windows of a plane. Pictures of one row or column have no second one and use the first twice.
struct Windows {
    /// Numbers of a plane before and after pooling.
    from: usize,
    to: usize,
    lanes: usize,
    /// Size of the pooled picture.
    height: usize,
    width: usize,
    /// Numbers of two rows before pooling.
    rows: usize,
    /// The places of a window, from its first.
    places: [usize; 4],
}

impl Windows {
    fn new(layout: Layout) -> Self {
        let (shape, lanes) = (layout.shape, layout.lanes);
        let pooled = shape.pooled();
        let row = shape.width * lanes;
        let down = if shape.height > 1 { row } else { 0 };
        let right = if shape.width > 1 { lanes } else { 0 };
        Self {
            from: shape.pixels() * lanes,
            to: pooled.pixels() * lanes,
            lanes,
            height: pooled.height,
            width: pooled.width,
            rows: 2 * row,
            places: [0, right, down, down + right],
        }
    }

    /// For each output of a plane its index and that of its window's first element.
    fn each(&self, mut f: impl FnMut(usize, usize)) {
        for y in 0..self.height {
            for x in 0..self.width {
                let (out, at) = (
                    (y * self.width + x) * self.lanes,
                    y * self.rows + 2 * x * self.lanes,
                );
                for lane in 0..self.lanes {
                    f(out + lane, at + lane);
                }
            }
        }
    }
}

pub fn average(from: &[f32], layout: Layout, to: &mut [f32]) {
    let windows = Windows::new(layout);
    from.par_chunks(windows.from)
        .zip(to.par_chunks_mut(windows.to))
        .for_each(|(from, to)| {
            windows.each(|out, at| {
                let [a, b, c, d] = windows.places.map(|place| from[at + place]);
                to[out] = 0.25 * ((a + b) + (c + d));
            });
        });
}

/// The winner's place 0..4 goes into `winners`; in a tie the first wins.
pub fn max(from: &[f32], layout: Layout, to: &mut [f32], winners: &mut [u8]) {
    let windows = Windows::new(layout);
    from.par_chunks(windows.from)
        .zip(to.par_chunks_mut(windows.to))
        .zip(winners.par_chunks_mut(windows.to))
        .for_each(|((from, to), winners)| {
            windows.each(|out, at| {
                let window = windows.places.map(|place| from[at + place]);
                let mut best = 0;
                for place in 1..4 {
                    if window[place] > window[best] {
                        best = place;
                    }
                }
                to[out] = window[best];
                winners[out] = best as u8;
            });
        });
}

/// The adjoint of `average`; `layout` is that of `from`.
pub fn average_backward(to: &[f32], layout: Layout, from: &mut [f32]) {
    let windows = Windows::new(layout);
    from.par_chunks_mut(windows.from)
        .zip(to.par_chunks(windows.to))
        .for_each(|(from, to)| {
            from.fill(0.0);
            windows.each(|out, at| {
                // Where first and second row or column are the same, the shares add up there.
                for place in windows.places {
                    from[at + place] += 0.25 * to[out];
                }
            });
        });
}

/// The adjoint of `max`; `layout` is that of `from`.
pub fn max_backward(to: &[f32], layout: Layout, winners: &[u8], from: &mut [f32]) {
    let windows = Windows::new(layout);
    from.par_chunks_mut(windows.from)
        .zip(to.par_chunks(windows.to))
        .zip(winners.par_chunks(windows.to))
        .for_each(|((from, to), winners)| {
            from.fill(0.0);
            windows.each(|out, at| from[at + windows.places[usize::from(winners[out])]] = to[out]);
        });
}

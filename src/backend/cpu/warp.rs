// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pictures moved along a flow.

use rayon::prelude::*;

use super::parallel::Parts;
use crate::backend::{Interpolation, Shape};

/// `to`(x) = `from`(x + `flow`(x)), all [C, H, W].
pub fn warp(from: &[f32], flow: &[f32], shape: Shape, interpolation: Interpolation, to: &mut [f32]) {
    match interpolation {
        Interpolation::Bilinear => warp_by::<2>(from, flow, shape, bilinear, to),
        Interpolation::CatmullRom => warp_by::<4>(from, flow, shape, catmull_rom, to),
    }
}

/// The weights of the pixels to both sides, at the share `t` of the way from the left one to the right one.
fn bilinear(t: f32) -> [f32; 2] {
    [1.0 - t, t]
}

/// The weights of the two pixels to each side.
fn catmull_rom(t: f32) -> [f32; 4] {
    [
        ((-0.5 * t + 1.0) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((-1.5 * t + 2.0) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]
}

/// With N × N pixels about each place. They and their weights are the same for all channels.
fn warp_by<const N: usize>(
    from: &[f32],
    flow: &[f32],
    shape: Shape,
    weights: impl Fn(f32) -> [f32; N] + Sync,
    to: &mut [f32],
) {
    let Shape { height, width, .. } = shape;
    let pixels = shape.pixels();
    assert!(from.len() == shape.elements() && to.len() == from.len());
    let (across, down) = flow.split_at(pixels);
    let out = Parts::new(to);
    (0..height).into_par_iter().for_each(|y| {
        for x in 0..width {
            let at = y * width + x;
            let (left, by_column) = taps::<N>(x as f32 + across[at], width, &weights);
            let (top, by_row) = taps::<N>(y as f32 + down[at], height, &weights);
            let inside = left >= 0 && top >= 0 && left as usize + N <= width && top as usize + N <= height;
            for (channel, plane) in from.chunks_exact(pixels).enumerate() {
                let value: f32 = if inside {
                    let window = &plane[top as usize * width + left as usize..];
                    (0..N)
                        .map(|row| by_row[row] * dot(&by_column, &window[row * width..][..N]))
                        .sum()
                } else {
                    let pixel = |row: usize, column: usize| {
                        let y = (top + row as isize).clamp(0, height as isize - 1) as usize;
                        let x = (left + column as isize).clamp(0, width as isize - 1) as usize;
                        plane[y * width + x]
                    };
                    (0..N)
                        .map(|row| {
                            let pixels: [f32; N] = std::array::from_fn(|column| pixel(row, column));
                            by_row[row] * dot(&by_column, &pixels)
                        })
                        .sum()
                };
                // SAFETY: the row y of every channel is written by this call of the closure alone, and `channel`, `y` and
                // `x` are within the shape, whose numbers `to` has.
                unsafe { *out.at(channel * pixels + at) = value };
            }
        }
    });
}

/// The first of the N pixels about `place`, which is moved inside, and their weights. What is no number is 0.
fn taps<const N: usize>(place: f32, length: usize, weights: impl Fn(f32) -> [f32; N]) -> (isize, [f32; N]) {
    let place = place.max(0.0).min((length - 1) as f32);
    // Of what is not negative the whole part is the floor, and costs no call.
    let floor = place as i32 as f32;
    (floor as isize + 1 - (N / 2) as isize, weights(place - floor))
}

fn dot<const N: usize>(a: &[f32; N], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

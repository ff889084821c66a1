// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pictures: resampling from and to bytes, margins, colours, what has changed.

use rayon::prelude::*;

use super::layout::Layout;
use super::parallel::{each, sum};
use crate::backend::resample::{Taps, mirrored};
use crate::backend::{CancelToken, ColourMap, ColourStatistics, Shape};
use crate::picture::PictureView;

/// The inside of a picture with a margin.
fn inside(shape: Shape, border: usize) -> (usize, usize) {
    (shape.height - 2 * border, shape.width - 2 * border)
}

/// `frame` → the inside of `picture`. `lines` is scratch space.
///
/// Frames are shrunk as a rule: columns come first, for which whole rows of bytes are added up and which leave little to
/// be done along rows.
pub fn import(
    frame: PictureView,
    border: usize,
    picture: &mut [f32],
    shape: Shape,
    lines: &mut Vec<f32>,
    cancel: &CancelToken,
) {
    assert_eq!(shape.channels, 3);
    let ((width, height), rgb) = (frame.size(), frame.rgb());
    let (inner_height, inner_width) = inside(shape, border);
    let (across, down) = (Taps::new(width, inner_width), Taps::new(height, inner_height));
    let row_bytes = width * 3;
    lines.resize(inner_height * row_bytes, 0.0);
    lines.par_chunks_mut(row_bytes).enumerate().for_each(|(y, out)| {
        if cancel.is_cancelled() {
            return;
        }
        let (top, weights) = down.of(y);
        out.fill(0.0);
        for (row, weight) in rgb[top * row_bytes..].chunks_exact(row_bytes).zip(weights) {
            for (out, &byte) in out.iter_mut().zip(row) {
                *out += weight * f32::from(byte);
            }
        }
    });
    let lines = &*lines;
    picture
        .par_chunks_mut(shape.width)
        .enumerate()
        .for_each(|(line, out)| {
            let (channel, y) = (line / shape.height, line % shape.height);
            if y < border || y >= border + inner_height {
                return;
            }
            let row = &lines[(y - border) * row_bytes..][..row_bytes];
            for (x, out) in out[border..border + inner_width].iter_mut().enumerate() {
                let (first, weights) = across.of(x);
                let values = row[first * 3 + channel..].iter().step_by(3);
                *out = weights
                    .iter()
                    .zip(values)
                    .map(|(w, value)| w * value)
                    .sum::<f32>()
                    / 255.0;
            }
        });
}

/// The inside of `from` → the inside of `to`.
pub fn resize(
    from: &[f32],
    from_shape: Shape,
    border: usize,
    to: &mut [f32],
    to_shape: Shape,
    lines: &mut Vec<f32>,
) {
    assert_eq!(from_shape.channels, to_shape.channels);
    resample_rows(from, from_shape, border, inside(to_shape, border).1, lines);
    resample_columns(lines, inside(from_shape, border).0, border, to, to_shape);
}

/// The inside of `from` → `lines`[C, height of the inside, width].
fn resample_rows(from: &[f32], shape: Shape, border: usize, width: usize, lines: &mut Vec<f32>) {
    let (inner_height, inner_width) = inside(shape, border);
    let across = Taps::new(inner_width, width);
    lines.resize(shape.channels * inner_height * width, 0.0);
    lines.par_chunks_mut(width).enumerate().for_each(|(line, out)| {
        let (channel, y) = (line / inner_height, line % inner_height);
        let row = &from[(channel * shape.height + y + border) * shape.width + border..][..inner_width];
        for (x, out) in out.iter_mut().enumerate() {
            let (first, weights) = across.of(x);
            *out = weights
                .iter()
                .zip(&row[first..])
                .map(|(w, value)| w * value)
                .sum();
        }
    });
}

/// `lines`[C, height, width of the inside] → the inside of `to`.
fn resample_columns(lines: &[f32], height: usize, border: usize, to: &mut [f32], shape: Shape) {
    let (inner_height, inner_width) = inside(shape, border);
    let down = Taps::new(height, inner_height);
    to.par_chunks_mut(shape.width)
        .enumerate()
        .for_each(|(line, out)| {
            let (channel, y) = (line / shape.height, line % shape.height);
            if y < border || y >= border + inner_height {
                return;
            }
            let (top, weights) = down.of(y - border);
            let source = &lines[(channel * height + top) * inner_width..];
            let out = &mut out[border..border + inner_width];
            for (x, out) in out.iter_mut().enumerate() {
                *out = weights
                    .iter()
                    .enumerate()
                    .map(|(line, w)| w * source[line * inner_width + x])
                    .sum();
            }
        });
}

pub fn mirror_border(picture: &mut [f32], shape: Shape, border: usize) {
    let (inner_height, inner_width) = inside(shape, border);
    let width = shape.width;
    for channel in picture.chunks_exact_mut(shape.pixels()) {
        for row in channel[border * width..][..inner_height * width].chunks_exact_mut(width) {
            for x in (0..border).chain(border + inner_width..width) {
                row[x] = row[border + mirrored(x as isize - border as isize, inner_width)];
            }
        }
        for y in (0..border).chain(border + inner_height..shape.height) {
            let source = border + mirrored(y as isize - border as isize, inner_height);
            channel.copy_within(source * width..(source + 1) * width, y * width);
        }
    }
}

pub fn colour_statistics(picture: &[f32], pixels: usize) -> ColourStatistics {
    let channels = [0, 1, 2].map(|c| &picture[c * pixels..(c + 1) * pixels]);
    let mean = channels.map(|values| {
        sum(pixels, |range| {
            values[range].iter().map(|&value| f64::from(value)).sum()
        }) / pixels as f64
    });
    let covariance = [0, 1, 2].map(|a| {
        [0, 1, 2].map(|b| {
            let products = sum(pixels, |range| {
                let pairs = channels[a][range.clone()].iter().zip(&channels[b][range]);
                pairs
                    .map(|(&p, &q)| (f64::from(p) - mean[a]) * (f64::from(q) - mean[b]))
                    .sum()
            });
            products / pixels as f64
        })
    });
    ColourStatistics { mean, covariance }
}

pub fn colour_map(from: &[f32], pixels: usize, map: &ColourMap, to: &mut [f32]) {
    for (channel, out) in to.chunks_exact_mut(pixels).enumerate() {
        let row = map.matrix[channel].map(|entry| entry as f32);
        let offset = map.offset[channel] as f32;
        each(out, |first, out| {
            for (index, out) in out.iter_mut().enumerate() {
                let at = first + index;
                *out =
                    row[0] * from[at] + row[1] * from[pixels + at] + row[2] * from[2 * pixels + at] + offset;
            }
        });
    }
}

pub fn blend(other: &[f32], share: &[f32], to: &mut [f32], layout: Layout) {
    let (lanes, pixels) = (layout.lanes, layout.shape.pixels());
    assert!(other.len() == to.len() && share.len() == pixels);
    to.par_chunks_mut(pixels * lanes)
        .zip(other.par_chunks(pixels * lanes))
        .for_each(|(to, other)| {
            let pairs = to.chunks_exact_mut(lanes).zip(other.chunks_exact(lanes));
            for ((to, other), s) in pairs.zip(share) {
                for (to, other) in to.iter_mut().zip(other) {
                    *to = s * *to + (1.0 - s) * other;
                }
            }
        });
}

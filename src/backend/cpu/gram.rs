// SPDX-License-Identifier: MIT OR Apache-2.0

//! Moments of activations and the way back through them, as matrix products.

use rayon::prelude::*;

use super::layout::Layout;
use super::parallel::{Parts, each, sum};
use super::product::{Product, multiply, multiply_transposed};
use super::simd::{BLOCK, InstructionSet};
use crate::backend::CancelToken;

/// The most pieces into which the pixels of a Gram matrix are cut.
const MOST_PIECES: usize = 8;
/// Numbers of a run of pixels that stay in the cache while all pairs of channels meet there.
const CACHED: usize = 64 * 1024;

/// Pixels of a piece of a Gram matrix over `pixels`.
fn piece(pixels: usize) -> usize {
    pixels.div_ceil(MOST_PIECES).max(1024)
}

/// Numbers of scratch space that the moments of `layout` need: of each piece a matrix and a sum.
pub fn scratch(layout: Layout) -> usize {
    if layout.lanes == 1 {
        return 0;
    }
    let (side, pixels) = (layout.blocks() * BLOCK, layout.shape.pixels());
    (side * side + side) * pixels.div_ceil(piece(pixels))
}

/// `gram`[C, C] = `scale` · a aᵀ and `mean`[C] = a 1 / P for a[C, P] in blocks. Only panels from the diagonal on are computed.
/// Each piece is summed in f32 by itself, and they together in f64.
#[allow(clippy::too_many_arguments)]
pub fn moments(
    instructions: InstructionSet,
    a: &[f32],
    layout: Layout,
    scale: f32,
    gram: &mut [f32],
    mean: &mut [f32],
    scratch: &mut [f32],
    cancel: &CancelToken,
) {
    let (channels, pixels, blocks) = (layout.shape.channels, layout.shape.pixels(), layout.blocks());
    assert!(a.len() == layout.stored() && gram.len() == channels * channels && mean.len() == channels);
    if layout.lanes == 1 {
        return moments_of_planes(a, pixels, scale, gram, mean);
    }
    let piece = piece(pixels);
    let pieces = pixels.div_ceil(piece);
    let side = blocks * BLOCK;
    let (partials, sums) = scratch[..(side * side + side) * pieces].split_at_mut(side * side * pieces);
    sums.fill(0.0);
    let run = (CACHED / side).max(BLOCK);
    let (parts, sums_of) = (Parts::new(partials), Parts::new(sums));
    // Rows of blocks that together have as many entries: the first is the longest.
    let pairs = blocks.div_ceil(2);
    (0..pieces * pairs).into_par_iter().for_each(|index| {
        let (index, pair) = (index / pairs, index % pairs);
        let partial = parts.at(index * side * side);
        let end = pixels.min((index + 1) * piece);
        for first in (index * piece..end).step_by(run) {
            if cancel.is_cancelled() {
                return;
            }
            let mut rows = [pair, blocks - 1 - pair];
            rows.sort_unstable();
            let count = if rows[0] == rows[1] { 1 } else { 2 };
            for &row in &rows[..count] {
                let product = Product {
                    rows: BLOCK,
                    depth: run.min(end - first),
                    panels: blocks - row,
                    a: a[(row * pixels + first) * BLOCK..].as_ptr(),
                    a_block: BLOCK * BLOCK,
                    b: a[(row * pixels + first) * BLOCK..].as_ptr(),
                    b_panel: pixels * BLOCK,
                    c: partial.wrapping_add((row * blocks + row) * BLOCK * BLOCK),
                    c_panel: BLOCK * BLOCK,
                    add: first > index * piece,
                    next: std::ptr::null(),
                };
                // SAFETY: a has `blocks` panels of `pixels` · BLOCK numbers; the partial matrix is [row, panel, BLOCK, BLOCK],
                // and this piece alone writes this row of it.
                unsafe { multiply_transposed(instructions, &product) };
                // SAFETY: the sums are [piece, row, BLOCK], and this piece alone writes this row of them.
                let sums = unsafe {
                    std::slice::from_raw_parts_mut(sums_of.at((index * blocks + row) * BLOCK), BLOCK)
                };
                let pixels = &a[(row * pixels + first) * BLOCK..][..product.depth * BLOCK];
                add_pixels(pixels, sums);
            }
        }
    });
    let (partials, sums) = (&*partials, &*sums);
    gram.par_chunks_mut(channels).enumerate().for_each(|(row, out)| {
        for (column, out) in out.iter_mut().enumerate() {
            let (upper, lower) = (row.min(column), row.max(column));
            let place = (upper / BLOCK * blocks + lower / BLOCK) * BLOCK * BLOCK;
            let place = place + upper % BLOCK * BLOCK + lower % BLOCK;
            let entries = partials[place..].iter().step_by(side * side);
            *out = (f64::from(scale) * entries.map(|&entry| f64::from(entry)).sum::<f64>()) as f32;
        }
    });
    for (channel, mean) in mean.iter_mut().enumerate() {
        let parts = sums[channel..].iter().step_by(side);
        *mean = (parts.map(|&sum| f64::from(sum)).sum::<f64>() / pixels as f64) as f32;
    }
}

/// Adds `pixels`, of BLOCK numbers each, to `sums`[BLOCK].
fn add_pixels(pixels: &[f32], sums: &mut [f32]) {
    let mut total = [0.0; BLOCK];
    for pixel in pixels.as_chunks::<BLOCK>().0 {
        for (total, value) in total.iter_mut().zip(pixel) {
            *total += value;
        }
    }
    for (sum, total) in sums.iter_mut().zip(total) {
        *sum += total;
    }
}

/// The moments of a picture's few channels.
fn moments_of_planes(a: &[f32], pixels: usize, scale: f32, gram: &mut [f32], mean: &mut [f32]) {
    let channels = a.len() / pixels;
    for (plane, mean) in a.chunks_exact(pixels).zip(mean) {
        let total = sum(pixels, |range| {
            plane[range].iter().map(|&value| f64::from(value)).sum()
        });
        *mean = (total / pixels as f64) as f32;
    }
    for (entry, out) in gram.iter_mut().enumerate() {
        let plane = |channel: usize| &a[channel * pixels..][..pixels];
        let (row, column) = (plane(entry / channels), plane(entry % channels));
        let product = sum(pixels, |range| {
            let pairs = row[range.clone()].iter().zip(&column[range]);
            pairs.map(|(&p, &q)| f64::from(p) * f64::from(q)).sum()
        });
        *out = (f64::from(scale) * product) as f32;
    }
}

/// See [`LossTerms::covariance_difference`](crate::backend::LossTerms::covariance_difference); matrices and means of C
/// channels.
pub fn covariance_difference(
    (gram, mean): (&[f32], &[f32]),
    (covariance, wanted): (&[f32], &[f32]),
    q: f32,
    weight: f32,
    difference: &mut [f32],
    offset: &mut [f32],
) -> f64 {
    let channels = mean.len();
    assert!(gram.len() == channels * channels && offset.len() == channels && wanted.len() == channels);
    assert!(covariance.len() == gram.len() && difference.len() == gram.len());
    let (q, weight) = (f64::from(q), f64::from(weight));
    let mut total = 0.0;
    for (k, (row, offset)) in difference.chunks_exact_mut(channels).zip(offset).enumerate() {
        let own = f64::from(mean[k]);
        let (gram, covariance) = (&gram[k * channels..], &covariance[k * channels..]);
        let (mut product, mut squares) = (0.0, 0.0);
        for (l, entry) in row.iter_mut().enumerate() {
            let other = f64::from(mean[l]);
            let d = f64::from(gram[l]) - q * own * other - f64::from(covariance[l]);
            *entry = d as f32;
            product += d * other;
            squares += d * d;
        }
        let error = own - f64::from(wanted[k]);
        *offset = (weight / (2.0 * q) * error - product) as f32;
        total += squares + weight * error * error;
    }
    total
}

/// Numbers of scratch space that [`backward`] needs.
pub fn backward_scratch(layout: Layout) -> usize {
    if layout.lanes == 1 {
        return 0;
    }
    (layout.blocks() * BLOCK) * layout.shape.channels
}

/// `gradient`[C, P] += `coefficient` · (d[C, C] a[C, P] + constant[C] 1ᵀ), in blocks; d is symmetric.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    instructions: InstructionSet,
    a: &[f32],
    layout: Layout,
    (d, constant): (&[f32], &[f32]),
    coefficient: f32,
    gradient: &mut [f32],
    scratch: &mut [f32],
    cancel: &CancelToken,
) {
    let (channels, pixels, blocks) = (layout.shape.channels, layout.shape.pixels(), layout.blocks());
    assert!(a.len() == layout.stored() && gradient.len() == a.len());
    assert!(d.len() == channels * channels && constant.len() == channels);
    if layout.lanes == 1 {
        return each(gradient, |first, out| {
            for (offset, out) in out.iter_mut().enumerate() {
                let (channel, pixel) = ((first + offset) / pixels, (first + offset) % pixels);
                let row = &d[channel * channels..][..channels];
                let terms = row
                    .iter()
                    .zip(a[pixel..].iter().step_by(pixels))
                    .map(|(d, a)| d * a);
                *out += coefficient * (terms.sum::<f32>() + constant[channel]);
            }
        });
    }
    let scratch = &mut scratch[..backward_scratch(layout)];
    // [panel, row, BLOCK], zeros where there is no channel.
    scratch
        .par_chunks_mut(channels * BLOCK)
        .enumerate()
        .for_each(|(panel, out)| {
            for (row, out) in out.chunks_exact_mut(BLOCK).enumerate() {
                for (lane, out) in out.iter_mut().enumerate() {
                    let column = panel * BLOCK + lane;
                    *out = if column < channels {
                        coefficient * d[row * channels + column]
                    } else {
                        0.0
                    };
                }
            }
        });
    let d = &*scratch;
    let has_constant = constant.iter().any(|&value| value != 0.0);
    let run = (CACHED / channels.next_multiple_of(BLOCK))
        .clamp(BLOCK, 1024)
        .min(pixels.div_ceil(MOST_PIECES))
        .max(1);
    let gradient = Parts::new(gradient);
    (0..pixels.div_ceil(run)).into_par_iter().for_each(|index| {
        if cancel.is_cancelled() {
            return;
        }
        let first = index * run;
        let product = Product {
            rows: run.min(pixels - first),
            depth: channels,
            panels: blocks,
            a: a[first * BLOCK..].as_ptr(),
            a_block: pixels * BLOCK,
            b: d.as_ptr(),
            b_panel: channels * BLOCK,
            c: gradient.at(first * BLOCK),
            c_panel: pixels * BLOCK,
            add: true,
            next: d.as_ptr(),
        };
        if has_constant {
            for block in 0..blocks {
                let start = gradient.at((block * pixels + first) * BLOCK);
                // SAFETY: as below; no product is being added there now.
                let pixels = unsafe { std::slice::from_raw_parts_mut(start, product.rows * BLOCK) };
                let lanes = &constant[block * BLOCK..];
                add_to_pixels(&lanes[..lanes.len().min(BLOCK)], coefficient, pixels);
            }
        }
        // SAFETY: sizes as asserted; the pixels first..first + run of the gradient belong to this piece alone.
        unsafe { multiply(instructions, &product) };
    });
}

/// Adds `coefficient` · `constant` to each of `pixels`, of BLOCK numbers each.
fn add_to_pixels(constant: &[f32], coefficient: f32, pixels: &mut [f32]) {
    let mut added = [0.0; BLOCK];
    for (added, value) in added.iter_mut().zip(constant) {
        *added = coefficient * value;
    }
    for pixel in pixels.as_chunks_mut::<BLOCK>().0 {
        for (value, added) in pixel.iter_mut().zip(added) {
            *value += added;
        }
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Gram matrices and the way back through them, as matrix products.

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

/// Numbers of scratch space that the Gram matrix of `layout` needs.
pub fn scratch(layout: Layout) -> usize {
    if layout.lanes == 1 {
        return 0;
    }
    let (blocks, pixels) = (layout.blocks(), layout.shape.pixels());
    (blocks * BLOCK).pow(2) * pixels.div_ceil(piece(pixels))
}

/// `gram`[C, C] = `scale` · a aᵀ for a[C, P] in blocks. Only panels from the diagonal on are computed. Each piece is summed
/// in f32 by itself, and they together in f64.
pub fn gram(
    instructions: InstructionSet,
    a: &[f32],
    layout: Layout,
    scale: f32,
    gram: &mut [f32],
    scratch: &mut [f32],
    cancel: &CancelToken,
) {
    let (channels, pixels, blocks) = (layout.shape.channels, layout.shape.pixels(), layout.blocks());
    assert!(a.len() == layout.stored() && gram.len() == channels * channels);
    if layout.lanes == 1 {
        return gram_of_planes(a, pixels, scale, gram);
    }
    let piece = piece(pixels);
    let side = blocks * BLOCK;
    let scratch = &mut scratch[..side * side * pixels.div_ceil(piece)];
    let run = (CACHED / side).max(BLOCK);
    let parts = Parts::new(scratch);
    // Rows of blocks that together have as many entries: the first is the longest.
    let pairs = blocks.div_ceil(2);
    (0..pixels.div_ceil(piece) * pairs)
        .into_par_iter()
        .for_each(|index| {
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
                }
            }
        });
    let partials = &*scratch;
    gram.par_chunks_mut(channels).enumerate().for_each(|(row, out)| {
        for (column, out) in out.iter_mut().enumerate() {
            let (upper, lower) = (row.min(column), row.max(column));
            let place = (upper / BLOCK * blocks + lower / BLOCK) * BLOCK * BLOCK;
            let place = place + upper % BLOCK * BLOCK + lower % BLOCK;
            let entries = partials[place..].iter().step_by(side * side);
            *out = (f64::from(scale) * entries.map(|&entry| f64::from(entry)).sum::<f64>()) as f32;
        }
    });
}

/// The Gram matrix of a picture's few channels.
fn gram_of_planes(a: &[f32], pixels: usize, scale: f32, gram: &mut [f32]) {
    let channels = a.len() / pixels;
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

/// Numbers of scratch space that [`backward`] needs.
pub fn backward_scratch(layout: Layout) -> usize {
    if layout.lanes == 1 {
        return 0;
    }
    (layout.blocks() * BLOCK) * layout.shape.channels
}

/// `gradient`[C, P] += `coefficient` · d[C, C] a[C, P], in blocks; d is symmetric.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    instructions: InstructionSet,
    a: &[f32],
    layout: Layout,
    d: &[f32],
    coefficient: f32,
    gradient: &mut [f32],
    scratch: &mut [f32],
    cancel: &CancelToken,
) {
    let (channels, pixels, blocks) = (layout.shape.channels, layout.shape.pixels(), layout.blocks());
    assert!(a.len() == layout.stored() && gradient.len() == a.len() && d.len() == channels * channels);
    if layout.lanes == 1 {
        return each(gradient, |first, out| {
            for (offset, out) in out.iter_mut().enumerate() {
                let (channel, pixel) = ((first + offset) / pixels, (first + offset) % pixels);
                let row = &d[channel * channels..][..channels];
                let terms = row
                    .iter()
                    .zip(a[pixel..].iter().step_by(pixels))
                    .map(|(d, a)| d * a);
                *out += coefficient * terms.sum::<f32>();
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
        // SAFETY: sizes as asserted; the pixels first..first + run of the gradient belong to this piece alone.
        unsafe { multiply(instructions, &product) };
    });
}

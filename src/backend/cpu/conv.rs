// SPDX-License-Identifier: MIT OR Apache-2.0

//! 3×3 convolution as a matrix product.
//!
//! The pixels are cut into blocks. For each block the 9·I values under the kernel are gathered into the columns of
//! a matrix (im2col) that stays in the cache, and one product with the weights [O, 9·I] gives all outputs of the
//! block. The way back to the input is the same convolution with the weights turned round.

use rayon::prelude::*;
use std::sync::Mutex;

use super::parallel::Parts;
use super::product::{Matrix, product};
use crate::backend::{CancelToken, FilterData, Shape};

/// Weights of both directions, row-major, ready for the product.
pub struct Filter {
    pub outputs: usize,
    pub inputs: usize,
    /// [O, I·9].
    forward: Vec<f32>,
    /// [I, O·9]: inputs and outputs exchanged, the kernel turned by 180°.
    backward: Vec<f32>,
    bias: Vec<f32>,
}

impl Filter {
    pub fn new(data: &FilterData) -> Self {
        let (outputs, inputs) = (data.outputs, data.inputs);
        let mut backward = vec![0.0; data.weights.len()];
        for o in 0..outputs {
            for i in 0..inputs {
                for tap in 0..9 {
                    backward[(i * outputs + o) * 9 + 8 - tap] = data.weights[(o * inputs + i) * 9 + tap];
                }
            }
        }
        Self {
            outputs,
            inputs,
            forward: data.weights.clone(),
            backward,
            bias: data.bias.clone(),
        }
    }

    pub fn bytes(&self) -> usize {
        (self.forward.len() + self.backward.len() + self.bias.len()) * size_of::<f32>()
    }

    /// Numbers that a thread needs for its gathered columns, in either direction.
    pub fn scratch(&self) -> usize {
        // Fewer rows allow longer blocks, so the narrower direction may need more.
        let needed = |channels: usize| 9 * channels * block_limit(9 * channels);
        needed(self.inputs).max(needed(self.outputs))
    }
}

/// The most pixels of a block whose columns have `rows` rows: what fits into a share of the second-level cache, but
/// enough for the product to be worth its packing. A multiple of 64, the bits of a word of the mask.
fn block_limit(rows: usize) -> usize {
    const CACHED: usize = 192 * 1024;
    (CACHED / rows / 64 * 64).clamp(128, 512)
}

/// Pixels of a block: small pictures are cut finer so that every thread gets some.
fn block_size(pixels: usize, rows: usize) -> usize {
    (pixels / 8).next_multiple_of(64).clamp(64, block_limit(rows))
}

/// One bit per element, each channel beginning on a new word.
pub struct Bits {
    words_per_channel: usize,
    words: Vec<u64>,
}

impl Bits {
    pub fn new(shape: Shape) -> Self {
        let words_per_channel = shape.pixels().div_ceil(64);
        Self {
            words_per_channel,
            words: vec![0; shape.channels * words_per_channel],
        }
    }

    pub fn bytes(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }
}

/// `to` = max(0, W ∗ `from` + b) and its mask.
pub fn forward(
    filter: &Filter,
    from: &[f32],
    shape: Shape,
    to: &mut [f32],
    mask: &mut Bits,
    scratch: &[Mutex<Vec<f32>>],
    cancel: &CancelToken,
) {
    let pixels = shape.pixels();
    let words_per_channel = mask.words_per_channel;
    let words = Parts::new(&mut mask.words);
    convolve(
        &filter.forward,
        filter.outputs,
        from,
        shape,
        to,
        scratch,
        cancel,
        |to, first, count| {
            for (o, &bias) in filter.bias.iter().enumerate() {
                // SAFETY: this block alone owns the pixels first..first + count of each channel.
                let row = unsafe { to.part(o * pixels + first, count) };
                let word = o * words_per_channel + first / 64;
                // SAFETY: blocks begin at multiples of 64 pixels, so these words belong to this block alone.
                let words = unsafe { words.part(word, count.div_ceil(64)) };
                for (values, word) in row.chunks_mut(64).zip(words) {
                    *word = bias_and_rectify(values, bias);
                }
            }
        },
    );
}

/// Adds the bias to at most 64 values, cuts off what is negative and returns where something is left.
fn bias_and_rectify(values: &mut [f32], bias: f32) -> u64 {
    let mut positive = 0u64;
    for (bit, value) in values.iter_mut().enumerate() {
        *value = (*value + bias).max(0.0);
        positive |= u64::from(*value > 0.0) << bit;
    }
    positive
}

/// Sets a gradient to zero where the ReLU was.
pub fn apply_mask(gradient: &mut [f32], mask: &Bits, pixels: usize) {
    gradient
        .par_chunks_mut(pixels)
        .zip(mask.words.par_chunks(mask.words_per_channel))
        .for_each(|(channel, words)| {
            for (values, &word) in channel.chunks_mut(64).zip(words) {
                for (bit, value) in values.iter_mut().enumerate() {
                    // A bit becomes a mask of all ones or all zeros: no branch on random data.
                    let keep = 0u32.wrapping_sub((word >> bit) as u32 & 1);
                    *value = f32::from_bits(value.to_bits() & keep);
                }
            }
        });
}

/// `from` = Wᵀ ∗ `to`, both gradients, `to` masked already; `shape` is that of `to`.
pub fn backward(
    filter: &Filter,
    to: &[f32],
    shape: Shape,
    from: &mut [f32],
    scratch: &[Mutex<Vec<f32>>],
    cancel: &CancelToken,
) {
    convolve(
        &filter.backward,
        filter.inputs,
        to,
        shape,
        from,
        scratch,
        cancel,
        |_, _, _| (),
    );
}

/// `out`[outputs] = `weights`[outputs, 9·channels] ∗ `input`; `epilogue(out, first, count)` follows for every block of
/// pixels as soon as it is there.
#[allow(clippy::too_many_arguments)]
fn convolve(
    weights: &[f32],
    outputs: usize,
    input: &[f32],
    shape: Shape,
    out: &mut [f32],
    scratch: &[Mutex<Vec<f32>>],
    cancel: &CancelToken,
    epilogue: impl Fn(&Parts<f32>, usize, usize) + Sync,
) {
    let pixels = shape.pixels();
    let rows = 9 * shape.channels;
    assert_eq!(weights.len(), outputs * rows);
    assert_eq!(input.len(), shape.elements());
    assert_eq!(out.len(), outputs * pixels);
    let block = block_size(pixels, rows);
    let out = Parts::new(out);
    (0..pixels.div_ceil(block)).into_par_iter().for_each(|index| {
        if cancel.is_cancelled() {
            return;
        }
        let first = index * block;
        let count = block.min(pixels - first);
        let thread = rayon::current_thread_index().unwrap_or(0);
        let mut columns = scratch[thread]
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let columns = &mut columns[..rows * count];
        gather(input, shape, first, count, columns);
        // SAFETY: the operands have the sizes asserted above; the product writes the pixels first..first + count of
        // each output channel, which belong to this block alone.
        unsafe {
            product(
                [outputs, rows, count],
                1.0,
                Matrix::rows(weights.as_ptr(), rows),
                Matrix::rows(columns.as_ptr(), count),
                Matrix::rows(out.at(first), pixels),
                false,
            );
        }
        epilogue(&out, first, count);
    });
}

/// `columns`[I·9, count]: under each pixel of first..first + count the values that its kernel covers, zeros beyond
/// the frame.
fn gather(input: &[f32], shape: Shape, first: usize, count: usize, columns: &mut [f32]) {
    let Shape {
        channels,
        height,
        width,
    } = shape;
    let mut rows = columns.chunks_exact_mut(count);
    for channel in 0..channels {
        let plane = &input[channel * height * width..][..height * width];
        for tap in 0..9 {
            // There are 9·I rows of `count`, one for every turn of this loop.
            let Some(row) = rows.next() else { return };
            gather_tap(
                plane,
                height,
                width,
                (tap / 3) as isize - 1,
                (tap % 3) as isize - 1,
                first,
                row,
            );
        }
    }
}

/// One row of the columns: the plane shifted by (dy, dx), from pixel `first` on.
fn gather_tap(
    plane: &[f32],
    height: usize,
    width: usize,
    dy: isize,
    dx: isize,
    first: usize,
    row: &mut [f32],
) {
    let mut done = 0;
    while done < row.len() {
        let (y, x) = ((first + done) / width, (first + done) % width);
        let run = (width - x).min(row.len() - done);
        let target = &mut row[done..done + run];
        let source = y as isize + dy;
        if source < 0 || source >= height as isize {
            target.fill(0.0);
        } else {
            let line = &plane[source as usize * width..][..width];
            shift_line(line, x as isize + dx, target);
        }
        done += run;
    }
}

/// `target`[i] = `line`[from + i], zeros where `line` has nothing; `from` ≥ −1 and at most one element too far.
fn shift_line(line: &[f32], from: isize, target: &mut [f32]) {
    let skipped = usize::from(from < 0).min(target.len());
    target[..skipped].fill(0.0);
    let start = from.max(0) as usize;
    let length = (target.len() - skipped).min(line.len() - start.min(line.len()));
    target[skipped..skipped + length].copy_from_slice(&line[start..start + length]);
    target[skipped + length..].fill(0.0);
}

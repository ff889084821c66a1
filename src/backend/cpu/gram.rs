// SPDX-License-Identifier: MIT OR Apache-2.0

//! Gram matrices and the way back through them, as matrix products.

use rayon::prelude::*;

use super::parallel::Parts;
use super::product::{Matrix, product};
use crate::backend::CancelToken;

/// The most pieces into which the pixels of a Gram matrix are cut.
const MOST_PIECES: usize = 8;

/// Pixels of a piece of a Gram matrix over `pixels`.
fn piece(pixels: usize) -> usize {
    pixels.div_ceil(MOST_PIECES).max(2048)
}

/// Numbers of scratch space that the Gram matrix of [C, pixels] needs.
pub fn scratch(channels: usize, pixels: usize) -> usize {
    channels * channels * pixels.div_ceil(piece(pixels))
}

/// `gram`[C, C] = `scale` · a aᵀ for a[C, pixels]. The pieces are summed in f32 by themselves and in f64 together.
pub fn gram(
    a: &[f32],
    channels: usize,
    pixels: usize,
    scale: f32,
    gram: &mut [f32],
    scratch: &mut [f32],
    cancel: &CancelToken,
) {
    assert_eq!(a.len(), channels * pixels);
    assert_eq!(gram.len(), channels * channels);
    let piece = piece(pixels);
    scratch
        .par_chunks_mut(channels * channels)
        .enumerate()
        .for_each(|(index, partial)| {
            if cancel.is_cancelled() {
                return;
            }
            let first = index * piece;
            let count = piece.min(pixels - first);
            // SAFETY: a has `channels` rows of `pixels`, of which the columns first..first + count are read; `partial` is
            // [C, C] and written by this piece alone.
            unsafe {
                product(
                    [channels, count, channels],
                    1.0,
                    Matrix::rows(a.as_ptr().add(first), pixels),
                    Matrix::transposed(a.as_ptr().add(first), pixels),
                    Matrix::rows(partial.as_mut_ptr(), channels),
                    false,
                );
            }
        });
    let partials = &*scratch;
    super::parallel::each(gram, |first, out| {
        for (offset, out) in out.iter_mut().enumerate() {
            let entries = partials[first + offset..].iter().step_by(channels * channels);
            *out = (f64::from(scale) * entries.map(|&entry| f64::from(entry)).sum::<f64>()) as f32;
        }
    });
}

/// `gradient`[C, pixels] += `coefficient` · d[C, C] a[C, pixels].
pub fn backward(
    a: &[f32],
    channels: usize,
    pixels: usize,
    d: &[f32],
    coefficient: f32,
    gradient: &mut [f32],
    cancel: &CancelToken,
) {
    assert_eq!(a.len(), channels * pixels);
    assert_eq!(gradient.len(), channels * pixels);
    assert_eq!(d.len(), channels * channels);
    let block = (pixels / 8).next_multiple_of(64).clamp(64, 1024);
    let gradient = Parts::new(gradient);
    (0..pixels.div_ceil(block)).into_par_iter().for_each(|index| {
        if cancel.is_cancelled() {
            return;
        }
        let first = index * block;
        let count = block.min(pixels - first);
        // SAFETY: sizes as asserted; the product reads and writes the columns first..first + count of the gradient,
        // which belong to this block alone.
        unsafe {
            product(
                [channels, channels, count],
                coefficient,
                Matrix::rows(d.as_ptr(), channels),
                Matrix::rows(a.as_ptr().add(first), pixels),
                Matrix::rows(gradient.at(first), pixels),
                true,
            );
        }
    });
}

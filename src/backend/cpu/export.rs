// SPDX-License-Identifier: MIT OR Apache-2.0

//! A picture laid onto a frame of another size, guided by it; see [`Pictures::export`](crate::backend::Pictures::export).
//!
//! A streaming thread waits for this with every frame, so all loops run along rows, over [`STRIP`] pixels at a time that
//! lie in the cache, and are compiled for each kind of machine. They contain no fused multiply-add and so give the same
//! bits everywhere.

use rayon::prelude::*;

use super::simd::{InstructionSet, Simd, kernel};
use crate::backend::guide::{EPSILON, WINDOW};
use crate::backend::resample::Taps;
use crate::backend::{CancelToken, Mix, Shape};
use crate::picture::{self, Picture, PictureView, Sample, Samples};

/// Pixels of a row that are worked on at a time.
const STRIP: usize = 64;

/// Pixels by which a window reaches beyond its middle.
const REACH: usize = WINDOW.len() / 2;

/// Pixels that the windows of a strip see.
const SEEN: usize = STRIP + 2 * REACH;

/// Planes that guide a picture: the slopes of its three colours, and the content's luma.
const GUIDES: usize = 4;

/// Planes of a picture and what guides it.
const PLANES: usize = 3 + GUIDES;

/// A picture and its content, [3, H, W] with a margin.
#[derive(Clone, Copy)]
pub struct Painting<'a> {
    pub picture: &'a [f32],
    pub content: &'a [f32],
    pub shape: Shape,
    pub border: usize,
}

impl<'a> Painting<'a> {
    fn inside(&self) -> (usize, usize) {
        (
            self.shape.height - 2 * self.border,
            self.shape.width - 2 * self.border,
        )
    }

    /// Row `y` of the inside of a plane.
    fn row(&self, of: &'a [f32], channel: usize, y: usize) -> &'a [f32] {
        let line = channel * self.shape.height + y + self.border;
        &of[line * self.shape.width + self.border..][..self.inside().1]
    }
}

/// Space that is kept from frame to frame.
#[derive(Default)]
pub struct Scratch {
    /// [height of the inside, GUIDES, its width].
    guides: Vec<f32>,
    /// [planes, height of the inside, width of the frame in whole strips].
    lines: Vec<f32>,
}

pub fn export(
    instructions: InstructionSet,
    painting: Painting,
    mix: Mix,
    frame: PictureView,
    out: &mut Picture,
    scratch: &mut Scratch,
    cancel: &CancelToken,
) {
    assert!(frame.format() == out.format() && painting.shape.channels == 3);
    let (width, height) = frame.size();
    let (rows, columns) = painting.inside();
    let Scratch { guides, lines } = scratch;
    let planes = if mix.detail == 0.0 { 3 } else { PLANES };
    if planes == PLANES {
        guides.resize(rows * GUIDES * columns, 0.0);
        guides
            .par_chunks_mut(GUIDES * columns)
            .enumerate()
            .for_each(|(y, out)| {
                // SAFETY: the instruction set is one that this processor has.
                unsafe { guide_row(instructions, &painting, y, out) };
            });
    }
    let (across, down) = (Taps::new(columns, width), Taps::new(rows, height));
    let stride = width.next_multiple_of(STRIP);
    lines.resize(planes * rows * stride, 0.0);
    lines.par_chunks_mut(stride).enumerate().for_each(|(line, out)| {
        let (plane, y) = (line / rows, line % rows);
        let from = match plane {
            0..3 => painting.row(painting.picture, plane, y),
            _ => &guides[(y * GUIDES + plane - 3) * columns..][..columns],
        };
        enlarge(from, &across, &mut out[..width]);
    });
    let lines = Lines {
        numbers: lines,
        planes,
        rows,
        stride,
    };
    let rows = Rows {
        instructions,
        lines,
        down,
        mix,
        samples: width * 3,
        cancel,
    };
    match (frame.samples(), out.samples_mut()) {
        (Samples::Eight(frame), Samples::Eight(out)) => rows.compose(frame, out),
        (Samples::Sixteen(frame), Samples::Sixteen(out)) => rows.compose(frame, out),
        _ => unreachable!("the formats are the same"),
    }
}

/// What all rows of the frame are composed of.
struct Rows<'a> {
    instructions: InstructionSet,
    lines: Lines<'a>,
    /// Which of the lines a row of the frame is made of.
    down: Taps,
    mix: Mix,
    /// Samples of a row.
    samples: usize,
    cancel: &'a CancelToken,
}

impl Rows<'_> {
    fn compose<S: Sample>(&self, frame: &[S], out: &mut [S]) {
        out.par_chunks_mut(self.samples)
            .zip(frame.par_chunks(self.samples))
            .enumerate()
            .for_each(|(y, (out, frame))| {
                if !self.cancel.is_cancelled() {
                    let taps = self.down.of(y);
                    // SAFETY: the instruction set is one that this processor has.
                    unsafe { compose_row(self.instructions, &self.lines, taps, self.mix, frame, out) };
                }
            });
    }
}

kernel! {
    /// The guides of row `y`, [GUIDES, width of the inside].
    ///
    /// # Safety
    /// The processor must have the instructions of the set.
    guide_row(painting: &Painting, y: usize, out: &mut [f32]) = guides_of_row
}

#[inline(always)]
unsafe fn guides_of_row<S: Simd>(painting: &Painting, y: usize, out: &mut [f32]) {
    let (rows, columns) = painting.inside();
    for left in (0..columns).step_by(STRIP) {
        // Down the columns of the window: of y and y², then for each colour of P and of y P.
        let mut luma_sums = [[0.0f32; SEEN]; 2];
        let mut colour_sums = [[[0.0f32; SEEN]; 2]; 3];
        let mut middle = [0.0f32; SEEN];
        for (tap, weight) in WINDOW.into_iter().enumerate() {
            let row = (y + tap).saturating_sub(REACH).min(rows - 1);
            let [r, g, b] = [0, 1, 2].map(|c| seen(painting.row(painting.content, c, row), left));
            let mut luma = [0.0f32; SEEN];
            for i in 0..SEEN {
                luma[i] = picture::luma([r[i], g[i], b[i]]);
            }
            for i in 0..SEEN {
                luma_sums[0][i] += weight * luma[i];
                luma_sums[1][i] += weight * (luma[i] * luma[i]);
            }
            for (channel, sums) in colour_sums.iter_mut().enumerate() {
                let colour = seen(painting.row(painting.picture, channel, row), left);
                for i in 0..SEEN {
                    sums[0][i] += weight * colour[i];
                    sums[1][i] += weight * (luma[i] * colour[i]);
                }
            }
            if tap == REACH {
                middle = luma;
            }
        }
        let count = STRIP.min(columns - left);
        let [mean, square] = [along(&luma_sums[0]), along(&luma_sums[1])];
        let mut steepness = [0.0f32; STRIP];
        for i in 0..STRIP {
            steepness[i] = 1.0 / (square[i] - mean[i] * mean[i] + EPSILON);
        }
        for (channel, sums) in colour_sums.iter().enumerate() {
            let [colour, product] = [along(&sums[0]), along(&sums[1])];
            let mut slopes = [0.0f32; STRIP];
            for i in 0..STRIP {
                slopes[i] = (product[i] - mean[i] * colour[i]) * steepness[i];
            }
            out[channel * columns + left..][..count].copy_from_slice(&slopes[..count]);
        }
        out[3 * columns + left..][..count].copy_from_slice(&middle[REACH..][..count]);
    }
}

/// What the windows of the strip from `left` on see of a row; its ends go on.
#[inline(always)]
fn seen(row: &[f32], left: usize) -> [f32; SEEN] {
    let mut seen = [0.0; SEEN];
    match left
        .checked_sub(REACH)
        .and_then(|first| row.get(first..first + SEEN))
    {
        Some(inside) => seen.copy_from_slice(inside),
        None => {
            for (i, seen) in seen.iter_mut().enumerate() {
                *seen = row[(left + i).saturating_sub(REACH).min(row.len() - 1)];
            }
        }
    }
    seen
}

/// Along the rows of the window.
#[inline(always)]
fn along(sums: &[f32; SEEN]) -> [f32; STRIP] {
    let mut means = [0.0; STRIP];
    for (tap, weight) in WINDOW.into_iter().enumerate() {
        for i in 0..STRIP {
            means[i] += weight * sums[i + tap];
        }
    }
    means
}

/// A row resampled.
fn enlarge(from: &[f32], taps: &Taps, out: &mut [f32]) {
    // The cubic has four taps unless it shrinks; a loop of unknown length would cost more than the products.
    if let (4, (weights, [])) = (taps.width, taps.weights.as_chunks::<4>()) {
        for ((out, &first), weights) in out.iter_mut().zip(&taps.first).zip(weights) {
            let near = &from[first..first + 4];
            *out = weights[0] * near[0] + weights[1] * near[1] + weights[2] * near[2] + weights[3] * near[3];
        }
        return;
    }
    for (x, out) in out.iter_mut().enumerate() {
        let (first, weights) = taps.of(x);
        *out = weights
            .iter()
            .zip(&from[first..])
            .map(|(w, value)| w * value)
            .sum();
    }
}

/// Planes resampled along rows.
struct Lines<'a> {
    numbers: &'a [f32],
    planes: usize,
    rows: usize,
    stride: usize,
}

impl Lines<'_> {
    fn strip(&self, plane: usize, row: usize, left: usize) -> &[f32] {
        &self.numbers[(plane * self.rows + row) * self.stride + left..][..STRIP]
    }
}

kernel! {
    /// A row of the frame: the lines from the tap's first on, weighed, with what the frame adds and mixed with it.
    ///
    /// # Safety
    /// The processor must have the instructions of the set.
    compose_row[T: Sample](lines: &Lines, taps: (usize, &[f32]), mix: Mix, frame: &[T], out: &mut [T]) = composed_row
}

#[inline(always)]
unsafe fn composed_row<S: Simd, T: Sample>(
    lines: &Lines,
    (top, weights): (usize, &[f32]),
    mix: Mix,
    frame: &[T],
    out: &mut [T],
) {
    let strips = out.chunks_mut(3 * STRIP).zip(frame.chunks(3 * STRIP));
    for (index, (out, frame)) in strips.enumerate() {
        let mut samples = [[0.0f32; STRIP]; PLANES];
        for (plane, samples) in samples[..lines.planes].iter_mut().enumerate() {
            for (tap, &weight) in weights.iter().enumerate() {
                let line = lines.strip(plane, top + tap, index * STRIP);
                for i in 0..STRIP {
                    samples[i] += weight * line[i];
                }
            }
        }
        // A whole strip, even where the row has none.
        let mut strip = [T::default(); 3 * STRIP];
        strip[..frame.len()].copy_from_slice(frame);
        let mut original = [[0.0f32; STRIP]; 3];
        for i in 0..STRIP {
            for c in 0..3 {
                original[c][i] = strip[3 * i + c].value();
            }
        }
        let mut detail = [0.0f32; STRIP];
        if lines.planes == PLANES {
            let (coarse, [r, g, b]) = (&samples[PLANES - 1], &original);
            for i in 0..STRIP {
                let fine = picture::luma([r[i], g[i], b[i]]);
                detail[i] = mix.detail * (fine - T::WHITE * coarse[i]);
            }
        }
        let mut mixed = [[T::default(); STRIP]; 3];
        for c in 0..3 {
            for i in 0..STRIP {
                let painted = (T::WHITE * samples[c][i] + samples[3 + c][i] * detail[i]).clamp(0.0, T::WHITE);
                let value = (1.0 - mix.strength) * original[c][i] + mix.strength * painted;
                mixed[c][i] = T::nearest(value);
            }
        }
        for i in 0..STRIP {
            for c in 0..3 {
                strip[3 * i + c] = mixed[c][i];
            }
        }
        out.copy_from_slice(&strip[..out.len()]);
    }
}

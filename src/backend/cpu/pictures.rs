// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pictures: resampling from and to frames, margins, colours, what has changed.

use rayon::prelude::*;

use super::layout::Layout;
use super::parallel::{each, sum};
use super::{Cpu, Tensor, export, warp};
use crate::backend::resample::{Taps, mirrored};
use crate::backend::{
    CancelToken, ColourMap, ColourStatistics, Export, Interpolation, Pictures, Result, Shape,
};
use crate::picture::{Picture, PictureView, Sample, Samples};

impl Pictures for Cpu {
    fn import(&mut self, frame: PictureView, border: usize, picture: &mut Tensor) -> Result<()> {
        let (height, width) = inside(picture.layout.shape, border);
        let part = Part {
            whole: (width, height),
            corner: (0, 0),
        };
        self.import_inside(frame, part, border, picture)
    }

    fn import_part(
        &mut self,
        frame: PictureView,
        whole: (usize, usize),
        corner: (usize, usize),
        picture: &mut Tensor,
    ) -> Result<()> {
        self.import_inside(frame, Part { whole, corner }, 0, picture)
    }

    fn export(&mut self, export: Export<Tensor>, out: &mut Picture) -> Result<()> {
        let Export {
            picture,
            content,
            border,
            mix,
            frame,
        } = export;
        assert_eq!(picture.layout, content.layout);
        let painting = export::Painting {
            picture: picture.values(),
            content: content.values(),
            shape: picture.layout.shape,
            border,
        };
        let (scratch, cancel, instructions) = (&mut self.exporting, &self.cancel, self.instructions);
        self.workers.run(cancel, || {
            export::export(instructions, painting, mix, frame, out, scratch, cancel);
        })?;
        self.finished()
    }

    fn resize(&mut self, from: &Tensor, border: usize, to: &mut Tensor) -> Result<()> {
        let (from_shape, to_shape) = (from.layout.shape, to.layout.shape);
        let (lines, from, to) = (&mut self.lines, from.values(), to.values_mut());
        self.workers.run(&self.cancel, || {
            resize(from, from_shape, border, to, to_shape, lines);
        })
    }

    fn mirror_border(&mut self, picture: &mut Tensor, border: usize) -> Result<()> {
        let shape = picture.layout.shape;
        mirror_border(picture.values_mut(), shape, border);
        Ok(())
    }

    fn colour_statistics(&mut self, picture: &Tensor) -> Result<ColourStatistics> {
        let pixels = picture.layout.shape.pixels();
        self.workers
            .run(&self.cancel, || colour_statistics(picture.values(), pixels))
    }

    fn colour_map(&mut self, from: &Tensor, map: &ColourMap, to: &mut Tensor) -> Result<()> {
        let pixels = from.layout.shape.pixels();
        let (from, to) = (from.values(), to.values_mut());
        self.workers
            .run(&self.cancel, || colour_map(from, pixels, map, to))
    }

    fn blend(&mut self, other: &Tensor, share: &Tensor, to: &mut Tensor) -> Result<()> {
        assert_eq!(other.layout, to.layout);
        let layout = to.layout;
        let (other, share, to) = (other.values(), share.values(), to.values_mut());
        self.workers.run(&self.cancel, || blend(other, share, to, layout))
    }

    fn warp(
        &mut self,
        from: &Tensor,
        flow: &Tensor,
        interpolation: Interpolation,
        to: &mut Tensor,
    ) -> Result<()> {
        assert!(from.layout == to.layout && from.layout.lanes == 1);
        let shape = from.layout.shape;
        assert_eq!(flow.layout.shape, shape.with_channels(2));
        let (from, flow, to) = (from.values(), flow.values(), to.values_mut());
        self.workers
            .run(&self.cancel, || warp::warp(from, flow, shape, interpolation, to))
    }
}

/// The inside of a picture with a margin.
fn inside(shape: Shape, border: usize) -> (usize, usize) {
    (shape.height - 2 * border, shape.width - 2 * border)
}

impl Cpu {
    /// A part of a frame → the inside of a picture.
    fn import_inside(
        &mut self,
        frame: PictureView,
        part: Part,
        border: usize,
        picture: &mut Tensor,
    ) -> Result<()> {
        let shape = picture.layout.shape;
        let (lines, cancel) = (&mut self.lines, &self.cancel);
        let values = picture.values_mut();
        self.workers.run(cancel, || {
            import(frame, part, border, values, shape, lines, cancel);
        })?;
        self.finished()
    }
}

/// A part of a resampled frame: the frame has the width and height `whole`, and the part begins at the pixel (x, y).
#[derive(Clone, Copy)]
struct Part {
    whole: (usize, usize),
    corner: (usize, usize),
}

/// A part of `frame` → the inside of `picture`. `lines` is scratch space.
///
/// Frames are shrunk as a rule: columns come first, for which whole rows of the frame are added up and which leave little to
/// be done along rows.
fn import(
    frame: PictureView,
    part: Part,
    border: usize,
    picture: &mut [f32],
    shape: Shape,
    lines: &mut Vec<f32>,
    cancel: &CancelToken,
) {
    assert_eq!(shape.channels, 3);
    let ((width, height), white) = (frame.size(), frame.format().depth.white());
    let (inner_height, inner_width) = inside(shape, border);
    assert!(part.corner.0 + inner_width <= part.whole.0 && part.corner.1 + inner_height <= part.whole.1);
    let (across, down) = (Taps::new(width, part.whole.0), Taps::new(height, part.whole.1));
    let row_samples = width * 3;
    lines.resize(inner_height * row_samples, 0.0);
    lines
        .par_chunks_mut(row_samples)
        .enumerate()
        .for_each(|(y, out)| {
            if cancel.is_cancelled() {
                return;
            }
            let (top, weights) = down.of(part.corner.1 + y);
            match frame.samples() {
                Samples::Eight(samples) => add_rows(&samples[top * row_samples..], weights, out),
                Samples::Sixteen(samples) => add_rows(&samples[top * row_samples..], weights, out),
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
            let row = &lines[(y - border) * row_samples..][..row_samples];
            for (x, out) in out[border..border + inner_width].iter_mut().enumerate() {
                let (first, weights) = across.of(part.corner.0 + x);
                let values = row[first * 3 + channel..].iter().step_by(3);
                *out = weights
                    .iter()
                    .zip(values)
                    .map(|(w, value)| w * value)
                    .sum::<f32>()
                    / white;
            }
        });
}

/// `out` := Σ `weights` · rows, each as long as `out`.
fn add_rows<S: Sample>(rows: &[S], weights: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for (row, weight) in rows.chunks_exact(out.len()).zip(weights) {
        for (out, &sample) in out.iter_mut().zip(row) {
            *out += weight * sample.value();
        }
    }
}

/// The inside of `from` → the inside of `to`.
fn resize(
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

fn mirror_border(picture: &mut [f32], shape: Shape, border: usize) {
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

fn colour_statistics(picture: &[f32], pixels: usize) -> ColourStatistics {
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

fn colour_map(from: &[f32], pixels: usize, map: &ColourMap, to: &mut [f32]) {
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

fn blend(other: &[f32], share: &[f32], to: &mut [f32], layout: Layout) {
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

// SPDX-License-Identifier: MIT OR Apache-2.0

use super::gray::Gray;
use crate::backend::flow::REACH;

/// Pixels around a level that repeat its border: as far as the search may reach beyond it, and one more to interpolate.
pub const MARGIN: usize = REACH + 1;
/// No side of a level is smaller, unless the picture itself is.
pub(super) const SMALLEST_SIDE: usize = 12;

/// A picture at half its size, half of that, and so on.
#[derive(Debug, Default)]
pub struct Pyramid {
    /// The finest first; each half the size of the one before, rounded up.
    pub levels: Vec<PyramidLevel>,
}

/// A picture at one size.
#[derive(Debug, Default)]
pub struct PyramidLevel {
    pub width: usize,
    pub height: usize,
    /// From row to row of `pixels`.
    pub stride: usize,
    /// [H + 2 MARGIN, W + 2 MARGIN].
    pub pixels: Vec<f32>,
    /// [H, W]: the differences to the right and downwards, per pixel.
    pub dx: Vec<f32>,
    pub dy: Vec<f32>,
    /// Variance of the noise.
    pub noise: f32,
}

impl Pyramid {
    pub fn build(&mut self, picture: &Gray) {
        let mut sizes = vec![(picture.width, picture.height)];
        let (mut width, mut height) = sizes[0];
        while width.min(height).div_ceil(2) >= SMALLEST_SIDE {
            (width, height) = (width.div_ceil(2), height.div_ceil(2));
            sizes.push((width, height));
        }
        self.levels.resize_with(sizes.len(), PyramidLevel::default);
        for (level, (width, height)) in self.levels.iter_mut().zip(sizes) {
            level.resize(width, height);
        }
        self.levels[0].copy(picture);
        for index in 1..self.levels.len() {
            let (finer, coarser) = self.levels.split_at_mut(index);
            coarser[0].halve(&finer[index - 1]);
        }
        let mut noise = self.levels[0].estimate_noise();
        for level in &mut self.levels {
            level.differentiate();
            level.noise = noise;
            // Four pixels become one.
            noise *= 0.25;
        }
    }
}

impl PyramidLevel {
    fn resize(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.stride = width + 2 * MARGIN;
        self.pixels.resize(self.stride * (height + 2 * MARGIN), 0.0);
        self.dx.resize(width * height, 0.0);
        self.dy.resize(width * height, 0.0);
    }

    /// The squared length of the gradient at a pixel.
    pub fn structure(&self, x: usize, y: usize) -> f32 {
        let at = y * self.width + x;
        self.dx[at].powi(2) + self.dy[at].powi(2)
    }

    /// Row `y` with its margins, which may itself lie in the margin.
    pub fn row(&self, y: isize) -> &[f32] {
        &self.pixels[(y + MARGIN as isize) as usize * self.stride..][..self.stride]
    }

    fn copy(&mut self, picture: &Gray) {
        for (y, row) in picture.pixels.chunks_exact(self.width).enumerate() {
            self.pixels[(y + MARGIN) * self.stride + MARGIN..][..self.width].copy_from_slice(row);
        }
        self.fill_margins();
    }

    /// By the weights 1 3 3 1, so that little aliases. Pixel x covers the pixels 2x and 2x + 1 of `finer`.
    fn halve(&mut self, finer: &PyramidLevel) {
        let mut mixed = vec![0.0; finer.stride];
        for y in 0..self.height {
            let row = |offset| finer.row(2 * y as isize + offset);
            let (above, upper, lower, below) = (row(-1), row(0), row(1), row(2));
            for (x, mixed) in mixed.iter_mut().enumerate() {
                *mixed = 0.125 * (above[x] + below[x]) + 0.375 * (upper[x] + lower[x]);
            }
            let out = &mut self.pixels[(y + MARGIN) * self.stride + MARGIN..][..self.width];
            for (out, mixed) in out.iter_mut().zip(mixed[MARGIN - 1..].windows(4).step_by(2)) {
                *out = 0.125 * (mixed[0] + mixed[3]) + 0.375 * (mixed[1] + mixed[2]);
            }
        }
        self.fill_margins();
    }

    fn fill_margins(&mut self) {
        let (width, height, stride) = (self.width, self.height, self.stride);
        for row in self.pixels[MARGIN * stride..(MARGIN + height) * stride].chunks_exact_mut(stride) {
            let (first, last) = (row[MARGIN], row[MARGIN + width - 1]);
            row[..MARGIN].fill(first);
            row[MARGIN + width..].fill(last);
        }
        for y in 0..MARGIN {
            self.pixels
                .copy_within(MARGIN * stride..(MARGIN + 1) * stride, y * stride);
            let last = (MARGIN + height - 1) * stride;
            self.pixels
                .copy_within(last..last + stride, last + (y + 1) * stride);
        }
    }

    /// The variance of noise that is independent from pixel to pixel (Immerkær 1996), from the differences of second
    /// differences. Their median is used, because most of a picture is smoother than its edges.
    fn estimate_noise(&self) -> f32 {
        let mut responses = Vec::with_capacity(self.width * self.height / 4);
        for y in (0..self.height as isize).step_by(4) {
            let (above, here, below) = (self.row(y - 1), self.row(y), self.row(y + 1));
            let bend = |row: &[f32], x: usize| row[x - 1] - 2.0 * row[x] + row[x + 1];
            responses.extend(
                (MARGIN..MARGIN + self.width)
                    .map(|x| (bend(above, x) - 2.0 * bend(here, x) + bend(below, x)).abs()),
            );
        }
        let middle = responses.len() / 2;
        let (_, median, _) = responses.select_nth_unstable_by(middle, f32::total_cmp);
        // The weights' squares add up to 36, and half of a normal distribution lies within 0.6745 deviations.
        (*median / (6.0 * 0.6745)).powi(2)
    }

    fn differentiate(&mut self) {
        for y in 0..self.height {
            let row =
                |offset: usize| &self.pixels[(y + offset) * self.stride + MARGIN - 1..][..self.width + 2];
            let (above, here, below) = (row(MARGIN - 1), row(MARGIN), row(MARGIN + 1));
            let at = y * self.width..(y + 1) * self.width;
            let (dx, dy) = (&mut self.dx[at.clone()], &mut self.dy[at]);
            for (x, (dx, dy)) in dx.iter_mut().zip(dy).enumerate() {
                *dx = 0.5 * (here[x + 2] - here[x]);
                *dy = 0.5 * (below[x + 1] - above[x + 1]);
            }
        }
    }
}

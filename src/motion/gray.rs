// SPDX-License-Identifier: MIT OR Apache-2.0

use crate::backend::resample::Taps;
use crate::picture::{Picture, Sample, Samples, luma};

/// The luma of a picture, on the scale of bytes: 0..255.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gray {
    pub width: usize,
    pub height: usize,
    /// [H, W], rows after one another.
    pub pixels: Vec<f32>,
}

impl Gray {
    /// The luma (BT.601) of a frame, shrunk or grown to a size in pixels.
    pub fn of(frame: &Picture, width: usize, height: usize) -> Self {
        match frame.samples() {
            Samples::Eight(samples) => Self::of_samples(samples, frame.size(), (width, height)),
            Samples::Sixteen(samples) => Self::of_samples(samples, frame.size(), (width, height)),
        }
    }

    fn of_samples<S: Sample>(samples: &[S], from: (usize, usize), to: (usize, usize)) -> Self {
        let row_samples = from.0 * 3;
        let mut colours = vec![0.0; row_samples];
        // 1 for bytes.
        let scale = 255.0 / S::WHITE;
        Self::resampled(from, to, |top, weights, out| {
            colours.fill(0.0);
            let rows = samples[top * row_samples..].chunks_exact(row_samples);
            for (row, weight) in rows.zip(weights) {
                let weight = scale * weight;
                for (sum, &sample) in colours.iter_mut().zip(row) {
                    *sum += weight * sample.value();
                }
            }
            for (out, colour) in out.iter_mut().zip(colours.chunks_exact(3)) {
                *out = luma([colour[0], colour[1], colour[2]]);
            }
        })
    }

    /// The luma of a picture [3, H, W] whose colours are in 0..1.
    pub fn of_planes(picture: &[f32], width: usize, height: usize) -> Self {
        let (red, rest) = picture.split_at(width * height);
        let (green, blue) = rest.split_at(width * height);
        let colours = red.iter().zip(green).zip(blue);
        Self {
            width,
            height,
            pixels: colours.map(|((r, g), b)| 255.0 * luma([*r, *g, *b])).collect(),
        }
    }

    /// The squared length of the gradient at a pixel.
    pub fn structure(&self, x: usize, y: usize) -> f32 {
        let at = |x: usize, y: usize| self.pixels[y * self.width + x];
        let dx = at((x + 1).min(self.width - 1), y) - at(x.saturating_sub(1), y);
        let dy = at(x, (y + 1).min(self.height - 1)) - at(x, y.saturating_sub(1));
        0.25 * (dx * dx + dy * dy)
    }

    /// The same picture shrunk or grown to a size in pixels.
    pub fn resized(&self, width: usize, height: usize) -> Self {
        Self::resampled(
            (self.width, self.height),
            (width, height),
            |top, weights, sums| {
                sums.fill(0.0);
                let rows = self.pixels[top * self.width..].chunks_exact(self.width);
                for (row, weight) in rows.zip(weights) {
                    for (sum, value) in sums.iter_mut().zip(row) {
                        *sum += weight * value;
                    }
                }
            },
        )
    }

    /// Resamples from the size `from`. `mix(top, weights, out)` writes the weighted sum of the rows from `top` on into `out`.
    /// Columns are resampled first, since that works along whole rows, many pixels at a time.
    fn resampled(
        from: (usize, usize),
        (width, height): (usize, usize),
        mut mix: impl FnMut(usize, &[f32], &mut [f32]),
    ) -> Self {
        let (across, down) = (Taps::new(from.0, width), Taps::new(from.1, height));
        let mut mixed = vec![0.0; from.0];
        let mut pixels = vec![0.0; width * height];
        for (y, out) in pixels.chunks_exact_mut(width).enumerate() {
            let (top, weights) = down.of(y);
            mix(top, weights, &mut mixed);
            for (x, out) in out.iter_mut().enumerate() {
                let (first, weights) = across.of(x);
                *out = mixed[first..].iter().zip(weights).map(|(a, b)| a * b).sum();
            }
        }
        Self {
            width,
            height,
            pixels,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_one_brightness_however_it_is_looked_at() {
        let mut frame = Picture::new(30, 20);
        for (at, byte) in frame.rgb_mut().iter_mut().enumerate() {
            *byte = (at * 89 % 256) as u8;
        }
        let whole = Gray::of(&frame, 30, 20);
        let planes: Vec<f32> = (0..3)
            .flat_map(|c| {
                frame.rgb()[c..]
                    .iter()
                    .step_by(3)
                    .map(|&byte| f32::from(byte) / 255.0)
            })
            .collect();
        let apart = |a: &Gray, b: &Gray| {
            assert_eq!((a.width, a.height), (b.width, b.height));
            let pairs = a.pixels.iter().zip(&b.pixels);
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        assert!(apart(&whole, &Gray::of_planes(&planes, 30, 20)) < 1e-3);
        for (width, height) in [(13, 9), (41, 33)] {
            assert!(apart(&Gray::of(&frame, width, height), &whole.resized(width, height)) < 1e-3);
        }
        assert!((whole.pixels[0] - (0.587 * 89.0 + 0.114 * 178.0)).abs() < 1e-3);
    }
}

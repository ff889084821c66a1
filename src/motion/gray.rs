// SPDX-License-Identifier: MIT OR Apache-2.0

use crate::backend::resample::Taps;
use crate::stylizer::Frame;

/// The brightness of a picture, in steps of a byte: 0..255.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gray {
    pub width: usize,
    pub height: usize,
    /// [H, W], rows after one another.
    pub pixels: Vec<f32>,
}

impl Gray {
    /// The luma (BT.601) of a frame, shrunk or grown to a size in pixels.
    pub fn of(frame: &Frame, width: usize, height: usize) -> Self {
        let (across, down) = (Taps::new(frame.width(), width), Taps::new(frame.height(), height));
        let mut luma = vec![0.0; frame.width()];
        let mut narrow = vec![0.0; width * frame.height()];
        let rows = frame.rgb().chunks_exact(frame.width() * 3);
        for (row, out) in rows.zip(narrow.chunks_exact_mut(width)) {
            for (luma, pixel) in luma.iter_mut().zip(row.chunks_exact(3)) {
                let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
                *luma = 0.299 * r + 0.587 * g + 0.114 * b;
            }
            for (x, out) in out.iter_mut().enumerate() {
                let (first, weights) = across.of(x);
                *out = luma[first..].iter().zip(weights).map(|(a, b)| a * b).sum();
            }
        }
        let mut pixels = vec![0.0; width * height];
        for (y, out) in pixels.chunks_exact_mut(width).enumerate() {
            let (first, weights) = down.of(y);
            for (row, weight) in narrow[first * width..].chunks_exact(width).zip(weights) {
                for (out, value) in out.iter_mut().zip(row) {
                    *out += weight * value;
                }
            }
        }
        Self {
            width,
            height,
            pixels,
        }
    }
}

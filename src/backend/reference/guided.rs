// SPDX-License-Identifier: MIT OR Apache-2.0

//! A picture laid onto a frame, guided by it.

use super::sampling::{inside, resampled};
use super::{Tensor, positions};
use crate::backend::{Export, Shape, guide};
use crate::picture::{LUMA_F32, Picture};

pub fn export(export: &Export<Tensor>, out: &mut Picture) {
    let Export {
        picture,
        content,
        border,
        mix,
        frame,
    } = *export;
    assert_eq!(out.size(), frame.size());
    let ((width, height), rgb) = (frame.size(), frame.rgb());
    let (detail, strength) = (f64::from(mix.detail), f64::from(mix.strength));
    let (from, to) = (inside(picture.shape, border), Shape::new(3, height, width));
    let guided = if detail == 0.0 {
        vec![0.0; to.elements()]
    } else {
        details(picture, content, border, rgb, to)
    };
    let sample = resampled(|c, y, x| picture.at(c, y + border, x + border), from, to);
    for (at, (c, y, x)) in positions(to).enumerate() {
        let byte = (y * width + x) * 3 + c;
        let original = f64::from(rgb[byte]);
        let painted = (255.0 * sample(c, y, x) + detail * guided[at]).clamp(0.0, 255.0);
        out.rgb_mut()[byte] = ((1.0 - strength) * original + strength * painted).round() as u8;
    }
}

/// ↑S · (Y − ↑y), [3, H, W] of the frame, in steps of a byte.
fn details(picture: &Tensor, content: &Tensor, border: usize, rgb: &[u8], to: Shape) -> Vec<f64> {
    let from = inside(picture.shape, border);
    let weighed = |of: &dyn Fn(usize) -> f64| (0..3).map(|c| f64::from(LUMA_F32[c]) * of(c)).sum::<f64>();
    let luma = |y: usize, x: usize| weighed(&|c| content.at(c, y + border, x + border));
    let colour = |c: usize, y: usize, x: usize| picture.at(c, y + border, x + border);
    let slopes: Vec<f64> = positions(from)
        .map(|(c, y, x)| slope(luma, |y, x| colour(c, y, x), from, y, x))
        .collect();
    let steepness = resampled(|c, y, x| slopes[(c * from.height + y) * from.width + x], from, to);
    let coarse = resampled(|_, y, x| luma(y, x), from, to);
    positions(to)
        .map(|(c, y, x)| {
            let fine = weighed(&|c| f64::from(rgb[(y * to.width + x) * 3 + c]));
            steepness(c, y, x) * (fine - 255.0 * coarse(c, y, x))
        })
        .collect()
}

/// cov(luma, colour) / (var(luma) + ε) in the window around (y, x).
fn slope(
    luma: impl Fn(usize, usize) -> f64,
    colour: impl Fn(usize, usize) -> f64,
    Shape { height, width, .. }: Shape,
    y: usize,
    x: usize,
) -> f64 {
    let near = |at: usize, tap: usize, length: usize| (at + tap).saturating_sub(2).min(length - 1);
    let mean = |of: &dyn Fn(usize, usize) -> f64| {
        let mut sum = 0.0;
        for (v, down) in guide::WINDOW.into_iter().enumerate() {
            for (u, across) in guide::WINDOW.into_iter().enumerate() {
                sum += f64::from(down) * f64::from(across) * of(near(y, v, height), near(x, u, width));
            }
        }
        sum
    };
    let (of_luma, of_colour) = (mean(&luma), mean(&colour));
    let covariance = mean(&|y, x| (luma(y, x) - of_luma) * (colour(y, x) - of_colour));
    let variance = mean(&|y, x| (luma(y, x) - of_luma).powi(2));
    covariance / (variance + f64::from(guide::EPSILON))
}

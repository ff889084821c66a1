// SPDX-License-Identifier: MIT OR Apache-2.0

//! A picture laid onto a frame, guided by it.

use super::sampling::{inside, resampled};
use super::{Tensor, positions};
use crate::backend::{Export, Shape, guide};
use crate::picture::{LUMA_F32, Picture, PictureView, Samples};

pub fn export(export: &Export<Tensor>, out: &mut Picture) {
    let Export {
        picture,
        content,
        border,
        mix,
        frame,
    } = *export;
    assert_eq!(out.format(), frame.format());
    let ((width, height), white) = (frame.size(), f64::from(frame.format().depth.white()));
    let sample_of = samples(frame);
    let (detail, strength) = (f64::from(mix.detail), f64::from(mix.strength));
    let (from, to) = (inside(picture.shape, border), Shape::new(3, height, width));
    let guided = if detail == 0.0 {
        vec![0.0; to.elements()]
    } else {
        details(picture, content, border, frame, to)
    };
    let sample = resampled(|c, y, x| picture.at(c, y + border, x + border), from, to);
    for (at, (c, y, x)) in positions(to).enumerate() {
        let index = (y * width + x) * 3 + c;
        let painted = (white * sample(c, y, x) + detail * guided[at]).clamp(0.0, white);
        let mixed = ((1.0 - strength) * sample_of(index) + strength * painted).round();
        match out.samples_mut() {
            Samples::Eight(out) => out[index] = mixed as u8,
            Samples::Sixteen(out) => out[index] = mixed as u16,
        }
    }
}

/// The samples of a frame by their index.
pub fn samples(frame: PictureView<'_>) -> impl Fn(usize) -> f64 + '_ {
    move |index| match frame.samples() {
        Samples::Eight(samples) => f64::from(samples[index]),
        Samples::Sixteen(samples) => f64::from(samples[index]),
    }
}

/// ↑S · (Y − ↑y), [3, H, W] of the frame, in steps of its samples.
fn details(picture: &Tensor, content: &Tensor, border: usize, frame: PictureView, to: Shape) -> Vec<f64> {
    let (white, sample_of) = (f64::from(frame.format().depth.white()), samples(frame));
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
            let fine = weighed(&|c| sample_of((y * to.width + x) * 3 + c));
            steepness(c, y, x) * (fine - white * coarse(c, y, x))
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

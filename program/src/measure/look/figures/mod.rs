// SPDX-License-Identifier: MIT OR Apache-2.0

//! Figures of pictures that need no network, and of activations as plain numbers. Each file has the figures of one
//! source, with their definitions.
#![allow(dead_code, reason = "tests include this folder, too, and use their part")]

pub mod grey;
pub mod high_pass;
pub mod histogram;
pub mod self_similarity;
pub mod similarity;
pub mod structure;

use neuralstyle::picture::LUMA;
use neuralstyle::stylizer::Frame;

/// A picture as numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Planes {
    pub width: usize,
    pub height: usize,
    /// [3, H, W], RGB, 0..1.
    pub values: Vec<f32>,
}

impl Planes {
    pub fn of(frame: &Frame) -> Self {
        let plane = |channel: usize| {
            let pixels = frame.rgb().chunks_exact(3);
            pixels.map(move |pixel| f32::from(pixel[channel]) / 255.0)
        };
        Self {
            width: frame.width(),
            height: frame.height(),
            values: [0, 1, 2].into_iter().flat_map(plane).collect(),
        }
    }

    pub fn pixels(&self) -> usize {
        self.width * self.height
    }

    /// Red, green and blue of the pixel at this place in a plane.
    pub fn colour(&self, place: usize) -> [f64; 3] {
        [0, 1, 2].map(|channel| f64::from(self.values[channel * self.pixels() + place]))
    }

    /// The luma (BT.601), [H, W].
    pub fn luma(&self) -> Plane {
        Plane {
            width: self.width,
            height: self.height,
            values: (0..self.pixels()).map(|place| luma(self.colour(place))).collect(),
        }
    }
}

/// The luma of a colour, or of a difference of colours.
pub fn luma(colour: [f64; 3]) -> f64 {
    colour.iter().zip(LUMA).map(|(value, share)| share * value).sum()
}

/// Numbers in rows, [H, W].
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    pub width: usize,
    pub height: usize,
    pub values: Vec<f64>,
}

impl Plane {
    /// The value at a place, or the nearest one of the border's.
    pub fn at(&self, x: isize, y: isize) -> f64 {
        let x = x.clamp(0, self.width as isize - 1) as usize;
        let y = y.clamp(0, self.height as isize - 1) as usize;
        self.values[y * self.width + x]
    }

    /// A plane of the same size, from columns and rows.
    pub fn map(&self, value: impl Fn(isize, isize) -> f64) -> Self {
        let place = |at: usize| ((at % self.width) as isize, (at / self.width) as isize);
        Self {
            width: self.width,
            height: self.height,
            values: (0..self.values.len())
                .map(|at| {
                    let (x, y) = place(at);
                    value(x, y)
                })
                .collect(),
        }
    }

    /// Products of the values of two planes.
    pub fn times(&self, other: &Self) -> Self {
        let pairs = self.values.iter().zip(&other.values);
        Self {
            values: pairs.map(|(a, b)| a * b).collect(),
            ..*self
        }
    }

    /// The convolution with a symmetric kernel along rows and along columns; the border's values go on beyond the border.
    pub fn blurred(&self, kernel: &[f64]) -> Self {
        let reach = (kernel.len() / 2) as isize;
        let taps = || kernel.iter().zip(-reach..);
        let across = self.map(|x, y| taps().map(|(weight, by)| weight * self.at(x + by, y)).sum());
        across.map(|x, y| taps().map(|(weight, by)| weight * across.at(x, y + by)).sum())
    }
}

/// Samples of a Gaussian from −`reach` to `reach` that sum to 1.
pub fn gaussian(sigma: f64, reach: usize) -> Vec<f64> {
    let reach = reach as isize;
    let weight = |by: isize| (-0.5 * (by as f64 / sigma).powi(2)).exp();
    let all: f64 = (-reach..=reach).map(weight).sum();
    (-reach..=reach).map(|by| weight(by) / all).collect()
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! The finest detail of a picture: h = x − B x, with B the 3×3 binomial filter (1, 2, 1)/4 along rows and columns and x
//! RGB on the 0..1 scale. The outermost pixels, whose neighbourhood is not whole, do not count.

use neuralstyle::gatys::eigen;

use super::{Planes, luma};

/// h of a picture, by pixel.
pub struct HighPass(Vec<[f64; 3]>);

impl HighPass {
    pub fn of(picture: &Planes) -> Self {
        let (width, height) = (picture.width, picture.height);
        let inside = (1..height.saturating_sub(1))
            .flat_map(|y| (1..width.saturating_sub(1)).map(move |x| y * width + x));
        Self(inside.map(|place| detail(picture, place)).collect())
    }

    /// The mean square of h's luma.
    pub fn luma(&self) -> f64 {
        self.mean(|h| luma(h).powi(2))
    }

    /// The mean square of h less its luma in all three channels.
    pub fn chroma(&self) -> f64 {
        self.mean(|h| {
            let grey = luma(h);
            h.iter().map(|value| (value - grey).powi(2)).sum::<f64>() / 3.0
        })
    }

    /// The mean square of h along an axis of length 1.
    pub fn along(&self, axis: [f64; 3]) -> f64 {
        self.mean(|h| {
            h.iter()
                .zip(axis)
                .map(|(value, share)| value * share)
                .sum::<f64>()
                .powi(2)
        })
    }

    /// The axis of colour along which h has the least energy: the eigenvector with the least eigenvalue of E[h hᵀ]. The mean
    /// of h is nearly 0, so that this is its covariance.
    pub fn weakest_axis(&self) -> [f64; 3] {
        let moments = [0, 1, 2].map(|row| [0, 1, 2].map(|column| self.mean(|h| h[row] * h[column])));
        let (values, vectors) = eigen(&moments);
        let least = (0..3).fold(0, |least, at| if values[at] < values[least] { at } else { least });
        [0, 1, 2].map(|row| vectors[row][least])
    }

    fn mean(&self, value: impl Fn([f64; 3]) -> f64) -> f64 {
        self.0.iter().map(|&h| value(h)).sum::<f64>() / self.0.len() as f64
    }
}

/// h at a place that has neighbours on all sides.
fn detail(picture: &Planes, place: usize) -> [f64; 3] {
    let (above, below) = (place - picture.width, place + picture.width);
    let row = |at: usize| {
        let [left, middle, right] = [at - 1, at, at + 1].map(|at| picture.colour(at));
        [0, 1, 2].map(|c| 0.25 * (left[c] + right[c]) + 0.5 * middle[c])
    };
    let [upper, middle, lower] = [above, place, below].map(row);
    let colour = picture.colour(place);
    [0, 1, 2].map(|c| colour[c] - 0.25 * (upper[c] + lower[c]) - 0.5 * middle[c])
}

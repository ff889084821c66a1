// SPDX-License-Identifier: MIT OR Apache-2.0

//! How unlike the colours of two pictures are: the distance of their RGB-uv histograms (Afifi, Brubaker and Brown 2021,
//! "HistoGAN: Controlling Colors of GAN-Generated and Real Images via Color Histograms").
//!
//! A pixel has log-chroma coordinates on three planes, one per channel: (log R/G, log R/B), (log G/R, log G/B) and
//! (log B/R, log B/G). A plane has 64 × 64 bins with centres u, v evenly from −3 to 3, to which a pixel adds
//! I · k(u) · k(v), I = √(R² + G² + B²), with the inverse-quadratic kernel k(u) = 1 / (1 + ((u_pixel − u) / τ)²), τ = 0.02.
//! The three planes together sum to 1. The distance is that of Hellinger, ‖√H₁ − √H₂‖ / √2: 0 for equal histograms, 1 for
//! histograms that share no bin. All pixels count; the published code first shrinks a picture to 150 × 150.

use super::Planes;

/// Bins along an axis.
const BINS: usize = 64;
/// The planes reach from −this to this.
const REACH: f64 = 3.0;
/// τ, the width of the kernel.
const WIDTH: f64 = 0.02;
/// Keeps logarithms of black finite.
const FLOOR: f64 = 1e-6;

/// The RGB-uv histogram [3, 64, 64], which sums to 1.
pub fn histogram(picture: &Planes) -> Vec<f64> {
    let mut bins = vec![0.0; 3 * BINS * BINS];
    for place in 0..picture.pixels() {
        let colour = picture.colour(place).map(|value| value.clamp(0.0, 1.0));
        let intensity = colour.iter().map(|value| value * value).sum::<f64>().sqrt();
        let logarithms = colour.map(|value| (value + FLOOR).ln());
        for (channel, plane) in bins.chunks_exact_mut(BINS * BINS).enumerate() {
            let [first, second] = [[1, 2], [0, 2], [0, 1]][channel];
            let along_u = kernel(logarithms[channel] - logarithms[first]);
            let along_v = kernel(logarithms[channel] - logarithms[second]);
            for (row, share) in plane.chunks_exact_mut(BINS).zip(along_u) {
                let share = intensity * share;
                row.iter_mut()
                    .zip(&along_v)
                    .for_each(|(bin, v)| *bin += share * v);
            }
        }
    }
    let all: f64 = bins.iter().sum();
    bins.iter_mut().for_each(|bin| *bin /= all.max(FLOOR));
    bins
}

/// What a pixel adds to each bin of an axis.
fn kernel(at: f64) -> [f64; BINS] {
    let centre = |bin: usize| 2.0 * REACH * bin as f64 / (BINS - 1) as f64 - REACH;
    std::array::from_fn(|bin| 1.0 / (1.0 + ((at - centre(bin)) / WIDTH).powi(2)))
}

/// The Hellinger distance of two histograms.
pub fn hellinger(one: &[f64], other: &[f64]) -> f64 {
    let squares = one.iter().zip(other).map(|(a, b)| (a.sqrt() - b.sqrt()).powi(2));
    (0.5 * squares.sum::<f64>()).sqrt()
}

/// The distance of the histograms of two pictures.
pub fn distance(one: &Planes, other: &Planes) -> f64 {
    hellinger(&histogram(one), &histogram(other))
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether a picture has strokes: the coherence of its structure tensor (Förstner and Gülch 1987; Weickert 1998, "Anisotropic
//! Diffusion in Image Processing").
//!
//! With g the gradient of the luma by central differences, the tensor is E[g gᵀ] under a Gaussian of σ = 2 pixels where
//! the longer side has 256, and in proportion at other sizes. With its eigenvalues λ₁ ≥ λ₂ the coherence is
//! (λ₁ − λ₂) / (λ₁ + λ₂): 1 where all gradients lie along one line, as across parallel strokes, near 0 where they
//! point anywhere, as in noise. Where there is no gradient at all it is 0.

use super::{Plane, gaussian};

/// The Gaussian's σ at a longer side of [`REFERENCE_SIDE`].
const SIGMA: f64 = 2.0;
const REFERENCE_SIDE: f64 = 256.0;

/// The structure tensor by pixel.
pub struct Structure {
    /// λ₁ + λ₂, the smoothed energy of the gradient.
    pub energy: Vec<f64>,
    /// (λ₁ − λ₂) / (λ₁ + λ₂).
    pub coherence: Vec<f64>,
}

impl Structure {
    /// `side` is the longer side of the painting, by which the Gaussian is scaled; a style picture of another shape has
    /// the same Gaussian.
    pub fn of(luma: &Plane, side: usize) -> Self {
        let sigma = SIGMA * side as f64 / REFERENCE_SIDE;
        let kernel = gaussian(sigma, (3.0 * sigma).ceil() as usize);
        let across = luma.map(|x, y| 0.5 * (luma.at(x + 1, y) - luma.at(x - 1, y)));
        let down = luma.map(|x, y| 0.5 * (luma.at(x, y + 1) - luma.at(x, y - 1)));
        let [xx, xy, yy] = [(&across, &across), (&across, &down), (&down, &down)]
            .map(|(one, other)| one.times(other).blurred(&kernel).values);
        let energy: Vec<f64> = xx.iter().zip(&yy).map(|(xx, yy)| xx + yy).collect();
        let apart = |at: usize| (xx[at] - yy[at]).hypot(2.0 * xy[at]);
        let coherence = |(at, &sum): (usize, &f64)| if sum > 0.0 { apart(at) / sum } else { 0.0 };
        Self {
            coherence: energy.iter().enumerate().map(coherence).collect(),
            energy,
        }
    }

    /// The mean coherence of the whole picture.
    pub fn mean_coherence(&self) -> f64 {
        self.coherence.iter().sum::<f64>() / self.coherence.len() as f64
    }

    /// The mean coherence where `content` is flat: in the quarter of the pixels with the least energy of its gradient, and
    /// wherever it has no more than these.
    pub fn coherence_in_flats_of(&self, content: &Structure) -> f64 {
        let mut sorted = content.energy.clone();
        sorted.sort_by(f64::total_cmp);
        let most = sorted[(sorted.len() / 4).max(1) - 1];
        let flats = content
            .energy
            .iter()
            .zip(&self.coherence)
            .filter(|(energy, _)| **energy <= most);
        let (sum, count) = flats.fold((0.0, 0.0), |(sum, count), (_, coherence)| {
            (sum + coherence, count + 1.0)
        });
        sum / count
    }
}

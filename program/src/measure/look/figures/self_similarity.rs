// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether the parts of a painting are as alike as those of its content: the content feature structural distance (CFSD; Chung,
//! Hyun and Heo 2024, "Style Injection in Diffusion").
//!
//! The activations [C, H, W] of a layer are averaged over squares until they have at most 32 × 32 places. A place's row is
//! the softmax over all places of their cosine similarity with it. The distance is the mean over the places of
//! KL(row of the content ‖ row of the painting) = Σ p log (p / q).
//!
//! The published code takes relu3_1 of VGG-19 at every place, and dot products of activations that are divided by C, whose
//! size depends on the network's weights; the cosine does not. Figures are comparable with each other, not with the paper's.

/// The most places along a side.
const MOST: usize = 32;

/// Activations of unit length by place, [H · W][C].
struct Patches {
    values: Vec<f32>,
    channels: usize,
}

impl Patches {
    /// `activations` [C, H, W].
    fn of(activations: &[f32], width: usize, height: usize) -> Self {
        let channels = activations.len() / (width * height);
        let side = width.max(height).div_ceil(MOST);
        let (columns, rows) = (width.div_ceil(side), height.div_ceil(side));
        let mut values = Vec::with_capacity(columns * rows * channels);
        for place in 0..columns * rows {
            let (left, top) = (place % columns * side, place / columns * side);
            let (right, bottom) = ((left + side).min(width), (top + side).min(height));
            // What the sum is divided by makes no difference to its direction.
            let patch = activations.chunks_exact(width * height).map(|plane| {
                let rows = (top..bottom).map(|y| &plane[y * width..][left..right]);
                rows.flatten().map(|&value| f64::from(value)).sum::<f64>()
            });
            let patch: Vec<f64> = patch.collect();
            let length = patch.iter().map(|value| value * value).sum::<f64>().sqrt();
            values.extend(patch.iter().map(|value| (value / length.max(1e-12)) as f32));
        }
        Self { values, channels }
    }

    fn all(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.channels)
    }

    /// log softmax of the cosine similarities with a patch.
    fn row(&self, patch: &[f32]) -> Vec<f64> {
        let cosine = |other: &[f32]| f64::from(patch.iter().zip(other).map(|(a, b)| a * b).sum::<f32>());
        let cosines: Vec<f64> = self.all().map(cosine).collect();
        let logarithm = cosines.iter().map(|cosine| cosine.exp()).sum::<f64>().ln();
        cosines.into_iter().map(|cosine| cosine - logarithm).collect()
    }
}

/// The distance of the activations [C, H, W] of two pictures of the same size.
pub fn distance(content: &[f32], painting: &[f32], width: usize, height: usize) -> f64 {
    let [content, painting] = [content, painting].map(|values| Patches::of(values, width, height));
    let divergence = |(of_content, of_painting): (&[f32], &[f32])| -> f64 {
        let rows = content.row(of_content).into_iter().zip(painting.row(of_painting));
        rows.map(|(p, q)| p.exp() * (p - q)).sum()
    };
    let places = content.all().count() as f64;
    content.all().zip(painting.all()).map(divergence).sum::<f64>() / places
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! How alike two pictures are pixel by pixel: SSIM (Wang, Bovik, Sheikh and Simoncelli 2004, "Image Quality Assessment: From
//! Error Visibility to Structural Similarity").

use super::{Plane, gaussian};

/// The window's standard deviation and its reach: 11 × 11 pixels.
const SIGMA: f64 = 1.5;
const REACH: usize = 5;
/// (K₁ L)² and (K₂ L)² with K₁ = 0.01, K₂ = 0.03 and values on the scale 0..L, L = 1.
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;

/// The mean over all whole windows of
/// (2 μ_a μ_b + C₁)(2 σ_ab + C₂) / ((μ_a² + μ_b² + C₁)(σ_a² + σ_b² + C₂)), for lumas 0..1 of the same size, at least
/// 11 × 11. It is 1 for equal pictures.
pub fn ssim(a: &Plane, b: &Plane) -> f64 {
    let kernel = gaussian(SIGMA, REACH);
    let [mean_a, mean_b] = [a, b].map(|plane| plane.blurred(&kernel));
    let [square_a, square_b, product] =
        [(a, a), (b, b), (a, b)].map(|(one, other)| one.times(other).blurred(&kernel));
    let whole = |length: usize| REACH..length.saturating_sub(REACH);
    let places = whole(a.height).flat_map(|y| whole(a.width).map(move |x| y * a.width + x));
    let (mut sum, mut count) = (0.0, 0.0);
    for at in places {
        let (mu_a, mu_b) = (mean_a.values[at], mean_b.values[at]);
        let (variance_a, variance_b) = (
            square_a.values[at] - mu_a * mu_a,
            square_b.values[at] - mu_b * mu_b,
        );
        let covariance = product.values[at] - mu_a * mu_b;
        let alike = (2.0 * mu_a * mu_b + C1) * (2.0 * covariance + C2);
        sum += alike / ((mu_a * mu_a + mu_b * mu_b + C1) * (variance_a + variance_b + C2));
        count += 1.0;
    }
    sum / count
}

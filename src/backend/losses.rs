// SPDX-License-Identifier: MIT OR Apache-2.0

use super::{Memory, Result};

/// A number that lives in a tensor, so that a captured step sees what was uploaded after the capture.
#[derive(Debug)]
pub struct Scalar<'a, T> {
    pub of: &'a T,
    pub at: usize,
}

/// The slot of a tensor into which a reduction writes its sum.
#[derive(Debug)]
pub struct Slot<'a, T> {
    pub of: &'a mut T,
    pub at: usize,
}

/// What is known of activations without their places: a matrix of second moments or covariances
/// \[C, C\], and a mean \[C\].
#[derive(Debug)]
pub struct Moments<'a, T> {
    pub second: &'a T,
    pub mean: &'a T,
}

/// The terms of the loss: each writes a sum into a slot, adds its gradient to a running one, or both.
pub trait LossTerms: Memory {
    /// `sum` = Σ a².
    fn squared_norm(&mut self, a: &Self::Tensor, sum: Slot<Self::Tensor>) -> Result<()>;

    /// `sum` = Σ (a − t)²; `gradient` += `coefficient` · (a − t).
    fn squared_error(
        &mut self,
        a: &Self::Tensor,
        target: &Self::Tensor,
        coefficient: Scalar<Self::Tensor>,
        gradient: &mut Self::Tensor,
        sum: Slot<Self::Tensor>,
    ) -> Result<()>;

    /// As `squared_error`, each pixel weighed: `sum` = Σ w (a − t)²; `gradient` += `coefficient` · w · (a − t), with
    /// `weight` [1, H, W].
    fn weighted_squared_error(
        &mut self,
        a: &Self::Tensor,
        target: &Self::Tensor,
        weight: &Self::Tensor,
        coefficient: Scalar<Self::Tensor>,
        gradient: &mut Self::Tensor,
        sum: Slot<Self::Tensor>,
    ) -> Result<()>;

    /// `gram`[C, C] = `scale` · Σ over pixels of a aᵀ; `mean`\[C\] = 1/P · Σ over the P pixels of a.
    fn moments(
        &mut self,
        a: &Self::Tensor,
        scale: f32,
        gram: &mut Self::Tensor,
        mean: &mut Self::Tensor,
    ) -> Result<()>;

    /// `difference` = g − t; `sum` = Σ (g − t)².
    fn difference(
        &mut self,
        g: &Self::Tensor,
        target: &Self::Tensor,
        difference: &mut Self::Tensor,
        sum: Slot<Self::Tensor>,
    ) -> Result<()>;

    /// How far [`moments`](Self::moments), with `scale` = q/P, are from the covariance K and the mean ν of a `target`.
    /// With G, μ the moments `found` and w the `mean_weight`:
    ///
    /// `difference` = D = G − q μ μᵀ − K;  `offset`\[C\] = w/(2q) · (μ − ν) − D μ;  `sum` = Σ D² + w · Σ (μ − ν)².
    ///
    /// D and the offset lead [back](Self::moments_backward): ∂sum/∂a = 4 q/P · (D a + offset) at each pixel.
    #[allow(clippy::too_many_arguments)]
    fn covariance_difference(
        &mut self,
        found: Moments<Self::Tensor>,
        target: Moments<Self::Tensor>,
        q: f32,
        mean_weight: Scalar<Self::Tensor>,
        difference: &mut Self::Tensor,
        offset: &mut Self::Tensor,
        sum: Slot<Self::Tensor>,
    ) -> Result<()>;

    /// `gradient` += `coefficient` · (D a + `offset`\[C\]), with D [C, C] symmetric: the way back through moments.
    fn moments_backward(
        &mut self,
        a: &Self::Tensor,
        difference: &Self::Tensor,
        offset: &Self::Tensor,
        coefficient: Scalar<Self::Tensor>,
        gradient: &mut Self::Tensor,
    ) -> Result<()>;

    /// TV(x) = Σ (x_{i+1,j} − x_{i,j})² + (x_{i,j+1} − x_{i,j})²: `sum` = TV; `gradient` += `coefficient` · ∂TV/∂x.
    fn total_variation(
        &mut self,
        x: &Self::Tensor,
        coefficient: Scalar<Self::Tensor>,
        gradient: &mut Self::Tensor,
        sum: Slot<Self::Tensor>,
    ) -> Result<()>;
}

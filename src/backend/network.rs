// SPDX-License-Identifier: MIT OR Apache-2.0

use super::{Memory, Result};

/// How 2×2 windows become one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    Average,
    Max,
}

/// The layers of a feature network, forward and backward.
pub trait Layers: Memory {
    /// `to` = `from` − `mean` per channel: the network's view of a picture.
    fn centre(&mut self, from: &Self::Tensor, mean: [f32; 3], to: &mut Self::Tensor) -> Result<()>;

    /// `to[O]` = max(0, W ∗ `from[I]` + b), zeros beyond the frame; `mask` remembers where it is positive.
    fn conv_relu(
        &mut self,
        from: &Self::Tensor,
        filter: &Self::Filter,
        to: &mut Self::Tensor,
        mask: &mut Self::Mask,
    ) -> Result<()>;

    /// The adjoint: `from[I]` = Wᵀ ∗ (mask · `to[O]`), where both are gradients.
    fn conv_relu_backward(
        &mut self,
        to: &Self::Tensor,
        mask: &Self::Mask,
        filter: &Self::Filter,
        from: &mut Self::Tensor,
    ) -> Result<()>;

    /// `conv_relu` and `pool` in one, for activations of which only the pooled ones are needed: `to` has the pooled shape, `mask` that
    /// before pooling.
    fn conv_relu_pool(
        &mut self,
        from: &Self::Tensor,
        filter: &Self::Filter,
        kind: Pooling,
        to: &mut Self::Tensor,
        mask: &mut Self::Mask,
    ) -> Result<()>;

    /// The adjoint of `conv_relu_pool`.
    fn conv_relu_pool_backward(
        &mut self,
        to: &Self::Tensor,
        kind: Pooling,
        mask: &Self::Mask,
        filter: &Self::Filter,
        from: &mut Self::Tensor,
    ) -> Result<()>;

    /// 2×2 windows with stride 2, as [`Shape::pooled`](super::Shape::pooled) says. In a tie the first in row-major order wins.
    fn pool(
        &mut self,
        from: &Self::Tensor,
        kind: Pooling,
        to: &mut Self::Tensor,
        mask: &mut Self::Mask,
    ) -> Result<()>;

    /// The adjoint of `pool`; rows and columns that no window covers get 0.
    fn pool_backward(
        &mut self,
        to: &Self::Tensor,
        kind: Pooling,
        mask: &Self::Mask,
        from: &mut Self::Tensor,
    ) -> Result<()>;

    /// `to`[C, h, w] = the part of `from` from row y and column x on, `corner` = (x, y).
    fn cut(&mut self, from: &Self::Tensor, corner: (usize, usize), to: &mut Self::Tensor) -> Result<()>;
}

// SPDX-License-Identifier: MIT OR Apache-2.0

use super::{Memory, Result, Scalar};

/// Where the numbers of an Adam step lie in its `knobs` tensor, in this order.
///
/// The bias corrections (Kingma and Ba 2015, §3) are folded in by the host, which counts the steps of both moments
/// by itself: `rate` is η/(1 − β₁^t), `root` is 1/√(1 − β₂^t).
#[derive(Clone, Copy, Debug)]
pub struct AdamKnobs {
    pub rate: usize,
    pub root: usize,
    pub beta1: usize,
    pub beta2: usize,
    pub epsilon: usize,
}

/// The steps of an optimiser, and passes over all elements that go into them.
pub trait Updates: Memory {
    /// `to` = `from`² per element.
    fn square(&mut self, from: &Self::Tensor, to: &mut Self::Tensor) -> Result<()>;

    /// `to` = `from` blurred once with the 3×3 binomial kernel (¼ ½ ¼ in both directions), edges repeated.
    fn blur(&mut self, from: &Self::Tensor, to: &mut Self::Tensor) -> Result<()>;

    /// `to` += `factor` · `x`.
    fn axpy(&mut self, factor: f32, x: &Self::Tensor, to: &mut Self::Tensor) -> Result<()>;

    /// m := β₁ m + (1 − β₁) g;  v := β₂ v + (1 − β₂) s;  `step` = rate · m / (√v · root + ε), where s is g² or what a
    /// blur made of it. All are pictures.
    #[allow(clippy::too_many_arguments)]
    fn adam(
        &mut self,
        gradient: &Self::Tensor,
        squared: &Self::Tensor,
        m: &mut Self::Tensor,
        v: &mut Self::Tensor,
        knobs: &Self::Tensor,
        at: AdamKnobs,
        step: &mut Self::Tensor,
    ) -> Result<()>;

    /// u := momentum · u + g;  `step` = rate · u. All are pictures.
    fn sgd(
        &mut self,
        gradient: &Self::Tensor,
        velocity: &mut Self::Tensor,
        rate: Scalar<Self::Tensor>,
        momentum: Scalar<Self::Tensor>,
        step: &mut Self::Tensor,
    ) -> Result<()>;

    /// x := x − A (s̄ + b − b̄) for a picture x of three channels: s is the `step`, b what a blur made of it, and a bar
    /// the mean of a pixel's three numbers. So only what is coloured in the step is blurred. `axes` are the nine numbers of
    /// the matrix A, row after row.
    fn descend(
        &mut self,
        x: &mut Self::Tensor,
        step: &Self::Tensor,
        blurred: &Self::Tensor,
        axes: &Self::Tensor,
    ) -> Result<()>;
}

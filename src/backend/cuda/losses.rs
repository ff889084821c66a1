// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sums into slots and gradients added to running ones. Activations are stored as a · 2ᵉ, their gradients as g · 2ʸ · loss
//! scale; what follows for each sum and each gradient is folded into one factor.

use super::kernels::{Argument, Grid, Kernel, Kernels, arguments};
use super::layout::{Layout, lanes};
use super::pointer::Pointer;
use super::{Cuda, Tensor, network};
use crate::backend::{LossTerms, Moments, Result, Scalar, Shape, Slot};

impl LossTerms for Cuda {
    fn squared_norm(&mut self, a: &Tensor, sum: Slot<Tensor>) -> Result<()> {
        let (at, count) = (a.pointer(), a.layout.stored());
        let partials = self.scratch.partials().pointer();
        let arguments = arguments![at, count, partials];
        if a.layout.blocked {
            let (grid, factor) = (Grid::over(count / 8), power(-2 * self.exponent(a)));
            summed(self, |k| &k.squared_norm_f16, grid, arguments, factor, sum)
        } else {
            let grid = Grid::over(count);
            summed(self, |k| &k.squared_norm_f32, grid, arguments, 1.0, sum)
        }
    }

    fn squared_error(
        &mut self,
        a: &Tensor,
        target: &Tensor,
        coefficient: Scalar<Tensor>,
        gradient: &mut Tensor,
        sum: Slot<Tensor>,
    ) -> Result<()> {
        assert!(a.layout == target.layout && a.layout == gradient.layout);
        let factors = self.factors_of_error(a, target, gradient);
        let kernels: ByLayout = (|k| &k.squared_error_f32, |k| &k.squared_error_f16);
        let operands = arguments![a.pointer(), target.pointer()];
        term(self, kernels, operands, true, factors, coefficient, gradient, sum)
    }

    fn weighted_squared_error(
        &mut self,
        a: &Tensor,
        target: &Tensor,
        weight: &Tensor,
        coefficient: Scalar<Tensor>,
        gradient: &mut Tensor,
        sum: Slot<Tensor>,
    ) -> Result<()> {
        assert!(a.layout == target.layout && a.layout == gradient.layout);
        assert_eq!(weight.layout.shape, a.layout.shape.with_channels(1));
        let factors = self.factors_of_error(a, target, gradient);
        let kernels: ByLayout = (
            |k| &k.weighted_squared_error_f32,
            |k| &k.weighted_squared_error_f16,
        );
        // Numbers after which the next pixel comes, or the pixels after which the next channel does.
        let stride = if a.layout.blocked {
            a.layout.lanes()
        } else {
            a.layout.shape.pixels()
        };
        let operands = arguments![a.pointer(), target.pointer(), weight.pointer(), stride];
        term(self, kernels, operands, true, factors, coefficient, gradient, sum)
    }

    fn moments(&mut self, a: &Tensor, scale: f32, gram: &mut Tensor, mean: &mut Tensor) -> Result<()> {
        self.poll()?;
        let Shape { channels, .. } = a.layout.shape;
        let (pixels, lanes) = (a.layout.shape.pixels(), lanes(channels));
        assert_eq!(gram.layout, Layout::of(Shape::square(channels)));
        assert_eq!(mean.layout, Layout::of(Shape::vector(channels)));
        let exponent = self.exponent(a);
        let values = if a.layout.blocked {
            a.pointer()
        } else {
            let narrow = self.scratch.narrow(Layout::forced(a.layout.shape).bytes())?;
            network::block(self, a, narrow, 0, Pointer::NULL, Pointer::NULL)?;
            narrow
        };
        let plan = GramPlan::new(pixels, lanes, self.multiprocessors().count);
        let products = self.scratch.products(plan.partials())?;
        let GramPlan {
            tiles,
            per_split,
            splits,
            ..
        } = plan;
        let arguments = arguments![values, pixels, lanes, per_split, products];
        self.launch(|k| &k.gram_partials, Grid(tiles, splits, 1), arguments)?;
        let factor = scale * power(-2 * exponent);
        let of_mean = power(-exponent) / pixels as f32;
        let arguments = arguments![
            products,
            splits,
            channels,
            lanes,
            factor,
            gram.pointer(),
            of_mean,
            mean.pointer()
        ];
        self.launch(|k| &k.gram_finish, Grid(tiles, 16, 1), arguments)
    }

    fn difference(
        &mut self,
        g: &Tensor,
        target: &Tensor,
        difference: &mut Tensor,
        sum: Slot<Tensor>,
    ) -> Result<()> {
        assert!(g.layout == target.layout && g.layout == difference.layout && !g.layout.blocked);
        let count = g.layout.stored();
        let partials = self.scratch.partials().pointer();
        let arguments = arguments![
            g.pointer(),
            target.pointer(),
            difference.pointer(),
            count,
            partials
        ];
        summed(self, |k| &k.difference, Grid::over(count), arguments, 1.0, sum)
    }

    fn covariance_difference(
        &mut self,
        found: Moments<Tensor>,
        target: Moments<Tensor>,
        q: f32,
        mean_weight: Scalar<Tensor>,
        difference: &mut Tensor,
        offset: &mut Tensor,
        sum: Slot<Tensor>,
    ) -> Result<()> {
        let channels = offset.layout.shape.width;
        let (square, vector) = (
            Layout::of(Shape::square(channels)),
            Layout::of(Shape::vector(channels)),
        );
        assert!(
            [found.second, target.second, &*difference]
                .iter()
                .all(|t| t.layout == square)
        );
        assert!(
            [found.mean, target.mean, &*offset]
                .iter()
                .all(|t| t.layout == vector)
        );
        let (weight, at) = placed(&mean_weight);
        let partials = self.scratch.partials().pointer();
        let arguments = arguments![
            found.second.pointer(),
            found.mean.pointer(),
            target.second.pointer(),
            target.mean.pointer(),
            q,
            weight,
            at,
            difference.pointer(),
            offset.pointer(),
            channels,
            partials,
        ];
        let grid = Grid(channels.div_ceil(ROWS_OF_A_BLOCK), 1, 1);
        summed(self, |k| &k.covariance_difference, grid, arguments, 1.0, sum)
    }

    fn moments_backward(
        &mut self,
        a: &Tensor,
        difference: &Tensor,
        offset: &Tensor,
        coefficient: Scalar<Tensor>,
        gradient: &mut Tensor,
    ) -> Result<()> {
        self.poll()?;
        let Shape { channels, .. } = a.layout.shape;
        let pixels = a.layout.shape.pixels();
        assert_eq!(a.layout, gradient.layout);
        assert_eq!(difference.layout, Layout::of(Shape::square(channels)));
        assert_eq!(offset.layout, Layout::of(Shape::vector(channels)));
        let (knob, at) = placed(&coefficient);
        let (a_at, matrix, gradient_at) = (a.pointer(), difference.pointer(), gradient.pointer());
        let offset = offset.pointer();
        if !a.layout.blocked {
            let arguments = arguments![
                a_at,
                matrix,
                offset,
                knob,
                at,
                1.0_f32,
                gradient_at,
                channels,
                pixels
            ];
            return self.launch(|k| &k.gram_backward_f32, Grid::over(pixels), arguments);
        }
        let lanes = lanes(channels);
        let packed = packed_matrix(lanes);
        let partials = self.scratch.partials().pointer();
        let (scale, pack) = self.scratch.matrix(packed)?;
        let peaks = Grid::over(channels * channels);
        self.launch(
            |k| &k.matrix_peak,
            peaks,
            arguments![matrix, channels * channels, partials],
        )?;
        let arguments = arguments![matrix, channels, lanes, partials, peaks.0, pack, scale];
        self.launch(|k| &k.matrix_pack, Grid::over(packed / 8), arguments)?;
        let (_, factor) = self.factors_of_error(a, a, gradient);
        let arguments = arguments![
            a_at,
            pack,
            scale,
            offset,
            power(self.exponent(a)),
            channels,
            knob,
            at,
            factor,
            self.loss_scale(),
            gradient_at,
            pixels,
            lanes,
            self.overflow(),
        ];
        let grid = Grid(pixels.div_ceil(128), lanes.div_ceil(64), 1);
        self.launch(|k| &k.gram_backward, grid, arguments)
    }

    fn total_variation(
        &mut self,
        x: &Tensor,
        coefficient: Scalar<Tensor>,
        gradient: &mut Tensor,
        sum: Slot<Tensor>,
    ) -> Result<()> {
        assert_eq!(x.layout, gradient.layout);
        let Shape {
            channels,
            height,
            width,
        } = x.layout.shape;
        let factors = self.factors_of_error(x, x, gradient);
        let kernels: ByLayout = (|k| &k.total_variation_f32, |k| &k.total_variation_f16);
        let planar = arguments![x.pointer(), channels, height, width];
        let blocked = arguments![x.pointer(), height, width, x.layout.lanes()];
        let operands = if x.layout.blocked { blocked } else { planar };
        term(
            self,
            kernels,
            operands,
            false,
            factors,
            coefficient,
            gradient,
            sum,
        )
    }
}

/// Rows of a matrix that a block of the kernel `covariance_difference` takes, a warp each.
const ROWS_OF_A_BLOCK: usize = 8;

/// 2 to the `exponent`.
fn power(exponent: i32) -> f32 {
    2.0_f32.powi(exponent)
}

/// A pass whose blocks each leave a partial sum, and `factor` times their sum in the slot.
fn summed(
    ops: &Cuda,
    kernel: impl Fn(&Kernels) -> &Kernel,
    grid: Grid,
    arguments: &[Argument],
    factor: f32,
    sum: Slot<Tensor>,
) -> Result<()> {
    assert!(!sum.of.layout.blocked && sum.at < sum.of.layout.shape.elements());
    ops.launch(kernel, grid, arguments)?;
    let partials = ops.scratch.partials().pointer();
    let arguments = arguments![partials, grid.0, factor, sum.of.pointer(), sum.at];
    ops.launch(|k| &k.finish_sum, Grid::ONE, arguments)
}

/// The address of a coefficient and its place.
fn placed(coefficient: &Scalar<Tensor>) -> (Pointer, usize) {
    assert!(!coefficient.of.layout.blocked && coefficient.at < coefficient.of.layout.shape.elements());
    (coefficient.of.pointer(), coefficient.at)
}

/// The kernel for planar tensors and that for blocked ones.
type ByLayout = (fn(&Kernels) -> &Kernel, fn(&Kernels) -> &Kernel);

/// A term of the loss: a pass that adds to `gradient` and whose sum goes into a slot. The kernels differ in the `operands` that
/// come first, and in whether they are told the count of numbers. Those for planar tensors know no scale of gradients.
#[allow(clippy::too_many_arguments)]
fn term(
    ops: &mut Cuda,
    (planar, blocked): ByLayout,
    operands: &[Argument],
    counted: bool,
    (of_sum, of_gradient): (f32, f32),
    coefficient: Scalar<Tensor>,
    gradient: &Tensor,
    sum: Slot<Tensor>,
) -> Result<()> {
    let (knob, at) = placed(&coefficient);
    let (layout, count) = (gradient.layout, gradient.layout.stored());
    let mut arguments = operands.to_vec();
    arguments.extend_from_slice(arguments![knob, at, of_gradient]);
    if layout.blocked {
        arguments.push(ops.loss_scale().into());
    }
    arguments.push(gradient.pointer().into());
    if counted {
        arguments.push(count.into());
    }
    arguments.push(ops.scratch.partials().pointer().into());
    if layout.blocked {
        arguments.push(ops.overflow().into());
        summed(ops, blocked, Grid::over(count / 8), &arguments, of_sum, sum)
    } else {
        summed(ops, planar, Grid::over(count), &arguments, of_sum, sum)
    }
}

/// Into what blocks a Gram matrix is cut.
pub struct GramPlan {
    /// Tiles of 64 × 64 channels on and above the diagonal.
    tiles: usize,
    /// Pixels of which one block adds up the products: few enough that a sum in f32 stays close, and that there are
    /// blocks to fill the card.
    per_split: usize,
    splits: usize,
    /// Tiles along one side.
    side: usize,
}

impl GramPlan {
    pub fn new(pixels: usize, lanes: usize, multiprocessors: usize) -> Self {
        let side = lanes.div_ceil(64);
        let tiles = side * (side + 1) / 2;
        let wanted = (2 * multiprocessors).div_ceil(tiles);
        let per_split = pixels.div_ceil(wanted).next_multiple_of(32).clamp(128, 2048);
        Self {
            tiles,
            per_split,
            splits: pixels.div_ceil(per_split),
            side,
        }
    }

    /// Floats that the parts take: products of channels, and sums of them.
    pub fn partials(&self) -> usize {
        self.splits * (self.tiles * 64 * 64 + self.side * 64)
    }
}

/// Numbers of the pack of a symmetric matrix.
pub fn packed_matrix(lanes: usize) -> usize {
    lanes.next_multiple_of(32) * lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gram_matrix_is_cut_into_pieces_that_hold_all_pixels() {
        for pixels in [1, 127, 129, 2304, 147_456] {
            for lanes in [64, 128, 512] {
                let GramPlan {
                    per_split, splits, ..
                } = GramPlan::new(pixels, lanes, 46);
                assert!(per_split % 32 == 0 && per_split <= 2048);
                assert!(per_split * splits >= pixels && per_split * (splits - 1) < pixels);
            }
        }
    }
}

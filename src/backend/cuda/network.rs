// SPDX-License-Identifier: MIT OR Apache-2.0

//! Convolutions and pooling.

use super::convolution::{LaunchPlan, Tile};
use super::filter::{Filter, Forward};
use super::kernels::{Grid, arguments};
use super::layout::{Layout, lanes};
use super::pointer::Pointer;
use super::{Cuda, Mask, Tensor};
use crate::backend::{Layers, Pooling, Result, Shape};

impl Layers for Cuda {
    fn centre(&mut self, from: &Tensor, mean: [f32; 3], to: &mut Tensor) -> Result<()> {
        assert_eq!(from.layout, to.layout);
        let pixels = from.layout.shape.pixels();
        let [red, green, blue] = mean;
        let arguments = arguments![from.pointer(), to.pointer(), pixels, red, green, blue];
        self.launch(|k| &k.centre, Grid::over(pixels), arguments)?;
        self.set_exponent(to, 0);
        Ok(())
    }

    fn conv_relu(&mut self, from: &Tensor, filter: &Filter, to: &mut Tensor, mask: &mut Mask) -> Result<()> {
        forward(self, from, filter, None, to, mask)
    }

    fn conv_relu_backward(
        &mut self,
        to: &Tensor,
        mask: &Mask,
        filter: &Filter,
        from: &mut Tensor,
    ) -> Result<()> {
        backward(self, to, None, mask, filter, from)
    }

    fn conv_relu_pool(
        &mut self,
        from: &Tensor,
        filter: &Filter,
        kind: Pooling,
        to: &mut Tensor,
        mask: &mut Mask,
    ) -> Result<()> {
        forward(self, from, filter, Some(kind), to, mask)
    }

    fn conv_relu_pool_backward(
        &mut self,
        to: &Tensor,
        kind: Pooling,
        mask: &Mask,
        filter: &Filter,
        from: &mut Tensor,
    ) -> Result<()> {
        backward(self, to, Some(kind), mask, filter, from)
    }

    fn pool(&mut self, from: &Tensor, kind: Pooling, to: &mut Tensor, mask: &mut Mask) -> Result<()> {
        let Shape {
            channels,
            height,
            width,
        } = from.layout.shape;
        let pooled = from.layout.shape.pooled();
        assert!(to.layout.shape == pooled && mask.shape == pooled);
        let (from_at, to_at, winners) = (from.pointer(), to.pointer(), mask.pointer());
        let kind = kind_of(Some(kind));
        if from.layout.blocked {
            let lanes = lanes(channels);
            let grid = Grid::over(pooled.pixels() * lanes / 8);
            let arguments = arguments![from_at, to_at, winners, height, width, lanes, kind];
            self.launch(|k| &k.pool_f16, grid, arguments)?;
        } else {
            let arguments = arguments![from_at, to_at, winners, height, width, channels, kind];
            self.launch(|k| &k.pool_f32, Grid::over(pooled.pixels()), arguments)?;
        }
        let exponent = self.exponent(from);
        self.set_exponent(to, exponent);
        Ok(())
    }

    fn pool_backward(&mut self, to: &Tensor, kind: Pooling, mask: &Mask, from: &mut Tensor) -> Result<()> {
        let Shape {
            channels,
            height,
            width,
        } = from.layout.shape;
        let pooled = from.layout.shape.pooled();
        assert!(to.layout.shape == pooled && mask.shape == pooled);
        let (to_at, winners, from_at) = (to.pointer(), mask.pointer(), from.pointer());
        let kind = kind_of(Some(kind));
        if from.layout.blocked {
            let lanes = lanes(channels);
            let grid = Grid::over(height * width * lanes / 8);
            let arguments = arguments![to_at, winners, from_at, height, width, lanes, kind];
            self.launch(|k| &k.pool_backward_f16, grid, arguments)?;
        } else {
            let arguments = arguments![to_at, winners, from_at, height, width, channels, kind];
            self.launch(|k| &k.pool_backward_f32, Grid::over(height * width), arguments)?;
        }
        let exponent = self.exponent(to);
        self.set_exponent(from, exponent);
        Ok(())
    }

    fn cut(&mut self, from: &Tensor, (left, top): (usize, usize), to: &mut Tensor) -> Result<()> {
        let (whole, part) = (from.layout.shape, to.layout.shape);
        assert!(whole.channels == part.channels);
        assert!(left + part.width <= whole.width && top + part.height <= whole.height);
        let (from_at, to_at) = (from.pointer(), to.pointer());
        let exponent = self.exponent(from);
        if from.layout.blocked {
            let lanes = from.layout.lanes();
            let arguments = arguments![
                from_at,
                whole.width,
                left,
                top,
                to_at,
                lanes,
                part.height,
                part.width
            ];
            self.launch(|k| &k.cut_f16, Grid::over(to.layout.stored() / 8), arguments)?;
        } else {
            let arguments = arguments![
                from_at,
                whole.height,
                whole.width,
                left,
                top,
                to_at,
                part.channels,
                part.height,
                part.width,
            ];
            self.launch(|k| &k.cut_f32, Grid::over(part.elements()), arguments)?;
        }
        self.set_exponent(to, exponent);
        Ok(())
    }
}

/// How the kernels number what follows a convolution.
fn kind_of(pooling: Option<Pooling>) -> usize {
    match pooling {
        None => 0,
        Some(Pooling::Average) => 1,
        Some(Pooling::Max) => 2,
    }
}

/// `to` = max(0, W ∗ `from` + b), pooled if asked.
fn forward(
    ops: &mut Cuda,
    from: &Tensor,
    filter: &Filter,
    pooling: Option<Pooling>,
    to: &mut Tensor,
    mask: &mut Mask,
) -> Result<()> {
    ops.poll()?;
    let shape = from.layout.shape;
    let whole = shape.with_channels(filter.outputs);
    let pooled = if pooling.is_some() { whole.pooled() } else { whole };
    assert!(shape.channels == filter.inputs && to.layout.shape == pooled && mask.shape == whole);
    let exponent = ops.exponent(from) + filter.exponent;
    let bias = filter
        .bias(exponent, |bytes, buffer| ops.send(bytes, buffer))?
        .pointer();
    // A tensor of few channels is made from a blocked one.
    let blocked = if to.layout.blocked {
        to.pointer()
    } else {
        ops.scratch.narrow(Layout::forced(pooled).bytes())?
    };
    let Shape { height, width, .. } = shape;
    let (outputs, kind) = (lanes(filter.outputs), kind_of(pooling));
    match &filter.forward {
        Forward::Picture(pack) => {
            let grid = Grid(height.div_ceil(8) * width.div_ceil(16), outputs.div_ceil(64), 1);
            ops.launch(
                |k| &k.conv_forward_picture,
                grid,
                arguments![
                    from.pointer(),
                    pack.pointer(),
                    bias,
                    blocked,
                    mask.pointer(),
                    height,
                    width,
                    shape.channels,
                    outputs,
                    kind,
                ],
            )?;
        }
        Forward::Blocked(pack) => {
            let plan = LaunchPlan::new(shape, outputs, filter.inputs, ops.multiprocessors());
            let (from, pack, mask) = (from.pointer(), pack.pointer(), mask.pointer());
            let inputs = lanes(filter.inputs);
            if plan.splits == 1 {
                let arguments = arguments![
                    from, pack, bias, blocked, mask, height, width, inputs, outputs, kind
                ];
                ops.launch(
                    |k| match plan.tile {
                        Tile::Large => &k.conv_forward_large,
                        Tile::Medium => &k.conv_forward_medium,
                        Tile::Narrow => &k.conv_forward_narrow,
                        Tile::Small => &k.conv_forward_small,
                    },
                    plan.grid(),
                    arguments,
                )?;
            } else {
                let products = ops.scratch.products(plan.partials(shape, outputs))?;
                let per_split = plan.chunks_per_split;
                let arguments = arguments![from, pack, products, height, width, inputs, outputs, per_split];
                ops.launch(
                    |k| match plan.tile {
                        Tile::Medium => &k.conv_forward_medium_split,
                        _ => &k.conv_forward_small_split,
                    },
                    plan.grid(),
                    arguments,
                )?;
                let places = if kind == 0 {
                    height * width
                } else {
                    height.div_ceil(2) * width.div_ceil(2)
                };
                let arguments = arguments![
                    products,
                    plan.splits,
                    bias,
                    blocked,
                    mask,
                    height,
                    width,
                    outputs,
                    kind
                ];
                let grid = Grid::one_each(places * outputs / 8);
                ops.launch(|k| &k.conv_forward_finish, grid, arguments)?;
            }
        }
    }
    if !to.layout.blocked {
        unblock(ops, blocked, to, -exponent)?;
        ops.set_exponent(to, 0);
    } else {
        ops.set_exponent(to, exponent);
    }
    Ok(())
}

/// `from` = Wᵀ ∗ (mask · `to`), both gradients; `to` of the pooled shape if there was pooling.
fn backward(
    ops: &mut Cuda,
    to: &Tensor,
    pooling: Option<Pooling>,
    mask: &Mask,
    filter: &Filter,
    from: &mut Tensor,
) -> Result<()> {
    ops.poll()?;
    let whole = mask.shape;
    let given = if pooling.is_some() { whole.pooled() } else { whole };
    let shape = whole.with_channels(filter.inputs);
    assert!(to.layout.shape == given && whole.channels == filter.outputs && from.layout.shape == shape);
    let Shape { height, width, .. } = whole;
    let share = match pooling {
        Some(Pooling::Average) => 1.0 / (height.min(2) * width.min(2)) as f32,
        _ => 1.0,
    };
    let pooled = usize::from(pooling.is_some());
    let exponent = ops.exponent(to);
    let gradient = if to.layout.blocked {
        to.pointer()
    } else {
        let narrow = ops.scratch.narrow(Layout::forced(given).bytes())?;
        block(ops, to, narrow, 0, ops.loss_scale(), ops.overflow())?;
        narrow
    };
    let (mask, pack, overflow) = (mask.pointer(), filter.backward.pointer(), ops.overflow());
    let gradients = lanes(filter.outputs);
    let outward = exponent + filter.exponent;
    if !from.layout.blocked {
        let grid = Grid(height.div_ceil(8) * width.div_ceil(16), 1, 1);
        let factor = share * 2.0_f32.powi(-outward);
        let arguments = arguments![
            gradient,
            mask,
            pack,
            from.pointer(),
            height,
            width,
            gradients,
            shape.channels,
            pooled,
            factor,
            ops.loss_scale(),
        ];
        ops.launch(|k| &k.conv_backward_picture, grid, arguments)?;
        ops.set_exponent(from, 0);
        return Ok(());
    }
    let inputs = lanes(filter.inputs);
    let plan = LaunchPlan::new(whole, inputs, filter.outputs, ops.multiprocessors());
    if plan.splits == 1 {
        let arguments = arguments![
            gradient,
            mask,
            pack,
            from.pointer(),
            height,
            width,
            gradients,
            inputs,
            pooled,
            share,
            overflow,
        ];
        ops.launch(
            |k| match plan.tile {
                Tile::Large => &k.conv_backward_large,
                Tile::Medium => &k.conv_backward_medium,
                Tile::Narrow => &k.conv_backward_narrow,
                Tile::Small => &k.conv_backward_small,
            },
            plan.grid(),
            arguments,
        )?;
    } else {
        let count = height * width * inputs;
        let products = ops.scratch.products(plan.partials(whole, inputs))?;
        let per_split = plan.chunks_per_split;
        let arguments = arguments![
            gradient, mask, pack, products, height, width, gradients, inputs, pooled, per_split,
        ];
        ops.launch(
            |k| match plan.tile {
                Tile::Medium => &k.conv_backward_medium_split,
                _ => &k.conv_backward_small_split,
            },
            plan.grid(),
            arguments,
        )?;
        let arguments = arguments![products, plan.splits, from.pointer(), count, share, overflow];
        ops.launch(|k| &k.conv_backward_finish, Grid::one_each(count / 8), arguments)?;
    }
    ops.set_exponent(from, outward);
    Ok(())
}

/// A planar tensor → fp16 at `to`, blocked, multiplied by 2 to the `exponent` and the loss scale.
pub fn block(
    ops: &Cuda,
    from: &Tensor,
    to: Pointer,
    exponent: i32,
    loss_scale: Pointer,
    overflow: Pointer,
) -> Result<()> {
    block_floats(
        ops,
        from.pointer(),
        from.layout.shape,
        to,
        exponent,
        loss_scale,
        overflow,
    )
}

/// The same of floats [C, H, W] that are not a tensor's.
pub fn block_floats(
    ops: &Cuda,
    from: Pointer,
    shape: Shape,
    to: Pointer,
    exponent: i32,
    loss_scale: Pointer,
    overflow: Pointer,
) -> Result<()> {
    let factor = 2.0_f32.powi(exponent);
    let arguments = arguments![
        from,
        to,
        shape.channels,
        shape.pixels(),
        factor,
        loss_scale,
        overflow
    ];
    ops.launch(
        |k| &k.block_f16,
        Grid::over(shape.pixels() * lanes(shape.channels) / 8),
        arguments,
    )
}

/// fp16 at `from`, blocked → a planar tensor, multiplied by 2 to the `exponent`.
fn unblock(ops: &Cuda, from: Pointer, to: &Tensor, exponent: i32) -> Result<()> {
    unblock_floats(ops, from, to.layout.shape, to.pointer(), exponent)
}

/// The same to floats [C, H, W] that are not a tensor's.
pub fn unblock_floats(ops: &Cuda, from: Pointer, shape: Shape, to: Pointer, exponent: i32) -> Result<()> {
    let factor = 2.0_f32.powi(exponent);
    let arguments = arguments![from, to, shape.channels, shape.pixels(), factor];
    ops.launch(
        |k| &k.unblock_f32,
        Grid::over(shape.pixels() * lanes(shape.channels) / 8),
        arguments,
    )
}

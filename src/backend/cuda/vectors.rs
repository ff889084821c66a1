// SPDX-License-Identifier: MIT OR Apache-2.0

//! Passes over all elements, in either layout, and the optimisers.

use super::exponents::ANY;
use super::kernels::{Argument, Grid, arguments};
use super::{Cuda, Tensor};
use crate::backend::{AdamKnobs, Result, Scalar, Shape};

pub fn fill(ops: &mut Cuda, value: f32, tensor: &mut Tensor) -> Result<()> {
    let shape = tensor.layout.shape;
    if value == 0.0 {
        ops.memory.clear(&tensor.buffer, tensor.layout.bytes())?;
        ops.set_nothing(tensor);
        return Ok(());
    }
    if tensor.layout.blocked {
        let grid = Grid::over(tensor.layout.stored() / 8);
        let arguments = arguments![tensor.pointer(), value, shape.pixels(), shape.channels];
        ops.launch(|k| &k.fill_f16, grid, arguments)?;
    } else {
        let count = tensor.layout.stored();
        ops.launch(
            |k| &k.fill_f32,
            Grid::over(count),
            arguments![tensor.pointer(), value, count],
        )?;
    }
    ops.set_exponent(tensor, 0);
    Ok(())
}

pub fn square(ops: &mut Cuda, from: &Tensor, to: &mut Tensor) -> Result<()> {
    assert_eq!(from.layout, to.layout);
    let count = from.layout.stored();
    let arguments = arguments![from.pointer(), to.pointer(), count];
    if from.layout.blocked {
        ops.launch(|k| &k.square_f16, Grid::over(count / 8), arguments)?;
    } else {
        ops.launch(|k| &k.square_f32, Grid::over(count), arguments)?;
    }
    let exponent = 2 * ops.exponent(from);
    ops.set_exponent(to, exponent);
    Ok(())
}

pub fn blur(ops: &mut Cuda, from: &Tensor, to: &mut Tensor) -> Result<()> {
    assert_eq!(from.layout, to.layout);
    let Shape {
        channels,
        height,
        width,
    } = from.layout.shape;
    let (from_at, to_at, count) = (from.pointer(), to.pointer(), from.layout.stored());
    if from.layout.blocked {
        let arguments = arguments![from_at, to_at, height, width, from.layout.lanes()];
        ops.launch(|k| &k.blur_f16, Grid::over(count / 8), arguments)?;
    } else {
        let arguments = arguments![from_at, to_at, channels, height, width];
        ops.launch(|k| &k.blur_f32, Grid::over(count), arguments)?;
    }
    let exponent = ops.exponent(from);
    ops.set_exponent(to, exponent);
    Ok(())
}

pub fn axpy(ops: &mut Cuda, factor: f32, x: &Tensor, to: &mut Tensor) -> Result<()> {
    assert_eq!(x.layout, to.layout);
    let count = x.layout.stored();
    let (x_at, to_at) = (x.pointer(), to.pointer());
    if x.layout.blocked {
        let of_x = ops.exponent(x);
        let of_to = match ops.exponent_or_any(to) {
            ANY => {
                ops.set_exponent(to, of_x);
                of_x
            }
            other => other,
        };
        let factor = factor * 2.0_f32.powi(of_to - of_x);
        ops.launch(
            |k| &k.axpy_f16,
            Grid::over(count / 8),
            arguments![factor, x_at, to_at, count],
        )
    } else {
        ops.launch(
            |k| &k.axpy_f32,
            Grid::over(count),
            arguments![factor, x_at, to_at, count],
        )
    }
}

pub fn blend(ops: &mut Cuda, other: &Tensor, share: &Tensor, to: &mut Tensor) -> Result<()> {
    assert_eq!(other.layout, to.layout);
    assert_eq!(share.layout.shape, to.layout.shape.with_channels(1));
    let (other_at, share_at, to_at) = (other.pointer(), share.pointer(), to.pointer());
    let (count, pixels) = (to.layout.stored(), to.layout.shape.pixels());
    if to.layout.blocked {
        ops.assert_same_exponents(&[other, to]);
        let arguments = arguments![other_at, share_at, to_at, to.layout.lanes(), count];
        ops.launch(|k| &k.blend_f16, Grid::over(count / 8), arguments)
    } else {
        let arguments = arguments![other_at, share_at, to_at, pixels, count];
        ops.launch(|k| &k.blend_f32, Grid::over(count), arguments)
    }
}

#[allow(clippy::too_many_arguments)]
pub fn adam(
    ops: &mut Cuda,
    x: &mut Tensor,
    gradient: &Tensor,
    squared: &Tensor,
    m: &mut Tensor,
    v: &mut Tensor,
    knobs: &Tensor,
    at: AdamKnobs,
) -> Result<()> {
    let layout = x.layout;
    assert!(
        [gradient, squared, &*m, &*v]
            .iter()
            .all(|tensor| tensor.layout == layout)
    );
    let places = [at.rate, at.root, at.beta1, at.beta2, at.epsilon];
    assert!(places.iter().all(|&place| place < knobs.layout.shape.elements()));
    let mut arguments: Vec<Argument> = [&*x, gradient, squared, &*m, &*v, knobs]
        .map(|tensor| tensor.pointer().into())
        .to_vec();
    arguments.extend(places.map(Argument::from));
    let count = layout.stored();
    arguments.extend([Argument::from(count), Argument::from(ops.overflow())]);
    if layout.blocked {
        ops.assert_same_exponents(&[x, gradient, squared, m, v]);
        ops.launch(|k| &k.adam_f16, Grid::over(count / 8), &arguments)
    } else {
        ops.launch(|k| &k.adam_f32, Grid::over(count), &arguments)
    }
}

pub fn sgd(
    ops: &mut Cuda,
    x: &mut Tensor,
    gradient: &Tensor,
    velocity: &mut Tensor,
    rate: Scalar<Tensor>,
    momentum: Scalar<Tensor>,
) -> Result<()> {
    let layout = x.layout;
    assert!(gradient.layout == layout && velocity.layout == layout);
    assert!(rate.at < rate.of.layout.shape.elements() && momentum.at < momentum.of.layout.shape.elements());
    let count = layout.stored();
    let arguments = arguments![
        x.pointer(),
        gradient.pointer(),
        velocity.pointer(),
        rate.of.pointer(),
        rate.at,
        momentum.of.pointer(),
        momentum.at,
        count,
        ops.overflow(),
    ];
    if layout.blocked {
        ops.assert_same_exponents(&[x, gradient, velocity]);
        ops.launch(|k| &k.sgd_f16, Grid::over(count / 8), arguments)
    } else {
        ops.launch(|k| &k.sgd_f32, Grid::over(count), arguments)
    }
}

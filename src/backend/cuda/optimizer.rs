// SPDX-License-Identifier: MIT OR Apache-2.0

//! Passes over all elements, in either layout, and the optimisers' steps of pictures.

use super::exponents::ANY;
use super::kernels::{Argument, Grid, arguments};
use super::layout::Layout;
use super::{Cuda, Tensor};
use crate::backend::{AdamKnobs, Result, Scalar, Shape, Updates};

impl Updates for Cuda {
    fn square(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        assert_eq!(from.layout, to.layout);
        let count = from.layout.stored();
        let arguments = arguments![from.pointer(), to.pointer(), count];
        if from.layout.blocked {
            self.launch(|k| &k.square_f16, Grid::over(count / 8), arguments)?;
        } else {
            self.launch(|k| &k.square_f32, Grid::over(count), arguments)?;
        }
        let exponent = 2 * self.exponent(from);
        self.set_exponent(to, exponent);
        Ok(())
    }

    fn blur(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        assert_eq!(from.layout, to.layout);
        let Shape {
            channels,
            height,
            width,
        } = from.layout.shape;
        let (from_at, to_at, count) = (from.pointer(), to.pointer(), from.layout.stored());
        if from.layout.blocked {
            let arguments = arguments![from_at, to_at, height, width, from.layout.lanes()];
            self.launch(|k| &k.blur_f16, Grid::over(count / 8), arguments)?;
        } else {
            let arguments = arguments![from_at, to_at, channels, height, width];
            self.launch(|k| &k.blur_f32, Grid::over(count), arguments)?;
        }
        let exponent = self.exponent(from);
        self.set_exponent(to, exponent);
        Ok(())
    }

    fn axpy(&mut self, factor: f32, x: &Tensor, to: &mut Tensor) -> Result<()> {
        assert_eq!(x.layout, to.layout);
        let count = x.layout.stored();
        let (x_at, to_at) = (x.pointer(), to.pointer());
        if x.layout.blocked {
            let of_x = self.exponent(x);
            let of_to = match self.exponent_or_any(to) {
                ANY => {
                    self.set_exponent(to, of_x);
                    of_x
                }
                other => other,
            };
            let factor = factor * 2.0_f32.powi(of_to - of_x);
            self.launch(
                |k| &k.axpy_f16,
                Grid::over(count / 8),
                arguments![factor, x_at, to_at, count],
            )
        } else {
            self.launch(
                |k| &k.axpy_f32,
                Grid::over(count),
                arguments![factor, x_at, to_at, count],
            )
        }
    }

    fn adam(
        &mut self,
        gradient: &Tensor,
        squared: &Tensor,
        m: &mut Tensor,
        v: &mut Tensor,
        knobs: &Tensor,
        at: AdamKnobs,
        step: &mut Tensor,
    ) -> Result<()> {
        let layout = planar(step);
        assert!(
            [gradient, squared, &*m, &*v]
                .iter()
                .all(|tensor| tensor.layout == layout)
        );
        let places = [at.rate, at.root, at.beta1, at.beta2, at.epsilon];
        assert!(places.iter().all(|&place| place < knobs.layout.shape.elements()));
        let mut arguments: Vec<Argument> = [gradient, squared, &*m, &*v, knobs]
            .map(|tensor| tensor.pointer().into())
            .to_vec();
        arguments.extend(places.map(Argument::from));
        let count = layout.stored();
        arguments.extend_from_slice(arguments![step.pointer(), count, self.overflow()]);
        self.launch(|k| &k.adam, Grid::one_each(count), &arguments)
    }

    fn sgd(
        &mut self,
        gradient: &Tensor,
        velocity: &mut Tensor,
        rate: Scalar<Tensor>,
        momentum: Scalar<Tensor>,
        step: &mut Tensor,
    ) -> Result<()> {
        let layout = planar(step);
        assert!(gradient.layout == layout && velocity.layout == layout);
        assert!(
            rate.at < rate.of.layout.shape.elements() && momentum.at < momentum.of.layout.shape.elements()
        );
        let count = layout.stored();
        let arguments = arguments![
            gradient.pointer(),
            velocity.pointer(),
            rate.of.pointer(),
            rate.at,
            momentum.of.pointer(),
            momentum.at,
            step.pointer(),
            count,
            self.overflow(),
        ];
        self.launch(|k| &k.sgd, Grid::one_each(count), arguments)
    }

    fn descend(&mut self, x: &mut Tensor, step: &Tensor, blurred: &Tensor, axes: &Tensor) -> Result<()> {
        let layout = planar(x);
        assert!(layout.shape.channels == 3 && step.layout == layout && blurred.layout == layout);
        assert_eq!(axes.layout, Layout::of(Shape::vector(9)));
        let pixels = layout.shape.pixels();
        let (x, step, blurred) = (x.pointer(), step.pointer(), blurred.pointer());
        let arguments = arguments![x, step, blurred, axes.pointer(), pixels];
        self.launch(|k| &k.descend, Grid::one_each(pixels), arguments)
    }
}

/// The layout of a picture.
fn planar(picture: &Tensor) -> Layout {
    assert!(!picture.layout.blocked, "steps are taken with pictures");
    picture.layout
}

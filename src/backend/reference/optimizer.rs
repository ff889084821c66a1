// SPDX-License-Identifier: MIT OR Apache-2.0

use super::{Reference, Tensor, positions, taps};
use crate::backend::{AdamKnobs, Result, Scalar, Shape, Updates};

impl Updates for Reference {
    fn square(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        to.values = from.values.iter().map(|value| value * value).collect();
        Ok(())
    }

    fn blur(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        let Shape { height, width, .. } = from.shape;
        let clamped = |at: isize, length: usize| at.clamp(0, length as isize - 1) as usize;
        for (c, y, x) in positions(from.shape) {
            let mut sum = 0.0;
            for (_, dy, dx) in taps() {
                let weight = [0.25, 0.5, 0.25][(dy + 1) as usize] * [0.25, 0.5, 0.25][(dx + 1) as usize];
                sum += weight
                    * from.at(
                        c,
                        clamped(y as isize + dy, height),
                        clamped(x as isize + dx, width),
                    );
            }
            to.set(c, y, x, sum);
        }
        Ok(())
    }

    fn axpy(&mut self, factor: f32, x: &Tensor, to: &mut Tensor) -> Result<()> {
        for (to, x) in to.values.iter_mut().zip(&x.values) {
            *to += f64::from(factor) * x;
        }
        Ok(())
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
        let knob = |index: usize| knobs.values[index];
        let (beta1, beta2) = (knob(at.beta1), knob(at.beta2));
        for i in 0..step.values.len() {
            m.values[i] = beta1 * m.values[i] + (1.0 - beta1) * gradient.values[i];
            v.values[i] = beta2 * v.values[i] + (1.0 - beta2) * squared.values[i];
            let root = v.values[i].sqrt() * knob(at.root) + knob(at.epsilon);
            step.values[i] = knob(at.rate) * m.values[i] / root;
        }
        Ok(())
    }

    fn sgd(
        &mut self,
        gradient: &Tensor,
        velocity: &mut Tensor,
        rate: Scalar<Tensor>,
        momentum: Scalar<Tensor>,
        step: &mut Tensor,
    ) -> Result<()> {
        let (rate, momentum) = (rate.of.values[rate.at], momentum.of.values[momentum.at]);
        for i in 0..step.values.len() {
            velocity.values[i] = momentum * velocity.values[i] + gradient.values[i];
            step.values[i] = rate * velocity.values[i];
        }
        Ok(())
    }

    fn descend(&mut self, x: &mut Tensor, step: &Tensor, blurred: &Tensor, axes: &Tensor) -> Result<()> {
        for (_, row, column) in positions(x.shape.with_channels(1)) {
            let pixel = |of: &Tensor| [0, 1, 2].map(|c| of.at(c, row, column));
            let mean = |of: &Tensor| pixel(of).iter().sum::<f64>() / 3.0;
            let (grey, coloured) = (mean(step), mean(blurred));
            let moved = pixel(blurred).map(|b| grey + b - coloured);
            for (c, axis) in axes.values.chunks_exact(3).enumerate() {
                let way: f64 = axis.iter().zip(moved).map(|(a, m)| a * m).sum();
                x.set(c, row, column, x.at(c, row, column) - way);
            }
        }
        Ok(())
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

use super::tensor::scalar;
use super::{Cpu, Tensor, vector};
use crate::backend::{AdamKnobs, Result, Scalar, Updates};

impl Updates for Cpu {
    fn square(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        let to = to.values_mut();
        self.workers
            .run(&self.cancel, || vector::square(from.values(), to))
    }

    fn blur(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        let to = to.values_mut();
        self.workers
            .run(&self.cancel, || vector::blur(from.values(), from.layout, to))
    }

    fn axpy(&mut self, factor: f32, x: &Tensor, to: &mut Tensor) -> Result<()> {
        let to = to.values_mut();
        self.workers
            .run(&self.cancel, || vector::axpy(factor, x.values(), to))
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
        let knob = |index: usize| knobs.values()[index];
        let knobs = vector::Adam {
            rate: knob(at.rate),
            root: knob(at.root),
            beta1: knob(at.beta1),
            beta2: knob(at.beta2),
            epsilon: knob(at.epsilon),
        };
        let (m, v, step) = (m.values_mut(), v.values_mut(), step.values_mut());
        self.workers.run(&self.cancel, || {
            vector::adam(gradient.values(), squared.values(), m, v, knobs, step);
        })
    }

    fn sgd(
        &mut self,
        gradient: &Tensor,
        velocity: &mut Tensor,
        rate: Scalar<Tensor>,
        momentum: Scalar<Tensor>,
        step: &mut Tensor,
    ) -> Result<()> {
        let (rate, momentum) = (scalar(&rate), scalar(&momentum));
        let (velocity, step) = (velocity.values_mut(), step.values_mut());
        self.workers.run(&self.cancel, || {
            vector::sgd(gradient.values(), velocity, rate, momentum, step);
        })
    }

    fn descend(&mut self, x: &mut Tensor, step: &Tensor, blurred: &Tensor, axes: &Tensor) -> Result<()> {
        assert!(x.layout.shape.channels == 3 && step.layout == x.layout && blurred.layout == x.layout);
        let (x, step, blurred) = (x.values_mut(), step.values(), blurred.values());
        self.workers.run(&self.cancel, || {
            vector::descend(x, step, blurred, axes.values());
        })
    }
}

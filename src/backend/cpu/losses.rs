// SPDX-License-Identifier: MIT OR Apache-2.0

use super::tensor::{scalar, store};
use super::{Cpu, Tensor, gram, vector};
use crate::backend::{LossTerms, Moments, Result, Scalar, Slot};

impl LossTerms for Cpu {
    fn squared_norm(&mut self, a: &Tensor, sum: Slot<Tensor>) -> Result<()> {
        let total = self
            .workers
            .run(&self.cancel, || vector::squared_norm(a.values()))?;
        store(sum, total);
        Ok(())
    }

    fn squared_error(
        &mut self,
        a: &Tensor,
        target: &Tensor,
        coefficient: Scalar<Tensor>,
        gradient: &mut Tensor,
        sum: Slot<Tensor>,
    ) -> Result<()> {
        let coefficient = scalar(&coefficient);
        let gradient = gradient.values_mut();
        let total = self.workers.run(&self.cancel, || {
            vector::squared_error(a.values(), target.values(), coefficient, gradient)
        })?;
        store(sum, total);
        Ok(())
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
        let coefficient = scalar(&coefficient);
        let layout = a.layout;
        let (a, target, weight) = (a.values(), target.values(), weight.values());
        let gradient = gradient.values_mut();
        let total = self.workers.run(&self.cancel, || {
            vector::weighted_squared_error(a, target, weight, layout, coefficient, gradient)
        })?;
        store(sum, total);
        Ok(())
    }

    fn moments(&mut self, a: &Tensor, scale: f32, gram: &mut Tensor, mean: &mut Tensor) -> Result<()> {
        self.matrices.reserve(gram::scratch(a.layout))?;
        let (instructions, layout) = (self.instructions, a.layout);
        let (a, gram, mean) = (a.values(), gram.values_mut(), mean.values_mut());
        let (scratch, cancel) = (&mut self.matrices, &self.cancel);
        self.workers.run(cancel, || {
            gram::moments(instructions, a, layout, scale, gram, mean, scratch, cancel);
        })?;
        self.finished()
    }

    fn difference(
        &mut self,
        g: &Tensor,
        target: &Tensor,
        difference: &mut Tensor,
        sum: Slot<Tensor>,
    ) -> Result<()> {
        let difference = difference.values_mut();
        let total = self.workers.run(&self.cancel, || {
            vector::difference(g.values(), target.values(), difference)
        })?;
        store(sum, total);
        Ok(())
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
        let weight = scalar(&mean_weight);
        let (found, target) = (
            (found.second.values(), found.mean.values()),
            (target.second.values(), target.mean.values()),
        );
        let (difference, offset) = (difference.values_mut(), offset.values_mut());
        let total = self.workers.run(&self.cancel, || {
            gram::covariance_difference(found, target, q, weight, difference, offset)
        })?;
        store(sum, total);
        Ok(())
    }

    fn moments_backward(
        &mut self,
        a: &Tensor,
        difference: &Tensor,
        offset: &Tensor,
        coefficient: Scalar<Tensor>,
        gradient: &mut Tensor,
    ) -> Result<()> {
        assert_eq!(a.layout, gradient.layout);
        self.matrices.reserve(gram::backward_scratch(a.layout))?;
        let coefficient = scalar(&coefficient);
        let (instructions, layout, scratch, cancel) =
            (self.instructions, a.layout, &mut self.matrices, &self.cancel);
        let (a, d, offset) = (a.values(), difference.values(), offset.values());
        let gradient = gradient.values_mut();
        self.workers.run(cancel, || {
            gram::backward(
                instructions,
                a,
                layout,
                (d, offset),
                coefficient,
                gradient,
                scratch,
                cancel,
            );
        })?;
        self.finished()
    }

    fn total_variation(
        &mut self,
        x: &Tensor,
        coefficient: Scalar<Tensor>,
        gradient: &mut Tensor,
        sum: Slot<Tensor>,
    ) -> Result<()> {
        let coefficient = scalar(&coefficient);
        let gradient = gradient.values_mut();
        let total = self.workers.run(&self.cancel, || {
            vector::total_variation(x.values(), x.layout, coefficient, gradient)
        })?;
        store(sum, total);
        Ok(())
    }
}

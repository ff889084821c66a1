// SPDX-License-Identifier: MIT OR Apache-2.0

use super::tensor::{scalar, store};
use super::{Cpu, Tensor, gram, vector};
use crate::backend::{LossTerms, Result, Scalar, Slot};

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

    fn gram(&mut self, a: &Tensor, scale: f32, gram: &mut Tensor) -> Result<()> {
        self.matrices.reserve(gram::scratch(a.layout))?;
        let (instructions, layout) = (self.instructions, a.layout);
        let (a, gram, scratch, cancel) = (a.values(), gram.values_mut(), &mut self.matrices, &self.cancel);
        self.workers.run(cancel, || {
            gram::gram(instructions, a, layout, scale, gram, scratch, cancel);
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

    fn gram_backward(
        &mut self,
        a: &Tensor,
        difference: &Tensor,
        coefficient: Scalar<Tensor>,
        gradient: &mut Tensor,
    ) -> Result<()> {
        assert_eq!(a.layout, gradient.layout);
        self.matrices.reserve(gram::backward_scratch(a.layout))?;
        let coefficient = scalar(&coefficient);
        let (instructions, layout, scratch, cancel) =
            (self.instructions, a.layout, &mut self.matrices, &self.cancel);
        let (a, d, gradient) = (a.values(), difference.values(), gradient.values_mut());
        self.workers.run(cancel, || {
            gram::backward(instructions, a, layout, d, coefficient, gradient, scratch, cancel);
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

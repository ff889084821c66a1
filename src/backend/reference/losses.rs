// SPDX-License-Identifier: MIT OR Apache-2.0

use super::{Reference, Tensor, positions};
use crate::backend::{LossTerms, Moments, Result, Scalar, Slot};

impl LossTerms for Reference {
    fn squared_norm(&mut self, a: &Tensor, sum: Slot<Tensor>) -> Result<()> {
        sum.of.values[sum.at] = a.values.iter().map(|value| value * value).sum();
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
        let ones = Tensor {
            shape: a.shape.with_channels(1),
            values: vec![1.0; a.shape.pixels()],
        };
        self.weighted_squared_error(a, target, &ones, coefficient, gradient, sum)
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
        let coefficient = coefficient.of.values[coefficient.at];
        let mut total = 0.0;
        for (c, y, x) in positions(a.shape) {
            let error = a.at(c, y, x) - target.at(c, y, x);
            let w = weight.at(0, y, x);
            total += w * error * error;
            let index = gradient.index(c, y, x);
            gradient.values[index] += coefficient * w * error;
        }
        sum.of.values[sum.at] = total;
        Ok(())
    }

    fn moments(&mut self, a: &Tensor, scale: f32, gram: &mut Tensor, mean: &mut Tensor) -> Result<()> {
        self.poll()?;
        let pixels = a.shape.pixels();
        for (_, k, l) in positions(gram.shape) {
            let products = (0..pixels).map(|p| a.values[k * pixels + p] * a.values[l * pixels + p]);
            gram.set(0, k, l, f64::from(scale) * products.sum::<f64>());
        }
        for (mean, plane) in mean.values.iter_mut().zip(a.values.chunks(pixels)) {
            *mean = plane.iter().sum::<f64>() / pixels as f64;
        }
        Ok(())
    }

    fn difference(
        &mut self,
        g: &Tensor,
        target: &Tensor,
        difference: &mut Tensor,
        sum: Slot<Tensor>,
    ) -> Result<()> {
        let mut total = 0.0;
        for ((d, g), t) in difference.values.iter_mut().zip(&g.values).zip(&target.values) {
            *d = g - t;
            total += *d * *d;
        }
        sum.of.values[sum.at] = total;
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
        let (q, w) = (f64::from(q), mean_weight.of.values[mean_weight.at]);
        let (mu, nu) = (&found.mean.values, &target.mean.values);
        let mut total = 0.0;
        for k in 0..mu.len() {
            let mut product = 0.0;
            for l in 0..mu.len() {
                let d = found.second.at(0, k, l) - q * mu[k] * mu[l] - target.second.at(0, k, l);
                difference.set(0, k, l, d);
                product += d * mu[l];
                total += d * d;
            }
            let error = mu[k] - nu[k];
            offset.values[k] = w / (2.0 * q) * error - product;
            total += w * error * error;
        }
        sum.of.values[sum.at] = total;
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
        self.poll()?;
        let coefficient = coefficient.of.values[coefficient.at];
        for (k, y, x) in positions(a.shape) {
            let sum: f64 = (0..a.shape.channels)
                .map(|l| difference.at(0, k, l) * a.at(l, y, x))
                .sum();
            let index = gradient.index(k, y, x);
            gradient.values[index] += coefficient * (sum + offset.values[k]);
        }
        Ok(())
    }

    fn total_variation(
        &mut self,
        x: &Tensor,
        coefficient: Scalar<Tensor>,
        gradient: &mut Tensor,
        sum: Slot<Tensor>,
    ) -> Result<()> {
        let coefficient = coefficient.of.values[coefficient.at];
        let mut total = 0.0;
        for (c, row, column) in positions(x.shape) {
            for (below, right) in [(row + 1, column), (row, column + 1)] {
                if below < x.shape.height && right < x.shape.width {
                    let step = x.at(c, below, right) - x.at(c, row, column);
                    total += step * step;
                    let (here, there) = (x.index(c, row, column), x.index(c, below, right));
                    gradient.values[there] += coefficient * 2.0 * step;
                    gradient.values[here] -= coefficient * 2.0 * step;
                }
            }
        }
        sum.of.values[sum.at] = total;
        Ok(())
    }
}

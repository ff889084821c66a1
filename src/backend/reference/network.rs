// SPDX-License-Identifier: MIT OR Apache-2.0

use super::convolution::{Towards, convolved};
use super::{Mask, Reference, Tensor, positions};
use crate::backend::{FilterData, Layers, Memory, Pooling, Result};

impl Layers for Reference {
    fn centre(&mut self, from: &Tensor, mean: [f32; 3], to: &mut Tensor) -> Result<()> {
        for (c, y, x) in positions(from.shape) {
            to.set(c, y, x, from.at(c, y, x) - f64::from(mean[c]));
        }
        Ok(())
    }

    fn conv_relu(
        &mut self,
        from: &Tensor,
        filter: &FilterData,
        to: &mut Tensor,
        mask: &mut Mask,
    ) -> Result<()> {
        self.poll()?;
        let bias: Vec<f64> = filter.bias.iter().copied().map(f64::from).collect();
        let weight = |o, i, tap| filter.weights[(o * filter.inputs + i) * 9 + tap];
        to.values = convolved(from, &bias, weight, Towards::Outputs);
        for (value, positive) in to.values.iter_mut().zip(&mut mask.positive) {
            *positive = u8::from(*value > 0.0);
            *value = value.max(0.0);
        }
        Ok(())
    }

    fn conv_relu_backward(
        &mut self,
        to: &Tensor,
        mask: &Mask,
        filter: &FilterData,
        from: &mut Tensor,
    ) -> Result<()> {
        self.poll()?;
        let mut to = to.clone();
        for (gradient, &positive) in to.values.iter_mut().zip(&mask.positive) {
            *gradient *= f64::from(positive);
        }
        let weight = |i, o, tap| filter.weights[(o * filter.inputs + i) * 9 + tap];
        from.values = convolved(&to, &vec![0.0; filter.inputs], weight, Towards::Inputs);
        Ok(())
    }

    fn conv_relu_pool(
        &mut self,
        from: &Tensor,
        filter: &FilterData,
        kind: Pooling,
        to: &mut Tensor,
        mask: &mut Mask,
    ) -> Result<()> {
        let mut whole = Tensor::default();
        self.reshape(&mut whole, mask.shape);
        self.conv_relu(from, filter, &mut whole, mask)?;
        self.pool(&whole, kind, to, mask)
    }

    fn conv_relu_pool_backward(
        &mut self,
        to: &Tensor,
        kind: Pooling,
        mask: &Mask,
        filter: &FilterData,
        from: &mut Tensor,
    ) -> Result<()> {
        let mut whole = Tensor::default();
        self.reshape(&mut whole, mask.shape);
        self.pool_backward(to, kind, mask, &mut whole)?;
        self.conv_relu_backward(&whole, mask, filter, from)
    }

    fn pool(&mut self, from: &Tensor, kind: Pooling, to: &mut Tensor, mask: &mut Mask) -> Result<()> {
        for (c, y, x) in positions(to.shape) {
            let window = window(from, c, y, x);
            let value = match kind {
                Pooling::Average => window.iter().map(|(_, value)| value).sum::<f64>() / window.len() as f64,
                Pooling::Max => {
                    let mut best = window[0];
                    for &candidate in &window {
                        if candidate.1 > best.1 {
                            best = candidate;
                        }
                    }
                    mask.winners[to.index(c, y, x)] = best.0;
                    best.1
                }
            };
            to.set(c, y, x, value);
        }
        Ok(())
    }

    fn pool_backward(&mut self, to: &Tensor, kind: Pooling, mask: &Mask, from: &mut Tensor) -> Result<()> {
        from.values.fill(0.0);
        for (c, y, x) in positions(to.shape) {
            let window = window(from, c, y, x);
            for &(place, _) in &window {
                let share = match kind {
                    Pooling::Average => 1.0 / window.len() as f64,
                    Pooling::Max => f64::from(u8::from(mask.winners[to.index(c, y, x)] == place)),
                };
                from.set(
                    c,
                    2 * y + place as usize / 2,
                    2 * x + place as usize % 2,
                    share * to.at(c, y, x),
                );
            }
        }
        Ok(())
    }

    fn cut(&mut self, from: &Tensor, (left, top): (usize, usize), to: &mut Tensor) -> Result<()> {
        for (c, y, x) in positions(to.shape) {
            to.set(c, y, x, from.at(c, y + top, x + left));
        }
        Ok(())
    }
}

/// The values of a pooling window with their places 0..4 in row-major order; fewer than four where the picture has
/// only one row or column.
fn window(from: &Tensor, c: usize, y: usize, x: usize) -> Vec<(u8, f64)> {
    (0..4u8)
        .map(|place| (place, 2 * y + place as usize / 2, 2 * x + place as usize % 2))
        .filter(|&(_, row, column)| row < from.shape.height && column < from.shape.width)
        .map(|(place, row, column)| (place, from.at(c, row, column)))
        .collect()
}

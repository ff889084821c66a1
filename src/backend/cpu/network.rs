// SPDX-License-Identifier: MIT OR Apache-2.0

use super::conv::{Convolution, Direction, Masked, Pixels, RectifiedAndPooled, Scaled, Sink, Unpooled};
use super::tensor::{blocked, planar, rectified, written};
use super::{Cpu, Filter, Mask, Tensor, pool};
use crate::backend::{Layers, Pooling, Result, Shape};

impl Layers for Cpu {
    fn centre(&mut self, from: &Tensor, mean: [f32; 3], to: &mut Tensor) -> Result<()> {
        let pixels = from.layout.shape.pixels();
        let channels = to
            .values_mut()
            .chunks_exact_mut(pixels)
            .zip(from.values().chunks_exact(pixels));
        for ((to, from), mean) in channels.zip(mean) {
            for (to, from) in to.iter_mut().zip(from) {
                *to = from - mean;
            }
        }
        Ok(())
    }

    fn conv_relu(&mut self, from: &Tensor, filter: &Filter, to: &mut Tensor, mask: &mut Mask) -> Result<()> {
        let shape = from.layout.shape.with_channels(filter.outputs);
        assert!(to.layout.shape == shape && mask.shape == shape);
        let rectified = rectified(filter, to, mask);
        self.convolve_forward(from, filter, rectified)
    }

    fn conv_relu_backward(
        &mut self,
        to: &Tensor,
        mask: &Mask,
        filter: &Filter,
        from: &mut Tensor,
    ) -> Result<()> {
        let shape = to.layout.shape;
        assert_eq!(mask.shape, shape);
        let bits = mask.bits.as_ptr();
        if to.layout.lanes == 1 {
            let gradient = Masked {
                gradient: planar(to),
                bits,
            };
            self.convolve_backward(gradient, shape, filter, 1.0, from)
        } else {
            let gradient = Masked {
                gradient: blocked(to),
                bits,
            };
            self.convolve_backward(gradient, shape, filter, 1.0, from)
        }
    }

    fn conv_relu_pool(
        &mut self,
        from: &Tensor,
        filter: &Filter,
        kind: Pooling,
        to: &mut Tensor,
        mask: &mut Mask,
    ) -> Result<()> {
        let shape = from.layout.shape.with_channels(filter.outputs);
        assert!(to.layout.shape == shape.pooled() && mask.shape == shape);
        let rectified = rectified(filter, to, mask);
        self.convolve_forward(
            from,
            filter,
            RectifiedAndPooled {
                rectified,
                pooling: kind,
            },
        )
    }

    fn conv_relu_pool_backward(
        &mut self,
        to: &Tensor,
        kind: Pooling,
        mask: &Mask,
        filter: &Filter,
        from: &mut Tensor,
    ) -> Result<()> {
        let shape = mask.shape;
        assert_eq!(to.layout.shape, shape.pooled());
        let share = match kind {
            Pooling::Average => 1.0 / (shape.height.min(2) * shape.width.min(2)) as f32,
            Pooling::Max => 1.0,
        };
        let bits = mask.bits.as_ptr();
        let Shape { height, width, .. } = shape;
        if to.layout.lanes == 1 {
            let gradient = Unpooled {
                pooled: planar(to),
                bits,
                height,
                width,
            };
            self.convolve_backward(gradient, shape, filter, share, from)
        } else {
            let gradient = Unpooled {
                pooled: blocked(to),
                bits,
                height,
                width,
            };
            self.convolve_backward(gradient, shape, filter, share, from)
        }
    }

    fn pool(&mut self, from: &Tensor, kind: Pooling, to: &mut Tensor, mask: &mut Mask) -> Result<()> {
        assert!(to.layout.shape == from.layout.shape.pooled() && mask.shape == to.layout.shape);
        let (layout, from, to) = (from.layout, from.values(), to.values_mut());
        match kind {
            Pooling::Average => self.workers.run(&self.cancel, || pool::average(from, layout, to)),
            Pooling::Max => {
                mask.winners.resize(to.len(), 0);
                let winners = &mut mask.winners;
                self.workers
                    .run(&self.cancel, || pool::max(from, layout, to, winners))
            }
        }
    }

    fn pool_backward(&mut self, to: &Tensor, kind: Pooling, mask: &Mask, from: &mut Tensor) -> Result<()> {
        assert_eq!(to.layout.shape, from.layout.shape.pooled());
        let (layout, to, from) = (from.layout, to.values(), from.values_mut());
        match kind {
            Pooling::Average => self
                .workers
                .run(&self.cancel, || pool::average_backward(to, layout, from)),
            Pooling::Max => self.workers.run(&self.cancel, || {
                pool::max_backward(to, layout, &mask.winners, from)
            }),
        }
    }

    fn cut(&mut self, from: &Tensor, (left, top): (usize, usize), to: &mut Tensor) -> Result<()> {
        let (whole, part, lanes) = (from.layout.shape, to.layout.shape, from.layout.lanes);
        assert!(whole.channels == part.channels && lanes == to.layout.lanes);
        assert!(left + part.width <= whole.width && top + part.height <= whole.height);
        let (from, row) = (from.values(), part.width * lanes);
        for (line, out) in to.values_mut().chunks_exact_mut(row).enumerate() {
            let (plane, y) = (line / part.height, line % part.height);
            let start = ((plane * whole.height + top + y) * whole.width + left) * lanes;
            out.copy_from_slice(&from[start..][..row]);
        }
        Ok(())
    }
}

impl Cpu {
    fn convolution<'a>(
        &'a mut self,
        filter: &'a Filter,
        direction: Direction,
        shape: Shape,
    ) -> Convolution<'a> {
        Convolution {
            instructions: self.instructions,
            filter,
            direction,
            height: shape.height,
            width: shape.width,
            scratch: &mut self.convolving,
            cancel: &self.cancel,
        }
    }

    fn convolve_forward<K: Sink>(&mut self, from: &Tensor, filter: &Filter, sink: K) -> Result<()> {
        assert_eq!(from.layout.shape.channels, filter.inputs);
        let (workers, cancel) = (self.workers.clone(), self.cancel.clone());
        let convolution = self.convolution(filter, Direction::Forward, from.layout.shape);
        workers.run(&cancel, || {
            if from.layout.lanes == 1 {
                convolution.run(planar(from), sink);
            } else {
                convolution.run(blocked(from), sink);
            }
        })?;
        self.finished()
    }

    /// `shape` is that of the filter's outputs.
    fn convolve_backward<P: Pixels>(
        &mut self,
        gradient: P,
        shape: Shape,
        filter: &Filter,
        factor: f32,
        from: &mut Tensor,
    ) -> Result<()> {
        assert!(shape.channels == filter.outputs && from.layout.shape == shape.with_channels(filter.inputs));
        let (workers, cancel) = (self.workers.clone(), self.cancel.clone());
        let sink = Scaled {
            to: written(from),
            factor,
        };
        let convolution = self.convolution(filter, Direction::Backward, shape);
        workers.run(&cancel, || convolution.run(gradient, sink))?;
        self.finished()
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! The CPU in f32: convolutions by Winograd's method and products in kernels of our own, chosen by what the processor
//! can do; threads by `rayon`.
#![allow(unsafe_code)]
// Kernels read like the formulas that they compute, with an index for each axis.
#![allow(clippy::needless_range_loop)]

mod available;
mod conv;
mod export;
mod gram;
mod layout;
mod memory;
mod parallel;
mod picture;
mod pool;
mod product;
mod shared;
mod simd;
mod tensor;
mod vector;
mod warp;
mod workers;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{
    AdamKnobs, Backend, CancelToken, Capture, ColourMap, ColourStatistics, Error, FilterData, Interpolation,
    Mix, Pooling, Result, Scalar, Shape, Slot,
};
use crate::picture::{Picture, PictureView};
use conv::{Convolution, Direction, Masked, Pixels, RectifiedAndPooled, Scaled, Scratch, Sink, Unpooled};
use layout::Layout;
use memory::Buffer;
pub use shared::Filter;
pub use simd::Level;
pub use tensor::{Mask, Tensor};
use tensor::{blocked, planar, rectified, scalar, store, written};
use workers::Workers;

/// The CPU and its threads.
pub struct Cpu {
    level: Level,
    workers: Workers,
    cancel: CancelToken,
    in_use: Arc<AtomicUsize>,
    convolving: Scratch,
    /// The partial sums of a Gram matrix, or a matrix laid out for a product.
    matrices: Buffer<f32>,
    /// Half-resampled pictures.
    lines: Vec<f32>,
    exporting: export::Scratch,
}

impl Cpu {
    /// `threads` = 0: one per core that this process may use. The kernels are those that [`Level::choose`] names.
    pub fn new(threads: usize, cancel: CancelToken) -> Result<Self> {
        Self::with_level(threads, cancel, Level::choose()?)
    }

    /// One thread that does not take turns with the other backends of the process: for little work for which somebody
    /// waits.
    pub fn aside(cancel: CancelToken) -> Result<Self> {
        Self::with_workers(Workers::aside()?, cancel, Level::choose()?)
    }

    /// With the kernels of a certain level; it must be [available](Level::available).
    pub fn with_level(threads: usize, cancel: CancelToken, level: Level) -> Result<Self> {
        if !Level::available().contains(&level) {
            return Err(Error::Device(format!("this processor has no {}", level.name())));
        }
        Self::with_workers(Workers::new(threads)?, cancel, level)
    }

    fn with_workers(workers: Workers, cancel: CancelToken, level: Level) -> Result<Self> {
        let in_use = Arc::new(AtomicUsize::new(0));
        Ok(Self {
            level,
            convolving: Scratch::new(workers.threads(), &in_use)?,
            workers,
            cancel,
            matrices: Buffer::zeros(0, &in_use)?,
            lines: Vec::new(),
            exporting: export::Scratch::default(),
            in_use,
        })
    }

    /// The answer of an operation that looks at the flag while it runs.
    fn finished(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }

    fn convolution<'a>(
        &'a mut self,
        filter: &'a Filter,
        direction: Direction,
        shape: Shape,
    ) -> Convolution<'a> {
        Convolution {
            level: self.level,
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

impl Backend for Cpu {
    type Tensor = Tensor;
    type Filter = Filter;
    type Mask = Mask;

    fn name(&self) -> &'static str {
        "cpu"
    }

    fn device(&self) -> String {
        format!("{} threads, {}", self.workers.threads(), self.level.name())
    }

    fn bytes_in_use(&self) -> usize {
        self.in_use.load(Ordering::Relaxed) + self.lines.capacity() * size_of::<f32>()
    }

    fn available_bytes(&self) -> Option<usize> {
        available::available_bytes()
    }

    fn stand_back(&mut self) -> Result<()> {
        self.workers = self.workers.standing_back()?;
        Ok(())
    }

    fn tensor(&mut self, shape: Shape) -> Result<Tensor> {
        self.room(&[shape])
    }

    fn tensor_bytes(shape: Shape) -> usize {
        Layout::of(shape).stored() * size_of::<f32>()
    }

    fn room(&mut self, shapes: &[Shape]) -> Result<Tensor> {
        let layouts = shapes.iter().map(|&shape| Layout::of(shape));
        let most = layouts.map(|layout| layout.stored()).max().unwrap_or(0);
        Ok(Tensor {
            layout: Layout::of(shapes.first().copied().unwrap_or_default()),
            values: Buffer::zeros(most, &self.in_use)?,
        })
    }

    fn shape(&self, tensor: &Tensor) -> Shape {
        tensor.layout.shape
    }

    fn reshape(&self, tensor: &mut Tensor, shape: Shape) {
        let layout = Layout::of(shape);
        assert!(layout.stored() <= tensor.values.len());
        tensor.layout = layout;
    }

    fn mask(&mut self, shape: Shape) -> Result<Mask> {
        Ok(Mask {
            shape,
            bits: Buffer::zeros(Layout::of(shape).blocks() * shape.pixels(), &self.in_use)?,
            winners: Vec::new(),
        })
    }

    fn mask_bytes(shape: Shape) -> usize {
        Layout::of(shape).blocks() * shape.pixels() * size_of::<u16>()
    }

    fn filter(&mut self, data: &FilterData) -> Result<Filter> {
        self.finished()?;
        let (level, in_use) = (self.level, &self.in_use);
        let filter = self
            .workers
            .run(&self.cancel, || Filter::new(data, level, in_use))??;
        self.convolving.reserve(&filter)?;
        Ok(filter)
    }

    fn upload(&mut self, data: &[f32], tensor: &mut Tensor) -> Result<()> {
        let layout = tensor.layout;
        layout.write(data, tensor.values_mut());
        Ok(())
    }

    fn download(&mut self, tensor: &Tensor, data: &mut [f32]) -> Result<()> {
        tensor.layout.read(tensor.values(), data);
        Ok(())
    }

    fn copy(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        assert_eq!(from.layout, to.layout);
        let (from, to) = (from.values(), to.values_mut());
        self.workers.run(&self.cancel, || vector::copy(from, to))
    }

    fn fill(&mut self, value: f32, tensor: &mut Tensor) -> Result<()> {
        let layout = tensor.layout;
        layout.fill(value, tensor.values_mut());
        Ok(())
    }

    fn import(&mut self, frame: PictureView, border: usize, picture: &mut Tensor) -> Result<()> {
        let shape = picture.layout.shape;
        let (lines, cancel) = (&mut self.lines, &self.cancel);
        let values = picture.values_mut();
        self.workers.run(cancel, || {
            picture::import(frame, border, values, shape, lines, cancel);
        })?;
        self.finished()
    }

    fn export(
        &mut self,
        picture: &Tensor,
        content: &Tensor,
        border: usize,
        mix: Mix,
        frame: PictureView,
        out: &mut Picture,
    ) -> Result<()> {
        assert_eq!(picture.layout, content.layout);
        let painting = export::Painting {
            picture: picture.values(),
            content: content.values(),
            shape: picture.layout.shape,
            border,
        };
        let (scratch, cancel, level) = (&mut self.exporting, &self.cancel, self.level);
        self.workers.run(cancel, || {
            export::export(level, painting, mix, frame, out, scratch, cancel);
        })?;
        self.finished()
    }

    fn resize(&mut self, from: &Tensor, border: usize, to: &mut Tensor) -> Result<()> {
        let (from_shape, to_shape) = (from.layout.shape, to.layout.shape);
        let (lines, from, to) = (&mut self.lines, from.values(), to.values_mut());
        self.workers.run(&self.cancel, || {
            picture::resize(from, from_shape, border, to, to_shape, lines);
        })
    }

    fn mirror_border(&mut self, picture: &mut Tensor, border: usize) -> Result<()> {
        let shape = picture.layout.shape;
        picture::mirror_border(picture.values_mut(), shape, border);
        Ok(())
    }

    fn colour_statistics(&mut self, picture: &Tensor) -> Result<ColourStatistics> {
        let pixels = picture.layout.shape.pixels();
        self.workers.run(&self.cancel, || {
            picture::colour_statistics(picture.values(), pixels)
        })
    }

    fn colour_map(&mut self, from: &Tensor, map: &ColourMap, to: &mut Tensor) -> Result<()> {
        let pixels = from.layout.shape.pixels();
        let (from, to) = (from.values(), to.values_mut());
        self.workers
            .run(&self.cancel, || picture::colour_map(from, pixels, map, to))
    }

    fn blend(&mut self, other: &Tensor, share: &Tensor, to: &mut Tensor) -> Result<()> {
        assert_eq!(other.layout, to.layout);
        let layout = to.layout;
        let (other, share, to) = (other.values(), share.values(), to.values_mut());
        self.workers
            .run(&self.cancel, || picture::blend(other, share, to, layout))
    }

    fn warp(
        &mut self,
        from: &Tensor,
        flow: &Tensor,
        interpolation: Interpolation,
        to: &mut Tensor,
    ) -> Result<()> {
        assert!(from.layout == to.layout && from.layout.lanes == 1);
        let shape = from.layout.shape;
        assert_eq!(flow.layout.shape, shape.with_channels(2));
        let (from, flow, to) = (from.values(), flow.values(), to.values_mut());
        self.workers
            .run(&self.cancel, || warp::warp(from, flow, shape, interpolation, to))
    }

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
        let (level, layout) = (self.level, a.layout);
        let (a, gram, scratch, cancel) = (a.values(), gram.values_mut(), &mut self.matrices, &self.cancel);
        self.workers.run(cancel, || {
            gram::gram(level, a, layout, scale, gram, scratch, cancel);
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
        let (level, layout, scratch, cancel) = (self.level, a.layout, &mut self.matrices, &self.cancel);
        let (a, d, gradient) = (a.values(), difference.values(), gradient.values_mut());
        self.workers.run(cancel, || {
            gram::backward(level, a, layout, d, coefficient, gradient, scratch, cancel);
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
        x: &mut Tensor,
        gradient: &Tensor,
        squared: &Tensor,
        m: &mut Tensor,
        v: &mut Tensor,
        knobs: &Tensor,
        at: AdamKnobs,
    ) -> Result<()> {
        let knob = |index: usize| knobs.values()[index];
        let knobs = vector::Adam {
            rate: knob(at.rate),
            root: knob(at.root),
            beta1: knob(at.beta1),
            beta2: knob(at.beta2),
            epsilon: knob(at.epsilon),
        };
        let (x, m, v) = (x.values_mut(), m.values_mut(), v.values_mut());
        self.workers.run(&self.cancel, || {
            vector::adam(x, gradient.values(), squared.values(), m, v, knobs);
        })
    }

    fn sgd(
        &mut self,
        x: &mut Tensor,
        gradient: &Tensor,
        velocity: &mut Tensor,
        rate: Scalar<Tensor>,
        momentum: Scalar<Tensor>,
    ) -> Result<()> {
        let (rate, momentum) = (scalar(&rate), scalar(&momentum));
        let (x, velocity) = (x.values_mut(), velocity.values_mut());
        self.workers.run(&self.cancel, || {
            vector::sgd(x, gradient.values(), velocity, rate, momentum);
        })
    }

    /// The whole step is one piece of work for the threads, so that none has to be woken for each operation.
    fn capture<R>(&mut self, capture: &mut Capture, mut record: R) -> Result<()>
    where
        R: FnMut(&mut Self) -> Result<()> + Send,
    {
        self.finished()?;
        capture.runs += 1;
        let (workers, cancel) = (self.workers.clone(), self.cancel.clone());
        workers.run(&cancel, || record(self))?
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! The CPU in f32: planar tensors, products by the `gemm` crate, threads by `rayon`.
#![allow(unsafe_code)]

mod conv;
mod gram;
mod parallel;
mod picture;
mod pool;
mod product;
mod vector;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{
    AdamKnobs, Backend, CancelToken, Capture, ColourMap, ColourStatistics, Error, FilterData, Mix, Pooling,
    Result, Scalar, Shape, Slot,
};
pub use conv::Filter;

/// Values in [C, H, W] order.
pub struct Tensor {
    shape: Shape,
    values: Vec<f32>,
    _held: Held,
}

impl Tensor {
    pub fn values(&self) -> &[f32] {
        &self.values[..self.shape.elements()]
    }

    fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.shape.elements()]
    }
}

/// What backward needs of a ReLU (bits) and of max pooling (winners).
pub struct Mask {
    positive: conv::Bits,
    winners: Vec<u8>,
    shape: Shape,
    held: Held,
}

/// Bytes counted as in use for as long as this lives.
struct Held {
    total: Arc<AtomicUsize>,
    bytes: usize,
}

impl Held {
    fn new(total: &Arc<AtomicUsize>, bytes: usize) -> Self {
        total.fetch_add(bytes, Ordering::Relaxed);
        Self {
            total: total.clone(),
            bytes,
        }
    }

    fn set(&mut self, bytes: usize) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The CPU and its threads.
pub struct Cpu {
    pool: rayon::ThreadPool,
    threads: usize,
    cancel: CancelToken,
    in_use: Arc<AtomicUsize>,
    /// One per thread: the gathered columns of a block of a convolution.
    columns: Vec<Mutex<Vec<f32>>>,
    columns_held: Held,
    /// The partial sums of a Gram matrix.
    partials: Vec<f32>,
    partials_held: Held,
    /// Half-resampled pictures.
    lines: Vec<f32>,
}

impl Cpu {
    /// `threads` = 0: one per core that this process may use.
    pub fn new(threads: usize, cancel: CancelToken) -> Result<Self> {
        let available = std::thread::available_parallelism().map_or(1, |count| count.get());
        let threads = if threads == 0 { available } else { threads };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("neuralstyle-{index}"))
            .build()
            .map_err(|error| Error::Device(format!("{threads} threads cannot be started: {error}")))?;
        let in_use = Arc::new(AtomicUsize::new(0));
        Ok(Self {
            pool,
            threads,
            cancel,
            columns: (0..threads).map(|_| Mutex::new(Vec::new())).collect(),
            columns_held: Held::new(&in_use, 0),
            partials: Vec::new(),
            partials_held: Held::new(&in_use, 0),
            lines: Vec::new(),
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
}

/// A vector of `length` zeros, or the news that there is no memory for it. Fresh pages of the system are zeros
/// already, so this takes no time even for gigabytes; the first operation on them, which can be cancelled, does.
fn zeros<T: bytemuck::Zeroable>(length: usize) -> Result<Vec<T>> {
    let bytes = length.saturating_mul(size_of::<T>());
    if bytes == 0 {
        return Ok(Vec::new());
    }
    let layout = std::alloc::Layout::array::<T>(length).map_err(|_| Error::OutOfMemory { bytes })?;
    // SAFETY: the layout is not empty.
    let memory = unsafe { std::alloc::alloc_zeroed(layout) };
    if memory.is_null() {
        return Err(Error::OutOfMemory { bytes });
    }
    // SAFETY: the memory was allocated with the layout of `length` elements of T, all of them zeros, which T allows.
    Ok(unsafe { Vec::from_raw_parts(memory.cast(), length, length) })
}

fn scalar(scalar: &Scalar<Tensor>) -> f32 {
    scalar.of.values()[scalar.at]
}

fn store(slot: Slot<Tensor>, sum: f64) {
    slot.of.values_mut()[slot.at] = sum as f32;
}

impl Backend for Cpu {
    type Tensor = Tensor;
    type Filter = Filter;
    type Mask = Mask;

    fn name(&self) -> &'static str {
        "cpu"
    }

    fn device(&self) -> String {
        format!("{} threads, {}", self.threads, std::env::consts::ARCH)
    }

    fn bytes_in_use(&self) -> usize {
        self.in_use.load(Ordering::Relaxed) + self.lines.capacity() * size_of::<f32>()
    }

    /// Linux says how much memory programs can get without driving others out; elsewhere nothing is known.
    fn available_bytes(&self) -> Option<usize> {
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes.saturating_mul(1024))
    }

    fn tensor(&mut self, shape: Shape) -> Result<Tensor> {
        let values = zeros(shape.elements())?;
        Ok(Tensor {
            shape,
            values,
            _held: Held::new(&self.in_use, shape.elements() * size_of::<f32>()),
        })
    }

    fn shape(&self, tensor: &Tensor) -> Shape {
        tensor.shape
    }

    fn reshape(&self, tensor: &mut Tensor, shape: Shape) {
        assert!(shape.elements() <= tensor.values.len());
        tensor.shape = shape;
    }

    fn mask(&mut self, shape: Shape) -> Result<Mask> {
        let positive = conv::Bits::new(shape);
        let held = Held::new(&self.in_use, positive.bytes());
        Ok(Mask {
            positive,
            winners: Vec::new(),
            shape,
            held,
        })
    }

    fn filter(&mut self, data: &FilterData) -> Result<Filter> {
        self.finished()?;
        let filter = Filter::new(data);
        // Filters live as long as their backend.
        self.in_use.fetch_add(filter.bytes(), Ordering::Relaxed);
        let needed = filter.scratch();
        let mut total = 0;
        for columns in &mut self.columns {
            let columns = columns.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
            if columns.len() < needed {
                *columns = zeros(needed)?;
            }
            total += columns.len() * size_of::<f32>();
        }
        self.columns_held.set(total);
        Ok(filter)
    }

    fn upload(&mut self, data: &[f32], tensor: &mut Tensor) -> Result<()> {
        tensor.values_mut().copy_from_slice(data);
        Ok(())
    }

    fn download(&mut self, tensor: &Tensor, data: &mut [f32]) -> Result<()> {
        data.copy_from_slice(tensor.values());
        Ok(())
    }

    fn copy(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        to.values_mut().copy_from_slice(from.values());
        Ok(())
    }

    fn fill(&mut self, value: f32, tensor: &mut Tensor) -> Result<()> {
        tensor.values_mut().fill(value);
        Ok(())
    }

    fn import(
        &mut self,
        rgb: &[u8],
        width: usize,
        height: usize,
        border: usize,
        picture: &mut Tensor,
    ) -> Result<()> {
        let shape = picture.shape;
        let (lines, cancel) = (&mut self.lines, &self.cancel);
        let values = picture.values_mut();
        self.pool
            .install(|| picture::import(rgb, width, height, border, values, shape, lines, cancel));
        self.finished()
    }

    fn export(
        &mut self,
        picture: &Tensor,
        border: usize,
        mix: Mix,
        rgb: &[u8],
        width: usize,
        height: usize,
        out: &mut [u8],
    ) -> Result<()> {
        let (lines, cancel) = (&mut self.lines, &self.cancel);
        let (values, shape) = (picture.values(), picture.shape);
        self.pool
            .install(|| picture::export(values, shape, border, mix, rgb, width, height, out, lines, cancel));
        self.finished()
    }

    fn resize(&mut self, from: &Tensor, border: usize, to: &mut Tensor) -> Result<()> {
        let (from_shape, to_shape) = (from.shape, to.shape);
        let (lines, from, to) = (&mut self.lines, from.values(), to.values_mut());
        self.pool
            .install(|| picture::resize(from, from_shape, border, to, to_shape, lines));
        Ok(())
    }

    fn mirror_border(&mut self, picture: &mut Tensor, border: usize) -> Result<()> {
        let shape = picture.shape;
        picture::mirror_border(picture.values_mut(), shape, border);
        Ok(())
    }

    fn colour_statistics(&mut self, picture: &Tensor) -> Result<ColourStatistics> {
        Ok(self
            .pool
            .install(|| picture::colour_statistics(picture.values(), picture.shape.pixels())))
    }

    fn colour_map(&mut self, from: &Tensor, map: &ColourMap, to: &mut Tensor) -> Result<()> {
        let pixels = from.shape.pixels();
        let (from, to) = (from.values(), to.values_mut());
        self.pool.install(|| picture::colour_map(from, pixels, map, to));
        Ok(())
    }

    fn stillness(
        &mut self,
        before: &Tensor,
        now: &Tensor,
        low: f32,
        high: f32,
        trust: &mut Tensor,
    ) -> Result<()> {
        let shape = now.shape;
        let (before, now, trust) = (before.values(), now.values(), trust.values_mut());
        self.pool
            .install(|| picture::stillness(before, now, shape, low, high, trust));
        Ok(())
    }

    fn blend(&mut self, other: &Tensor, share: &Tensor, to: &mut Tensor) -> Result<()> {
        let (other, share, to) = (other.values(), share.values(), to.values_mut());
        self.pool.install(|| picture::blend(other, share, to));
        Ok(())
    }

    fn centre(&mut self, from: &Tensor, mean: [f32; 3], to: &mut Tensor) -> Result<()> {
        let pixels = from.shape.pixels();
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
        assert_eq!(
            (from.shape.channels, to.shape.channels),
            (filter.inputs, filter.outputs)
        );
        let (shape, input, out) = (from.shape, from.values(), to.values_mut());
        let (columns, cancel) = (&self.columns, &self.cancel);
        let bits = &mut mask.positive;
        self.pool
            .install(|| conv::forward(filter, input, shape, out, bits, columns, cancel));
        self.finished()
    }

    fn conv_relu_backward(
        &mut self,
        to: &mut Tensor,
        mask: &Mask,
        filter: &Filter,
        from: &mut Tensor,
    ) -> Result<()> {
        assert_eq!(
            (from.shape.channels, to.shape.channels),
            (filter.inputs, filter.outputs)
        );
        let (shape, gradient, out) = (to.shape, to.values_mut(), from.values_mut());
        let (columns, cancel) = (&self.columns, &self.cancel);
        self.pool.install(|| {
            conv::apply_mask(gradient, &mask.positive, shape.pixels());
            conv::backward(filter, gradient, shape, out, columns, cancel);
        });
        self.finished()
    }

    fn pool(&mut self, from: &Tensor, kind: Pooling, to: &mut Tensor, mask: &mut Mask) -> Result<()> {
        let (shape, from, to) = (from.shape, from.values(), to.values_mut());
        match kind {
            Pooling::Average => self.pool.install(|| pool::average(from, shape, to)),
            Pooling::Max => {
                if mask.winners.is_empty() {
                    mask.winners = zeros(mask.shape.elements())?;
                    let bytes = mask.positive.bytes() + mask.winners.len();
                    mask.held.set(bytes);
                }
                let winners = &mut mask.winners;
                self.pool.install(|| pool::max(from, shape, to, winners));
            }
        }
        Ok(())
    }

    fn pool_backward(&mut self, to: &Tensor, kind: Pooling, mask: &Mask, from: &mut Tensor) -> Result<()> {
        let (shape, to, from) = (from.shape, to.values(), from.values_mut());
        match kind {
            Pooling::Average => self.pool.install(|| pool::average_backward(to, shape, from)),
            Pooling::Max => self
                .pool
                .install(|| pool::max_backward(to, shape, &mask.winners, from)),
        }
        Ok(())
    }

    fn squared_norm(&mut self, a: &Tensor, sum: Slot<Tensor>) -> Result<()> {
        store(sum, self.pool.install(|| vector::squared_norm(a.values())));
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
        let total = self
            .pool
            .install(|| vector::squared_error(a.values(), target.values(), coefficient, gradient));
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
        let (a, target, weight, gradient) = (
            a.values(),
            target.values(),
            weight.values(),
            gradient.values_mut(),
        );
        let total = self
            .pool
            .install(|| vector::weighted_squared_error(a, target, weight, coefficient, gradient));
        store(sum, total);
        Ok(())
    }

    fn gram(&mut self, a: &Tensor, scale: f32, gram: &mut Tensor) -> Result<()> {
        let (channels, pixels) = (a.shape.channels, a.shape.pixels());
        let needed = gram::scratch(channels, pixels);
        if self.partials.len() < needed {
            self.partials = zeros(needed)?;
            self.partials_held.set(needed * size_of::<f32>());
        }
        let (values, gram, scratch) = (a.values(), gram.values_mut(), &mut self.partials[..needed]);
        let cancel = &self.cancel;
        self.pool
            .install(|| gram::gram(values, channels, pixels, scale, gram, scratch, cancel));
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
        store(
            sum,
            self.pool
                .install(|| vector::difference(g.values(), target.values(), difference)),
        );
        Ok(())
    }

    fn gram_backward(
        &mut self,
        a: &Tensor,
        difference: &Tensor,
        coefficient: Scalar<Tensor>,
        gradient: &mut Tensor,
    ) -> Result<()> {
        let (channels, pixels) = (a.shape.channels, a.shape.pixels());
        let coefficient = scalar(&coefficient);
        let (values, d, gradient) = (a.values(), difference.values(), gradient.values_mut());
        let cancel = &self.cancel;
        self.pool
            .install(|| gram::backward(values, channels, pixels, d, coefficient, gradient, cancel));
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
        let total = self
            .pool
            .install(|| vector::total_variation(x.values(), x.shape, coefficient, gradient));
        store(sum, total);
        Ok(())
    }

    fn square(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        let to = to.values_mut();
        self.pool.install(|| vector::square(from.values(), to));
        Ok(())
    }

    fn blur(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        let to = to.values_mut();
        self.pool.install(|| vector::blur(from.values(), from.shape, to));
        Ok(())
    }

    fn axpy(&mut self, factor: f32, x: &Tensor, to: &mut Tensor) -> Result<()> {
        let to = to.values_mut();
        self.pool.install(|| vector::axpy(factor, x.values(), to));
        Ok(())
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
        self.pool
            .install(|| vector::adam(x, gradient.values(), squared.values(), m, v, knobs));
        Ok(())
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
        self.pool
            .install(|| vector::sgd(x, gradient.values(), velocity, rate, momentum));
        Ok(())
    }

    fn capture<R>(&mut self, capture: &mut Capture, mut record: R) -> Result<()>
    where
        R: FnMut(&mut Self) -> Result<()>,
    {
        self.finished()?;
        capture.runs += 1;
        record(self)
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! NVIDIA cards from compute capability 7.5 on, by kernels of our own (in `kernels/`) and cudarc. Nothing but the driver is
//! needed: the kernels are embedded as PTX, which it compiles.
//!
//! Pictures, matrices and everything of the optimiser are f32; activations and their gradients are fp16, multiplied by
//! powers of two that keep them in range (see [`filter`] and [`capture`]). Products are added up in f32. The same input
//! gives the same bytes.
#![allow(unsafe_code)]

mod capture;
mod convolution;
mod device;
mod error;
mod exponents;
mod filter;
mod flow;
mod kernels;
mod layout;
mod losses;
mod memory;
mod network;
mod pictures;
mod probe;
mod scratch;
mod self_check;
mod transfer;
mod vectors;

use std::sync::Arc;

use cudarc::driver::CudaStream;
use cudarc::driver::result::stream::get_priority_range;

use super::{
    AdamKnobs, Backend, CancelToken, Capture, ColourMap, ColourStatistics, Error, FilterData, Interpolation,
    Mix, Pooling, Result, Scalar, Shape, Slot, Work,
};
use crate::picture::{Picture, PictureView};
use capture::{Recording, Scale};
use convolution::Multiprocessors;
use device::Device;
pub use error::Unavailable;
use exponents::{ANY, Exponent};
pub use filter::Filter;
use kernels::{Argument, Grid, Kernel, Kernels, countable};
use layout::{Layout, mask_bytes};
use memory::{Buffer, Memory, Pointer};
pub use probe::{Card, cards};
use scratch::{Needs, Scratch, Table};
use transfer::Transfers;

/// Numbers in the card's memory.
pub struct Tensor {
    layout: Layout,
    buffer: Buffer,
    /// What is stored is the number multiplied by 2 to this; always 0 in a planar tensor.
    exponent: Exponent,
}

impl Tensor {
    fn pointer(&self) -> Pointer {
        self.buffer.pointer()
    }
}

/// What backward needs of forward.
pub struct Mask {
    shape: Shape,
    buffer: Buffer,
}

impl Mask {
    fn pointer(&self) -> Pointer {
        self.buffer.pointer()
    }
}

/// A card.
pub struct Cuda {
    device: Arc<Device>,
    /// Of all work but the copies of frames.
    stream: Arc<CudaStream>,
    memory: Memory,
    transfers: Transfers,
    scratch: Scratch,
    /// Of the step that is being performed.
    scale: Scale,
    /// While a step is performed or written down.
    recording: Option<Recording>,
    cancel: CancelToken,
}

impl Cuda {
    /// The card numbered `id`, or with −1 the first that works; each is given a small task with a known answer before.
    ///
    /// # Errors
    /// Says what is missing. Never panics, whatever driver there is.
    pub fn new(id: i32, cancel: CancelToken) -> std::result::Result<Self, Unavailable> {
        let mut reasons = Vec::new();
        for card in probe::cards(id)? {
            match Self::start(&card) {
                Ok(cuda) => return Ok(Self { cancel, ..cuda }),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(match <[Unavailable; 1]>::try_from(reasons) {
            Ok([reason]) => reason,
            Err(reasons) => Unavailable::NoneUsable {
                reasons: reasons
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("; "),
            },
        })
    }

    fn start(card: &Card) -> std::result::Result<Self, Unavailable> {
        let failed = |error: Error| {
            let said = error.to_string();
            Unavailable::Failed {
                reason: said.trim_start_matches(&format!("{}: ", card.name)).to_owned(),
                name: card.name.clone(),
            }
        };
        let device = Device::open(card)?;
        let mut cuda = Self::on(device).map_err(failed)?;
        match self_check::wrong_answer(&mut cuda).map_err(failed)? {
            None => Ok(cuda),
            Some(what) => Err(Unavailable::WrongAnswers {
                name: card.name.clone(),
                what,
            }),
        }
    }

    fn on(device: Arc<Device>) -> Result<Self> {
        let stream = device.checked("stream", device.context.new_stream())?;
        Self::with(device, stream)
    }

    /// The same card for small work that must not wait for what this one has been given: where there is work of both, that
    /// of the other goes first.
    ///
    /// # Errors
    /// The driver gives no more.
    pub fn beside(&self, cancel: CancelToken) -> Result<Self> {
        let device = self.device.clone();
        device.bind()?;
        let (_least, greatest) = device.checked("stream", get_priority_range())?;
        let stream = device.checked("stream", device.context.new_stream_with_priority(greatest))?;
        let beside = Self::with(device, stream)?;
        Ok(Self { cancel, ..beside })
    }

    fn with(device: Arc<Device>, stream: Arc<CudaStream>) -> Result<Self> {
        let memory = Memory::new(device.clone(), stream.clone());
        Ok(Self {
            transfers: Transfers::new(&device, &memory)?,
            scratch: Scratch::new(&memory)?,
            scale: Scale::NONE,
            recording: None,
            cancel: CancelToken::new(),
            stream,
            memory,
            device,
        })
    }

    fn poll(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }

    fn multiprocessors(&self) -> Multiprocessors {
        self.device.card.multiprocessors()
    }

    /// Puts a launch into the stream. The modules of this folder hand over the addresses of tensors whose shapes they have
    /// compared, and of scratch space of the size that the kernel's description asks for.
    fn launch(&self, kernel: impl Fn(&Kernels) -> &Kernel, grid: Grid, arguments: &[Argument]) -> Result<()> {
        let kernel = kernel(&self.device.kernels);
        // SAFETY: see above. Memory is given back only after the driver has waited for what uses it.
        let answer = unsafe { kernel.launch(&self.stream, grid, arguments) };
        self.device.checked(kernel.name(), answer)
    }

    /// Bytes → the card, into memory that there is or else new memory.
    fn send(&self, bytes: &[u8], room: Option<Buffer>) -> Result<Buffer> {
        match room {
            Some(buffer) => self.transfers.send_into(bytes, buffer, &self.stream),
            None => self.transfers.send(bytes, &self.memory, &self.stream),
        }
    }

    fn taps(&mut self, inputs: usize, outputs: usize) -> Result<Arc<Table>> {
        let Self {
            scratch,
            transfers,
            stream,
            memory,
            ..
        } = self;
        scratch.taps(inputs, outputs, |bytes| transfers.send(bytes, memory, stream))
    }

    fn loss_scale(&self) -> Pointer {
        self.scale.scale
    }

    fn overflow(&self) -> Pointer {
        self.scale.overflow
    }
}

/// The kernels of convolutions keep row and column in 16 bits each, one of them for the sign.
const MOST_ROWS: usize = 1 << 15;

impl Backend for Cuda {
    type Tensor = Tensor;
    type Filter = Filter;
    type Mask = Mask;

    fn name(&self) -> &'static str {
        "cuda"
    }

    fn device(&self) -> String {
        let Card {
            id,
            name,
            capability: (major, minor),
            bytes,
            ..
        } = &self.device.card;
        let gigabytes = *bytes as f64 / 1e9;
        format!("{name}, {gigabytes:.1} GB, compute capability {major}.{minor}, device {id}")
    }

    fn bytes_in_use(&self) -> usize {
        self.memory.in_use()
    }

    fn planned_in_use(&self) -> usize {
        self.bytes_in_use()
    }

    fn available_bytes(&self) -> Option<usize> {
        let (free, total) = self.device.context.mem_get_info().ok()?;
        Some(free.saturating_sub((total / 32).min(UNPLANNED)))
    }

    fn tensor(&mut self, shape: Shape) -> Result<Tensor> {
        self.room(&[shape])
    }

    fn tensor_bytes(shape: Shape) -> usize {
        Layout::of(shape).bytes()
    }

    fn room(&mut self, shapes: &[Shape]) -> Result<Tensor> {
        let layouts = shapes.iter().map(|&shape| Layout::of(shape));
        let most = layouts.clone().map(|layout| layout.stored()).max().unwrap_or(0);
        let bytes = layouts.map(|layout| layout.bytes()).max().unwrap_or(0);
        countable(most, bytes)?;
        Ok(Tensor {
            layout: Layout::of(shapes.first().copied().unwrap_or_default()),
            buffer: self.memory.zeros(bytes)?,
            exponent: Exponent::new(ANY.into()),
        })
    }

    fn scratch_bytes(&self, work: &[Work]) -> usize {
        Needs::of(work, self.multiprocessors()).bytes()
    }

    fn standing_bytes() -> usize {
        scratch::STANDING
    }

    fn prepare(&mut self, work: &[Work]) -> Result<()> {
        let needs = Needs::of(work, self.multiprocessors());
        let Self {
            scratch,
            transfers,
            stream,
            memory,
            ..
        } = self;
        transfers.prepare(needs.frame, needs.painted)?;
        scratch.prepare(&needs, |bytes| transfers.send(bytes, memory, stream))
    }

    fn shape(&self, tensor: &Tensor) -> Shape {
        tensor.layout.shape
    }

    fn reshape(&self, tensor: &mut Tensor, shape: Shape) {
        let layout = Layout::of(shape);
        assert!(layout.bytes() <= tensor.buffer.bytes());
        tensor.layout = layout;
    }

    fn mask(&mut self, shape: Shape) -> Result<Mask> {
        // Where pooling follows there is no tensor of this shape, but the kernels count its elements all the same.
        let bytes = mask_bytes(shape);
        countable(Layout::forced(shape).stored(), bytes)?;
        if shape.height.max(shape.width) >= MOST_ROWS {
            return Err(Error::OutOfMemory { bytes });
        }
        Ok(Mask {
            shape,
            buffer: self.memory.zeros(bytes)?,
        })
    }

    fn mask_bytes(shape: Shape) -> usize {
        mask_bytes(shape)
    }

    fn filter(&mut self, data: &FilterData) -> Result<Filter> {
        self.poll()?;
        let picture = !Layout::of(Shape::new(data.inputs, 1, 1)).blocked;
        let send = |bytes: &[u8], memory: &Memory| self.transfers.send(bytes, memory, &self.stream);
        Filter::new(&self.device.filters, data, picture, &self.memory, send)
    }

    fn filter_bytes(outputs: usize, inputs: usize) -> usize {
        let picture = !Layout::of(Shape::new(inputs, 1, 1)).blocked;
        filter::bytes(outputs, inputs, picture)
    }

    fn upload(&mut self, data: &[f32], tensor: &mut Tensor) -> Result<()> {
        assert_eq!(data.len(), tensor.layout.shape.elements());
        if tensor.layout.blocked {
            let lines = self.scratch.lines(data.len())?;
            self.transfers.upload(data, lines, &self.stream)?;
            let from = lines.pointer();
            let (shape, to) = (tensor.layout.shape, tensor.pointer());
            network::block_floats(self, from, shape, to, 0, Pointer::NULL, Pointer::NULL)?;
        } else {
            self.transfers.upload(data, &tensor.buffer, &self.stream)?;
        }
        self.set_exponent(tensor, 0);
        Ok(())
    }

    fn download(&mut self, tensor: &Tensor, data: &mut [f32]) -> Result<()> {
        assert_eq!(data.len(), tensor.layout.shape.elements());
        if !tensor.layout.blocked {
            return self.transfers.download(&tensor.buffer, data, &self.stream);
        }
        let exponent = self.exponent(tensor);
        let lines = self.scratch.lines(data.len())?.pointer();
        let (from, shape) = (tensor.pointer(), tensor.layout.shape);
        network::unblock_floats(self, from, shape, lines, -exponent)?;
        self.transfers
            .download(self.scratch.lines(0)?, data, &self.stream)
    }

    fn copy(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        assert_eq!(from.layout, to.layout);
        self.memory.copy(&from.buffer, &to.buffer, from.layout.bytes())?;
        let exponent = self.exponent_or_any(from);
        self.set_exponent(to, exponent);
        Ok(())
    }

    fn fill(&mut self, value: f32, tensor: &mut Tensor) -> Result<()> {
        vectors::fill(self, value, tensor)
    }

    fn import(&mut self, frame: PictureView, border: usize, picture: &mut Tensor) -> Result<()> {
        pictures::import(self, frame, border, picture)
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
        pictures::export(self, (picture, content), border, mix, frame, out)
    }

    fn resize(&mut self, from: &Tensor, border: usize, to: &mut Tensor) -> Result<()> {
        pictures::resize(self, from, border, to)
    }

    fn mirror_border(&mut self, picture: &mut Tensor, border: usize) -> Result<()> {
        pictures::mirror_border(self, picture, border)
    }

    fn colour_statistics(&mut self, picture: &Tensor) -> Result<ColourStatistics> {
        pictures::colour_statistics(self, picture)
    }

    fn colour_map(&mut self, from: &Tensor, map: &ColourMap, to: &mut Tensor) -> Result<()> {
        pictures::colour_map(self, from, map, to)
    }

    fn blend(&mut self, other: &Tensor, share: &Tensor, to: &mut Tensor) -> Result<()> {
        vectors::blend(self, other, share, to)
    }

    fn warp(
        &mut self,
        from: &Tensor,
        flow: &Tensor,
        interpolation: Interpolation,
        to: &mut Tensor,
    ) -> Result<()> {
        pictures::warp(self, from, flow, interpolation, to)
    }

    fn centre(&mut self, from: &Tensor, mean: [f32; 3], to: &mut Tensor) -> Result<()> {
        network::centre(self, from, mean, to)
    }

    fn conv_relu(&mut self, from: &Tensor, filter: &Filter, to: &mut Tensor, mask: &mut Mask) -> Result<()> {
        network::forward(self, from, filter, None, to, mask)
    }

    fn conv_relu_backward(
        &mut self,
        to: &Tensor,
        mask: &Mask,
        filter: &Filter,
        from: &mut Tensor,
    ) -> Result<()> {
        network::backward(self, to, None, mask, filter, from)
    }

    fn conv_relu_pool(
        &mut self,
        from: &Tensor,
        filter: &Filter,
        kind: Pooling,
        to: &mut Tensor,
        mask: &mut Mask,
    ) -> Result<()> {
        network::forward(self, from, filter, Some(kind), to, mask)
    }

    fn conv_relu_pool_backward(
        &mut self,
        to: &Tensor,
        kind: Pooling,
        mask: &Mask,
        filter: &Filter,
        from: &mut Tensor,
    ) -> Result<()> {
        network::backward(self, to, Some(kind), mask, filter, from)
    }

    fn pool(&mut self, from: &Tensor, kind: Pooling, to: &mut Tensor, mask: &mut Mask) -> Result<()> {
        network::pool(self, from, kind, to, mask)
    }

    fn pool_backward(&mut self, to: &Tensor, kind: Pooling, mask: &Mask, from: &mut Tensor) -> Result<()> {
        network::pool_backward(self, to, kind, mask, from)
    }

    fn squared_norm(&mut self, a: &Tensor, sum: Slot<Tensor>) -> Result<()> {
        losses::squared_norm(self, a, sum)
    }

    fn squared_error(
        &mut self,
        a: &Tensor,
        target: &Tensor,
        coefficient: Scalar<Tensor>,
        gradient: &mut Tensor,
        sum: Slot<Tensor>,
    ) -> Result<()> {
        losses::squared_error(self, a, target, coefficient, gradient, sum)
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
        losses::weighted_squared_error(self, a, target, weight, coefficient, gradient, sum)
    }

    fn gram(&mut self, a: &Tensor, scale: f32, gram: &mut Tensor) -> Result<()> {
        losses::gram(self, a, scale, gram)
    }

    fn difference(
        &mut self,
        g: &Tensor,
        target: &Tensor,
        difference: &mut Tensor,
        sum: Slot<Tensor>,
    ) -> Result<()> {
        losses::difference(self, g, target, difference, sum)
    }

    fn gram_backward(
        &mut self,
        a: &Tensor,
        difference: &Tensor,
        coefficient: Scalar<Tensor>,
        gradient: &mut Tensor,
    ) -> Result<()> {
        losses::gram_backward(self, a, difference, coefficient, gradient)
    }

    fn total_variation(
        &mut self,
        x: &Tensor,
        coefficient: Scalar<Tensor>,
        gradient: &mut Tensor,
        sum: Slot<Tensor>,
    ) -> Result<()> {
        losses::total_variation(self, x, coefficient, gradient, sum)
    }

    fn square(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        vectors::square(self, from, to)
    }

    fn blur(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        vectors::blur(self, from, to)
    }

    fn axpy(&mut self, factor: f32, x: &Tensor, to: &mut Tensor) -> Result<()> {
        vectors::axpy(self, factor, x, to)
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
        vectors::adam(self, x, gradient, squared, m, v, knobs, at)
    }

    fn sgd(
        &mut self,
        x: &mut Tensor,
        gradient: &Tensor,
        velocity: &mut Tensor,
        rate: Scalar<Tensor>,
        momentum: Scalar<Tensor>,
    ) -> Result<()> {
        vectors::sgd(self, x, gradient, velocity, rate, momentum)
    }

    fn new_capture(&mut self) -> Result<Capture> {
        capture::place(self)
    }

    fn capture_bytes() -> usize {
        capture::STATE_BYTES
    }

    fn capture<R>(&mut self, capture: &mut Capture, record: R) -> Result<()>
    where
        R: FnMut(&mut Self) -> Result<()> + Send,
    {
        capture::perform(self, capture, record)
    }
}

/// What is left to the driver, for steps that are written down and for whole pages, when a plan is held against the free
/// memory.
const UNPLANNED: usize = 16 << 20;

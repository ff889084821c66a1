// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tensors, masks and filters in the card's memory.

use std::sync::Arc;

use super::allocator::Allocator;
use super::capture::STATE_BYTES;
use super::exponents::{ANY, Exponent};
use super::kernels::{Grid, arguments, countable};
use super::layout::{self, Layout};
use super::pointer::Pointer;
use super::probe::Multiprocessors;
use super::scratch::Needs;
use super::{Cuda, Filter, Mask, Tensor, filter, network};
use crate::backend::{Error, FilterData, Memory, Result, ScratchUse, Shape, Sizes};

/// The kernels of convolutions keep row and column in 16 bits each, one of them for the sign.
const MOST_ROWS: usize = 1 << 15;

/// What is left to the driver, for steps that are written down and for whole pages, when a plan is held against the free
/// memory.
const UNPLANNED: usize = 16 << 20;

/// What a card with such multiprocessors takes.
struct Bytes(Multiprocessors);

impl Sizes for Bytes {
    fn tensor(&self, shape: Shape) -> usize {
        Layout::of(shape).bytes()
    }

    fn mask(&self, shape: Shape) -> usize {
        layout::mask_bytes(shape)
    }

    fn filter(&self, outputs: usize, inputs: usize) -> usize {
        let picture = !Layout::of(Shape::new(inputs, 1, 1)).blocked;
        filter::bytes(outputs, inputs, picture)
    }

    fn capture(&self) -> usize {
        STATE_BYTES
    }

    fn scratch(&self, uses: &[ScratchUse]) -> usize {
        Needs::of(uses, self.0).bytes()
    }
}

impl Memory for Cuda {
    type Tensor = Tensor;
    type Filter = Filter;
    type Mask = Mask;

    fn sizes(&self) -> Arc<dyn Sizes> {
        Arc::new(Bytes(self.multiprocessors()))
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

    fn tensor_for(&mut self, shapes: &[Shape]) -> Result<Tensor> {
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

    fn reserve_scratch(&mut self, uses: &[ScratchUse]) -> Result<()> {
        let needs = Needs::of(uses, self.multiprocessors());
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

    fn can_hold(&self, tensor: &Tensor, shape: Shape) -> bool {
        Layout::of(shape).bytes() <= tensor.buffer.bytes()
    }

    fn reshape(&self, tensor: &mut Tensor, shape: Shape) {
        assert!(self.can_hold(tensor, shape));
        tensor.layout = Layout::of(shape);
    }

    fn mask(&mut self, shape: Shape) -> Result<Mask> {
        // Where pooling follows there is no tensor of this shape, but the kernels count its elements all the same.
        let bytes = layout::mask_bytes(shape);
        countable(Layout::forced(shape).stored(), bytes)?;
        if shape.height.max(shape.width) >= MOST_ROWS {
            return Err(Error::OutOfMemory { bytes });
        }
        Ok(Mask {
            shape,
            buffer: self.memory.zeros(bytes)?,
        })
    }

    fn filter(&mut self, data: &FilterData) -> Result<Filter> {
        self.poll()?;
        let picture = !Layout::of(Shape::new(data.inputs, 1, 1)).blocked;
        let send = |bytes: &[u8], memory: &Allocator| self.transfers.send(bytes, memory, &self.stream);
        Filter::new(data, picture, &self.memory, send)
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
        let shape = tensor.layout.shape;
        if value == 0.0 {
            self.memory.clear(&tensor.buffer, tensor.layout.bytes())?;
            self.set_nothing(tensor);
            return Ok(());
        }
        if tensor.layout.blocked {
            let grid = Grid::over(tensor.layout.stored() / 8);
            let arguments = arguments![tensor.pointer(), value, shape.pixels(), shape.channels];
            self.launch(|k| &k.fill_f16, grid, arguments)?;
        } else {
            let count = tensor.layout.stored();
            self.launch(
                |k| &k.fill_f32,
                Grid::over(count),
                arguments![tensor.pointer(), value, count],
            )?;
        }
        self.set_exponent(tensor, 0);
        Ok(())
    }
}

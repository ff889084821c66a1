// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::buffer::Buffer;
use super::layout::Layout;
use super::{Cpu, Filter, Mask, Tensor, available, vector};
use crate::backend::{FilterData, Memory, Result, Shape, Sizes};

/// What weights and scratch space take is not known beforehand: it depends on which transformed weights are kept.
struct Bytes;

impl Sizes for Bytes {
    fn tensor(&self, shape: Shape) -> usize {
        Layout::of(shape).stored() * size_of::<f32>()
    }

    fn mask(&self, shape: Shape) -> usize {
        Layout::of(shape).blocks() * shape.pixels() * size_of::<u16>()
    }
}

impl Memory for Cpu {
    type Tensor = Tensor;
    type Filter = Filter;
    type Mask = Mask;

    fn sizes(&self) -> Arc<dyn Sizes> {
        Arc::new(Bytes)
    }

    fn bytes_in_use(&self) -> usize {
        self.in_use.load(Ordering::Relaxed) + self.lines.capacity() * size_of::<f32>()
    }

    fn available_bytes(&self) -> Option<usize> {
        available::available_bytes()
    }

    fn tensor_for(&mut self, shapes: &[Shape]) -> Result<Tensor> {
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

    fn can_hold(&self, tensor: &Tensor, shape: Shape) -> bool {
        Layout::of(shape).stored() <= tensor.values.len()
    }

    fn reshape(&self, tensor: &mut Tensor, shape: Shape) {
        assert!(self.can_hold(tensor, shape));
        tensor.layout = Layout::of(shape);
    }

    fn mask(&mut self, shape: Shape) -> Result<Mask> {
        Ok(Mask {
            shape,
            bits: Buffer::zeros(Layout::of(shape).blocks() * shape.pixels(), &self.in_use)?,
            winners: Vec::new(),
        })
    }

    fn filter(&mut self, data: &FilterData) -> Result<Filter> {
        self.finished()?;
        let (instructions, in_use) = (self.instructions, &self.in_use);
        let filter = self
            .workers
            .run(&self.cancel, || Filter::new(data, instructions, in_use))??;
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
}

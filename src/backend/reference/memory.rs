// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::Arc;

use super::{Mask, Reference, Tensor};
use crate::backend::{FilterData, Memory, Result, Shape, Sizes};

struct Bytes;

impl Sizes for Bytes {
    fn tensor(&self, shape: Shape) -> usize {
        shape.elements() * size_of::<f64>()
    }

    fn mask(&self, shape: Shape) -> usize {
        2 * shape.elements()
    }
}

impl Memory for Reference {
    type Tensor = Tensor;
    type Filter = FilterData;
    type Mask = Mask;

    fn sizes(&self) -> Arc<dyn Sizes> {
        Arc::new(Bytes)
    }

    fn bytes_in_use(&self) -> usize {
        self.bytes
    }

    fn available_bytes(&self) -> Option<usize> {
        None
    }

    fn tensor_for(&mut self, shapes: &[Shape]) -> Result<Tensor> {
        self.bytes += shapes.iter().map(|&shape| Bytes.tensor(shape)).max().unwrap_or(0);
        let mut tensor = Tensor::default();
        self.reshape(&mut tensor, shapes.first().copied().unwrap_or_default());
        Ok(tensor)
    }

    fn shape(&self, tensor: &Tensor) -> Shape {
        tensor.shape
    }

    /// Its memory grows.
    fn can_hold(&self, _tensor: &Tensor, _shape: Shape) -> bool {
        true
    }

    fn reshape(&self, tensor: &mut Tensor, shape: Shape) {
        tensor.shape = shape;
        tensor.values.resize(shape.elements(), 0.0);
    }

    fn mask(&mut self, shape: Shape) -> Result<Mask> {
        self.bytes += Bytes.mask(shape);
        Ok(Mask {
            shape,
            positive: vec![0; shape.elements()],
            winners: vec![0; shape.elements()],
        })
    }

    fn filter(&mut self, data: &FilterData) -> Result<FilterData> {
        Ok(data.clone())
    }

    fn upload(&mut self, data: &[f32], tensor: &mut Tensor) -> Result<()> {
        assert_eq!(data.len(), tensor.values.len());
        tensor.values = data.iter().map(|&value| f64::from(value)).collect();
        Ok(())
    }

    fn download(&mut self, tensor: &Tensor, data: &mut [f32]) -> Result<()> {
        assert_eq!(data.len(), tensor.values.len());
        for (to, &from) in data.iter_mut().zip(&tensor.values) {
            *to = from as f32;
        }
        Ok(())
    }

    fn copy(&mut self, from: &Tensor, to: &mut Tensor) -> Result<()> {
        to.values.copy_from_slice(&from.values);
        Ok(())
    }

    fn fill(&mut self, value: f32, tensor: &mut Tensor) -> Result<()> {
        tensor.values.fill(f64::from(value));
        Ok(())
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

use super::{Result, Shape};

/// The weights of one 3×3 convolution, stride 1, padding 1.
#[derive(Clone, Debug)]
pub struct FilterData {
    /// O.
    pub outputs: usize,
    /// I.
    pub inputs: usize,
    /// [O, I, 3, 3].
    pub weights: Vec<f32>,
    /// [O].
    pub bias: Vec<f32>,
}

/// Operations that take memory beyond their operands, and the shapes that decide how much, see
/// [`Memory::scratch_bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A convolution from a tensor of shape `from`, and the way back.
    Convolution { from: Shape, outputs: usize },
    /// The Gram matrix of a tensor of this shape, and the way back.
    Gram(Shape),
    /// A frame of `width` × `height` into a picture whose inside has this shape.
    Import {
        width: usize,
        height: usize,
        inside: Shape,
    },
    /// A picture whose inside has this shape laid onto a frame of `width` × `height`, which guides it or not.
    Export {
        width: usize,
        height: usize,
        inside: Shape,
        guided: bool,
    },
    /// A picture whose inside has the shape `from` resampled to another.
    Resize { from: Shape, to: Shape },
    /// The statistics of a picture's colours.
    Colours,
}

/// Tensors and what else operations work on, in the memory of a backend.
pub trait Memory: Send {
    type Tensor: Send + Sync;

    /// The weights of a convolution, laid out as the backend likes them.
    type Filter: Send + Sync;

    /// What backward needs to know of forward: a bit per unit of a ReLU, the winner of a max-pooling window.
    type Mask: Send + Sync;

    /// Bytes held by living tensors, masks, filters and scratch space.
    fn bytes_in_use(&self) -> usize;

    /// Those of them that [`tensor_bytes`](Self::tensor_bytes), [`filter_bytes`](Self::filter_bytes),
    /// [`scratch_bytes`](Self::scratch_bytes) and their like foretell; 0 from a backend that does not know them all.
    fn planned_in_use(&self) -> usize {
        0
    }

    /// Bytes that the backend can still give, as far as it knows.
    fn available_bytes(&self) -> Option<usize>;

    /// A tensor of zeros.
    fn tensor(&mut self, shape: Shape) -> Result<Self::Tensor>;

    /// Bytes that a tensor of this shape takes.
    fn tensor_bytes(shape: Shape) -> usize;

    /// A tensor that can hold each of these shapes in turn, see [`reshape`](Self::reshape). It has the first of them.
    fn room(&mut self, shapes: &[Shape]) -> Result<Self::Tensor>;

    /// Bytes that the backend holds beside tensors, masks and filters once it is [prepared](Self::prepare) for this work.
    /// 0 from a backend that does not know it beforehand.
    fn scratch_bytes(&self, _work: &[Work]) -> usize {
        0
    }

    /// Those that it holds from the beginning.
    fn standing_bytes() -> usize {
        0
    }

    /// Takes memory for just this work, one operation after the other, and gives back what earlier work took.
    fn prepare(&mut self, _work: &[Work]) -> Result<()> {
        Ok(())
    }

    fn shape(&self, tensor: &Self::Tensor) -> Shape;

    /// Lets the memory of `tensor` hold another shape, of which [`tensor_bytes`](Self::tensor_bytes) says no more than of
    /// one that it was made for; what it then contains is unspecified.
    fn reshape(&self, tensor: &mut Self::Tensor, shape: Shape);

    fn mask(&mut self, shape: Shape) -> Result<Self::Mask>;

    /// Bytes that a mask of this shape takes.
    fn mask_bytes(shape: Shape) -> usize;

    fn filter(&mut self, data: &FilterData) -> Result<Self::Filter>;

    /// Bytes that the filter of a convolution takes; 0 from a backend that does not know it beforehand.
    fn filter_bytes(_outputs: usize, _inputs: usize) -> usize {
        0
    }

    /// Fills `tensor` from [C, H, W] in row-major order.
    fn upload(&mut self, data: &[f32], tensor: &mut Self::Tensor) -> Result<()>;

    /// The inverse of `upload`; waits for the backend.
    fn download(&mut self, tensor: &Self::Tensor, data: &mut [f32]) -> Result<()>;

    fn copy(&mut self, from: &Self::Tensor, to: &mut Self::Tensor) -> Result<()>;

    fn fill(&mut self, value: f32, tensor: &mut Self::Tensor) -> Result<()>;
}

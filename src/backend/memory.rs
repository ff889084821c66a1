// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::Arc;

use super::{Result, Shape};
use crate::picture::Format;

/// The weights of one 3×3 convolution, stride 1, padding 1.
#[derive(Clone, Debug)]
pub struct FilterData {
    /// Output channels, O.
    pub outputs: usize,
    /// Input channels, I.
    pub inputs: usize,
    /// `[O, I, 3, 3]`.
    pub weights: Vec<f32>,
    /// `[O]`.
    pub bias: Vec<f32>,
}

/// Operations that take memory beyond their operands, and the shapes that decide how much, see
/// [`Sizes::scratch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScratchUse {
    /// A convolution from a tensor of shape `from`, and the way back.
    Convolution { from: Shape, outputs: usize },
    /// The moments of a tensor of this shape, and the way back.
    Gram(Shape),
    /// A frame resampled to `whole`, into a picture whose inside, all of that or a part, has this shape.
    Import {
        frame: Format,
        whole: (usize, usize),
        inside: Shape,
    },
    /// A picture whose inside has this shape laid onto a frame, which guides it or not.
    Export {
        frame: Format,
        inside: Shape,
        guided: bool,
    },
    /// A picture whose inside has the shape `from` resampled to another.
    Resize { from: Shape, to: Shape },
    /// The statistics of a picture's colours.
    Colours,
}

/// How many bytes a backend takes for what it is asked for, known before anything is allocated.
pub trait Sizes: Send + Sync {
    fn tensor(&self, shape: Shape) -> usize;

    fn mask(&self, shape: Shape) -> usize;

    /// The weights of a convolution; 0 from a backend that does not know it beforehand, as in the other methods.
    fn filter(&self, _outputs: usize, _inputs: usize) -> usize {
        0
    }

    /// The place of a captured step, see [`Control::new_capture`](super::Control::new_capture).
    fn capture(&self) -> usize {
        0
    }

    /// What the backend holds beside all these once there is [scratch space](Memory::reserve_scratch) for just `uses`.
    fn scratch(&self, _uses: &[ScratchUse]) -> usize {
        0
    }
}

/// Tensors and what else operations work on, in the memory of a backend.
pub trait Memory: Send {
    type Tensor: Send + Sync;
    /// The weights of a convolution, laid out as the backend likes them.
    type Filter: Send + Sync;
    /// What backward needs to know of forward: a bit per unit of a ReLU, the winner of a max-pooling window.
    type Mask: Send + Sync;

    /// What this backend takes for tensors and the like.
    fn sizes(&self) -> Arc<dyn Sizes>;

    /// Bytes held by living tensors, masks, filters and scratch space.
    fn bytes_in_use(&self) -> usize;

    /// The part of [`bytes_in_use`](Self::bytes_in_use) that [`sizes`](Self::sizes) predicts; 0 from a backend that cannot
    /// predict all of it.
    fn planned_in_use(&self) -> usize {
        0
    }

    /// Bytes that the backend can still give, as far as it knows.
    fn available_bytes(&self) -> Option<usize>;

    /// A tensor of zeros.
    fn tensor(&mut self, shape: Shape) -> Result<Self::Tensor> {
        self.tensor_for(&[shape])
    }

    /// A tensor that can hold each of these shapes in turn, see [`reshape`](Self::reshape). It has the first of them.
    fn tensor_for(&mut self, shapes: &[Shape]) -> Result<Self::Tensor>;

    fn shape(&self, tensor: &Self::Tensor) -> Shape;

    /// Whether the memory of `tensor` is large enough for another shape.
    fn can_hold(&self, tensor: &Self::Tensor, shape: Shape) -> bool;

    /// Lets the memory of `tensor` hold another shape; what it then contains is unspecified.
    ///
    /// # Panics
    /// If it [cannot](Self::can_hold).
    fn reshape(&self, tensor: &mut Self::Tensor, shape: Shape);

    fn mask(&mut self, shape: Shape) -> Result<Self::Mask>;

    fn filter(&mut self, data: &FilterData) -> Result<Self::Filter>;

    /// Takes scratch space for just these uses, one after the other, and gives back what earlier ones took.
    fn reserve_scratch(&mut self, _uses: &[ScratchUse]) -> Result<()> {
        Ok(())
    }

    /// Fills `tensor` from [C, H, W] in row-major order.
    fn upload(&mut self, data: &[f32], tensor: &mut Self::Tensor) -> Result<()>;

    /// The inverse of `upload`; waits for the backend.
    fn download(&mut self, tensor: &Self::Tensor, data: &mut [f32]) -> Result<()>;

    fn copy(&mut self, from: &Self::Tensor, to: &mut Self::Tensor) -> Result<()>;

    fn fill(&mut self, value: f32, tensor: &mut Self::Tensor) -> Result<()>;
}

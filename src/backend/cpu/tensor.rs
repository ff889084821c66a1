// SPDX-License-Identifier: MIT OR Apache-2.0

//! What operations work on, and how convolutions see it.

use super::buffer::Buffer;
use super::conv::{self, Bits, Blocked, Planar, Rectified, Written};
use super::layout::Layout;
use crate::backend::{Scalar, Shape, Slot};

/// Numbers in one of two orders, see `layout.rs`.
pub struct Tensor {
    pub(super) layout: Layout,
    pub(super) values: Buffer<f32>,
}

impl Tensor {
    pub(super) fn values(&self) -> &[f32] {
        &self.values[..self.layout.stored()]
    }

    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.layout.stored()]
    }
}

/// What backward needs of forward.
pub struct Mask {
    pub(super) shape: Shape,
    /// A bit for each unit whose gradient goes on: [C / BLOCK, H, W] words.
    pub(super) bits: Buffer<u16>,
    /// Where pooling is no part of a convolution: the winner of each window, as the pooled tensor lies.
    pub(super) winners: Vec<u8>,
}

pub(super) fn blocked(tensor: &Tensor) -> Blocked {
    Blocked {
        values: tensor.values().as_ptr(),
        height: tensor.layout.shape.height,
        width: tensor.layout.shape.width,
    }
}

pub(super) fn planar(tensor: &Tensor) -> Planar {
    Planar {
        values: tensor.values().as_ptr(),
        layout: tensor.layout,
    }
}

pub(super) fn written(tensor: &mut Tensor) -> Written {
    Written {
        layout: tensor.layout,
        values: tensor.values_mut().as_mut_ptr(),
    }
}

pub(super) fn rectified(filter: &conv::Filter, to: &mut Tensor, mask: &mut Mask) -> Rectified {
    Rectified {
        to: written(to),
        bits: Bits {
            words: mask.bits.as_mut_ptr(),
            height: mask.shape.height,
            width: mask.shape.width,
        },
        bias: filter.bias.as_ptr(),
    }
}

pub(super) fn scalar(scalar: &Scalar<Tensor>) -> f32 {
    scalar.of.values()[scalar.at]
}

pub(super) fn store(slot: Slot<Tensor>, sum: f64) {
    slot.of.values_mut()[slot.at] = sum as f32;
}

// SPDX-License-Identifier: MIT OR Apache-2.0

use crate::backend::Shape;

/// Channels of a group that a kernel takes at once: 16 bytes of fp16.
const GROUP: usize = 8;
/// Channels of a chunk of a pack of weights.
pub const CHUNK: usize = 32;
/// Tensors of at most this many channels are planar.
const MOST_PLANAR: usize = 4;

/// How a tensor lies in the card's memory.
///
/// Pictures, vectors and matrices are planar: f32, [C, H, W]. Activations and their gradients are blocked: fp16,
/// [H, W, L], with L channels rounded up to whole groups; lanes beyond C are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub shape: Shape,
    pub blocked: bool,
}

impl Layout {
    pub fn of(shape: Shape) -> Self {
        Self {
            shape,
            blocked: shape.channels > MOST_PLANAR,
        }
    }

    /// The same shape, blocked however few channels it has.
    pub fn forced(shape: Shape) -> Self {
        Self { shape, blocked: true }
    }

    pub fn lanes(&self) -> usize {
        lanes(self.shape.channels)
    }

    /// Numbers that are stored, those of empty lanes included.
    pub fn stored(&self) -> usize {
        if self.blocked {
            self.shape.pixels() * self.lanes()
        } else {
            self.shape.elements()
        }
    }

    pub fn bytes(&self) -> usize {
        self.stored() * if self.blocked { 2 } else { 4 }
    }
}

/// `channels` rounded up to whole groups.
pub fn lanes(channels: usize) -> usize {
    channels.next_multiple_of(GROUP)
}

/// Bytes of a mask: a bit for each lane of a convolution, or two for each of pooling.
pub fn mask_bytes(shape: Shape) -> usize {
    2 * shape.pixels() * lanes(shape.channels) / GROUP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_planar_and_activations_blocked() {
        let picture = Layout::of(Shape::new(3, 5, 7));
        assert_eq!((picture.blocked, picture.bytes()), (false, 3 * 5 * 7 * 4));
        let activations = Layout::of(Shape::new(9, 5, 7));
        assert_eq!((activations.blocked, activations.bytes()), (true, 16 * 5 * 7 * 2));
        assert_eq!(mask_bytes(Shape::new(9, 5, 7)), 2 * 35 * 2);
    }
}

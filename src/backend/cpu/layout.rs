// SPDX-License-Identifier: MIT OR Apache-2.0

//! How the numbers of a tensor lie in memory.

use super::simd::BLOCK;
use crate::backend::Shape;

/// Pictures and matrices have few channels and lie as [C, H, W]. Activations lie as [C / BLOCK, H, W, BLOCK]: the channels
/// of a block are neighbours, so that a pixel of a block is one line of the cache and, of channels that are no
/// multiple of BLOCK, the missing ones are zeros. Both are planes of pixels of some lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    pub shape: Shape,
    /// 1 or BLOCK.
    pub lanes: usize,
}

/// The most channels that lie as [C, H, W].
const MOST_PLANAR: usize = 4;

impl Layout {
    pub fn of(shape: Shape) -> Self {
        let lanes = if shape.channels <= MOST_PLANAR { 1 } else { BLOCK };
        Self { shape, lanes }
    }

    pub fn planes(&self) -> usize {
        self.shape.channels.div_ceil(self.lanes)
    }

    /// Numbers in memory, the zeros that fill the last block included.
    pub fn stored(&self) -> usize {
        self.planes() * self.shape.pixels() * self.lanes
    }

    /// Blocks of channels, whatever the layout.
    pub fn blocks(&self) -> usize {
        self.shape.channels.div_ceil(BLOCK)
    }

    /// Sets all numbers but the zeros that fill the last block.
    pub fn fill(&self, value: f32, stored: &mut [f32]) {
        stored.fill(value);
        let last = (self.shape.channels - 1) % self.lanes + 1;
        let plane = stored.len() - self.shape.pixels() * self.lanes;
        for pixel in stored[plane..].chunks_exact_mut(self.lanes) {
            pixel[last..].fill(0.0);
        }
    }

    /// Copies from [C, H, W] order.
    pub fn write(&self, data: &[f32], stored: &mut [f32]) {
        assert_eq!(data.len(), self.shape.elements());
        if self.lanes == 1 {
            return stored.copy_from_slice(data);
        }
        let pixels = self.shape.pixels();
        for (plane, stored) in stored.chunks_exact_mut(pixels * self.lanes).enumerate() {
            stored.fill(0.0);
            for lane in 0..self.lanes.min(self.shape.channels - plane * self.lanes) {
                let channel = &data[(plane * self.lanes + lane) * pixels..][..pixels];
                for (to, from) in stored[lane..].iter_mut().step_by(self.lanes).zip(channel) {
                    *to = *from;
                }
            }
        }
    }

    /// Copies into [C, H, W] order.
    pub fn read(&self, stored: &[f32], data: &mut [f32]) {
        assert_eq!(data.len(), self.shape.elements());
        if self.lanes == 1 {
            return data.copy_from_slice(stored);
        }
        let pixels = self.shape.pixels();
        for (channel, data) in data.chunks_exact_mut(pixels).enumerate() {
            let (plane, lane) = (channel / self.lanes, channel % self.lanes);
            let plane = &stored[plane * pixels * self.lanes..][..pixels * self.lanes];
            for (to, from) in data.iter_mut().zip(plane[lane..].iter().step_by(self.lanes)) {
                *to = *from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_a_block_are_neighbours() {
        let layout = Layout::of(Shape::new(18, 1, 2));
        assert_eq!((layout.planes(), layout.stored()), (2, 64));
        let data: Vec<f32> = (0..36u8).map(f32::from).collect();
        let mut stored = vec![7.0; layout.stored()];
        layout.write(&data, &mut stored);
        // Channel 1 at pixel 0 and 1, channel 17 at pixel 1, and a channel that there is not.
        assert_eq!(
            (stored[1], stored[17], stored[32 + 17], stored[32 + 18]),
            (2.0, 3.0, 35.0, 0.0)
        );
        let mut back = vec![0.0; 36];
        layout.read(&stored, &mut back);
        assert_eq!(back, data);
    }
}

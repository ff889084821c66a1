// SPDX-License-Identifier: MIT OR Apache-2.0

/// A picture of 8-bit RGB, gamma-encoded as video is: bytes in [H, W, 3] order, no padding between rows.
///
/// This is all that a [`Stylizer`](super::Stylizer) knows of where frames come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Frame {
    /// A black picture of the given size in pixels.
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            rgb: vec![0; width * height * 3],
        }
    }

    /// Wraps bytes in [H, W, 3] order; `None` if their number is not `width · height · 3`.
    pub fn from_rgb(width: usize, height: usize, rgb: Vec<u8>) -> Option<Self> {
        (rgb.len() == width * height * 3).then_some(Self { width, height, rgb })
    }

    /// Makes this picture one of the given size, keeping its memory; what it shows is unspecified.
    pub fn resize(&mut self, width: usize, height: usize) {
        self.width = width;
        self.height = height;
        self.rgb.resize(width * height * 3, 0);
    }

    /// Makes this the same picture as `other`, keeping its memory.
    pub fn copy_from(&mut self, other: &Self) {
        self.resize(other.width, other.height);
        self.rgb.copy_from_slice(&other.rgb);
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    /// The bytes, [H, W, 3].
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The bytes, [H, W, 3].
    pub fn rgb_mut(&mut self) -> &mut [u8] {
        &mut self.rgb
    }

    /// Width and height of the picture without `share` of both on each side.
    pub fn cropped_size(&self, share: f64) -> (usize, usize) {
        let inside = |length: usize| length - 2 * margin(length, share);
        (inside(self.width), inside(self.height))
    }

    /// The picture without `share` of its width and height on each side.
    pub fn cropped(&self, share: f64) -> Self {
        let (left, top) = (margin(self.width, share), margin(self.height, share));
        let (width, height) = self.cropped_size(share);
        let rows = (top..top + height).map(|y| &self.rgb[(y * self.width + left) * 3..][..width * 3]);
        Self {
            width,
            height,
            rgb: rows.flatten().copied().collect(),
        }
    }
}

/// Pixels that `share` of a length leaves out on each side.
fn margin(length: usize, share: f64) -> usize {
    ((length as f64 * share).round() as usize).min((length - 1) / 2)
}

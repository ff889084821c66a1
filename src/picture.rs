// SPDX-License-Identifier: MIT OR Apache-2.0

//! RGB pictures as they come from files and video, and their luma. Everything else in this crate builds on this module; it
//! uses nothing of the others.

/// How much red, green and blue count in the luma (BT.601).
///
/// The only other place with these numbers is `kernels/picture.cu`.
pub const LUMA: [f64; 3] = [0.299, 0.587, 0.114];

/// [`LUMA`] as backends and the motion search use it.
pub const LUMA_F32: [f32; 3] = [LUMA[0] as f32, LUMA[1] as f32, LUMA[2] as f32];

/// The luma of a colour, on the scale of its values.
#[inline(always)]
pub fn luma([red, green, blue]: [f32; 3]) -> f32 {
    LUMA_F32[0] * red + LUMA_F32[1] * green + LUMA_F32[2] * blue
}

/// A picture that owns its pixels: RGB, 8 bits per channel, gamma-encoded as video is, in [H, W, 3] order without padding
/// between rows.
///
/// Functions that only look at a picture take a [`PictureView`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

/// A borrowed picture, laid out as a [`Picture`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureView<'a> {
    width: usize,
    height: usize,
    rgb: &'a [u8],
}

impl Picture {
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

    /// In pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// In pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// The bytes, [H, W, 3].
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The bytes, [H, W, 3].
    pub fn rgb_mut(&mut self) -> &mut [u8] {
        &mut self.rgb
    }

    /// The picture, borrowed.
    pub fn view(&self) -> PictureView<'_> {
        PictureView {
            width: self.width,
            height: self.height,
            rgb: &self.rgb,
        }
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

impl<'a> PictureView<'a> {
    /// Wraps bytes in [H, W, 3] order; `None` if their number is not `width · height · 3`.
    pub fn from_rgb(width: usize, height: usize, rgb: &'a [u8]) -> Option<Self> {
        (rgb.len() == width * height * 3).then_some(Self { width, height, rgb })
    }

    /// In pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// In pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// The bytes, [H, W, 3].
    pub fn rgb(&self) -> &'a [u8] {
        self.rgb
    }
}

impl<'a> From<&'a Picture> for PictureView<'a> {
    fn from(picture: &'a Picture) -> Self {
        picture.view()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_do_not_match_a_size_are_no_picture() {
        for (length, is_one) in [(17, false), (18, true), (19, false)] {
            let bytes = vec![0; length];
            assert_eq!(PictureView::from_rgb(3, 2, &bytes).is_some(), is_one);
            assert_eq!(Picture::from_rgb(3, 2, bytes).is_some(), is_one);
        }
    }

    #[test]
    fn white_is_as_bright_as_its_channels() {
        assert!((luma([1.0; 3]) - 1.0).abs() < 1e-6);
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! RGB pictures as they come from files and video, of 8 or 16 bits per channel, and their luma. Everything else in this crate builds on this module; it
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

/// Bits of a channel of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    #[default]
    Eight,
    Sixteen,
}

impl Depth {
    /// Bytes of a sample.
    pub fn bytes(self) -> usize {
        match self {
            Self::Eight => size_of::<u8>(),
            Self::Sixteen => size_of::<u16>(),
        }
    }

    /// The sample of the brightest light.
    pub fn white(self) -> f32 {
        match self {
            Self::Eight => u8::WHITE,
            Self::Sixteen => u16::WHITE,
        }
    }
}

/// Width and height of a pixel on the screen, as a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelAspect {
    pub width: u32,
    pub height: u32,
}

impl PixelAspect {
    pub const SQUARE: Self = Self { width: 1, height: 1 };

    /// `None` if either is 0.
    pub fn new(width: u32, height: u32) -> Option<Self> {
        (width > 0 && height > 0).then_some(Self { width, height })
    }
}

impl Default for PixelAspect {
    fn default() -> Self {
        Self::SQUARE
    }
}

/// What is known of a picture beside what it shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Format {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    pub depth: Depth,
    pub pixel_aspect: PixelAspect,
}

impl Format {
    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// How many numbers the pixels are.
    pub fn samples(&self) -> usize {
        self.width * self.height * 3
    }

    /// Bytes of the pixels.
    pub fn bytes(&self) -> usize {
        self.samples() * self.depth.bytes()
    }

    /// Width and height of what the screen shows, in units of the pixel's shorter side: no less than the picture's own.
    pub fn shown(&self) -> (f64, f64) {
        let PixelAspect { width, height } = self.pixel_aspect;
        let aspect = f64::from(width) / f64::from(height);
        (
            self.width as f64 * aspect.max(1.0),
            self.height as f64 / aspect.min(1.0),
        )
    }
}

impl From<(usize, usize)> for Format {
    /// Of 8 bits per channel and square pixels.
    fn from((width, height): (usize, usize)) -> Self {
        Self {
            width,
            height,
            ..Self::default()
        }
    }
}

/// A number that a picture is made of.
pub trait Sample: Copy + Default + Send + Sync {
    /// The sample of the brightest light; 0 is none.
    const WHITE: f32;

    fn value(self) -> f32;

    /// The nearest sample to a value from 0 to [`WHITE`](Self::WHITE), halves up.
    fn nearest(value: f32) -> Self;
}

impl Sample for u8 {
    const WHITE: f32 = 255.0;

    #[inline(always)]
    fn value(self) -> f32 {
        f32::from(self)
    }

    // Never negative, so that cutting off rounds down. Through i32, for which processors have an instruction.
    #[inline(always)]
    fn nearest(value: f32) -> Self {
        (value + 0.5) as i32 as Self
    }
}

impl Sample for u16 {
    const WHITE: f32 = 65535.0;

    #[inline(always)]
    fn value(self) -> f32 {
        f32::from(self)
    }

    #[inline(always)]
    fn nearest(value: f32) -> Self {
        (value + 0.5) as i32 as Self
    }
}

/// The numbers of a picture, [H, W, 3]. `E` and `S` hold those of 8 and of 16 bits: both are vectors, slices or mutable
/// slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Samples<E, S> {
    Eight(E),
    Sixteen(S),
}

/// A picture that owns its pixels: RGB, 8 or 16 bits per channel, gamma-encoded as video is, in [H, W, 3] order without
/// padding between rows.
///
/// Functions that only look at a picture take a [`PictureView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    format: Format,
    samples: Samples<Vec<u8>, Vec<u16>>,
}

/// A borrowed picture, laid out as a [`Picture`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureView<'a> {
    format: Format,
    samples: Samples<&'a [u8], &'a [u16]>,
}

impl Default for Picture {
    /// Without pixels.
    fn default() -> Self {
        Self::new(0, 0)
    }
}

impl Picture {
    /// A black picture of the given size in pixels, of 8 bits per channel.
    pub fn new(width: usize, height: usize) -> Self {
        Self::black((width, height).into())
    }

    /// A black picture.
    pub fn black(format: Format) -> Self {
        let samples = match format.depth {
            Depth::Eight => Samples::Eight(vec![0; format.samples()]),
            Depth::Sixteen => Samples::Sixteen(vec![0; format.samples()]),
        };
        Self { format, samples }
    }

    /// Wraps bytes in [H, W, 3] order; `None` if their number is not `width · height · 3`.
    pub fn from_rgb(width: usize, height: usize, rgb: Vec<u8>) -> Option<Self> {
        let format = Format::from((width, height));
        (rgb.len() == format.samples()).then_some(Self {
            format,
            samples: Samples::Eight(rgb),
        })
    }

    /// Wraps numbers of 16 bits in [H, W, 3] order; `None` if their number is not `width · height · 3`.
    pub fn from_rgb16(width: usize, height: usize, rgb: Vec<u16>) -> Option<Self> {
        let format = Format {
            depth: Depth::Sixteen,
            ..(width, height).into()
        };
        (rgb.len() == format.samples()).then_some(Self {
            format,
            samples: Samples::Sixteen(rgb),
        })
    }

    /// Gives this picture another format, keeping its memory where the depth allows; what it shows is unspecified.
    pub fn reshape(&mut self, format: Format) {
        self.format = format;
        match (format.depth, &mut self.samples) {
            (Depth::Eight, Samples::Eight(samples)) => samples.resize(format.samples(), 0),
            (Depth::Sixteen, Samples::Sixteen(samples)) => samples.resize(format.samples(), 0),
            _ => *self = Self::black(format),
        }
    }

    /// Makes this the same picture as `other`, keeping its memory where the depth allows.
    pub fn copy_from(&mut self, other: &Self) {
        self.reshape(other.format);
        self.bytes_mut().copy_from_slice(other.bytes());
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// In pixels.
    pub fn width(&self) -> usize {
        self.format.width
    }

    /// In pixels.
    pub fn height(&self) -> usize {
        self.format.height
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        self.format.size()
    }

    /// The bytes of a picture of 8 bits per channel, [H, W, 3]; a deeper one has none, see [`samples`](Self::samples).
    pub fn rgb(&self) -> &[u8] {
        self.view().rgb()
    }

    /// As [`rgb`](Self::rgb).
    pub fn rgb_mut(&mut self) -> &mut [u8] {
        match self.samples_mut() {
            Samples::Eight(rgb) => rgb,
            Samples::Sixteen(_) => &mut [],
        }
    }

    /// The pixels, [H, W, 3].
    pub fn samples(&self) -> Samples<&[u8], &[u16]> {
        match &self.samples {
            Samples::Eight(samples) => Samples::Eight(samples),
            Samples::Sixteen(samples) => Samples::Sixteen(samples),
        }
    }

    /// The pixels, [H, W, 3].
    pub fn samples_mut(&mut self) -> Samples<&mut [u8], &mut [u16]> {
        match &mut self.samples {
            Samples::Eight(samples) => Samples::Eight(samples),
            Samples::Sixteen(samples) => Samples::Sixteen(samples),
        }
    }

    /// The memory of the pixels, in the byte order of this machine.
    pub fn bytes(&self) -> &[u8] {
        self.view().bytes()
    }

    /// The memory of the pixels, in the byte order of this machine.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match self.samples_mut() {
            Samples::Eight(samples) => samples,
            Samples::Sixteen(samples) => bytemuck::cast_slice_mut(samples),
        }
    }

    /// The picture, borrowed.
    pub fn view(&self) -> PictureView<'_> {
        PictureView {
            format: self.format,
            samples: self.samples(),
        }
    }

    /// Width and height of the picture without `share` of both on each side.
    pub fn cropped_size(&self, share: f64) -> (usize, usize) {
        let inside = |length: usize| length - 2 * margin(length, share);
        (inside(self.width()), inside(self.height()))
    }

    /// The picture without `share` of its width and height on each side.
    pub fn cropped(&self, share: f64) -> Self {
        let (left, top) = (margin(self.width(), share), margin(self.height(), share));
        let (width, height) = self.cropped_size(share);
        let mut cropped = Self::black(Format {
            width,
            height,
            ..self.format
        });
        let pixel_bytes = 3 * self.format.depth.bytes();
        let rows = self.bytes().chunks_exact(self.width() * pixel_bytes).skip(top);
        let row_bytes = width * pixel_bytes;
        for (to, row) in cropped.bytes_mut().chunks_exact_mut(row_bytes).zip(rows) {
            to.copy_from_slice(&row[left * pixel_bytes..][..row_bytes]);
        }
        cropped
    }
}

/// Pixels that `share` of a length leaves out on each side.
fn margin(length: usize, share: f64) -> usize {
    ((length as f64 * share).round() as usize).min((length - 1) / 2)
}

impl<'a> PictureView<'a> {
    /// Wraps bytes in [H, W, 3] order; `None` if their number is not `width · height · 3`.
    pub fn from_rgb(width: usize, height: usize, rgb: &'a [u8]) -> Option<Self> {
        let format = Format::from((width, height));
        (rgb.len() == format.samples()).then_some(Self {
            format,
            samples: Samples::Eight(rgb),
        })
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// In pixels.
    pub fn width(&self) -> usize {
        self.format.width
    }

    /// In pixels.
    pub fn height(&self) -> usize {
        self.format.height
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        self.format.size()
    }

    /// The bytes of a picture of 8 bits per channel, [H, W, 3]; a deeper one has none, see [`samples`](Self::samples).
    pub fn rgb(&self) -> &'a [u8] {
        match self.samples {
            Samples::Eight(rgb) => rgb,
            Samples::Sixteen(_) => &[],
        }
    }

    /// The pixels, [H, W, 3].
    pub fn samples(&self) -> Samples<&'a [u8], &'a [u16]> {
        self.samples
    }

    /// The memory of the pixels, in the byte order of this machine.
    pub fn bytes(&self) -> &'a [u8] {
        match self.samples {
            Samples::Eight(samples) => samples,
            Samples::Sixteen(samples) => bytemuck::cast_slice(samples),
        }
    }

    /// The colour of a pixel, from 0 to 1.
    pub fn colour(&self, x: usize, y: usize) -> [f64; 3] {
        let at = 3 * (y * self.width() + x);
        match self.samples {
            Samples::Eight(samples) => scaled(&samples[at..]),
            Samples::Sixteen(samples) => scaled(&samples[at..]),
        }
    }
}

/// The first three samples, from 0 to 1.
fn scaled<S: Sample>(samples: &[S]) -> [f64; 3] {
    [0, 1, 2].map(|channel| f64::from(samples[channel].value()) / f64::from(S::WHITE))
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
    fn both_depths_are_cropped_copied_and_seen_alike() {
        let samples: Vec<u16> = (0..5 * 4 * 3).map(|i| 257 * i).collect();
        let deep = Picture::from_rgb16(5, 4, samples.clone()).unwrap();
        let bytes = samples.iter().map(|&sample| (sample / 257) as u8).collect();
        let shallow = Picture::from_rgb(5, 4, bytes).unwrap();
        assert_eq!(deep.cropped_size(0.2), (3, 2));
        let (deep_inside, inside) = (deep.cropped(0.2), shallow.cropped(0.2));
        for (x, y) in [(0, 0), (2, 0), (1, 1)] {
            let colour = deep_inside.view().colour(x, y);
            assert_eq!(colour, inside.view().colour(x, y));
            assert_eq!(colour, shallow.view().colour(x + 1, y + 1));
        }
        let mut copy = shallow;
        copy.copy_from(&deep);
        assert_eq!(copy, deep);
        assert!(copy.rgb().is_empty());
    }

    #[test]
    fn pixels_that_are_not_square_make_the_screen_larger_never_smaller() {
        let shown = |width, height| {
            Format {
                pixel_aspect: PixelAspect::new(width, height).unwrap(),
                ..(720, 576).into()
            }
            .shown()
        };
        assert_eq!(shown(1, 1), (720.0, 576.0));
        assert_eq!(shown(16, 15), (768.0, 576.0));
        assert_eq!(shown(8, 9), (720.0, 648.0));
        assert_eq!(PixelAspect::new(0, 1), None);
    }

    #[test]
    fn white_is_as_bright_as_its_channels() {
        assert!((luma([1.0; 3]) - 1.0).abs() < 1e-6);
    }
}

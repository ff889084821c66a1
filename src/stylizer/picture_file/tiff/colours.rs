// SPDX-License-Identifier: MIT OR Apache-2.0

//! From the samples of a TIFF to colours.

use image::{DynamicImage, GrayImage, RgbImage, RgbaImage};
use tiff::decoder::DecodingResult;

use super::super::light::encoded;
use super::super::profile::Numbers;

/// What the samples of a pixel are.
pub(super) enum Kind {
    Grey {
        is_inverted: bool,
    },
    Rgb,
    /// Red, green and blue by the sample, of which there is one.
    Palette(Vec<[u8; 3]>),
    /// Cyan, magenta, yellow and black.
    Inks,
    /// Y, Cb and Cr, where Y is so much of red, green and blue.
    Luma {
        weights: [f64; 3],
    },
    /// CIE L*, a* and b*, for the white of D50; a* and b* are signed, or shifted by half their range as in ICC profiles.
    Lab {
        is_shifted: bool,
    },
}

impl Kind {
    /// From the numbers of a palette, which are all reds, then all greens, then all blues, of 16 bits.
    pub(super) fn palette(map: &[u64]) -> Self {
        // Some writers use 8 bits.
        let shift = if map.iter().any(|&number| number > 255) {
            8
        } else {
            0
        };
        let size = map.len() / 3;
        let colour = |i: usize| [0, 1, 2].map(|c| (map[c * size + i] >> shift).min(255) as u8);
        Self::Palette((0..size).map(colour).collect())
    }

    fn channels(&self) -> usize {
        match self {
            Self::Grey { .. } | Self::Palette(_) => 1,
            Self::Rgb | Self::Luma { .. } | Self::Lab { .. } => 3,
            Self::Inks => 4,
        }
    }

    /// The picture. `alpha` says whether a sample of alpha follows the colours, and whether it is in them already.
    pub(super) fn colours(&self, samples: &Samples, alpha: Option<bool>) -> Option<Numbers> {
        let (width, height) = (
            u32::try_from(samples.width).ok()?,
            u32::try_from(samples.height).ok()?,
        );
        let channels = self.channels();
        if samples.per_pixel < channels || !samples.is_complete() {
            return None;
        }
        let range = samples.range();
        let alpha = alpha.filter(|_| samples.per_pixel > channels);
        let byte = |value: f64| (value * 255.0).round().clamp(0.0, 255.0) as u8;
        let bytes = match (self, alpha) {
            (Self::Inks, _) | (_, Some(_)) => 4,
            (Self::Grey { .. }, None) => 1,
            (_, None) => 3,
        };
        let mut pixels = Vec::with_capacity(samples.width * samples.height * bytes);
        for y in 0..samples.height {
            for x in 0..samples.width {
                let unit = |channel: usize| samples.get(x, y, channel) / range;
                let colour = match self {
                    Self::Grey { is_inverted } => {
                        let grey = unit(0);
                        [byte(if *is_inverted { 1.0 - grey } else { grey }); 3]
                    }
                    Self::Rgb => [0, 1, 2].map(|channel| byte(unit(channel))),
                    Self::Palette(colours) => {
                        let index = samples.get(x, y, 0) as usize;
                        *colours.get(index)?
                    }
                    Self::Luma { weights } => {
                        let (luma, cb, cr) = (unit(0), unit(1) - 128.0 / 255.0, unit(2) - 128.0 / 255.0);
                        let red = luma + cr * (2.0 - 2.0 * weights[0]);
                        let blue = luma + cb * (2.0 - 2.0 * weights[2]);
                        let green = (luma - weights[2] * blue - weights[0] * red) / weights[1];
                        [red, green, blue].map(byte)
                    }
                    Self::Lab { is_shifted } => lab([0, 1, 2].map(|c| samples.lab(x, y, c, *is_shifted))),
                    Self::Inks => {
                        pixels.extend([0, 1, 2, 3].map(|channel| byte(unit(channel))));
                        continue;
                    }
                };
                let Some(is_multiplied) = alpha else {
                    pixels.extend(&colour[..bytes]);
                    continue;
                };
                let alpha = byte(unit(channels));
                let colour = if is_multiplied && alpha > 0 {
                    colour.map(|value| (u32::from(value) * 255 / u32::from(alpha)).min(255) as u8)
                } else {
                    colour
                };
                pixels.extend(colour);
                pixels.push(alpha);
            }
        }
        Some(match (self, alpha) {
            (Self::Inks, _) => Numbers::Inks(RgbaImage::from_raw(width, height, pixels)?),
            (_, Some(_)) => Numbers::Light(DynamicImage::ImageRgba8(RgbaImage::from_raw(
                width, height, pixels,
            )?)),
            (Self::Grey { .. }, None) => Numbers::Light(DynamicImage::ImageLuma8(GrayImage::from_raw(
                width, height, pixels,
            )?)),
            (_, None) => Numbers::Light(DynamicImage::ImageRgb8(RgbImage::from_raw(
                width, height, pixels,
            )?)),
        })
    }
}

/// sRGB by CIE L*, a* and b* for D50.
fn lab([l, a, b]: [f64; 3]) -> [u8; 3] {
    let fy = (l + 16.0) / 116.0;
    let linear = |f: f64| {
        if f > 6.0 / 29.0 {
            f.powi(3)
        } else {
            3.0 * (6.0_f64 / 29.0).powi(2) * (f - 4.0 / 29.0)
        }
    };
    let x = 0.9642 * linear(fy + a / 500.0);
    let y = linear(fy);
    let z = 0.8249 * linear(fy - b / 200.0);
    // From XYZ for D50 to linear sRGB, with Bradford's adaptation to D65.
    [
        3.1338561 * x - 1.6168667 * y - 0.4906146 * z,
        -0.9787684 * x + 1.9161415 * y + 0.0334540 * z,
        0.0719453 * x - 0.2289914 * y + 1.4052427 * z,
    ]
    .map(|light| encoded(light as f32))
}

/// The samples of a picture in the order of the file.
pub(super) struct Samples {
    width: usize,
    height: usize,
    per_pixel: usize,
    bits: u32,
    /// Samples in a row and in a plane; of samples of less than a byte, bytes.
    row: usize,
    plane: usize,
    unpacked: DecodingResult,
}

impl Samples {
    /// `plane_bytes` lie between the beginnings of two planes.
    pub(super) fn new(
        unpacked: DecodingResult,
        (width, height): (usize, usize),
        bits: u32,
        per_pixel: usize,
        is_planar: bool,
        plane_bytes: usize,
    ) -> Self {
        let in_row = width * if is_planar { 1 } else { per_pixel };
        let row = if bits < 8 {
            (in_row * bits as usize).div_ceil(8)
        } else {
            in_row
        };
        let plane = if is_planar {
            plane_bytes / (bits as usize / 8).max(1)
        } else {
            0
        };
        Self {
            width,
            height,
            per_pixel,
            bits,
            row,
            plane,
            unpacked,
        }
    }

    fn count(&self) -> usize {
        match &self.unpacked {
            DecodingResult::U8(samples) => samples.len(),
            DecodingResult::U16(samples) => samples.len(),
            DecodingResult::U32(samples) => samples.len(),
            DecodingResult::U64(samples) => samples.len(),
            DecodingResult::F16(samples) => samples.len(),
            DecodingResult::F32(samples) => samples.len(),
            DecodingResult::F64(samples) => samples.len(),
            DecodingResult::I8(samples) => samples.len(),
            DecodingResult::I16(samples) => samples.len(),
            DecodingResult::I32(samples) => samples.len(),
            DecodingResult::I64(samples) => samples.len(),
        }
    }

    fn is_complete(&self) -> bool {
        let last_plane = if self.plane > 0 {
            self.plane * (self.per_pixel - 1)
        } else {
            0
        };
        self.count() >= last_plane + self.row * self.height
    }

    /// The sample at a place of the file's order; what is no number is 0.
    fn at(&self, place: usize) -> f64 {
        let value = match &self.unpacked {
            DecodingResult::U8(samples) => samples[place].into(),
            DecodingResult::U16(samples) => samples[place].into(),
            DecodingResult::U32(samples) => samples[place].into(),
            DecodingResult::U64(samples) => samples[place] as f64,
            DecodingResult::F16(samples) => samples[place].to_f64(),
            DecodingResult::F32(samples) => samples[place].into(),
            DecodingResult::F64(samples) => samples[place],
            DecodingResult::I8(samples) => samples[place].into(),
            DecodingResult::I16(samples) => samples[place].into(),
            DecodingResult::I32(samples) => samples[place].into(),
            DecodingResult::I64(samples) => samples[place] as f64,
        };
        if value.is_finite() { value } else { 0.0 }
    }

    fn get(&self, x: usize, y: usize, channel: usize) -> f64 {
        let (start, in_row) = match self.plane {
            0 => (y * self.row, x * self.per_pixel + channel),
            plane => (channel * plane + y * self.row, x),
        };
        if self.bits >= 8 {
            return self.at(start + in_row);
        }
        // Samples of less than a byte follow each other from the topmost bit on, and may reach into the next byte.
        let first = in_row * self.bits as usize;
        let two = |place: usize| match &self.unpacked {
            DecodingResult::U8(samples) => u32::from(samples.get(place).copied().unwrap_or(0)),
            DecodingResult::I8(samples) => u32::from(samples.get(place).copied().unwrap_or(0) as u8),
            _ => 0,
        };
        let window = two(start + first / 8) << 8 | two(start + first / 8 + 1);
        f64::from(window >> (16 - first as u32 % 8 - self.bits) & ((1 << self.bits) - 1))
    }

    /// What stands for full light. Of 32 bits and more, and of floats, files do not say it: whole numbers may be those of 8
    /// or 16 bits in a larger room, and floats reach to 1, or to 255 or 65535 if they were converted from such numbers.
    /// Some light above 1 is what is brighter than white, but half of all samples is not.
    fn range(&self) -> f64 {
        let whole = |most: f64| match most {
            _ if most <= 255.0 => 255.0,
            _ if most <= 65535.0 => 65535.0,
            _ => most,
        };
        let most = || (0..self.count()).map(|place| self.at(place)).fold(0.0, f64::max);
        match &self.unpacked {
            DecodingResult::U8(_) => f64::from((1_u32 << self.bits) - 1),
            DecodingResult::I8(_) => f64::from((1_u32 << (self.bits - 1)).saturating_sub(1).max(1)),
            DecodingResult::U16(_) => 65535.0,
            DecodingResult::I16(_) => 32767.0,
            DecodingResult::U32(_)
            | DecodingResult::I32(_)
            | DecodingResult::U64(_)
            | DecodingResult::I64(_) => whole(most()),
            DecodingResult::F16(_) | DecodingResult::F32(_) | DecodingResult::F64(_) => {
                let above = (0..self.count()).filter(|&place| self.at(place) > 1.0).count();
                if above * 2 > self.count() {
                    whole(most())
                } else {
                    1.0
                }
            }
        }
    }

    /// L* in 0..100, or a* or b* in −128..127.
    fn lab(&self, x: usize, y: usize, channel: usize, is_shifted: bool) -> f64 {
        let value = self.get(x, y, channel);
        // The numbers of 8 bits, if these are of 16.
        let (unit, is_float) = match &self.unpacked {
            DecodingResult::U8(_) | DecodingResult::I8(_) => (1.0, false),
            DecodingResult::U16(_) | DecodingResult::I16(_) => (256.0, false),
            _ => (1.0, true),
        };
        match channel {
            _ if is_float => value,
            // 100 is FF00 of 16 bits in profiles, else the largest number.
            0 if is_shifted || unit == 1.0 => value / (255.0 * unit) * 100.0,
            0 => value / 65535.0 * 100.0,
            _ if is_shifted => value / unit - 128.0,
            _ => {
                let signed = value / unit;
                if signed >= 128.0 { signed - 256.0 } else { signed }
            }
        }
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Light as numbers that are proportional to it, as in Radiance pictures.

use image::{DynamicImage, Rgb32FImage, RgbImage};

/// Linear light in 0..1 by the curve of sRGB; what is brighter than white is white.
pub(super) fn encoded(light: f32) -> u8 {
    let light = if light.is_nan() {
        0.0
    } else {
        light.clamp(0.0, 1.0)
    };
    let value = if light <= 0.003_130_8 {
        12.92 * light
    } else {
        1.055 * light.powf(1.0 / 2.4) - 0.055
    };
    (value * 255.0).round() as u8
}

/// A picture of linear light in sRGB.
pub(super) fn picture(linear: &Rgb32FImage) -> DynamicImage {
    let pixels = linear.iter().map(|&light| encoded(light)).collect();
    let picture = RgbImage::from_raw(linear.width(), linear.height(), pixels);
    DynamicImage::ImageRgb8(picture.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_light_is_middle_grey() {
        assert_eq!(encoded(0.0), 0);
        assert_eq!(encoded(0.2140), 127);
        assert_eq!(encoded(1.0), 255);
        assert_eq!(encoded(7.0), 255);
        assert_eq!(encoded(f32::NAN), 0);
    }
}

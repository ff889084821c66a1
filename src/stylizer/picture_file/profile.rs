// SPDX-License-Identifier: MIT OR Apache-2.0

//! Colour profiles: from what a file's numbers mean to sRGB, which is what the network was trained on and what frames are.

use image::{DynamicImage, RgbImage, RgbaImage};
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};
use rayon::prelude::*;

/// Larger ones are tables of a scanner's maker or no profiles at all.
const MOST_BYTES: usize = 16 << 20;

/// Pixels that a thread converts at a time.
const PIXELS: usize = 1 << 14;

/// The numbers of a picture before they are colours.
#[derive(Clone, Debug)]
pub(super) enum Numbers {
    /// Grey or red, green and blue, with or without alpha.
    Light(DynamicImage),
    /// Cyan, magenta, yellow and black in the place of R, G, B, A; 255 is all of the ink.
    Inks(RgbaImage),
}

/// The picture in sRGB, with 8 bits per channel. A profile that is broken or is that of other numbers counts for nothing.
pub(super) fn to_srgb(numbers: Numbers, profile: Option<&[u8]>) -> DynamicImage {
    let profile = profile
        .filter(|profile| profile.len() <= MOST_BYTES)
        .and_then(|profile| ColorProfile::new_from_slice(profile).ok());
    match numbers {
        Numbers::Light(picture) => match profile {
            Some(profile) => converted(picture, &profile),
            None => picture,
        },
        Numbers::Inks(inks) => {
            let converted = profile
                .filter(|profile| profile.color_space == DataColorSpace::Cmyk)
                .and_then(|profile| mixed(&inks, &profile));
            DynamicImage::ImageRgb8(converted.unwrap_or_else(|| plainly_mixed(&inks)))
        }
    }
}

fn converted(picture: DynamicImage, profile: &ColorProfile) -> DynamicImage {
    let has_alpha = picture.color().has_alpha();
    let is_grey = !picture.color().has_color();
    let converted = match (profile.color_space, has_alpha) {
        (DataColorSpace::Gray, false) if is_grey => {
            let from = picture.to_luma8();
            transformed(profile, Layout::Gray, from.as_raw(), Layout::Rgb, 3)
                .and_then(|to| RgbImage::from_raw(from.width(), from.height(), to))
                .map(DynamicImage::ImageRgb8)
        }
        (DataColorSpace::Gray, true) if is_grey => {
            let from = picture.to_luma_alpha8();
            transformed(profile, Layout::GrayAlpha, from.as_raw(), Layout::Rgba, 4)
                .and_then(|to| RgbaImage::from_raw(from.width(), from.height(), to))
                .map(DynamicImage::ImageRgba8)
        }
        (DataColorSpace::Rgb, false) if !is_nothing_to_do(profile) => {
            let from = picture.to_rgb8();
            transformed(profile, Layout::Rgb, from.as_raw(), Layout::Rgb, 3)
                .and_then(|to| RgbImage::from_raw(from.width(), from.height(), to))
                .map(DynamicImage::ImageRgb8)
        }
        (DataColorSpace::Rgb, true) if !is_nothing_to_do(profile) => {
            let from = picture.to_rgba8();
            transformed(profile, Layout::Rgba, from.as_raw(), Layout::Rgba, 4)
                .and_then(|to| RgbaImage::from_raw(from.width(), from.height(), to))
                .map(DynamicImage::ImageRgba8)
        }
        _ => None,
    };
    converted.unwrap_or(picture)
}

/// `None` if the profile lacks something.
fn transformed(
    profile: &ColorProfile,
    from: Layout,
    numbers: &[u8],
    to: Layout,
    channels: usize,
) -> Option<Vec<u8>> {
    let pixels = numbers.len() / from.channels();
    let mut converted = vec![0; pixels * channels];
    let transform = profile
        .create_transform_8bit(from, &ColorProfile::new_srgb(), to, TransformOptions::default())
        .ok()?;
    // Each pixel is converted on its own, so it does not matter how many are at a time.
    converted
        .par_chunks_mut(PIXELS * channels)
        .zip(numbers.par_chunks(PIXELS * from.channels()))
        .try_for_each(|(to, from)| transform.transform(from, to))
        .ok()?;
    Some(converted)
}

fn mixed(inks: &RgbaImage, profile: &ColorProfile) -> Option<RgbImage> {
    let light = transformed(profile, Layout::Rgba, inks.as_raw(), Layout::Rgb, 3)?;
    RgbImage::from_raw(inks.width(), inks.height(), light)
}

/// As if each ink took its part of the light, and black some of all.
fn plainly_mixed(inks: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(inks.width(), inks.height(), |x, y| {
        let [cyan, magenta, yellow, black] = inks.get_pixel(x, y).0;
        let left = |ink: u8| {
            let (ink, black) = (255 - u32::from(ink), 255 - u32::from(black));
            ((ink * black + 127) / 255) as u8
        };
        image::Rgb([left(cyan), left(magenta), left(yellow)])
    })
}

/// Most profiles are that of sRGB itself, in one edition or another. Converting by those would only round.
fn is_nothing_to_do(profile: &ColorProfile) -> bool {
    const STEPS: [u8; 9] = [0, 32, 64, 96, 128, 160, 192, 224, 255];
    let colours: Vec<u8> = (0..STEPS.len().pow(3))
        .flat_map(|i| [STEPS[i % 9], STEPS[i / 9 % 9], STEPS[i / 81]])
        .collect();
    transformed(profile, Layout::Rgb, &colours, Layout::Rgb, 3).is_some_and(|converted| {
        colours
            .iter()
            .zip(&converted)
            .all(|(from, to)| from.abs_diff(*to) <= 2)
    })
}

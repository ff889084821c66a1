// SPDX-License-Identifier: MIT OR Apache-2.0

//! Colour profiles are applied, and broken ones ignored.

use image::ImageEncoder;
use image::codecs::{jpeg::JpegEncoder, png::PngEncoder};
use moxcms::ColorProfile;

use super::*;

fn png(pixels: &[u8], size: (u32, u32), colour: image::ExtendedColorType, profile: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = PngEncoder::new(&mut file);
    encoder.set_icc_profile(profile.to_vec()).unwrap();
    encoder.write_image(pixels, size.0, size.1, colour).unwrap();
    file
}

fn read(name: &str, file: &[u8]) -> Vec<u8> {
    let folder = Folder::new();
    load(&folder.write(name, file))
        .unwrap_or_else(|error| panic!("{error}"))
        .rgb()
        .to_vec()
}

fn rgb(pixels: &[u8], profile: &[u8]) -> Vec<u8> {
    let size = (pixels.len() as u32 / 3, 1);
    read(
        "a.png",
        &png(pixels, size, image::ExtendedColorType::Rgb8, profile),
    )
}

#[test]
fn a_wider_space_is_brought_to_srgb() {
    let pixels = [200, 100, 100, 128, 128, 128];
    let p3 = ColorProfile::new_display_p3().encode().unwrap();
    let converted = rgb(&pixels, &p3);
    // By the definitions of Display P3 and sRGB: a redder red, and the same grey.
    assert!(converted[0] > 208 && converted[0] < 216, "{converted:?}");
    assert!(converted[1] < 98, "{converted:?}");
    for grey in &converted[3..] {
        assert!(grey.abs_diff(128) <= 1, "{converted:?}");
    }
    let adobe = ColorProfile::new_adobe_rgb().encode().unwrap();
    let converted = rgb(&[0, 200, 0], &adobe);
    assert_eq!(converted[0], 0);
    assert!(converted[1].abs_diff(201) <= 3, "{converted:?}");
}

#[test]
fn every_format_with_profiles_has_them_applied() {
    let p3 = ColorProfile::new_display_p3().encode().unwrap();
    let pixels = [200, 100, 100].repeat(256);
    let expected = rgb(&pixels[..3], &p3);
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 100);
    encoder.set_icc_profile(p3.clone()).unwrap();
    encoder
        .write_image(&pixels, 16, 16, image::ExtendedColorType::Rgb8)
        .unwrap();
    let mut webp = Vec::new();
    let mut encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut webp);
    encoder.set_icc_profile(p3.clone()).unwrap();
    encoder
        .write_image(&pixels, 16, 16, image::ExtendedColorType::Rgb8)
        .unwrap();
    let mut tiff = std::io::Cursor::new(Vec::new());
    let mut encoder = ::tiff::encoder::TiffEncoder::new(&mut tiff).unwrap();
    let mut picture = encoder
        .new_image::<::tiff::encoder::colortype::RGB8>(16, 16)
        .unwrap();
    picture
        .encoder()
        .write_tag(::tiff::tags::Tag::IccProfile, p3.as_slice())
        .unwrap();
    picture.write_data(&pixels).unwrap();
    for (name, file) in [("a.jpg", jpeg), ("a.webp", webp), ("a.tif", tiff.into_inner())] {
        let converted = read(name, &file);
        for (value, expected) in converted.iter().zip(&expected) {
            assert!(
                value.abs_diff(*expected) <= 2,
                "{name}: {:?} for {expected:?}",
                &converted[..3]
            );
        }
    }
}

#[test]
fn srgb_stays_as_it_is() {
    let pixels: Vec<u8> = (0..=255).flat_map(|i: u8| [i, 255 - i, i ^ 0x55]).collect();
    let srgb = ColorProfile::new_srgb().encode().unwrap();
    assert_eq!(rgb(&pixels, &srgb), pixels);
}

#[test]
fn a_profile_of_grey_counts_for_grey() {
    let linear = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    let converted = read(
        "a.png",
        &png(&[0, 55, 255], (3, 1), image::ExtendedColorType::L8, &linear),
    );
    // A light of 55 / 255 is 127 by the curve of sRGB.
    assert!(converted[3].abs_diff(127) <= 2, "{converted:?}");
    assert_eq!((converted[0], converted[8]), (0, 255));
    let with_alpha = png(&[55, 255], (1, 1), image::ExtendedColorType::La8, &linear);
    assert!(read("a.png", &with_alpha)[0].abs_diff(127) <= 2);
    // A grey picture may have a profile of red, green and blue.
    let p3 = ColorProfile::new_display_p3().encode().unwrap();
    let grey = read("a.png", &png(&[128], (1, 1), image::ExtendedColorType::L8, &p3));
    assert!(grey.iter().all(|value| value.abs_diff(128) <= 1), "{grey:?}");
}

#[test]
fn a_broken_profile_is_no_reason_to_refuse() {
    let pixels = [200, 100, 50];
    let good = ColorProfile::new_display_p3().encode().unwrap();
    let grey = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    for profile in [
        b"not a profile".as_slice(),
        &good[..good.len() / 2],
        &good[..128],
        &grey,
    ] {
        let read = rgb(&pixels, profile);
        assert_eq!(read.len(), 3);
    }
    assert_eq!(rgb(&pixels, b"not a profile"), pixels);
    for place in 0..good.len() {
        let mut damaged = good.clone();
        damaged[place] ^= 0xff;
        assert_eq!(rgb(&pixels, &damaged).len(), 3);
    }
}

/// A profile of inks in which all of cyan is a middle grey and all of black is black; the others do nothing.
fn inks() -> Vec<u8> {
    let mut table = b"mft1\0\0\0\0\x04\x03\x02\0".to_vec();
    for row in 0..3 {
        for column in 0..3 {
            table.extend(if row == column { [0, 1, 0, 0] } else { [0; 4] });
        }
    }
    let identity: Vec<u8> = (0..=255).collect();
    table.extend(identity.repeat(4));
    for inks in 0..16 {
        let lightness = match (inks & 8 != 0, inks & 1 != 0) {
            (_, true) => 0,
            (true, false) => 137,
            (false, false) => 255,
        };
        table.extend([lightness, 128, 128]);
    }
    table.extend(identity.repeat(3));
    let mut profile = vec![0; 128];
    profile[..4].copy_from_slice(&(144 + table.len() as u32).to_be_bytes());
    profile[8..12].copy_from_slice(&[2, 0x40, 0, 0]);
    profile[12..24].copy_from_slice(b"prtrCMYKLab ");
    profile[36..40].copy_from_slice(b"acsp");
    profile[68..80].copy_from_slice(&[0, 0, 0xf6, 0xd6, 0, 1, 0, 0, 0, 0, 0xd3, 0x2d]);
    profile.extend(1_u32.to_be_bytes());
    profile.extend(b"A2B0");
    profile.extend(144_u32.to_be_bytes());
    profile.extend((table.len() as u32).to_be_bytes());
    profile.extend(table);
    profile
}

#[test]
fn a_profile_of_inks_says_what_they_look_like() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures/cyan.jpg");
    let plain = fs::read(&path).unwrap();
    let cyan = read("a.jpg", &plain);
    assert!(cyan[0] < 3 && cyan[1] > 252 && cyan[2] > 252, "{:?}", &cyan[..3]);
    let segment = [b"ICC_PROFILE\0\x01\x01".as_slice(), &inks()].concat();
    let length = (segment.len() as u16 + 2).to_be_bytes();
    let profiled = [&plain[..2], &[0xff, 0xe2], &length, &segment, &plain[2..]].concat();
    let grey = read("a.jpg", &profiled);
    // One that claims to be huge is refused before there is memory for it.
    let mut huge = profiled.clone();
    let frame = huge.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    huge[frame + 5..frame + 9].fill(0xff);
    let refusal = reason(&Folder::new().write("huge.jpg", &huge));
    assert!(refusal.contains("reduce the picture"), "{refusal}");
    for value in &grey[..3] {
        assert!(value.abs_diff(128) <= 4, "{:?}", &grey[..3]);
    }
}

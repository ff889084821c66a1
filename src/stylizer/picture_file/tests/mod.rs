// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pictures are read as they are meant, or refused for what is wrong with them.

mod jpegs;
mod profiles;
mod tiffs;

use std::path::PathBuf;

use image::{ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

use super::*;

fn load(path: &Path) -> Result<Frame, Error> {
    read(path, 2048)
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn save(&self, name: &str, picture: impl Into<DynamicImage>, format: ImageFormat) -> PathBuf {
        let path = self.0.path().join(name);
        picture.into().save_with_format(&path, format).unwrap();
        path
    }
}

fn reason(path: &Path) -> String {
    let error = load(path).unwrap_err();
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "the file is named in ‘{error}’"
    );
    match error {
        Error::StyleUnreadable { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

fn two_colours() -> RgbImage {
    RgbImage::from_fn(2, 1, |x, _| {
        if x == 0 {
            Rgb([255, 0, 0])
        } else {
            Rgb([0, 0, 255])
        }
    })
}

#[test]
fn a_picture_is_known_by_its_content_not_by_its_name() {
    let folder = Folder::new();
    for format in [
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
        ImageFormat::Qoi,
        ImageFormat::WebP,
    ] {
        let path = folder.save("picture.jpg", two_colours(), format);
        probe(&path).unwrap();
        assert_eq!(load(&path).unwrap().rgb(), [255, 0, 0, 0, 0, 255], "{format:?}");
    }
    let tga = folder.save("picture.tga", two_colours(), ImageFormat::Tga);
    assert_eq!(load(&tga).unwrap().rgb(), [255, 0, 0, 0, 0, 255]);
}

#[test]
fn grey_and_deep_pictures_become_rgb() {
    let folder = Folder::new();
    let grey = folder.save(
        "grey.png",
        image::GrayImage::from_pixel(3, 2, image::Luma([77])),
        ImageFormat::Png,
    );
    assert_eq!(load(&grey).unwrap().rgb(), [77; 18]);
    let deep = image::ImageBuffer::<Rgb<u16>, _>::from_pixel(1, 1, Rgb([65535u16, 0, 257 * 128]));
    let deep = folder.save("deep.png", deep, ImageFormat::Png);
    assert_eq!(load(&deep).unwrap().rgb(), [255, 0, 128]);
}

#[test]
fn transparent_parts_lie_on_white() {
    let folder = Folder::new();
    let pixels = [Rgba([9, 9, 9, 0]), Rgba([10, 20, 30, 255]), Rgba([0, 0, 0, 51])];
    let picture = RgbaImage::from_fn(3, 1, |x, _| pixels[x as usize]);
    let path = folder.save("cut-out.png", picture, ImageFormat::Png);
    let loaded = load(&path).unwrap();
    assert_eq!(loaded.rgb(), [255, 255, 255, 10, 20, 30, 204, 204, 204]);
}

#[test]
fn a_photograph_stands_upright() {
    // A 2×1 picture whose EXIF block asks for a quarter turn clockwise (orientation 6).
    let mut png = std::io::Cursor::new(Vec::new());
    two_colours().write_to(&mut png, ImageFormat::Png).unwrap();
    let exif: [u8; 26] = [
        b'M', b'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0,
    ];
    let mut chunk = b"eXIf".to_vec();
    chunk.extend(exif);
    let mut file = png.into_inner();
    let after_header = 8 + 25;
    let mut insert = (exif.len() as u32).to_be_bytes().to_vec();
    insert.extend(&chunk);
    insert.extend(crc32(&chunk).to_be_bytes());
    file.splice(after_header..after_header, insert);
    let folder = Folder::new();
    let path = folder.write("photograph.png", &file);
    let loaded = load(&path).unwrap();
    assert_eq!((loaded.width(), loaded.height()), (1, 2));
    assert_eq!(loaded.rgb(), [255, 0, 0, 0, 0, 255]);
}

/// The checksum of PNG chunks, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            }
        })
    })
}

#[test]
fn a_very_large_picture_is_reduced_and_keeps_its_shape_and_colour() {
    let folder = Folder::new();
    for (width, height, expected) in [
        (3000, 1500, (2048, 1024)),
        (9000, 3, (2048, 1)),
        (5000, 5000, (2048, 2048)),
    ] {
        let path = folder.save(
            "large.png",
            RgbImage::from_pixel(width, height, Rgb([200, 100, 50])),
            ImageFormat::Png,
        );
        let loaded = load(&path).unwrap();
        assert_eq!((loaded.width(), loaded.height()), expected);
        assert!(loaded.rgb().chunks_exact(3).all(|pixel| pixel == [200, 100, 50]));
    }
    let small = folder.save("small.png", RgbImage::new(2048, 5), ImageFormat::Png);
    assert_eq!(load(&small).unwrap().width(), 2048);
}

#[test]
fn what_is_not_a_picture_is_refused_by_name_and_reason() {
    let folder = Folder::new();
    assert!(reason(&folder.write("empty.png", &[])).contains("empty"));
    assert!(reason(&folder.write("letter.png", b"Dear Vincent,\n")).contains("not a picture"));
    assert!(reason(&folder.write("short.png", &[0x89])).contains("not a picture"));
    assert!(reason(folder.0.path()).contains("directory"));
    assert!(matches!(
        load(&folder.0.path().join("nothing.png")),
        Err(Error::StyleNotFound { .. })
    ));
    let file = folder.write("file", b"x");
    assert!(matches!(
        load(&file.join("picture.png")),
        Err(Error::StyleNotFound { .. })
    ));
}

#[cfg(unix)]
#[test]
fn a_device_is_not_read() {
    assert!(reason(Path::new("/dev/zero")).contains("regular file"));
}

fn noise(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 11) as u8, (y * 13) as u8, (x * y) as u8])
    })
}

/// The per cent that a refusal tells.
fn told(reason: &str) -> f64 {
    let before = reason.split(" %").next().unwrap();
    let number = before.rsplit(' ').next().unwrap();
    number.parse().unwrap_or_else(|_| panic!("{reason}"))
}

#[test]
fn a_picture_cut_short_is_refused_with_how_much_is_there_or_nothing_is_missing() {
    let folder = Folder::new();
    for format in [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::Gif,
        ImageFormat::Tiff,
        ImageFormat::Bmp,
        ImageFormat::Pnm,
        ImageFormat::Qoi,
        ImageFormat::WebP,
        ImageFormat::Tga,
    ] {
        let extension = format.extensions_str()[0];
        let name = format!("whole.{extension}");
        let whole = fs::read(folder.save(&name, noise(67, 53), format)).unwrap();
        let picture = load(&folder.0.path().join(&name)).unwrap();
        let cut = format!("cut.{extension}");
        let mut last = 0.0;
        for length in (8..whole.len()).step_by(41) {
            match load(&folder.write(&cut, &whole[..length])) {
                Ok(loaded) => assert!(loaded == picture, "{format:?} of {length} bytes"),
                Err(error) => {
                    let reason = error.to_string();
                    assert!(
                        reason.contains("ends early") || length < 60,
                        "{format:?} of {length} bytes: {reason}"
                    );
                    if reason.contains("ends early") {
                        last = told(&reason);
                    }
                }
            }
        }
        assert!(last >= 85.0, "{format:?}: {last}");
        let half = reason(&folder.write(&cut, &whole[..whole.len() / 2]));
        assert!((25.0..75.0).contains(&told(&half)), "{format:?}: {half}");
    }
}

/// It does not matter what is read of a damaged file, only that reading returns. A panic becomes a refusal with a reason of
/// its own.
fn assert_no_panic(path: &Path) {
    if let Err(refusal) = load(path) {
        let reason = refusal.to_string();
        assert!(!reason.contains("its decoder fails on it"), "{reason}");
    }
}

#[test]
fn a_damaged_picture_is_never_a_panic() {
    let folder = Folder::new();
    for format in [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::Gif,
        ImageFormat::Tiff,
        ImageFormat::Bmp,
        ImageFormat::Pnm,
        ImageFormat::Qoi,
        ImageFormat::WebP,
    ] {
        let whole = fs::read(folder.save("whole", noise(23, 17), format)).unwrap();
        for place in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[place] ^= 0xA5;
            assert_no_panic(&folder.write("damaged", &damaged));
        }
    }
}

#[test]
fn a_picture_that_claims_to_be_huge_is_refused_before_memory_is_taken() {
    let folder = Folder::new();
    let mut bmp = std::io::Cursor::new(Vec::new());
    two_colours().write_to(&mut bmp, ImageFormat::Bmp).unwrap();
    let mut bmp = bmp.into_inner();
    bmp[18..22].copy_from_slice(&60_000u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000u32.to_le_bytes());
    let bmp = folder.write("bomb.bmp", &bmp);
    let pnm = folder.write("bomb.ppm", b"P6 60000 60000 255 \n");
    let mut qoi = b"qoif".to_vec();
    qoi.extend(60_000u32.to_be_bytes());
    qoi.extend(60_000u32.to_be_bytes());
    qoi.extend([3, 0, 0, 0, 0, 0]);
    let qoi = folder.write("bomb.qoi", &qoi);
    for path in [bmp, pnm] {
        let reason = reason(&path);
        assert!(
            reason.contains("reduce the picture"),
            "{}: {reason}",
            path.display()
        );
        probe(&path).unwrap_err();
    }
    // This format has a limit of its own.
    assert!(reason(&qoi).contains("dimensions"));
}

#[test]
fn the_probe_reads_the_header_only() {
    let folder = Folder::new();
    let whole = fs::read(folder.save("whole.png", RgbImage::new(64, 64), ImageFormat::Png)).unwrap();
    let header_only = folder.write("header.png", &whole[..whole.len() - 30]);
    probe(&header_only).unwrap();
    load(&header_only).unwrap_err();
}

#[test]
fn packed_pixels_are_counted_as_pixels() {
    let folder = Folder::new();
    let bits = [b"P4 800 100\n".as_slice(), &[0x5a; 5_000]].concat();
    let half = told(&reason(&folder.write("cut.pbm", &bits)));
    assert!((48.0..=51.0).contains(&half), "{half}");
    // A palette of two colours, and half of the pixels' numbers.
    let mut tga = vec![0, 1, 1, 0, 0, 2, 0, 24, 0, 0, 0, 0, 100, 0, 100, 0, 8, 32];
    tga.extend([0, 0, 0, 255, 255, 255]);
    tga.extend([1; 5_000]);
    let told = told(&reason(&folder.write("cut.tga", &tga)));
    assert!((48.0..=51.0).contains(&told), "{told}");
}

#[test]
fn light_is_encoded() {
    let folder = Folder::new();
    let head = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 3\n";
    // Mantissas and an exponent: 1, .25, 0, and a light of 4.
    let pixels = [128, 32, 0, 129, 128, 128, 128, 131, 0, 0, 0, 0];
    let path = folder.write("light.hdr", &[head.as_slice(), &pixels].concat());
    assert_eq!(load(&path).unwrap().rgb(), [255, 137, 0, 255, 255, 255, 0, 0, 0]);
}

#[test]
fn formats_that_are_not_read_are_named() {
    let folder = Folder::new();
    for (head, expected) in [
        (
            b"\0\0\0\x1cftypheic\0\0\0\0mif1".as_slice(),
            "it is a HEIC picture, which is not read here; save it as PNG",
        ),
        (b"\x76\x2f\x31\x01\x02\0\0\0", "it is an OpenEXR picture"),
        (
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            "it is an SVG drawing",
        ),
        (b"%PDF-1.7\n", "it is a PDF document"),
        (
            b"\0\0\0\x20ftypisom\0\0\0\0",
            "it is an MP4 film, which is not read here; take a still of it",
        ),
    ] {
        let path = folder.write("picture.jpg", head);
        assert!(reason(&path).contains(expected), "{}", reason(&path));
        probe(&path).unwrap_err();
    }
    // So are kinds of a format that are not read.
    let mut usual = Vec::new();
    noise(8, 8)
        .write_with_encoder(image::codecs::jpeg::JpegEncoder::new(&mut usual))
        .unwrap();
    let frame = usual.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    for (place, byte, expected) in [
        (frame + 1, 0xc9, "a JPEG with arithmetic codes"),
        (frame + 1, 0xc3, "a JPEG without losses"),
        (frame + 4, 12, "a JPEG with other than 8 bits"),
    ] {
        let mut other = usual.clone();
        other[place] = byte;
        let path = folder.write("other.jpg", &other);
        assert!(reason(&path).contains(expected), "{}", reason(&path));
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! The style picture, read from a file that is untrusted input.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};

use super::{Error, Frame};
use crate::backend::ColourStatistics;

/// The longer side in pixels beyond which a picture is reduced: twice the largest usual working size,
/// and a style has no finer strokes to offer than those.
const LONGEST_SIDE_PX: u32 = 2048;

/// Memory that decoding a picture may take: about 170 megapixels of RGB. A picture that claims more is refused.
const DECODED_BYTES: u64 = 512 << 20;

/// The background of transparent parts: white, which is what most viewers show, and so what the user saw when choosing the
/// picture.
const PAGE: u8 = 255;

/// A style picture: upright, opaque, of a limited size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StylePicture {
    frame: Frame,
}

impl StylePicture {
    /// Reads a picture. The format follows from the content, not from the name. One whose longer side has more than 2048
    /// pixels is reduced to that.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut decoder = open(path)?;
        let unreadable = |error: ImageError| unreadable(path, error);
        let mut limits = limits();
        limits.reserve(decoder.total_bytes()).map_err(unreadable)?;
        decoder.set_limits(limits).map_err(unreadable)?;
        // A damaged orientation tag is no reason to refuse the picture.
        let orientation = decoder
            .orientation()
            .unwrap_or(image::metadata::Orientation::NoTransforms);
        let mut picture = reduce(DynamicImage::from_decoder(decoder).map_err(unreadable)?);
        picture.apply_orientation(orientation);
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        Frame::from_rgb(width, height, opaque(picture))
            .map(|frame| Self { frame })
            .ok_or_else(|| Error::StyleUnreadable {
                path: path.to_owned(),
                reason: "its pixels do not match its size".into(),
            })
    }

    /// Looks at the file's header only: is there a picture that [`load`](Self::load) would try to read?
    pub fn probe(path: &Path) -> Result<(), Error> {
        open(path).map(|_| ())
    }

    /// A picture that is already there.
    pub fn from_frame(frame: Frame) -> Self {
        Self { frame }
    }

    /// Mean and covariance of its colours, without `crop` of its width and height on each side. A grid of some thousand
    /// pixels is looked at, which takes no noticeable time.
    pub fn colours(&self, crop: f64) -> ColourStatistics {
        const ACROSS: usize = 96;
        let ((width, height), view) = (self.frame.size(), self.frame.view());
        let places = |length: usize| {
            let (first, inside) = (length as f64 * crop, length as f64 * (1.0 - 2.0 * crop));
            let place = move |i: usize| (first + (i as f64 + 0.5) * inside / ACROSS as f64) as usize;
            (0..ACROSS).map(move |i| place(i).min(length - 1))
        };
        let mut sum = [0.0; 3];
        let mut products = [[0.0; 3]; 3];
        for y in places(height) {
            for x in places(width) {
                let colour = view.colour(x, y);
                for a in 0..3 {
                    sum[a] += colour[a];
                    for b in 0..3 {
                        products[a][b] += colour[a] * colour[b];
                    }
                }
            }
        }
        let count = (ACROSS * ACROSS) as f64;
        let mean = sum.map(|sum| sum / count);
        let covariance = [0, 1, 2].map(|a| [0, 1, 2].map(|b| products[a][b] / count - mean[a] * mean[b]));
        ColourStatistics { mean, covariance }
    }

    /// The pixels.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The pixels, for whoever wants to paint this picture itself.
    pub fn into_frame(self) -> Frame {
        self.frame
    }
}

impl From<Frame> for StylePicture {
    fn from(frame: Frame) -> Self {
        Self::from_frame(frame)
    }
}

/// Opens a picture and reads its header, within the limits.
fn open(path: &Path) -> Result<impl ImageDecoder + use<>, Error> {
    let refuse = |reason: String| Error::StyleUnreadable {
        path: path.to_owned(),
        reason,
    };
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Error::StyleNotFound {
            path: path.to_owned(),
        },
        _ => refuse(error.to_string()),
    })?;
    if metadata.is_dir() {
        return Err(refuse("it is a directory".into()));
    }
    // Opening a named pipe would block until another program writes into it.
    if !metadata.is_file() {
        return Err(refuse("it is not a regular file".into()));
    }
    if metadata.len() == 0 {
        return Err(refuse("the file is empty".into()));
    }
    let file = File::open(path).map_err(|error| refuse(error.to_string()))?;
    let mut reader = ImageReader::new(BufReader::new(file))
        .with_guessed_format()
        .map_err(|error| refuse(error.to_string()))?;
    // TGA has no signature, so for it alone the name has to do.
    if reader.format().is_none()
        && let Some(format) = image::ImageFormat::from_path(path)
            .ok()
            .filter(|f| *f == image::ImageFormat::Tga)
    {
        reader.set_format(format);
    }
    reader.limits(limits());
    let decoder = reader.into_decoder().map_err(|error| unreadable(path, error))?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(refuse("it has no pixels".into()));
    }
    if decoder.total_bytes() > DECODED_BYTES {
        return Err(refuse(format!(
            "{width}×{height} pixels are more than can be read; reduce the picture first"
        )));
    }
    Ok(decoder)
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODED_BYTES);
    limits
}

fn unreadable(path: &Path, error: ImageError) -> Error {
    let reason = match error {
        ImageError::Unsupported(_) => {
            "it is not a picture in a format known here (JPEG, PNG, WebP, GIF, TIFF, BMP, PNM, TGA, QOI)"
                .to_owned()
        }
        ImageError::Limits(_) => "it needs more memory than is allowed; reduce the picture first".to_owned(),
        other => other.to_string(),
    };
    Error::StyleUnreadable {
        path: path.to_owned(),
        reason,
    }
}

/// Brings the longer side down to [`LONGEST_SIDE_PX`].
fn reduce(picture: DynamicImage) -> DynamicImage {
    let longer = picture.width().max(picture.height());
    if longer <= LONGEST_SIDE_PX {
        return picture;
    }
    let scaled = |side: u32, longest: u32| {
        (u64::from(side) * u64::from(longest))
            .div_ceil(u64::from(longer))
            .clamp(1, u64::from(longest)) as u32
    };
    let (width, height) = (picture.width(), picture.height());
    // Lanczos keeps floats for the whole picture; averaging boxes first bounds that without costing sharpness.
    let picture = if longer > 2 * LONGEST_SIDE_PX {
        picture.thumbnail_exact(
            scaled(width, 2 * LONGEST_SIDE_PX),
            scaled(height, 2 * LONGEST_SIDE_PX),
        )
    } else {
        picture
    };
    picture.resize_exact(
        scaled(width, LONGEST_SIDE_PX),
        scaled(height, LONGEST_SIDE_PX),
        FilterType::Lanczos3,
    )
}

/// The pixels as [H, W, 3], transparent ones laid on the page.
fn opaque(picture: DynamicImage) -> Vec<u8> {
    if !picture.color().has_alpha() {
        return picture.into_rgb8().into_raw();
    }
    let lay = |value: u8, alpha: u8| {
        let (value, alpha, page) = (u32::from(value), u32::from(alpha), u32::from(PAGE));
        ((value * alpha + page * (255 - alpha) + 127) / 255) as u8
    };
    picture
        .into_rgba8()
        .pixels()
        .flat_map(|&image::Rgba([r, g, b, a])| [r, g, b].map(|v| lay(v, a)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use image::{ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

    use super::*;

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
        let error = StylePicture::load(path).unwrap_err();
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
            StylePicture::probe(&path).unwrap();
            assert_eq!(
                StylePicture::load(&path).unwrap().frame().rgb(),
                [255, 0, 0, 0, 0, 255],
                "{format:?}"
            );
        }
        let tga = folder.save("picture.tga", two_colours(), ImageFormat::Tga);
        assert_eq!(
            StylePicture::load(&tga).unwrap().frame().rgb(),
            [255, 0, 0, 0, 0, 255]
        );
    }

    #[test]
    fn grey_and_deep_pictures_become_rgb() {
        let folder = Folder::new();
        let grey = folder.save(
            "grey.png",
            image::GrayImage::from_pixel(3, 2, image::Luma([77])),
            ImageFormat::Png,
        );
        assert_eq!(StylePicture::load(&grey).unwrap().frame().rgb(), [77; 18]);
        let deep = image::ImageBuffer::<Rgb<u16>, _>::from_pixel(1, 1, Rgb([65535u16, 0, 257 * 128]));
        let deep = folder.save("deep.png", deep, ImageFormat::Png);
        assert_eq!(StylePicture::load(&deep).unwrap().frame().rgb(), [255, 0, 128]);
    }

    #[test]
    fn transparent_parts_lie_on_white() {
        let folder = Folder::new();
        let pixels = [Rgba([9, 9, 9, 0]), Rgba([10, 20, 30, 255]), Rgba([0, 0, 0, 51])];
        let picture = RgbaImage::from_fn(3, 1, |x, _| pixels[x as usize]);
        let path = folder.save("cut-out.png", picture, ImageFormat::Png);
        let loaded = StylePicture::load(&path).unwrap();
        assert_eq!(loaded.frame().rgb(), [255, 255, 255, 10, 20, 30, 204, 204, 204]);
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
        let loaded = StylePicture::load(&path).unwrap();
        assert_eq!((loaded.frame().width(), loaded.frame().height()), (1, 2));
        assert_eq!(loaded.frame().rgb(), [255, 0, 0, 0, 0, 255]);
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
            let loaded = StylePicture::load(&path).unwrap();
            assert_eq!((loaded.frame().width(), loaded.frame().height()), expected);
            assert!(
                loaded
                    .frame()
                    .rgb()
                    .chunks_exact(3)
                    .all(|pixel| pixel == [200, 100, 50])
            );
        }
        let small = folder.save("small.png", RgbImage::new(2048, 5), ImageFormat::Png);
        assert_eq!(StylePicture::load(&small).unwrap().frame().width(), 2048);
    }

    #[test]
    fn what_is_not_a_picture_is_refused_by_name_and_reason() {
        let folder = Folder::new();
        assert!(reason(&folder.write("empty.png", &[])).contains("empty"));
        assert!(reason(&folder.write("letter.png", b"Dear Vincent,\n")).contains("not a picture"));
        assert!(reason(&folder.write("short.png", &[0x89])).contains("not a picture"));
        assert!(reason(folder.0.path()).contains("directory"));
        assert!(matches!(
            StylePicture::load(&folder.0.path().join("nothing.png")),
            Err(Error::StyleNotFound { .. })
        ));
        let file = folder.write("file", b"x");
        assert!(matches!(
            StylePicture::load(&file.join("picture.png")),
            Err(Error::StyleNotFound { .. })
        ));
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_not_read() {
        assert!(reason(Path::new("/dev/zero")).contains("regular file"));
    }

    #[test]
    fn a_picture_cut_short_anywhere_is_refused_or_read_but_never_a_panic() {
        let folder = Folder::new();
        let noise = RgbImage::from_fn(23, 17, |x, y| {
            Rgb([(x * 11) as u8, (y * 13) as u8, (x * y) as u8])
        });
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
            let whole = fs::read(folder.save("whole", noise.clone(), format)).unwrap();
            for length in (0..whole.len()).step_by(7) {
                let path = folder.write("cut", &whole[..length]);
                if let Ok(loaded) = StylePicture::load(&path) {
                    assert_eq!(
                        (loaded.frame().width(), loaded.frame().height()),
                        (23, 17),
                        "{format:?}"
                    );
                }
                let mut damaged = whole.clone();
                damaged[length] ^= 0xA5;
                // It does not matter what is read of a damaged file, only that reading returns.
                let _ = StylePicture::load(&folder.write("damaged", &damaged));
            }
            let half = folder.write("half", &whole[..whole.len() / 2]);
            if format != ImageFormat::Jpeg {
                StylePicture::load(&half).unwrap_err();
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
            StylePicture::probe(&path).unwrap_err();
        }
        // This format has a limit of its own.
        assert!(reason(&qoi).contains("dimensions"));
    }

    #[test]
    fn the_colours_of_a_picture_are_those_inside_its_frame() {
        let black_framed = RgbImage::from_fn(100, 60, |x, y| {
            let inside = (10..90).contains(&x) && (6..54).contains(&y);
            Rgb(if !inside {
                [0, 0, 0]
            } else if y < 30 {
                [255, 51, 0]
            } else {
                [51, 255, 0]
            })
        });
        let frame = Frame::from_rgb(100, 60, black_framed.into_raw()).unwrap();
        let colours = StylePicture::from_frame(frame).colours(0.1);
        for (mean, expected) in colours.mean.iter().zip([0.6, 0.6, 0.0]) {
            assert!((mean - expected).abs() < 1e-9, "{colours:?}");
        }
        // Red and green are .4 above their mean where the other is .4 below it.
        let expected = [[0.16, -0.16, 0.0], [-0.16, 0.16, 0.0], [0.0; 3]];
        for (row, expected) in colours.covariance.iter().zip(expected) {
            for (entry, expected) in row.iter().zip(expected) {
                assert!((entry - expected).abs() < 1e-9, "{colours:?}");
            }
        }
    }

    #[test]
    fn the_probe_reads_the_header_only() {
        let folder = Folder::new();
        let whole = fs::read(folder.save("whole.png", RgbImage::new(64, 64), ImageFormat::Png)).unwrap();
        let header_only = folder.write("header.png", &whole[..whole.len() - 30]);
        StylePicture::probe(&header_only).unwrap();
        StylePicture::load(&header_only).unwrap_err();
    }
}

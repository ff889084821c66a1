// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pictures from files, which are untrusted input: upright, opaque, in sRGB, and whole.
//!
//! ```text
//!            ┌─ jpeg: how much is there ── zune-jpeg ─┐
//! format ────┼─ tiff: kinds of samples ─── tiff ──────┼─► reduced ─► profile: sRGB ─► upright ─► opaque
//! (what it   └─ the others, and how much of  image ───┘
//!  is)             them is there
//! ```

mod format;
mod jpeg;
mod light;
mod profile;
mod source;
mod tiff;

use std::fs;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbaImage};
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use self::format::Format;
use self::jpeg::Extent;
use self::profile::Numbers;
use self::source::{EndReached, Source};
use super::{Error, Frame};

/// Memory that decoding a picture may take: about 170 megapixels of RGB. A picture that claims more is refused.
const DECODED_BYTES: u64 = 512 << 20;

/// The background of transparent parts: white, which is what most viewers show, and so what the user saw when choosing the
/// picture.
const PAGE: u8 = 255;

/// Reads a picture. The format follows from the content, not from the name. One whose longer side has more than `longest`
/// pixels is reduced to that.
pub(super) fn read(path: &Path, longest: u32) -> Result<Frame, Error> {
    let picture = looked_at(path, decode)?;
    // Profiles are untrusted, too, and their arithmetic is made of the file's numbers.
    guarded(|| Ok(finished(picture, longest)))
        .and_then(|picture| {
            let (width, height) = (picture.width() as usize, picture.height() as usize);
            Frame::from_rgb(width, height, opaque(picture))
                .ok_or_else(|| Fault::Refused("its pixels do not match its size".into()))
        })
        .map_err(|fault| fault.of(path))
}

/// Looks at the file's header only: is there a picture that [`read`] would try to read?
pub(super) fn probe(path: &Path) -> Result<(), Error> {
    looked_at(path, |path, format| match format {
        Format::Tiff => tiff::probe(path),
        // A header that ends early is told of as by `read`.
        Format::Jpeg => open(path, ImageFormat::Jpeg).map(|_| ()).or_else(|fault| {
            whole_jpeg(path)?;
            Err(fault)
        }),
        format => open(path, image_format(&format)?).map(|_| ()),
    })
}

/// A picture as its file has it.
struct Decoded {
    numbers: Numbers,
    profile: Option<Vec<u8>>,
    orientation: Orientation,
}

/// Why a picture is not read, before it is known which.
#[derive(Debug)]
enum Fault {
    /// The reason, in words that follow the file's name.
    Refused(String),
    /// The file is over before the picture is; how much is there has still to be found out.
    Ended,
    /// The same, with the share that is there, 0..1.
    EndsEarly(f64),
    TooMuchMemory,
}

impl Fault {
    fn too_large(width: u64, height: u64) -> Self {
        Self::Refused(format!(
            "{width}×{height} pixels are more than can be read; reduce the picture first"
        ))
    }

    fn of(self, path: &Path) -> Error {
        let reason = match self {
            Self::Refused(reason) => reason,
            Self::Ended => ends_early(0.0),
            Self::EndsEarly(share) => ends_early(share),
            Self::TooMuchMemory => {
                "it needs more memory than is allowed; reduce the picture first".to_owned()
            }
        };
        Error::StyleUnreadable {
            path: path.to_owned(),
            reason,
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Refused(error.to_string())
    }
}

fn ends_early(share: f64) -> String {
    format!(
        "the file ends early: {} of its picture is there; fetch or save it again",
        share_text(share)
    )
}

/// A share in per cent. Not quite all is never called all.
fn share_text(share: f64) -> String {
    format!("{} %", (share * 100.0).floor().clamp(0.0, 99.0))
}

/// Hands over a regular file with its format.
fn looked_at<T>(path: &Path, look: impl FnOnce(&Path, Format) -> Result<T, Fault>) -> Result<T, Error> {
    let refuse = |reason: String| Fault::Refused(reason).of(path);
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::StyleNotFound {
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
    let looked = guarded(|| {
        let mut head = Vec::new();
        let file = fs::File::open(path)?;
        file.take(format::HEAD_BYTES).read_to_end(&mut head)?;
        look(path, format::of(&head, path))
    });
    looked.map_err(|fault| fault.of(path))
}

/// Decoders are the work of others, and a file that makes one of them panic is only a file that cannot be read.
fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Fault::Refused(
            "its decoder fails on it; the file is damaged".into(),
        ))
    })
}

fn decode(path: &Path, format: Format) -> Result<Decoded, Fault> {
    match format {
        Format::Tiff => tiff::decode(path),
        Format::Jpeg => {
            let inks = whole_jpeg(path)?;
            decode_other(path, ImageFormat::Jpeg, inks)
        }
        format => decode_other(path, image_format(&format)?, None),
    }
}

/// The format for `image`, or why there is none.
fn image_format(format: &Format) -> Result<ImageFormat, Fault> {
    match format {
        Format::Jpeg => Ok(ImageFormat::Jpeg),
        Format::Tiff => Ok(ImageFormat::Tiff),
        Format::Other(format) => Ok(*format),
        Format::Unread(name) => Err(Fault::Refused(format!(
            "it is {name}, which is not read here; {}",
            format::remedy(name)
        ))),
        Format::Unknown => Err(Fault::Refused(format!(
            "it is not a picture in a format known here ({})",
            format::READ
        ))),
    }
}

/// Opens a picture and reads its header, within the limits.
fn open(path: &Path, format: ImageFormat) -> Result<(impl ImageDecoder + use<>, EndReached), Fault> {
    // These are read in one piece by their decoders, whatever follows the picture.
    if matches!(format, ImageFormat::Jpeg | ImageFormat::Qoi) {
        refuse_long(path)?;
    }
    let (file, end) = Source::open(path)?;
    let mut reader = ImageReader::with_format(file, format);
    reader.limits(limits());
    let decoder = reader
        .into_decoder()
        .map_err(|error| fault(error, format, &end))?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(Fault::Refused("it has no pixels".into()));
    }
    if decoder.total_bytes() > DECODED_BYTES {
        return Err(Fault::too_large(width.into(), height.into()));
    }
    Ok((decoder, end))
}

/// More bytes than any picture has that is not refused for its pixels.
fn refuse_long(path: &Path) -> Result<(), Fault> {
    if fs::metadata(path)?.len() > DECODED_BYTES {
        return Err(Fault::TooMuchMemory);
    }
    Ok(())
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODED_BYTES);
    limits
}

fn fault(error: ImageError, format: ImageFormat, end: &EndReached) -> Fault {
    match error {
        ImageError::Limits(error) => match error.kind() {
            image::error::LimitErrorKind::DimensionError => {
                Fault::Refused("it has more pixels than can be read; reduce the picture first".into())
            }
            _ => Fault::TooMuchMemory,
        },
        // Decoders say in many ways that a file has no more; that they asked for it says it in one.
        _ if end.get() && format != ImageFormat::Jpeg => Fault::Ended,
        ImageError::Unsupported(error) => Fault::Refused(format!(
            "it is a {} of a kind that is not read ({}); save it as PNG",
            name(format),
            error
        )),
        other => Fault::Refused(other.to_string()),
    }
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Pnm => "PNM",
        ImageFormat::Tga => "TGA",
        ImageFormat::Qoi => "QOI",
        ImageFormat::Hdr => "Radiance HDR",
        _ => "picture",
    }
}

/// Reads a picture by `image`; `inks` are its numbers if they are known already.
fn decode_other(path: &Path, format: ImageFormat, inks: Option<RgbaImage>) -> Result<Decoded, Fault> {
    let missing = |fault: Fault| match fault {
        Fault::Ended => Fault::EndsEarly(share_there(path, format)),
        other => other,
    };
    let (mut decoder, end) = open(path, format).map_err(missing)?;
    let failed = |error: ImageError| missing(fault(error, format, &end));
    let mut limits = limits();
    limits.reserve(decoder.total_bytes()).map_err(failed)?;
    decoder.set_limits(limits).map_err(failed)?;
    // A damaged orientation tag or profile is no reason to refuse the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    let numbers = match inks {
        Some(inks) => Numbers::Inks(inks),
        None => match DynamicImage::from_decoder(decoder).map_err(failed)? {
            DynamicImage::ImageRgb32F(linear) if format == ImageFormat::Hdr => {
                Numbers::Light(light::picture(&linear))
            }
            picture => Numbers::Light(picture),
        },
    };
    Ok(Decoded {
        numbers,
        profile,
        orientation,
    })
}

/// Refuses a JPEG of which something is missing. The inks of one that has those, and a profile for them; without one, its
/// decoder mixes them as well as can be.
fn whole_jpeg(path: &Path) -> Result<Option<RgbaImage>, Fault> {
    refuse_long(path)?;
    let file = fs::read(path)?;
    match jpeg::extent(&file, DECODED_BYTES / 3) {
        Extent::Whole | Extent::Unknown => {}
        Extent::Unread(kind) => {
            return Err(Fault::Refused(format!(
                "it is a JPEG {kind}, which is not read here; save it as PNG or as a usual JPEG"
            )));
        }
        Extent::FileEnds(share) => return Err(Fault::EndsEarly(share)),
        Extent::PictureEnds(share) => {
            return Err(Fault::Refused(format!(
                "its picture ends early: {} of it is there; fetch or save it again",
                share_text(share)
            )));
        }
        Extent::Damaged(share) => {
            return Err(Fault::Refused(format!(
                "it is damaged: no more than {} of its picture can be read; fetch or save it again",
                share_text(share)
            )));
        }
    }
    inks(&file)
}

/// The numbers of a JPEG in cyan, magenta, yellow and black with a profile.
fn inks(file: &[u8]) -> Result<Option<RgbaImage>, Fault> {
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(file), options);
    if decoder.decode_headers().is_err() || decoder.icc_profile().is_none() {
        return Ok(None);
    }
    let (Some(space @ (ColorSpace::CMYK | ColorSpace::YCCK)), Some((width, height))) =
        (decoder.input_colorspace(), decoder.dimensions())
    else {
        return Ok(None);
    };
    // Before the decoder takes memory for it.
    if 4 * width as u64 * height as u64 > DECODED_BYTES {
        return Err(Fault::too_large(width as u64, height as u64));
    }
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let Ok(mut numbers) = decoder.decode() else {
        return Ok(None);
    };
    for [a, b, c, k] in numbers.as_chunks_mut::<4>().0 {
        if space == ColorSpace::YCCK {
            let (luma, cb, cr) = (f32::from(*a), f32::from(*b) - 128.0, f32::from(*c) - 128.0);
            let light = [
                luma + 1.402 * cr,
                luma - 0.344_14 * cb - 0.714_14 * cr,
                luma + 1.772 * cb,
            ];
            // Here light is ink, and what follows turns it back.
            [*a, *b, *c] = light.map(|light| 255 - light.round().clamp(0.0, 255.0) as u8);
        }
        // Files have all of an ink as 0.
        for ink in [a, b, c, k] {
            *ink = 255 - *ink;
        }
    }
    Ok(RgbaImage::from_raw(width as u32, height as u32, numbers))
}

/// How much of a picture is there whose file ends early, 0..1: what its decoder has written over a pattern when it fails. Where
/// decoders write only what is whole, it is the share of the file, if that says how long it should be.
fn share_there(path: &Path, format: ImageFormat) -> f64 {
    written_share(path, format)
        .filter(|share| *share > 0.0)
        .or_else(|| file_share(path, format))
        .unwrap_or(0.0)
}

fn written_share(path: &Path, format: ImageFormat) -> Option<f64> {
    let (mut decoder, _) = open(path, format).ok()?;
    let bytes = usize::try_from(decoder.total_bytes()).ok()?;
    let bytes_per_pixel = decoder.color_type().bytes_per_pixel();
    let mut limits = limits();
    limits.reserve(decoder.total_bytes()).ok()?;
    decoder.set_limits(limits).ok()?;
    // Numbers without a pattern that pictures have, from a linear congruential generator.
    let patterns = || {
        let next = |number: &u32| Some(number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        std::iter::successors(Some(1_u32), next).map(|number| (number >> 24) as u8)
    };
    let mut buffer: Vec<u8> = patterns().take(bytes).collect();
    let _ = decoder.read_image(&mut buffer);
    let written = buffer
        .iter()
        .zip(patterns())
        .filter(|(byte, pattern)| *byte != pattern)
        .count();
    // One in 256 of the bytes that were written is what was there before.
    let share = written as f64 / bytes as f64 * 256.0 / 255.0;
    let share = (share * packing(path, format, bytes_per_pixel)?).min(1.0);
    Some(if share < 0.001 { 0.0 } else { share })
}

/// How many times larger pixels are than what decoders read them from, where they read it into the pixels' place at first: bits
/// and the numbers of a palette.
fn packing(path: &Path, format: ImageFormat, bytes_per_pixel: u8) -> Option<f64> {
    let mut head = [0; 18];
    fs::File::open(path).ok()?.read_exact(&mut head).ok()?;
    Some(match format {
        ImageFormat::Pnm if head.starts_with(b"P4") => 8.0,
        ImageFormat::Tga if head[1] == 1 => f64::from(bytes_per_pixel) * 8.0 / f64::from(head[16].max(8)),
        _ => 1.0,
    })
}

/// The length of the file against that which its header gives.
fn file_share(path: &Path, format: ImageFormat) -> Option<f64> {
    let length = fs::metadata(path).ok()?.len();
    let expected = match format {
        ImageFormat::WebP => {
            let mut head = [0; 8];
            fs::File::open(path).ok()?.read_exact(&mut head).ok()?;
            u64::from(u32::from_le_bytes(*head.last_chunk::<4>()?)) + 8
        }
        // How many bytes are pixels is known of files without compression.
        ImageFormat::Pnm | ImageFormat::Tga | ImageFormat::Bmp => open(path, format).ok()?.0.total_bytes(),
        _ => return None,
    };
    Some((length as f64 / expected as f64).min(1.0))
}

/// The picture as it is used. Its numbers are averaged as they are, which is what viewers do, too.
fn finished(picture: Decoded, longest: u32) -> DynamicImage {
    let numbers = match picture.numbers {
        Numbers::Light(light) => Numbers::Light(reduce(light, longest)),
        Numbers::Inks(inks) => Numbers::Inks(reduce(inks.into(), longest).into_rgba8()),
    };
    let mut picture_in_srgb = profile::to_srgb(numbers, picture.profile.as_deref());
    picture_in_srgb.apply_orientation(picture.orientation);
    picture_in_srgb
}

/// Brings the longer side down to `longest`.
fn reduce(picture: DynamicImage, longest: u32) -> DynamicImage {
    let longer = picture.width().max(picture.height());
    if longer <= longest {
        return picture;
    }
    let scaled = |side: u32, longest: u32| {
        (u64::from(side) * u64::from(longest))
            .div_ceil(u64::from(longer))
            .clamp(1, u64::from(longest)) as u32
    };
    let (width, height) = (picture.width(), picture.height());
    // Lanczos keeps floats for the whole picture; averaging boxes first bounds that without costing sharpness.
    let picture = if longer > 2 * longest {
        picture.thumbnail_exact(scaled(width, 2 * longest), scaled(height, 2 * longest))
    } else {
        picture
    };
    picture.resize_exact(
        scaled(width, longest),
        scaled(height, longest),
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
mod tests;

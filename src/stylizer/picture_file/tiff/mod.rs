// SPDX-License-Identifier: MIT OR Apache-2.0

//! TIFF pictures of all kinds. The crate `tiff` unpacks their samples, and here the samples become colours: the crate refuses
//! palettes and CIE Lab, and `image` most of what is not 8 or 16 bits. So the crate is shown every file as one of plain
//! grey samples, however many, with which it does nothing.

mod colours;
mod directory;

use std::fs;
use std::io::{Seek, SeekFrom};
use std::path::Path;

use image::metadata::Orientation;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::{TiffError, TiffUnsupportedError};

use super::source::Source;
use super::{DECODED_BYTES, Decoded, Fault, share_text};
use colours::{Kind, Samples};
use directory::Directory;

mod tag {
    pub const NEW_SUBFILE_TYPE: u16 = 254;
    pub const WIDTH: u16 = 256;
    pub const HEIGHT: u16 = 257;
    pub const BITS: u16 = 258;
    pub const COMPRESSION: u16 = 259;
    pub const PHOTOMETRIC: u16 = 262;
    pub const FILL_ORDER: u16 = 266;
    pub const STRIP_OFFSETS: u16 = 273;
    pub const ORIENTATION: u16 = 274;
    pub const SAMPLES: u16 = 277;
    pub const STRIP_BYTES: u16 = 279;
    pub const PLANAR: u16 = 284;
    pub const COLOUR_MAP: u16 = 320;
    pub const TILE_OFFSETS: u16 = 324;
    pub const TILE_BYTES: u16 = 325;
    pub const SUB_IFDS: u16 = 330;
    pub const INK_SET: u16 = 332;
    pub const EXTRA_SAMPLES: u16 = 338;
    pub const YCBCR_COEFFICIENTS: u16 = 529;
    pub const YCBCR_SUBSAMPLING: u16 = 530;
    pub const PROFILE: u16 = 34675;
    pub const DNG_VERSION: u16 = 50706;
}

/// What a black picture of one sample is, for the crate.
const BLACK_IS_ZERO: u16 = 1;

const NO_COMPRESSION: u64 = 1;
const JPEG: u64 = 7;

/// What a refusal ends with.
const WHAT_WORKS: &str = "save it as RGB with 8 or 16 bits, uncompressed or with LZW or Deflate";

/// What a file says of its first picture.
struct Header {
    directory: Directory,
    width: u64,
    height: u64,
    bits: u64,
    samples: u64,
    compression: u64,
    is_planar: bool,
    kind: Kind,
    /// The sample behind the colours that is alpha, and whether the colours are multiplied by it.
    alpha: Option<bool>,
}

/// Reads the directory and refuses what cannot be read.
pub(super) fn probe(path: &Path) -> Result<(), Fault> {
    header(path).map(|_| ())
}

pub(super) fn decode(path: &Path) -> Result<Decoded, Fault> {
    let header = header(path)?;
    refuse_what_ends_early(path, &header)?;
    let (samples, profile, orientation) = samples(path, &header)?;
    let numbers = header
        .kind
        .colours(&samples, header.alpha)
        .ok_or_else(|| Fault::Refused("it is a damaged TIFF: it has fewer samples than pixels".into()))?;
    let is_light = !matches!(header.kind, Kind::Lab { .. });
    Ok(Decoded {
        numbers,
        // A profile of Lab numbers tells nothing that they do not say themselves.
        profile: profile.filter(|_| is_light),
        orientation,
    })
}

fn header(path: &Path) -> Result<Header, Fault> {
    let (mut file, _) = Source::open(path)?;
    let length = fs::metadata(path)?.len();
    let directory = Directory::read(&mut file).map_err(|(error, first)| match error.kind() {
        std::io::ErrorKind::UnexpectedEof if first > 0 => Fault::Refused(format!(
            "the file ends early: at most {} of it is there, and the directory of its pictures is not",
            share_text(length as f64 / first.max(length + 1) as f64)
        )),
        std::io::ErrorKind::UnexpectedEof => Fault::Ended,
        _ => error.into(),
    })?;
    let mut number = |tag| directory.number(&mut file, tag);
    let width = number(tag::WIDTH).unwrap_or(0);
    let height = number(tag::HEIGHT).unwrap_or(0);
    let samples = number(tag::SAMPLES).unwrap_or(1);
    let compression = number(tag::COMPRESSION).unwrap_or(NO_COMPRESSION);
    let is_planar = number(tag::PLANAR) == Some(2) && samples > 1;
    let photometric = number(tag::PHOTOMETRIC);
    let fill_order = number(tag::FILL_ORDER).unwrap_or(1);
    let ink_set = number(tag::INK_SET).unwrap_or(1);
    // Raw files of some cameras begin with a small preview.
    let is_preview =
        number(tag::NEW_SUBFILE_TYPE).is_some_and(|kind| kind & 1 == 1) && directory.has(tag::SUB_IFDS);
    let bits = directory.numbers(&mut file, tag::BITS).unwrap_or_else(|| vec![1]);
    let extra = directory
        .numbers(&mut file, tag::EXTRA_SAMPLES)
        .unwrap_or_default();
    if width == 0 || height == 0 {
        return Err(Fault::Refused("it is a TIFF without a picture".into()));
    }
    let unread = |what: String| {
        Err(Fault::Refused(format!(
            "it is a TIFF {what}, which is not read; {WHAT_WORKS}"
        )))
    };
    if directory.has(tag::DNG_VERSION) || is_preview || matches!(photometric, Some(32803 | 34892)) {
        return Err(Fault::Refused(
            "it is a camera's raw file (DNG or the like), which is not read; develop it to PNG or TIFF"
                .into(),
        ));
    }
    if let Some(name) = unread_compression(compression) {
        return unread(format!("compressed as {name}"));
    }
    if fill_order == 2 && compression != JPEG {
        return unread("whose bits are in reversed order".into());
    }
    let depth = bits.first().copied().unwrap_or(1);
    if let Some(other) = bits.iter().find(|&&other| other != depth) {
        return unread(format!(
            "with samples of different sizes ({depth} and {other} bits)"
        ));
    }
    if !matches!(depth, 1..=8 | 16 | 32 | 64) {
        return unread(format!("with {depth} bits per sample"));
    }
    let colours = samples.saturating_sub(extra.len() as u64);
    let kind = match (photometric, colours) {
        (Some(0), 1..) => Kind::Grey { is_inverted: true },
        (Some(1 | 4), 1..) => Kind::Grey { is_inverted: false },
        (Some(2), 3..) => Kind::Rgb,
        (Some(3), 1..) => {
            let map = directory.numbers(&mut file, tag::COLOUR_MAP).unwrap_or_default();
            if depth > 16 || map.len() as u64 != 3 << depth {
                return unread("whose palette does not fit its samples".into());
            }
            Kind::palette(&map)
        }
        (Some(5), 4..) if ink_set == 1 => Kind::Inks,
        (Some(5), _) => return unread("of other inks than cyan, magenta, yellow and black".into()),
        (Some(6), 3..) => {
            let subsampling = directory
                .numbers(&mut file, tag::YCBCR_SUBSAMPLING)
                .unwrap_or_else(|| vec![2, 2]);
            if compression != JPEG && subsampling != [1, 1] {
                return unread("of luma and chroma of different sizes".into());
            }
            Kind::Luma {
                weights: directory
                    .fractions::<3>(&mut file, tag::YCBCR_COEFFICIENTS)
                    .unwrap_or([0.299, 0.587, 0.114]),
            }
        }
        (Some(8), 3..) if depth >= 8 => Kind::Lab { is_shifted: false },
        (Some(9), 3..) if depth >= 8 => Kind::Lab { is_shifted: true },
        (Some(8..=10), _) => return unread("in a kind of CIE Lab other than 8 or 16 bits".into()),
        (Some(32844 | 32845), _) => return unread("in SGI's LogLuv".into()),
        (Some(other), _) => {
            return unread(format!("of {samples} samples of the kind {other}"));
        }
        (None, _) => return unread("that does not say what its samples are".into()),
    };
    // However small they lie in the file, pixels become three bytes or more.
    let bytes = samples
        .checked_mul(depth.div_ceil(8))
        .and_then(|bytes| bytes.max(3).checked_mul(width))
        .and_then(|bytes| bytes.checked_mul(height));
    if bytes.is_none_or(|bytes| bytes > DECODED_BYTES) {
        return Err(Fault::too_large(width, height));
    }
    let alpha = match extra.first() {
        Some(1) => Some(true),
        Some(2) => Some(false),
        // Before there were such tags, a fourth sample was taken for alpha.
        None if photometric == Some(2) && samples == 4 => Some(false),
        _ => None,
    };
    Ok(Header {
        directory,
        width,
        height,
        bits: depth,
        samples,
        compression,
        is_planar,
        kind,
        alpha,
    })
}

/// The name of a way to compress that is not unpacked here.
fn unread_compression(compression: u64) -> Option<String> {
    let name = match compression {
        1 | 4 | 5 | 7 | 8 | 32773 | 32946 => return None,
        2 => "CCITT Huffman",
        3 => "CCITT fax, group 3",
        6 => "JPEG in the old style",
        32766 => "NeXT's",
        32809 => "ThunderScan",
        34661 => "JBIG",
        34676 | 34677 => "SGI's logarithms",
        34712 | 33003 | 33005 => "JPEG 2000",
        34887 => "LERC",
        34892 => "lossy JPEG of a raw picture",
        34925 => "LZMA",
        50000 => "Zstandard",
        50001 => "WebP",
        50002 | 52546 => "JPEG XL",
        other => return Some(format!("number {other}")),
    };
    Some(name.to_owned())
}

/// Strips or tiles that lie beyond the end of the file. Not all that is missing is missed by what unpacks it.
fn refuse_what_ends_early(path: &Path, header: &Header) -> Result<(), Fault> {
    let (mut file, _) = Source::open(path)?;
    let length = fs::metadata(path)?.len();
    let directory = &header.directory;
    let mut both = |offsets, bytes| {
        directory
            .numbers(&mut file, offsets)
            .zip(directory.numbers(&mut file, bytes))
    };
    let pieces =
        both(tag::STRIP_OFFSETS, tag::STRIP_BYTES).or_else(|| both(tag::TILE_OFFSETS, tag::TILE_BYTES));
    let Some((offsets, mut bytes)) = pieces else {
        let has = |tags: [_; 2]| tags.iter().any(|&tag| directory.has(tag));
        return match (
            has([tag::STRIP_OFFSETS, tag::TILE_OFFSETS]),
            has([tag::STRIP_BYTES, tag::TILE_BYTES]),
        ) {
            (false, _) => Ok(()),
            (true, true) => Err(Fault::Ended),
            (true, false) => Err(Fault::Refused(format!(
                "it is a TIFF that does not say how long its pieces are; {WHAT_WORKS}"
            ))),
        };
    };
    if let ([only], NO_COMPRESSION) = (bytes.as_mut_slice(), header.compression) {
        // Some writers round up.
        let row = (header.width * header.samples * header.bits).div_ceil(8);
        *only = (*only).min(row.saturating_mul(header.height));
    }
    let all: u64 = bytes.iter().fold(0, |sum, &bytes| sum.saturating_add(bytes));
    let there = |(&offset, &bytes): (&u64, &u64)| length.saturating_sub(offset).min(bytes);
    let there: u64 = offsets
        .iter()
        .zip(&bytes)
        .map(there)
        .fold(0, |sum, bytes| sum.saturating_add(bytes));
    if there < all {
        return Err(Fault::EndsEarly(there as f64 / all as f64));
    }
    Ok(())
}

/// The samples as the file has them, the colour profile, and which way up the picture is.
fn samples(path: &Path, header: &Header) -> Result<(Samples, Option<Vec<u8>>, Orientation), Fault> {
    let directory = &header.directory;
    let patch = directory
        .place_of_short(tag::PHOTOMETRIC)
        .map(|place| (place, directory.short(BLACK_IS_ZERO)));
    let (mut file, end) = Source::open_patched(path, patch)?;
    let profile = directory.bytes(&mut file, tag::PROFILE, 16 << 20);
    let orientation = directory
        .number(&mut file, tag::ORIENTATION)
        .and_then(|number| Orientation::from_exif(u8::try_from(number).ok()?))
        .unwrap_or(Orientation::NoTransforms);
    let fault = |error: TiffError| {
        if end.get() {
            Fault::Ended
        } else {
            damaged_or_unread(error)
        }
    };
    let mut limits = Limits::default();
    limits.decoding_buffer_size = DECODED_BYTES as usize;
    limits.intermediate_buffer_size = DECODED_BYTES as usize;
    limits.ifd_value_size = 64 << 20;
    // It begins where the file stands.
    file.seek(SeekFrom::Start(0))?;
    let mut decoder = Decoder::new(file).map_err(fault)?.with_limits(limits);
    let mut unpacked = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut unpacked).map_err(fault)?;
    let planes = if header.is_planar {
        header.samples as usize
    } else {
        1
    };
    if layout.planes != planes {
        return Err(Fault::Refused(
            "it is a damaged TIFF: some of its planes are missing".into(),
        ));
    }
    let (width, height) = decoder.dimensions().map_err(fault)?;
    // A directory may name them twice.
    if (u64::from(width), u64::from(height)) != (header.width, header.height) {
        return Err(Fault::Refused("it is a damaged TIFF: it has two sizes".into()));
    }
    let samples = Samples::new(
        unpacked,
        (width as usize, height as usize),
        header.bits as u32,
        header.samples as usize,
        header.is_planar,
        layout.plane_stride.map_or(0, |stride| stride.get()),
    );
    Ok((samples, profile, orientation))
}

fn damaged_or_unread(error: TiffError) -> Fault {
    match error {
        TiffError::UnsupportedError(TiffUnsupportedError::InconsistentBitsPerSample(_)) => Fault::Refused(
            format!("it is a TIFF with samples of different sizes, which is not read; {WHAT_WORKS}"),
        ),
        TiffError::UnsupportedError(kind) => Fault::Refused(format!(
            "it is a TIFF of a kind that is not read ({kind}); {WHAT_WORKS}"
        )),
        TiffError::LimitsExceeded => Fault::TooMuchMemory,
        TiffError::IoError(error) => Fault::Refused(format!("it is a damaged TIFF ({error})")),
        other => Fault::Refused(format!("it is a damaged TIFF ({other})")),
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a file is, by its first bytes. The name tells only where those cannot.

use std::path::Path;

use image::ImageFormat;

/// As many bytes as any of the formats is known by.
pub(super) const HEAD_BYTES: u64 = 512;

/// What a message says of the formats that are read.
pub(super) const READ: &str = "JPEG, PNG, WebP, GIF, TIFF, BMP, PNM, TGA, QOI, Radiance HDR";

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Tiff,
    /// One that `image` reads.
    Other(ImageFormat),
    /// One that is not read; what it is, "a PDF document".
    Unread(String),
    Unknown,
}

/// Places, bytes there, and what a file with those is.
type Mark = (usize, &'static [u8], &'static str);

/// Pictures of other formats, and what else is chosen by mistake. Longer marks stand before shorter ones.
const UNREAD: [Mark; 67] = [
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"\x97JB2\r\n\x1a\n", "a JBIG2 picture"),
    (0, b"II\xbc", "a JPEG XR picture"),
    (0, b"\xff\xd8\xff\xf7", "a JPEG-LS picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftypavis", "an AVIF animation"),
    (4, b"ftyphei", "a HEIC picture"),
    (4, b"ftyphev", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIF picture"),
    (4, b"ftypmsf1", "a HEIF animation"),
    (4, b"ftypcrx ", "a camera's raw file (CR3)"),
    (4, b"ftypqt", "a QuickTime film"),
    (4, b"ftyp", "an MP4 film"),
    (4, b"moov", "a QuickTime film"),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM film"),
    (0, b"OggS", "an Ogg file"),
    (0, b"FLV", "a Flash film"),
    (0, b"ID3", "an MP3 file"),
    (0, b"fLaC", "a FLAC file"),
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript document"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"gimp xcf", "a GIMP document"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (0, b"DDS ", "a DirectDraw texture"),
    (0, b"\xabKTX ", "a Khronos texture"),
    (0, b"farbfeld", "a farbfeld picture"),
    (0, b"\x00\x00\x01\x00", "a Windows icon"),
    (0, b"\x00\x00\x02\x00\x01\x00", "a Windows cursor"),
    (0, b"icns", "an Apple icon"),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw file (RAF)"),
    (0, b"IIRO", "a camera's raw file (ORF)"),
    (0, b"IIRS", "a camera's raw file (ORF)"),
    (0, b"MMOR", "a camera's raw file (ORF)"),
    (0, b"IIU\x00", "a camera's raw file (RW2)"),
    (0, b"FOVb", "a camera's raw file (X3F)"),
    (8, b"CR\x02", "a camera's raw file (CR2)"),
    (0, b"FLIF", "a FLIF picture"),
    (0, b"BPG\xfb", "a BPG picture"),
    (0, b"SIMPLE  =", "a FITS picture"),
    (128, b"DICM", "a DICOM picture"),
    (0, b"AT&TFORM", "a DjVu document"),
    (0, b"PF\n", "a portable float map"),
    (0, b"Pf\n", "a portable float map"),
    (0, b"/* XPM", "an XPM picture"),
    (0, b"#define ", "an XBM picture"),
    (0, b"\x01\xda", "a Silicon Graphics picture"),
    (0, b"\x59\xa6\x6a\x95", "a Sun raster picture"),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (40, b" EMF", "an enhanced metafile"),
    (0, b"\x0a\x05\x01", "a PCX picture"),
    (0, b"\x8aMNG", "an MNG animation"),
    (0, b"\x8bJNG", "a JNG picture"),
    (0, b"FORM", "an IFF file"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"\xd0\xcf\x11\xe0", "an Office document"),
    (
        0,
        b"PK\x03\x04",
        "a zip archive, as office and Krita documents are",
    ),
    (0, b"7z\xbc\xaf", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a Windows program"),
    (
        0,
        b"version https://git-lfs",
        "a Git LFS pointer, not the picture itself; `git lfs pull` fetches it",
    ),
];

/// The format of a file that begins with `head`.
pub(super) fn of(head: &[u8], path: &Path) -> Format {
    let mark = UNREAD
        .iter()
        .find(|(place, mark, _)| head.get(*place..).is_some_and(|rest| rest.starts_with(mark)));
    if let Some((_, _, name)) = mark {
        return Format::Unread((*name).to_owned());
    }
    match head {
        [0xff, 0xd8, 0xff, ..] => return Format::Jpeg,
        // The numbers 42 and, of BigTIFF, 43.
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => return Format::Tiff,
        [b'R', b'I', b'F', b'F', _, _, _, _, kind @ ..] if !kind.starts_with(b"WEBP") => {
            let kind = match kind {
                [b'A', b'V', b'I', ..] => "an AVI film",
                [b'W', b'A', b'V', b'E', ..] => "a WAV file",
                [b'A', b'C', b'O', b'N', ..] => "an animated cursor",
                _ => "a RIFF file",
            };
            return Format::Unread(kind.into());
        }
        _ => {}
    }
    if let Ok(format) = image::guess_format(head) {
        return Format::Other(format);
    }
    if let Some(name) = markup(head) {
        return Format::Unread(name.into());
    }
    // TGA has no signature, so for it alone the name has to do.
    let by_name = ImageFormat::from_path(path).ok();
    if by_name == Some(ImageFormat::Tga) {
        return Format::Other(ImageFormat::Tga);
    }
    Format::Unknown
}

/// Drawings and pages are text.
fn markup(head: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with("<svg")
        || (text.starts_with("<?xml") || text.starts_with("<!--")) && text.contains("<svg")
    {
        Some("an SVG drawing")
    } else if text.starts_with("<!doctype html") || text.starts_with("<html") || text.starts_with("<head") {
        Some("a web page, probably saved in place of the picture")
    } else if text.starts_with("<?xml") {
        Some("an XML document")
    } else {
        None
    }
}

/// What would be read of what this is.
pub(super) fn remedy(name: &str) -> &'static str {
    match name {
        _ if name.contains("film") || name.contains("animation") => "take a still of it, as PNG",
        _ if name.contains("Git LFS") || name.contains("web page") => "fetch the picture itself",
        _ if name.contains("raw file") => "develop it to PNG or TIFF",
        _ if name.contains("archive") || name.contains("program") => "choose a picture",
        _ => "save it as PNG",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(head: &[u8]) -> String {
        match of(head, Path::new("file.png")) {
            Format::Unread(name) => name,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn formats_that_are_not_read_are_known_by_their_marks() {
        assert_eq!(name(b"\0\0\0\x1cftypheic\0\0\0\0"), "a HEIC picture");
        assert_eq!(name(b"\0\0\0\x1cftypavif\0\0\0\0"), "an AVIF picture");
        assert_eq!(name(b"\0\0\0\x1cftypisom\0\0\0\0"), "an MP4 film");
        assert_eq!(name(b"RIFF\0\0\0\0AVI LIST"), "an AVI film");
        assert_eq!(name(b"%PDF-1.7"), "a PDF document");
        assert_eq!(name(b"8BPS\0\x01"), "a Photoshop document");
        assert_eq!(name(b"\xff\x0a\x01\x02"), "a JPEG XL picture");
        assert_eq!(name(b"\x76\x2f\x31\x01\x02\0\0\0"), "an OpenEXR picture");
        assert_eq!(
            name(b"\n<?xml version='1.0'?>\n<svg width='3'>"),
            "an SVG drawing"
        );
        assert_eq!(
            name(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
            "an SVG drawing"
        );
        assert!(name(b"<!DOCTYPE html><title>404").starts_with("a web page"));
        assert!(name(b"version https://git-lfs.github.com/spec/v1").contains("git lfs pull"));
    }

    #[test]
    fn formats_that_are_read_are_not_taken_for_others() {
        let format = |head: &[u8], name: &str| of(head, Path::new(name));
        assert_eq!(format(b"\xff\xd8\xff\xe0\0\x10JFIF", "a.png"), Format::Jpeg);
        for head in [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"] {
            assert_eq!(format(head, "a.png"), Format::Tiff);
        }
        for (head, expected) in [
            (b"RIFF\0\0\0\0WEBPVP8 ".as_slice(), ImageFormat::WebP),
            (b"P6 1 1 255\n", ImageFormat::Pnm),
            (b"BM\0\0\0\0", ImageFormat::Bmp),
            (b"#?RADIANCE\n", ImageFormat::Hdr),
        ] {
            assert_eq!(format(head, "a.jpg"), Format::Other(expected));
        }
        let tga = [0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 24, 32];
        assert_eq!(format(&tga, "a.TGA"), Format::Other(ImageFormat::Tga));
        assert_eq!(format(&tga, "a.png"), Format::Unknown);
        assert_eq!(format(b"Dear Vincent,\n", "letter.png"), Format::Unknown);
    }
}

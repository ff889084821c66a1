// SPDX-License-Identifier: MIT OR Apache-2.0

//! The formats that films are likely to have, and the elements that read them.
//!
//! What is there is asked by caps, as `decodebin` does, so that any element will do: a hardware decoder as well as one that
//! this program has never heard of.

use gst::prelude::*;

use super::report::{Mark, Report};
use super::wording::list;

/// A format, and where an element that reads it can be had.
struct Format {
    name: &'static str,
    caps: &'static str,
    /// A package of Debian and Ubuntu, and the element in it.
    package: &'static str,
    element: &'static str,
}

const fn format(
    name: &'static str,
    caps: &'static str,
    package: &'static str,
    element: &'static str,
) -> Format {
    Format {
        name,
        caps,
        package,
        element,
    }
}

const BASE: &str = "gstreamer1.0-plugins-base";
const GOOD: &str = "gstreamer1.0-plugins-good";
const BAD: &str = "gstreamer1.0-plugins-bad";
const LIBAV: &str = "gstreamer1.0-libav";

const FILES: [Format; 5] = [
    format("MP4/MOV", "video/quicktime", GOOD, "qtdemux"),
    format("MKV/WebM", "video/x-matroska; video/webm", GOOD, "matroskademux"),
    format("AVI", "video/x-msvideo", GOOD, "avidemux"),
    format("MPEG-TS", "video/mpegts", BAD, "tsdemux"),
    format("Ogg", "application/ogg", BASE, "oggdemux"),
];

const PICTURES: [Format; 10] = [
    format("H.264", "video/x-h264", LIBAV, "avdec_h264"),
    format("H.265", "video/x-h265", LIBAV, "avdec_h265"),
    // What decodes alpha alone does not count.
    format(VP8, "video/x-vp8, codec-alpha=false", GOOD, "vp8dec"),
    format(VP9, "video/x-vp9, codec-alpha=false", GOOD, "vp9dec"),
    format("AV1", "video/x-av1", BAD, "av1dec"),
    format(
        "MPEG-2",
        "video/mpeg, mpegversion=2, systemstream=false",
        LIBAV,
        "avdec_mpeg2video",
    ),
    format(
        "MPEG-4",
        "video/mpeg, mpegversion=4, systemstream=false",
        LIBAV,
        "avdec_mpeg4",
    ),
    format("MJPEG", "image/jpeg", GOOD, "jpegdec"),
    format("ProRes", "video/x-prores", LIBAV, "avdec_prores"),
    format("Theora", "video/x-theora", BASE, "theoradec"),
];

const SOUND: [Format; 6] = [
    format("AAC", "audio/mpeg, mpegversion=4", LIBAV, "avdec_aac"),
    format(
        "MP3",
        "audio/mpeg, mpegversion=1, layer=3",
        GOOD,
        "mpg123audiodec",
    ),
    format("AC-3", "audio/x-ac3", LIBAV, "avdec_ac3"),
    format("Opus", "audio/x-opus", BASE, "opusdec"),
    format("Vorbis", "audio/x-vorbis", BASE, "vorbisdec"),
    format("FLAC", "audio/x-flac", GOOD, "flacdec"),
];

const VP8: &str = "VP8";
const VP9: &str = "VP9";
/// The file of the bundled clip.
const WEBM: &str = FILES[1].name;

/// What can be read, by the names of the formats.
pub struct Read {
    pub files: Vec<&'static str>,
    pub pictures: Vec<&'static str>,
}

impl Read {
    /// Whether that includes a film that this program can write itself.
    pub fn webm(&self) -> bool {
        self.files.contains(&WEBM) && self.pictures.iter().any(|name| [VP8, VP9].contains(name))
    }
}

pub fn check(report: &mut Report) -> Read {
    use gst::ElementFactoryType as Type;
    let read = Read {
        files: tell(report, "files", Type::DEMUXER, &FILES),
        pictures: tell(report, "pictures", Type::DECODER, &PICTURES),
    };
    tell(report, "sound", Type::DECODER, &SOUND);
    read
}

/// Tells which of the formats can be read by elements of a type, and returns those.
fn tell(
    report: &mut Report,
    subject: &str,
    kind: gst::ElementFactoryType,
    formats: &[Format],
) -> Vec<&'static str> {
    let factories = gst::ElementFactory::factories_with_type(kind, gst::Rank::MARGINAL);
    let mut there = Vec::new();
    let mut names = Vec::new();
    let mut missing = Vec::new();
    for format in formats {
        match reader(&factories, format) {
            Some(element) => {
                there.push(format!("{} ({element})", format.name));
                names.push(format.name);
            }
            None => missing.push((format.package, format!("{} ({})", format.name, format.element))),
        }
    }
    if !there.is_empty() {
        report.works(subject, list(&there, "and"));
    }
    report.missing(Mark::Lacks, subject, &missing);
    names
}

/// The element that `decodebin` takes for a format, if there is any that can be loaded.
fn reader(factories: &gst::glib::List<gst::ElementFactory>, format: &Format) -> Option<String> {
    let caps: gst::Caps = format.caps.parse().ok()?;
    factories
        .iter()
        .filter(|factory| factory.can_sink_any_caps(&caps) && factory.load().is_ok())
        .max_by_key(|factory| factory.rank())
        .map(|factory| factory.name().to_string())
}

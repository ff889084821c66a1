// SPDX-License-Identifier: MIT OR Apache-2.0

//! The formats in which films can be written, and the elements that do it.

use std::path::Path;

use gst::prelude::*;

use crate::failure::Failure;

/// A kind of file, and what can fill it, the best first.
pub struct Container {
    pub ending: &'static str,
    pub muxer: Part,
    /// What a film is written as if nobody asks for anything: the first of these that is there.
    pub defaults: &'static [Codec],
    /// What else it may hold.
    others: &'static [Codec],
    pub audio: &'static [Part],
}

/// How pictures are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Codec {
    /// H.264, 8 bits: plays nearly everywhere
    H264,
    /// VP8, 8 bits
    Vp8,
    /// VP9, 8 or 10 bits
    Vp9,
    /// AV1: the smallest files, and the slowest to write
    Av1,
    /// FFV1: lossless, with the depth and the chroma of IN
    Ffv1,
    /// ProRes 422 HQ, 10 bits: for editing
    Prores,
}

/// An element with its settings as in a launch line, and the Debian package that has it.
#[derive(Clone, Copy)]
pub struct Part {
    pub element: &'static str,
    settings: &'static str,
    pub package: &'static str,
    /// The element that must stand behind it, and its package.
    behind: Option<(&'static str, &'static str)>,
}

pub const fn part(element: &'static str, settings: &'static str, package: &'static str) -> Part {
    Part {
        element,
        settings,
        package,
        behind: None,
    }
}

const fn parsed(part: Part, parser: &'static str) -> Part {
    Part {
        behind: Some((parser, BAD)),
        ..part
    }
}

const BASE: &str = "gstreamer1.0-plugins-base";
const GOOD: &str = "gstreamer1.0-plugins-good";
const BAD: &str = "gstreamer1.0-plugins-bad";
const UGLY: &str = "gstreamer1.0-plugins-ugly";
const LIBAV: &str = "gstreamer1.0-libav";

// Brush strokes are all detail, so every encoder is told to keep a quality, not a bit rate. What looks ahead does so only
// a little: when the film is interrupted, what it has seen and not yet written is waited for.
const X264: Part = part(
    "x264enc",
    "pass=qual quantizer=20 speed-preset=medium rc-lookahead=10",
    UGLY,
);
const OPEN_H264: Part = parsed(
    part("openh264enc", "rate-control=quality bitrate=8000000", BAD),
    "h264parse",
);
const VP8: Part = part(
    "vp8enc",
    "deadline=1000000 cpu-used=4 threads=4 end-usage=cq cq-level=12 max-quantizer=40 target-bitrate=20000000 keyframe-max-dist=60",
    GOOD,
);
const VP9: Part = part(
    "vp9enc",
    "deadline=1000000 cpu-used=4 threads=4 row-mt=true end-usage=cq cq-level=20 target-bitrate=20000000 lag-in-frames=10 \
     keyframe-max-dist=120",
    GOOD,
);
const SVT_AV1: Part = parsed(part("svtav1enc", "preset=8 crf=25", BAD), "av1parse");
const AOM_AV1: Part = parsed(
    part(
        "av1enc",
        "usage-profile=realtime cpu-used=7 lag-in-frames=0 end-usage=q target-bitrate=20000 threads=4 row-mt=true",
        BAD,
    ),
    "av1parse",
);
const FFV1: Part = part("avenc_ffv1", "", LIBAV);
const PRORES: Part = part("avenc_prores_ks", "profile=hq", LIBAV);

const OPUS: Part = part("opusenc", "bitrate=128000", BASE);
const VORBIS: Part = part("vorbisenc", "quality=0.5", BASE);
const AVENC_AAC: Part = part("avenc_aac", "bitrate=160000", LIBAV);
const FDK_AAC: Part = part("fdkaacenc", "bitrate=160000", BAD);
const VO_AAC: Part = part("voaacenc", "bitrate=160000", BAD);

pub const CONTAINERS: [Container; 4] = [
    Container {
        ending: "webm",
        muxer: part("webmmux", "", GOOD),
        defaults: &[Codec::Vp8],
        others: &[Codec::Vp9, Codec::Av1],
        audio: &[OPUS, VORBIS],
    },
    Container {
        ending: "mkv",
        muxer: part("matroskamux", "", GOOD),
        defaults: &[Codec::H264, Codec::Vp8],
        others: &[Codec::Vp9, Codec::Av1, Codec::Ffv1],
        audio: &[OPUS, VORBIS],
    },
    Container {
        ending: "mp4",
        muxer: part("mp4mux", "faststart=true", GOOD),
        defaults: &[Codec::H264],
        others: &[Codec::Av1],
        audio: &[AVENC_AAC, FDK_AAC, VO_AAC, OPUS],
    },
    Container {
        ending: "mov",
        muxer: part("qtmux", "faststart=true", GOOD),
        defaults: &[Codec::H264],
        others: &[Codec::Prores],
        audio: &[AVENC_AAC, FDK_AAC, VO_AAC],
    },
];

impl Container {
    /// What it may hold, the default first.
    pub fn codecs(&self) -> impl Iterator<Item = Codec> {
        self.defaults.iter().chain(self.others).copied()
    }

    /// Everything that could write its pictures by default, the best first.
    pub fn video(&self) -> Vec<Part> {
        let encoders = self.defaults.iter().map(|codec| codec.encoders());
        encoders.collect::<Vec<_>>().concat()
    }
}

impl Codec {
    /// The elements that encode it, the best first.
    pub fn encoders(self) -> &'static [Part] {
        match self {
            Self::H264 => &[X264, OPEN_H264],
            Self::Vp8 => &[VP8],
            Self::Vp9 => &[VP9],
            Self::Av1 => &[SVT_AV1, AOM_AV1],
            Self::Ffv1 => &[FFV1],
            Self::Prores => &[PRORES],
        }
    }

    /// As on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Vp8 => "vp8",
            Self::Vp9 => "vp9",
            Self::Av1 => "av1",
            Self::Ffv1 => "ffv1",
            Self::Prores => "prores",
        }
    }

    /// The raw formats that it is fed with. Any player shows 4:2:0; what is meant for work keeps more.
    pub fn formats(self) -> &'static [&'static str] {
        match self {
            Self::H264 | Self::Vp8 => &["I420"],
            Self::Vp9 | Self::Av1 => &["I420", "I420_10LE"],
            Self::Prores => &["I422_10LE"],
            Self::Ffv1 => &[
                "I420",
                "Y42B",
                "Y444",
                "Y41B",
                "GRAY8",
                "BGRx",
                "A420",
                "BGRA",
                "I420_10LE",
                "I422_10LE",
                "Y444_10LE",
                "GBR_10LE",
                "A444_10LE",
                "GBRA_10LE",
                "I420_12LE",
                "I422_12LE",
                "Y444_12LE",
                "GBR_12LE",
                "GRAY16_LE",
            ],
        }
    }
}

impl Part {
    /// Whether this GStreamer has the element, and whatever its plugin is linked to.
    pub fn exists(&self) -> bool {
        let found = |name| {
            gst::ElementFactory::find(name).is_some_and(|factory: gst::ElementFactory| factory.load().is_ok())
        };
        found(self.element) && self.behind.is_none_or(|(name, _)| found(name))
    }

    /// As in a launch line.
    pub fn in_a_line(&self) -> String {
        match self.behind {
            Some((parser, _)) => format!("{} {} ! {parser}", self.element, self.settings),
            None => format!("{} {}", self.element, self.settings),
        }
    }

    /// Whether it takes frames of a raw format.
    pub fn takes(&self, format: &str) -> bool {
        let caps = gst::Caps::builder("video/x-raw").field("format", format).build();
        gst::ElementFactory::find(self.element).is_some_and(|factory| factory.can_sink_any_caps(&caps))
    }
}

/// What the elements around `neuralstyle` are called, and where they are.
pub const SURROUNDINGS: [Part; 9] = [
    part("filesrc", "", "libgstreamer1.0-0"),
    part("decodebin", "", BASE),
    part("videoconvert", "", BASE),
    part("audioconvert", "", BASE),
    part("audioresample", "", BASE),
    part("appsrc", "", BASE),
    part("appsink", "", BASE),
    part("videoflip", "", GOOD),
    part("deinterlace", "", GOOD),
];

/// The elements that will write the file.
#[derive(Clone)]
pub struct Parts {
    pub ending: &'static str,
    pub muxer: Part,
    pub codec: Codec,
    pub video: Part,
    /// None where nothing here encodes sound for such files.
    pub audio: Option<Part>,
}

/// What is needed to write a file of this name, or which package has what is missing.
pub fn choose_parts(output: &Path, codec: Option<Codec>) -> Result<Parts, Failure> {
    let ending = ending_of(output);
    let container = CONTAINERS
        .iter()
        .find(|container| container.ending == ending)
        .ok_or_else(|| {
            format!(
                "cannot write {}: the name must end in .webm, .mkv, .mp4 or .mov, or be a pattern for pictures like frames/%05d.png",
                output.display()
            )
        })?;
    check_surroundings(&ending)?;
    let codecs = match codec {
        None => container.defaults,
        Some(codec) if container.codecs().any(|fits| fits == codec) => &[codec][..],
        Some(codec) => return Err(misfit(container, codec)),
    };
    let muxer = first_that_exists(&[container.muxer], &ending)?;
    let chosen = codecs.iter().find_map(|codec| {
        let video = existing(codec.encoders())?;
        Some((*codec, *video))
    });
    let Some((codec, video)) = chosen else {
        return Err(nothing_encodes(container, codecs));
    };
    Ok(Parts {
        ending: container.ending,
        muxer,
        codec,
        video,
        audio: existing(container.audio).copied(),
    })
}

/// Makes sure that the elements around the painter are there.
pub fn check_surroundings(ending: &str) -> Result<(), Failure> {
    for surrounding in &SURROUNDINGS {
        first_that_exists(std::slice::from_ref(surrounding), ending)?;
    }
    Ok(())
}

pub fn ending_of(path: &Path) -> String {
    let ending = path.extension().unwrap_or_default();
    ending.to_string_lossy().to_lowercase()
}

/// What goes in place of a codec that a kind of file does not hold.
fn misfit(container: &Container, codec: Codec) -> Failure {
    let here: Vec<_> = container.codecs().map(Codec::word).collect();
    let there = CONTAINERS
        .iter()
        .filter(|other| other.codecs().any(|fits| fits == codec));
    let there: Vec<_> = there.map(|other| format!(".{}", other.ending)).collect();
    format!(
        ".{} files hold no {}; they hold {}, and {} goes into {}",
        container.ending,
        codec.word(),
        here.join(", "),
        codec.word(),
        there.join(", ")
    )
    .into()
}

fn nothing_encodes(container: &Container, codecs: &[Codec]) -> Failure {
    let encoders: Vec<Part> = codecs
        .iter()
        .flat_map(|codec| codec.encoders())
        .copied()
        .collect();
    let names: Vec<_> = encoders.iter().map(|part| part.in_words()).collect();
    let packages: Vec<_> = encoders.iter().map(|part| part.package).collect();
    let instead = match container.ending {
        "webm" => "",
        _ => "; a name that ends in .webm needs none of these",
    };
    format!(
        "this GStreamer cannot write .{}: it lacks {}; on Debian and Ubuntu: sudo apt install {}{instead}",
        container.ending,
        names.join(" or "),
        packages.join(" (or ") + &")".repeat(packages.len().saturating_sub(1)),
    )
    .into()
}

impl Part {
    fn in_words(&self) -> String {
        match self.behind {
            Some((parser, _)) => format!("{} with {parser}", self.element),
            None => self.element.to_owned(),
        }
    }
}

fn first_that_exists(parts: &[Part], ending: &str) -> Result<Part, Failure> {
    let missing = || -> Failure {
        let names: Vec<_> = parts.iter().map(|part| part.element).collect();
        let package = parts.first().map_or("", |part| part.package);
        let names = names.join(" or ");
        format!("this GStreamer cannot write .{ending}: it lacks {names}; on Debian and Ubuntu: sudo apt install {package}")
            .into()
    };
    existing(parts).copied().ok_or_else(missing)
}

/// The first of some elements that is there.
pub fn existing(parts: &[Part]) -> Option<&Part> {
    parts.iter().find(|part| part.exists())
}

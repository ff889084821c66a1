// SPDX-License-Identifier: MIT OR Apache-2.0

//! The formats in which films can be written, and the elements that do it.

use std::path::Path;

use gst::prelude::*;

use crate::failure::Failure;

/// A kind of file, and what can fill it, the best first.
pub struct Container {
    pub ending: &'static str,
    pub muxer: Part,
    pub video: &'static [Part],
    pub audio: &'static [Part],
}

/// An element with its settings as in a launch line, and the Debian package that has it.
#[derive(Clone, Copy)]
pub struct Part {
    pub element: &'static str,
    settings: &'static str,
    pub package: &'static str,
}

pub const fn part(element: &'static str, settings: &'static str, package: &'static str) -> Part {
    Part {
        element,
        settings,
        package,
    }
}

// Brush strokes are all detail, so every encoder is told to keep a quality, not a bit rate.
const VP8: Part = part(
    "vp8enc",
    "deadline=1000000 cpu-used=4 threads=4 end-usage=cq cq-level=12 max-quantizer=40 target-bitrate=20000000 keyframe-max-dist=60",
    "gstreamer1.0-plugins-good",
);
const H264: Part = part(
    "x264enc",
    "pass=qual quantizer=20 speed-preset=medium",
    "gstreamer1.0-plugins-ugly",
);
const OPEN_H264: Part = part(
    "openh264enc",
    "rate-control=quality bitrate=8000000",
    "gstreamer1.0-plugins-bad",
);
const MPEG4: Part = part("avenc_mpeg4", "bitrate=8000000", "gstreamer1.0-libav");
const OPUS: Part = part("opusenc", "bitrate=128000", "gstreamer1.0-plugins-base");
const VORBIS: Part = part("vorbisenc", "quality=0.5", "gstreamer1.0-plugins-base");
const AAC: Part = part("avenc_aac", "bitrate=160000", "gstreamer1.0-libav");

pub const CONTAINERS: [Container; 3] = [
    Container {
        ending: "webm",
        muxer: part("webmmux", "", "gstreamer1.0-plugins-good"),
        video: &[VP8],
        audio: &[OPUS, VORBIS],
    },
    Container {
        ending: "mkv",
        muxer: part("matroskamux", "", "gstreamer1.0-plugins-good"),
        video: &[H264, OPEN_H264, VP8],
        audio: &[OPUS, VORBIS],
    },
    Container {
        ending: "mp4",
        muxer: part("mp4mux", "faststart=true", "gstreamer1.0-plugins-good"),
        video: &[H264, OPEN_H264, MPEG4],
        audio: &[AAC, OPUS],
    },
];

impl Part {
    /// Whether this GStreamer has the element, and whatever its plugin is linked to.
    pub fn exists(&self) -> bool {
        gst::ElementFactory::find(self.element).is_some_and(|factory| factory.load().is_ok())
    }

    /// As in a launch line.
    pub fn in_a_line(&self) -> String {
        format!("{} {}", self.element, self.settings)
    }
}

/// What the elements around `neuralstyle` are called, and where they are.
pub const SURROUNDINGS: [Part; 6] = [
    part("filesrc", "", "libgstreamer1.0-0"),
    part("decodebin", "", "gstreamer1.0-plugins-base"),
    part("videoconvert", "", "gstreamer1.0-plugins-base"),
    part("audioconvert", "", "gstreamer1.0-plugins-base"),
    part("audioresample", "", "gstreamer1.0-plugins-base"),
    part("videoflip", "", "gstreamer1.0-plugins-good"),
];

/// The elements that will write the file.
pub struct Parts {
    pub muxer: Part,
    pub video: Part,
    pub audio: Part,
}

/// What is needed to write a file of this name, or which package has what is missing.
pub fn choose_parts(output: &Path) -> Result<Parts, Failure> {
    let ending = output
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let container = CONTAINERS
        .iter()
        .find(|container| container.ending == ending)
        .ok_or_else(|| {
            format!(
                "cannot write {}: the name must end in .webm, .mkv or .mp4",
                output.display()
            )
        })?;
    for surrounding in &SURROUNDINGS {
        first_that_exists(std::slice::from_ref(surrounding), &ending)?;
    }
    Ok(Parts {
        muxer: first_that_exists(&[container.muxer], &ending)?,
        video: first_that_exists(container.video, &ending)?,
        audio: first_that_exists(container.audio, &ending)?,
    })
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

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Folders with what the program reads, and what it wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gst::prelude::*;
use tempfile::TempDir;

use crate::running::{command, run};

/// A folder with a small picture and a clip of ten frames and one second of sound.
pub struct Folder(pub TempDir);

impl Folder {
    pub fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let picture = image::RgbImage::from_fn(48, 32, |x, y| image::Rgb([(x * 5) as u8, (y * 7) as u8, 90]));
        picture.save(folder.path("content.png")).unwrap();
        image::imageops::rotate90(&picture)
            .save(folder.path("style.png"))
            .unwrap();
        folder
    }

    pub fn with_clip(frames: u32) -> Self {
        let folder = Self::new();
        gst::init().unwrap();
        let line = format!(
            "videotestsrc num-buffers={frames} ! video/x-raw,width=64,height=48,framerate=10/1 ! vp8enc ! mux. \
             audiotestsrc num-buffers=10 samplesperbuffer=4800 ! audio/x-raw,rate=48000 ! opusenc ! mux. \
             webmmux name=mux ! filesink location={}",
            folder.path("clip.webm").display()
        );
        let pipeline = gst::parse::launch(&line).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = pipeline
            .bus()
            .unwrap()
            .timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds);
        pipeline.set_state(gst::State::Null).unwrap();
        assert_eq!(end.map(|message| message.type_()), Some(gst::MessageType::Eos));
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub fn paint(&self, more: &[&str]) -> Output {
        run(command(&["image"])
            .current_dir(self.0.path())
            .args([
                "--content",
                "content.png",
                "--style",
                "style.png",
                "--network",
                "tiny",
            ])
            .args(more))
    }

    pub fn render(&self) -> Command {
        let mut command = command(&["film"]);
        command
            .current_dir(self.0.path())
            .args([
                "clip.webm",
                "out.webm",
                "--style",
                "style.png",
                "--network",
                "tiny",
            ])
            .args(["--first-iterations", "1", "--iterations", "1"]);
        command
    }
}

/// How many pictures and how many pieces of sound a file decodes to.
pub fn decoded(path: &Path) -> (usize, usize) {
    let line = format!(
        "filesrc location={} ! decodebin name=d \
         d. ! queue ! video/x-raw ! appsink name=video sync=false \
         d. ! queue ! audio/x-raw ! appsink name=audio sync=false",
        path.display()
    );
    let [pictures, sounds] = counted(&line, ["video", "audio"]);
    (pictures, sounds)
}

/// How many pictures a file without sound decodes to.
pub fn decoded_pictures(path: &Path) -> usize {
    let line = format!(
        "filesrc location={} ! decodebin ! video/x-raw ! appsink name=video sync=false",
        path.display()
    );
    let [pictures] = counted(&line, ["video"]);
    pictures
}

/// How many buffers come to each of the sinks of a pipeline.
fn counted<const N: usize>(line: &str, sinks: [&str; N]) -> [usize; N] {
    let pipeline = gst::parse::launch(line)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let patience = gst::ClockTime::from_seconds(60);
    let counts = sinks.map(|name| {
        let sink = pipeline.by_name(name).and_downcast::<gst_app::AppSink>().unwrap();
        std::iter::from_fn(|| sink.try_pull_sample(patience)).count()
    });
    pipeline.set_state(gst::State::Null).unwrap();
    counts
}

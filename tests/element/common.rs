// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the element's tests share: the element itself, style pictures, frames, and pipelines that are run to their end.

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::sync::Once;

use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};

/// How long something that must happen may take before a test gives up. No test is true or false by the clock.
pub const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(120);

/// Settings under which a frame takes milliseconds, and exactly as many steps as they say.
pub const QUICK: &str =
    "network=tiny working-size=32 scales=1 first-iterations=2 iterations=1 cut-threshold=1";

pub const PACKED_FORMATS: [VideoFormat; 10] = [
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Xrgb,
    VideoFormat::Xbgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
];

pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstneuralstyle::plugin_register_static().unwrap();
    });
}

/// A folder of style pictures that goes when the test ends.
pub struct Pictures(tempfile::TempDir);

impl Pictures {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Broad strokes of two shades of one colour.
    pub fn strokes(&self, name: &str, [r, g, b]: [u8; 3]) -> PathBuf {
        let path = self.path(name);
        let picture = image::RgbImage::from_fn(48, 40, |x, y| {
            let shade = if (x + 2 * y) % 12 < 6 { 1 } else { 2 };
            image::Rgb([r / shade, g / shade, b / shade])
        });
        picture.save(&path).unwrap();
        path
    }

    pub fn red(&self) -> PathBuf {
        self.strokes("red.png", [240, 40, 20])
    }

    pub fn blue(&self) -> PathBuf {
        self.strokes("blue.png", [20, 40, 240])
    }
}

/// The element with a style and quick settings; more settings as in a launch line.
pub fn element(style: &Path, more: &str) -> gst::Element {
    init();
    let line = format!("neuralstyle style=\"{}\" {QUICK} {more}", style.display());
    gst::parse::launch(&line).unwrap()
}

/// An element between two pads of the test, with a bus to listen to.
pub struct Rig {
    pub element: gst::Element,
    pub bus: gst::Bus,
    pub harness: Harness,
    pub info: VideoInfo,
}

impl Rig {
    pub fn new(element: gst::Element, info: &VideoInfo) -> Self {
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
        // A harness says that it is unless it is told otherwise.
        harness.set_live(false);
        harness.set_src_caps(info.to_caps().unwrap());
        Self {
            element,
            bus,
            harness,
            info: info.clone(),
        }
    }

    pub fn rgb(element: gst::Element, width: u32, height: u32) -> Self {
        init();
        Self::new(element, &info(VideoFormat::Rgb, width, height))
    }

    /// The frame number `number`, at 25 frames a second.
    pub fn frame(&self, number: u64) -> gst::Buffer {
        frame(&self.info, number)
    }

    /// Sends a frame in and takes what comes out.
    pub fn paint(&mut self, buffer: gst::Buffer) -> gst::Buffer {
        self.harness.push(buffer).unwrap();
        self.harness
            .try_pull()
            .expect("a frame went in, so a frame comes out")
    }

    /// Steps since the start.
    pub fn iterations(&self) -> u64 {
        self.stats().get("iterations").unwrap()
    }

    pub fn stats(&self) -> gst::Structure {
        self.element.property("stats")
    }

    /// The next message of a kind, which must come.
    pub fn message(&self, kind: gst::MessageType) -> gst::Message {
        self.bus
            .timed_pop_filtered(PATIENCE, &[kind])
            .expect("the message comes")
    }
}

pub fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
    init();
    VideoInfo::builder(format, width, height)
        .fps(gst::Fraction::new(25, 1))
        .build()
        .unwrap()
}

pub const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// A frame whose every byte differs from its neighbours, alpha and padding too. The scene moves with its number.
pub fn frame(info: &VideoInfo, number: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
    let bytes: Vec<u8> = (0..info.size())
        .map(|i| ((i as u64 * 37 + number * 11) % 251) as u8)
        .collect();
    let buffer_ref = buffer.get_mut().unwrap();
    buffer_ref.copy_from_slice(0, &bytes).unwrap();
    buffer_ref.set_pts(FRAME * number);
    buffer_ref.set_duration(FRAME);
    buffer
}

pub fn bytes(buffer: &gst::BufferRef) -> Vec<u8> {
    buffer.map_readable().unwrap().to_vec()
}

/// The mean of each colour of an RGB frame without padding between rows.
pub fn mean_colour(buffer: &gst::BufferRef, info: &VideoInfo) -> [f64; 3] {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    use gst_video::prelude::*;
    let (data, stride) = (frame.plane_data(0).unwrap(), frame.plane_stride()[0] as usize);
    let (width, height) = (info.width() as usize, info.height() as usize);
    let mut sum = [0.0; 3];
    for row in data.chunks(stride).take(height) {
        for pixel in row[..width * 3].chunks(3) {
            for (sum, &value) in sum.iter_mut().zip(pixel) {
                *sum += f64::from(value);
            }
        }
    }
    sum.map(|sum| sum / (width * height) as f64)
}

/// Runs a launch line to its end and gives the samples that came to the `appsink`.
pub fn render(line: &str) -> Vec<gst::Sample> {
    try_render(line).unwrap_or_else(|error| panic!("{error}"))
}

/// When each of these is shown.
pub fn shown_at(samples: &[gst::Sample]) -> Vec<gst::ClockTime> {
    samples
        .iter()
        .map(|sample| sample.buffer().unwrap().pts().unwrap())
        .collect()
}

/// The same, or what the user would have been told.
pub fn try_render(line: &str) -> Result<Vec<gst::Sample>, String> {
    init();
    let pipeline = gst::parse::launch(line)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    let sink = pipeline
        .iterate_sinks()
        .into_iter()
        .flatten()
        .find_map(|sink| sink.downcast::<gst_app::AppSink>().ok());
    let sink = sink.expect("the line ends in an appsink");
    sink.set_property("sync", false);
    let started = pipeline.set_state(gst::State::Playing);
    let mut samples = Vec::new();
    if started.is_ok() {
        while let Ok(sample) = sink.pull_sample() {
            samples.push(sample);
        }
    }
    let bus = pipeline.bus().unwrap();
    let last = bus.timed_pop_filtered(PATIENCE, &[gst::MessageType::Eos, gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null).unwrap();
    match last.expect("a pipeline ends or fails").view() {
        gst::MessageView::Error(error) => Err(error.error().to_string()),
        _ => Ok(samples),
    }
}

/// The sink that a launch line calls `out`.
pub fn appsink(pipeline: &impl IsA<gst::Bin>) -> gst_app::AppSink {
    let sink = pipeline.by_name("out").unwrap();
    sink.downcast().expect("it is an appsink")
}

/// Where the plugin that this test is linked with lies as a file, for other programs.
#[cfg(target_os = "linux")]
pub fn plugin_folder() -> tempfile::TempDir {
    let name = "libgstneuralstyle.so";
    let built = std::env::current_exe().unwrap().with_file_name(name);
    assert!(built.exists(), "cargo builds {} with this test", built.display());
    // What else lies there is no plugin.
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(built, folder.path().join(name)).unwrap();
    folder
}

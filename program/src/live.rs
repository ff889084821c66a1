// SPDX-License-Identifier: MIT OR Apache-2.0

//! Paints a camera, a file or a test picture while it is seen.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use clap::Args;
use gst::prelude::*;
use indicatif::ProgressBar;

use crate::bundled::{Material, STARRY_NIGHT};
use crate::failure::Failure;
use crate::film::formats::{Part, part};
use crate::flags::{Flags, Stream};
use crate::pipeline::{PROGRESSIVE, Pipeline, end_when, link_streams, set_properties};
use crate::progress;
use crate::values::{count, counted, size};

/// Paints a camera, a file or a test picture while it is seen.
///
/// No frame waits for the painter: it works beside the stream, and what it has painted moves along with the scene.
/// Ctrl-C, or closing the window, ends it.
#[derive(Args)]
#[command(after_help = "\
Examples
  neuralstyle live                                   the first camera, in a window, as The Starry Night
  neuralstyle live test --style dots.png             a bouncing ball, for a quick look at a style
  neuralstyle live clip.mp4 --network tiny
  neuralstyle live /dev/video2 --to 'v4l2sink device=/dev/video10 sync=false'
                                                     a virtual camera, for video calls; to make one:
                                                     sudo apt install v4l2loopback-dkms
                                                     sudo modprobe v4l2loopback video_nr=10 exclusive_caps=1
  neuralstyle live --to 'x264enc tune=zerolatency ! mp4mux ! filesink location=me.mp4'")]
pub struct Arguments {
    /// What is painted: ‘camera’ for the first camera, /dev/video2 for another one, ‘test’ for a test picture, or a
    /// video file
    #[arg(value_name = "SOURCE", default_value = "camera")]
    source: PathBuf,

    /// The picture in whose style it is painted [default: The Starry Night, built in]
    #[arg(long, value_name = "PICTURE")]
    style: Option<PathBuf>,

    /// Where it is shown: the end of a launch line
    #[arg(long, value_name = "SINK", default_value = "autovideosink")]
    to: String,

    /// Size of the frames [default: the source's; 640x360 for the test picture]
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    size: Option<(usize, usize)>,

    /// End after so many frames
    #[arg(long, value_name = "N", value_parser = count(1..=usize::MAX))]
    frames: Option<usize>,

    #[command(flatten)]
    flags: Flags<Stream>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    gst::init()?;
    gstneuralstyle::plugin_register_static()?;
    let style = Material::new(arguments.style.as_deref(), &STARRY_NIGHT)?;
    let show = Show::build(arguments, style.path())?;
    let began = Instant::now();
    show.run()?;
    let (frames, seconds) = (show.frames(), began.elapsed().as_secs_f64());
    say!(
        "{} in {seconds:.1} s ({:.1} a second), {} painted anew",
        counted(frames as usize, "frame"),
        frames as f64 / seconds,
        show.keyframes()
    );
    Ok(())
}

/// Where pictures come from.
enum Source {
    /// A launch line that gives raw frames.
    Raw(String),
    /// What a decoder must be put behind.
    Encoded(gst::Element, &'static str),
}

/// The source, and the queue behind it.
fn source(arguments: &Arguments) -> Result<Source, Failure> {
    let path = &arguments.source;
    let camera = || gst::ElementFactory::make("v4l2src");
    // A camera never waits, so what cannot be shown in time is left out before the filter; a file waits for the window.
    match path.to_str() {
        Some("test") => {
            let (width, height) = arguments.size.unwrap_or((640, 360));
            Ok(Source::Raw(format!(
                "videotestsrc is-live=true pattern=ball ! video/x-raw,width={width},height={height},framerate=30/1 ! {LEAKY}"
            )))
        }
        Some("camera") => Ok(Source::Encoded(camera().build()?, LEAKY)),
        _ if path.is_file() => {
            let file = gst::ElementFactory::make("filesrc").property("location", path);
            Ok(Source::Encoded(file.build()?, "queue max-size-buffers=2"))
        }
        Some(device) if path.exists() && device.starts_with("/dev/") => {
            let camera = camera().property("device", device);
            Ok(Source::Encoded(camera.build()?, LEAKY))
        }
        _ if path.is_dir() => Err(format!("{} is a folder, not a video file", path.display()).into()),
        _ => Err(format!(
            "there is no {}; SOURCE is camera, /dev/video…, test or a video file",
            path.display()
        )
        .into()),
    }
}

/// The part of the line that brings frames to the size that was asked for.
fn scaled(size: Option<(usize, usize)>) -> String {
    match size {
        Some((width, height)) => {
            format!("videoscale ! video/x-raw,width={width},height={height},pixel-aspect-ratio=1/1 ! ")
        }
        None => String::new(),
    }
}

/// What the elements around `neuralstyle` are called, and where they are.
pub const SURROUNDINGS: [Part; 8] = [
    part("queue", "", "libgstreamer1.0-0"),
    part("filesrc", "", "libgstreamer1.0-0"),
    part("decodebin", "", "gstreamer1.0-plugins-base"),
    part("videoconvert", "", "gstreamer1.0-plugins-base"),
    part("videoscale", "", "gstreamer1.0-plugins-base"),
    part("videotestsrc", "", "gstreamer1.0-plugins-base"),
    part("autovideosink", "", "gstreamer1.0-plugins-good"),
    part("deinterlace", "", "gstreamer1.0-plugins-good"),
];

const LEAKY: &str = "queue leaky=downstream max-size-buffers=1";

/// The pipeline, and what its threads and this one tell each other.
struct Show {
    pipeline: Pipeline,
    painter: gst::Element,
    shown: Arc<AtomicU64>,
    /// The user, or the number of frames, has it end.
    stopping: Arc<AtomicBool>,
}

impl Show {
    fn build(arguments: &Arguments, style: &Path) -> Result<Self, Failure> {
        let pipeline = Pipeline::default();
        let painting = "neuralstyle name=painter mode=live ! videoconvert";
        let parts = match source(arguments)? {
            Source::Raw(line) => {
                let parts = gst::parse::bin_from_description(&format!("{line} ! {painting}"), true)?;
                pipeline.add(&parts)?;
                parts
            }
            Source::Encoded(source, queue) => {
                let line = format!("{PROGRESSIVE} ! {}{queue} ! {painting}", scaled(arguments.size));
                let parts = gst::parse::bin_from_description(&line, true)?;
                let decoder = gst::ElementFactory::make("decodebin").build()?;
                pipeline.add_many([&source, &decoder, parts.upcast_ref()])?;
                source.link(&decoder)?;
                // Nobody would hear its sound in time with the pictures.
                link_streams(&decoder, &parts, || Ok(None));
                parts
            }
        };
        let painter = parts.by_name("painter").ok_or("the painter has lost its name")?;
        set_properties(&painter, style, &arguments.flags)?;
        let sink = gst::parse::bin_from_description(&arguments.to, true)
            .map_err(|error| format!("--to {}: {error}", arguments.to))?;
        pipeline.add(&sink)?;
        parts
            .link(&sink)
            .map_err(|_| format!("--to {} takes no pictures", arguments.to))?;
        let show = Self {
            pipeline,
            painter,
            shown: Arc::default(),
            stopping: Arc::default(),
        };
        show.count(arguments.frames);
        Ok(show)
    }

    /// Counts what is shown, and has the stream end after `most` frames.
    fn count(&self, most: Option<usize>) {
        end_when(&self.stopping, &self.painter);
        let (shown, stopping) = (self.shown.clone(), self.stopping.clone());
        if let Some(pad) = self.painter.static_pad("src") {
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                let count = shown.fetch_add(1, Ordering::AcqRel) + 1;
                if most.is_some_and(|most| count >= most as u64) {
                    stopping.store(true, Ordering::Release);
                }
                gst::PadProbeReturn::Ok
            });
        }
    }

    fn frames(&self) -> u64 {
        self.shown.load(Ordering::Acquire)
    }

    fn keyframes(&self) -> u64 {
        let stats: gst::Structure = self.painter.property("stats");
        stats.get("keyframes").unwrap_or(0)
    }

    /// Runs until the end, a failure or Ctrl-C.
    fn run(&self) -> Result<(), Failure> {
        let line = progress::bar(0, "{spinner} {elapsed}  {msg}");
        let turn = |interrupts| {
            match interrupts {
                0 => {}
                1 => self.stopping.store(true, Ordering::Release),
                // Nothing passes that could carry the end: a camera that hangs.
                _ => return Ok(ControlFlow::Break(())),
            }
            self.tell_rate(&line);
            Ok(ControlFlow::Continue(()))
        };
        self.pipeline.play(&line, turn, |message| {
            match message.view() {
                gst::MessageView::Latency(_) => self.pipeline.recalculate_latency()?,
                gst::MessageView::Error(error) if window_closed(error) => return Ok(ControlFlow::Break(())),
                _ => {}
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    fn tell_rate(&self, line: &ProgressBar) {
        let seconds = line.elapsed().as_secs_f64().max(1e-3);
        line.set_message(format!(
            "{:.1} frames a second, {:.1} of them painted anew; Ctrl-C ends",
            self.frames() as f64 / seconds,
            self.keyframes() as f64 / seconds
        ));
        line.tick();
    }
}

/// Whether an error says that the user closed the window.
fn window_closed(error: &gst::message::Error) -> bool {
    error.error().matches(gst::ResourceError::NotFound)
        && error.error().message().contains("window was closed")
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Paints a video file in the style of a picture, and keeps its sound.
//!
//!     cargo run --release --example stylize_video -- clip.mp4 painting.webm --style media/starry_night.jpg
//!
//! It is what one would write with gst-launch-1.0 around the element `neuralstyle`, with the details seen to: an
//! encoder that is there, the sound, a progress bar, and a playable file when it is interrupted. Every flag that
//! has the name of one of the element's properties sets it.

mod common;
#[path = "common/flags.rs"]
mod flags;
#[path = "common/output.rs"]
mod output;
#[path = "common/values.rs"]
mod values;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use gst::prelude::*;
use indicatif::{ProgressBar, ProgressStyle};

use common::{Failure, finish};
use flags::{Optimisation, measure};
use output::{Output, same_file};
use values::count;

/// Paints a video file in the style of a picture, and keeps its sound.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The video to paint: anything that GStreamer can decode
    #[arg(value_name = "IN")]
    input: PathBuf,

    /// Where to write; the ending chooses the format: .webm, .mkv or .mp4
    #[arg(value_name = "OUT")]
    output: PathBuf,

    /// The picture in whose style it is painted
    #[arg(long, value_name = "PICTURE")]
    style: PathBuf,

    /// Replace OUT if it exists
    #[arg(long)]
    force: bool,

    /// Steps per keyframe
    #[arg(long, value_name = "N", default_value = "6", value_parser = count(1..=1_000_000))]
    iterations: usize,

    /// Steps on the first frame and after a cut, in what they cost at full size
    #[arg(long, value_name = "N", default_value = "40", value_parser = count(1..=1_000_000))]
    first_iterations: usize,

    /// Frames from keyframe to keyframe; those between are put together from both
    #[arg(long, value_name = "N", default_value = "1", value_parser = count(1..=100_000))]
    keyframe_interval: usize,

    /// Longer side in pixels at which frames are painted; 0 chooses by backend
    #[arg(long, value_name = "PX", default_value = "0", value_parser = count(0..=16_384))]
    working_size: usize,

    /// How different a frame must be from the one before to start afresh; 1 is never
    #[arg(long, value_name = "SHARE", default_value = "0.3", value_parser = measure(0.0..=1.0))]
    cut_threshold: f64,

    /// Weight of the difference from the last result: more is steadier
    #[arg(long, value_name = "WEIGHT", default_value = "0", value_parser = measure(0.0..=1e12))]
    temporal_weight: f64,

    #[command(flatten)]
    optimisation: Optimisation,
}

/// A kind of file, and what can fill it, the best first.
struct Container {
    ending: &'static str,
    muxer: Part,
    video: &'static [Part],
    audio: &'static [Part],
}

/// An element with its settings as in a launch line, and the Debian package that has it.
#[derive(Clone, Copy)]
struct Part {
    element: &'static str,
    settings: &'static str,
    package: &'static str,
}

const fn part(element: &'static str, settings: &'static str, package: &'static str) -> Part {
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

const CONTAINERS: [Container; 3] = [
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
    fn in_a_line(&self) -> String {
        format!("{} {}", self.element, self.settings)
    }
}

/// What the elements around `neuralstyle` are called, and where they are.
const SURROUNDINGS: [Part; 6] = [
    part("filesrc", "", "libgstreamer1.0-0"),
    part("decodebin", "", "gstreamer1.0-plugins-base"),
    part("videoconvert", "", "gstreamer1.0-plugins-base"),
    part("audioconvert", "", "gstreamer1.0-plugins-base"),
    part("audioresample", "", "gstreamer1.0-plugins-base"),
    part("videoflip", "", "gstreamer1.0-plugins-good"),
];

/// Sound waits here for slow frames and for an encoder that looks ahead.
const AUDIO_QUEUE: &str = "queue max-size-buffers=0 max-size-time=0 max-size-bytes=16777216";

fn main() -> ExitCode {
    let matches = Arguments::command().get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    finish("stylize_video", run(&arguments, &matches))
}

fn run(arguments: &Arguments, matches: &ArgMatches) -> Result<(), Failure> {
    gst::init()?;
    gstneuralstyle::plugin_register_static()?;
    refuse_lost_files(arguments)?;
    let parts = choose_parts(&arguments.output)?;
    let output = Output::prepare(&arguments.output)?;
    let render = Render::build(arguments, matches, &parts, output.path())?;
    let began = Instant::now();
    let ended = render.run();
    // What was written before a failure or an interruption is worth as much as the time that it took.
    let frames = render.progress.frames.load(Ordering::Relaxed);
    let kept = match ended {
        Err(failure) => return Err(failure),
        Ok(End::Interrupted) if frames == 0 => {
            return Err("interrupted before the first frame; nothing was written".into());
        }
        Ok(_) if frames == 0 => return Err(format!("{} has no frames", arguments.input.display()).into()),
        Ok(kept) => kept,
    };
    output.finish()?;
    let (path, seconds) = (arguments.output.display(), began.elapsed().as_secs_f64());
    match kept {
        End::Whole => println!("{path}: {frames} frames in {seconds:.0} s"),
        End::Interrupted => {
            let shown = gst::ClockTime::from_nseconds(render.progress.position.load(Ordering::Relaxed));
            return Err(format!("interrupted; {path} holds the first {shown:.1}").into());
        }
    }
    Ok(())
}

/// No mistaken name may cost anybody a film.
fn refuse_lost_files(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments {
        input,
        output,
        style,
        force,
        optimisation,
        ..
    } = arguments;
    if !input.is_file() {
        return Err(format!("there is no video file {}", input.display()).into());
    }
    for read in [Some(input), Some(style), optimisation.weights.as_ref()] {
        if read.is_some_and(|read| same_file(read, output)) {
            return Err(format!("{} would be overwritten while it is read", output.display()).into());
        }
    }
    if !force && output.exists() {
        return Err(format!("{} exists; --force replaces it", output.display()).into());
    }
    Ok(())
}

/// The elements that will write the file.
struct Parts {
    muxer: Part,
    video: Part,
    audio: Part,
}

fn choose_parts(output: &Path) -> Result<Parts, Failure> {
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
    parts
        .iter()
        .find(|part| gst::ElementFactory::find(part.element).is_some())
        .copied()
        .ok_or_else(missing)
}

/// How a render ended that did not fail.
enum End {
    Whole,
    Interrupted,
}

/// How far a render is.
#[derive(Default)]
struct Progress {
    frames: AtomicU64,
    /// In nanoseconds of the video.
    position: AtomicU64,
}

/// The pipeline, and what its threads and this one tell each other.
struct Render {
    pipeline: gst::Pipeline,
    progress: Arc<Progress>,
    /// The user has seen enough.
    stopping: Arc<AtomicBool>,
}

impl Render {
    fn build(
        arguments: &Arguments,
        matches: &ArgMatches,
        parts: &Parts,
        location: &Path,
    ) -> Result<Self, Failure> {
        let source = gst::ElementFactory::make("filesrc")
            .property("location", &arguments.input)
            .build()?;
        let decoder = gst::ElementFactory::make("decodebin").build()?;
        let mux = gst::parse::launch(&parts.muxer.in_a_line())?;
        let sink = gst::ElementFactory::make("filesink")
            .property("location", location)
            .build()?;
        let video = gst::parse::bin_from_description(
            &format!(
                "queue ! videoflip video-direction=auto ! videoconvert ! neuralstyle name=painter mode=offline \
                 ! videoconvert ! {}",
                parts.video.in_a_line()
            ),
            true,
        )?;
        let painter = video.by_name("painter").ok_or("the painter has lost its name")?;
        set_properties(&painter, matches)?;

        let render = Self {
            pipeline: gst::Pipeline::new(),
            progress: Arc::default(),
            stopping: Arc::default(),
        };
        render
            .pipeline
            .add_many([&source, &decoder, video.upcast_ref(), &mux, &sink])?;
        source.link(&decoder)?;
        video.link(&mux)?;
        mux.link(&sink)?;
        render.count_frames(&painter);
        end_when(&render.stopping, &painter);
        render.link_streams(&decoder, &video, &mux, parts.audio);
        Ok(render)
    }

    /// Notes what the painter has finished.
    fn count_frames(&self, painter: &gst::Element) {
        let progress = self.progress.clone();
        let note = move |buffer: &gst::BufferRef| {
            progress.frames.fetch_add(1, Ordering::Relaxed);
            if let Some(start) = buffer.pts() {
                let end = start + buffer.duration().unwrap_or_default();
                progress.position.store(end.nseconds(), Ordering::Relaxed);
            }
        };
        if let Some(pad) = painter.static_pad("src") {
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                if let Some(buffer) = info.buffer() {
                    note(buffer);
                }
                gst::PadProbeReturn::Ok
            });
        }
    }

    /// Links the first picture and the first sound that the decoder finds.
    fn link_streams(&self, decoder: &gst::Element, video: &gst::Bin, mux: &gst::Element, audio: Part) {
        let found_video = Arc::new(AtomicBool::new(false));
        let found_audio = AtomicBool::new(false);
        let (pipeline, stopping) = (self.pipeline.downgrade(), self.stopping.clone());
        let (video, mux, seen) = (video.clone(), mux.clone(), found_video.clone());
        decoder.connect_pad_added(move |decoder, pad| {
            let media = pad.current_caps().or_else(|| Some(pad.query_caps(None)));
            let media = media.and_then(|caps| Some(caps.structure(0)?.name().to_string()));
            let Some(pipeline) = pipeline.upgrade() else {
                return;
            };
            let linked = match media.as_deref().and_then(|name| name.split('/').next()) {
                Some("video") if !seen.swap(true, Ordering::AcqRel) => link(pad, &video),
                Some("audio") if !found_audio.swap(true, Ordering::AcqRel) => {
                    sound(&pipeline, &mux, audio, &stopping).and_then(|branch| link(pad, &branch))
                }
                _ => Ok(()),
            };
            if let Err(failure) = linked {
                gst::element_error!(decoder, gst::CoreError::Negotiation, ("{failure}"));
            }
        });
        decoder.connect_no_more_pads(move |decoder| {
            if !found_video.load(Ordering::Acquire) {
                gst::element_error!(decoder, gst::StreamError::WrongType, ("it has no pictures"));
            }
        });
    }

    /// Runs until the end, a failure or Ctrl-C.
    fn run(&self) -> Result<End, Failure> {
        let interrupts = Arc::new(AtomicU64::new(0));
        let counter = interrupts.clone();
        ctrlc::set_handler(move || {
            counter.fetch_add(1, Ordering::AcqRel);
        })?;
        let bus = self.pipeline.bus().ok_or("the pipeline has no bus")?;
        let bar = progress_bar();
        // Whatever keeps it from starting also arrives as an error message, in better words.
        let started = self.pipeline.set_state(gst::State::Playing);
        loop {
            match interrupts.load(Ordering::Acquire) {
                0 => {}
                1 => {
                    if !self.stopping.swap(true, Ordering::AcqRel) {
                        tell(
                            &bar,
                            "Finishing the frame and the file; Ctrl-C again gives both up.",
                        );
                    }
                }
                _ => return Err("given up; nothing was written".into()),
            }
            self.show(&bar);
            let Some(message) = bus.timed_pop(POLL) else {
                started?;
                continue;
            };
            match message.view() {
                gst::MessageView::Eos(_) if self.stopping.load(Ordering::Acquire) => {
                    return Ok(End::Interrupted);
                }
                gst::MessageView::Eos(_) => return Ok(End::Whole),
                gst::MessageView::Error(_) => return Err(why(&message)),
                gst::MessageView::Warning(warning) => tell(&bar, format!("Warning: {}", warning.error())),
                gst::MessageView::Element(element) => {
                    if let Some(lacking) = element.structure().and_then(undecodable) {
                        tell(&bar, format!("{lacking} cannot be decoded; {DECODERS}"));
                    }
                }
                _ => {}
            }
        }
    }

    fn show(&self, bar: &ProgressBar) {
        let duration = self.pipeline.query_duration::<gst::ClockTime>();
        let position = gst::ClockTime::from_nseconds(self.progress.position.load(Ordering::Relaxed));
        bar.set_length(duration.unwrap_or(position).max(position).mseconds());
        bar.set_position(position.mseconds());
        let frames = self.progress.frames.load(Ordering::Relaxed);
        bar.set_message(format!(
            "{frames} frames, {:.2} a second",
            frames as f64 / bar.elapsed().as_secs_f64()
        ));
    }
}

impl Drop for Render {
    fn drop(&mut self) {
        // Nothing can be done about a pipeline that does not stop, and the program ends anyway.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// How long Ctrl-C and the progress bar may wait.
const POLL: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// What has the decoders that the basic packages lack.
const DECODERS: &str = "on Debian and Ubuntu: sudo apt install gstreamer1.0-libav gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly";

/// Sets those of the element's properties that were given as flags.
fn set_properties(painter: &gst::Element, matches: &ArgMatches) -> Result<(), Failure> {
    for id in matches.ids() {
        let name = id.as_str().replace('_', "-");
        let given = matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
        let (Some(property), true) = (painter.find_property(&name), given) else {
            continue;
        };
        for word in matches.get_raw(id.as_str()).into_iter().flatten() {
            let word = word
                .to_str()
                .ok_or_else(|| format!("--{name} {}: not UTF-8", word.display()))?;
            let value = gst::glib::Value::deserialize_with_pspec(word, &property)
                .map_err(|_| format!("--{name} {word}: the element does not take that"))?;
            painter.set_property(&name, value);
        }
    }
    Ok(())
}

/// A branch for the sound, from raw samples into the muxer.
fn sound(
    pipeline: &gst::Pipeline,
    mux: &gst::Element,
    encoder: Part,
    stopping: &Arc<AtomicBool>,
) -> Result<gst::Bin, Failure> {
    let line = format!(
        "{AUDIO_QUEUE} ! audioconvert name=gate ! audioresample ! {}",
        encoder.in_a_line()
    );
    let branch = gst::parse::bin_from_description(&line, true)?;
    pipeline.add(&branch)?;
    branch.link(mux)?;
    if let Some(gate) = branch.by_name("gate") {
        end_when(stopping, &gate);
    }
    branch.sync_state_with_parent()?;
    Ok(branch)
}

fn link(pad: &gst::Pad, branch: &gst::Bin) -> Result<(), Failure> {
    let sink = branch.static_pad("sink").ok_or("a branch has no beginning")?;
    pad.link(&sink)?;
    Ok(())
}

/// Has the stream end at `element` with the next buffer once the user has seen enough: what waits further up may be
/// minutes of work, so that is not waited for.
fn end_when(stopping: &Arc<AtomicBool>, element: &gst::Element) {
    let stopping = stopping.clone();
    if let Some(pad) = element.static_pad("sink") {
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if !stopping.load(Ordering::Acquire) {
                return gst::PadProbeReturn::Ok;
            }
            pad.send_event(gst::event::Eos::new());
            info.flow_res = Err(gst::FlowError::Eos);
            gst::PadProbeReturn::Handled
        });
    }
}

/// Says something above the bar, or, without a terminal, where there is no bar, all the same.
fn tell(bar: &ProgressBar, words: impl AsRef<str>) {
    if bar.is_hidden() {
        eprintln!("{}", words.as_ref());
    } else {
        bar.println(words);
    }
}

fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {percent}%, {eta} left, {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

/// What an error message says, for somebody who does not know the pipeline.
fn why(message: &gst::Message) -> Failure {
    let gst::MessageView::Error(error) = message.view() else {
        return "the pipeline failed".into();
    };
    let (text, cause) = (error.error().to_string(), error.error());
    let needs_a_decoder =
        cause.matches(gst::CoreError::MissingPlugin) || cause.matches(gst::StreamError::CodecNotFound);
    if needs_a_decoder {
        format!("{text} {DECODERS}").into()
    } else {
        text.into()
    }
}

/// The name of a format for which an element message reports that nothing decodes it.
fn undecodable(structure: &gst::StructureRef) -> Option<String> {
    let missing = structure.name() == "missing-plugin";
    missing.then(|| structure.get("name").unwrap_or_else(|_| "A stream".to_owned()))
}

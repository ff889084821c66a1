// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measures whether a live stream keeps its frame rate while it is painted, and what that costs which thread.
//!
//!     cargo run --release --example live_benchmark
//!
//! A clip is read into memory and then played like a camera: 30 frames a second, back and forth, each on time. A sink
//! that behaves like a window drops what comes later than announced.

mod common;
#[path = "common/values.rs"]
mod values;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use gst::prelude::*;

use common::{Failure, finish};
use values::{choice, count};

/// Measures whether a live stream keeps its frame rate while it is painted, and what that costs which thread.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The clip to play
    #[arg(long, default_value = "media/bunny.webm")]
    input: PathBuf,

    /// The style picture
    #[arg(long, default_value = "media/starry_night.jpg")]
    style: PathBuf,

    /// Networks to measure
    #[arg(long, value_delimiter = ',', default_value = "tiny,slim",
          value_parser = choice::<String>(&["tiny", "slim", "vgg16"]))]
    networks: Vec<String>,

    /// Width of the frames
    #[arg(long, default_value = "640", value_parser = count(16..=8192))]
    width: usize,

    /// Height of the frames
    #[arg(long, default_value = "360", value_parser = count(16..=8192))]
    height: usize,

    /// Frames per second
    #[arg(long, default_value = "30", value_parser = count(1..=240))]
    rate: usize,

    /// Seconds that are measured, after two that are not
    #[arg(long, default_value = "10", value_parser = count(1..=3600))]
    seconds: usize,

    /// More properties of the element, as in a launch line
    #[arg(long, default_value = "")]
    more: String,
}

const WARM_UP: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    finish("live_benchmark", run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    gst::init()?;
    gstneuralstyle::plugin_register_static()?;
    let frames = decode(arguments)?;
    println!(
        "| network | frames/s | dropped | streaming thread, ms/frame | wall, ms/frame | painting, ms/s | keyframes/s | latency, ms | first painting, ms |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for network in &arguments.networks {
        measure(arguments, network, &frames)?;
    }
    Ok(())
}

/// All frames of the clip.
fn decode(arguments: &Arguments) -> Result<Vec<gst::Buffer>, Failure> {
    let line = format!(
        "filesrc name=file ! decodebin ! videoconvert ! videoscale ! \
         video/x-raw,format=RGB,width={},height={} ! appsink name=sink sync=false",
        arguments.width, arguments.height
    );
    let pipeline = parsed(&line)?;
    let file = pipeline.by_name("file").ok_or("the file has lost its name")?;
    file.set_property("location", &arguments.input);
    let sink = pipeline.by_name("sink").and_downcast::<gst_app::AppSink>();
    let sink = sink.ok_or("the sink has lost its name")?;
    pipeline.set_state(gst::State::Playing)?;
    let mut frames = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        frames.extend(sample.buffer_owned());
    }
    pipeline.set_state(gst::State::Null)?;
    if frames.is_empty() {
        return Err(format!("{} holds no frames", arguments.input.display()).into());
    }
    Ok(frames)
}

fn parsed(line: &str) -> Result<gst::Pipeline, Failure> {
    let pipeline = gst::parse::launch(line)?;
    Ok(pipeline.downcast().map_err(|_| "the line is no pipeline")?)
}

fn measure(arguments: &Arguments, network: &str, frames: &[gst::Buffer]) -> Result<(), Failure> {
    let line = format!(
        "appsrc name=camera is-live=true format=time block=false leaky-type=downstream max-buffers=2 \
         caps=video/x-raw,format=RGB,width={},height={},framerate={}/1 \
         ! neuralstyle name=painter network={network} {} \
         ! fakesink name=window sync=true qos=true max-lateness=5000000 async=false",
        arguments.width, arguments.height, arguments.rate, arguments.more
    );
    let pipeline = parsed(&line)?;
    let painter = pipeline
        .by_name("painter")
        .ok_or("the painter has lost its name")?;
    painter.set_property("style", arguments.style.to_str());
    let camera = pipeline.by_name("camera").and_downcast::<gst_app::AppSrc>();
    let camera = camera.ok_or("the camera has lost its name")?;
    let window = pipeline.by_name("window").ok_or("the window has lost its name")?;
    let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
    pipeline.set_state(gst::State::Playing)?;

    let began = Instant::now();
    let mut first_painting = None;
    let mut before = None;
    let (mut drops, mut latency) = (0, gst::ClockTime::ZERO);
    for number in 0.. {
        let due = Duration::from_secs_f64(number as f64 / arguments.rate as f64);
        thread::sleep(due.saturating_sub(began.elapsed()));
        if before.is_none() && due >= WARM_UP {
            before = Some(Reading::take(&painter, &window));
        }
        if due >= WARM_UP + Duration::from_secs(arguments.seconds as u64) {
            break;
        }
        let clock_time = pipeline
            .current_running_time()
            .ok_or("the pipeline has no clock")?;
        let mut buffer = frames[there_and_back(number, frames.len())].copy();
        let buffer_ref = buffer.make_mut();
        buffer_ref.set_pts(clock_time);
        buffer_ref.set_duration(gst::ClockTime::from_nseconds(
            1_000_000_000 / arguments.rate as u64,
        ));
        camera.push_buffer(buffer)?;
        if first_painting.is_none() && keyframes(&painter) > 0 {
            first_painting = Some(began.elapsed());
        }
        while let Some(message) = bus.pop() {
            match message.view() {
                gst::MessageView::Latency(_) => {
                    pipeline.recalculate_latency()?;
                    latency = pipeline.latency().unwrap_or(latency);
                }
                gst::MessageView::Qos(_) if before.is_some() => drops += 1,
                gst::MessageView::Error(error) => return Err(error.error().to_string().into()),
                _ => (),
            }
        }
    }
    let after = Reading::take(&painter, &window);
    let before = before.ok_or("the clip is too short")?;
    let mut query = gst::query::Latency::new();
    let own = if painter.query(&mut query) {
        query.result().1
    } else {
        latency
    };
    pipeline.set_state(gst::State::Null)?;

    let frames = (after.frames - before.frames) as f64;
    let seconds = (after.at - before.at).as_secs_f64();
    let ms = |name: &str| {
        let of = |reading: &Reading| reading.busy_ms.get(name).copied().unwrap_or(0.0);
        of(&after) - of(&before)
    };
    println!(
        "| {network} | {:.1} | {} | {:.1} | {:.1} | {:.0} | {:.1} | {:.0} | {:.0} |",
        (after.rendered - before.rendered) as f64 / seconds,
        drops.max(after.dropped - before.dropped),
        (ms("camera:src") + ms("neuralstyle-sho")) / frames,
        after.wall_ms,
        (ms("neuralstyle-liv") + ms("neuralstyle-n")) / seconds,
        (after.keyframes - before.keyframes) as f64 / seconds,
        own.nseconds() as f64 / 1e6,
        first_painting.unwrap_or_default().as_secs_f64() * 1e3,
    );
    Ok(())
}

/// Forth and back, so that nothing jumps.
fn there_and_back(number: usize, length: usize) -> usize {
    let place = number % (2 * length);
    place.min(2 * length - 1 - place)
}

/// What is known at some moment.
struct Reading {
    at: Instant,
    frames: u64,
    keyframes: u64,
    rendered: u64,
    dropped: u64,
    wall_ms: f64,
    /// Milliseconds that the threads of each name have been running.
    busy_ms: BTreeMap<String, f64>,
}

impl Reading {
    fn take(painter: &gst::Element, window: &gst::Element) -> Self {
        let stats: gst::Structure = painter.property("stats");
        let window: gst::Structure = window.property("stats");
        Self {
            at: Instant::now(),
            frames: stats.get("frames").unwrap_or(0),
            keyframes: stats.get("keyframes").unwrap_or(0),
            wall_ms: stats.get("ms-per-frame").unwrap_or(0.0),
            rendered: window.get("rendered").unwrap_or(0),
            dropped: window.get("dropped").unwrap_or(0),
            busy_ms: busy_ms(),
        }
    }
}

fn keyframes(painter: &gst::Element) -> u64 {
    let stats: gst::Structure = painter.property("stats");
    stats.get("keyframes").unwrap_or(0)
}

/// Milliseconds that the threads of each name have been running, as Linux says.
fn busy_ms() -> BTreeMap<String, f64> {
    let mut busy = BTreeMap::new();
    for thread in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |file: &str| fs::read_to_string(thread.path().join(file)).unwrap_or_default();
        let ns: f64 = read("schedstat")
            .split_whitespace()
            .next()
            .and_then(|ns| ns.parse().ok())
            .unwrap_or(0.0);
        let name = read("comm");
        let name = name.trim();
        // Threads of a pool are numbered.
        let name = match name.strip_prefix("neuralstyle-") {
            Some(number) if number.parse::<usize>().is_ok() => "neuralstyle-n",
            _ => name,
        };
        *busy.entry(name.to_owned()).or_insert(0.0) += ns / 1e6;
    }
    busy
}

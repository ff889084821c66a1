// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measures whether a live stream keeps its frame rate while it is painted, and what that costs which thread.
//!
//!     cargo run --release --example live_benchmark
//!
//! A clip is read into memory and then played like a camera: 30 frames a second, back and forth, each on time. A sink
//! that behaves like a window drops what comes later than announced. Then the scene is cut a few times, to a picture that
//! stands still: how long is it until what is shown is no longer only the frame in the style's colours? And the style is
//! changed in the same way. Memory is what the process has halfway and at the end; with `--seconds 600` it shows whether
//! anything is lost.

mod common;
#[path = "common/values.rs"]
mod values;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
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

    /// How often the scene is cut, and how often the style is changed
    #[arg(long, default_value = "5", value_parser = count(0..=1000))]
    changes: usize,

    /// The style picture that takes turns with the other one
    #[arg(long, default_value = "media/night_cafe.jpg")]
    other_style: PathBuf,

    /// More properties of the element, as in a launch line
    #[arg(long, default_value = "")]
    more: String,
}

const WARM_UP: Duration = Duration::from_secs(2);
/// How long what follows a cut, or a new style, is looked at.
const LOOK: Duration = Duration::from_secs(3);
/// A mean difference between two frames, in steps of a byte, that is no ordinary painting on.
const ANOTHER: f64 = 3.0;

fn main() -> ExitCode {
    finish("live_benchmark", run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    gst::init()?;
    gstneuralstyle::plugin_register_static()?;
    let frames = decode(arguments)?;
    println!(
        "| network | frames/s | dropped | streaming thread, ms/frame | wall, ms/frame | painting, ms/s | keyframes/s | latency, ms | first painting, ms \
         | painted after a cut, ms | style changed, ms | memory, MB |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
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
    let mut player = Player::start(arguments, network)?;
    let mut first_painting = None;
    let (mut before, mut halfway_mb) = (None, None);
    for number in 0.. {
        let elapsed = player.wait();
        if before.is_none() && elapsed >= WARM_UP {
            player.drops = 0;
            before = Some(Reading::take(&player));
        }
        let measured = elapsed.saturating_sub(WARM_UP);
        if halfway_mb.is_none() && 2 * measured >= Duration::from_secs(arguments.seconds as u64) {
            halfway_mb = Some(resident_mb());
        }
        if measured >= Duration::from_secs(arguments.seconds as u64) {
            break;
        }
        player.push(&frames[there_and_back(number, frames.len())])?;
        if first_painting.is_none() && player.figure("keyframes") > 0 {
            first_painting = Some(player.began.elapsed());
        }
    }
    let after = Reading::take(&player);
    let resident_after_mb = resident_mb();
    let before = before.ok_or("the clip is too short")?;
    let drops = player.drops.max(after.dropped - before.dropped);
    let mut query = gst::query::Latency::new();
    let latency = if player.painter.query(&mut query) {
        query.result().1
    } else {
        gst::ClockTime::ZERO
    };

    let (mut cuts, mut styles) = (Vec::new(), Vec::new());
    // The two ends of the clip stand for two scenes: one as it is, one upside down.
    let scenes = [frames[0].clone(), upside_down(&frames[frames.len() - 1])?];
    for number in 0..arguments.changes {
        cuts.push(player.look(&scenes[number % 2])?);
    }
    for number in 0..arguments.changes {
        let style = match number % 2 {
            0 => &arguments.other_style,
            _ => &arguments.style,
        };
        player.painter.set_property("style", style.to_str());
        styles.push(player.look(&scenes[(arguments.changes + 1) % 2])?);
    }
    player.pipeline.set_state(gst::State::Null)?;

    let frames = (after.frames - before.frames) as f64;
    let seconds = (after.at - before.at).as_secs_f64();
    let ms = |name: &str| {
        let of = |reading: &Reading| reading.busy_ms.get(name).copied().unwrap_or(0.0);
        of(&after) - of(&before)
    };
    println!(
        "| {network} | {:.1} | {} | {:.1} | {:.1} | {:.0} | {:.1} | {:.0} | {:.0} | {} | {} | {:.0} to {:.0} |",
        (after.rendered - before.rendered) as f64 / seconds,
        drops,
        (ms("camera:src") + ms("neuralstyle-sho")) / frames,
        after.wall_ms,
        (ms("neuralstyle-liv") + ms("neuralstyle-n")) / seconds,
        (after.keyframes - before.keyframes) as f64 / seconds,
        latency.nseconds() as f64 / 1e6,
        first_painting.unwrap_or_default().as_secs_f64() * 1e3,
        median_ms(cuts),
        median_ms(styles),
        halfway_mb.unwrap_or(0.0),
        resident_after_mb,
    );
    Ok(())
}

/// The median, or that there is none.
fn median_ms(mut times: Vec<Option<Duration>>) -> String {
    // What never came took the longest.
    times.sort_by_key(|time| time.unwrap_or(Duration::MAX));
    match times.get(times.len() / 2) {
        Some(Some(time)) => format!("{:.0}", time.as_secs_f64() * 1e3),
        Some(None) => format!("over {}", LOOK.as_millis()),
        None => "not measured".into(),
    }
}

fn upside_down(frame: &gst::Buffer) -> Result<gst::Buffer, Failure> {
    let mut bytes = frame.map_readable()?.to_vec();
    bytes.reverse();
    Ok(gst::Buffer::from_mut_slice(bytes))
}

/// A camera, the painter and a window.
struct Player {
    pipeline: gst::Pipeline,
    painter: gst::Element,
    camera: gst_app::AppSrc,
    window: gst::Element,
    bus: gst::Bus,
    began: Instant,
    frame_time: Duration,
    /// Of the next frame.
    number: u32,
    /// Frames that came too late, as the window says.
    drops: u64,
    shown: Arc<Mutex<Shown>>,
}

/// What the window got last.
#[derive(Default)]
struct Shown {
    /// Every so many bytes.
    sample: Vec<u8>,
    number: u64,
}

impl Player {
    fn start(arguments: &Arguments, network: &str) -> Result<Self, Failure> {
        let line = format!(
            "appsrc name=camera is-live=true format=time block=false leaky-type=downstream max-buffers=2 \
             caps=video/x-raw,format=RGB,width={},height={},framerate={}/1 \
             ! neuralstyle name=painter network={network} {} \
             ! fakesink name=window sync=true qos=true max-lateness=5000000 async=false",
            arguments.width, arguments.height, arguments.rate, arguments.more
        );
        let pipeline = parsed(&line)?;
        let named = |name: &str| pipeline.by_name(name).ok_or("an element has lost its name");
        let (painter, window) = (named("painter")?, named("window")?);
        painter.set_property("style", arguments.style.to_str());
        let camera = named("camera")?.downcast::<gst_app::AppSrc>();
        let camera = camera.map_err(|_| "the camera is none")?;
        let shown = Arc::new(Mutex::new(Shown::default()));
        let for_probe = shown.clone();
        let pad = painter.static_pad("src").ok_or("the painter has no output")?;
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let (Some(buffer), Ok(mut shown)) = (info.buffer(), for_probe.lock())
                && let Ok(bytes) = buffer.map_readable()
            {
                shown.sample.clear();
                shown.sample.extend(bytes.iter().step_by(61));
                shown.number += 1;
            }
            gst::PadProbeReturn::Ok
        });
        let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
        pipeline.set_state(gst::State::Playing)?;
        Ok(Self {
            pipeline,
            painter,
            camera,
            window,
            bus,
            began: Instant::now(),
            frame_time: Duration::from_secs(1) / arguments.rate as u32,
            number: 0,
            drops: 0,
            shown,
        })
    }

    /// Waits until it is time for the next frame, and says when that is.
    fn wait(&self) -> Duration {
        let due = self.frame_time * self.number;
        thread::sleep(due.saturating_sub(self.began.elapsed()));
        due
    }

    fn push(&mut self, frame: &gst::Buffer) -> Result<(), Failure> {
        let clock_time = self.pipeline.current_running_time();
        let mut buffer = frame.copy();
        let buffer_ref = buffer.make_mut();
        buffer_ref.set_pts(clock_time.ok_or("the pipeline has no clock")?);
        buffer_ref.set_duration(gst::ClockTime::from_nseconds(self.frame_time.as_nanos() as u64));
        self.camera.push_buffer(buffer)?;
        self.number += 1;
        while let Some(message) = self.bus.pop() {
            match message.view() {
                gst::MessageView::Latency(_) => self.pipeline.recalculate_latency()?,
                gst::MessageView::Qos(_) => self.drops += 1,
                gst::MessageView::Error(error) => return Err(error.error().to_string().into()),
                _ => (),
            }
        }
        Ok(())
    }

    fn figure(&self, name: &str) -> u64 {
        let stats: gst::Structure = self.painter.property("stats");
        stats.get(name).unwrap_or(0)
    }

    /// Shows a frame again and again for a while. Two things will change what is shown, at once the colours and then the
    /// painting: how long is it until the second?
    fn look(&mut self, frame: &gst::Buffer) -> Result<Option<Duration>, Failure> {
        let began = Instant::now();
        let mut last = self.sample();
        let mut changes = 0;
        let mut answer = None;
        while began.elapsed() < LOOK {
            self.wait();
            self.push(frame)?;
            let now = self.sample();
            if now.number != last.number && apart(&now.sample, &last.sample) > ANOTHER {
                changes += 1;
                if changes == 2 {
                    answer = answer.or(Some(began.elapsed()));
                }
            }
            last = now;
        }
        Ok(answer)
    }

    fn sample(&self) -> Shown {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        Shown {
            sample: shown.sample.clone(),
            number: shown.number,
        }
    }
}

/// Mean difference of two pictures' bytes.
fn apart(a: &[u8], b: &[u8]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum();
    sum / a.len().max(1) as f64
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
    fn take(player: &Player) -> Self {
        let stats: gst::Structure = player.painter.property("stats");
        let window: gst::Structure = player.window.property("stats");
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

/// Megabytes that the process has in memory, as Linux says.
fn resident_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0 / 1e6
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

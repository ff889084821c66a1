// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measures whether a live stream keeps its frame rate while it is painted, and what that costs which thread.

mod player;
mod reading;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use gst::prelude::*;

use crate::bundled::{BUNNY, Material, NIGHT_CAFE, STARRY_NIGHT};
use crate::failure::Failure;
use crate::values::{choice, count};
pub use player::{Player, Stream};
use reading::{Reading, resident_mb};

/// Measures whether a live stream keeps its frame rate while it is painted.
///
/// A clip is read into memory and then played like a camera: 30 frames a second, back and forth, each on time. A sink
/// that behaves like a window drops what comes later than announced. Then the scene is cut a few times, to a picture
/// that stands still: how long is it until what is shown is no longer only the frame in the style's colours? And the
/// style is changed in the same way. Memory is what the process has halfway and at the end; with --seconds 600 it shows
/// whether anything is lost.
#[derive(Args)]
#[command(after_help = "\
Examples
  neuralstyle measure live
  neuralstyle measure live --networks tiny --width 1280 --height 720 --more \"working-size=256 style-weight=4\"")]
pub struct Arguments {
    /// The clip to play [default: a few seconds of Big Buck Bunny, built in]
    #[arg(long, value_name = "CLIP")]
    input: Option<PathBuf>,

    /// The style picture [default: The Starry Night, built in]
    #[arg(long, value_name = "PICTURE")]
    style: Option<PathBuf>,

    /// Networks to measure
    #[arg(long, value_delimiter = ',', default_value = "tiny,slim",
          value_parser = choice::<String>(&["tiny", "slim", "vgg16"]))]
    networks: Vec<String>,

    /// Width of the frames
    #[arg(long, value_name = "PX", default_value = "640", value_parser = count(16..=8192))]
    width: usize,

    /// Height of the frames
    #[arg(long, value_name = "PX", default_value = "360", value_parser = count(16..=8192))]
    height: usize,

    /// Frames per second
    #[arg(long, value_name = "N", default_value = "30", value_parser = count(1..=240))]
    rate: usize,

    /// Seconds that are measured, after two that are not
    #[arg(long, value_name = "N", default_value = "10", value_parser = count(1..=3600))]
    seconds: usize,

    /// How often the scene is cut, and how often the style is changed
    #[arg(long, value_name = "N", default_value = "5", value_parser = count(0..=1000))]
    changes: usize,

    /// The style picture that takes turns with the other one [default: The Night Café, built in]
    #[arg(long, value_name = "PICTURE")]
    other_style: Option<PathBuf>,

    /// More properties of the element, as in a launch line
    #[arg(long, value_name = "PROPERTIES", default_value = "")]
    more: String,
}

/// How long a stream runs before it is measured.
const WARM_UP: Duration = Duration::from_secs(2);

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    gst::init()?;
    gstneuralstyle::plugin_register_static()?;
    let clip = Material::new(arguments.input.as_deref(), &BUNNY)?;
    let styles = [
        Material::new(arguments.style.as_deref(), &STARRY_NIGHT)?,
        Material::new(arguments.other_style.as_deref(), &NIGHT_CAFE)?,
    ];
    let frames = decode(arguments, clip.path())?;
    say!(
        "| network | frames/s | dropped | streaming thread, ms/frame | wall, ms/frame | painting, ms/s | keyframes/s | latency, ms | first painting, ms \
         | painted after a cut, ms | style changed, ms | memory, MB |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for network in &arguments.networks {
        let stream = Stream {
            width: arguments.width,
            height: arguments.height,
            rate: arguments.rate,
            network,
            more: &arguments.more,
            style: styles[0].path(),
        };
        let mut player = Player::start(&stream)?;
        let found = play(
            &mut player,
            &frames,
            Duration::from_secs(arguments.seconds as u64),
        )?;
        let changes = Changes::measure(&mut player, &frames, arguments.changes, &styles)?;
        say!("{}", row(network, &found, changes));
    }
    Ok(())
}

/// All frames of the clip.
fn decode(arguments: &Arguments, clip: &Path) -> Result<Vec<gst::Buffer>, Failure> {
    let line = format!(
        "filesrc name=file ! decodebin ! videoconvert ! videoscale ! \
         video/x-raw,format=RGB,width={},height={} ! appsink name=sink sync=false",
        arguments.width, arguments.height
    );
    let pipeline = parsed(&line)?;
    let file = pipeline.by_name("file").ok_or("the file has lost its name")?;
    file.set_property("location", clip);
    let sink = pipeline.by_name("sink").and_downcast::<gst_app::AppSink>();
    let sink = sink.ok_or("the sink has lost its name")?;
    pipeline.set_state(gst::State::Playing)?;
    let mut frames = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        frames.extend(sample.buffer_owned());
    }
    pipeline.set_state(gst::State::Null)?;
    if frames.is_empty() {
        return Err(format!("{} holds no frames", clip.display()).into());
    }
    Ok(frames)
}

/// What a live stream did while it was measured.
pub struct Found {
    pub shown_per_second: f64,
    pub keyframes_per_second: f64,
    dropped: u64,
    /// Processor time of the streaming thread per frame.
    streaming_ms: f64,
    /// From a frame's arrival to its departure.
    wall_ms: f64,
    /// Processor time of the painting threads per second.
    painting_ms: f64,
    pub latency: gst::ClockTime,
    first_painting: Option<Duration>,
    halfway_mb: f64,
    end_mb: f64,
}

/// Plays some frames back and forth, and measures the stream once it has warmed up.
pub fn play(player: &mut Player, frames: &[gst::Buffer], time: Duration) -> Result<Found, Failure> {
    let mut first_painting = None;
    let (mut before, mut halfway_mb) = (None, None);
    let mut began = None;
    for number in 0.. {
        let due = player.wait();
        let elapsed = due - *began.get_or_insert(due);
        if before.is_none() && elapsed >= WARM_UP {
            player.drops = 0;
            before = Some(Reading::take(player));
        }
        let measured = elapsed.saturating_sub(WARM_UP);
        if halfway_mb.is_none() && 2 * measured >= time {
            halfway_mb = Some(resident_mb());
        }
        if measured >= time {
            break;
        }
        player.push(&frames[there_and_back(number, frames.len())])?;
        if first_painting.is_none() && player.figure("keyframes") > 0 {
            first_painting = Some(player.began.elapsed());
        }
    }
    let after = Reading::take(player);
    let end_mb = resident_mb();
    let before = before.ok_or("the clip is too short")?;

    let frames = (after.frames - before.frames) as f64;
    let seconds = (after.at - before.at).as_secs_f64();
    let ms = |name: &str| {
        let of = |reading: &Reading| reading.busy_ms.get(name).copied().unwrap_or(0.0);
        of(&after) - of(&before)
    };
    Ok(Found {
        shown_per_second: (after.rendered - before.rendered) as f64 / seconds,
        keyframes_per_second: (after.keyframes - before.keyframes) as f64 / seconds,
        dropped: player.drops.max(after.dropped - before.dropped),
        streaming_ms: (ms("camera:src") + ms("neuralstyle-sho")) / frames,
        wall_ms: after.wall_ms,
        painting_ms: (ms("neuralstyle-liv") + ms("neuralstyle-n")) / seconds,
        latency: player.latency(),
        first_painting,
        halfway_mb: halfway_mb.unwrap_or(0.0),
        end_mb,
    })
}

/// How long it takes until a new scene, and a new style, are to be seen.
struct Changes {
    cuts: Vec<Option<Duration>>,
    styles: Vec<Option<Duration>>,
}

impl Changes {
    fn measure(
        player: &mut Player,
        frames: &[gst::Buffer],
        count: usize,
        styles: &[Material; 2],
    ) -> Result<Self, Failure> {
        let mut changes = Self {
            cuts: Vec::new(),
            styles: Vec::new(),
        };
        // The two ends of the clip stand for two scenes: one as it is, one upside down.
        let scenes = [frames[0].clone(), upside_down(&frames[frames.len() - 1])?];
        for number in 0..count {
            changes.cuts.push(player.look(&scenes[number % 2])?);
        }
        for number in 0..count {
            player.set_style(styles[(number + 1) % 2].path());
            changes.styles.push(player.look(&scenes[(count + 1) % 2])?);
        }
        Ok(changes)
    }
}

fn row(network: &str, found: &Found, changes: Changes) -> String {
    format!(
        "| {network} | {:.1} | {} | {:.1} | {:.1} | {:.0} | {:.1} | {:.0} | {:.0} | {} | {} | {:.0} to {:.0} |",
        found.shown_per_second,
        found.dropped,
        found.streaming_ms,
        found.wall_ms,
        found.painting_ms,
        found.keyframes_per_second,
        found.latency.nseconds() as f64 / 1e6,
        found.first_painting.unwrap_or_default().as_secs_f64() * 1e3,
        median_ms(changes.cuts),
        median_ms(changes.styles),
        found.halfway_mb,
        found.end_mb,
    )
}

fn parsed(line: &str) -> Result<gst::Pipeline, Failure> {
    let pipeline = gst::parse::launch(line)?;
    Ok(pipeline.downcast().map_err(|_| "the line is no pipeline")?)
}

/// The median, or that there is none.
fn median_ms(mut times: Vec<Option<Duration>>) -> String {
    // What never came took the longest.
    times.sort_by_key(|time| time.unwrap_or(Duration::MAX));
    match times.get(times.len() / 2) {
        Some(Some(time)) => format!("{:.0}", time.as_secs_f64() * 1e3),
        Some(None) => format!("over {}", player::LOOK.as_millis()),
        None => "not measured".into(),
    }
}

fn upside_down(frame: &gst::Buffer) -> Result<gst::Buffer, Failure> {
    let mut bytes = frame.map_readable()?.to_vec();
    bytes.reverse();
    Ok(gst::Buffer::from_mut_slice(bytes))
}

/// Forth and back, so that nothing jumps.
fn there_and_back(number: usize, length: usize) -> usize {
    let place = number % (2 * length);
    place.min(2 * length - 1 - place)
}

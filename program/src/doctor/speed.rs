// SPDX-License-Identifier: MIT OR Apache-2.0

//! How fast a live stream is painted here, with the settings that it has where nothing is chosen.

use std::fs;
use std::time::Duration;

use gst::prelude::*;

use super::processor::usable_cores;
use super::report::Report;
use crate::bundled::{Material, STARRY_NIGHT};
use crate::failure::Failure;
use crate::measure::live::{Found, Player, Stream, play};
use crate::measure::scenes::Scene;
use crate::measure::step;
use neuralstyle::stylizer::Options;

const WIDTH: usize = 640;
const HEIGHT: usize = 360;
/// Frames per second.
const RATE: usize = 30;
/// Frames that are played back and forth.
const FRAMES: usize = 40;
/// How long the first painting is waited for: a second or two, but on a slow or busy computer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the stream is measured after that.
const TIME: Duration = Duration::from_secs(3);

/// Plays a photograph with something moving before it like a camera, and tells how that went. Whether it went at all.
/// `device` is the number of the card, if one is to paint.
pub fn measure(report: &mut Report, device: i32) -> bool {
    tell_of_others(report);
    match played(device) {
        Ok(run) => {
            tell(report, &run);
            true
        }
        Err(failure) => {
            report.broken("live", failure.to_string());
            false
        }
    }
}

/// Says so where other programs take the processor's time.
fn tell_of_others(report: &mut Report) {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load
        .split_whitespace()
        .next()
        .and_then(|load| load.parse().ok())
        .unwrap_or(0.0);
    let cores = usable_cores();
    if load > 0.5 * cores as f64 {
        report.lacks(
            "others",
            format!("this computer is busy (load {load:.1} on {cores} cores); it is faster when it is not"),
        );
    }
}

/// What a stream did.
struct Run {
    /// When the first painting was shown, and what the stream did after that.
    painted: Option<(Duration, Found)>,
    /// The figures of the element's property `stats`.
    stats: gst::Structure,
    /// Steps per keyframe.
    steps: u32,
}

fn played(device: i32) -> Result<Run, Failure> {
    let scene = Scene::named("object-photo", WIDTH, HEIGHT).ok_or("the scene has lost its name")?;
    let frames: Vec<_> = (0..FRAMES)
        .map(|index| gst::Buffer::from_slice(scene.frame(index).rgb().to_vec()))
        .collect();
    let style = Material::new(None, &STARRY_NIGHT)?;
    let mut player = Player::start(&Stream {
        width: WIDTH,
        height: HEIGHT,
        rate: RATE,
        network: "auto",
        more: &format!("cuda-device-id={device}"),
        style: style.path(),
    })?;
    while player.figure("keyframes") == 0 && player.began.elapsed() < PATIENCE {
        player.wait();
        player.push(&frames[0])?;
    }
    let first = player.began.elapsed();
    let painted = match player.figure("keyframes") {
        0 => None,
        _ => Some((first, play(&mut player, &frames, TIME)?)),
    };
    Ok(Run {
        painted,
        stats: player.painter.property("stats"),
        steps: player.painter.property("iterations"),
    })
}

fn tell(report: &mut Report, run: &Run) {
    let Run {
        painted,
        stats,
        steps,
    } = run;
    let text = |name: &str| stats.get::<String>(name).unwrap_or_default();
    let pixels = |name: &str| stats.get::<u32>(name).unwrap_or(0);
    let painter = format!(
        "{} at {}×{} on {}",
        text("network"),
        pixels("working-width"),
        pixels("working-height"),
        match text("backend").as_str() {
            "cpu" => "the CPU".to_owned(),
            _ => text("device"),
        }
    );
    let Some((first, found)) = painted else {
        let alone = match alone(pixels("working-width"), pixels("working-height")) {
            Ok(ms) => format!("; without a stream beside it a step takes {ms:.1} ms"),
            Err(_) => String::new(),
        };
        let seconds = PATIENCE.as_secs();
        let words =
            format!("{painter}: nothing was finished within {seconds} s{alone}. --network tiny is faster");
        return report.lacks("painting", words);
    };
    let ms_per_step = stats.get::<f64>("ms-per-step").unwrap_or(0.0);
    report.works(
        "painting",
        format!(
            "{painter}: a step takes {ms_per_step:.1} ms, so a keyframe of {steps} steps about {:.0} ms",
            ms_per_step * f64::from(*steps)
        ),
    );
    let shown = format!(
        "{:.1} of {RATE} frames of {WIDTH}×{HEIGHT} a second are shown, {:.1} of them painted anew; \
         those between move along with the scene",
        found.shown_per_second, found.keyframes_per_second
    );
    if found.shown_per_second >= 0.9 * RATE as f64 {
        report.works("rate", shown);
    } else {
        report.lacks("rate", format!("{shown}. Smaller frames help: --size 320x180"));
    }
    report.works(
        "delay",
        format!(
            "a frame is shown {:.0} ms after it came; the first painting was there after {:.1} s",
            found.latency.nseconds() as f64 / 1e6,
            first.as_secs_f64()
        ),
    );
    let bytes = stats.get::<u64>("bytes-in-use").unwrap_or(0);
    report.works("memory", format!("painting takes {} MB", bytes / 1_000_000));
}

/// Milliseconds of a step at a size with no stream to be shown beside it.
fn alone(width: u32, height: u32) -> Result<f64, Failure> {
    let size = (width as usize, height as usize);
    let options = Options {
        working_size: size.0.max(size.1),
        scales: 1,
        ..Options::default()
    };
    Ok(step::time(&options, size, 8)?.median_ms)
}

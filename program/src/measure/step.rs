// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measures what one step costs, by network and size.
//!
//! The picture is noise: what it shows has no influence on the cost. The median of many steps is given, because other
//! programs on the machine disturb some of them.

use std::sync::mpsc;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::flags::{Flags, Noise};
use crate::values::{choice, count, size};
use neuralstyle::backend::CancelToken;
use neuralstyle::gatys::{NetworkChoice, Step};
use neuralstyle::settings::MOST_STEPS;
use neuralstyle::stylizer::{Controls, Frame, Options, Stats, Stylizer};

/// Measures what one step costs, by network and size.
///
/// The picture is noise: what it shows has no influence on the cost. The median of many steps is given, because other
/// programs on the machine disturb some of them.
#[derive(Args)]
#[command(after_help = "\
Examples
  neuralstyle measure step
  neuralstyle measure step --networks vgg16 --sizes 1920x1080 --backend cuda")]
pub struct Arguments {
    /// The networks to measure
    #[arg(long, value_delimiter = ',', default_value = "tiny,slim,vgg16",
          value_parser = choice::<NetworkChoice>(&["tiny", "slim", "vgg16"]))]
    networks: Vec<NetworkChoice>,

    /// The sizes to measure
    #[arg(
        long,
        value_name = "WIDTHxHEIGHT",
        value_delimiter = ',',
        default_value = "160x90,256x144,384x216,512x288",
        value_parser = size
    )]
    sizes: Vec<(usize, usize)>,

    /// Steps of which the median is given
    #[arg(long, value_name = "N", default_value = "15", value_parser = count(1..=MOST_STEPS - 1))]
    steps: usize,

    /// Write JSON instead of a table
    #[arg(long)]
    json: bool,

    /// Take a step of the first network and size for each line of the standard input, and answer with its
    /// milliseconds: for comparisons that take turns
    #[arg(long)]
    on_demand: bool,

    /// With weights from a file, their network is measured in place of the others.
    #[command(flatten)]
    flags: Flags<Noise>,
}

/// What one row of the table says.
struct Measurement {
    network: NetworkChoice,
    size: (usize, usize),
    timing: Timing,
}

/// What steps took.
pub struct Timing {
    pub median_ms: f64,
    stats: Stats,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let networks = match arguments.flags.weights() {
        Some(_) => &[NetworkChoice::File][..],
        None => &arguments.networks,
    };
    if arguments.on_demand {
        return match (networks.first(), arguments.sizes.first()) {
            (Some(&network), Some(&size)) => step_on_demand(&options(arguments, network, size), size),
            _ => Err("there is no network or no size to measure".into()),
        };
    }
    let mut measurements = Vec::new();
    if !arguments.json {
        say!(
            "| network | size | ms per step | steps per second | planned | memory |\n| --- | --- | --- | --- | --- | --- |"
        );
    }
    for &network in networks {
        for &size in &arguments.sizes {
            let options = options(arguments, network, size);
            let found = Measurement {
                network,
                size,
                timing: time(&options, size, arguments.steps)?,
            };
            if !arguments.json {
                say!("{}", row(&found));
            }
            measurements.push(found);
        }
    }
    if arguments.json {
        let rows: Vec<_> = measurements.iter().map(document).collect();
        say!("{:#}", serde_json::Value::from(rows));
    } else if let Some(last) = measurements.last() {
        let Stats { backend, device, .. } = &last.timing.stats;
        say!(
            "\nMedian of {} steps each, on {backend}: {device}.",
            arguments.steps
        );
    }
    Ok(())
}

/// Takes some steps of a fresh start at full size.
pub fn time(options: &Options, size: (usize, usize), steps: usize) -> Result<Timing, Failure> {
    let (log, times) = mpsc::channel();
    let observe = move |_: &Step| {
        // The receiver outlives the stylizer.
        let _ = log.send(Instant::now());
    };
    // The first step touches memory for the first time and is left out.
    let stylizer = paint(options, size, steps + 1, CancelToken::new(), observe)?;
    let times: Vec<Instant> = times.try_iter().collect();
    let mut steps: Vec<f64> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e3)
        .collect();
    steps.sort_by(f64::total_cmp);
    Ok(Timing {
        median_ms: steps.get(steps.len() / 2).copied().ok_or("no step was taken")?,
        stats: stylizer.stats().clone(),
    })
}

/// Steps whenever a line comes, until there are no more.
fn step_on_demand(options: &Options, size: (usize, usize)) -> Result<(), Failure> {
    let (cancel, mut line, mut asked) = (CancelToken::new(), String::new(), None::<Instant>);
    let stop = cancel.clone();
    // Being told of a step keeps the next one waiting.
    let observe = move |_: &Step| {
        if let Some(asked) = asked {
            say!("{}", asked.elapsed().as_secs_f64() * 1e3);
        }
        line.clear();
        match std::io::stdin().read_line(&mut line) {
            Ok(1..) => asked = Some(Instant::now()),
            _ => stop.cancel(),
        }
    };
    match paint(options, size, MOST_STEPS, cancel.clone(), observe) {
        Err(_) if cancel.is_cancelled() => Ok(()),
        other => other.map(drop),
    }
}

/// What the flags mean to the library.
fn options(arguments: &Arguments, network: NetworkChoice, (width, height): (usize, usize)) -> Options {
    Options {
        network,
        scales: 1,
        working_size: width.max(height),
        ..arguments.flags.options()
    }
}

/// Paints noise in the style of noise.
fn paint(
    options: &Options,
    size: (usize, usize),
    steps: usize,
    cancel: CancelToken,
    observe: impl FnMut(&Step) + Send + 'static,
) -> Result<Stylizer, Failure> {
    let controls = Controls {
        first_iterations: steps,
        ..Controls::default()
    };
    let (content, style) = (noise(size, 1)?, noise(size, 2)?);
    let mut stylizer = Stylizer::new(options, cancel)?;
    stylizer.set_observer(Some(Box::new(observe)));
    stylizer.set_style(std::sync::Arc::new(style.into()));
    stylizer.process(&content, &mut Frame::default(), &controls)?;
    Ok(stylizer)
}

/// A picture of uniform noise: a linear congruential generator is random enough to be painted.
fn noise((width, height): (usize, usize), seed: u32) -> Result<Frame, Failure> {
    let mut state = seed;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let bytes = bytes.take(width * height * 3).collect();
    Frame::from_rgb(width, height, bytes).ok_or_else(|| "the noise does not match its size".into())
}

fn row(found: &Measurement) -> String {
    let Measurement {
        network,
        size: (width, height),
        timing: Timing { median_ms, stats },
    } = found;
    format!(
        "| {network} | {width}×{height} | {median_ms:.0} | {:.1} | {} MB | {} MB |",
        1e3 / median_ms,
        stats.planned_bytes / 1_000_000,
        stats.bytes_in_use / 1_000_000
    )
}

fn document(found: &Measurement) -> serde_json::Value {
    let stats = &found.timing.stats;
    json!({
        "network": found.network.name(),
        "width": found.size.0,
        "height": found.size.1,
        "ms_per_step": found.timing.median_ms,
        "planned_bytes": stats.planned_bytes,
        "bytes_in_use": stats.bytes_in_use,
        "device": format!("{}: {}", stats.backend, stats.device),
    })
}

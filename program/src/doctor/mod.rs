// SPDX-License-Identifier: MIT OR Apache-2.0

//! Says what works on this computer, what is missing, and which packages bring it. A file per section.

mod card;
mod cpuinfo;
mod gstreamer;
mod memory;
mod packages;
mod processor;
mod reading;
mod report;
mod showing;
mod speed;
mod verdict;
mod wording;
mod writing;

use clap::Args;

use crate::failure::Failure;
use crate::values::{choice, count};
use neuralstyle::gatys::NetworkChoice;
use neuralstyle::settings::MOST_STEPS;
use report::Report;

/// Says what works on this computer, what is missing, and which packages bring it.
///
/// It looks at GStreamer and its plugins, the processor, the memory and the NVIDIA card if there is one, and measures for
/// some seconds how fast a live stream is painted. What is marked ✓ works, – is missing and can be done without, ✗ is
/// broken.
#[derive(Args)]
#[command(after_help = "\
Exit status
  0  pictures, films and live video can be painted here
  1  one of them cannot, or the NVIDIA card that is here fails its check
  2  the command line is wrong
That no card is here, or no decoder for some format, is no failure.

Examples
  neuralstyle doctor
  neuralstyle doctor --quick
  neuralstyle doctor --device 1 --networks vgg16 --sizes 1024,2048")]
pub struct Arguments {
    /// Measure no speed, only look at what is there
    #[arg(long)]
    quick: bool,

    /// Number of the card; -1 is the first that works
    #[arg(long, value_name = "N", default_value = "-1", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(-1..))]
    device: i32,

    /// The networks that are checked and measured on the card
    #[arg(long, value_delimiter = ',', default_value = "tiny,slim,vgg16",
          value_parser = choice::<NetworkChoice>(&["tiny", "slim", "vgg16"]))]
    networks: Vec<NetworkChoice>,

    /// Longer sides in pixels of the pictures (16:9) that are measured on the card
    #[arg(long, value_name = "PIXELS", value_delimiter = ',', default_value = "256,512,1024",
          value_parser = count(16..=8192))]
    sizes: Vec<usize>,

    /// Steps on the card of which the mean is taken
    #[arg(long, value_name = "N", default_value = "100", value_parser = count(1..=MOST_STEPS))]
    steps: usize,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    gst::init()?;
    let mut report = Report::default();
    say!("neuralstyle {}", env!("CARGO_PKG_VERSION"));

    report.heading("GStreamer");
    let element = gstreamer::check(&mut report)?;
    report.heading("Films that can be read");
    let read = reading::check(&mut report);
    report.heading("Films that can be written");
    let written = writing::check(&mut report);
    report.heading("Live video");
    let shown = showing::check(&mut report);
    report.heading("Processor and memory");
    let processor = processor::check(&mut report);
    report.heading("NVIDIA card");
    let card = card::check(&mut report, arguments);
    let live = element && shown.works && processor;
    if live && !arguments.quick {
        report.heading("Speed of a live stream");
    }
    let live = live && (arguments.quick || speed::measure(&mut report, arguments.device));

    report.heading("What works here");
    let pictures = processor;
    verdict::pictures(&mut report, pictures);
    let films = verdict::films(&mut report, element && processor, &read, &written);
    verdict::live(&mut report, live, &shown);
    packages::tell(report.packages());
    verdict::sum_up(&[
        ("pictures", pictures),
        ("films", films),
        ("live video", live),
        ("the NVIDIA card", card),
    ])
}

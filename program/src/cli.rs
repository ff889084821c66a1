// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command line as a whole.

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::{doctor, film, image, live, manual, measure};

/// Paints pictures, films and live video in the style of any picture.
///
/// It runs the optimisation of Gatys, Ecker and Bethge (2015) itself, so every picture is a style: nothing has to be
/// trained first. It works on any processor, and faster on an NVIDIA card.
#[derive(Parser)]
#[command(name = "neuralstyle", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Try
  neuralstyle live test                                    a window with a bouncing ball, painted
  neuralstyle live                                         the camera, painted
  neuralstyle film clip.mp4 painted.mp4 --style dots.jpg
  neuralstyle image --content me.jpg --style dots.jpg --output painted.jpg
  neuralstyle doctor                                       what works here, and what is missing

Each command says more with --help.";

#[derive(Subcommand)]
enum Command {
    Image(Box<image::Arguments>),
    Film(Box<film::Arguments>),
    Live(Box<live::Arguments>),
    Measure(Box<measure::Arguments>),
    Doctor(doctor::Arguments),
    Completions(manual::Completions),
    Man(manual::Man),
}

/// Reads the command line and does what it says.
pub fn run() -> Result<(), Failure> {
    match Cli::parse().command {
        Command::Image(arguments) => image::run(&arguments),
        Command::Film(arguments) => film::run(&arguments),
        Command::Live(arguments) => live::run(&arguments),
        Command::Measure(arguments) => measure::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Completions(arguments) => manual::complete(&arguments),
        Command::Man(arguments) => manual::write(&arguments),
    }
}

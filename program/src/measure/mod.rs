// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measures what painting costs and how good it is.

mod clip;
mod figures;
mod flicker;
mod flow;
mod judge;
pub mod live;
mod look;
mod measured;
pub mod scenes;
pub mod step;
mod upsampling;

use clap::{Args, Subcommand};

use crate::failure::Failure;

/// Measures what painting costs, and how good it is.
///
/// The numbers in the documentation were made with these commands.
#[derive(Args)]
#[command(arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Subcommand)]
enum Subject {
    Step(Box<step::Arguments>),
    Live(live::Arguments),
    Flicker(Box<flicker::Arguments>),
    Flow(flow::Arguments),
    Look(Box<look::Arguments>),
    Upsampling(Box<upsampling::Arguments>),
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.subject {
        Subject::Step(arguments) => step::run(arguments),
        Subject::Live(arguments) => live::run(arguments),
        Subject::Flicker(arguments) => flicker::run(arguments),
        Subject::Flow(arguments) => flow::run(arguments),
        Subject::Look(arguments) => look::run(arguments),
        Subject::Upsampling(arguments) => upsampling::run(arguments),
    }
}

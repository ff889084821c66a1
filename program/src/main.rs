// SPDX-License-Identifier: MIT OR Apache-2.0

//! The program `neuralstyle`: paints pictures, films and live video, and measures how well and how fast.
//! A folder or file per subcommand; what several of them need lies beside them.

#![forbid(unsafe_code)]

#[macro_use]
mod say;

mod bundled;
mod cli;
mod doctor;
mod failure;
mod film;
mod flags;
mod image;
mod live;
mod manual;
mod measure;
mod output;
mod pipeline;
mod progress;
mod values;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("neuralstyle: {failure}");
            ExitCode::FAILURE
        }
    }
}

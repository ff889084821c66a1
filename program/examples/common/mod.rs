// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the examples have in common: each takes the files of this folder that it needs.

use std::process::ExitCode;

/// Why an example stops, in words for the person who started it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Ends a program: with 0, or with 1 and a sentence that says why.
pub fn finish(program: &str, result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{program}: {failure}");
            ExitCode::FAILURE
        }
    }
}

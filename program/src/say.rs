// SPDX-License-Identifier: MIT OR Apache-2.0

//! Lines on the standard output.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// Writes a line, as `println!` does. Nobody may read any more, as behind `neuralstyle doctor | head`: then the program ends.
macro_rules! say {
    ($($text:tt)*) => { $crate::say::line(format_args!($($text)*)) };
}

pub fn line(text: Arguments) {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        // There is no better place to complain.
        _ => {}
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! From the text of a PTX module to a program that the machine can run without looking anything up by name.

mod arithmetic_opcodes;
mod conversion_opcodes;
pub mod instruction;
mod lexer;
mod lower;
mod memory_opcodes;
mod names;
mod opcodes;
mod parser;
mod pressure;
mod requirements;
mod scope;
mod statements;
pub mod syntax;
mod warp_opcodes;

pub use instruction::{Kernel, Program};

use std::fmt;

/// What is wrong with a module, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PtxError {
    /// The text is no PTX that this machine knows; the line is that of the PTX.
    Syntax { line: u32, what: String },
    /// The text is made for a card newer than the one that is imitated.
    Target { needs: u32, has: u32 },
    /// The version of the PTX language is newer than the driver that is imitated.
    Version { major: u32, minor: u32 },
}

impl PtxError {
    fn at(line: u32, what: impl Into<String>) -> Self {
        Self::Syntax {
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for PtxError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { line, what } => write!(out, "PTX line {line}: {what}"),
            Self::Target { needs, has } => {
                write!(out, "the module is for sm_{needs}, the card is an sm_{has}")
            }
            Self::Version { major, minor } => write!(out, "PTX {major}.{minor} is newer than the driver"),
        }
    }
}

impl std::error::Error for PtxError {}

/// Reads the text of a module.
pub fn parse(text: &str) -> Result<syntax::Module, PtxError> {
    parser::parse(text)
}

/// Turns a module into programs. `global` gives each variable of the module its address on the device.
pub fn lower(module: &syntax::Module, global: &dyn Fn(&str) -> Option<u64>) -> Result<Program, PtxError> {
    lower::lower(module, global)
}

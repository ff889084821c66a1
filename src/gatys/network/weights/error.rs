// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be wrong with a weight file, in words for the person who chose the file.

use std::io;

/// Why weights could not be read. Every variant names the file, says what was found in it and, where there is
/// one, a way out.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// There is nothing at that path.
    #[error("there is no file {file}")]
    NotFound {
        /// The path as it was given.
        file: String,
    },

    /// The operating system would not let us read it.
    #[error("the file {file} cannot be read: {source}")]
    Read {
        /// The path as it was given.
        file: String,
        /// The system's reason.
        source: io::Error,
    },

    /// The content is no weight file of any kind we read.
    #[error("the file {file} is not a safetensors or PyTorch weight file: {reason}")]
    Unrecognised {
        /// The file.
        file: String,
        /// What it is instead, or how it begins.
        reason: String,
    },

    /// The file ends before its own contents say it should.
    #[error(
        "{file} is cut short: {part} should reach to byte {expected}, but only {found} bytes are there; fetch the file again"
    )]
    Truncated {
        /// The file.
        file: String,
        /// The part of it that is incomplete.
        part: String,
        /// Bytes the file (or the named part) would need.
        expected: u64,
        /// Bytes it has.
        found: u64,
    },

    /// A zip archive without its directory, which is the last thing in it. How long the file should be is written
    /// in that directory, so it cannot be told.
    #[error(
        "{file} is cut short: after its {found} bytes the directory that ends every zip archive is missing; fetch the file again"
    )]
    EndMissing {
        /// The file.
        file: String,
        /// Bytes it has.
        found: u64,
    },

    /// The file contradicts itself or its format.
    #[error("the file {file} is damaged: {reason}")]
    Malformed {
        /// The file.
        file: String,
        /// The contradiction.
        reason: String,
    },

    /// A file that PyTorch may read but we do not, by choice.
    #[error("the file {file} cannot be used: {reason}")]
    Unsupported {
        /// The file.
        file: String,
        /// What is not supported, where it stands, and what would be.
        reason: String,
    },

    /// The file is sound but has no such tensor.
    #[error("the file {file} has no tensor named \"{tensor}\"; it has {available}")]
    MissingTensor {
        /// The file.
        file: String,
        /// The name asked for.
        tensor: String,
        /// The first few names it does have.
        available: String,
    },

    /// The tensor holds numbers that are not floating point.
    #[error(
        "{file}: tensor \"{tensor}\" holds {element_type} numbers; weights must be 16, 32 or 64 bit floats"
    )]
    ElementType {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// The file's word for its element type.
        element_type: &'static str,
    },

    /// A weight that is NaN, infinite, or a 64 bit float beyond the range of 32 bits.
    #[error(
        "{file}: tensor \"{tensor}\" holds {value} at element {index} (row-major); the weights are damaged, or the training that made them diverged"
    )]
    NotFinite {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Row-major position in the tensor, from 0.
        index: usize,
        /// The number as a 32 bit float.
        value: f32,
    },
}

/// A [`WeightsError`] before it knows the file's name: what the readers of the formats report.
#[derive(Debug)]
pub(super) enum Fault {
    Unrecognised(String),
    Truncated { part: String, expected: u64, found: u64 },
    EndMissing { found: u64 },
    Malformed(String),
    Unsupported(String),
}

impl Fault {
    pub(super) fn in_file(self, file: &str) -> WeightsError {
        let file = file.to_owned();
        match self {
            Fault::Unrecognised(reason) => WeightsError::Unrecognised { file, reason },
            Fault::Truncated {
                part,
                expected,
                found,
            } => WeightsError::Truncated {
                file,
                part,
                expected,
                found,
            },
            Fault::EndMissing { found } => WeightsError::EndMissing { file, found },
            Fault::Malformed(reason) => WeightsError::Malformed { file, reason },
            Fault::Unsupported(reason) => WeightsError::Unsupported { file, reason },
        }
    }
}

/// Text from a file, fit for a message: no control characters and at most 80 characters, since the file may be
/// hostile and the message may reach a terminal.
pub(in crate::gatys::network) fn printable(text: &str) -> String {
    let mut out: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_a_file_cannot_command_a_terminal() {
        assert_eq!(printable("a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(printable(&"x".repeat(500)).chars().count(), 81);
    }
}

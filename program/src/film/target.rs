// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a film becomes: a file with a codec, or pictures with numbers.

use std::path::PathBuf;

use super::formats::{Codec, Parts};
use super::sequence::Pattern;

/// What is written, and how.
#[derive(Clone)]
pub struct Target {
    pub kind: Kind,
    /// Whether odd sizes stay, whatever it costs.
    pub exact_size: bool,
}

#[derive(Clone)]
pub enum Kind {
    File {
        parts: Box<Parts>,
        location: PathBuf,
        /// Where .mp4 and .mov keep the pictures until their index is known.
        scratch: Option<PathBuf>,
    },
    Pictures {
        pattern: Pattern,
        /// The number of the first one.
        first: u64,
        /// Whether the pictures can have 16 bits.
        deep: bool,
    },
}

impl Target {
    /// The raw formats in which frames can be handed over.
    pub fn formats(&self) -> Vec<&'static str> {
        match &self.kind {
            Kind::File { parts, .. } => {
                let formats = parts.codec.formats().iter().copied();
                formats.filter(|format| parts.video.takes(format)).collect()
            }
            Kind::Pictures { deep: true, .. } => vec!["RGB", "RGBA", "RGBA64_LE"],
            Kind::Pictures { deep: false, .. } => vec!["RGB"],
        }
    }

    pub fn wants_even(&self) -> bool {
        matches!(&self.kind, Kind::File { parts, .. } if parts.codec == Codec::H264)
    }
}

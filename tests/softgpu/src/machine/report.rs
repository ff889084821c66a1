// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a check found, where, and in whose hands.

use std::fmt;

/// Kinds of finds; each becomes one of the driver's errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    OutOfBounds,
    UseAfterFree,
    Misaligned,
    Uninitialised,
    Race,
    Divergence,
    /// A copy to shared memory was used before anybody waited for it.
    Pending,
    Trap,
    Timeout,
}

/// What went wrong in one lane or several of a warp.
#[derive(Debug, Clone)]
pub struct Problem {
    pub kind: Kind,
    pub lane: Option<u32>,
    pub what: String,
}

pub type Checked<T> = Result<T, Box<Problem>>;

impl Problem {
    pub fn new(kind: Kind, what: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            kind,
            lane: None,
            what: what.into(),
        })
    }

    /// Names the lane, unless somebody nearer to the fault has done so.
    pub fn in_lane(mut self: Box<Self>, lane: usize) -> Box<Self> {
        self.lane.get_or_insert(lane as u32);
        self
    }
}

/// A problem with its whole address.
#[derive(Debug, Clone)]
pub struct Report {
    pub kind: Kind,
    pub what: String,
    pub kernel: String,
    pub block: [u32; 3],
    pub thread: Option<[u32; 3]>,
    pub warp: u32,
    pub lane: Option<u32>,
    pub ptx_line: u32,
    /// File and line of the source, where the PTX names them.
    pub source: Option<(String, u32)>,
    pub seed: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = match self.kind {
            Kind::OutOfBounds => "out of bounds",
            Kind::UseAfterFree => "use after free",
            Kind::Misaligned => "misaligned access",
            Kind::Uninitialised => "read of what nothing wrote",
            Kind::Race => "race",
            Kind::Divergence => "divergence",
            Kind::Pending => "missing wait for cp.async",
            Kind::Trap => "trap",
            Kind::Timeout => "no end",
        };
        let [x, y, z] = self.block;
        writeln!(out, "softgpu: {title} in kernel {}: {}", self.kernel, self.what)?;
        write!(out, "softgpu:   block ({x}, {y}, {z}), warp {}", self.warp)?;
        if let (Some([x, y, z]), Some(lane)) = (self.thread, self.lane) {
            write!(out, ", lane {lane}, thread ({x}, {y}, {z})")?;
        }
        write!(out, ", PTX line {}", self.ptx_line)?;
        if let Some((file, line)) = &self.source {
            write!(out, ", {file}:{line}")?;
        }
        write!(out, "; SOFTGPU_SEED={}", self.seed)
    }
}

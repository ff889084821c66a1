// SPDX-License-Identifier: MIT OR Apache-2.0

//! What moves from frame to frame: dense optical flow, where it can be trusted, and whether two frames belong to the
//! same scene.

mod cut;
mod flow;

pub use cut::CutDetector;
pub use flow::{Flow, Motion};

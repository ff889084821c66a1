// SPDX-License-Identifier: MIT OR Apache-2.0

//! What moves from frame to frame. For now only whether two frames belong to the same scene.

mod cut;

pub use cut::CutDetector;

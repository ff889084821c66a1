// SPDX-License-Identifier: MIT OR Apache-2.0

//! What moves from frame to frame: dense optical flow, where it can be trusted, and whether two frames belong to the
//! same scene.

mod chain;
mod cut;
mod flow;
mod follow;
mod gray;
mod pyramid;
mod refine;
mod search;
mod stepped;
mod tracker;
mod trust;

pub use chain::Chain;
pub use cut::CutDetector;
pub use flow::{Flow, Motion};
pub use follow::Follow;
pub use gray::Gray;
pub use stepped::Stepped;
pub use tracker::Tracker;

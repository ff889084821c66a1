// SPDX-License-Identifier: MIT OR Apache-2.0

//! What moves from frame to frame: dense optical flow, where it can be trusted, and whether two frames belong to the
//! same scene.

mod chain;
mod cut;
mod estimate;
mod flow;
mod gray;
mod place;
mod pyramid;
mod refine;
mod search;
mod slope;
mod stepped;
mod track;
mod tracker;
mod trust;

pub use chain::Chain;
pub use cut::CutDetector;
pub use estimate::Motion;
pub use flow::Flow;
pub use gray::Gray;
pub use stepped::{Stepped, planned_bytes};
pub use track::Track;
pub use tracker::Tracker;

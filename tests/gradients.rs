// SPDX-License-Identifier: MIT OR Apache-2.0

//! The gradient is the gradient: the reference's against finite differences of J, the CPU's against the reference's;
//! and whole runs of both end in the same place.

#[path = "gradients/agreement.rs"]
mod agreement;
#[path = "gradients/finite_differences.rs"]
mod finite_differences;
#[path = "gradients/runs.rs"]
mod runs;
#[path = "gatys/scene.rs"]
mod scene;
#[path = "gradients/setup.rs"]
mod setup;

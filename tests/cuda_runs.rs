// SPDX-License-Identifier: MIT OR Apache-2.0

//! The card's gradient is the gradient, its runs end where those in f32 do, on whatever thread, and what it writes down
//! of a step holds.

#[path = "cuda/captures.rs"]
mod captures;
#[path = "cuda/faint.rs"]
mod faint;
#[path = "cuda/gradients.rs"]
mod gradients;
#[path = "cuda/overflows.rs"]
mod overflows;
#[path = "cuda/runs.rs"]
mod runs;
#[path = "gatys/scene.rs"]
mod scene;
#[path = "gradients/setup.rs"]
mod setup;
#[path = "cuda/start.rs"]
mod start;
#[path = "cuda/storage.rs"]
mod storage;
#[path = "cuda/threads.rs"]
mod threads;

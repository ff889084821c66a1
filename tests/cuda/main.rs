// SPDX-License-Identifier: MIT OR Apache-2.0

//! The CUDA backend on a card, or on the software GPU: its operations are the reference's, its gradient is the gradient,
//! its runs end where those in f32 do, on whatever thread, and what it writes down of a step holds.

#[macro_use]
#[path = "../common/operations/mod.rs"]
mod operations;

#[path = "../common/random.rs"]
mod random;
#[path = "../common/scene.rs"]
mod scene;
#[path = "../common/setup.rs"]
mod setup;
#[path = "../common/start.rs"]
mod start;

mod captures;
mod every_operation;
mod faint;
mod gradients;
mod overflows;
mod runs;
mod storage;
mod threads;

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whatever fails in the driver or on the card becomes the promised error with `backend=cuda` and the CPU with
//! `backend=auto`; nothing panics. The software GPU fails on demand, for the whole process: that is why these tests are
//! a program of their own. So are those that count what it has given.

#[path = "../common/facts.rs"]
mod facts;
#[path = "../common/random.rs"]
mod random;
#[path = "../common/scene.rs"]
mod scene;
#[path = "../../program/src/measure/scenes.rs"]
mod scenes;
#[path = "../common/setup.rs"]
mod setup;
#[path = "../common/softgpu.rs"]
mod softgpu;
#[path = "../common/start.rs"]
mod start;

mod failures;
mod faults;
mod machines;
mod memory;
mod motion;
mod planning;
mod steps;

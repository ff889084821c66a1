// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whatever fails in the driver or on the card becomes the promised error with `backend=cuda` and the CPU with
//! `backend=auto`; nothing panics. The software GPU fails on demand.

#[path = "cuda/failures.rs"]
mod failures;
#[path = "cuda/faults.rs"]
mod faults;
#[path = "cuda/machines.rs"]
mod machines;
#[path = "cuda/memory.rs"]
mod memory;
#[path = "cuda/planning.rs"]
mod planning;
#[path = "gatys/scene.rs"]
mod scene;
#[path = "gradients/setup.rs"]
mod setup;
#[path = "cuda/softgpu.rs"]
mod softgpu;
#[path = "cuda/start.rs"]
mod start;
#[path = "cuda/steps.rs"]
mod steps;

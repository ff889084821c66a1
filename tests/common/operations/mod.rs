// SPDX-License-Identifier: MIT OR Apache-2.0

//! One test body for each operation, whatever the backend.

#[macro_use]
mod bodies;
#[allow(dead_code, reason = "the CPU follows motion by means of its own")]
pub mod flow;
pub mod losses;
pub mod network;
pub mod pair;
pub mod pictures;
pub mod step;
pub mod stopping;
pub mod vectors;

use crate::random;

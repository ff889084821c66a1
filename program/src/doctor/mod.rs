// SPDX-License-Identifier: MIT OR Apache-2.0

//! Says what works on this computer and what is missing.

mod cuda;

pub use cuda::{Arguments, run};

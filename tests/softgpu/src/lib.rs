// SPDX-License-Identifier: MIT OR Apache-2.0

#![doc = include_str!("../README.md")]

pub mod coverage;
pub mod driver;
pub mod machine;
pub mod ptx;
